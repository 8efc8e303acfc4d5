"""Render the style pictures that this project ships (images/style/*.jpg).

Why: the course needs style images that anyone may use, copy and change. So each one is drawn here, from
nothing but formulas and a seeded random generator. No photograph and no scan of a painting goes in.

Licence: the pictures are CC0 1.0 (public domain); this code is under the project's licence.

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

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree
from skimage.measure import find_contours, label

LONG_SIDE = 768
MAX_BYTES = 200_000
OUT = Path(__file__).resolve().parents[1] / "images" / "style"
TAU = 2 * np.pi


# ---------------------------------------------------------------------------------------------- helpers


class Canvas:
    """A drawing area whose unit of length is its long side: x runs to 1 on a landscape, y on a portrait."""

    def __init__(self, width: int, height: int):
        self.width, self.height, self.unit = width, height, max(width, height)
        self.shape = (height, width)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.x, self.y = (columns + 0.5) / self.unit, (rows + 0.5) / self.unit
        self.right, self.bottom = width / self.unit, height / self.unit

    def noise(self, rng, cells, octaves=4, stretch=(1.0, 1.0)):
        """Smooth noise of mean 0 and deviation 1; `cells` bumps along the unit, fewer where stretched."""
        total = np.zeros(self.shape, np.float32)
        for octave in range(octaves):
            across = max(2, round(self.right * cells * 2**octave / stretch[0]))
            down = max(2, round(self.bottom * cells * 2**octave / stretch[1]))
            bumps = Image.fromarray(rng.standard_normal((down, across)).astype(np.float32))
            total += 0.55**octave * np.asarray(bumps.resize((self.width, self.height), Image.Resampling.BICUBIC))
        return (total - total.mean()) / total.std()

    def pixels(self, points):
        """Points in units, as the list of pixel tuples that ImageDraw takes."""
        return [tuple(p) for p in (np.asarray(points) * self.unit).tolist()]

    def mask(self, *polygons):
        """1 inside any of the polygons, 0 outside."""
        image = Image.new("L", (self.width, self.height))
        for polygon in polygons:
            ImageDraw.Draw(image).polygon(self.pixels(polygon), fill=255)
        return np.asarray(image, np.float32) / 255

    def sample(self, field, points):
        """Values of a field at points (in units), the nearest pixel's."""
        points = np.asarray(points)
        columns = np.clip((points[..., 0] * self.unit).astype(int), 0, self.width - 1)
        rows = np.clip((points[..., 1] * self.unit).astype(int), 0, self.height - 1)
        return field[rows, columns]

    def scatter(self, rng, spacing):
        """Points about `spacing` apart that cover the canvas, in random order."""
        across, down = int(self.right / spacing) + 2, int(self.bottom / spacing) + 2
        points = np.stack(np.meshgrid(np.arange(across), np.arange(down)), -1).reshape(-1, 2).astype(float)
        points += rng.uniform(-0.5, 0.5, points.shape)
        return rng.permutation(points) * spacing


def rgb(*codes):
    """Hex codes such as "f0c040" as an array of colors between 0 and 1."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], np.float32)


def ramp(tone, colors):
    """The color at `tone` (0 to 1) on a scale that passes evenly through `colors`."""
    position = np.clip(tone, 0, 1) * (len(colors) - 1)
    low = np.minimum(position.astype(int), len(colors) - 2)
    return mix(colors[low], colors[low + 1], (position - low))


def mix(first, second, share):
    """`first` where share is 0, `second` where it is 1."""
    share = np.asarray(share, np.float32)[..., None]
    return first * (1 - share) + second * share


def smoothstep(low, high, value):
    """0 below low, 1 above high, and a soft S between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def spline(points, count=120, closed=False):
    """A smooth curve through the points."""
    points = np.asarray(points, float)
    if closed:
        points = np.vstack([points, points[:1]])
    steps = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
    knots = np.concatenate([[0], np.cumsum(steps)])
    curve = make_interp_spline(knots, points, k=3, bc_type="periodic" if closed else "natural")
    return curve(np.linspace(0, knots[-1], count))


def circle(center, radius, count=72):
    angles = np.linspace(0, TAU, count, endpoint=False)
    return np.asarray(center) + radius * np.stack([np.cos(angles), np.sin(angles)], -1)


