"""A GPU for machines without one: tensors that say they are on `cuda`, hold real values, and mix with no others.

torch's own fake tensors have no values: a run that looks at its loss stops there, `.cpu().numpy()` cannot be had,
random numbers may come from a generator of the processor, and torch 2.15 cannot pass gradients back on a `cuda` that is
not there ("hasPrimaryContext expects a valid device index"). Here all of it computes on the processor, and what a GPU
refuses is refused.
"""

import weakref
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
TO_NUMPY = (Tensor.numpy, Tensor.__array__)
MOVES = {Tensor.cpu: CPU, Tensor.cuda: CUDA}
ASKS = {Tensor.device.__get__: lambda where: where, Tensor.is_cuda.__get__: lambda where: where == CUDA}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class WrongDeviceError(RuntimeError):
    """What a GPU would have refused."""


def tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


class _Places(TorchDispatchMode):
    """Knows which storages are on the GPU, and follows them through every operation, backward ones too."""

    def __init__(self):
        super().__init__()
        self.there: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # to skip it, torch would first import it, which takes seconds

    def of(self, tensor: Tensor) -> torch.device:
        return CUDA if tensor.untyped_storage()._cdata in self.there else CPU

    def put(self, tensor: Tensor, device: torch.device) -> Tensor:
        storage = tensor.untyped_storage()
        if device == CPU:
            self.there.discard(storage._cdata)
        elif storage._cdata not in self.there:
            self.there.add(storage._cdata)
            weakref.finalize(storage, self.there.discard, storage._cdata)
        return tensor

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function.__name__.split(".")[0]
        given = tensors((args[0], *args[2:]) if name in INDEXING else (args, kwargs))  # indices may stay behind
        there = [each for each in given if self.of(each) == CUDA]
        if name in INDEXING and not there and any(self.of(each) == CUDA for each in tensors(args[1])):
            raise WrongDeviceError(f"{function}: indices on cuda:0 of a tensor on cpu")
        if there and name != "copy_":
            # A number that is held as a tensor may come from the processor.
            if any(self.of(each) == CPU and each.dim() for each in given):
                raise WrongDeviceError(f"{function}: expected all tensors on the same device, found cuda:0 and cpu")
            if isinstance(kwargs.get("generator"), torch.Generator):
                raise WrongDeviceError(f"{function}: expected a 'cuda' device type for generator but found 'cpu'")
        result = function(*args, **kwargs)
        if there and name != "copy_":
            for each in tensors(result):
                self.put(each, CUDA)
        return result


class _Words(TorchFunctionMode):
    """Answers for a tensor where it is, and lets nothing ask the real torch for a device that is not there."""

    def __init__(self, places: _Places):
        super().__init__()
        self.places = places

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in ASKS:
            return ASKS[function](self.places.of(args[0]))
        if function in TO_NUMPY and self.places.of(args[0]) == CUDA:
            raise WrongDeviceError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")
        if function in MOVES:
            return self._moved(args[0], MOVES[function])
        if function is Tensor.to:
            return self._to(args[0], *args[1:], **kwargs)
        if function.__name__.startswith("new_") and kwargs.get("device") is None:
            kwargs["device"] = self.places.of(args[0])
        if kwargs.get("device") is not None and function is not torch._C._nn._parse_to:
            return self._made(function, args, kwargs)
        return function(*args, **kwargs)

    def _made(self, function, args, kwargs):
        device = torch.device(kwargs.pop("device"))
        if device.type not in ("cpu", "cuda"):
            return function(*args, device=device, **kwargs)
        if device.type == "cuda" and kwargs.get("generator") is not None:
            raise WrongDeviceError(f"{function}: expected a 'cuda' device type for generator but found 'cpu'")
        return self.places.put(function(*args, device="cpu", **kwargs), CUDA if device.type == "cuda" else CPU)

    def _to(self, tensor, *where, **options):
        device = options.pop("device", None)
        rest = []
        for each in where:
            if isinstance(each, Tensor):
                device = self.places.of(each)
                rest.append(each.dtype)
            elif isinstance(each, str | torch.device):
                device = each
            else:
                rest.append(each)
        if options.pop("non_blocking", False) or rest[1:]:
            rest = rest[:1]  # what is left says how to copy
        changed = tensor.to(*rest, **options) if rest or options else tensor
        return changed if device is None else self._moved(changed, torch.device(device))

    def _moved(self, tensor, device):
        device = CUDA if device.type == "cuda" else CPU
        return tensor if self.places.of(tensor) == device else _Move.apply(tensor, self.places, device)


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(context, tensor, places, device):
        context.places, context.back = places, places.of(tensor)
        return places.put(tensor.clone(), device)

    @staticmethod
    def backward(context, gradient):
        return context.places.put(gradient.clone(), context.back), None, None


@contextmanager
def a_gpu_elsewhere():
    """While it lasts, `cuda` is a device like another. What moves there has to be moved there."""
    places = _Places()
    with ExitStack() as stack:
        stack.enter_context(_Words(places))
        stack.enter_context(places)
        yield
