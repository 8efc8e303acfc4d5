"""Render the style pictures that this project ships (images/style/*.jpg).

Why: the course needs style images that anyone may use, copy and change. So each one is drawn here, from
nothing but formulas and a seeded random generator. No photograph and no scan of a painting goes in.

License: the pictures are CC0 1.0 (public domain); this code is under the project's license.

Run:    python tools/render_styles.py [NAME ...] [--out images/style]

The same command gives the same pictures. All lengths in a composition are fractions of the long side, so
that a small test rendering shows the same picture as the full one. Every picture is drawn two or three
times larger than asked for and then averaged down, which is what makes its edges smooth.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree
from skimage.measure import find_contours, label

from stylelib.files import replacing

LONG_SIDE = 768
MAX_BYTES = 200_000
OUT = Path(__file__).resolve().parents[1] / "images" / "style"
TAU = 2 * np.pi


# ---------------------------------------------------------------------------------------- the canvas


class Canvas:
    """A drawing area whose unit of length is its long side: x runs to 1 on a landscape, y on a portrait."""

    def __init__(self, width: int, height: int):
        self.width, self.height, self.unit = width, height, max(width, height)
        self.shape = (height, width)
        self.bottom, self.right = height / self.unit, width / self.unit
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.x, self.y = (columns + 0.5) / self.unit, (rows + 0.5) / self.unit
        self.places = np.stack([self.x, self.y], -1)

    def distance(self, x, y):
        return np.hypot(self.x - x, self.y - y)

    def noise(self, rng, cells, octaves=4, stretch=(1.0, 1.0)):
        """Smooth noise of mean 0 and deviation 1; `cells` bumps along the unit, fewer where stretched."""
        total = np.zeros(self.shape, np.float32)
        for octave in range(octaves):
            across = max(2, round(self.right * cells * 2**octave / stretch[0]))
            down = max(2, round(self.bottom * cells * 2**octave / stretch[1]))
            bumps = Image.fromarray(rng.standard_normal((down, across)).astype(np.float32))
            total += 0.55**octave * np.asarray(bumps.resize(self.shape[::-1], Image.Resampling.BICUBIC))
        return (total - total.mean()) / total.std()

    def pixels(self, points):
        """Points in units, as the list of pixel tuples that ImageDraw takes."""
        return [tuple(point) for point in (np.asarray(points) * self.unit).tolist()]

    def mask(self, polygon):
        """True inside the polygon."""
        image = Image.new("1", (self.width, self.height))
        ImageDraw.Draw(image).polygon(self.pixels(polygon), fill=1)
        return np.asarray(image)

    def index(self, points):
        """Rows and columns of points in units, and which of the points lie on the canvas."""
        columns = np.floor(points[..., 0] * self.unit).astype(int)
        rows = np.floor(points[..., 1] * self.unit).astype(int)
        return rows, columns, (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)

    def sample(self, field, points):
        """Values of a field at points (in units), the nearest pixel's."""
        rows, columns, _ = self.index(np.asarray(points))
        return field[np.clip(rows, 0, self.height - 1), np.clip(columns, 0, self.width - 1)]

    def scatter(self, rng, spacing):
        """Points about `spacing` apart that cover the canvas, in random order."""
        across, down = round(self.right / spacing) + 2, round(self.bottom / spacing) + 2
        points = np.stack(np.meshgrid(np.arange(across), np.arange(down)), -1).reshape(-1, 2).astype(float)
        return rng.permutation(points + rng.uniform(-0.5, 0.5, points.shape)) * spacing

    def border_distance(self, labels):
        """Distance of each pixel from the nearest border between labels."""
        border = np.zeros(self.shape, bool)
        border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        border[1:] |= labels[1:] != labels[:-1]
        return ndimage.distance_transform_edt(~border).astype(np.float32) / self.unit

    def fold(self, center, count, offset=0.0):
        """Coordinates that repeat `count` times around a center, as the petals of a flower do."""
        radius = self.distance(*center)
        turns = (np.arctan2(self.y - center[1], self.x - center[0]) / TAU + 1) * count + offset
        sector = np.floor(turns)
        angle = (turns - sector - 0.5) * TAU / count
        return Fold(sector.astype(int) % count, radius * np.cos(angle), radius * np.sin(angle), radius)


class Fold(NamedTuple):
    sector: np.ndarray  # which of the petals
    along: np.ndarray  # how far out on the petal's axis
    side: np.ndarray  # how far off that axis
    radius: np.ndarray


# ------------------------------------------------------------------------- color, curves, light


def rgb(*codes):
    """Hex codes such as "f0c040" as colors between 0 and 1: one color for one code, else a row for each."""
    colors = np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], np.float32)
    return colors[0] if len(codes) == 1 else colors


def palette(**codes):
    return {name: rgb(code) for name, code in codes.items()}


def mix(first, second, share):
    """`first` where share is 0, `second` where it is 1."""
    share = np.asarray(share, np.float32)[..., None]
    return first * (1 - share) + second * share


def ramp(tone, colors):
    """The color at `tone` (0 to 1) on a scale that passes evenly through `colors`."""
    position = np.clip(tone, 0, 1) * (len(colors) - 1)
    low = np.minimum(position.astype(int), len(colors) - 2)
    return mix(colors[low], colors[low + 1], position - low)


def jitter(rng, colors, amount):
    """Each color a little off, in lightness most of all."""
    lightness = rng.normal(0, amount, (len(colors), 1))
    return np.clip(colors + lightness + rng.normal(0, amount / 3, colors.shape), 0, 1)


def smoothstep(low, high, value):
    """0 below low, 1 above high, and a soft S between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def arch(t):
    """A half wave: 0 at t = 0 and at t = 1, 1 between, 0 outside."""
    return np.clip(np.sin(np.pi * np.clip(t, 0, 1)), 0, 1)


def lit(image, height, strength):
    """The image with its height map lit from the upper left, as thick paint or a raised tile is."""
    down, across = np.gradient(height)
    slope = np.clip((across + down) * strength, -1, 1)
    shade = 1 + np.where(slope > 0, 0.42, 0.5) * slope
    return image * shade[..., None] + 0.10 * np.clip(slope, 0, 1)[..., None] ** 2


def spline(points, count):
    """A smooth curve through the points."""
    points = np.asarray(points, float)
    knots = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1)))])
    return make_interp_spline(knots, points, k=3, bc_type="natural")(np.linspace(0, knots[-1], count))


def circle(center, radius, count=72):
    angles = np.linspace(0, TAU, count, endpoint=False)
    return np.asarray(center) + radius * np.stack([np.cos(angles), np.sin(angles)], -1)


def box(x, y, wide, high):
    """The corners of a rectangle, clockwise as seen, from its upper left one (x, y)."""
    return np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)])


def turn(points, angle):
    """Points turned around the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


# ---------------------------------------------------------------------------------- 1. flow_strokes

SKY, HALO, DISC, PEAKS, HILLS, WOOD, RIVER, FIELD = range(8)
NIGHT = {  # each region's colors, from dark to light
    SKY: rgb("0a1238", "12256a", "1d479b", "2f74b8", "5aa7c6", "a5d6cf", "e9edc0"),
    HALO: rgb("2f74b8", "7fb8b8", "e3c766", "f8e49a", "fff4c8"),
    DISC: rgb("ee9a27", "f9c440", "fde486", "fffbe0"),
    PEAKS: rgb("171a4d", "2a3480", "4557a5", "7d86c4"),
    HILLS: rgb("0c2a3a", "12504f", "2a7a5b", "78a24e", "c3c65a"),
    WOOD: rgb("081c26", "0f3a38", "1f6045", "5d9445", "b8c457"),
    RIVER: rgb("10215c", "1c4a94", "3a8cba", "a9d4bf", "fbe08a"),
    FIELD: rgb("3a1f3f", "7f3a1c", "c2701f", "e8a233", "f6cf5a", "fdeaa0"),
}
SPARKS = {  # a few strokes of another color keep a large area alive
    SKY: rgb("f3d98b", "8a86c9"),
    PEAKS: rgb("c58fb4", "86b9c9"),
    HILLS: rgb("e8a33a", "2b4f8f"),
    FIELD: rgb("c8352b", "5f8f3f"),
}
LIGHTS = [  # moon and stars: x, y, radius, sense in which the air turns around them
    (0.715, 0.175, 0.072, 1),
    (0.170, 0.120, 0.036, -1),
    (0.395, 0.235, 0.046, 1),
    (0.520, 0.070, 0.022, -1),
    (0.930, 0.080, 0.026, -1),
    (0.905, 0.330, 0.022, 1),
    (0.055, 0.310, 0.024, 1),
    (0.300, 0.055, 0.015, 1),
]
EDDIES = [(0.555, 0.335, 0.115), (0.235, 0.325, 0.090), (0.770, 0.370, -0.070)]  # x, y, reach and sense
TREES = [
    (0.070, 0.520, 0.040),
    (0.125, 0.545, 0.030),
    (0.345, 0.500, 0.026),
    (0.620, 0.515, 0.032),
    (0.665, 0.535, 0.024),
    (0.860, 0.500, 0.034),
    (0.915, 0.525, 0.046),
    (0.965, 0.560, 0.035),
]
COATS = [  # from underpainting to highlights: length, width, how far tones stray, spacing in widths
    (0.085, 0.0200, 0.06, 0.75),
    (0.065, 0.0125, 0.10, 0.60),
    (0.042, 0.0085, 0.13, 0.85),
]


class Plan:
    """What a painter knows before the first stroke: each pixel's region, tone, and direction of the brush."""

    def __init__(self, canvas):
        self.canvas = canvas
        self.region = np.zeros(canvas.shape, int)
        self.tone, self.angle = np.zeros((2, *canvas.shape), np.float32)

    def cover(self, where, region, tone, angle):
        self.region[where] = region
        self.tone[where] = np.broadcast_to(tone, where.shape)[where]
        self.angle[where] = np.broadcast_to(angle, where.shape)[where]


def night_sky(plan, rng):
    """Air that streams past whirls: strokes follow the stream lines, and so do bands of light and dark."""
    canvas, x, y = plan.canvas, plan.canvas.x, plan.canvas.y
    drift = canvas.noise(rng, 3, 3)
    waver = 0.030 * np.sin(TAU * 1.4 * x + 1) + 0.018 * np.sin(TAU * 2.9 * x - 7 * y)
    stream = 0.22 * (y + waver) + 0.0035 * drift
    for cx, cy, radius, sense in LIGHTS:
        reach = 2.1 * radius + 0.022
        stream += sense * 0.16 * reach * np.exp(-((canvas.distance(cx, cy) / reach) ** 2))
    for cx, cy, reach in EDDIES:
        stream -= 0.19 * reach * np.exp(-((canvas.distance(cx, cy) / reach) ** 2))
    down, across = np.gradient(stream)
    tone = 0.41 + 0.35 * y - 0.23 * np.cos(TAU * stream * 30) + 0.05 * drift
    plan.cover(x >= 0, SKY, tone, np.arctan2(-across, down))