def turn(points, angle):
    """Points turned around the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


def lit(image, height, strength):
    """The image with its height map lit from the upper left, as thick paint or a raised tile is."""
    down, across = np.gradient(height)
    slope = np.clip((across + down) * strength, -1, 1)
    shade = 1 + np.where(slope > 0, 0.42, 0.5) * slope
    return image * shade[..., None] + 0.10 * np.clip(slope, 0, 1)[..., None] ** 2


def jitter(rng, colors, amount):
    """Each color a little off, in lightness most of all."""
    lightness = rng.normal(0, amount, (len(colors), 1))
    return np.clip(colors + lightness + rng.normal(0, amount / 3, colors.shape), 0, 1)


# ---------------------------------------------------------------------------------- 1. flow_strokes


def trace(canvas, starts, angle, length, steps):
    """Paths of `length` that follow the direction field from `starts`: points and directions."""
    points, directions = [], []
    position = starts.astype(np.float32)
    for _ in range(steps):
        direction = canvas.sample(angle, position)
        points.append(position)
        directions.append(direction)
        step = np.stack([np.cos(direction), np.sin(direction)], -1)
        position = position + step * (length / steps)[:, None]
    return np.stack(points, 1), np.stack(directions, 1)


def brush(canvas, image, height, region, angle, starts, colors, length, width, rng):
    """Lay down strokes in order. Each has hairs of its own two colors, ragged ends and a raised body."""
    steps, hairs = int(length * canvas.unit * 1.5) + 2, int(width * canvas.unit * 1.6) + 2
    for low in range(0, len(starts), 400):
        some, tint = starts[low : low + 400], colors[low : low + 400]
        count = len(some)
        lengths = length * rng.uniform(0.55, 1.0, count)
        points, directions = trace(canvas, some, angle, lengths, steps)
        inside = canvas.sample(region, points) == canvas.sample(region, some)[:, None]
        inside = np.cumprod(inside, 1).astype(bool)  # a stroke ends where it meets another thing

        across = np.linspace(-1, 1, hairs)
        along = np.linspace(0, 1, steps)
        hair = ndimage.gaussian_filter1d(rng.standard_normal((count, hairs)), 0.9, axis=1) * 1.6
        belly = np.sqrt(np.clip(1 - (2 * along - 1) ** 4, 0.02, 1))  # narrower at both ends
        offset = width / 2 * across * belly[:, None]
        normal = np.stack([-np.sin(directions), np.cos(directions)], -1)
        place = points[:, :, None] + normal[:, :, None] * offset[None, :, :, None]

        begin, end = 0.08 * rng.random((2, count, hairs)) * [[[1]], [[2.5]]]
        dry = (along[:, None] > begin[:, None]) & (along[:, None] < 1 - end[:, None])
        column = (place[..., 0] * canvas.unit).astype(int)
        row = (place[..., 1] * canvas.unit).astype(int)
        on_canvas = (row >= 0) & (row < canvas.height) & (column >= 0) & (column < canvas.width)
        keep = dry & on_canvas & inside[:, :, None]

        share = np.clip(0.5 + 0.45 * hair, 0, 1)
        paint = mix(tint[:, None, 0], tint[:, None, 1], share)[:, None] * np.ones((1, steps, 1, 1))
        paint = paint * (1 + 0.05 * hair[:, None, :, None])
        body = (1 - 0.6 * across**4 + 0.28 * hair)[:, None] * (0.55 + 0.45 * np.sin(np.pi * along**0.7))[:, None]
        image[row[keep], column[keep]] = paint[keep]
        height[row[keep], column[keep]] = 0.3 * height[row[keep], column[keep]] + body[keep]


LIGHTS = [  # luminous discs: x, y, radius, sense of rotation of the air around them
    (0.715, 0.175, 0.072, 1),
    (0.170, 0.120, 0.036, -1),
    (0.395, 0.235, 0.046, 1),
    (0.520, 0.070, 0.022, -1),
    (0.930, 0.080, 0.026, -1),
    (0.905, 0.330, 0.022, 1),
    (0.055, 0.310, 0.024, 1),
    (0.300, 0.055, 0.015, 1),
]
TREES = [(0.07, 0.520, 0.040), (0.125, 0.545, 0.030), (0.345, 0.500, 0.026), (0.62, 0.515, 0.032),
         (0.665, 0.535, 0.024), (0.86, 0.50, 0.034), (0.915, 0.525, 0.046), (0.965, 0.56, 0.035)]  # fmt: skip


def distance(canvas, x, y):
    return np.hypot(canvas.x - x, canvas.y - y)


def night_scene(canvas, rng):
    """What lies where (region), how light it is (tone), and which way its strokes run (angle)."""
    x, y = canvas.x, canvas.y
    drift = canvas.noise(rng, 3, 3)
    stream = 0.22 * (y + 0.030 * np.sin(TAU * 1.4 * x + 1) + 0.018 * np.sin(TAU * 2.9 * x - 7 * y)) + 0.0035 * drift
    for cx, cy, radius, sense in LIGHTS:
        reach = 2.1 * radius + 0.022
        stream += sense * 0.16 * reach * np.exp(-((distance(canvas, cx, cy) / reach) ** 2))
    for cx, cy, reach, sense in [(0.555, 0.335, 0.115, -1), (0.235, 0.325, 0.090, -1), (0.77, 0.37, 0.07, 1)]:
        stream += sense * 0.19 * reach * np.exp(-((distance(canvas, cx, cy) / reach) ** 2))
    down, across = np.gradient(stream)
    angle = np.arctan2(-across, down)

    tone = 0.50 - 0.42 * np.cos(TAU * stream * 30) * 0.55 - 0.35 * (0.25 - y) + 0.05 * drift
    region = np.zeros(canvas.shape, int)
    for cx, cy, radius, _ in LIGHTS:
        d = distance(canvas, cx, cy)
        rings = 0.5 + 0.5 * np.cos(TAU * d / (0.030 + 0.1 * radius))
        glow = np.exp(-(((d - radius) / (1.5 * radius)) ** 2)) * (d > radius)
        tone = tone * (1 - glow) + glow * (0.70 + 0.35 * rings)
        halo = (d < radius * 1.75) & (d >= radius)
        region[halo], region[d < radius] = 1, 2
        tone[halo] = (0.45 + 0.55 * rings - 0.5 * (d / radius - 1))[halo]
        circling = np.arctan2(y - cy, x - cx) + sense * np.pi / 2
        angle[d < radius * 1.9] = circling[d < radius * 1.9]
        tone[d < radius] = (1.05 - 0.75 * d / radius)[d < radius]
    return land(canvas, rng, region, tone, angle)


def land(canvas, rng, region, tone, angle):
    """Far mountains, wooded hills, a river that carries the lights, and a golden field in front."""
    x, y = canvas.x, canvas.y
    far = 0.435 - 0.045 * np.sin(5.2 * x + 0.6) - 0.018 * np.sin(13 * x + 2)
    middle = 0.500 + 0.030 * np.sin(6.5 * x + 2.6) + 0.010 * np.sin(15 * x)
    field = 0.610 + 0.050 * np.cos(4.4 * x - 1.1)
    down = np.clip(y - middle - 0.004, 0, 1)  # how far below the crest of the hills
    river_x = 0.53 + 0.060 * np.sin(46 * down + 2.4) - 0.55 * down
    river = (down > 0) & (np.abs(x - river_x) < 0.004 + 0.36 * down)
    bands = canvas.noise(rng, 5, 3)

    def cover(where, number, light, direction):
        region[where] = number
        tone[where] = np.broadcast_to(light, canvas.shape)[where]
        angle[where] = np.broadcast_to(direction, canvas.shape)[where]

    slope = np.arctan(np.gradient(far[0], 1 / canvas.unit))
    cover(y > far, 3, 0.85 - 7 * (y - far) + 0.10 * bands, slope + 0.9 * np.sin(9 * x + 18 * y))
    slope = np.arctan(np.gradient(middle[0], 1 / canvas.unit))
    furrow = 0.5 + 0.5 * np.sin(TAU * (y - middle) * 26 + 3 * np.sin(8 * x))
    cover(
        y > middle, 4, 0.78 - 2.9 * (y - middle) + 0.34 * (furrow - 0.5) + 0.06 * bands, slope + 0.35 * np.sin(14 * x)
    )
    for cx, cy, radius in TREES:
        d = distance(canvas, cx, cy) + 0.1 * radius * bands
        toward_moon = ((x - cx) * 0.5 - (y - cy)) / radius
        swirl = np.arctan2(y - cy, x - cx) + np.pi / 2 + 0.5
        cover((d < radius) & (y > 0.4), 5, 0.38 + 0.42 * toward_moon, swirl)
    gleam = np.cos(TAU * 26 * (y + 0.008 * bands)) * np.exp(-(((x - river_x) / 0.06) ** 2))
    cover(river, 6, 0.45 + 0.42 * gleam + 0.1 * bands, 0.12 * np.sin(60 * y + 9 * x))
    rows = np.arctan2(0.36 - y, 0.52 - x) + np.pi
    wind = rows + 0.55 * np.sin(7 * x + 5 * y) + 0.12 * bands
    furrow = np.sin(np.arctan2(y - 0.36, x - 0.52) * 30 + 0.9 * bands)
    light = 0.64 + 0.30 * furrow + 0.13 * bands - 1.7 * (y - field - 0.05)
    cover(y > field + 0.010 * np.sin(30 * x), 7, light, wind)
    return region, tone, angle


NIGHT = [
    rgb("0a1238", "12256a", "1d479b", "2f74b8", "5aa7c6", "a5d6cf", "e9edc0"),  # sky
    rgb("2f74b8", "7fb8b8", "e3c766", "f8e49a", "fff4c8"),  # halo
    rgb("ee9a27", "f9c440", "fde486", "fffbe0"),  # disc
    rgb("171a4d", "2a3480", "4557a5", "7d86c4"),  # mountains
    rgb("0c2a3a", "12504f", "2a7a5b", "78a24e", "c3c65a"),  # hills
    rgb("081c26", "0f3a38", "1f6045", "5d9445", "b8c457"),  # trees
    rgb("10215c", "1c4a94", "3a8cba", "a9d4bf", "fbe08a"),  # river
    rgb("3a1f3f", "7f3a1c", "c2701f", "e8a233", "f6cf5a", "fdeaa0"),  # field
]


# A stroke in a hundred or so of another color, against the grain of the rest.
SPARKS = {
    0: rgb("f3d98b", "8a86c9"),
    3: rgb("c58fb4", "86b9c9"),
    4: rgb("e8a33a", "2b4f8f"),
    7: rgb("c8352b", "5f8f3f"),
}


def flow_strokes(canvas, rng):
    """Thick strokes of a loaded brush along a swirling night sky, with lamps of moon and stars."""
    region, tone, angle = night_scene(canvas, rng)
    image, height = np.zeros((*canvas.shape, 3), np.float32), np.zeros(canvas.shape, np.float32)
    for number, scale in enumerate(NIGHT):  # the underpainting, which shows where strokes leave gaps
        image[region == number] = 0.8 * ramp(tone[region == number] - 0.15, scale)
    for length, width, spread, cover in [
        (0.085, 0.020, 0.06, 0.75),
        (0.065, 0.0125, 0.10, 0.6),
        (0.042, 0.0085, 0.13, 0.85),
    ]:
        spacing = max(width * cover, 2.5 / canvas.unit)
        starts = canvas.scatter(rng, spacing)
        small = np.isin(canvas.sample(region, starts), [1, 2, 5])
        starts = starts[~small | (length < 0.08)]
        kind, light = canvas.sample(region, starts), canvas.sample(tone, starts)
        light = light + rng.normal(0, spread, len(starts))
        both = np.stack([light - 0.07, light + 0.09], -1)
        colors = np.zeros((len(starts), 2, 3), np.float32)
        for number, scale in enumerate(NIGHT):
            colors[kind == number] = ramp(both[kind == number], scale)
            odd = (kind == number) & (rng.random(len(kind)) < 0.035)
            if number in SPARKS and width < 0.018:
                colors[odd] = SPARKS[number][rng.integers(2, size=(odd.sum(), 1))]
        brush(canvas, image, height, region, angle, starts, colors, length, width, rng)
    return lit(image, ndimage.gaussian_filter(height, 0.7), 1.1)


# -------------------------------------------------------------------------------------- 2. waves

PRINT = {
    "line": "14264d", "dark": "1f3f7a", "blue": "3a6ea5", "light": "86b3c6", "pale": "c3dcd8",
    "foam": "f5efdc", "sand": "ead9ae", "glow": "eea86b", "red": "c9402b",
}  # fmt: skip
PRINT = {name: rgb(code)[0] for name, code in PRINT.items()}

# A curling wave in its own coordinates (y up): its back and its hollow face both run from the water to the tip.
BACK = [
    (-2.3, -0.55),
    (-1.30, 0.00),
    (-0.80, 0.28),
    (-0.45, 0.60),
    (-0.12, 0.90),
    (0.28, 1.04),
    (0.62, 0.95),
    (0.80, 0.68),
]
FACE = [
    (1.9, -0.30),
    (1.15, -0.14),
    (0.66, 0.00),
    (0.30, 0.15),
    (0.10, 0.36),
    (0.08, 0.58),
    (0.24, 0.76),
    (0.50, 0.80),
    (0.80, 0.68),
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
        corners = self.canvas.pixels(points)
        if isinstance(ink, str):
            self.draw.polygon(corners, fill=self.ink(ink))
        else:
            mask = Image.new("L", self.image.size)
            ImageDraw.Draw(mask).polygon(corners, fill=255)
            self.image.paste(Image.fromarray(np.round(ink * 255).astype(np.uint8)), mask=mask)
        if outline:
            self.stroke(np.vstack([points, points[:1]]))

    def stroke(self, points, width=None, ink="line"):
        pen = max(1, round((width or self.line) * self.canvas.unit))
        self.draw.line(self.canvas.pixels(points), fill=self.ink(ink), width=pen, joint="curve")

    def discs(self, discs, ink="foam", outline=True):
        """Overlapping discs (x, y, radius) that share one outline."""
        for grow, name in [(self.line, "line"), (0, ink)] if outline else [(0, ink)]:
            for x, y, radius in discs:
                box = np.array([x, y, x, y]) + (radius + grow) * np.array([-1, -1, 1, 1])
                self.draw.ellipse((box * self.canvas.unit).tolist(), fill=self.ink(name))


def claw(rng, start, angle, radius, curl, depth):
    """A finger of foam as discs: it tapers, curls, and splits into smaller fingers."""
    discs, position = [], np.array(start, float)
    for step in range(18):
        discs.append((*position, radius * (1 - step / 26)))
        angle += curl / 18
        position = position + 0.26 * radius * np.array([np.cos(angle), np.sin(angle)])
    for side in (-0.8, 0.5) if depth else ():
        discs += claw(rng, position, angle + side + rng.normal(0, 0.12), radius * 0.52, curl * 0.9, depth - 1)
    return discs


def wave(block, rng, foot, size, facing, stripes=7):
    """One curling wave: striped body, foam along the crest, claws over the hollow, spray before it."""

    def place(points):
        return np.asarray(foot) + size * np.asarray(points, float) * [facing, -1]

    def foam(discs):
        return [(*place((x, y)), r * size) for x, y, r in discs]

    back, face = spline(BACK, 240), spline(FACE, 240)
    block.shape(place(np.vstack([back, face[::-1]])), "blue")
    for number in range(stripes):
        low, high = (number + np.array([0.05, 0.60]) + rng.uniform(0, 0.15, 2)) / stripes
        left, right = back + (face - back) * low, back + (face - back) * high
        block.shape(place(np.vstack([left, right[::-1]])), ["dark", "pale", "dark", "light"][number % 4], False)
    block.stroke(place(back))
    block.stroke(place(face))

    for k in np.linspace(160, 236, 15).astype(int):  # claws that hang from the lip, the hindmost first
        down = -1.75 + 1.05 * (k - 160) / 76 + rng.normal(0, 0.12)
        radius = (0.016 + 0.013 * (k - 160) / 76) * rng.uniform(0.85, 1.15)
        block.discs(foam(claw(rng, face[k], down, 1.1 * radius, -1.0, 2)))
    crest = []
    for t in np.linspace(0, 1, 60):  # the foam widens from a thread on the back to the whole tip
        k = int(110 + 126 * t)
        for share in np.linspace(0, 1, 5) * (0.02 + 0.98 * smoothstep(0.35, 0.95, t)):
            crest.append((*(back[k] + (face[k] - back[k]) * share), rng.uniform(0.55, 1) * (0.012 + 0.026 * t**0.7)))
    for k in np.linspace(150, 236, 40).astype(int):  # and lines the lip
        crest.append((*face[k], rng.uniform(0.016, 0.028)))
    block.discs(foam(crest))
    some = [crest[i] for i in rng.permutation(len(crest))[: len(crest) // 2] if crest[i][2] > 0.018]
    for x, y, r in some:  # a curl of shade here and there in the foam
        block.discs(foam([(x, y, 0.62 * r)]), "light", False)
        block.discs(foam([(x - 0.12 * r, y + 0.22 * r, 0.58 * r)]), "foam", False)
    spray = rng.normal([0.96, 0.66], [0.11, 0.17], (46, 2))
    block.discs(foam([(*p, 0.004 + 0.014 * rng.random() ** 2) for p in spray]))


def scallops(block, top, radius):
    """Rows of overlapping fans, the old pattern of a calm sea."""
    rings = [
        (1, "line"),
        (0.94, "foam"),
        (0.84, "dark"),
        (0.66, "light"),
        (0.54, "blue"),
        (0.34, "pale"),
        (0.22, "dark"),
    ]
    for row in range(int((block.canvas.bottom - top) / (0.5 * radius)) + 1):
        for x in np.arange(-radius * (row % 2), 1.1, 2 * radius):
            for share, ink in rings:
                block.discs([(x, top + (0.5 * row + 1) * radius, share * radius)], ink, False)


def swell(block, rng, height, inks, phase):
    """A low wave across the foot of the print, with lines that follow its back and hems of foam."""
    x = np.linspace(-0.05, 1.05, 240)
    for number, ink in enumerate(inks):
        y = height + 0.023 * number + 0.030 * (1 - 0.10 * number) * np.sin(TAU * 1.3 * x + phase + 0.22 * number)
        top = np.stack([x, y + 0.010 * np.sin(TAU * 3.1 * x + 2 * phase + 0.1 * number)], -1)
        block.shape(np.vstack([top, [(1.05, 1), (-0.05, 1)]]), ink, outline=number in (0, 4))
        if number in (0, 4):
            hem = [(*p, rng.uniform(0.004, 0.012) * (0.6 + 0.4 * np.sin(40 * p[0]))) for p in top[::2]]
            drops = [(*(p + (0, rng.uniform(0.012, 0.020))), rng.uniform(0.0015, 0.004)) for p in top[::4]]
            block.discs(hem + drops)
            block.discs([(u - 0.1 * r, v + 0.25 * r, 0.6 * r) for u, v, r in hem if r > 0.007], "light", False)
            block.discs([(u - 0.1 * r, v - 0.05 * r, 0.6 * r) for u, v, r in hem if r > 0.007], "foam", False)
        else:
            block.stroke(top, 0.0014)


def mist(block, x, y, width, thick):
    """A bar of mist with round ends."""
    end = circle((0, 0), thick, 60)
    left, right = (x - width / 2, y), (x + width / 2, y)
    block.shape(np.vstack([end[15:46] + left, end[45:] + right, end[:16] + right]), "foam")


def seal(block, rng, x, y):
    """A red stamp with marks that mean nothing."""
    block.shape(np.array([(x, y), (x + 0.044, y), (x + 0.044, y + 0.084), (x, y + 0.084)]), "red", False)
    for row in range(4):
        for column in range(2):
            corner = np.array([x + 0.006 + 0.018 * column, y + 0.006 + 0.019 * row])
            knots = rng.integers(0, 3, (4, 2)) * [0.007, 0.0065]
            for a, b in zip(knots, np.roll(knots, 1, 0), strict=True):
                block.stroke(corner + np.array([a, (a[0], b[1])]), 0.0022, "foam")


def waves(canvas, rng):
    """A woodblock print: two curling waves, a red sun in mist, a patterned sea, and a seal."""
    hues = [PRINT[name] for name in ("dark", "blue", "light", "sand", "sand", "glow", "glow")]
    block = Block(canvas, ramp(canvas.y / 0.46, np.stack(hues)))
    sun = ramp((canvas.y - 0.10) / 0.24, np.stack([PRINT["red"], PRINT["red"], PRINT["glow"]]))
    block.shape(circle((0.80, 0.205), 0.105, 160), sun)
    for bar in [(0.80, 0.225, 0.30, 0.013), (0.90, 0.258, 0.22, 0.012), (0.93, 0.075, 0.24, 0.013),
                (0.86, 0.102, 0.16, 0.010), (0.10, 0.10, 0.26, 0.014), (0.17, 0.130, 0.16, 0.010)]:  # fmt: skip
        mist(block, *bar)
    scallops(block, 0.43, 0.034)
    wave(block, rng, (0.98, 0.60), 0.30, -1, 7)
    wave(block, rng, (0.25, 0.64), 0.56, 1, 11)
    swell(block, rng, 0.60, ["blue", "dark", "light", "blue", "dark", "blue", "pale", "dark"], 2.4)
    seal(block, rng, 0.022, 0.160)
    return printed(canvas, np.asarray(block.image, np.float32) / 255, rng)


def printed(canvas, image, rng):
    """Wood grain in the ink, and fibers in the paper."""
    grain = canvas.noise(rng, 110, 2, (14, 1)) * 0.022 + canvas.noise(rng, 6, 3) * 0.018
    fibers = canvas.noise(rng, 200, 1) * 0.016 + canvas.noise(rng, 60, 2, (1, 4)) * 0.010
    missed = smoothstep(2.1, 3.0, canvas.noise(rng, 260, 2)) * 0.35  # specks that took no ink
    image = image * (1 + grain + fibers)[..., None]
    return mix(image, PRINT["foam"], missed)


# ------------------------------------------------------------------------------- 3. stained_glass

GLASS = {
    "deep": rgb("0d1f66", "15338f", "1c4fb4", "112a78", "2a2a80"),
    "sky": rgb("2f7fd0", "4aa3dc", "2a6cc0", "62bcd8"),
    "ruby": rgb("a80f1e", "c8202a", "8c0d26", "d8402c"),
    "gold": rgb("f4b02a", "f8cf55", "eb9420", "fbe08c"),
    "leaf": rgb("12784e", "2a9a58", "0f6458", "6fb544"),
    "violet": rgb("5a2590", "7a3aa8", "46207c", "9a4aa0"),
    "pearl": rgb("f6ecd0", "e8eede", "f9f2dc", "dfe8ea"),
}


def voronoi(canvas, rng, spacing, warp=0.0):
    """Number of the nearest of many scattered sites, and the distance to it."""
    sites = canvas.scatter(rng, spacing)
    bend = np.stack([canvas.noise(rng, 6, 2), canvas.noise(rng, 6, 2)], -1) * warp
    gap, nearest = cKDTree(sites).query(np.stack([canvas.x, canvas.y], -1) + bend)
    return nearest, gap


def border_distance(canvas, labels):
    """Distance of each pixel from the nearest border between labels."""
    border = np.zeros(canvas.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    return ndimage.distance_transform_edt(~border).astype(np.float32) / canvas.unit


class Window:
    """A drawing in glass: every pixel's zone (set off by thick lead) and its piece within the zone."""

    def __init__(self, canvas):
        self.zone, self.piece = np.zeros(canvas.shape, int), np.zeros(canvas.shape, int)
        self.kind = np.zeros(canvas.shape, int)

    def cut(self, where, zone, piece, glass):
        """Take `where` for a zone; `piece` numbers the pieces in it, `glass` names the color of each pixel."""
        self.zone[where] = zone
        self.piece[where] = np.broadcast_to(piece, where.shape)[where].astype(int)
        names = np.broadcast_to(glass, where.shape)[where]
        for number, name in enumerate(GLASS):
            self.kind[where] = np.where(names == name, number, self.kind[where])


