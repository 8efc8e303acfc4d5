"""Figures hold what they claim to, checked as pixels; the live preview shows the step it was given."""

import base64
import io
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from stylelib import Step, plots

COLORS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}


def flat(color, height=30, width=40):
    return torch.tensor(COLORS[color]).view(1, 3, 1, 1).expand(1, 3, height, width)


def rendered(figure):
    """The figure's pixels (H, W, 3) in [0, 1]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def where(pixels, color):
    """Which pixels have this color, (H, W) bool."""
    return np.abs(pixels - COLORS[color]).max(axis=-1) < 0.05


def center(pixels, color):
    """(row, column) of the middle of what has this color, as a share of the figure; None if nothing has."""
    found = np.argwhere(where(pixels, color))
    return found.mean(axis=0) / pixels.shape[:2] if len(found) else None


def step(index, steps=100, losses=None, image=None, shape=(30, 40)):
    return Step(index, losses or {"content": 0.1, "style": 0.2, "total": 3.0}, image, steps, shape)


# --- pictures ---


def test_a_picture_fills_its_panel_with_its_colors():
    pixels = rendered(plots.pictures({"a red one": flat("red")}))
    assert where(pixels, "red").mean() > 0.7


def test_pictures_stand_in_one_row_in_their_order():
    pixels = rendered(plots.pictures({color: flat(color) for color in COLORS}))
    centers = [center(pixels, color) for color in COLORS]
    assert centers[0][1] < centers[1][1] < centers[2][1]
    assert max(at[0] for at in centers) - min(at[0] for at in centers) < 0.02


def test_columns_breaks_the_row():
    pixels = rendered(plots.pictures({color: flat(color) for color in COLORS}, columns=2))
    red, green, blue = (center(pixels, color) for color in COLORS)
    assert red[0] == pytest.approx(green[0], abs=0.02) and red[1] < green[1]
    assert blue[0] > red[0] + 0.3 and blue[1] == pytest.approx(red[1], abs=0.02)


def test_more_columns_than_pictures_are_no_error():
    figure = plots.pictures({"one": flat("red"), "two": flat("green")}, columns=5)
    assert len(figure.axes) == 2


def test_each_picture_has_its_title():
    figure = plots.pictures({color: flat(color) for color in COLORS}, columns=2)
    assert [axis.get_title() for axis in figure.axes] == [*COLORS, ""]


def test_titles_are_visible_above_the_pictures():
    pixels = rendered(plots.pictures({"title": flat("red")}))
    top = np.argwhere(where(pixels, "red"))[:, 0].min()
    assert (pixels[:top] < 0.3).all(axis=-1).any(), "dark letters on white"


def test_panels_have_no_axes():
    figure = plots.pictures({color: flat(color) for color in COLORS}, columns=2)
    assert not any(axis.axison for axis in figure.axes)


def test_pictures_keep_their_aspect_ratio():
    pixels = rendered(plots.pictures({"wide": flat("red", 10, 40), "tall": flat("green", 40, 10)}))
    for color, ratio in (("red", 4.0), ("green", 0.25)):
        rows, columns = np.nonzero(where(pixels, color))
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(ratio, rel=0.1)


def test_values_beyond_the_range_are_shown_clamped(caplog):
    assert where(rendered(plots.pictures({"too red": flat("red") * 3 - 1})), "red").mean() > 0.7
    assert not caplog.records, "matplotlib would say on standard error that it clips them"


def test_an_image_that_is_being_optimized_can_be_shown():
    image = flat("red").clone().requires_grad_()
    assert where(rendered(plots.pictures({"red": image})), "red").any()


def test_figures_leave_pyplot_alone():
    """Otherwise notebooks show each figure twice and pyplot keeps them all."""
    before = pyplot.get_fignums()
    plots.pictures({"red": flat("red")})
    plots.loss_curves([step(0)])
    assert pyplot.get_fignums() == before


# --- loss curves ---


@pytest.fixture
def history():
    """Three steps at one size, two at twice the size."""
    return [
        step(index, losses={"content": 0.01 * index, "style": 2.0**-index, "total": 10.0 / (index + 1)}, shape=shape)
        for index, shape in enumerate([(30, 40)] * 3 + [(60, 80)] * 2)
    ]


def curves(figure):
    """label → line, of the losses; helper lines have labels that begin with an underscore."""
    return {line.get_label(): line for line in figure.axes[0].lines if not line.get_label().startswith("_")}


def test_each_loss_has_a_curve_with_its_values(history):
    for name, line in curves(plots.loss_curves(history)).items():
        assert list(line.get_xdata()) == [0, 1, 2, 3, 4]
        assert list(line.get_ydata()) == [entry.losses[name] for entry in history]


def test_curves_differ_by_more_than_their_color(history):
    lines = curves(plots.loss_curves(history))
    assert len(lines) == 3
    assert len({line.get_linestyle() for line in lines.values()}) == 3


def test_the_curves_are_named(history):
    figure = plots.loss_curves(history)
    assert {text.get_text() for text in figure.axes[0].get_legend().get_texts()} == {"total", "content", "style"}


def test_losses_are_drawn_on_a_logarithmic_axis(history):
    axis = plots.loss_curves(history).axes[0]
    assert axis.get_yscale() == "log" and axis.get_xscale() == "linear"


def test_a_content_loss_that_starts_at_almost_nothing_does_not_flatten_the_others(history):
    history[0].losses["content"] = 1e-13
    bottom, top = plots.loss_curves(history).axes[0].get_ylim()
    assert 1e-3 < bottom < 0.04 and top >= 10  # the last content loss is 0.04


def test_axes_are_labeled(history):
    axis = plots.loss_curves(history).axes[0]
    assert "step" in axis.get_xlabel() and "loss" in axis.get_ylabel()


def test_a_texture_has_no_content_curve():
    assert set(curves(plots.loss_curves([step(0, losses={"style": 1.0, "total": 16.0})]))) == {"style", "total"}


def test_a_line_marks_where_a_new_scale_begins(history):
    lines = plots.loss_curves(history).axes[0].lines
    assert [line.get_xdata()[0] for line in lines if line.get_linestyle() == ":"] == [3]


def test_the_curves_are_drawn(history):
    assert (rendered(plots.loss_curves(history)) < 0.9).any()


def test_the_legend_stands_beside_the_curves(history):
    figure = plots.loss_curves(history)
    rendered(figure)
    assert figure.axes[0].get_legend().get_window_extent().x0 >= figure.axes[0].get_window_extent().x1


def test_ticks_of_a_wide_range_are_not_crowded(history):
    history[1].losses["style"] = 1e-9
    history[2].losses["style"] = 1e9
    figure = plots.loss_curves(history)
    rendered(figure)
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    boxes = sorted(boxes, key=lambda box: box.y0)
    assert len(boxes) >= 3 and all(lower.y1 < upper.y0 for lower, upper in pairwise(boxes))


# --- lines ---


def test_each_curve_has_a_line_and_a_marker_of_its_own():
    figure = plots.lines({"one": [1, 2], "two": [2, 1], "three": [3, 3]}, ["a", "b"], ylabel="height", xlabel="layer")
    shown = curves(figure)
    assert list(shown) == ["one", "two", "three"] and list(shown["two"].get_ydata()) == [2, 1]
    assert len({line.get_linestyle() for line in shown.values()}) == 3
    assert len({line.get_marker() for line in shown.values()}) == 3
    axis = figure.axes[0]
    assert (axis.get_ylabel(), axis.get_xlabel(), axis.get_yscale()) == ("height", "layer", "linear")


def test_lines_without_places_count_their_points_and_take_limits():
    figure = plots.lines({"one": [1, 10, 100]}, ylabel="height", log=True, ylim=(0.5, None), markers=False)
    line = curves(figure)["one"]
    assert list(line.get_xdata()) == [0, 1, 2] and line.get_marker() == "None"
    assert figure.axes[0].get_yscale() == "log" and figure.axes[0].get_ylim()[0] == 0.5
    rendered(figure)
    assert figure.axes[0].get_legend().get_window_extent().x0 >= figure.axes[0].get_window_extent().x1


def test_a_logarithmic_axis_that_is_short_names_more_than_one_height():
    figure = plots.lines({"one": [0.02, 0.05, 0.7]}, ylabel="height", log=True)
    rendered(figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert {"0.02", "0.05", "0.1", "0.2", "0.5"} <= set(labels)


# --- the diagram ---


def diagram():
    return plots.method_diagram(flat("red"), flat("blue"), flat("green", 40, 30))


def test_the_diagram_shows_its_three_pictures_with_the_painted_one_between_the_others():
    centers = [center(rendered(diagram()), color) for color in ("red", "green", "blue")]
    assert centers[0][1] < centers[1][1] < centers[2][1] and max(at[0] for at in centers) < 0.3


def test_the_diagram_names_every_part_and_nothing_overlaps():
    figure = diagram()
    rendered(figure)
    texts = figure.axes[0].texts
    said = " ".join(text.get_text() for text in texts)
    parts = ("content", "style", "network", "target", "content loss", "style loss", "total", "gradient", "pixels")
    assert all(part in said for part in parts)
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_words_of_the_diagram_stay_in_their_boxes():
    figure = diagram()
    rendered(figure)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 7
    for box in (patch.get_window_extent() for patch in boxes):
        (inside,) = [text.get_window_extent() for text in figure.axes[0].texts if box.contains(*middle(text))]
        assert box.x0 < inside.x0 and inside.x1 < box.x1 and box.y0 < inside.y0 and inside.y1 < box.y1


def middle(text):
    box = text.get_window_extent()
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def test_letters_of_the_diagram_are_legible_on_a_narrow_screen():
    """At 420 pixels an inch of the figure has 70, and a point is a 72nd of an inch."""
    figure = diagram()
    assert min(text.get_fontsize() for text in figure.axes[0].texts) * 420 / figure.get_figwidth() / 72 >= 13


# --- show ---


@pytest.fixture
def shown(monkeypatch):
    """What `show` hands to the notebook for a figure, as outputs of a cell."""

    def show(figure, alt):
        outputs = []
        monkeypatch.setattr(
            plots, "display", lambda data, raw, metadata=None: outputs.append((data, metadata or {})) if raw else None
        )
        plots.show(figure, alt)
        return outputs

    return show


def opened(outputs, kind):
    return Image.open(io.BytesIO(outputs[0][0][kind]))


def test_photographs_are_shown_as_jpeg(shown):
    picture = opened(shown(plots.pictures({"red": flat("red")}), "A red rectangle."), "image/jpeg")
    assert picture.format == "JPEG" and where(np.asarray(picture) / 255, "red").mean() > 0.5


def test_line_charts_are_shown_as_a_sharp_png(shown, history):
    outputs = shown(plots.loss_curves(history), "Curves.")
    picture = opened(outputs, "image/png")
    assert picture.format == "PNG" and picture.width >= 1.9 * outputs[0][1]["image/png"]["width"]


def test_a_figure_is_as_wide_on_the_screen_as_its_inches_say(shown):
    figure = Figure(figsize=(4.2, 2))
    figure.subplots().imshow(np.zeros((2, 2, 3)))
    outputs = shown(figure, "Black.")
    assert outputs[0][1]["image/jpeg"]["width"] == 420


def test_letters_beside_pictures_are_sharp_too(shown):
    outputs = shown(diagram(), "The method.")
    assert opened(outputs, "image/jpeg").width == 2 * outputs[0][1]["image/jpeg"]["width"]


def test_pixels_of_a_picture_that_fills_its_figure_are_those_of_the_screen(shown):
    """Lesson 01 shows single pixels: scaled by anything but a whole number, they would make patterns of their own."""
    figure = Figure(figsize=(0.4, 0.3))
    chess = np.indices((30, 40)).sum(axis=0) % 2
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(chess, interpolation="nearest", cmap="gray")
    axis.set_axis_off()
    assert np.abs(np.asarray(opened(shown(figure, "Chess."), "image/jpeg"))[..., 0] / 255 - chess).max() < 0.3


def test_the_alt_text_is_metadata_plain_text_and_folded_html(shown):
    (picture, metadata), (words, _) = shown(plots.pictures({"red": flat("red")}), 'A < B & a "red" rectangle.')
    assert picture["text/plain"] == metadata["image/jpeg"]["alt"] == 'A < B & a "red" rectangle.'
    assert set(words) == {"text/html"}
    assert words["text/html"].startswith("<details>") and "A &lt; B &amp; a &quot;red&quot;" in words["text/html"]


def test_nothing_that_nbval_compares_depends_on_the_pixels(shown):
    """It compares every output but JPEG and PNG, and no two processors compute the same pixels."""

    def compared(color):
        outputs = shown(plots.pictures({"one": flat(color)}), "A rectangle.")
        return [{kind: data for kind, data in bundle.items() if not kind.startswith("image/")} for bundle, _ in outputs]

    assert compared("red") == compared("blue")


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_pages_made_by_nbconvert_have_the_alt_text(shown, template):
    outputs = [
        new_output("display_data", {k: encoded(v) for k, v in data.items()}, metadata=metadata)
        for data, metadata in shown(plots.pictures({"red": flat("red")}), "A red rectangle.")
    ]
    notebook = new_notebook(cells=[new_code_cell("plots.show(…)", outputs=outputs)])
    page, _ = HTMLExporter(template_name=template).from_notebook_node(notebook)
    assert "A red rectangle.</details>" in page and "data:image/jpeg;base64," in page


def encoded(data):
    return base64.b64encode(data).decode() if isinstance(data, bytes) else data


# --- live preview ---


@pytest.fixture
def preview(monkeypatch):
    """A live preview and the clock that it reads, in seconds."""
    clock = [0.0]
    monkeypatch.setattr(plots.time, "monotonic", lambda: clock[0])
    preview = plots.LivePreview(width=64, interval=0.25)
    preview.clock = clock
    return preview


def parts(preview):
    """(bar, text, picture)"""
    (_, row, picture) = preview.children
    return (*row.children, picture)


def test_the_preview_shows_the_step(preview):
    preview(step(6, image=flat("green", 300, 400)))
    bar, text, picture = parts(preview)
    assert (bar.value, bar.max) == (7, 100)
    assert text.value == "7 of 100 at 400 × 300 pixels"
    jpeg = Image.open(io.BytesIO(picture.value))
    assert jpeg.format == "JPEG" and jpeg.size == (64, 48)
    assert where(np.asarray(jpeg) / 255, "green").all()


def test_the_preview_draws_no_more_often_than_its_interval(preview):
    preview(step(0, image=flat("red")))
    preview.clock[0] += 0.1
    preview(step(1, image=flat("green")))
    assert parts(preview)[0].value == 1
    preview.clock[0] += 0.2
    preview(step(2, image=flat("blue")))
    assert parts(preview)[0].value == 3


def test_the_preview_always_draws_the_last_step(preview):
    preview(step(98, image=flat("red")))
    preview(step(99, image=flat("blue")))
    bar, text, picture = parts(preview)
    assert bar.value == bar.max == 100 and text.value.startswith("100 of 100")
    assert where(np.asarray(Image.open(io.BytesIO(picture.value))) / 255, "blue").all()


def test_the_preview_serves_a_second_run(preview):
    preview(step(99, image=flat("red")))
    preview.clock[0] += 1
    preview(step(0, steps=10, image=flat("green")))
    assert (parts(preview)[0].value, parts(preview)[0].max) == (1, 10)


@pytest.mark.parametrize("height, width", [(2, 2000), (2000, 2), (1, 1), (33, 5000)])
def test_the_preview_takes_any_shape(preview, height, width):
    preview(step(0, image=flat("red", height, width)))
    jpeg = Image.open(io.BytesIO(parts(preview)[2].value))
    assert jpeg.width <= 64 and jpeg.height <= max(height, 64)


def test_the_preview_reads_the_same_in_every_run():
    """Stored outputs are compared; a widget's usual text has a number in it that changes."""
    assert repr(plots.LivePreview()) == repr(plots.LivePreview())
    assert "0x" not in repr(plots.LivePreview())


