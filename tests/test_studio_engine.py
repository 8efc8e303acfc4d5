"""The studio without its widgets: recipes and their code, the thread, the folder, previews, runs that are stopped."""

import threading
import time
from dataclasses import fields, replace

import pytest
import torch
from PIL import Image

import stylelib
from stylelib import cost, gallery
from stylelib.images import load_image, to_picture
from stylelib.studio_folder import Folder, settings
from stylelib.studio_preview import memory, pace, preview, work
from stylelib.studio_recipe import Recipe, backbone, read
from stylelib.studio_session import Session
from stylelib.studio_worker import Pace, Worker

SMALL = Recipe(size=64, steps=8, device="cpu")


@pytest.fixture
def session(tmp_path):
    looks = []
    session = Session(tmp_path / "made", looks.append)
    session.looks = looks
    yield session
    session.close()


# --- recipes ---


def made_by_code(recipe, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(recipe.code(), {"__name__": "somebody's"})
    return load_image("result.png")


RECIPES = {
    "paint": SMALL,
    "knobs": replace(SMALL, color="matched", style_weight=4.0, stroke=1.5, content="coffee"),
    "blend": replace(SMALL, also="waves", blend=0.25, color="content"),
    "noise": replace(SMALL, start="noise", seed=3),
    "photograph": replace(SMALL, style="coffee", method="linear", strength=0.7),
    "stopped": replace(SMALL, stopped=5),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_code_makes_the_same_picture_to_the_last_bit(name, tmp_path, monkeypatch):
    recipe = RECIPES[name]
    image = recipe.paint()
    code_image = made_by_code(recipe, tmp_path, monkeypatch)
    assert torch.equal(code_image, load_image(encoded(image, tmp_path)))
    if name != "paint":
        assert not torch.equal(image, SMALL.paint()), "each of these settings makes another picture"


def encoded(image, folder):
    to_picture(image).save(folder / "own.png")
    return folder / "own.png"


def test_the_code_of_a_picture_that_was_brought_or_gone_on_from_reads_its_file(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session.folder.path = session.folder.path.relative_to(tmp_path)  # as in a notebook
    brought = session.folder.keep("My cat.jpg", gallery.path("waves").read_bytes())
    first = session.run(replace(SMALL, content=str(brought)))
    assert first.wait(60) and not first.error
    (entry,) = session.folder.entries()
    second = replace(entry.recipe, start=str(entry.file), style="mosaic")
    assert torch.equal(made_by_code(second, tmp_path, monkeypatch), load_image(encoded(second.paint(), tmp_path)))


def test_a_recipe_survives_being_written_down_and_other_versions():
    recipe = Recipe(content="é/x.png", style_weight=0.1, also="waves", seed=7, stopped=12)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert all(type(getattr(recipe, each.name)) is each.type for each in fields(Recipe))
    assert Recipe.from_json('{"content": "a", "style": "b", "of another version": 1, "size": 99.0}').size == 99
    for text in ("[]", '{"content": "a"}', "no json"):
        with pytest.raises(ValueError):
            Recipe.from_json(text)


# --- the thread ---


def test_a_worker_does_the_latest_job_and_stops_the_one_before():
    worker, began, done = Worker(), threading.Event(), []

    def endless(job):
        began.set()
        while True:
            job.check()
            time.sleep(0.005)

    first = worker.start(endless)
    assert began.wait(5)
    skipped = worker.start(lambda job: job.check() or done.append("skipped"))
    last = worker.start(lambda job: done.append("last"))
    assert last.wait(5) and first.over and skipped.over
    assert done == ["last"] and not last.error and not first.error
    worker.close()


def test_what_a_job_raises_is_kept_and_the_worker_lives_on():
    worker = Worker()
    bad = worker.start(lambda job: 1 / 0)
    assert bad.wait(5) and isinstance(bad.error, ZeroDivisionError)
    good = worker.start(lambda job: None)
    assert good.wait(5) and good.error is None
    thread = worker._thread
    del worker, bad, good
    thread.join(5)
    assert not thread.is_alive(), "a worker that nobody has any more ends its thread"


def test_drawing_takes_a_small_share_of_the_time_however_slow_it_is():
    pace, began, drawn = Pace(interval=0.001, share=0.1), time.monotonic(), 0

    def draw():
        nonlocal drawn
        drawn += 1
        time.sleep(0.02)

    while time.monotonic() - began < 1:
        pace.draw(draw)
    assert drawn >= 2 and pace.spent <= 0.15 * (time.monotonic() - began)
    pace.draw(draw, anyway=True)
    assert pace.spent >= 0.02 * (drawn)


# --- the folder ---


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_a_saved_picture_holds_its_settings_and_its_pixels(ending, tmp_path):
    recipe = replace(SMALL, content="Köln.jpg", seed=5)
    entry = Folder(tmp_path / "new" / "folder").add(read("coffee", 64), recipe)
    file = Folder(entry.file.parent).export(entry, ending)
    assert settings(file) == recipe and file.suffix == ending
    difference = (load_image(file) - read("coffee", 64)).abs()
    assert difference.max() < 0.5 / 255 + 1e-6 if ending != ".jpg" else difference.mean() < 0.02
    assert [each.name for each in entry.file.parent.iterdir() if each.name.startswith(".")] == []


def test_the_folder_numbers_pictures_and_passes_over_what_is_not_its_own(tmp_path):
    folder, image = Folder(tmp_path), read("coffee", 32)
    assert folder.entries() == [] == folder.brought()
    assert [folder.add(image, SMALL).file.name[:5] for _ in range(2)] == ["0001_", "0002_"]
    Image.new("RGB", (4, 4)).save(tmp_path / "0007_by_hand.png")
    (tmp_path / "0008_broken.png").write_bytes(b"\x89PNG no")
    assert folder.add(image, SMALL).file.name == "0009_astronaut_flow_strokes.png"
    assert [entry.file.name[:4] for entry in folder.entries()] == ["0001", "0002", "0009"]
    assert "astronaut" in folder.entries()[0].title


def test_what_is_brought_is_kept_once_and_only_if_it_is_a_picture(tmp_path):
    folder, data = Folder(tmp_path), gallery.path("waves").read_bytes()
    kept = folder.keep("../Mein Bild (1).JPG", data)
    assert kept == folder.keep("../Mein Bild (1).JPG", data) and folder.brought() == [kept]
    assert kept.parent == tmp_path / "sources" and kept.name.startswith("Mein_Bild_1-") and kept.suffix == ".jpg"
    for broken, why in ((b"", "empty"), (b"%PDF-1.7", "PDF"), (data[: len(data) // 2], "cut off")):
        with pytest.raises(stylelib.ImageError, match=f"notes.*{why}|{why}"):
            folder.keep("notes.jpg", broken)
    assert folder.brought() == [kept]


# --- previews, costs and runs ---


def test_a_preview_is_painted_and_keeps_the_detail_of_the_content():
    seen = []
    image = preview(Recipe(content="coffee", device="cpu"), seen.append)
    content, style = read("coffee", 384), read("flow_strokes", 384)
    assert image.shape == content.shape and len(seen) == 24
    mean = (content.mean((2, 3)) - style.mean((2, 3))).norm()
    assert (image.mean((2, 3)) - style.mean((2, 3))).norm() < 0.5 * mean, "it has about the colors of the style"

    def detail(picture):
        blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
        return (picture - blurred).flatten()

    assert torch.corrcoef(torch.stack([detail(image), detail(content)]))[0, 1] > 0.5


def test_costs_of_a_run_are_those_of_its_evaluations():
    one_scale = Recipe(size=128, steps=100)
    assert work(one_scale) == 100 * 128**2 and work(replace(one_scale, content="coffee")) == 100 * 128 * 85
    assert 0.3 < work(Recipe(size=512)) / (240 * 512**2) < 0.6, "most evaluations are those of the small scales"
    assert memory(Recipe(size=768)) == pytest.approx(4 * memory(Recipe()), rel=0.01)
    assert memory(Recipe(size=2048, backbone="vgg19")) == cost.COMFORTABLE
    assert 1e-8 < pace(backbone("slim", "cpu"), 96) < 1e-4


def test_a_run_shows_its_steps_and_leaves_its_picture_in_the_folder(session):
    job = session.run(SMALL)
    assert job.wait(60) and job.error is None
    states = [look.state for look in session.looks]
    assert states[0] == "running" and states[-1] == "finished" and session.looks[0].image.shape == (1, 3, 64, 64)
    last = session.looks[-1]
    assert len(last.history) == 8 and last.history[-1]["total"] < last.history[0]["total"]
    (entry,) = session.folder.entries()
    assert entry == last.entry and entry.recipe == SMALL
    assert (load_image(entry.file) - last.image).abs().max() <= 0.5 / 255 + 1e-6


def test_a_stopped_run_keeps_its_best_picture_which_its_recipe_paints_again(session):
    long = replace(SMALL, steps=2000)
    job = session.run(long)
    while not session.looks:
        time.sleep(0.01)
    responsive = time.monotonic()
    time.sleep(0.2)
    assert time.monotonic() - responsive < 1, "this thread is not held up by the run"
    began = time.monotonic()
    session.stop()
    assert job.wait(20) and job.error is None
    assert time.monotonic() - began < 2  # half a second; a machine that also does something else takes longer
    last = session.looks[-1]
    assert last.state == "stopped" and 0 < last.recipe.stopped == len(last.history) < 2000
    assert torch.equal(last.recipe.paint(), last.image)
    assert session.folder.entries()[0].recipe == last.recipe


def test_a_run_that_is_stopped_before_it_begins_leaves_nothing(session):
    busy = session.worker.start(lambda job: time.sleep(0.3))
    job = session.run(SMALL)
    session.stop()
    assert job.wait(20) and busy.over and job.error is None and not session.folder.entries()
    assert [(look.state, look.entry) for look in session.looks] == [("stopped", None)]


def test_what_goes_wrong_is_said_in_a_sentence(session, monkeypatch):
    for recipe, why in (
        (replace(SMALL, content="nobody.jpg"), "There is no file nobody.jpg."),
        (replace(SMALL, size=16), "choose a larger size"),
    ):
        assert session.run(recipe).wait(20)
        assert session.looks[-1].state == "failed" and why in session.looks[-1].says
    monkeypatch.setattr(Recipe, "paint", lambda *_: 1 / 0)
    assert session.run(SMALL).wait(20)
    assert "should not have happened (ZeroDivisionError" in session.looks[-1].says


def test_a_newer_preview_takes_the_place_of_the_one_before(session):
    for weight in (1.0, 2.0, 3.0):
        job = session.preview(Recipe(style_weight=weight, device="cpu"))
    assert job.wait(60) and job.error is None
    assert session.looks[-1].state == "measured" and session.estimate(Recipe())[0] > 0
    whole = [look.recipe.style_weight for look in session.looks if look.state == "measured"]
    assert whole == [3.0]
    assert session.estimate(replace(SMALL, method="smooth")) is None
