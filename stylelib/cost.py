"""What an optimization costs, before it is run: memory by bookkeeping, seconds by timing a few steps."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .images import scaled_shape
from .lbfgs import HISTORY
from .loop import optimize
from .memory import free, gigabytes
from .objective import Objective
from .spectrum import spectrum
from .tiles import TILE, Tile, TiledObjective, cut

OTHER_VECTORS = 2  # beside its pairs, L-BFGS keeps its last gradient and its last move
KEPT_IMAGES = 4  # the current one and the best one, in the loop and in the recipe
ROOMY = 8192  # bytes per pixel, more than twice what VGG-19 takes, the largest network: no need to look closer
COMFORTABLE = 3.75 * 2**30  # bytes; what takes more is done in a more frugal way, for the sake of whatever else runs
SMALLER_TILE = 512
SMALL = 512  # pixels
FEW_PAIRS = 5
TIMED_STEPS = 12
CAUTION = 1.15  # convolutions need room of their own, which the bookkeeping does not see


@dataclass(frozen=True)
class Way:
    """How a picture is optimized: in one piece or in tiles, and with how much memory of past steps.

    Attributes:
        tile: side of a tile in pixels; None evaluates the picture in one piece.
        pairs: past steps that L-BFGS keeps.
    """

    tile: int | None = None
    pairs: int = HISTORY

    @property
    def make(self) -> Callable[..., Objective]:
        """What makes its objective: called as `Objective` is."""
        return Objective if self.tile is None else partial(TiledObjective, tile=self.tile)


WAYS = (
    Way(),
    Way(None, FEW_PAIRS),
    Way(TILE),
    Way(TILE, FEW_PAIRS),
    Way(SMALLER_TILE, FEW_PAIRS),
)  # from fast to frugal
ObjectiveAt = Callable[[int, Callable[..., Objective]], Objective]  # size, kind of objective → the objective there


class OneOfEach(TiledObjective):
    """Sees one tile of each shape: all take the same memory, one after the other."""

    def tiles(self, picture: Tensor, layers: Iterable[str]) -> list[Tile]:
        """As of `TiledObjective`."""
        return cut(tuple(picture.shape[-2:]), self._sights(picture, layers), self.tile, one_of_each=True)


class TensorMemory(TorchDispatchMode):
    """While it is entered, keeps account of the tensors that are made and let go: `now` and `peak`, in bytes."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is compiled, and to tell the compiler so, torch would import it: seconds

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:  # views share the storage that is already accounted for
            self._alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._leave, key)

    def _leave(self, key: int) -> None:
        self.now -= self._alive.pop(key)


def memory(
    objective_at: ObjectiveAt,
    shape: tuple[int, int],
    size: int,
    steps: int,
    optimizer: str = "lbfgs",
    way: Way = WAYS[0],
    values: bool = False,
) -> int:
    """Bytes of all tensors that `steps` steps of `optimize` at long side `size` hold at their peak.

    One evaluation, targets included, is played through with tensors that have a shape but no values (torch's
    `FakeTensorMode`): nothing is computed and nothing allocated, so this takes no longer for a large picture. What
    the optimizer keeps comes on top. Convolutions may take more, 10 % or so, for rooms of their own.

    Args:
        objective_at: size and kind → objective.
        shape: (H, W) of the picture to optimize, in any size.
        way: how it is to be optimized.
        values: the evaluation is computed. Of a picture that is known to fit and not larger than `SMALL`, this takes
            less time than to import what plays it through.
    """
    played = _played(objective_at, shape, optimizer, size, way.tile, values)
    return played + kept(shape, size, steps, optimizer, way.pairs)


def _played(
    objective_at: ObjectiveAt,
    shape: tuple[int, int],
    optimizer: str,
    size: int,
    tile: int | None,
    values: bool = False,
) -> int:
    height, width = scaled_shape(*shape, size)
    with nullcontext() if values else _no_values(), TensorMemory() as account:
        objective = objective_at(size, Objective if tile is None else partial(OneOfEach, tile=tile))
        image = torch.empty(1, 3, height, width, device=objective.device)
        variables, to_image = spectrum(image) if optimizer == "lbfgs" else (image, lambda pixels: pixels)
        variables.requires_grad_()
        objective(to_image(variables))["total"].backward()
    return account.peak


