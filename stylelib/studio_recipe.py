"""What a picture of the studio is made of, in words and numbers: painted, written down, and shown as code."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from . import gallery
from .backbones import Backbone, load_backbone
from .images import load_image
from .loop import Step
from .objective import STYLE_WEIGHT, Style
from .photo import transfer_photo
from .transfer import STEPS, Stop, stylize

PAINT = "paint"  # the method that makes strokes; the others are those of `transfer_photo`
KEPT = 512  # pixels; larger pictures are read again each time
OnStep = Callable[[Step], object]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a picture looks like. Pictures are named: by the gallery, or by their file.

    Attributes:
        content, style: names.
        also: name of a second style, or none.
        blend: share of the second style, from 0 to 1.
        method: "paint", or a method of `transfer_photo`.
        strength: of `transfer_photo`.
        size, steps, seed, color, style_weight: as in `stylize`.
        stroke: scale of the strokes.
        start: "content", "noise", or a picture's file.
        backbone, device: as in `load_backbone`.
        stopped: of a run that was stopped, the evaluations until then; 0: it ran to its end.
    """

    content: str = "astronaut"
    style: str = "flow_strokes"
    also: str = ""
    blend: float = 0.5
    method: str = PAINT
    strength: float = 1.0
    size: int = 384
    steps: int = STEPS
    seed: int = 0
    color: str = "style"
    style_weight: float = STYLE_WEIGHT
    stroke: float = 1.0
    start: str = "content"
    backbone: str = "slim"
    device: str = "auto"
    stopped: int = 0

    def paint(self, on_step: OnStep | None = None) -> Tensor:
        """The picture, (1, 3, H, W) on the CPU. Errors are those of `stylize`, `transfer_photo` and `load_image`."""
        content = read(self.content, self.size)
        if self.method != PAINT:
            return transfer_photo(content, read(self.style, self.size), method=self.method, strength=self.strength)
        options = {name: value for name, value, _ in self._options()}
        if self.start not in ("content", "noise"):
            options["start"] = read(self.start, self.size)
        return stylize(
            content,
            self.styles(self.size),
            backbone=backbone(self.backbone, self.device),
            on_step=_until(self.stopped, on_step),
            **options,
        ).image

    def styles(self, size: int) -> list[Style]:
        """The style, or both, for a result of that size."""
        return [Style(read(name, round(size * self.stroke)), weight, self.stroke) for name, weight in self._shares()]

    def code(self) -> str:
        """Python that makes the same picture, to the last bit on the same machine."""
        lines = ["import stylelib", "", f"content = {_reading(self.content, self.size)}"]
        if self.method != PAINT:
            how = f"method={_quoted(self.method)}, strength={self.strength!r}"
            lines += [f"style = {_reading(self.style, self.size)}"]
            lines += [f"image = stylelib.transfer_photo(content, style, {how})"]
            return "\n".join([*lines, 'stylelib.save_image(image, "result.png")'])
        lines += [
            *self._code_of_styles(),
            f"backbone = stylelib.load_backbone({_quoted(self.backbone)}, {_quoted(self.device)})",
            *self._code_of_stop(),
            "result = stylelib.stylize(",
            "    content,",
            "    style,",
            "    backbone=backbone,",
            *(f"    {name}={shown}," for name, _, shown in self._options()),
            *["    on_step=stop,"] * bool(self.stopped),
            ")",
            'stylelib.save_image(result.image, "result.png")',
        ]
        return "\n".join(lines)

    def _code_of_styles(self) -> list[str]:
        wide, shares = round(self.size * self.stroke), self._shares()
        if len(shares) == 1 and self.stroke == 1:
            return [f"style = {_reading(shares[0][0], wide)}"]
        styles = [
            f"    stylelib.Style({_reading(name, wide)}, weight={weight!r}, scale={self.stroke!r}),"
            for name, weight in shares
        ]
        return ["style = [", *styles, "]"]

    def _code_of_stop(self) -> list[str]:
        if not self.stopped:
            return []
        body = [f"    if step.index + 1 == {self.stopped}:", "        raise stylelib.transfer.Stop"]
        return ["", "", "def stop(step):  # where you stopped it", *body, "", ""]

    def to_json(self) -> str:
        """All of it as one line of ASCII characters."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """What `to_json` wrote, by this version or another one. Raises a `ValueError` for anything else."""
        values = json.loads(text)
        if not isinstance(values, dict) or not {"content", "style"} <= values.keys():
            raise ValueError("These are no settings of the studio; choose a picture that it has made.")
        kinds = {field.name: field.type for field in fields(cls)}
        return cls(**{name: kinds[name](value) for name, value in values.items() if name in kinds})

    def _shares(self) -> list[tuple[str, float]]:
        """The names of the styles with their weights; a style without any is left out."""
        pairs = [(self.style, 1 - self.blend), (self.also, self.blend)] if self.also else [(self.style, 1.0)]
        return [(name, weight) for name, weight in pairs if weight]

    def _options(self) -> list[tuple[str, object, str]]:
        """Name, value and code of each option of `stylize` that matters."""
        start = _quoted(self.start) if self.start in ("content", "noise") else _reading(self.start, self.size)
        values = {"size": self.size, "steps": self.steps, "color": self.color, "style_weight": self.style_weight}
        seed = {"seed": self.seed} if self.start == "noise" else {}
        shown = [(name, value, _quoted(value)) for name, value in (values | seed).items()]
        return [*shown, ("start", self.start, start)]


def read(name: str, size: int) -> Tensor:
    """The picture of that name, its long side `size`."""
    return _small(name, size) if size <= KEPT else load_image(gallery.find(name), size)


@lru_cache(maxsize=8)  # a file of the studio never changes: its name holds a checksum or a number
def _small(name: str, size: int) -> Tensor:
    return load_image(gallery.find(name), size)


def _reading(name: str, size: int) -> str:
    """The code of `read`."""
    if name in gallery.names() and not Path(name).is_file():
        return f"stylelib.gallery.load({_quoted(name)}, size={size})"
    return f"stylelib.load_image({_quoted(Path(name).as_posix())}, size={size})"


def _quoted(value: object) -> str:
    """A value as people write it in code."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


@lru_cache(maxsize=2)
def backbone(name: str, device: str) -> Backbone:
    """`load_backbone`, once for all runs."""
    return load_backbone(name, device)


def _until(count: int, on_step: OnStep | None) -> OnStep:
    """The same `on_step`, which also stops after so many evaluations."""

    def watch(step: Step) -> None:
        if on_step:
            on_step(step)
        if step.index + 1 == count:
            raise Stop

    return watch
