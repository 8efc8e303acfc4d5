"""The studio's widgets, without a browser: what is clicked and moved, and what is then to be seen."""

import io
import time
from dataclasses import replace
from datetime import datetime

import ipywidgets as widgets
import pytest
import torch
from PIL import Image

from stylelib import gallery, studio, studio_preview
from stylelib.images import load_image
from stylelib.look import style_sheet
from stylelib.studio import Studio
from stylelib.studio_folder import settings
from stylelib.studio_look import compare, jpeg, loss_curve
from stylelib.studio_recipe import Recipe


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A studio for small pictures, with its first preview."""
    monkeypatch.setattr(studio_preview, "SIZE", 64)
    monkeypatch.setattr(studio_preview, "STEPS", 3)
    opened = Studio(folder=tmp_path / "made", size=64, steps=8)
    waited(opened)
    yield opened
    opened.session.close()


def waited(opened):
    """Waits until nothing is under way."""
    assert opened.session.job.wait(60) and not opened.session.job.error
    return opened


def bring(shelf, name, data):
    """What a browser does when a file is chosen."""
    about = {"name": name, "type": "", "size": len(data), "last_modified": datetime.now()}
    shelf.upload.value = (about | {"content": memoryview(data)},)


def picture(opened):
    return Image.open(io.BytesIO(opened.picture.value))


def hidden(widget):
    return widget.layout.display == "none"


def test_the_studio_opens_with_a_preview_and_says_what_a_run_will_cost(opened):
    assert picture(opened).size == (384, 384) and "Preview" in opened.status.value
    assert "Will take about 1 s and 0." in opened.estimate.value
    assert not opened.run.disabled and opened.stop.disabled and opened.go_on.disabled and opened.save.disabled
    assert hidden(opened.past) and not opened.error.value
    assert repr(opened) == "The studio: run this cell to see it."


def test_two_clicks_make_a_picture_and_a_third_goes_on_from_it(opened):
    opened.style.buttons["waves"].click()
    opened.run.click()
    assert opened.run.disabled and not opened.stop.disabled
    waited(opened)
    assert "Finished" in opened.status.value and "waves" in opened.status.value
    assert "Took" in opened.estimate.value
    assert "8 of 8" in opened.curve.value and picture(opened).size == (64, 64)
    assert opened.entry.recipe == Recipe(style="waves", size=64, steps=8) == opened.recipe
    assert len(opened.past.children) == 1 and not hidden(opened.past)
    first = opened.entry
    opened.color.value = "content"
    waited(opened)
    assert "Preview" in opened.status.value and opened.go_on.disabled, "there is no finished picture to go on from"
    opened.past.children[0].click()
    assert opened.color.value == "style" and opened.entry == first
    opened.go_on.click()
    waited(opened)
    assert opened.entry.recipe == replace(first.recipe, start=str(first.file)) and len(opened.past.children) == 2
    assert "waves" in opened.past.children[0].description


def test_stop_keeps_the_best_picture(opened):
    opened.steps.max = 5000
    opened.steps.value = 5000
    opened.run.click()
    while "of 5000" not in opened.status.value:
        time.sleep(0.01)
    opened.size.value = 192  # for the next run; this one goes on
    assert opened.running
    opened.stop.click()
    waited(opened)
    assert "Stopped after" in opened.status.value and 0 < opened.entry.recipe.stopped < 5000
    assert opened.entry.recipe.size == 64 and not opened.run.disabled and opened.stop.disabled
    assert f"step.index + 1 == {opened.entry.recipe.stopped}" in opened.entry.recipe.code()


def test_a_photograph_that_is_taken_is_chosen(opened):
    (camera,) = opened.content.camera
    assert opened.style.camera == []
    camera._handle_custom_msg({"taken": True}, [memoryview(gallery.path("mosaic").read_bytes())])
    assert opened.content.value.endswith(".jpg") and "photograph" in opened.content.value and not opened.error.value
    waited(opened)
    assert "photograph in the style of flow strokes" in opened.status.value
    camera._handle_custom_msg({"taken": True}, [memoryview(b"")])
    assert "photograph.jpg is empty" in opened.error.value and "photograph" in opened.content.value


def test_a_picture_that_is_brought_is_chosen_and_a_bad_file_gets_its_sentence(opened):
    bring(opened.content, "letter.jpg", b"%PDF-1.7")
    assert "letter.jpg is a PDF document" in opened.error.value and 'role="alert"' in opened.error.value
    assert opened.content.value == "astronaut"
    bring(opened.content, "My dog.jpg", gallery.path("mosaic").read_bytes())
    assert not opened.error.value and opened.content.upload.value == ()
    assert opened.content.value.startswith(str(opened.session.folder.path)) and "My_dog" in opened.content.value
    assert next(iter(opened.content.buttons.values())).description == "✓ My dog"
    waited(opened)
    assert "My dog in the style of flow strokes" in opened.status.value
    bring(opened.style, "paper.png", gallery.path("waves").read_bytes())
    assert "paper" in dict(opened.also.options), "it can be the second style, too"
    waited(opened)


def test_what_goes_wrong_in_a_run_is_said_and_the_studio_goes_on(opened):
    opened.size.options = (16, *opened.size.options)
    opened.size.value = 16
    waited(opened)
    opened.run.click()
    assert opened.session.job.wait(30)
    assert "choose a larger size" in opened.error.value and not opened.run.disabled
    opened.size.value = 64
    waited(opened)
    assert not opened.error.value and "Preview" in opened.status.value


def test_a_picture_is_compared_and_looked_at_closely(opened):
    whole = opened.picture.value
    opened.view.value = "split"
    assert opened.picture.value != whole and not hidden(opened.split)
    opened.split.value = 0.0
    assert opened.picture.value == whole, "the line is at the border"
    opened.view.value = "beside"
    assert picture(opened).width > 2 * 384 and hidden(opened.split)
    opened.view.value, opened.zoom.value = "picture", 16
    assert not hidden(opened.across) and not hidden(opened.down)
    corner = opened.picture.value
    opened.across.value = 1.0
    assert opened.picture.value != corner


def test_only_controls_that_do_something_are_shown(opened):
    assert all(map(hidden, [*opened.grading, *opened.further])) and not any(map(hidden, opened.painting))
    opened.more.value = True
    assert hidden(opened.blend) and hidden(opened.seed) and not hidden(opened.steps)
    opened.also.value, opened.start.value = "waves", "noise"
    assert not hidden(opened.blend) and not hidden(opened.seed)
    opened.method.value = "photograph"
    assert all(map(hidden, [*opened.painting, *opened.further, opened.more])) and not any(map(hidden, opened.grading))
    assert opened.recipe.method == "smooth"
    waited(opened)
    opened.run.click()
    waited(opened)
    assert opened.entry.recipe.method == "smooth" and opened.go_on.disabled


def test_save_writes_each_format_with_the_settings_and_offers_it(opened):
    opened.run.click()
    waited(opened)
    for kind, ending in ((".jpg", "jpeg"), (".tif", "tiff"), (".png", "png")):
        opened.format.value = kind
        opened.save.click()
        file = opened.entry.file.with_suffix(kind)
        assert settings(file) == opened.entry.recipe and load_image(file).shape == (1, 3, 64, 64)
        assert f'download="{file.name}" href="data:image/{ending};base64,' in opened.saved.value
    opened.tell.value = True
    assert "stylelib.stylize(" in opened.code.value and 'tabindex="0"' in opened.code.value


def test_another_studio_on_the_same_folder_shows_the_pictures_and_every_setting(opened):
    opened.recipe = wanted = Recipe("coffee", "waves", "mosaic", 0.25, size=96, steps=6, seed=4, color="matched")
    assert opened.recipe == wanted
    opened.run.click()
    waited(opened)
    again = Studio(folder=opened.session.folder.path)
    again.past.children[0].click()
    assert again.recipe == wanted and again.entry.file == opened.entry.file and "Finished" in again.status.value
    again.session.close()
    again.entry.file.unlink()
    again.past.children[0].click()
    assert "There is no file" in again.error.value


def test_every_control_says_what_it_is(opened):
    def inside(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from inside(child)

    for widget in inside(opened):
        if isinstance(widget, widgets.Button | widgets.ToggleButton | widgets.FileUpload):
            assert widget.description and widget.tooltip
        elif isinstance(widget, widgets.ToggleButtons):
            assert len(widget.tooltips) == len(widget.options)
        elif isinstance(widget, widgets.ValueWidget) and not isinstance(widget, widgets.HTML | widgets.Image):
            assert widget.description, widget
    assert style_sheet().count("{") == style_sheet().count("}") and ":focus-visible" in style_sheet()


def test_visitors_of_a_page_have_folders_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Studio, "_changed", lambda self: None)  # no previews
    assert Studio().session.folder.path.name == studio.FOLDER
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.0")
    one, two = Studio(), Studio()
    assert len({one.session.folder.path, two.session.folder.path, tmp_path / studio.FOLDER}) == 3
    gone = one.session.folder.path
    one._private.cleanup()
    assert not gone.exists() and two.session.folder.path.is_dir()


# --- what is drawn ---


def test_compare_puts_each_picture_on_its_side_of_the_line():
    black, white = torch.zeros(1, 3, 30, 40), torch.ones(1, 3, 60, 80)
    half = compare(black, white, "split", split=0.25)
    assert half.shape == white.shape and half[..., :20].max() == 0 and half[..., 20:].min() == 1
    assert compare(black, white, "split", split=0.0).min() == 1
    beside = compare(black, white, "beside")
    assert beside.shape[-1] > 160 and beside[..., :80].max() == 0 and beside[..., -80:].min() == 1
    assert torch.equal(compare(black, white), white)


def test_zoom_shows_single_pixels_as_squares():
    ramp = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8) / 64
    close = compare(ramp, ramp, zoom=4, across=1.0, down=0.0)
    side = close.shape[-1] // 2
    assert close.shape[-2:] == (2 * side, 2 * side) and side > 100
    assert torch.equal(close[0, 0, ::side, ::side], ramp[0, 0, :2, 6:])
    assert torch.equal(close[0, 0, side - 1, ::side], ramp[0, 0, 0, 6:])


def test_what_is_sent_to_the_screen_is_not_larger_than_it():
    assert max(Image.open(io.BytesIO(jpeg(torch.rand(1, 3, 2000, 100)))).size) == 1536


def test_the_loss_curve_is_one_line_for_each_loss_and_says_them_in_words():
    assert loss_curve([{"total": 1.0, "style": 1.0, "content": 0.0}], 9) == ""
    history = [{"total": 10.0 / (i + 1), "style": 1.0 / (i + 1), "content": 0.1 * i} for i in range(500)]
    drawn = loss_curve(history, 1000)
    assert drawn.count("<polyline") == 3 and 'aria-label="Losses after 500 of 1000 evaluations: total 0.02' in drawn
    assert len(drawn) < 10_000 and "nan" not in drawn