def lamps(plan):
    """The moon and the stars in rings of light that fade into the sky."""
    canvas = plan.canvas
    for cx, cy, radius, sense in LIGHTS:
        d = canvas.distance(cx, cy)
        rings = 0.5 + 0.5 * np.cos(TAU * d / (0.030 + 0.1 * radius))
        glow = np.exp(-(((d - radius) / (1.5 * radius)) ** 2))
        plan.tone += glow * (d > radius) * (0.70 + 0.35 * rings - plan.tone)
        around = np.arctan2(canvas.y - cy, canvas.x - cx) + sense * np.pi / 2
        plan.cover(d < 1.75 * radius, HALO, 0.95 + 0.55 * rings - 0.5 * d / radius, around)
        plan.cover(d < radius, DISC, 1.05 - 0.75 * d / radius, around)


def land(plan, rng):
    """Far mountains, wooded hills, a river that carries the lights, and a golden field in front."""
    canvas, x, y = plan.canvas, plan.canvas.x, plan.canvas.y
    bands = canvas.noise(rng, 5, 3)
    peaks = 0.435 - 0.045 * np.sin(5.2 * x + 0.6) - 0.018 * np.sin(13 * x + 2)
    slope = np.arctan(np.gradient(peaks[0], 1 / canvas.unit))
    plan.cover(y > peaks, PEAKS, 0.85 - 7 * (y - peaks) + 0.10 * bands, slope + 0.9 * np.sin(9 * x + 18 * y))

    hills = 0.500 + 0.030 * np.sin(6.5 * x + 2.6) + 0.010 * np.sin(15 * x)
    slope = np.arctan(np.gradient(hills[0], 1 / canvas.unit))
    rows = np.sin(TAU * (y - hills) * 26 + 3 * np.sin(8 * x))
    tone = 0.78 - 2.9 * (y - hills) + 0.17 * rows + 0.06 * bands
    plan.cover(y > hills, HILLS, tone, slope + 0.35 * np.sin(14 * x))
    for cx, cy, radius in TREES:
        crown = canvas.distance(cx, cy) + 0.1 * radius * bands < radius
        toward_moon = ((x - cx) * 0.5 - (y - cy)) / radius
        plan.cover(crown, WOOD, 0.38 + 0.42 * toward_moon, np.arctan2(y - cy, x - cx) + np.pi / 2 + 0.5)

    below = np.clip(y - hills - 0.004, 0, 1)  # how far below the crest of the hills
    bed = 0.53 + 0.060 * np.sin(46 * below + 2.4) - 0.55 * below
    gleam = np.cos(TAU * 26 * (y + 0.008 * bands)) * np.exp(-(((x - bed) / 0.06) ** 2))
    river = (below > 0) & (np.abs(x - bed) < 0.004 + 0.36 * below)
    plan.cover(river, RIVER, 0.45 + 0.42 * gleam + 0.1 * bands, 0.12 * np.sin(60 * y + 9 * x))

    field = 0.610 + 0.050 * np.cos(4.4 * x - 1.1) + 0.010 * np.sin(30 * x)
    ray = np.arctan2(y - 0.36, x - 0.52)  # the rows of corn run toward one far point
    tone = 0.72 + 0.30 * np.sin(30 * ray + 0.9 * bands) + 0.13 * bands - 1.7 * (y - field)
    plan.cover(y > field, FIELD, tone, ray + 0.55 * np.sin(7 * x + 5 * y) + 0.12 * bands)


class Paint:
    """Wet paint: its color and its thickness, which the light will show."""

    def __init__(self, canvas, ground):
        self.canvas = canvas
        self.color = np.broadcast_to(ground, (*canvas.shape, 3)).astype(np.float32)
        self.height = np.zeros(canvas.shape, np.float32)

    def put(self, places, keep, color, height):
        """Cover what lies at the places; where places repeat, the last one wins, as the last stroke does."""
        rows, columns, inside = self.canvas.index(places)
        keep = keep & inside
        rows, columns = rows[keep], columns[keep]
        self.color[rows, columns] = np.broadcast_to(color, (*keep.shape, 3))[keep]
        above = np.broadcast_to(height, keep.shape)[keep]
        self.height[rows, columns] = 0.3 * self.height[rows, columns] + above

    def seen(self, strength):
        return lit(self.color, ndimage.gaussian_filter(self.height, 0.7), strength)


def trace(plan, starts, lengths, steps):
    """Paths along the plan's directions (strokes × steps × 2), and the direction at every step."""
    points, angles, point = [], [], starts
    for _ in range(steps):
        angle = plan.canvas.sample(plan.angle, point)
        points.append(point)
        angles.append(angle)
        point = point + np.stack([np.cos(angle), np.sin(angle)], -1) * (lengths / steps)[:, None]
    return np.stack(points, 1), np.stack(angles, 1)


def brush(paint, plan, starts, colors, length, width, rng):
    """Strokes, each with a path of its own. Each hair mixes the stroke's two colors in its own way."""
    unit, count = plan.canvas.unit, len(starts)
    steps, hairs = int(length * unit * 1.5) + 2, int(width * unit * 1.6) + 2  # dense enough to leave no holes
    path, angles = trace(plan, starts, length * rng.uniform(0.55, 1.0, count), steps)
    region = plan.canvas.sample(plan.region, path)
    inside = np.cumprod(region == region[:, :1], 1).astype(bool)  # a stroke ends where another thing begins

    along, across = np.linspace(0, 1, steps)[:, None], np.linspace(-1, 1, hairs)
    hair = ndimage.gaussian_filter1d(rng.standard_normal((count, 1, hairs)), 0.9) * 1.6
    belly = np.sqrt(np.clip(1 - (2 * along - 1) ** 4, 0.02, 1))  # a stroke narrows toward both ends
    normal = np.stack([-np.sin(angles), np.cos(angles)], -1)
    places = path[:, :, None] + normal[:, :, None] * (width / 2 * across * belly)[..., None]
    lift, touch = 0.20 * rng.random((count, 1, hairs)), 0.08 * rng.random((count, 1, hairs))
    wet = (along > touch) & (along < 1 - lift)  # not all hairs touch down and lift off together

    color = mix(colors[:, None, None, 0], colors[:, None, None, 1], np.clip(0.5 + 0.45 * hair, 0, 1))
    color = color * (1 + 0.05 * hair[..., None])
    body = (1 - 0.6 * across**4 + 0.28 * hair) * (0.55 + 0.45 * np.sin(np.pi * along**0.7))
    paint.put(places, wet & inside[..., None], color, body)


def stroke_colors(plan, starts, spread, fine, rng):
    """Two neighboring colors for each stroke, near the plan's tone."""
    region = plan.canvas.sample(plan.region, starts)
    tone = plan.canvas.sample(plan.tone, starts) + rng.normal(0, spread, len(starts))
    tones = np.stack([tone - 0.07, tone + 0.09], -1)
    odd = rng.random(len(starts)) < (0.035 if fine else 0)
    colors = np.zeros((len(starts), 2, 3), np.float32)
    for kind, scale in NIGHT.items():
        colors[region == kind] = ramp(tones[region == kind], scale)
        if kind in SPARKS:
            some = odd & (region == kind)
            colors[some] = SPARKS[kind][rng.integers(2, size=(some.sum(), 1))]
    return colors


def flow_strokes(canvas, rng):
    """Thick strokes of a loaded brush along a swirling night sky, with lamps of moon and stars."""
    plan = Plan(canvas)
    night_sky(plan, rng)
    lamps(plan)
    land(plan, rng)
    paint = Paint(canvas, rgb("0a1238"))
    for kind, scale in NIGHT.items():  # a dark ground, which shows wherever strokes leave gaps
        paint.color[plan.region == kind] = 0.8 * ramp(plan.tone[plan.region == kind] - 0.15, scale)
    for length, width, spread, spacing in COATS:
        starts = canvas.scatter(rng, max(width * spacing, 2.5 / canvas.unit))
        if length > 0.08:  # the longest strokes are too coarse for small round things
            starts = starts[~np.isin(canvas.sample(plan.region, starts), [HALO, DISC, WOOD])]
        colors = stroke_colors(plan, starts, spread, width < 0.018, rng)
        for low in range(0, len(starts), 400):  # a few at a time, to keep memory small
            some = slice(low, low + 400)
            brush(paint, plan, starts[some], colors[some], length, width, rng)
    return paint.seen(1.1)


# ----------------------------------------------------------------------------------------- 2. waves

PRINT = palette(
    line="14264d",
    dark="1f3f7a",
    blue="3a6ea5",
    light="86b3c6",
    pale="c3dcd8",
    foam="f5efdc",
    sand="ead9ae",
    glow="eea86b",
    red="c9402b",
)

# A curling wave in its own coordinates (y up): its back and its hollow face, from the water to the tip.
BACK = np.column_stack(
    [
        (-2.30, -1.30, -0.80, -0.45, -0.12, 0.28, 0.62, 0.80),
        (-0.55, 0.00, 0.28, 0.60, 0.90, 1.04, 0.95, 0.68),
    ]
)
FACE = np.column_stack(
    [
        (1.90, 1.15, 0.66, 0.30, 0.10, 0.08, 0.24, 0.50, 0.80),
        (-0.30, -0.14, 0.00, 0.15, 0.36, 0.58, 0.76, 0.80, 0.68),
    ]
)
FANS = {1.0: "line", 0.94: "foam", 0.84: "dark", 0.66: "light", 0.54: "blue", 0.34: "pale", 0.22: "dark"}
MISTS = [  # bars of mist: x, y, width, half their height
    (0.80, 0.225, 0.30, 0.013),
    (0.90, 0.258, 0.22, 0.012),
    (0.93, 0.075, 0.24, 0.013),
    (0.86, 0.102, 0.16, 0.010),
    (0.10, 0.100, 0.26, 0.014),
    (0.17, 0.130, 0.16, 0.010),
]


class Block:
    """Flat shapes with outlines, as printed from carved blocks."""

    def __init__(self, canvas, image, line=0.0032):
        self.canvas, self.line = canvas, line
        self.image = Image.fromarray(np.round(image * 255).astype(np.uint8))
        self.draw = ImageDraw.Draw(self.image)

    def ink(self, name):
        return tuple(np.round(PRINT[name] * 255).astype(int).tolist())

    def shape(self, points, ink, outline=True):
        """Fill a polygon with an ink, or with a picture of graded color."""
        if isinstance(ink, str):
            self.draw.polygon(self.canvas.pixels(points), fill=self.ink(ink))
        else:
            graded = Image.fromarray(np.round(ink * 255).astype(np.uint8))
            self.image.paste(graded, mask=Image.fromarray(self.canvas.mask(points)))
        if outline:
            self.stroke(np.vstack([points, points[:1]]))

    def stroke(self, points, width=None, ink="line"):
        pen = max(1, round((width or self.line) * self.canvas.unit))
        self.draw.line(self.canvas.pixels(points), fill=self.ink(ink), width=pen, joint="curve")

    def discs(self, discs, ink="foam", outline=True):
        """Overlapping discs (x, y, radius) that share one outline."""
        for grow, name in [(self.line, "line"), (0, ink)] if outline else [(0, ink)]:
            for x, y, radius in discs:
                r = radius + grow
                corners = np.array([x - r, y - r, x + r, y + r]) * self.canvas.unit
                self.draw.ellipse(corners.tolist(), fill=self.ink(name))


def claw(rng, start, angle, radius, curl, depth):
    """A finger of foam as discs: it tapers, curls, and splits into smaller fingers."""
    discs, position = [], start
    for step in range(18):
        discs.append((*position, radius * (1 - step / 26)))
        angle += curl / 18
        position = position + 0.26 * radius * np.array([np.cos(angle), np.sin(angle)])
    for side in (-0.8, 0.5) if depth else ():
        discs += claw(rng, position, angle + side + rng.normal(0, 0.12), 0.52 * radius, 0.9 * curl, depth - 1)
    return discs