def _no_values() -> AbstractContextManager:
    from torch._subclasses.fake_tensor import FakeTensorMode  # imports torch's compiler, which takes seconds

    return FakeTensorMode(allow_non_fake_inputs=True)


def kept(shape: tuple[int, int], size: int, steps: int, optimizer: str = "lbfgs", pairs: int = HISTORY) -> int:
    """Bytes that the optimizer and the recipe keep from step to step."""
    height, width = scaled_shape(*shape, size)
    image = 4 * 3 * height * width
    if optimizer == "adam":
        return (2 + KEPT_IMAGES) * image
    coefficients = 4 * 3 * height * 2 * (width // 2 + 1)
    return (OTHER_VECTORS + 2 * min(pairs, steps)) * coefficients + KEPT_IMAGES * image


def free_memory(device: torch.device) -> int:
    """Bytes that tensors on this device can still take, as far as can be known."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return free()


def fitting_way(
    objective_at: ObjectiveAt,
    device: torch.device,
    shape: tuple[int, int],
    size: int,
    steps: int,
    optimizer: str = "lbfgs",
) -> Way:
    """The fastest way that leaves a processor's memory comfortable; if there is none, the fastest that fits.

    Arguments as in `memory`.

    Raises:
        ValueError: the tensors alone take more than what is free. The message names the largest size that fits.
    """
    free = free_memory(device)
    comfortable = min(free, COMFORTABLE) if device.type == "cpu" else free
    if ROOMY * size**2 < comfortable:
        return WAYS[0]
    played = cache(partial(_played, objective_at, shape, optimizer))

    def needed(way: Way, side: int = size) -> int:
        return played(side, way.tile) + kept(shape, side, steps, optimizer, way.pairs)

    frugal = WAYS[-1]
    if needed(WAYS[0]) <= comfortable:
        return WAYS[0]
    if needed(frugal) <= free:
        return next(way for limit in (comfortable, free) for way in WAYS if needed(way) <= limit)
    largest = size
    while largest > 1 and (excess := CAUTION * needed(frugal, largest) / free) > 1:
        largest = int(largest / excess**0.5)  # memory goes with the number of pixels
    raise ValueError(
        f"Size {size} needs about {gigabytes(needed(frugal))} of memory, and {gigabytes(free)} are free; "
        f"the largest size that fits is {largest}."
    )


def seconds(objective: Objective, image: Tensor, steps: int, budget: float = 2.0) -> float:
    """How many seconds `steps` steps of L-BFGS will take: some are run, and the pairs they lack are reckoned.

    Args:
        objective: what is to be minimized.
        image: where the steps would start, (1, 3, H, W); it is not changed.
        steps: number of evaluations.
        budget: seconds after which no further step is timed; at least three are, the first to warm up.
    """
    times: list[float] = []
    start = time.perf_counter()
    for _ in optimize(image, objective, TIMED_STEPS):  # reading the losses waits for the device
        times.append(time.perf_counter() - start)
        if len(times) >= 3 and sum(times) > budget:
            break
        start = time.perf_counter()
    # Per step and pair, L-BFGS takes two dot products and adds two vectors; the pairs grow in number at first.
    pairs = sum(min(step, HISTORY) for step in range(steps)) - steps * len(times) / 2
    return steps * statistics.median(times[1:]) + max(0, pairs) * _seconds_per_pair(image.to(objective.device))


def _seconds_per_pair(image: Tensor) -> float:
    first, second = torch.rand_like(image).flatten(), image.flatten().clone()
    start = time.perf_counter()
    for _ in range(10):
        second.add_(first, alpha=first.dot(second).item() * 0)
    return 2 * (time.perf_counter() - start) / 10