def folds(canvas, center, count, offset=0.0):
    """Radial coordinates, repeated `count` times around the center: sector, outward, sideways, radius."""
    dx, dy = canvas.x - center[0], canvas.y - center[1]
    radius = np.hypot(dx, dy)
    turns = (np.arctan2(dy, dx) / TAU + 1) * count + offset
    sector = np.floor(turns)
    angle = (turns - sector - 0.5) * TAU / count
    return sector.astype(int) % count, radius * np.cos(angle), radius * np.sin(angle), radius


def pick(test, *names):
    """Glass names chosen per pixel by number."""
    return np.array(names)[np.asarray(test).astype(int) % len(names)]


def roundel(window, canvas, center, radius, zone, petals, outer, inner, heart):
    """A small round window: a rim, petals, and a heart."""
    sector, along, _, r = folds(canvas, center, petals)
    window.cut(r < radius, zone, sector, outer)
    window.cut(
        np.abs(_) < 0.42 * radius * np.sin(np.pi * np.clip((along / radius - 0.2) / 0.66, 0, 1)),
        zone,
        100 + sector,
        inner,
    )
    window.cut(r < 0.30 * radius, zone, 200, heart)


def rose(canvas, rng):
    """Draw the rose window: grounds first, then ever finer tracery on top."""
    window, center = Window(canvas), (0.5, 0.5)
    cells, _ = voronoi(canvas, rng, 0.052, 0.006)
    window.cut(canvas.x >= 0, 0, cells, pick(cells * 7 % 11, *["deep"] * 6, "sky", "violet", "sky", "violet", "leaf"))
    sector, _, _, r = folds(canvas, center, 60)
    window.cut(r < 0.497, 1, sector, pick(sector, "ruby", "ruby", "gold", "violet", "gold"))
    small, along, side, r = folds(canvas, center, 24)
    window.cut(r < 0.470, 3, small * 9 + cells % 9, pick(cells, "deep", "sky", "deep", "deep"))
    bead = np.hypot(along - 0.439, side)
    window.cut(bead < 0.0235, 4, small * 4 + (side > 0) * 2 + (along > 0.439), pick(small, "ruby", "leaf"))
    window.cut(bead < 0.0115, 5, small, "gold")
    petal, along, side, r = folds(canvas, center, 12)
    window.cut(r < 0.408, 6, petal * 40 + (r / 0.036).astype(int), pick(r / 0.036, "deep", "sky", "deep", "violet"))
    t = np.clip((along - 0.150) / 0.250, 0, 1)
    half = 0.088 * np.clip(np.sin(np.pi * t**1.25), 0, 1) ** 0.85
    chevron = ((along - 0.75 * np.abs(side)) / 0.030).astype(int)
    window.cut(np.abs(side) < half, 7, petal * 90 + chevron * 2 + (side > 0), pick(petal, "ruby", "gold"))
    inner = np.abs(side) < half * 0.72 - 0.004
    glass = np.where(petal % 2 == 0, pick(chevron, "gold", "pearl", "gold"), pick(chevron, "ruby", "violet", "ruby"))
    window.cut(inner, 8, petal * 90 + chevron * 2 + (side > 0), glass)
    window.cut(np.abs(side) < half * 0.28 - 0.003, 9, petal * 90 + chevron, pick(petal, "leaf", "sky"))
    for number in range(12):
        spot = turn([[0.352, 0]], TAU * number / 12)[0] + center
        rim, heart = ("leaf", "gold") if number % 2 else ("violet", "ruby")
        roundel(window, canvas, spot, 0.047, 20 + number, 8, rim, "pearl", heart)
    ring, along, side, r = folds(canvas, center, 24)
    window.cut(r < 0.176, 10, ring, pick(ring, "gold", "ruby"))
    window.cut(r < 0.152, 11, ring, pick(ring, "deep", "sky", "violet"))
    petal, along, side, r = folds(canvas, center, 8)
    half = 0.050 * np.sin(np.pi * np.clip(along / 0.150, 0, 1) ** 1.2)
    window.cut(
        np.abs(side) < half, 12, petal * 30 + ((along - np.abs(side)) / 0.032).astype(int), pick(petal, "gold", "pearl")
    )
    window.cut(np.abs(side) < half * 0.5, 13, petal * 30 + (along / 0.05).astype(int), pick(petal, "ruby", "sky"))
    window.cut(r < 0.040, 14, folds(canvas, center, 6)[0], "leaf")
    window.cut(r < 0.022, 15, 0, "pearl")
    for number, spot in enumerate([(0.075, 0.075), (0.925, 0.075), (0.075, 0.925), (0.925, 0.925)]):
        roundel(window, canvas, spot, 0.062, 40 + number, 8, "ruby", "gold", "sky")
    return window


