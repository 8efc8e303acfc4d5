"""Recipe for film: paint the first frame of a shot, carry its change along the motion, and touch it up in each frame.

The objective has many good pictures for one content; painted by itself, each frame would find another, and the film
would flicker. So each frame starts from the last one's *change*, the painted frame less the photographed one, warped
along the optical flow onto the new content, and is kept near it by a temporal loss where the flow can be trusted.
(Ruder, Dosovitskiy, Brox, *Artistic Style Transfer for Videos*, GCPR 2016, has that loss; carrying the change, and not
the picture, keeps the content of each frame its own and as sharp.)
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from . import cluster
from .backbones import Backbone, load_backbone
from .clips import Clip, ClipError, Frame, check_clip_writable, open_clip, save_clip
from .flow import agreement, chain, fill, is_cut, optical_flow, sharpen, warp
from .loop import optimize
from .objective import STYLE_WEIGHT, Near, Objective, SeenStyle, Style
from .reel import Reel
from .transfer import STEPS, check_image, stylize

FADES = 0.85  # from frame to frame, how new something is that has come into sight


@dataclass(frozen=True)
class Carry:
    """How a change is carried from frame to frame.

    Attributes:
        steps: evaluations for each frame but a shot's first.
        temporal: weight of the temporal loss.
        lag: frames; a second temporal loss that far back keeps small errors from adding up to drift. 0 is without.
        fresh: of the style weight, once more over what has newly come into sight. Without it, such places stay
            photographic: the style loss of the whole picture is satisfied already.
        content: of the content weight, in each frame but a shot's first; more than there, because the temporal losses
            and the fresh places draw away from it.
    """

    steps: int = 9
    temporal: float = 100.0
    lag: int = 5
    fresh: float = 0.5
    content: float = 1.3


def stylize_video(
    clip: str | PathLike | Sequence[Tensor] | Clip,
    style: Tensor,
    out: str | PathLike | None = None,
    *,
    backbone: Backbone | None = None,
    size: int = 384,
    steps: int = STEPS,
    start: float = 0,
    stop: float | None = None,
    rate: float | None = None,
    resume: bool = False,
    scheduler: str | None = None,
    **weights,
) -> Iterator[Frame]:
    """Paints a film in a style, frame by frame, without flicker. Nothing happens until its frames are asked for:

        for frame in stylize_video("in.mp4", style, "out.mp4"):
            print(frame.time)

    Each finished frame becomes a file in the folder OUT.frames; when the loop ends, also early (`break`, Ctrl-C), they
    are made into the film. The folder is deleted when the film is whole; until then `resume=True` goes on with it, and
    the film will be the same, bit for bit, as if it had never been stopped.

    Args:
        clip: a film (MP4, MOV, WebM, GIF, …), a folder of pictures, or images of one size.
        style: image (1, 3, H', W').
        out: the film to write: .mp4, .mov, .webm, .gif, or a folder of PNGs; None writes none.
        backbone: None takes slim on the CPU.
        size: long side of the frames in pixels.
        steps: evaluations for the first frame of each shot, as in `stylize`; the others take 9 each.
        start, stop, rate: which of the clip's frames, as in `open_clip`.
        resume: go on with the frames that an earlier run has finished.
        scheduler: address of a Dask cluster, whose machines paint one shot each; they must see the clip under the same
            name. On machines of one kind the film is the same, bit for bit.
        **weights: of the `Objective`: style_weight, content_weight, …

    Yields:
        each painted frame, those that were finished earlier too.

    Raises:
        ClipError: a clip that cannot be read, a film that cannot be written, finished frames of another run.
        ValueError: what `stylize` refuses; a cluster that cannot be reached, or that gave a shot up.
    """
    opened = open_clip(clip, size, start=start, stop=stop, rate=rate)
    backbone = backbone or load_backbone("slim")
    check_image("style", style, size)
    check_image("clip's frame", torch.zeros(1, 3, *opened.shape), size)
    shot = Shot(backbone, style, size, steps, **weights)
    if out is None:
        return (painted for painted, _ in _painted(shot, opened, 0, scheduler))
    if isinstance(clip, str | PathLike) and os.path.realpath(clip) == os.path.realpath(out):
        raise ClipError(f"{out} is the clip itself; choose another name for the film.")
    job = {
        "clip": opened.identity,
        "style": hashlib.sha256(style.cpu().numpy().tobytes()).hexdigest(),
        "backbone": backbone.name,
        "size": size,
        "steps": steps,
        "weights": str(sorted(weights.items())),
    }
    reel = Reel(Path(out), job, resume)
    check_clip_writable(out, replace=len(reel) > 0)
    return _onto(reel, opened, shot, Path(out), scheduler)


def _onto(reel: Reel, clip: Clip, shot: "Shot", out: Path, scheduler: str | None) -> Iterator[Frame]:
    """Paints the frames that are not on the reel yet, and makes a film of those that are, however this ends."""
    whole, useless, begun = False, False, len(reel) > 0
    reel.claim()
    try:
        yield from reel.frames()
        first = shot.recall(clip, reel) if len(reel) else 0
        for painted, memory in _painted(shot, clip, first, scheduler):
            reel.add(painted.image, painted.time, memory)
            yield painted
        whole = True
    except ClipError:
        useless = True  # the clip is damaged here, and will be the next time
        raise
    finally:
        if len(reel):
            save_clip(reel.frames(), out, clip, whole=whole, replace=begun)
        if whole or useless:
            reel.remove()
        else:
            reel.release()


def _painted(shot: "Shot", clip: Clip, first: int, scheduler: str | None) -> Iterator[tuple[Frame, dict]]:
    """The painted frames from number `first` on, each with the shot's `memory` after it.

    With a cluster, only what is left of the present shot is painted here: the next ones do not depend on it.
    """
    number = first
    for frame in clip.frames(skip=first):
        if scheduler and shot.ends_before(frame.image):
            break
        yield Frame(shot.paint(frame.image), frame.time), shot.memory
        number += 1
    else:
        return
    with cluster.connect(scheduler) as client:
        tasks = ((shot.another(), clip, numbers) for numbers in shots(clip, number))
        for frames in cluster.in_order(client, paint_shot, tasks):
            yield from frames


def shots(clip: Clip, first: int = 0) -> Iterator[range]:
    """The numbers of the frames of each shot, from frame `first` on, which begins one."""
    number, begin, before = first, first, None
    for number, frame in enumerate(clip.frames(skip=first), start=first):
        if before is not None and _cut(frame.image, before):
            yield range(begin, number)
            begin = number
        before = frame.image
    if before is not None:
        yield range(begin, number + 1)


def paint_shot(shot: "Shot", clip: Clip, numbers: range) -> list[tuple[Frame, dict]]:
    """The painted frames of one shot, each with the shot's `memory` after it."""
    frames = islice(clip.frames(skip=numbers.start), len(numbers))
    return [(Frame(shot.paint(frame.image), frame.time), shot.memory) for frame in frames]


