"""Film against frame by frame, on clips whose motion is known exactly.

    uv run python benchmarks/video.py --json                        # every clip, both styles: half an hour on 2 cores
    uv run python benchmarks/video.py --json --clips pan --styles flow_strokes --frames 12 --size 256

Each clip is painted by `video.Shot`, and a few of its frames also by `stylize`, from scratch: "frame by frame". All
figures but the last ones are ratios of the two, in the same run. The last line is JSON.

warp1, 5, 10   mean |x − x of so many frames before, warped along the true flow|, where both are in sight
squared1, …    the same with squares, as Lai et al. (ECCV 2018) define warping error
style, fresh   style loss of the last frame; over the area that came into sight in the last ten frames
content        content loss of the last frame
sharpness      mean gradient of the last frame over that of the first (no ratio to frame by frame)
seconds        for a frame, flow included, over seconds of `stylize`; `film_seconds` is the whole clip
drift, color   of a still scene: mean change, and change of the mean color, from the first to the last frame, of 255
"""

import argparse
import json
import time

import torch
from torch import Tensor

import stylelib
from stylelib import gallery, scenes, video
from stylelib.flow import warp
from stylelib.scenes import Scene

LAGS = (1, 5, 10)
BARS = {
    "warp1": 0.12,
    "warp5": 0.20,
    "warp10": 0.28,
    "style": 1.15,
    "fresh": 1.2,
    "content": 1.12,
    "seconds": 1 / 8,
}
ZOOM_BAR = 0.33  # of warp10: magnified strokes are new ones
SHARP, DRIFT, COLOR = 0.9, 5.0, 2.0


class Painted:
    """A clip in one style, both ways. Frame by frame, only the frames that are compared are painted, once."""

    def __init__(self, scene: Scene, style: Tensor, frames: int, size: int, steps: int, backbone: stylelib.Backbone):
        self.scene, self.style, self.last, self.backbone = scene, style, frames - 1, backbone
        self.content = [scene.frame(number) for number in range(frames)]
        shot = video.Shot(backbone, style, size, steps)
        self.film, self.seconds = [], []
        for content in self.content:
            began = time.perf_counter()
            self.film.append(shot.paint(content))
            self.seconds.append(time.perf_counter() - began)
        self.alone, began = {}, time.perf_counter()
        for number in sorted({self.last, *(self.last - lag for lag in LAGS if lag <= self.last)}):
            result = stylelib.stylize(self.content[number], style, backbone=backbone, size=size, steps=steps)
            self.alone[number] = result.image
        self.seconds_alone = (time.perf_counter() - began) / len(self.alone)

    def figures(self) -> dict[str, float]:
        film, alone = self.film[self.last], self.alone[self.last]
        figures = {}
        for lag in (lag for lag in LAGS if lag <= self.last):
            for name, power in (("warp", 1), ("squared", 2)):
                figures[f"{name}{lag}"] = self.warp_error(self.film, lag, power) / self.warp_error(
                    self.alone, lag, power
                )
        losses, losses_alone = self.losses(film), self.losses(alone)
        figures |= {name: losses[name] / losses_alone[name] for name in ("style", "content")}
        new = 1 - self.scene.visible(self.last, min(10, self.last))
        if new.mean() > 0.01:
            figures["fresh"] = self.losses(film, new)["style"] / self.losses(alone, new)["style"]
        figures["sharpness"] = sharpness(film) / sharpness(self.film[0])
        figures["seconds"] = sum(self.seconds[1:]) / self.last / self.seconds_alone
        figures["film_seconds"] = sum(self.seconds)
        if self.scene.flow(self.last).abs().max() == 0:
            figures["drift"] = 255 * (film - self.film[0]).abs().mean().item()
            figures["color"] = 255 * (film - self.film[0]).mean((0, 2, 3)).abs().max().item()
        return {name: round(value, 4) for name, value in figures.items()}

    def warp_error(self, frames: dict[int, Tensor] | list[Tensor], lag: int, power: int) -> float:
        flow, seen = self.scene.flow(self.last, lag), self.scene.visible(self.last, lag)
        gap = (frames[self.last] - warp(frames[self.last - lag], flow)).abs() ** power
        return ((seen * gap).sum() / seen.sum() / 3).item()

    def losses(self, image: Tensor, where: Tensor | None = None) -> dict[str, float]:
        style = stylelib.Style(self.style, where=where)
        objective = stylelib.Objective(self.backbone, self.content[self.last], style)
        with torch.no_grad():
            return {name: loss.item() for name, loss in objective(image.to(objective.device)).items()}


def sharpness(image: Tensor) -> float:
    return (image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()).item()


def missed(clip: str, figures: dict[str, float]) -> list[str]:
    """Names of the figures that miss their bar."""
    bars = BARS | ({"warp10": ZOOM_BAR} if clip == "zoom" else {})
    names = [name for name, bar in bars.items() if figures.get(name, 0) > bar]
    names += ["sharpness"] * (figures["sharpness"] < SHARP)
    return names + [name for name, bar in (("drift", DRIFT), ("color", COLOR)) if figures.get(name, 0) > bar]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="+", default=["pan", "zoom", "passing", "still"])
    parser.add_argument("--styles", nargs="+", default=["flow_strokes", "mosaic"])
    parser.add_argument("--frames", type=int, default=24, help="of each clip; the still one has twice as many")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=stylelib.transfer.STEPS)
    parser.add_argument("--json", action="store_true", help="the figures once more, in the last line")
    options = parser.parse_args(arguments)
    backbone = stylelib.load_backbone("slim")
    table = {"size": options.size, "frames": options.frames, "threads": torch.get_num_threads(), "clips": {}}
    for clip in options.clips:
        frames = options.frames * (2 if clip == "still" else 1)
        for name in options.styles:
            style = gallery.load(name, size=options.size)
            scene = getattr(scenes, clip)(size=options.size)
            figures = Painted(scene, style, frames, options.size, options.steps, backbone).figures()
            failures = missed(clip, figures)
            table["clips"][f"{clip} {name}"] = figures | {"missed": failures}
            print(f"{clip:8} {name:13}", *(f"{key} {value:.3g}" for key, value in figures.items()), flush=True)
            print(" " * 22, "misses " + ", ".join(failures) if failures else "meets every bar", flush=True)
    if options.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