def stained_glass(canvas, rng):
    """A rose window with the sun behind it: pieces of streaked glass held by lead."""
    window = rose(canvas, rng)
    _, piece = np.unique(window.zone * 100_000 + window.piece * 20 + window.kind, return_inverse=True)
    piece = piece.reshape(canvas.shape)
    kinds = np.zeros(piece.max() + 1, int)
    kinds[piece.ravel()] = window.kind.ravel()
    shades = list(GLASS.values())
    tints = np.array([shades[k][rng.integers(len(shades[k]))] for k in kinds])
    tints = jitter(rng, tints, 0.045)

    thin, thick = border_distance(canvas, piece), border_distance(canvas, window.zone)
    streaks = np.stack([canvas.noise(rng, 26, 3, s) for s in [(5, 1), (1, 5), (2, 2)]])
    streak = np.take_along_axis(streaks, (piece % 3)[None], 0)[0]
    sun = np.exp(-((np.hypot(canvas.x - 0.42, canvas.y - 0.40) / 0.55) ** 2))
    light = 0.80 + 0.48 * sun + 0.15 * streak
    light *= 0.62 + 0.44 * smoothstep(0, 0.016, thin)  # grime collects along the lead
    image = tints[piece] * light[..., None]
    image = lit(image, canvas.noise(rng, 75, 3) + 1.5 * streak, 0.7 / canvas.unit * 1536)  # uneven thickness
    seeds = canvas.noise(rng, 120, 1) > 2.9  # air bubbles
    image += 0.22 * ndimage.gaussian_filter(seeds.astype(np.float32), canvas.unit / 1500)[..., None]

    lead = np.maximum(0.0018 - thin, 0.0034 - thick) * canvas.unit
    cover = smoothstep(-0.5, 0.7, lead)
    round_back = ndimage.gaussian_filter(np.clip(lead, 0, None) ** 0.5, 1.0)
    came = lit(np.full_like(image, rgb("14151c")[0]), round_back, 1.6) + 0.03 * round_back[..., None]
    image = mix(image, came, cover)
    glow = ndimage.gaussian_filter(image, (canvas.unit / 110, canvas.unit / 110, 0))
    return image + 0.20 * glow * (1 - 0.5 * image)


# -------------------------------------------------------------------------------------- 4. points

PIGMENTS = rgb(
    "fff6df", "fbe58a", "f6c63a", "f0902e", "dd5030", "ef9d93", "b23a63", "c9a8d6", "7c5fae", "2c2a72",
    "2a55b0", "5a93d6", "a9d2ea", "3fa6a8", "14524a", "2c8a4e", "86b43c", "c9d65a",
)  # fmt: skip


def blob(canvas, rng, x, y, wide, high, rough=0.18):
    """How far inside a leafy mass each pixel lies (negative outside)."""
    return 1 - np.hypot((canvas.x - x) / wide, (canvas.y - y) / high) + rough * canvas.noise(rng, 12, 3)


class Scene:
    """A plan for painting: areas of color laid over one another."""

    def __init__(self, canvas, color):
        self.canvas, self.color = canvas, color

    def cover(self, share, color):
        self.color = mix(self.color, color, np.clip(share, 0, 1))

    def edge(self, inside, soft=0.004):
        return smoothstep(-soft, soft, inside)


def lakeside(canvas, rng):
    """Late sun on a lake: sky and far shore, their reflection, a meadow, trees, two strollers."""
    x, y = canvas.x, canvas.y
    shore = 0.335
    tall = Canvas(canvas.width, canvas.height)
    high = np.where(y < shore, y, 2 * shore - y)  # below the shore the lake mirrors what is above
    ripple = 0.006 * canvas.noise(rng, 40, 2, (6, 1)) * smoothstep(shore, 0.6, y)
    tall.x, tall.y = x + ripple, high + ripple
    scene = Scene(tall, ramp(tall.y / 0.33, rgb("4f8fd6", "7fb4e2", "b4d6ea", "f6e3c0", "f9c78e")))
    puffs = tall.noise(rng, 4, 4, (2.2, 1))
    sample = tall.sample(puffs, np.stack([tall.x, np.clip(tall.y, 0, 1)], -1))
    scene.cover(smoothstep(0.2, 1.1, sample + 1.0 * np.sin(np.pi * tall.y / 0.34) - 1.25), rgb("fff3dc")[0])
    scene.cover(0.75 * smoothstep(0.5, 1.6, sample + tall.y * 3 - 1.0), rgb("d3aed6")[0])
    ridge = 0.275 - 0.035 * np.sin(4.2 * x + 0.4) - 0.010 * np.sin(11 * x)
    scene.cover(scene.edge(tall.y - ridge), ramp((tall.y - ridge) / 0.07, rgb("8f8cc8", "a9a4d4", "cdbcd8")))
    woods = 0.312 - 0.014 * np.abs(np.sin(17 * x + 2 * np.sin(5 * x))) - 0.010 * np.sin(3 * x + 2)
    scene.cover(
        scene.edge(tall.y - woods),
        ramp(np.sin(23 * x) * 0.3 + 0.5 - (tall.y - woods) * 12 + 0.3, rgb("1f5a62", "2c8a5e", "8cb84a", "e8c452")),
    )
    for cx, size in [(0.30, 0.014), (0.345, 0.011), (0.56, 0.012), (0.16, 0.010)]:
        wall = np.maximum(np.abs(tall.x - cx) - size, np.abs(tall.y - 0.325) - size * 0.8)
        scene.cover(scene.edge(-wall, 0.002), rgb("fff0d2")[0])
        roof = np.maximum(np.abs(tall.x - cx) * 0.7 + (0.318 - tall.y) - size * 0.9, tall.y - 0.3165)
        scene.cover(scene.edge(-roof, 0.002), rgb("e0663a")[0])
    for cx, size in [(0.235, 0.10), (0.44, 0.062), (0.075, 0.05)]:
        sail(scene, cx, size, shore)
    scene.canvas = canvas
    water = ramp(
        (y - shore) / 0.3 + 0.12 * canvas.noise(rng, 30, 3, (5, 1)), rgb("8fc3dc", "4f94d0", "2a62b4", "2b4f9e")
    )
    scene.cover((y > shore) * (0.45 + 0.25 * smoothstep(0, 0.3, y - shore)), water)
    glitter = smoothstep(0.9, 1.8, canvas.noise(rng, 55, 2, (6, 1)) + 1.1 * np.exp(-(((x - 0.50) / 0.10) ** 2)))
    scene.cover((y > shore) * glitter * 0.9, rgb("fff0b8")[0])
    for cx, size in [(0.235, 0.10), (0.44, 0.062), (0.075, 0.05)]:
        hull = np.hypot((x - cx) / (size * 0.55), (y - shore - 0.004 - size * 0.12) / (size * 0.12))
        scene.cover(scene.edge(0.5 - hull * 0.5, 0.05), rgb("7a2f4a")[0])
    return meadow(scene, canvas, rng)


def sail(scene, x, size, shore):
    """A boat's two sails above the shore line; the lake mirrors them by itself."""
    dx, up = (scene.canvas.x - x) / size, (shore - scene.canvas.y) / size + 0.25
    main = np.minimum.reduce([dx + 0.02, 0.62 * (1 - up / 1.9) - dx, up - 0.15])
    jib = np.minimum.reduce([-dx - 0.04, 0.40 * (1 - up / 1.6) + dx, up - 0.18])
    scene.cover(scene.edge(main, 0.03), rgb("fffbe8")[0])
    scene.cover(scene.edge(jib, 0.03), rgb("f7c9a0")[0])


def meadow(scene, canvas, rng):
    x, y = canvas.x, canvas.y
    bank = 0.640 - 0.115 * x**1.5 - 0.02 * np.sin(7 * x + 1)
    patch = canvas.noise(rng, 7, 3, (2.5, 1))
    scene.cover(scene.edge(y - bank + 0.012), rgb("d9b070")[0])
    grass = ramp(0.72 + 0.16 * patch - 0.5 * (y - bank) / 0.2, rgb("3f8a44", "86b43c", "c4d254", "f2dc64", "fbe79a"))
    scene.cover(scene.edge(y - bank), grass)
    shade = smoothstep(0.05, 0.35, 0.30 * patch + (y - 0.665 + 0.05 * np.sin(9 * x)) * 9)
    shade = np.maximum(shade, smoothstep(0, 0.25, blob(canvas, rng, 0.74, 0.60, 0.25, 0.038, 0.25)))
    scene.cover(
        scene.edge(y - bank) * shade * 0.93, ramp(0.5 + 0.24 * patch, rgb("2c2a72", "1c4a78", "1d5f56", "2f7f4a"))
    )
    for sx, foot, size, dress, shadow in [
        (0.40, 0.672, 0.105, "f4ead8", "7d86c4"),
        (0.455, 0.680, 0.112, "b23a63", "4a2a6a"),
    ]:
        stroller(scene, canvas, sx, foot, size, rgb(dress, shadow))
    for tx, lean, thick in [(0.845, 0.02, 0.021), (0.965, -0.03, 0.015)]:
        trunk = thick * (1 + 1.6 * smoothstep(0.55, 0.64, y)) - np.abs(x - tx - lean * (0.6 - y))
        light = smoothstep(0.3, -0.8, (x - tx - lean * (0.6 - y)) / thick)
        scene.cover(scene.edge(trunk) * (y < 0.625), mix(rgb("3a2358")[0], rgb("e58a4a")[0], light * 0.9))
    leaves = canvas.noise(rng, 24, 3)
    for cx, cy, wide, high in [
        (0.95, 0.03, 0.30, 0.15),
        (0.80, 0.11, 0.19, 0.11),
        (0.97, 0.22, 0.17, 0.13),
        (0.69, 0.05, 0.13, 0.07),
        (0.86, 0.27, 0.12, 0.07),
    ]:
        inside = blob(canvas, rng, cx, cy, wide, high)
        sun = 0.40 + 0.9 * ((cx - x) / wide - (y - cy) / high) * 0.45 + 0.16 * leaves
        scene.cover(
            scene.edge(inside, 0.05), ramp(sun, rgb("16264f", "14524a", "2c7a48", "86b43c", "dfd55a", "fbe58a"))
        )
    return scene.color


def stroller(scene, canvas, x, foot, size, dress):
    """A figure in a long dress under a parasol, seen from behind."""
    dx, up = (canvas.x - x) / size, (foot - canvas.y) / size
    skirt = np.minimum.reduce([0.10 + 0.16 * np.clip(0.55 - up, 0, 1) - np.abs(dx), up, 0.78 - up])
    scene.cover(scene.edge(skirt, 0.02), mix(dress[0], dress[1], smoothstep(-0.08, 0.12, dx)))
    scene.cover(scene.edge(0.062 - np.hypot(dx, up - 0.86), 0.02), rgb("7a3a2a")[0])
    bow = np.minimum(0.30 - np.hypot(dx + 0.05, (up - 0.92) * 1.1), up - 0.95)
    scene.cover(scene.edge(bow, 0.02), mix(rgb("f6c63a")[0], rgb("dd5030")[0], smoothstep(-0.2, 0.15, dx + 0.05)))