# --- bars ---


def test_bars_stand_side_by_side_and_differ_in_their_hatching():
    figure = plots.bars({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 3.0, "y": 4.0}}, ylabel="height")
    (axis,) = figure.axes
    boxes = sorted((bar.get_x(), bar.get_width(), bar.get_height(), bar.get_hatch()) for bar in axis.patches)
    assert [height for _, _, height, _ in boxes] == [1, 3, 2, 4]
    assert all(left[0] + left[1] <= right[0] + 1e-9 for left, right in pairwise(boxes))
    assert boxes[0][3] != boxes[1][3]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
    with pytest.raises(ValueError):
        plots.bars({str(k): {"x": 1.0} for k in range(5)}, ylabel="more than can be told apart")


# --- clouds of colors


def test_a_cloud_has_the_pixels_of_its_picture_in_their_own_colors():
    image = torch.rand(1, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    figure = plots.color_clouds({"one": image, "two": 0 * image})
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    (cloud,) = figure.axes[0].collections
    pixels = image[0].flatten(1).T.numpy()
    assert np.allclose(np.stack(cloud._offsets3d, axis=1), pixels)
    plots.as_jpeg(figure)  # drawing sorts the points by their depth
    assert np.allclose(np.sort(cloud.get_facecolor()[:, :3], axis=0), np.sort(pixels, axis=0))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_zlabel()) == ("red", "blue")


def test_a_large_picture_is_thinned_and_the_cube_can_be_turned():
    figure = plots.color_clouds({"large": torch.rand(1, 3, 100, 100)}, angle=30, points=500)
    assert plots.as_jpeg(figure).startswith(b"\xff\xd8")
    assert 500 <= len(figure.axes[0].collections[0].get_facecolor()) <= 1000
    assert figure.axes[0].azim == 30