def _cut(content: Tensor, before: Tensor) -> bool:
    return is_cut(content, before, optical_flow(content, before))


@dataclass(frozen=True)
class Past:
    """A frame that is done."""

    content: Tensor
    result: Tensor
    flow: Tensor | None  # from this frame to the one before; None at the first of a shot

    @property
    def change(self) -> Tensor:
        return self.result - self.content


class Shot:
    """A film, painted frame by frame, shot by shot. What the next frame needs is kept here, and no more.

    Args:
        backbone, style, size, steps, weights: as in `stylize_video`.
    """

    def __init__(
        self, backbone: Backbone, style: Tensor, size: int, steps: int = STEPS, carry: Carry | None = None, **weights
    ):
        self.backbone, self.style, self.size, self.steps, self.weights = backbone, style, size, steps, weights
        self.carry = carry or Carry()
        self.past: deque[Past] = deque(maxlen=max(1, self.carry.lag))  # of the same shot
        self.fresh: Tensor | None = None  # mask (1, 1, H, W): what has newly come into sight
        self._seen: SeenStyle | None = None

    def paint(self, content: Tensor) -> Tensor:
        """The next frame: an image (1, 3, H, W) with exactly 8 bits a color, as a file will hold it."""
        flow = optical_flow(content, self.past[-1].content) if self.past else None
        if flow is None or is_cut(content, self.past[-1].content, flow):
            self.past.clear()
            self.fresh = torch.zeros(1, 1, *content.shape[-2:])
            result, flow = self._first(content), None
        else:
            result = self._next(content, flow)
        result = (result * 255).round() / 255
        self.past.append(Past(content, result, flow))
        return result

    def another(self) -> "Shot":
        """One that paints alike and has painted nothing yet."""
        return Shot(self.backbone, self.style, self.size, self.steps, self.carry, **self.weights)

    def ends_before(self, content: Tensor) -> bool:
        """Whether a new shot begins with this frame, if it is the next one."""
        return not self.past or _cut(content, self.past[-1].content)

    @property
    def memory(self) -> dict[str, object]:
        """What cannot be told from the frames: see `recall`."""
        return {"frames": len(self.past), "fresh": self.fresh}

    def recall(self, clip: Clip, reel: Reel) -> int:
        """Takes up the work where a reel ends; returns the number of the next frame."""
        count, self.fresh = reel.memory["frames"], reel.memory["fresh"]
        first = len(reel) - count
        self.past.clear()
        for content, result in zip(clip.frames(skip=first), reel.frames(skip=first), strict=False):
            flow = optical_flow(content.image, self.past[-1].content) if self.past else None
            self.past.append(Past(content.image, result.image, flow))
        return len(reel)

    def _first(self, content: Tensor) -> Tensor:
        result = stylize(content, self.style, backbone=self.backbone, size=self.size, steps=self.steps, **self.weights)
        if result.interrupted:
            raise KeyboardInterrupt
        return result.image

    def _next(self, content: Tensor, flow: Tensor) -> Tensor:
        target, mask = carried(content, self.past[-1], flow)
        self.fresh = torch.maximum(1 - mask, FADES * warp(self.fresh, flow, "bilinear"))
        near = [Near(target, mask * (1 - self.fresh), self.carry.temporal, "temporal")]
        if len(self.past) == self.carry.lag:
            far = self._far(content, flow)
            near.append(Near(far[0], far[1] * (1 - self.fresh), self.carry.temporal, "long-term"))
        objective = self._objective(content, near)
        best = min(optimize(target.clamp(0, 1), objective, self.carry.steps), key=lambda step: step.losses["total"])
        return best.image.to(content.device)  # frames are kept where they come from, whatever paints them

    def _far(self, content: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Target and mask from the oldest frame that is kept."""
        for past in reversed(list(self.past)[1:]):
            flow = chain(flow, past.flow)
        return carried(content, self.past[0], sharpen(content, self.past[0].content, flow))

    def _objective(self, content: Tensor, near: list[Near]) -> Objective:
        if self._seen is None:
            whole = Objective(self.backbone, style=Style(self.style).at(self.size))
            self._seen = whole.terms[0].styles[0]
        amount = self.carry.fresh * self.fresh.mean().item()
        styles = [self._seen]
        if amount > 1e-3:
            styles.append(
                SeenStyle(self._seen.grams, self._seen.layers, self.carry.fresh, where=self.fresh.clamp(0, 1))
            )
        weights = {
            "content_weight": self.weights.get("content_weight", 1.0) * self.carry.content,
            "style_weight": self.weights.get("style_weight", STYLE_WEIGHT) * (1 + amount),
        }
        return Objective(self.backbone, content, styles, also=near, **(self.weights | weights))


def carried(content: Tensor, past: Past, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The content with the change of a past frame, warped along `flow`; and the mask (1, 1, H, W) where it holds.

    Elsewhere the change is filled in from around.
    """
    mask = agreement(content, warp(past.content, flow), flow)
    return content + fill(warp(past.change, flow), mask), mask