def dab(canvas, image, height, starts, colors, radius, rng):
    """Round dabs of paint, a little uneven, each laid over the earlier ones."""
    reach = int(radius * canvas.unit * 1.3) + 1
    dx, dy = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    dx, dy = dx.ravel(), dy.ravel()
    radii = radius * canvas.unit * rng.uniform(0.75, 1.15, len(starts))
    slant, squeeze = rng.uniform(0, np.pi, len(starts))[:, None], rng.uniform(0.72, 1.0, len(starts))[:, None]
    along = dx * np.cos(slant) + dy * np.sin(slant)
    across = (-dx * np.sin(slant) + dy * np.cos(slant)) / squeeze
    share = np.hypot(along, across) / radii[:, None]
    column = (starts[:, 0] * canvas.unit).astype(int)[:, None] + dx
    row = (starts[:, 1] * canvas.unit).astype(int)[:, None] + dy
    keep = (share < 1) & (row >= 0) & (row < canvas.height) & (column >= 0) & (column < canvas.width)
    shades = np.broadcast_to(colors[:, None], (*keep.shape, 3))
    image[row[keep], column[keep]] = shades[keep]
    height[row[keep], column[keep]] = (1 - share**3)[keep]


def divide(rng, wanted, spread):
    """For each wanted color a pure pigment, near ones more often: the eye mixes them again.

    Now and then it is a pigment near the opposite color, beside which the wanted one looks stronger.
    """
    gray = wanted.mean(-1, keepdims=True)
    opposed = rng.random((len(wanted), 1)) < 0.07
    wanted = np.where(opposed, gray - 1.3 * (wanted - gray), wanted)
    gap = ((wanted[:, None] - PIGMENTS) ** 2).sum(-1)
    return PIGMENTS[np.argmax(-gap / spread**2 + rng.gumbel(size=gap.shape), 1)]


def points(canvas, rng):
    """Pointillism: a sunlit lake in dots of pure color."""
    plan = lakeside(canvas, rng)
    image = np.broadcast_to(rgb("f3e3c0")[0], plan.shape).copy()
    height = np.zeros(canvas.shape, np.float32)
    for radius, spread, cover in [(0.0070, 0.10, 0.95), (0.0048, 0.20, 1.25), (0.0037, 0.24, 1.5), (0.0028, 0.20, 2.2)]:
        starts = canvas.scatter(rng, max(radius * cover, 1.5 / canvas.unit))
        colors = divide(rng, canvas.sample(plan, starts), spread)
        dab(canvas, image, height, starts, jitter(rng, colors, 0.025), radius, rng)
    return lit(image, ndimage.gaussian_filter(height, 0.8), 0.5)


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


def rings(rng, place, radius, count, shrink):
    """Drops let fall on one place, each into the one before, in different inks."""
    inks = rng.permutation(len(INKS))
    return [(complex(*place), radius * shrink**n, inks[n]) for n in range(count)]


def marbling_moves(canvas, rng):
    """The marbler's work in order: drops as (center, radius, ink), and movements as functions."""
    moves = []
    for place in canvas.scatter(rng, 0.100):
        moves += rings(rng, place, rng.uniform(0.035, 0.065), rng.integers(2, 5), 0.76)
    moves += [rake(0.0, 0.21, 0.10), rake(np.pi / 2, 0.16, 0.06, 0.2)]
    moves += [comb(np.pi / 2, 0.036, 0.075, 2.5), rake(0.0, 0.47, 0.05, 0.1)]
    moves += [
        swirl(0.25 + 0.24j, 0.150, 2.3),
        swirl(0.60 + 0.47j, 0.175, -2.5),
        swirl(0.21 + 0.74j, 0.140, 2.2),
        swirl(0.66 + 0.88j, 0.100, 2.2),
        swirl(0.68 + 0.10j, 0.095, -2.0),
    ]
    for place in canvas.scatter(rng, 0.13):  # a last sprinkling, left as small round stones
        if rng.random() < 0.5:
            moves += rings(rng, place, rng.uniform(0.006, 0.014), 3, 0.68)
    return moves


def marbling(canvas, rng):
    """Turkish marbled paper (ebru): drops of ink on water, raked, combed and stirred."""
    moves = marbling_moves(canvas, rng)
    places = (canvas.x + 1j * canvas.y).astype(np.complex64).ravel()
    index = np.arange(places.size)
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
        if hit.any():
            index, arm, share = index[~hit], arm[~hit], share[~hit]
        places = center + arm * np.sqrt(1 - 1 / share)
    pooled = depth.reshape(canvas.shape) ** 4  # pigment collects toward the rim of a drop
    image = INKS[ink].reshape(*canvas.shape, 3) * (1.05 - 0.20 * pooled)[..., None]
    return paper(canvas, image, rng, 0.028)


def paper(canvas, image, rng, amount):
    """The tooth of the paper and its cloudiness."""
    grain = canvas.noise(rng, 190, 2) + 0.7 * canvas.noise(rng, 5, 3)
    return image * (1 + amount * grain)[..., None]


# -------------------------------------------------------------------------------------- 6. mosaic

STONES = {
    "cream": "f2e6c9", "gold": "e2a93a", "clay": "cc5f34", "wine": "7d2428", "rose": "e3a58c",
    "teal": "23757f", "aqua": "86c0b6", "indigo": "1d3060", "night": "1b1a2c", "olive": "73883c",
}  # fmt: skip
STONES = {name: rgb(code)[0] for name, code in STONES.items()}


class Pavement:
    """A drawing in stone: each cut starts a new region, whose border the rows of stones will follow."""

    def __init__(self, canvas):
        self.region = np.zeros(canvas.shape, int)
        self.color = np.zeros((*canvas.shape, 3), np.float32)
        self.fine = np.zeros(canvas.shape, bool)
        self.count = 0

    def cut(self, where, stone, fine=True):
        self.count += 1
        self.region[where], self.fine[where] = self.count, fine
        self.color[where] = STONES[stone] if isinstance(stone, str) else stone[where]


def sea(pavement, canvas):
    """A round pool whose water turns around a flower in spiral arms."""
    _, _, _, r = folds(canvas, (0.5, 0.5), 1)
    angle = np.arctan2(canvas.y - 0.5, canvas.x - 0.5)
    for radius, stone in [(0.372, "wine"), (0.360, "cream"), (0.349, "indigo")]:
        pavement.cut(r < radius, stone)
    arm = np.floor((angle / TAU + 0.75 * (r / 0.33) ** 0.8) * 9)
    for number, stone in enumerate(["teal", "aqua", "indigo"]):
        for which in range(-12, 24):
            if which % 3 == number:
                pavement.cut((r < 0.338) & (arm == which), stone, False)


def fish(pavement, canvas, heading, back, side, belly, fin):
    """A fish that is bent around the center of the pool."""
    dx, dy = canvas.x - 0.5, canvas.y - 0.5
    r = np.hypot(dx, dy)
    along = ((np.arctan2(dy, dx) - heading + np.pi) % TAU - np.pi) / 1.02  # the head is at 1
    out = r - 0.212
    half = 0.074 * np.clip(1 - np.abs(along - 0.22) ** 2.1 / (0.80 + 0.36 * (along < 0.22)), 0, 1) ** 0.8 + 0.006
    half = np.where((along > -0.90) & (along < 1.02), half, 0)
    spread = 0.085 * np.clip((-0.72 - along) / 0.42, 0, 1) ** 0.8
    tail = (along < -0.74) & (np.abs(out) < spread) & (along > -1.18 + 0.9 * (spread - np.abs(out)))
    dorsal = (
        (out > 0)
        & (out < half + 0.036 * np.clip(np.sin(np.pi * (along + 0.42) / 0.95), 0, 1) ** 0.6)
        & (np.abs(along - 0.05) < 0.47)
    )
    ventral = (
        (out < 0)
        & (-out < half + 0.030 * np.clip(np.sin(np.pi * (along + 0.30) / 0.45), 0, 1))
        & (np.abs(along + 0.07) < 0.22)
    )
    rays = np.floor((along * 22 + out * 60)) % 2 == 0
    pavement.cut(tail | dorsal | ventral, fin[0])
    pavement.cut((tail | dorsal | ventral) & rays, fin[1])
    pavement.cut(np.abs(out) < half, "night")
    inner = np.where(along < 0.985, half - 0.0095, 0)
    pavement.cut((np.abs(out) < inner), belly)
    level = out / np.maximum(inner, 1e-6)
    pavement.cut((np.abs(out) < inner) & (level > -0.42), side)
    pavement.cut((np.abs(out) < inner) & (level > 0.38), back)
    scales = (np.floor(along * 10 + 1.4 * level**2) % 2 == 0) & (along < 0.50) & (along > -0.7)
    pavement.cut(scales & (np.abs(out) < inner) & (level < 0.38) & (level > -0.42), belly)
    pavement.cut((np.abs(along - 0.56 + 0.10 * level**2) < 0.022) & (np.abs(out) < inner), "night")
    spot = np.hypot((along - 0.76) * 0.215, out - 0.012)
    for radius, stone in [(0.020, "night"), (0.0135, "cream"), (0.0065, "night")]:
        pavement.cut(spot < radius, stone)


def flower(pavement, canvas, center, radius, petals, inks):
    """A rosette: a disc, petals in two tones, and a heart."""
    sector, along, side, r = folds(canvas, center, petals, 0.5)
    pavement.cut(r < radius, inks[0])
    t = np.clip(along / (0.92 * radius), 0, 1)
    half = 0.40 * radius * np.sin(np.pi * t**1.3) * (8 / petals)
    pavement.cut(np.abs(side) < half, inks[1])
    pavement.cut(np.abs(side) < half - 0.0095, inks[2])
    pavement.cut(r < 0.30 * radius, inks[3])
    pavement.cut(r < 0.14 * radius, inks[4])


def braid(pavement, canvas):
    """The border: bands, and between them two strands plaited around golden eyes, with flowers in the corners."""
    x, y = canvas.x, canvas.y
    edge = np.minimum.reduce([x, 1 - x, y, 1 - y])
    for width, stone in [(1, "clay"), (0.128, "cream")]:
        pavement.cut(edge < width, stone)
    for width, stone in [(0.118, "indigo"), (0.024, "cream"), (0.014, "wine")]:
        pavement.cut(edge < width, stone)
    level = np.minimum(y, 1 - y) < np.minimum(x, 1 - x)
    along, across = np.where(level, x, y), edge - 0.071
    phase = (along - 0.14) / 0.72 * 9  # the strands cross wherever this is whole
    middle = (along > 0.125) & (along < 0.875) & (edge > 0.024) & (edge < 0.118)
    steep = np.sqrt(1 + (0.0255 * np.pi * 9 / 0.72 * np.cos(np.pi * phase)) ** 2)
    for sign, core, part in [
        (1, "clay", middle),
        (-1, "teal", middle),
        (1, "clay", middle & (np.round(phase) % 2 == 0)),
    ]:
        off = np.abs(across - sign * 0.0255 * np.sin(np.pi * phase)) / steep
        pavement.cut(part & (off < 0.0160), "cream")
        pavement.cut(part & (off < 0.0058), core)
    eye = np.hypot((phase - np.floor(phase) - 0.5) * 0.08, across)
    pavement.cut(middle & (eye < 0.0085), "gold")
    for cx in (0.071, 0.929):
        for cy in (0.071, 0.929):
            flower(pavement, canvas, (cx, cy), 0.047, 8, ["cream", "wine", "gold", "clay", "cream"])


