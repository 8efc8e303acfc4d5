"""What an answer does besides returning: does it change what it was given, does it leave its work to the library?"""

import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from types import FrameType

import numpy as np
import torch
from torch import Tensor, nn

# What was changed → the sentence that names it. The first part that differs is named.
CHANGES = {
    "list": "you changed the list {name} in place, with a method such as remove, pop or sort, or by writing into it. "
    "Go through it with a for loop, or work on a copy: list({name}).",
    "dict": "you changed the dictionary {name} in place, by writing into it or with a method such as pop or update. "
    "Leave it as it is, or work on a copy: dict({name}).",
    "array": "you changed the {name} in place: -= and /= write into it. Make new values from it, or work on a copy: "
    "{name}.copy().",
    "values": "you changed the {name} in place: operators such as -=, methods that end in _ and {name}[…] = … write "
    "into it. Make a new tensor, or work on a copy: {name}.clone().",
    "asks": "you made the {name} ask for gradients, and it goes on asking after your function is done. Leave that out; "
    "or, where you need a gradient, work on a copy: {name}.detach().clone().requires_grad_().",
    "asked": "you changed the {name} in place: it does not ask for gradients any more. detach_() and "
    "requires_grad_(False) do that; {name}.detach() gives a new tensor and leaves the old one alone.",
    "modules": "you changed the {name} in place: its modules are others now. Leave it as it is.",
    "mode": "you changed the {name}: train() and eval() switch it for everybody who uses it. Leave it as it is.",
    "frozen": "you changed the {name}: whether its weights ask for gradients. Leave its parameters as they are.",
    "hooks": "you changed the {name}: it keeps your hooks, and they run in every later call. You need none: go through "
    "its modules one by one.",
}


class Watched:
    """An answer that is watched while it runs: it raises `changed(sentence)` where the answer changes an argument.

    Args:
        answer: the learner's function.
        reference: a right answer; its parameters name the arguments, and calling it is no answer.
        library: names of functions of the package that do the same; `borrowed` is that of the one that was called.
        changed: makes an exception of a sentence.
    """

    def __init__(self, answer: Callable, reference: Callable, library: Collection[str], changed: Callable):
        self.borrowed = ""
        self._answer, self._library, self._changed = answer, library, changed
        self._code = inspect.unwrap(reference).__code__
        self._names = list(inspect.signature(reference).parameters)

    def __call__(self, *arguments: object, **options: object) -> object:
        names = [*self._names, *[f"argument {k}" for k in range(len(self._names) + 1, len(arguments) + 1)]]
        given = dict(zip(names, arguments, strict=False)) | options
        before = {name: list(_parts(value)) for name, value in given.items()}
        try:
            got = self._run(*arguments, **options)
        except Exception:
            self._compare(given, before, stopped=True)  # a changed argument often is why an answer stops
            raise
        self._compare(given, before)
        return got

    def _run(self, *arguments: object, **options: object) -> object:
        """What the answer returns; of an iterator its items, for who looks at them once has used it up."""
        old = sys.getprofile()
        sys.setprofile(self._notice)
        try:
            got = self._answer(*arguments, **options)
            return list(got) if isinstance(got, Iterator) else got
        finally:
            sys.setprofile(old)

    def _notice(self, frame: FrameType, event: str, _: object) -> None:
        """Python calls this at each function call of the answer, however deep."""
        if event == "call" and not self.borrowed:
            module, _, part = frame.f_globals.get("__name__", "").partition("stylelib.")
            ours, name = module == "" and part and not part.startswith("checks"), frame.f_code.co_name.strip("_")
            if frame.f_code is self._code or (ours and name in self._library):
                self.borrowed = name

    def _compare(self, given: Mapping[str, object], before: Mapping[str, list], stopped: bool = False) -> None:
        for name, value in given.items():
            for (what, old), (_, new) in zip(before[name], _parts(value), strict=False):
                if not _equal(old, new):
                    what = "asked" if what == "asks" and old else what
                    if not (stopped and what == "asks"):  # what torch says then tells more
                        raise self._changed(CHANGES[what].format(name=name)) from None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What can be changed about a value, and how it is now; for all that it holds, too."""
    if isinstance(value, Tensor):
        yield "values", value.detach().clone()
        yield "asks", value.requires_grad
    elif isinstance(value, np.ndarray):
        yield "array", value.copy()
    elif isinstance(value, nn.Module):
        yield from _module_parts(value)
    elif isinstance(value, list | tuple | dict):
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        yield ("dict" if isinstance(value, dict) else "list"), _Items(items)
        for _, item in items:
            yield from _parts(item)


def _module_parts(module: nn.Module) -> Iterator[tuple[str, object]]:
    parts = list(module.modules())
    yield "modules", _Items(list(module.named_modules()))
    yield "mode", module.training  # its own alone: torchvision's tools set and reset those of its parts
    yield "hooks", [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in parts]
    yield "frozen", [parameter.requires_grad for parameter in module.parameters()]
    for tensor in module.state_dict().values():
        yield "values", tensor.detach().clone()


class _Items(list):
    """Keys and items of a collection, the same while each item is the same object, or the same plain value."""

    def same(self, other: "_Items") -> bool:
        return len(self) == len(other) and all(
            one[0] == two[0] and (one[1] is two[1] or (isinstance(one[1], int | float | str) and one[1] == two[1]))
            for one, two in zip(self, other, strict=True)
        )


def _equal(old: object, new: object) -> bool:
    if isinstance(old, Tensor):
        if old.shape != new.shape or old.dtype != new.dtype or old.device != new.device:
            return False
        return old.device.type == "meta" or torch.equal(old.nan_to_num(), new.nan_to_num())
    if isinstance(old, np.ndarray):
        return np.array_equal(old, new)
    return old.same(new) if isinstance(old, _Items) else old == new