def crest(rng, back, face):
    """Foam as discs: a thread on the wave's back that widens to the whole tip, and a hem along the lip."""
    discs = []
    for t in np.linspace(0, 1, 60):
        k = int(110 + 126 * t)
        for share in np.linspace(0, 1, 5) * (0.02 + 0.98 * smoothstep(0.35, 0.95, t)):
            place = back[k] + (face[k] - back[k]) * share
            discs.append((*place, rng.uniform(0.55, 1) * (0.012 + 0.026 * t**0.7)))
    for k in np.linspace(150, 236, 40).astype(int):
        discs.append((*face[k], rng.uniform(0.016, 0.028)))
    return discs


def wave(block, rng, foot, size, facing, stripes):
    """One curling wave: striped body, claws that hang from its lip, foam, and spray before it."""

    def place(points):
        return np.asarray(foot) + size * np.asarray(points) * [facing, -1]

    def foam(discs):
        return [(*place((x, y)), r * size) for x, y, r in discs]

    back, face = spline(BACK, 240), spline(FACE, 240)
    block.shape(place(np.vstack([back, face[::-1]])), "blue")
    for number in range(stripes):
        low, high = (number + np.array([0.05, 0.60]) + rng.uniform(0, 0.15, 2)) / stripes
        stripe = np.vstack([back + (face - back) * low, (back + (face - back) * high)[::-1]])
        block.shape(place(stripe), ["dark", "pale", "dark", "light"][number % 4], outline=False)
    block.stroke(place(back))
    block.stroke(place(face))

    for t in np.linspace(0, 1, 15):  # the hindmost claw first, so that each overlaps the one behind it
        radius = (0.0176 + 0.0143 * t) * rng.uniform(0.85, 1.15)
        angle = -1.75 + 1.05 * t + rng.normal(0, 0.12)
        block.discs(foam(claw(rng, face[int(160 + 76 * t)], angle, radius, -1.0, 2)))
    discs = crest(rng, back, face)
    block.discs(foam(discs))
    for number in rng.permutation(len(discs))[: len(discs) // 2]:  # a curl of shade here and there
        x, y, r = discs[number]
        if r > 0.018:
            block.discs(foam([(x, y, 0.62 * r)]), "light", outline=False)
            block.discs(foam([(x - 0.12 * r, y + 0.22 * r, 0.58 * r)]), "foam", outline=False)
    spray = rng.normal([0.96, 0.66], [0.11, 0.17], (46, 2))
    block.discs(foam([(*point, 0.004 + 0.014 * rng.random() ** 2) for point in spray]))


def scallops(block, top, radius):
    """Rows of overlapping fans, the old pattern of a calm sea."""
    for row in range(int((block.canvas.bottom - top) / (0.5 * radius)) + 1):
        for x in np.arange(-radius * (row % 2), 1.1, 2 * radius):
            for share, ink in FANS.items():
                block.discs([(x, top + (0.5 * row + 1) * radius, share * radius)], ink, outline=False)


def swell(block, rng, height, inks, phase):
    """A low wave across the foot of the print: lines that follow its back, and hems of foam."""
    x = np.linspace(-0.05, 1.05, 240)
    for number, ink in enumerate(inks):
        y = height + 0.023 * number + 0.010 * np.sin(TAU * 3.1 * x + 2 * phase + 0.1 * number)
        y += 0.030 * (1 - 0.10 * number) * np.sin(TAU * 1.3 * x + phase + 0.22 * number)
        top = np.stack([x, y], -1)
        foamy = number % 4 == 0
        block.shape(np.vstack([top, [(1.05, 1), (-0.05, 1)]]), ink, outline=foamy)
        if not foamy:
            block.stroke(top, 0.0014)
            continue
        hem = [(u, v, rng.uniform(0.004, 0.012) * (0.6 + 0.4 * np.sin(40 * u))) for u, v in top[::2]]
        drops = [(u, v + rng.uniform(0.012, 0.020), rng.uniform(0.0015, 0.004)) for u, v in top[::4]]
        block.discs(hem + drops)
        for shift, ink in [(0.25, "light"), (-0.05, "foam")]:
            curls = [(u - 0.1 * r, v + shift * r, 0.6 * r) for u, v, r in hem if r > 0.007]
            block.discs(curls, ink, outline=False)


def mist(block, x, y, width, thick):
    """A bar of mist with round ends."""
    end = circle((0, 0), thick, 60)
    left, right = (x - width / 2, y), (x + width / 2, y)
    block.shape(np.vstack([end[15:46] + left, end[45:] + right, end[:16] + right]), "foam")


def seal(block, rng, x, y):
    """A red stamp with marks that mean nothing."""
    block.shape(box(x, y, 0.044, 0.084), "red", outline=False)
    for row in range(4):
        for column in range(2):
            corner = np.array([x + 0.006 + 0.018 * column, y + 0.006 + 0.019 * row])
            knots = rng.integers(0, 3, (4, 2)) * [0.007, 0.0065]
            for a, b in zip(knots, np.roll(knots, 1, 0), strict=True):
                block.stroke(corner + np.array([a, (a[0], b[1])]), 0.0022, "foam")


def printed(canvas, image, rng):
    """The print on its paper: wood grain in the ink, fibers, and specks that took no ink."""
    grain = canvas.noise(rng, 110, 2, (14, 1)) * 0.022 + canvas.noise(rng, 6, 3) * 0.018
    fibers = canvas.noise(rng, 200, 1) * 0.016 + canvas.noise(rng, 60, 2, (1, 4)) * 0.010
    specks = smoothstep(2.1, 3.0, canvas.noise(rng, 260, 2)) * 0.35
    return mix(image * (1 + grain + fibers)[..., None], PRINT["foam"], specks)


def waves(canvas, rng):
    """A woodblock print: two curling waves, a red sun in mist, a patterned sea, and a seal."""
    hues = [PRINT[name] for name in ("dark", "blue", "light", "sand", "sand", "glow", "glow")]
    block = Block(canvas, ramp(canvas.y / 0.46, np.stack(hues)))
    sun = ramp((canvas.y - 0.10) / 0.24, np.stack([PRINT["red"], PRINT["red"], PRINT["glow"]]))
    block.shape(circle((0.80, 0.205), 0.105, 160), sun)
    for bar in MISTS:
        mist(block, *bar)
    scallops(block, 0.43, 0.034)
    wave(block, rng, (0.98, 0.60), 0.30, -1, 7)
    wave(block, rng, (0.25, 0.64), 0.56, 1, 11)
    swell(block, rng, 0.60, ["blue", "dark", "light", "blue", "dark", "blue", "pale", "dark"], 2.4)
    seal(block, rng, 0.022, 0.160)
    return printed(canvas, np.asarray(block.image, np.float32) / 255, rng)


# --------------------------------------------------------------------------------- 3. stained_glass

GLASS = {
    "deep": rgb("0d1f66", "15338f", "1c4fb4", "112a78", "2a2a80"),
    "sky": rgb("2f7fd0", "4aa3dc", "2a6cc0", "62bcd8"),
    "ruby": rgb("a80f1e", "c8202a", "8c0d26", "d8402c"),
    "gold": rgb("f4b02a", "f8cf55", "eb9420", "fbe08c"),
    "leaf": rgb("12784e", "2a9a58", "0f6458", "6fb544"),
    "violet": rgb("5a2590", "7a3aa8", "46207c", "9a4aa0"),
    "pearl": rgb("f6ecd0", "e8eede", "f9f2dc", "dfe8ea"),
}


class Window:
    """A drawing in glass: each pixel's zone (set off by thick lead), its piece in the zone, its glass."""

    def __init__(self, canvas):
        self.canvas = canvas
        self.zone, self.piece, self.kind = np.zeros((3, *canvas.shape), int)
        self.zones = 0

    def cut(self, where, piece, glass):
        """A new zone. Numbers divide it into pieces; the glass is one name, or a name for every pixel."""
        self.zones += 1
        self.zone[where] = self.zones
        self.piece[where] = np.broadcast_to(piece, where.shape)[where]
        names = np.broadcast_to(glass, where.shape)[where]
        self.kind[where] = np.select([names == name for name in GLASS], range(len(GLASS)))

    def pieces(self):
        """All pieces numbered through, and the kind of glass of each number."""
        together = (self.zone * 10_000 + self.piece) * len(GLASS) + self.kind
        numbers, piece = np.unique(together, return_inverse=True)
        return piece.reshape(self.zone.shape), numbers % len(GLASS)


def pick(number, *names):
    """The names in turn, per pixel."""
    return np.array(names)[np.asarray(number).astype(int) % len(names)]


def roundel(window, center, radius, rim, petals, heart):
    """A small round window: a rim, eight petals, and a heart."""
    fold = window.canvas.fold(center, 8)
    window.cut(fold.radius < radius, fold.sector, rim)
    half = 0.42 * radius * arch((fold.along / radius - 0.2) / 0.66)
    window.cut(np.abs(fold.side) < half, fold.sector, petals)
    window.cut(fold.radius < 0.30 * radius, 0, heart)


def leaves(window, center):
    """Twelve long leaves, each with a border, ribs and a spine, on a ground of blue."""
    fold = window.canvas.fold(center, 12)
    band, side = (fold.radius / 0.036).astype(int), np.abs(fold.side)
    window.cut(fold.radius < 0.408, fold.sector * 40 + band, pick(band, "deep", "sky", "deep", "violet"))
    half = 0.088 * arch(np.clip((fold.along - 0.150) / 0.250, 0, 1) ** 1.25) ** 0.85
    rib = ((fold.along - 0.75 * side) / 0.030).astype(int) + 10
    pane = fold.sector * 90 + rib * 2 + (fold.side > 0)
    window.cut(side < half, pane, pick(fold.sector, "ruby", "gold"))
    warm, cool = pick(rib, "gold", "gold", "pearl"), pick(rib, "ruby", "ruby", "violet")
    window.cut(side < half * 0.72 - 0.004, pane, np.where(fold.sector % 2, cool, warm))
    window.cut(side < half * 0.28 - 0.003, fold.sector * 90 + rib, pick(fold.sector, "leaf", "sky"))


def heart(window, center):
    """The middle of the rose: two rings, eight petals, and a white eye."""
    fold = window.canvas.fold(center, 24)
    window.cut(fold.radius < 0.176, fold.sector, pick(fold.sector, "gold", "ruby"))
    window.cut(fold.radius < 0.152, fold.sector, pick(fold.sector, "deep", "sky", "violet"))
    fold = window.canvas.fold(center, 8)
    side, half = np.abs(fold.side), 0.050 * arch(np.clip(fold.along / 0.150, 0, 1) ** 1.2)
    band = ((fold.along - side) / 0.032).astype(int) + 10
    window.cut(side < half, fold.sector * 30 + band, pick(fold.sector, "gold", "pearl"))
    band = (fold.along / 0.05).astype(int) + 10
    window.cut(side < half * 0.5, fold.sector * 30 + band, pick(fold.sector, "ruby", "sky"))
    window.cut(fold.radius < 0.040, window.canvas.fold(center, 6).sector, "leaf")
    window.cut(fold.radius < 0.022, 0, "pearl")


def rose(canvas, rng):
    """Draw the rose window: grounds first, then ever finer tracery on top."""
    window, center = Window(canvas), (0.5, 0.5)
    bend = np.stack([canvas.noise(rng, 6, 2), canvas.noise(rng, 6, 2)], -1) * 0.006
    _, cell = cKDTree(canvas.scatter(rng, 0.052)).query(canvas.places + bend)  # nearest site: Voronoi cells
    some = cell * 7 % 11  # cells are numbered in no order of place, so this sorts them into a mixture
    window.cut(canvas.x >= 0, cell, pick(some, *["deep"] * 6, "sky", "violet", "sky", "violet", "leaf"))
    fold = canvas.fold(center, 60)
    window.cut(fold.radius < 0.497, fold.sector, pick(fold.sector, "ruby", "ruby", "gold", "violet", "gold"))
    fold = canvas.fold(center, 24)
    window.cut(fold.radius < 0.470, fold.sector * 9 + cell % 9, pick(cell, "deep", "sky", "deep", "deep"))
    bead, quarter = np.hypot(fold.along - 0.439, fold.side), (fold.side > 0) * 2 + (fold.along > 0.439)
    window.cut(bead < 0.0235, fold.sector * 4 + quarter, pick(fold.sector, "ruby", "leaf"))
    window.cut(bead < 0.0115, fold.sector, "gold")
    leaves(window, center)
    for number, spot in enumerate(circle(center, 0.352, 12)):
        roundel(window, spot, 0.047, *[("violet", "pearl", "ruby"), ("leaf", "pearl", "gold")][number % 2])
    heart(window, center)
    for spot in box(0.075, 0.075, 0.85, 0.85):
        roundel(window, spot, 0.062, "ruby", "gold", "sky")
    return window


def stained_glass(canvas, rng):
    """A rose window with the sun behind it: pieces of streaked glass held by lead."""
    window = rose(canvas, rng)
    piece, kinds = window.pieces()
    shades = list(GLASS.values())
    tints = jitter(rng, np.array([rng.choice(shades[kind]) for kind in kinds]), 0.045)
    thin, thick = canvas.border_distance(piece), canvas.border_distance(window.zone)

    streaks = np.stack([canvas.noise(rng, 26, 3, stretch) for stretch in [(5, 1), (1, 5), (2, 2)]])
    streak = np.take_along_axis(streaks, (piece % 3)[None], 0)[0]  # each piece was cut from some sheet
    light = 0.80 + 0.48 * np.exp(-((canvas.distance(0.42, 0.40) / 0.55) ** 2)) + 0.15 * streak
    light *= 0.62 + 0.44 * smoothstep(0, 0.016, thin)  # grime collects along the lead
    image = lit(tints[piece] * light[..., None], canvas.noise(rng, 75, 3) + 1.5 * streak, 1075 / canvas.unit)
    bubbles = (canvas.noise(rng, 120, 1) > 2.9).astype(np.float32)
    image += 0.22 * ndimage.gaussian_filter(bubbles, canvas.unit / 1500)[..., None]

    lead = np.maximum(0.0018 - thin, 0.0034 - thick) * canvas.unit
    back = ndimage.gaussian_filter(np.sqrt(np.clip(lead, 0, None)), 1.0)
    came = lit(np.full_like(image, rgb("14151c")), back, 1.6) + 0.03 * back[..., None]
    image = mix(image, came, smoothstep(-0.5, 0.7, lead))
    glow = ndimage.gaussian_filter(image, (canvas.unit / 110, canvas.unit / 110, 0))
    return image + 0.20 * glow * (1 - 0.5 * image)  # bright glass spills a little light over the lead


# ---------------------------------------------------------------------------------------- 4. points

PIGMENTS = np.stack(
    [
        *rgb("fff6df", "fbe58a", "f6c63a", "f0902e", "dd5030", "ef9d93"),  # white to rose
        *rgb("b23a63", "c9a8d6", "7c5fae", "2c2a72", "2a55b0", "5a93d6"),  # crimson to sky blue
        *rgb("a9d2ea", "3fa6a8", "14524a", "2c8a4e", "86b43c", "c9d65a"),  # pale blue to spring green
    ]
)
SHORE = 0.335
BOATS = [(0.235, 0.10), (0.440, 0.062), (0.075, 0.05)]  # x, size
HOUSES = [(0.300, 0.014), (0.345, 0.011), (0.560, 0.012), (0.160, 0.010)]
CROWNS = [  # masses of leaves: x, y, half width, half height
    (0.95, 0.03, 0.30, 0.15),
    (0.80, 0.11, 0.19, 0.11),
    (0.97, 0.22, 0.17, 0.13),
    (0.69, 0.05, 0.13, 0.07),
    (0.86, 0.27, 0.12, 0.07),
]


class Scene:
    """A plan for painting: areas of color laid over one another, with coordinates that may be bent."""

    def __init__(self, canvas):
        self.canvas, self.x, self.y = canvas, canvas.x, canvas.y
        self.color = np.zeros((*canvas.shape, 3), np.float32)

    def cover(self, share, color):
        self.color = mix(self.color, color, np.clip(share, 0, 1))

    def fill(self, inside, color, soft=0.004):
        """Cover where `inside` is positive, with a soft edge."""
        self.cover(smoothstep(-soft, soft, inside), color)


def blob(canvas, rng, x, y, wide, high, rough=0.18):
    """How far inside a leafy mass each pixel lies (negative outside)."""
    return 1 - np.hypot((canvas.x - x) / wide, (canvas.y - y) / high) + rough * canvas.noise(rng, 12, 3)


def far_shore(scene, rng):
    """Sky with clouds, hills, woods, houses and sails above the water line."""
    x, y = scene.x, scene.y
    scene.color = ramp(y / 0.33, rgb("4f8fd6", "7fb4e2", "b4d6ea", "f6e3c0", "f9c78e"))
    puffs = scene.canvas.sample(scene.canvas.noise(rng, 4, 4, (2.2, 1)), np.stack([x, y], -1))
    scene.cover(smoothstep(0.2, 1.1, puffs + np.sin(np.pi * y / 0.34) - 1.25), rgb("fff3dc"))
    scene.cover(0.75 * smoothstep(0.5, 1.6, puffs + 3 * y - 1), rgb("d3aed6"))
    ridge = 0.275 - 0.035 * np.sin(4.2 * x + 0.4) - 0.010 * np.sin(11 * x)
    scene.fill(y - ridge, ramp((y - ridge) / 0.07, rgb("8f8cc8", "a9a4d4", "cdbcd8")))
    woods = 0.312 - 0.014 * np.abs(np.sin(17 * x + 2 * np.sin(5 * x))) - 0.010 * np.sin(3 * x + 2)
    sun = 0.8 + 0.3 * np.sin(23 * x) - 12 * (y - woods)
    scene.fill(y - woods, ramp(sun, rgb("1f5a62", "2c8a5e", "8cb84a", "e8c452")))
    for cx, size in HOUSES:
        scene.fill(np.minimum(size - np.abs(x - cx), 0.8 * size - np.abs(y - 0.325)), rgb("fff0d2"), 0.002)
        roof = np.minimum(0.9 * size - 0.7 * np.abs(x - cx) - (0.318 - y), 0.3165 - y)
        scene.fill(roof, rgb("e0663a"), 0.002)
    for cx, size in BOATS:
        dx, up = (x - cx) / size, (SHORE - y) / size + 0.25
        main = np.minimum.reduce([dx + 0.02, 0.62 * (1 - up / 1.9) - dx, up - 0.15])
        jib = np.minimum.reduce([-dx - 0.04, 0.40 * (1 - up / 1.6) + dx, up - 0.18])
        scene.fill(main, rgb("fffbe8"), 0.03)
        scene.fill(jib, rgb("f7c9a0"), 0.03)


def lake(scene, rng):
    """Blue water over the reflections, and sparkles of the sun."""
    canvas, x, y = scene.canvas, scene.x, scene.y
    depth = (y - SHORE) / 0.3
    blue = ramp(depth + 0.12 * canvas.noise(rng, 30, 3, (5, 1)), rgb("8fc3dc", "4f94d0", "2a62b4", "2b4f9e"))
    scene.cover((depth > 0) * (0.45 + 0.25 * smoothstep(0, 1, depth)), blue)
    sparkle = canvas.noise(rng, 55, 2, (6, 1)) + 1.1 * np.exp(-(((x - 0.50) / 0.10) ** 2))
    scene.cover((depth > 0) * 0.9 * smoothstep(0.9, 1.8, sparkle), rgb("fff0b8"))
    for cx, size in BOATS:
        hull = np.hypot((x - cx) / (0.55 * size), (y - SHORE - 0.004 - 0.12 * size) / (0.12 * size))
        scene.fill(1 - hull, rgb("7a2f4a"), 0.1)


def meadow(scene, rng):
    """A sunlit bank with pools of violet shade."""
    canvas, x, y = scene.canvas, scene.x, scene.y
    bank = 0.640 - 0.115 * x**1.5 - 0.02 * np.sin(7 * x + 1)
    patches = canvas.noise(rng, 7, 3, (2.5, 1))
    scene.fill(y - bank + 0.012, rgb("d9b070"))
    sun = 0.72 + 0.16 * patches - 2.5 * (y - bank)
    scene.fill(y - bank, ramp(sun, rgb("3f8a44", "86b43c", "c4d254", "f2dc64", "fbe79a")))
    front = smoothstep(0.05, 0.35, 0.30 * patches + (y - 0.665 + 0.05 * np.sin(9 * x)) * 9)
    under_trees = smoothstep(0, 0.25, blob(canvas, rng, 0.74, 0.60, 0.25, 0.038, 0.25))
    shade = 0.93 * np.maximum(front, under_trees) * (y > bank)
    scene.cover(shade, ramp(0.5 + 0.24 * patches, rgb("2c2a72", "1c4a78", "1d5f56", "2f7f4a")))


def stroller(scene, x, foot, size, dress, shadow):
    """A figure in a long dress under a parasol, seen from behind."""
    dx, up = (scene.x - x) / size, (foot - scene.y) / size
    skirt = np.minimum.reduce([0.10 + 0.16 * np.clip(0.55 - up, 0, 1) - np.abs(dx), up, 0.78 - up])
    scene.fill(skirt, mix(rgb(dress), rgb(shadow), smoothstep(-0.08, 0.12, dx)), 0.02)
    scene.fill(0.062 - np.hypot(dx, up - 0.86), rgb("7a3a2a"), 0.02)
    parasol = np.minimum(0.30 - np.hypot(dx + 0.05, (up - 0.92) * 1.1), up - 0.95)
    scene.fill(parasol, mix(rgb("f6c63a"), rgb("dd5030"), smoothstep(-0.25, 0.10, dx)), 0.02)


def tall_trees(scene, rng):
    """Two trunks lit from the left, and layers of leaves."""
    canvas, x, y = scene.canvas, scene.x, scene.y
    for foot, lean, thick in [(0.845, 0.02, 0.021), (0.965, -0.03, 0.015)]:
        off = x - foot - lean * (0.6 - y)
        trunk = np.minimum(thick * (1 + 1.6 * smoothstep(0.55, 0.64, y)) - np.abs(off), 0.625 - y)
        scene.fill(trunk, mix(rgb("3a2358"), rgb("e58a4a"), 0.9 * smoothstep(0.3, -0.8, off / thick)))
    flicker = canvas.noise(rng, 24, 3)
    for cx, cy, wide, high in CROWNS:
        sun = 0.40 + 0.40 * ((cx - x) / wide - (y - cy) / high) + 0.16 * flicker
        leafage = ramp(sun, rgb("16264f", "14524a", "2c7a48", "86b43c", "dfd55a", "fbe58a"))
        scene.fill(blob(canvas, rng, cx, cy, wide, high), leafage, 0.05)


def lakeside(canvas, rng):
    """Late sun on a lake: sky and far shore, their reflection, a meadow, trees, two strollers."""
    scene = Scene(canvas)
    ripple = 0.006 * canvas.noise(rng, 40, 2, (6, 1)) * smoothstep(SHORE, 0.6, canvas.y)
    scene.x = canvas.x + ripple  # with y folded at the shore, the lake mirrors all that is drawn above it
    scene.y = np.where(canvas.y < SHORE, canvas.y, 2 * SHORE - canvas.y) + ripple
    far_shore(scene, rng)
    scene.x, scene.y = canvas.x, canvas.y
    lake(scene, rng)
    meadow(scene, rng)
    stroller(scene, 0.385, 0.676, 0.128, "f4ead8", "7d86c4")
    stroller(scene, 0.475, 0.690, 0.138, "b23a63", "4a2a6a")
    tall_trees(scene, rng)
    return scene.color


def divide(rng, wanted, spread):
    """For each wanted color a pure pigment, near ones more often: the eye mixes them again.

    Now and then it is a pigment near the opposite color, beside which the wanted one looks stronger.
    """
    gray = wanted.mean(-1, keepdims=True)
    opposed = rng.random((len(wanted), 1)) < 0.06
    wanted = np.where(opposed, gray - 1.3 * (wanted - gray), wanted)
    gap = ((wanted[:, None] - PIGMENTS) ** 2).sum(-1)
    return PIGMENTS[np.argmax(-gap / spread**2 + rng.gumbel(size=gap.shape), 1)]


def dab(paint, starts, colors, radius, rng):
    """Round dabs of paint, a little uneven, each laid over the earlier ones."""
    unit, count = paint.canvas.unit, len(starts)
    reach = np.arange(-int(radius * unit * 1.3) - 1, int(radius * unit * 1.3) + 2) / unit
    offsets = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
    slant, squeeze = rng.uniform(0, np.pi, (count, 1)), rng.uniform(0.72, 1.0, (count, 1))
    along = offsets[:, 0] * np.cos(slant) + offsets[:, 1] * np.sin(slant)
    across = (offsets[:, 1] * np.cos(slant) - offsets[:, 0] * np.sin(slant)) / squeeze
    share = np.hypot(along, across) / (radius * rng.uniform(0.75, 1.15, (count, 1)))
    paint.put(starts[:, None] + offsets, share < 1, colors[:, None], 1 - share**3)


def points(canvas, rng):
    """Pointillism: a sunlit lake in dots of pure color."""
    plan = lakeside(canvas, rng)
    paint = Paint(canvas, rgb("f3e3c0"))
    for radius, spread, spacing in [
        (0.0070, 0.10, 0.95),
        (0.0048, 0.20, 1.25),
        (0.0037, 0.24, 1.5),
        (0.0028, 0.20, 2.2),
    ]:
        starts = canvas.scatter(rng, max(radius * spacing, 1.5 / canvas.unit))
        colors = jitter(rng, divide(rng, canvas.sample(plan, starts), spread), 0.025)
        dab(paint, starts, colors, radius, rng)
    return paint.seen(0.5)


# -------------------------------------------------------------------------------------- 5. marbling
# Paint on water moves by exact formulas: a drop pushes everything outward, a tine drags what is near it.
# The picture is found backward: for each pixel, undo every move until the drop that colored it turns up.
# Places are complex numbers here, x + iy, because then to turn is to multiply.

INKS = rgb("182a5c", "f5e8cc", "1f6f86", "c23a30", "e6a83e", "f5e8cc", "7dbcb2", "6a1f3e")


def comb(angle, spacing, pull, sharpness):
    """Undo a row of tines, `spacing` apart, drawn through the paint in the direction `angle`."""
    along = np.complex64(np.exp(1j * angle))

    def undo(places):
        offset = (places * along.conj()).imag / spacing
        gap = np.abs(offset - np.round(offset)) * 2
        return places - along * (pull * np.exp(-sharpness * gap))

    return undo


def rake(angle, spacing, pull, phase=0.0):
    """Undo tines that are drawn forth and back in turn, which lays the paint in loops."""
    along = np.complex64(np.exp(1j * angle))

    def undo(places):
        offset = (places * along.conj()).imag / spacing
        return places - along * (pull * np.sin(TAU * (offset + phase)))

    return undo


def swirl(center, reach, twist):
    """Undo a stylus that was stirred around in one place."""

    def undo(places):
        arm = places - np.complex64(center)
        return center + arm * np.exp(-1j * twist * np.exp(-((np.abs(arm) / reach) ** 2))).astype(np.complex64)

    return undo


def drops(rng, place, radius, count, shrink):
    """Drops let fall on one place, each into the one before, in different inks."""
    inks = rng.permutation(len(INKS))
    return [(complex(*place), radius * shrink**number, inks[number]) for number in range(count)]


def marbling_moves(canvas, rng):
    """The marbler's work in order: drops as (center, radius, ink), and movements as functions."""
    moves = []
    for place in canvas.scatter(rng, 0.100):
        moves += drops(rng, place, rng.uniform(0.035, 0.065), rng.integers(2, 5), 0.76)
    moves += [rake(0.0, 0.21, 0.10), rake(np.pi / 2, 0.16, 0.06, 0.2)]
    moves += [comb(np.pi / 2, 0.036, 0.075, 2.5), rake(0.0, 0.47, 0.05, 0.1)]
    moves += [swirl(0.25 + 0.24j, 0.150, 2.3), swirl(0.60 + 0.47j, 0.175, -2.5)]
    moves += [swirl(0.21 + 0.74j, 0.140, 2.2), swirl(0.66 + 0.88j, 0.100, 2.2)]
    moves += [swirl(0.68 + 0.10j, 0.095, -2.0)]
    for place in canvas.scatter(rng, 0.13):  # a last sprinkling, left as small round stones
        if rng.random() < 0.5:
            moves += drops(rng, place, rng.uniform(0.006, 0.014), 3, 0.68)
    return moves


def marbling(canvas, rng):
    """Turkish marbled paper (ebru): drops of ink on water, raked, combed and stirred."""
    moves = marbling_moves(canvas, rng)
    places = (canvas.x + 1j * canvas.y).astype(np.complex64).ravel()
    index = np.arange(places.size)  # the pixels whose drop is still to be found
    ink, depth = np.zeros(places.size, int), np.full(places.size, 0.5, np.float32)
    for move in reversed(moves):
        if callable(move):
            places = move(places)
            continue
        center, radius, color = move
        arm = places - np.complex64(center)
        share = (arm.real**2 + arm.imag**2) / np.float32(radius**2)
        hit = share < 1
        ink[index[hit]], depth[index[hit]] = color, share[hit]
        index, arm, share = index[~hit], arm[~hit], share[~hit]
        places = center + arm * np.sqrt(1 - 1 / share)
    pooled = depth.reshape(canvas.shape) ** 4  # pigment collects toward the rim of a drop
    tooth = 0.020 * canvas.noise(rng, 170, 2) + 0.022 * canvas.noise(rng, 5, 3)
    return INKS[ink].reshape(*canvas.shape, 3) * (1.05 - 0.20 * pooled + tooth)[..., None]


# ---------------------------------------------------------------------------------------- 6. mosaic

STONES = palette(
    cream="f2e6c9",
    gold="e2a93a",
    clay="cc5f34",
    wine="7d2428",
    rose="e3a58c",
    teal="23757f",
    aqua="86c0b6",
    indigo="1d3060",
    night="1b1a2c",
    olive="73883c",
)
SMALL, LARGE = 0.0098, 0.0125  # the width of a stone


class Pavement:
    """A drawing in stone: each cut starts a new region, whose border the rows of stones will follow."""

    def __init__(self, canvas):
        self.canvas = canvas
        self.region, self.regions = np.zeros(canvas.shape, int), 0
        self.color = np.zeros((*canvas.shape, 3), np.float32)
        self.size = np.full(canvas.shape, SMALL)

    def cut(self, where, stone, size=SMALL):
        self.regions += 1
        self.region[where], self.color[where], self.size[where] = self.regions, STONES[stone], size


def sea(pavement):
    """A round pool whose water turns in spiral arms."""
    canvas = pavement.canvas
    radius, angle = canvas.distance(0.5, 0.5), np.arctan2(canvas.y - 0.5, canvas.x - 0.5)
    for rim, stone in [(0.372, "wine"), (0.360, "cream"), (0.349, "indigo")]:
        pavement.cut(radius < rim, stone)
    arm = np.floor((angle / TAU + 0.75 * (radius / 0.33) ** 0.8) * 9)
    for number in np.unique(arm).astype(int):
        stone = ["teal", "aqua", "indigo"][number % 3]
        pavement.cut((radius < 0.338) & (arm == number), stone, LARGE)


def fish(pavement, heading, back, flank, belly, fins):
    """A fish that is bent around the center of the pool: head at along = 1, its back on the outside."""
    dx, dy = pavement.canvas.x - 0.5, pavement.canvas.y - 0.5
    along = ((np.arctan2(dy, dx) - heading + np.pi) % TAU - np.pi) / 1.02
    out = np.hypot(dx, dy) - 0.212
    taper = np.abs(along - 0.22) ** 2.1 / np.where(along < 0.22, 1.16, 0.80)
    half = np.where((along > -0.90) & (along < 1.02), 0.006 + 0.074 * np.clip(1 - taper, 0, 1) ** 0.8, 0)

    spread = 0.085 * np.clip((-0.72 - along) / 0.42, 0, 1) ** 0.8 - np.abs(out)
    tail = (along < -0.74) & (spread > 0) & (along > -1.18 + 0.9 * spread)
    back_fin, belly_fin = 0.036 * arch((along + 0.42) / 0.95) ** 0.6, 0.030 * arch((along + 0.30) / 0.45)
    upper = (out > 0) & (out < half + back_fin) & (np.abs(along - 0.05) < 0.47)
    lower = (out < 0) & (-out < half + belly_fin) & (np.abs(along + 0.07) < 0.22)
    rays = np.floor(along * 22 + out * 60) % 2 == 0
    pavement.cut(tail | upper | lower, fins[0])
    pavement.cut((tail | upper | lower) & rays, fins[1])

    pavement.cut(np.abs(out) < half, "night")  # what the body leaves free of this becomes its outline
    inner = np.where(along < 0.985, half - SMALL, 0)
    body, level = np.abs(out) < inner, out / np.maximum(inner, 1e-6)
    middle = body & (level > -0.42) & (level < 0.38)
    scales = (np.floor(along * 10 + 1.4 * level**2) % 2 == 0) & (along < 0.50) & (along > -0.7)
    pavement.cut(body, belly)
    pavement.cut(body & (level > -0.42), flank)
    pavement.cut(body & (level > 0.38), back)
    pavement.cut(middle & scales, belly)
    pavement.cut(body & (np.abs(along - 0.56 + 0.10 * level**2) < 0.022), "night")
    eye = np.hypot((along - 0.76) * 0.215, out - 0.012)
    for radius, stone in [(0.0200, "night"), (0.0135, "cream"), (0.0065, "night")]:
        pavement.cut(eye < radius, stone)


def flower(pavement, center, radius, ground, outline, petals, ring, middle):
    """A rosette of eight petals."""
    fold = pavement.canvas.fold(center, 8, 0.5)
    pavement.cut(fold.radius < radius, ground)
    half = 0.40 * radius * arch(np.clip(fold.along / (0.92 * radius), 0, 1) ** 1.3)
    pavement.cut(np.abs(fold.side) < half, outline)
    pavement.cut(np.abs(fold.side) < half - SMALL, petals)
    pavement.cut(fold.radius < 0.30 * radius, ring)
    pavement.cut(fold.radius < 0.14 * radius, middle)


def braid(pavement):
    """The border: two strands plaited around golden eyes between bands, and a flower in each corner."""
    x, y = pavement.canvas.x, pavement.canvas.y
    edge = np.minimum.reduce([x, 1 - x, y, 1 - y])
    for width, stone in [(1, "clay"), (0.128, "cream"), (0.118, "indigo"), (0.024, "cream"), (0.014, "wine")]:
        pavement.cut(edge < width, stone)
    along = np.where(np.minimum(y, 1 - y) < np.minimum(x, 1 - x), x, y)
    across = edge - 0.071
    phase = (along - 0.14) * 12.5  # the strands cross wherever this is whole
    steep = np.sqrt(1 + (0.0255 * np.pi * 12.5 * np.cos(np.pi * phase)) ** 2)
    side = (along > 0.125) & (along < 0.875) & (edge > 0.024) & (edge < 0.118)
    over = side & (np.round(phase) % 2 == 0)  # the first strand is on top at every other crossing
    for sign, core, part in [(1, "clay", side), (-1, "teal", side), (1, "clay", over)]:
        off = np.abs(across - sign * 0.0255 * np.sin(np.pi * phase)) / steep
        pavement.cut(part & (off < 0.0160), "cream")
        pavement.cut(part & (off < 0.0058), core)
    pavement.cut(side & (np.hypot((phase % 1 - 0.5) * 0.08, across) < 0.0085), "gold")
    for corner in box(0.071, 0.071, 0.858, 0.858):
        flower(pavement, corner, 0.047, "cream", "wine", "gold", "clay", "cream")


def spandrel(pavement, right, down):
    """A spray of leaves and a pomegranate in one corner between pool and border."""
    dx = 0.352 - right * (pavement.canvas.x - 0.5)
    dy = 0.352 - down * (pavement.canvas.y - 0.5)
    for angle, length in [(-0.02, 0.17), (np.pi / 2 + 0.02, 0.17), (0.35, 0.135), (np.pi / 2 - 0.35, 0.135)]:
        along, side = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        leaf = np.abs(side) < 0.020 * arch(along / length) ** 0.8
        pavement.cut(leaf, "olive")
        pavement.cut(leaf & (side > 0), "teal")
    for cx, cy, radius, stone in [
        (0.062, 0.062, 0.034, "wine"),
        (0.062, 0.062, 0.024, "clay"),
        (0.055, 0.070, 0.010, "rose"),
    ]:
        pavement.cut(np.hypot(dx - cx, dy - cy) < radius, stone)


def rows(pavement, size):
    """Stones in rows at even distances from the borders of the regions: rows of (x, y, angle, size)."""
    canvas, stones = pavement.canvas, []
    gap = canvas.border_distance(pavement.region)
    parts = label(pavement.region, connectivity=1)
    room = ndimage.maximum(gap, parts, np.arange(parts.max() + 1))[parts]
    scale = np.maximum(1, 0.6 * size / np.maximum(room, 1e-6))  # a narrow region must still get a row
    gap = np.where(pavement.size == size, ndimage.gaussian_filter(gap * scale, 1.0), np.nan)
    for level in np.arange(0.5, 40) * size:
        for path in find_contours(gap, level):
            path = (path[:, ::-1] + 0.5) / canvas.unit
            length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
            count = max(1, round(length[-1] / size))
            at = (np.arange(count) + 0.5) * length[-1] / count
            behind, here, ahead = (
                np.stack([np.interp(at + shift * size, length, side) for side in path.T], -1)
                for shift in (-0.3, 0, 0.3)
            )
            angle = np.arctan2(*(ahead - behind).T[::-1])
            stones.append(np.column_stack([here, angle, np.full(count, size)]))
    return np.concatenate(stones)


def fillers(pavement, stones):
    """Stones for the bare spots that the rows have left, the roomiest spots first."""
    canvas = pavement.canvas
    gap = ndimage.gaussian_filter(canvas.border_distance(pavement.region), 2.0)
    down, across = np.gradient(gap)
    bare = cKDTree(stones[:, :2]).query(canvas.places, distance_upper_bound=0.8 * SMALL)[0] > 0.70 * SMALL
    order = np.argsort(-gap[bare], kind="stable")
    angle = np.arctan2(across, -down)[bare]
    return np.column_stack([canvas.places[bare], angle, np.full(len(angle), SMALL)])[order]


def sift(stones):
    """The stones without those that lie too close to an earlier one."""
    keep, tree = np.ones(len(stones), bool), cKDTree(stones[:, :2])
    for number, (x, y, _, size) in enumerate(stones):
        if keep[number]:
            close = np.array(tree.query_ball_point((x, y), 0.74 * size))
            keep[close[close > number]] = False
    return stones[keep]


def bed(pavement, stones, rng):
    """Every pixel goes to the stone it is nearest to, measured squarely, or to the grout between stones."""
    canvas = pavement.canvas
    _, near = cKDTree(stones[:, :2]).query(canvas.places, k=4)
    centers, angle, size = stones[near, :2], stones[near, 2], stones[near, 3]
    dx, dy = np.moveaxis((canvas.places[:, :, None] - centers) / size[..., None], -1, 0)
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    far = (along**6 + across**6) ** (1 / 6)  # equal around a square with slightly rounded corners
    first, second = np.moveaxis(np.argsort(far, -1)[..., :2], -1, 0)

    def of(values, number):
        return np.take_along_axis(values, number[..., None], -1)[..., 0]

    stone = of(near, first)
    inside = np.minimum((of(far, second) - of(far, first)) / 2, 0.62 - of(far, first)) * of(size, first)
    tilt = rng.normal(0, 0.09, (2, len(stones)))[:, stone]  # no stone lies quite level
    shade = 1 + tilt[0] * of(along, first) + tilt[1] * of(across, first)
    shade += 0.022 * canvas.noise(rng, 120, 3) + 0.03 * canvas.noise(rng, 8, 2)
    tints = jitter(rng, canvas.sample(pavement.color, stones[:, :2]), 0.050)
    grout = rgb("6b5a4c") * (1 + 0.06 * canvas.noise(rng, 160, 2))[..., None]
    image = mix(grout, tints[stone] * shade[..., None], smoothstep(0.0003, 0.0011, inside))
    height = np.clip(inside, 0, 0.0022) * canvas.unit
    return lit(image, ndimage.gaussian_filter(height, 0.8), 0.45)


def mosaic(canvas, rng):
    """A Roman floor: two fish circle a flower in a round pool, inside a plaited border."""
    pavement = Pavement(canvas)
    braid(pavement)
    for right, down in [(-1, -1), (1, -1), (-1, 1), (1, 1)]:
        spandrel(pavement, right, down)
    sea(pavement)
    fish(pavement, -0.6, "wine", "clay", "gold", ("gold", "clay"))
    fish(pavement, np.pi - 0.6, "indigo", "rose", "cream", ("cream", "rose"))
    flower(pavement, (0.5, 0.5), 0.088, "cream", "wine", "clay", "gold", "night")
    stones = sift(np.concatenate([rows(pavement, SMALL), rows(pavement, LARGE)]))
    stones = sift(np.concatenate([stones, fillers(pavement, stones)]))
    return bed(pavement, stones, rng)


# -------------------------------------------------------------------------------------- 7. hatching

PAPER, INK, RUST = rgb("f3e7cb", "1d1f2e", "b5432a")
CLOUDS = [(0.815, 0.150, 0.090), (0.435, 0.090, 0.052), (0.055, 0.345, 0.060), (0.980, 0.290, 0.060)]
BUSHES = [  # on each of the three slopes: x, y, size
    [(0.30, 0.59, 0.022), (0.345, 0.605, 0.03), (0.93, 0.55, 0.028), (0.885, 0.57, 0.02), (0.24, 0.6, 0.018)],
    [(0.07, 0.605, 0.036), (0.145, 0.63, 0.03), (0.79, 0.58, 0.03), (0.6, 0.61, 0.022), (0.55, 0.615, 0.016)],
    [(0.50, 0.70, 0.022), (0.66, 0.655, 0.026), (0.70, 0.665, 0.020)],
]
CYPRESSES = [  # x, foot, half width, height
    (0.215, 0.710, 0.020, 0.22),
    (0.255, 0.720, 0.016, 0.16),
    (0.430, 0.690, 0.013, 0.12),
    (0.900, 0.765, 0.030, 0.38),
    (0.955, 0.790, 0.024, 0.28),
    (0.845, 0.760, 0.017, 0.19),
]


class Drawing:
    """What a pen needs to know of each pixel: the thing, its darkness, its ink, and how lines run on it."""

    def __init__(self, canvas):
        self.canvas, self.things = canvas, 0
        self.thing = np.zeros(canvas.shape, int)
        self.dark, self.red, self.first, self.second = np.zeros((4, *canvas.shape), np.float32)

    def cover(self, where, dark, first, second, red=0.0):
        """A thing in front of all earlier ones; its lines run where `first` (then `second`) is constant."""
        self.things += 1
        self.thing[where] = self.things
        layers = (self.dark, self.first, self.second, self.red)
        for layer, value in zip(layers, (dark, first, second, red), strict=True):
            layer[where] = np.broadcast_to(value, where.shape)[where]

    def face(self, points, dark, angle, red=0.0):
        """A flat thing, hatched straight."""
        lines = (self.canvas.x * np.sin(a) - self.canvas.y * np.cos(a) for a in (angle, angle + 1.05))
        self.cover(self.canvas.mask(points), dark, *lines, red)


def house(drawing, rng, x, foot, wide, tall, deep):
    """A gabled house lit from the left."""
    front = box(x, foot - tall, wide, tall)
    left, right, low = front[:3]
    apex, rise = np.array([x + wide / 2, foot - tall - 0.55 * wide]), np.array([deep, -0.30 * deep])
    eave, thick = np.array([0.10 * wide, 0.10 * wide]), np.array([0, 0.13 * wide])
    drawing.face([low, right, right + rise, low + rise], 0.78, 1.35)
    drawing.face([right + eave, apex, apex + rise, right + rise + eave], 0.66, 1.1, red=1)
    drawing.face([front[3], left, apex, right, low], 0.10 + 0.12 * rng.random(), 1.5)
    drawing.face([left + eave * [-1, 1], apex, apex + thick, left + eave * [-1, 2.2]], 0.30, 0.9, red=1)
    drawing.face([right + eave, apex, apex + thick, right + eave * [1, 2.2]], 0.55, 0.9, red=1)
    for column in (0.22, 0.62):
        for row in np.arange(0.2, 0.75, 0.42 * wide / tall):
            if rng.random() < 0.8:
                window = box(x + column * wide, foot - tall + row * tall, 0.17 * wide, 0.26 * wide)
                drawing.face(window, 1.0, 0.2)
    top = right + 0.45 * rise + [0, 0.30 * tall]
    drop = np.array([0, 0.28 * wide])
    drawing.face([top, top + 0.22 * rise, top + 0.22 * rise + drop, top + drop], 1.0, 0.2)


def tower(drawing, x, foot, wide, tall):
    """A round tower with a pointed cap."""
    canvas, top = drawing.canvas, foot - tall
    across = (canvas.x - x) / wide
    bend = 0.25 * wide * np.sqrt(np.clip(1 - across**2, 0, 1))
    body = (np.abs(across) < 1) & (canvas.y < foot) & (canvas.y > top)
    drawing.cover(body, 0.30 + 0.55 * across, canvas.y - bend, canvas.x)
    for share in (0.25, 0.55):
        drawing.face(box(x - 0.3 * wide, top + share * tall, 0.4 * wide, 0.8 * wide), 1.0, 0.2)
    up = (top - canvas.y) / (2.6 * wide)
    cap = (up > -0.05) & (np.abs(across) < 1.22 * (1 - up))
    dark = 0.42 + 0.5 * across / np.maximum(1 - up, 0.05)
    drawing.cover(cap, dark, canvas.x - 0.4 * (canvas.x - x) * up, canvas.y - bend, red=1)


def cypress(drawing, rng, x, foot, wide, tall):
    """A dark flame of a tree, hatched in strokes that sweep upward."""
    canvas = drawing.canvas
    up = np.clip((foot - canvas.y) / tall, 0, 1)
    across = (canvas.x - x) / wide - 0.10 * np.sin(9 * up + 40 * x)
    edge = arch(up**0.62) ** 0.75 * (1 + 0.13 * canvas.noise(rng, 60, 2))
    sweep = 0.9 * canvas.x + 0.25 * wide * np.sin(14 * up + 3 * across)
    where = (np.abs(across) < edge) & (up > 0) & (up < 0.995)
    drawing.cover(where, 0.74 + 0.30 * across, sweep, 0.6 * canvas.x + 0.8 * canvas.y)


def bush(drawing, rng, x, y, size):
    """A round tree on a short trunk, its leaves in curling lines."""
    canvas = drawing.canvas
    drawing.face(box(x - 0.14 * size, y, 0.28 * size, 1.35 * size), 0.85, 1.4)
    dx, dy = (canvas.x - x) / size, (canvas.y - y) / size
    rough, leafy = canvas.noise(rng, 0.9 / size, 3), canvas.noise(rng, 3.5 / size, 1)
    curls = size * np.hypot(dx + 0.6 + 0.12 * rough, dy + 0.6 + 0.08 * leafy)
    dark = 0.54 + 0.36 * (dx + dy) + 0.12 * rough + 0.10 * leafy
    drawing.cover(np.hypot(dx, dy) < 1 + 0.08 * rough + 0.06 * leafy, dark, curls, canvas.x - canvas.y)


def cloud(drawing, rng, x, y, size):
    """Piled-up round heads over a flat foot, hatched on their lower right."""
    canvas = drawing.canvas
    for height in (0.75, 0.40, 0.08):
        for shift in np.arange(-1.5, 1.51, 0.5) * (1 - 0.55 * height):
            radius = size * (0.52 - 0.14 * abs(shift)) * rng.uniform(0.85, 1.2)
            dx = (canvas.x - x - size * (shift + rng.normal(0, 0.08))) / radius
            dy = (canvas.y - y + size * height * (1 - 0.25 * shift**2)) / radius
            head = (np.hypot(dx, dy) < 1) & (canvas.y < y + 0.12 * size)
            dark = 0.02 + 0.55 * np.clip(0.6 * dx + 0.8 * dy, 0, 1) + 0.25 * (0.4 - height)
            drawing.cover(head, dark, radius * np.hypot(dx + 0.7, dy + 0.7), canvas.x - canvas.y)


def distance_and_sky(drawing, rng):
    """The sky in lines that part around the sun, clouds, and two ranges of hills."""
    canvas, x, y = drawing.canvas, drawing.canvas.x, drawing.canvas.y
    soft, away = canvas.noise(rng, 4, 3), canvas.distance(0.21, 0.20)
    bulge = 0.060 * np.exp(-((away / 0.19) ** 2)) * np.tanh((y - 0.2) * 14)
    breeze = 0.010 * np.sin(8 * x + 3) + 0.004 * np.sin(21 * x + 20 * y)
    dark = 0.78 - 1.1 * y - 0.62 * np.exp(-((away / 0.20) ** 2)) + 0.10 * soft
    drawing.cover(x >= 0, np.maximum(dark, 0.06 + 0.05 * soft), y - bulge + breeze, 0.8 * x + 0.6 * y)
    drawing.cover(away < 0.098, 0.52 + 0.14 * np.cos(TAU * away / 0.035), away, x + y, red=1)
    for spot in CLOUDS:
        cloud(drawing, rng, *spot)
    far = 0.44 - 0.05 * np.sin(4 * x + 0.7) - 0.02 * np.sin(11 * x)
    dark = 0.42 + 0.24 * np.sin(11 * x + 1) + 0.06 * soft
    drawing.cover(y > far, dark, 0.7 * x + 0.7 * (y - far), 0.7 * x - 0.7 * y)
    near = 0.50 - 0.03 * np.sin(7 * x + 2.2) - 0.015 * np.sin(17 * x)
    dark = 0.50 + 0.24 * np.sin(14 * x + 2) + 0.06 * soft
    drawing.cover(y > near, dark, 0.8 * x - 0.6 * (y - near), 0.6 * x + 0.8 * y)


def town(drawing, rng):
    """A hill, and houses from its top downward, each row in front of the one before and larger."""
    canvas = drawing.canvas
    hill = 0.70 - 0.38 * np.exp(-(((canvas.x - 0.62) / 0.21) ** 2)) - 0.04 * np.sin(6 * canvas.x)
    dark = 0.40 + 1.1 * (canvas.x - 0.62) + 0.1 * canvas.noise(rng, 4, 3)
    drawing.cover(canvas.y > hill, dark, canvas.y - 0.75 * hill, canvas.x)
    tower(drawing, 0.640, 0.36, 0.021, 0.150)
    for row, level in enumerate(np.linspace(0.355, 0.600, 8)):
        half, wide = 0.055 + 0.030 * row, 0.034 + 0.003 * row
        x = 0.615 - half - 0.5 * wide * (row % 2)
        while x < 0.615 + half:
            foot = level + 0.045 * ((x - 0.60) / half) ** 2 + rng.uniform(-0.008, 0.008)
            house(drawing, rng, x, foot, wide, wide * rng.uniform(0.9, 1.7), wide * rng.uniform(0.7, 1.3))
            x += wide * rng.uniform(1.7, 2.4)
            if rng.random() < 0.30:
                high = wide * rng.uniform(1.6, 2.4)
                cypress(drawing, rng, x - 0.15 * wide, foot + 0.012, 0.30 * wide, high)
        if row == 3:
            tower(drawing, 0.515, level + 0.02, 0.017, 0.095)


def fields(drawing, rng):
    """Plowed slopes and trees in front of the town."""
    x, y = drawing.canvas.x, drawing.canvas.y
    soft = drawing.canvas.noise(rng, 5, 3)
    slopes = [
        (0.600 - 0.03 * np.sin(5.0 * x + 2.4), 0.46, 0.35, 0.0212),
        (0.640 + 0.05 * np.sin(4.2 * x + 0.3), 0.56, -0.30, 0.0250),
        (0.700 - 0.06 * np.sin(3.6 * x + 0.9), 0.50, 0.45, 0.0260),
    ]
    for (top, dark, lean, furrow), bushes in zip(slopes, BUSHES, strict=True):
        lines = (y - top) * (1 + 1.5 * (y - top)) + lean * 0.12 * x
        dark = dark + 0.30 * np.sin(TAU * lines / furrow) + 2.2 * (y - top - 0.05) + 0.08 * soft
        drawing.cover(y > top, dark, lines, 0.8 * x + 0.6 * y * np.sign(lean))
        for spot in bushes:
            bush(drawing, rng, *spot)
    for spot in CYPRESSES:
        cypress(drawing, rng, *spot)


def pen(canvas, rng, lines, spacing, pressure):
    """Ink of a set of lines: where `lines` passes multiples of `spacing`, as thick as the pressure says."""
    number = lines / spacing + 0.09 * canvas.noise(rng, 20, 2) + 0.03 * canvas.noise(rng, 110, 1)
    line = np.round(number).astype(int)
    habits = ndimage.gaussian_filter1d(rng.standard_normal((257, 512)), 5, axis=1, mode="wrap") * 3
    along = ((canvas.x + 0.61 * canvas.y) * 330).astype(int)
    hand = habits[line % 257, along % 512]  # each line presses, fades and breaks in its own places
    half = 0.34 * np.clip(pressure * (1 + 0.28 * hand), 0, 1) ** 0.8
    off = (np.abs(number - line) - half) * spacing * canvas.unit
    return smoothstep(0.55, -0.55, off) * (half > 0.045)


def hatching(canvas, rng):
    """Pen and ink: a town on a hill under a red sun, in hatching, cross-hatching and a thin wash."""
    drawing = Drawing(canvas)
    distance_and_sky(drawing, rng)
    town(drawing, rng)
    fields(drawing, rng)
    dark = np.clip(drawing.dark, 0, 1.1)
    ink = pen(canvas, rng, drawing.first, 0.0058, smoothstep(-0.22, 1.15, dark))
    ink = np.maximum(ink, pen(canvas, rng, drawing.second, 0.0060, 0.8 * smoothstep(0.46, 1.20, dark)))
    third = 0.75 * (drawing.first - drawing.second)
    ink = np.maximum(ink, pen(canvas, rng, third, 0.0058, 0.7 * smoothstep(0.72, 1.25, dark)))
    width = 0.0011 + 0.0005 * np.clip(canvas.noise(rng, 18, 2), -1, 2)
    outline = smoothstep(0.6, -0.6, (canvas.border_distance(drawing.thing) - width) * canvas.unit)

    stain = canvas.noise(rng, 3, 4)
    image = PAPER * (1 + 0.022 * stain + 0.014 * canvas.noise(rng, 160, 2))[..., None]
    wash = np.clip(0.05 + 0.75 * dark + 0.08 * stain, 0, 1) * (0.55 + 0.25 * drawing.red)
    image *= mix(rgb("ffffff"), mix(rgb("b09a74"), rgb("d98a5a"), drawing.red) / PAPER, wash)
    image = mix(image, mix(INK, RUST, drawing.red), 0.90 * ink)
    return mix(image, INK, 0.92 * outline)


# ------------------------------------------------------------------------------------- 8. geometric

WASHES = palette(
    black="1b1a22",
    blue="1f3f93",
    sky="5fa3c9",
    teal="1e8a86",
    yellow="f2b92c",
    orange="e8792b",
    red="cc2f2a",
    pink="e79a96",
    violet="5b3a7e",
    sand="e6cf9f",
    mist="b9cbd0",
    green="7fa04a",
)
MOON, SUN = (0.275, 0.285), (0.560, 0.640)  # the two circles that the composition hangs on
SPOTS = [
    (0.700, 0.800, 0.040, "pink"),
    (0.715, 0.790, 0.020, "black"),
    (0.100, 0.170, 0.030, "teal"),
    (0.115, 0.160, 0.013, "yellow"),
    (0.470, 0.945, 0.030, "green"),
    (0.745, 0.050, 0.026, "violet"),
]


class Watercolor:
    """Transparent color on paper: washes darken each other, settle in the grain, and pool at their edges."""

    def __init__(self, canvas, rng):
        self.canvas = canvas
        self.paper = rgb("f8efdb") * (1 + 0.02 * canvas.noise(rng, 4, 3))[..., None]
        self.image = self.paper.copy()
        self.grain = canvas.noise(rng, 220, 2)
        self.clouds = [canvas.noise(rng, 6, 5) for _ in range(4)]
        self.quivers = [canvas.noise(rng, 30, 3) for _ in range(3)]
        self.laid = 0

    def wash(self, inside, name, strength=0.9, fade=1.0):
        """Lay a wash where `inside` (the distance from the shape's edge) is positive."""
        self.laid += 1  # the next wash flows another way
        cloud, quiver = self.clouds[self.laid % 4], self.quivers[self.laid % 3]
        inside = inside + 0.0008 * quiver
        pooled = np.exp(-np.clip(inside, 0, 1) / 0.0035)
        density = strength * (0.86 + 0.10 * cloud + 0.05 * self.grain + 0.24 * pooled)
        density *= 0.25 + 0.75 * np.clip(fade, 0, 1)
        cover = np.clip(density, 0, 1.12) * smoothstep(-0.0007, 0.0007, inside)
        self.image *= 1 - cover[..., None] * (1 - WASHES[name])

    def reserve(self, center, radius, share=0.85):
        """Keep a disc of the paper nearly white, as masking fluid does, so that what follows shines."""
        inside = radius - self.canvas.distance(*center)
        self.image = mix(self.image, self.paper, share * smoothstep(-0.002, 0.002, inside))

    def disc(self, center, radius, *wash, **more):
        self.wash(radius - self.canvas.distance(*center), *wash, **more)

    def ring(self, center, radius, width, *wash, start=0.0, sweep=1.0):
        """A ring, or the part of it that goes on from `start` for `sweep` (in turns)."""
        inside = width / 2 - np.abs(self.canvas.distance(*center) - radius)
        if sweep < 1:
            turns = np.arctan2(self.canvas.y - center[1], self.canvas.x - center[0]) / TAU - start
            off = np.abs((turns - sweep / 2 + 0.5) % 1 - 0.5)
            inside = np.minimum(inside, (sweep / 2 - off) * TAU * radius)
        self.wash(inside, *wash)

    def shape(self, corners, *wash, **more):
        """A convex polygon, its corners clockwise as seen."""
        inside = np.full(self.canvas.shape, 9.0, np.float32)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            side = (bx - ax) * (self.canvas.y - ay) - (by - ay) * (self.canvas.x - ax)
            inside = np.minimum(inside, side / np.hypot(bx - ax, by - ay))
        self.wash(inside, *wash, **more)

    def bar(self, start, end, width, *wash, taper=1.0):
        """A straight stroke, `taper` times as wide at its end."""
        start, end = np.asarray(start), np.asarray(end)
        across = turn((end - start) / np.linalg.norm(end - start), np.pi / 2) * width / 2
        self.shape([start - across, end - across * taper, end + across * taper, start + across], *wash)


def grounds(art):
    """Large pale areas that cover the sheet."""
    x, y = art.canvas.x, art.canvas.y
    sheet = [(-0.1, -0.1), (0.525, -0.1), (0.645, 0.44), (0.42, 0.44), (-0.1, 0.70)]
    art.shape(sheet, "pink", 0.62, fade=1.15 - y)
    art.shape([(0.525, -0.1), (0.9, -0.1), (0.9, 0.52), (0.645, 0.44)], "yellow", 0.72, fade=1.1 - y)
    sheet = [(0.42, 0.44), (0.645, 0.44), (0.9, 0.52), (0.9, 1.1), (0.62, 1.1)]
    art.shape(sheet, "sky", 0.48, fade=0.2 + 0.7 * y)
    art.shape([(-0.1, 0.70), (0.42, 0.44), (0.62, 1.1), (-0.1, 1.1)], "sand", 0.85, fade=x + 0.6)


def big_shapes(art):
    """Circles and triangles that overlap, and two rainbows cut off by the edge of the sheet."""
    canvas = art.canvas
    art.disc(MOON, 0.235, "orange", 0.75, fade=1.25 - 3 * canvas.distance(*MOON))
    art.reserve(MOON, 0.178)
    art.disc(MOON, 0.178, "blue", 0.92)
    art.disc((0.262, 0.272), 0.118, "violet", 0.60)
    art.disc((0.248, 0.258), 0.062, "black", 0.95)
    art.reserve((0.235, 0.245), 0.022)
    art.disc((0.235, 0.245), 0.022, "red", 0.95)
    art.reserve(SUN, 0.168)
    art.disc(SUN, 0.168, "yellow", 0.98, fade=1.45 - canvas.y)
    art.disc((0.655, 0.545), 0.105, "red", 0.90)
    art.disc((0.668, 0.532), 0.046, "violet", 0.85)
    art.shape([(0.360, 0.400), (0.545, 0.905), (0.075, 0.830)], "teal", 0.85, fade=1.5 - canvas.y)
    art.reserve((0.605, 0.285), 0.075, 0.6)
    art.shape([(0.600, 0.060), (0.745, 0.430), (0.435, 0.360)], "sky", 0.95)
    art.shape([(0.655, 0.190), (0.705, 0.345), (0.565, 0.315)], "red", 0.90)
    for number, name in enumerate(["violet", "red", "orange", "yellow", "teal", "blue"]):
        art.ring((0.80, 1.00), 0.100 + 0.030 * number, 0.022, name, 0.85, start=-0.5, sweep=0.27)
    for number, name in enumerate(["teal", "sky", "pink", "orange", "red"]):
        art.ring((0.00, 0.60), 0.045 + 0.024 * number, 0.016, name, 0.85, start=-0.25, sweep=0.5)


def bars(art):
    """Black beams, colored laths, and a fan of fine lines that tie the whole together."""
    art.bar((0.03, 0.770), (0.775, 0.085), 0.020, "black", 0.97, taper=0.35)
    art.bar((0.10, 0.060), (0.660, 0.955), 0.012, "black", 0.95, taper=0.5)
    art.bar((0.02, 0.455), (0.790, 0.515), 0.010, "blue", 0.9)
    for number in range(9):
        art.bar((0.455, 0.47), (0.80, 0.70 + 0.035 * number), 0.0022, "black", 0.9)
    for number in range(6):
        x = 0.40 + 0.020 * number
        art.bar((x, 0.025), (x + 0.07, 0.215), 0.0075, ["red", "black", "teal"][number % 3], 0.9)
    for number in range(7):
        y = 0.035 + 0.014 * number
        art.bar((0.03, y), (0.16 - 0.012 * number, y), 0.0045, "black", 0.9)
    art.ring(SUN, 0.205, 0.0040, "black", 0.95, start=0.02, sweep=0.52)
    art.ring(MOON, 0.262, 0.0035, "black", 0.95, start=0.30, sweep=0.45)
    art.ring((0.36, 0.66), 0.090, 0.0100, "red", 0.9, start=0.1, sweep=0.5)
    art.ring((0.36, 0.66), 0.060, 0.0035, "black", 0.95)


def small_things(art):
    """A row of beads that shrink, a tilted board, sails, chevrons, rows of dots."""
    for number in range(9):
        place = (0.46 + 0.036 * number - 0.0015 * number**2, 0.435 - 0.018 * number)
        art.disc(place, 0.017 * 0.86**number, ["red", "black", "yellow"][number % 3], 0.92)
    inks = ["black", "yellow", "red", "mist", "blue", "orange", "black", "teal"]
    for row, column in [(row, column) for row in range(5) for column in range(7) if (row + column) % 2 == 0]:
        square = turn(box(column, row, 1, 1) * 0.025, -0.12) + np.array([0.165, 0.862])
        art.shape(square, inks[(row * 3 + column) % 8], 0.9)
    for number, name in enumerate(["red", "violet", "teal", "orange", "blue"]):
        x, y = 0.742 - 0.003 * number, 0.160 + 0.052 * number
        art.shape([(x, y - 0.050 + 0.005 * number), (x + 0.030, y), (x - 0.004, y)], name, 0.9)
        x, y = 0.205 + 0.030 * number, 0.775 - 0.004 * number
        art.bar((x, y + 0.030), (x, y), 0.005, "black", 0.95)
        art.bar((x, y), (x + 0.020, y + 0.036), 0.005, "black", 0.95)
    for row in range(4):
        for column in range(5 - row):
            place = (0.030 + 0.027 * column, 0.965 - 0.027 * row)
            art.disc(place, 0.0075, ["red", "black"][(row + column) % 2], 0.92)
    for x, y, radius, name in SPOTS:
        art.disc((x, y), radius, name, 0.88)


def geometric(canvas, rng):
    """An abstract watercolor: overlapping circles, arcs, bars and triangles that almost fall over."""
    art = Watercolor(canvas, rng)
    grounds(art)
    big_shapes(art)
    bars(art)
    small_things(art)
    tooth = canvas.noise(rng, 190, 2)
    return lit(art.image * (1 + 0.012 * tooth)[..., None], tooth, 0.03)


# ------------------------------------------------------------------------------------- the registry


@dataclass(frozen=True)
class Picture:
    paint: Callable[[Canvas, np.random.Generator], np.ndarray]
    width: float  # in units of the long side
    height: float
    seed: int
    supersample: int = 2


PICTURES = {
    "flow_strokes": Picture(flow_strokes, 1, 0.75, 1889),
    "waves": Picture(waves, 1, 0.75, 1831, supersample=3),
    "stained_glass": Picture(stained_glass, 1, 1, 1194),
    "points": Picture(points, 1, 0.75, 1886),
    "marbling": Picture(marbling, 0.8, 1, 1595),
    "mosaic": Picture(mosaic, 1, 1, 79),
    "hatching": Picture(hatching, 1, 0.75, 1513),
    "geometric": Picture(geometric, 0.8, 1, 1923),
}


def render(name: str, long_side: int = LONG_SIDE) -> np.ndarray:
    """The picture as rows × columns × RGB bytes."""
    picture = PICTURES[name]
    width, height = round(picture.width * long_side), round(picture.height * long_side)
    fine = picture.supersample
    image = picture.paint(Canvas(width * fine, height * fine), np.random.default_rng(picture.seed))
    image = np.clip(image, 0, 1).reshape(height, fine, width, fine, 3).mean((1, 3))
    return np.round(image * 255).astype(np.uint8)


def save(image: np.ndarray, path: Path) -> None:
    """Write a JPEG at the best quality (90 at most, 80 at least) that keeps the file small."""
    for quality in range(90, 79, -2):
        data = io.BytesIO()
        Image.fromarray(image).save(data, "JPEG", quality=quality, optimize=True, progressive=True)
        if data.tell() <= MAX_BYTES:
            break
    with replacing(path) as beside:
        beside.write_bytes(data.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(PICTURES)}")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(PICTURES)):
        parser.error(f"no such picture: {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or PICTURES:
        start, path = time.perf_counter(), arguments.out / f"{name}.jpg"
        image = render(name)
        save(image, path)
        size = f"{image.shape[1]}×{image.shape[0]}, {path.stat().st_size / 1000:.0f} kB"
        print(f"{name:14} {size}, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