def spandrel(pavement, canvas, sx, sy):
    """A spray of leaves and a pomegranate in one corner between pool and border."""
    cx, cy = 0.5 + 0.352 * sx, 0.5 + 0.352 * sy
    dx, dy = (cx - canvas.x) * sx, (cy - canvas.y) * sy
    for angle, length in [(-0.02, 0.17), (np.pi / 2 + 0.02, 0.17), (0.35, 0.135), (np.pi / 2 - 0.35, 0.135)]:
        u, v = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
        half = 0.020 * np.sin(np.pi * np.clip(u / length, 0, 1)) ** 0.8
        pavement.cut(np.abs(v) < half, "olive")
        pavement.cut((np.abs(v) < half) & (v > 0), "teal")
    fruit = np.hypot(dx - 0.062, dy - 0.062)
    pavement.cut(fruit < 0.034, "wine")
    pavement.cut(fruit < 0.024, "clay")
    pavement.cut(np.hypot(dx - 0.055, dy - 0.070) < 0.010, "rose")


def lay(canvas, pavement, spacing, where):
    """Stones in rows at even distances from the borders of the regions: centers and directions."""
    gap = border_distance(canvas, pavement.region)
    parts = label(pavement.region, connectivity=1)
    room = ndimage.maximum(gap, parts, np.arange(parts.max() + 1))[parts]
    gap = np.where(room < 0.6 * spacing, gap * 0.6 * spacing / room, gap)  # a narrow region still gets a row
    gap = np.where(where, ndimage.gaussian_filter(gap, 1.0), np.nan)
    centers, angles = [], []
    for level in np.arange(0.5, 40) * spacing:
        for path in find_contours(gap, level):
            path = (path[:, ::-1] + 0.5) / canvas.unit
            length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
            count = max(1, round(length[-1] / spacing))
            at = (np.arange(count) + 0.5) * length[-1] / count
            before, spot, after = (
                np.stack([np.interp(at + shift * spacing, length, side) for side in path.T], -1)
                for shift in (-0.3, 0, 0.3)
            )
            centers.append(spot)
            angles.append(np.arctan2(after[:, 1] - before[:, 1], after[:, 0] - before[:, 0]))
    return np.concatenate(centers), np.concatenate(angles)


def patch(canvas, pavement, centers, spacing):
    """Stones for the bare spots that the rows have left, the roomiest spots first."""
    gap = ndimage.gaussian_filter(border_distance(canvas, pavement.region), 2.0)
    spots = np.stack([canvas.x, canvas.y], -1)
    bare = cKDTree(centers).query(spots, distance_upper_bound=0.8 * spacing)[0] > 0.70 * spacing
    order = np.argsort(-gap[bare], kind="stable")
    down, across = np.gradient(gap)
    return spots[bare][order], np.arctan2(across, -down)[bare][order]


def sift(centers, sizes):
    """Which stones to keep, so that none lies too close to an earlier one."""
    keep = np.ones(len(centers), bool)
    tree = cKDTree(centers)
    for number, (center, size) in enumerate(zip(centers, sizes, strict=True)):
        if keep[number]:
            close = np.array(tree.query_ball_point(center, 0.74 * size))
            keep[close[close > number]] = False
    return keep


def mosaic(canvas, rng):
    """A Roman floor: two fish circle a flower in a round pool, inside a plaited border."""
    pavement = Pavement(canvas)
    braid(pavement, canvas)
    for sx, sy in [(-1, -1), (1, -1), (-1, 1), (1, 1)]:
        spandrel(pavement, canvas, sx, sy)
    sea(pavement, canvas)
    fish(pavement, canvas, -0.6, "wine", "clay", "gold", ("gold", "clay"))
    fish(pavement, canvas, np.pi - 0.6, "indigo", "rose", "cream", ("cream", "rose"))
    flower(pavement, canvas, (0.5, 0.5), 0.088, 8, ["cream", "wine", "clay", "gold", "night"])

    centers, angles, sizes = np.zeros((0, 2)), np.zeros(0), np.zeros(0)
    for spacing, where in [(0.0098, pavement.fine), (0.0125, ~pavement.fine)]:
        for spots, directions in [lay(canvas, pavement, spacing, where)]:
            centers, angles = np.vstack([centers, spots]), np.append(angles, directions)
            sizes = np.append(sizes, np.full(len(spots), spacing))
    keep = sift(centers, sizes)
    centers, angles, sizes = centers[keep], angles[keep], sizes[keep]
    spots, directions = patch(canvas, pavement, centers, 0.0098)
    centers, angles = np.vstack([centers, spots]), np.append(angles, directions)
    sizes = np.append(sizes, np.full(len(spots), 0.0098))
    keep = sift(centers, sizes)
    centers, angles, sizes = centers[keep], angles[keep], sizes[keep]

    spots = np.stack([canvas.x, canvas.y], -1)
    _, near = cKDTree(centers).query(spots, k=4)
    arm = spots[:, :, None] - centers[near]
    cos, sin = np.cos(angles)[near], np.sin(angles)[near]
    along, across = arm[..., 0] * cos + arm[..., 1] * sin, arm[..., 1] * cos - arm[..., 0] * sin
    far = (along**6 + across**6) ** (1 / 6) / sizes[near]  # nearly square stones
    order = np.argsort(far, -1)
    stone = np.take_along_axis(near, order[..., :1], -1)[..., 0]
    far = np.take_along_axis(far, order, -1)
    inside = np.minimum((far[..., 1] - far[..., 0]) / 2, 0.62 - far[..., 0]) * sizes[stone]

    tints = jitter(rng, canvas.sample(pavement.color, centers), 0.050)
    tilt = rng.normal(0, 0.9, (len(centers), 2))
    image = tints[stone] * (1 + 0.035 * canvas.noise(rng, 160, 3) + 0.03 * canvas.noise(rng, 8, 2))[..., None]
    slope = (along[..., 0] * tilt[stone][..., 0] + across[..., 0] * tilt[stone][..., 1]) / sizes[stone]
    image *= (1 + 0.10 * slope)[..., None]
    height = ndimage.gaussian_filter(np.clip(inside * canvas.unit, 0, 0.0022 * canvas.unit), 0.8)
    grout = rgb("6b5a4c")[0] * (1 + 0.10 * canvas.noise(rng, 200, 2))[..., None]
    return lit(mix(grout, image, smoothstep(0.0003, 0.0011, inside)), height, 0.45)


# -------------------------------------------------------------------------------------- 7. hatching

PAPER, INK, RUST = rgb("f3e7cb", "1d1f2e", "b5432a")


class Drawing:
    """What a pen drawing needs to know of each pixel: the thing, its darkness, its ink, and its hatching."""

    def __init__(self, canvas):
        self.canvas = canvas
        self.thing = np.zeros(canvas.shape, int)
        self.dark, self.red = np.zeros(canvas.shape, np.float32), np.zeros(canvas.shape, np.float32)
        self.first, self.second = np.zeros(canvas.shape, np.float32), np.zeros(canvas.shape, np.float32)
        self.count = 0

    def cover(self, where, dark, first, second, red=0.0):
        """A thing in front of all earlier ones; lines run where `first` (then `second`) is constant."""
        self.count += 1
        self.thing[where] = self.count
        for name, value in [("dark", dark), ("first", first), ("second", second), ("red", red)]:
            getattr(self, name)[where] = np.broadcast_to(value, self.canvas.shape)[where]

    def face(self, points, dark, angle, red=0.0):
        """A flat side of a house, hatched straight."""
        x, y = self.canvas.x, self.canvas.y
        lines = [x * np.sin(a) - y * np.cos(a) for a in (angle, angle + 1.05)]
        self.cover(self.canvas.mask(points) > 0.5, dark, *lines, red)


def house(drawing, rng, x, foot, wide, tall, deep):
    """A gabled house lit from the left."""
    apex, rise = np.array([x + wide / 2, foot - tall - 0.55 * wide]), np.array([deep, -0.30 * deep])
    left, right = np.array([x, foot - tall]), np.array([x + wide, foot - tall])
    base = np.array([x + wide, foot])
    drawing.face([base, right, right + rise, base + rise], 0.78, 1.35)
    eave = np.array([0.10 * wide, 0.10 * wide])
    drawing.face([right + eave, apex, apex + rise, right + rise + eave], 0.66, 1.1, 1.0)
    drawing.face([(x, foot), left, apex, right, base], 0.10 + 0.12 * rng.random(), 1.5)
    drawing.face([left + eave * [-1, 1], apex, apex + (0, 0.13 * wide), left + eave * [-1, 2.2]], 0.30, 0.9, 1.0)
    drawing.face([right + eave, apex, apex + (0, 0.13 * wide), right + eave * [1, 2.2]], 0.55, 0.9, 1.0)
    for column in (0.22, 0.62):
        for row in np.arange(0.2, 0.75, 0.42 * wide / tall):
            if rng.random() < 0.8:
                corner = np.array([x + column * wide, foot - tall + row * tall])
                box = np.array([(0, 0), (0.17, 0), (0.17, 0.26), (0, 0.26)]) * wide
                drawing.face(corner + box, 1.0, 0.2)
    window = right + rise * 0.45 + (0, 0.30 * tall)
    drawing.face(
        [window, window + rise * 0.22, window + rise * 0.22 + (0, 0.28 * wide), window + (0, 0.28 * wide)], 1.0, 0.2
    )


def tower(drawing, x, foot, wide, tall):
    """A round tower with a pointed cap."""
    canvas = drawing.canvas
    across = (canvas.x - x) / wide
    body = (np.abs(across) < 1) & (canvas.y < foot) & (canvas.y > foot - tall)
    bend = 0.25 * wide * np.sqrt(np.clip(1 - across**2, 0, 1))
    drawing.cover(body, 0.30 + 0.55 * across, canvas.y - bend, canvas.x)
    for spot in (0.25, 0.55):
        drawing.face(
            [(x - 0.3 * wide, foot - tall + spot * tall + dy * wide) for dy in (0, 0.8)]
            + [(x + 0.1 * wide, foot - tall + spot * tall + dy * wide) for dy in (0.8, 0)],
            1,
            0.2,
        )
    cap = (foot - tall - canvas.y) / (2.6 * wide)
    cone = (cap > -0.05) & (np.abs(across) < 1.22 * (1 - cap))
    drawing.cover(
        cone,
        0.42 + 0.5 * across / np.maximum(1 - cap, 0.05),
        canvas.x + 0.4 * (x - canvas.x) * cap,
        canvas.y - bend,
        1.0,
    )


def cypress(drawing, rng, x, foot, wide, tall):
    """A dark flame of a tree, hatched in strokes that sweep upward."""
    canvas = drawing.canvas
    t = np.clip((foot - canvas.y) / tall, 0, 1)
    sway = 0.10 * wide * np.sin(9 * t + 40 * x)
    across = (canvas.x - x - sway) / wide
    edge = np.clip(np.sin(np.pi * t**0.62), 0, 1) ** 0.75 + 0.10 * canvas.noise(rng, 60, 2)
    where = (np.abs(across) < edge) & (t > 0) & (t < 0.995)
    drawing.cover(
        where,
        0.74 + 0.30 * across,
        canvas.x * 0.9 + 0.25 * np.sin(14 * t + 3 * across) * wide,
        0.6 * canvas.x + 0.8 * canvas.y,
    )


def bush(drawing, rng, x, y, size):
    """A round tree of curling scribbles on a short trunk."""
    canvas = drawing.canvas
    drawing.face(
        [
            (x - 0.12 * size, y),
            (x + 0.12 * size, y),
            (x + 0.16 * size, y + 1.35 * size),
            (x - 0.16 * size, y + 1.35 * size),
        ],
        0.85,
        1.4,
    )
    dx, dy = (canvas.x - x) / size, (canvas.y - y) / size
    rough = canvas.noise(rng, 0.9 / size, 3)
    leaves = canvas.noise(rng, 3.5 / size, 1)
    where = np.hypot(dx, dy) < 1 + 0.08 * rough + 0.06 * leaves
    curls = size * np.hypot(dx + 0.6 + 0.12 * rough, dy + 0.6 + 0.08 * leaves)
    drawing.cover(where, 0.54 + 0.36 * (dx + dy) + 0.12 * rough + 0.10 * leaves, curls, canvas.x - canvas.y)


def cloud(drawing, rng, x, y, size):
    """Piled-up round heads over a flat foot, hatched on their lower right."""
    canvas = drawing.canvas
    for height in (0.75, 0.40, 0.08):
        for shift in np.arange(-1.5, 1.51, 0.5) * (1 - 0.55 * height):
            radius = size * (0.52 - 0.14 * abs(shift)) * rng.uniform(0.85, 1.2)
            dx = (canvas.x - x - size * (shift + rng.normal(0, 0.08))) / radius
            dy = (canvas.y - y + size * height * (1 - 0.25 * shift**2)) / radius
            head = (np.hypot(dx, dy) < 1 + 0.03 * canvas.noise(rng, 40, 1)) & (canvas.y < y + 0.12 * size)
            dark = 0.02 + 0.55 * np.clip(0.6 * dx + 0.8 * dy, 0, 1) + 0.25 * (0.4 - height)
            drawing.cover(head, dark, radius * np.hypot(dx + 0.7, dy + 0.7), canvas.x - canvas.y)


def hill_town(canvas, rng):
    """The whole scene from back to front: sky and sun, clouds, far hills, the town, fields and trees."""
    drawing, x, y = Drawing(canvas), canvas.x, canvas.y
    soft = canvas.noise(rng, 4, 3)
    away = np.hypot(x - 0.21, y - 0.20)
    bulge = 0.060 * np.exp(-((away / 0.19) ** 2)) * np.tanh((y - 0.2) * 14)
    sky = 0.78 - 1.1 * y - 0.62 * np.exp(-((away / 0.20) ** 2)) + 0.10 * soft
    drawing.cover(
        x >= 0,
        np.maximum(sky, 0.06 + 0.05 * soft),
        y - bulge + 0.010 * np.sin(8 * x + 3) + 0.004 * np.sin(21 * x + 20 * y),
        0.8 * x + 0.6 * y,
    )
    drawing.cover(away < 0.098, 0.52 + 0.14 * np.cos(TAU * away / 0.035), away, x + y, 1.0)
    for spot in [(0.815, 0.150, 0.090), (0.435, 0.090, 0.052), (0.055, 0.345, 0.060), (0.98, 0.29, 0.06)]:
        cloud(drawing, rng, *spot)
    far = 0.44 - 0.05 * np.sin(4 * x + 0.7) - 0.02 * np.sin(11 * x)
    drawing.cover(y > far, 0.42 + 0.24 * np.sin(11 * x + 1) + 0.06 * soft, 0.7 * x + 0.7 * (y - far), 0.7 * x - 0.7 * y)
    near = 0.50 - 0.03 * np.sin(7 * x + 2.2) - 0.015 * np.sin(17 * x)
    drawing.cover(
        y > near, 0.50 + 0.24 * np.sin(14 * x + 2) + 0.06 * soft, 0.8 * x - 0.6 * (y - near), 0.6 * x + 0.8 * y
    )
    hill = 0.70 - 0.38 * np.exp(-(((x - 0.62) / 0.21) ** 2)) - 0.04 * np.sin(6 * x)
    drawing.cover(y > hill, 0.40 + 1.1 * (x - 0.62) + 0.1 * soft, y - 0.75 * hill, x)
    town(drawing, rng)
    return fields(drawing, rng)


def town(drawing, rng):
    """Houses from the top of the hill downward, each row in front of the one before and larger."""
    tower(drawing, 0.640, 0.36, 0.021, 0.150)
    for number, foot in enumerate(np.linspace(0.355, 0.600, 8)):
        half = 0.055 + 0.030 * number
        wide = 0.034 + 0.0030 * number
        x = 0.615 - half - 0.5 * wide * (number % 2)
        while x < 0.615 + half:
            tall = wide * rng.uniform(0.9, 1.7)
            drop = 0.45 * ((x - 0.60) / half) ** 2 * 0.1
            house(drawing, rng, x, foot + drop + rng.uniform(-0.008, 0.008), wide, tall, wide * rng.uniform(0.7, 1.3))
            x += wide * rng.uniform(1.7, 2.4)
            if rng.random() < 0.30:
                cypress(drawing, rng, x - 0.15 * wide, foot + drop + 0.012, 0.30 * wide, wide * rng.uniform(1.6, 2.4))
        if number == 3:
            tower(drawing, 0.515, foot + 0.02, 0.017, 0.095)


def fields(drawing, rng):
    """Ploughed slopes, vineyards and trees in front of the town."""
    x, y = drawing.canvas.x, drawing.canvas.y
    soft = drawing.canvas.noise(rng, 5, 3)
    slopes = [
        (0.600 - 0.03 * np.sin(5 * x + 2.4), 0.46, 0.35),
        (0.640 + 0.05 * np.sin(4.2 * x + 0.3), 0.56, -0.30),
        (0.700 - 0.06 * np.sin(3.6 * x + 0.9), 0.50, 0.45),
    ]
    trees = [
        [(0.30, 0.590, 0.022), (0.345, 0.605, 0.030), (0.93, 0.55, 0.028), (0.885, 0.570, 0.020), (0.24, 0.60, 0.018)],
        [(0.07, 0.605, 0.036), (0.145, 0.630, 0.028), (0.79, 0.585, 0.030), (0.60, 0.610, 0.022), (0.55, 0.615, 0.016)],
        [(0.50, 0.70, 0.022), (0.66, 0.655, 0.026), (0.70, 0.665, 0.020)],
    ]
    for (top, dark, lean), bushes in zip(slopes, trees, strict=True):
        rows = (y - top) * (1 + 1.5 * (y - top)) + lean * 0.12 * x
        ridges = 0.30 * np.sin(TAU * rows / (0.020 + 0.06 * (top.mean() - 0.58)))
        drawing.cover(
            y > top, dark + ridges + 2.2 * (y - top - 0.05) + 0.08 * soft, rows, 0.8 * x + 0.6 * y * np.sign(lean)
        )
        for spot in bushes:
            bush(drawing, rng, *spot)
    for spot in [(0.215, 0.71, 0.020, 0.22), (0.255, 0.72, 0.016, 0.16), (0.43, 0.69, 0.013, 0.12),
                 (0.900, 0.765, 0.030, 0.38), (0.955, 0.79, 0.024, 0.28), (0.845, 0.76, 0.017, 0.19)]:  # fmt: skip
        cypress(drawing, rng, *spot)
    return drawing


def pen(canvas, rng, lines, spacing, pressure):
    """Ink of a set of lines: where `lines` passes multiples of `spacing`, as thick as the pressure says."""
    wobble = 0.09 * canvas.noise(rng, 20, 2) + 0.03 * canvas.noise(rng, 110, 1)
    number = lines / spacing + wobble
    line = np.round(number).astype(int)
    habits = ndimage.gaussian_filter1d(rng.standard_normal((257, 512)), 5, axis=1, mode="wrap") * 3
    along = ((canvas.x + 0.61 * canvas.y) * 330).astype(int)
    hand = habits[line % 257, along % 512]  # each line presses, fades and breaks in its own places
    half = 0.34 * np.clip(pressure * (1 + 0.28 * hand), 0, 1) ** 0.8
    off = np.abs(number - line) * spacing
    return smoothstep(0.55, -0.55, (off - half * spacing) * canvas.unit) * (half > 0.045)


def hatching(canvas, rng):
    """Pen and ink: a walled town on a hill under a red sun, in hatching, cross-hatching and a thin wash."""
    drawing = hill_town(canvas, rng)
    dark = np.clip(drawing.dark, 0, 1.1)
    ink = pen(canvas, rng, drawing.first, 0.0058, smoothstep(-0.22, 1.15, dark))
    ink = np.maximum(ink, pen(canvas, rng, drawing.second, 0.0060, 0.8 * smoothstep(0.46, 1.2, dark)))
    third = 0.75 * drawing.first - 0.75 * drawing.second
    ink = np.maximum(ink, pen(canvas, rng, third, 0.0058, 0.7 * smoothstep(0.72, 1.25, dark)))
    outline = border_distance(canvas, drawing.thing) - 0.0011 - 0.0005 * canvas.noise(rng, 18, 2)
    outline = smoothstep(0.6, -0.6, outline * canvas.unit)

    stain = canvas.noise(rng, 3, 4)
    image = PAPER * (1 + 0.022 * stain + 0.020 * canvas.noise(rng, 210, 2))[..., None]
    tint = np.where(drawing.red[..., None] > 0.5, rgb("d98a5a")[0], rgb("b09a74")[0])
    wash = np.clip(0.05 + 0.75 * dark + 0.08 * stain, 0, 1) * (0.55 + 0.25 * drawing.red)
    image = image * mix(np.ones(3, np.float32), tint / PAPER, wash)
    image = mix(image, mix(INK, RUST, drawing.red), 0.90 * ink)
    return mix(image, INK, 0.92 * outline)


# -------------------------------------------------------------------------------------- 8. geometric

WASHES = {
    "black": "1b1a22", "blue": "1f3f93", "sky": "5fa3c9", "teal": "1e8a86", "yellow": "f2b92c", "orange": "e8792b",
    "red": "cc2f2a", "pink": "e79a96", "violet": "5b3a7e", "sand": "e6cf9f", "mist": "b9cbd0", "green": "7fa04a",
}  # fmt: skip
WASHES = {name: rgb(code)[0] for name, code in WASHES.items()}


class Watercolor:
    """Transparent color on paper: washes darken each other, settle in the grain, and pool at their edges."""

    def __init__(self, canvas, rng):
        self.canvas, self.rng = canvas, rng
        self.image = rgb("f8efdb")[0] * (1 + 0.02 * canvas.noise(rng, 4, 3))[..., None]
        self.paper = self.image.copy()
        self.grain = canvas.noise(rng, 220, 2)
        self.clouds = [canvas.noise(rng, 6, 5) for _ in range(4)]
        self.quivers = [canvas.noise(rng, 30, 3) for _ in range(3)]
        self.laid = 0

    def wash(self, inside, name, strength=0.9, fade=None):
        """Lay a wash where `inside` (the distance from the shape's edge) is positive."""
        self.laid += 1
        cloud, quiver = self.clouds[self.laid % 4], self.quivers[self.laid % 3]
        inside = inside + 0.0008 * quiver
        cover = smoothstep(-0.0007, 0.0007, inside)
        pooled = np.exp(-np.clip(inside, 0, 1) / 0.0035)
        density = strength * (0.86 + 0.10 * cloud + 0.050 * self.grain + 0.24 * pooled)
        if fade is not None:
            density = density * (0.25 + 0.75 * np.clip(fade, 0, 1))
        self.image *= 1 - (np.clip(density, 0, 1.12) * cover)[..., None] * (1 - WASHES[name])

    def reserve(self, center, radius, share=0.85):
        """Keep a disc of the paper nearly white, as masking fluid does, so that what follows shines."""
        inside = radius - distance(self.canvas, *center)
        self.image = mix(self.image, self.paper, share * smoothstep(-0.002, 0.002, inside))

    def disc(self, center, radius, *paint, **more):
        self.wash(radius - distance(self.canvas, *center), *paint, **more)

    def ring(self, center, radius, width, *paint, turn_from=None, turn_by=None, **more):
        """A ring, or the part of it from one angle over another (in turns)."""
        inside = width / 2 - np.abs(distance(self.canvas, *center) - radius)
        if turn_from is not None:
            turns = np.arctan2(self.canvas.y - center[1], self.canvas.x - center[0]) / TAU - turn_from
            off = np.abs((turns - turn_by / 2 + 0.5) % 1 - 0.5) - turn_by / 2
            inside = np.minimum(inside, -off * TAU * radius)
        self.wash(inside, *paint, **more)

    def shape(self, corners, *paint, **more):
        """A convex polygon, corners in clockwise order as seen (y points down)."""
        corners = np.asarray(corners, float)
        inside = np.full(self.canvas.shape, 9.0, np.float32)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            length = np.hypot(bx - ax, by - ay)
            side = ((bx - ax) * (self.canvas.y - ay) - (by - ay) * (self.canvas.x - ax)) / length
            inside = np.minimum(inside, side)
        self.wash(inside, *paint, **more)

    def bar(self, start, end, width, *paint, taper=1.0, **more):
        """A straight stroke, `taper` times as wide at its end."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        along = (end - start) / np.linalg.norm(end - start)
        across = np.array([-along[1], along[0]]) * width / 2
        self.shape([start - across, end - across * taper, end + across * taper, start + across], *paint, **more)


def grounds(art):
    """Large pale areas that cover the sheet."""
    x, y = art.canvas.x, art.canvas.y
    art.shape([(-0.1, -0.1), (0.525, -0.1), (0.645, 0.44), (0.42, 0.44), (-0.1, 0.70)], "pink", 0.62, fade=1.15 - y)
    art.shape([(0.525, -0.1), (0.9, -0.1), (0.9, 0.52), (0.645, 0.44)], "yellow", 0.72, fade=1.1 - y)
    art.shape([(0.42, 0.44), (0.645, 0.44), (0.9, 0.52), (0.9, 1.1), (0.62, 1.1)], "sky", 0.48, fade=0.2 + y * 0.7)
    art.shape([(-0.1, 0.70), (0.42, 0.44), (0.62, 1.1), (-0.1, 1.1)], "sand", 0.85, fade=x + 0.6)


def geometric(canvas, rng):
    """An abstract watercolor: overlapping circles, arcs, bars and triangles that almost fall over."""
    art = Watercolor(canvas, rng)
    grounds(art)
    art.disc((0.275, 0.285), 0.235, "orange", 0.75, fade=1.25 - distance(canvas, 0.275, 0.285) * 3)
    art.reserve((0.275, 0.285), 0.178)
    art.disc((0.275, 0.285), 0.178, "blue", 0.92)
    art.disc((0.262, 0.272), 0.118, "violet", 0.60)
    art.disc((0.248, 0.258), 0.062, "black", 0.95)
    art.reserve((0.235, 0.245), 0.022)
    art.disc((0.235, 0.245), 0.022, "red", 0.95)
    art.reserve((0.560, 0.640), 0.168)
    art.disc((0.560, 0.640), 0.168, "yellow", 0.98, fade=1.45 - canvas.y)
    art.disc((0.655, 0.545), 0.105, "red", 0.90)
    art.disc((0.668, 0.532), 0.046, "violet", 0.85)
    art.shape([(0.36, 0.40), (0.545, 0.905), (0.075, 0.83)], "teal", 0.85, fade=1.5 - canvas.y)
    art.reserve((0.605, 0.285), 0.075, 0.6)
    art.shape([(0.60, 0.06), (0.745, 0.43), (0.435, 0.36)], "sky", 0.95)
    art.shape([(0.655, 0.19), (0.705, 0.345), (0.565, 0.315)], "red", 0.90)
    for number, name in enumerate(["violet", "red", "orange", "yellow", "teal", "blue"]):
        art.ring((0.80, 1.0), 0.10 + 0.030 * number, 0.022, name, 0.85, turn_from=-0.5, turn_by=0.27)
    for number, name in enumerate(["teal", "sky", "pink", "orange", "red"]):
        art.ring((0.0, 0.60), 0.045 + 0.024 * number, 0.016, name, 0.85, turn_from=-0.25, turn_by=0.5)
    checker(art, (0.165, 0.862), -0.12)
    bars(art)
    beads(art)
    tooth = canvas.noise(rng, 190, 2)
    return lit(art.image * (1 + 0.012 * tooth)[..., None], tooth, 0.03)


SAILS = ["red", "violet", "teal", "orange", "blue"]


def bars(art):
    """Black beams, colored laths, and fans of fine lines that tie the whole together."""
    art.bar((0.03, 0.77), (0.775, 0.085), 0.020, "black", 0.97, taper=0.35)
    art.bar((0.10, 0.06), (0.66, 0.955), 0.012, "black", 0.95, taper=0.5)
    art.bar((0.02, 0.455), (0.79, 0.515), 0.010, "blue", 0.9)
    for number in range(9):
        art.bar((0.455, 0.47), (0.80, 0.70 + 0.035 * number), 0.0022, "black", 0.9)
    for number in range(6):
        shift = 0.020 * number
        art.bar((0.40 + shift, 0.025), (0.47 + shift, 0.215), 0.0075, ["red", "black", "teal"][number % 3], 0.9)
    for number in range(5):  # a flight of chevrons, and beside it a row of sails
        top = np.array([0.205 + 0.030 * number, 0.775 - 0.004 * number])
        art.bar(top + (0, 0.030), top, 0.005, "black", 0.95)
        art.bar(top, top + (0.020, 0.036), 0.005, "black", 0.95)
        foot = np.array([0.742 - 0.003 * number, 0.160 + 0.052 * number])
        art.shape([foot - (0, 0.050 - 0.005 * number), foot + (0.030, 0), foot - (0.004, 0)], SAILS[number], 0.9)
    for number in range(7):
        height = 0.035 + 0.014 * number
        art.bar((0.03, height), (0.16 - 0.012 * number, height), 0.0045, "black", 0.9)
    art.ring((0.560, 0.640), 0.205, 0.004, "black", 0.95, turn_from=0.02, turn_by=0.52)
    art.ring((0.275, 0.285), 0.262, 0.0035, "black", 0.95, turn_from=0.30, turn_by=0.45)
    art.ring((0.36, 0.66), 0.090, 0.010, "red", 0.9, turn_from=0.1, turn_by=0.5)
    art.ring((0.36, 0.66), 0.060, 0.0035, "black", 0.95)


def checker(art, corner, angle):
    """A tilted board of squares."""
    colors = ["black", "yellow", "red", "mist", "blue", "orange", "black", "teal"]
    for row in range(5):
        for column in range(7):
            if (row + column) % 2 == 0:
                square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) + (column, row)
                art.shape(turn(square * 0.025, angle) + corner, colors[(row * 3 + column) % 8], 0.9)


def beads(art):
    """Small discs in rows, shrinking as they go."""
    for number in range(9):
        radius = 0.017 * 0.86**number
        art.disc(
            (0.46 + 0.036 * number - 0.0015 * number**2, 0.435 - 0.018 * number),
            radius,
            ["red", "black", "yellow"][number % 3],
            0.92,
        )
    for row in range(4):
        for column in range(5 - row):
            art.disc(
                (0.030 + 0.027 * column, 0.965 - 0.027 * row), 0.0075, "black" if (row + column) % 2 else "red", 0.92
            )
    for x, y, radius, name in [
        (0.70, 0.80, 0.040, "pink"),
        (0.715, 0.79, 0.020, "black"),
        (0.10, 0.17, 0.030, "teal"),
        (0.115, 0.16, 0.013, "yellow"),
        (0.47, 0.945, 0.030, "green"),
        (0.745, 0.05, 0.026, "violet"),
    ]:
        art.disc((x, y), radius, name, 0.88)


# -------------------------------------------------------------------------------------- the registry


@dataclass(frozen=True)
class Picture:
    paint: Callable
    width: float  # as fractions of the long side
    height: float
    seed: int
    supersample: int = 2


PICTURES = {
    "flow_strokes": Picture(flow_strokes, 1, 0.75, 1889),
    "waves": Picture(waves, 1, 0.75, 1831, 3),
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
    canvas = Canvas(width * picture.supersample, height * picture.supersample)
    image = picture.paint(canvas, np.random.default_rng(picture.seed))
    image = np.clip(image, 0, 1).reshape(height, picture.supersample, width, picture.supersample, 3).mean((1, 3))
    return np.round(image * 255).astype(np.uint8)


def save(image: np.ndarray, path: Path) -> None:
    """Write a JPEG at the best quality (92 or less) that keeps the file small."""
    for quality in range(92, 74, -2):
        data = io.BytesIO()
        Image.fromarray(image).save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= MAX_BYTES:
            break
    path.write_bytes(data.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(PICTURES)}")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PICTURES):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or PICTURES:
        start = time.perf_counter()
        image = render(name)
        path = arguments.out / f"{name}.jpg"
        save(image, path)
        print(
            f"{name:14} {image.shape[1]}x{image.shape[0]} {path.stat().st_size / 1000:.0f} kB {time.perf_counter() - start:.1f} s"
        )


if __name__ == "__main__":
    main()
