"""Many pictures in one call: a bad one is named and costs no other; a cluster paints the same, bit for bit."""

import os
import signal
from pathlib import Path

import pytest
from clusters import pids, two_workers
from PIL import Image
from skimage import data

import stylelib.cluster
from stylelib import batch, cli, commands, gallery, load_image

QUICK = ["--size", "64", "--steps", "4", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a style and a folder of photographs, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(data.coffee()).resize((80, 60)).save("style.jpg")
    Path("photos").mkdir()
    Image.fromarray(data.chelsea()).resize((96, 64)).save("photos/a.png")
    Image.fromarray(data.coffee()).resize((96, 64)).save("photos/b.jpg")
    Image.fromarray(data.astronaut()).resize((64, 64)).save("photos/c.tga")
    Path("photos/damaged.jpg").write_bytes(Path("photos/b.jpg").read_bytes()[:900])
    Path("photos/notes.txt").write_text("not a picture by its name")
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    def run(*arguments):
        try:
            status = cli.main(["stylize", *QUICK, *(str(argument) for argument in arguments)])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_folder_of_pictures_becomes_a_folder_of_results(run):
    status, output, errors = run("photos", "style.jpg", "-o", "results")
    assert status == 2, "one of them is damaged"
    assert names("results") == ["a.png", "b.jpg", "c.tga"]
    assert "1 of 4: results/a.png: 64 × 43 pixels after 4 evaluations\n" in output
    assert "photos/damaged.jpg is damaged or was cut off" in errors
    assert errors.endswith("stylelib: 1 of 4 could not be painted: photos/damaged.jpg.\n")


def test_each_is_the_picture_that_it_would_be_alone(run):
    run("photos/a.png", "photos/b.jpg", "style.jpg", "-o", "results")
    for name in ("a.png", "b.jpg"):
        run(f"photos/{name}", "style.jpg", "-o", name)
        assert Path("results", name).read_bytes() == Path(name).read_bytes()


def test_what_is_there_already_is_left_out(run):
    run("photos/a.png", "photos/b.jpg", "style.jpg", "-o", "results")
    Path("results/a.png").unlink()
    Path("results/b.jpg").write_bytes(b"mine")
    status, output, _ = run("photos/a.png", "photos/b.jpg", "style.jpg", "-o", "results")
    assert status == 0 and output.startswith("1 of 2 are in results already\n1 of 1: results/a.png: ")
    assert Path("results/b.jpg").read_bytes() == b"mine"


def test_names_of_the_gallery_become_png_files(run):
    assert run("coffee", "chelsea", "waves", "-o", "results")[0] == 0
    assert names("results") == ["chelsea.png", "coffee.png"]


def test_sixteen_bits_need_another_format(run):
    assert run("photos/b.jpg", "photos/a.png", "style.jpg", "-o", "results", "--bits", 16)[0] == 0
    assert names("results") == ["a.png", "b.png"]
    assert batch.read("results/b.png").getvalue()[24] == 16


def test_transparency_is_kept_where_there_is_any(run):
    content = Image.open("photos/a.png")
    content.putalpha(Image.linear_gradient("L").resize(content.size))
    content.save("photos/a.png")
    assert run("photos/b.jpg", "photos/a.png", "style.jpg", "-o", "results", "--keep-alpha")[0] == 0
    assert Image.open("results/a.png").mode == "RGBA" and Image.open("results/b.png").mode == "RGB"


def test_an_interrupted_picture_is_not_taken_for_a_finished_one(run, monkeypatch):
    class Bar(commands.tqdm):
        steps = 0

        def update(self, n=1):
            Bar.steps += 1
            if Bar.steps == 7:  # in the second picture
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(commands, "tqdm", Bar)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    status, _, errors = run("photos/a.png", "photos/b.jpg", "style.jpg", "-o", "results")
    signal.signal(signal.SIGINT, before)
    assert status == 130 and names("results") == ["a.png"]
    assert "interrupted with 1 to go; run it again to go on." in errors


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["photos", "style.jpg", "-o", "out.png"], "photos … need a folder for their results"),
        (["photos", "style.jpg", "-o", "style.jpg"], "photos … need a folder for their results"),
        (["photos", "style.jpg", "-o", "photos"], "would be overwritten by its result"),
        (["photos/a.png", "a.png", "style.jpg", "-o", "results"], "would both become results/a.png"),
        (["empty", "style.jpg", "-o", "results"], "no pictures in the folder empty"),
        (["photos", "missing.jpg", "-o", "results"], "no file missing.jpg"),
        (["photos", "style.jpg", "-o", "missing/results"], "Cannot make the folder missing/results"),
        (["photos", "style.jpg", "-o", "results", "--seed", 1], "--start noise"),
        (["photos/a.png", "style.jpg", "-o", "a.png", "--scheduler", "tcp://x:1"], "--scheduler is for many pictures"),
    ],
)
def test_a_mistake_is_one_line(run, arguments, said):
    Path("empty").mkdir()
    status, output, errors = run(*arguments)
    assert status == 2 and said in errors and errors.count("\n") == 1 and not output
    assert names("photos") == ["a.png", "b.jpg", "c.tga", "damaged.jpg", "notes.txt"]


def test_the_bytes_of_a_picture_travel_with_its_name():
    file = batch.read("coffee")
    maker, parts = file.__reduce__()
    copy = maker(*parts)
    assert copy.name == "coffee" and copy.getvalue() == gallery.path("coffee").read_bytes()


# --- on a cluster ---


@pytest.fixture(scope="module")
def cluster():
    with two_workers() as cluster:
        yield cluster


def test_a_cluster_paints_the_same_pictures_and_a_lost_worker_costs_none(run, cluster, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    contents = ["photos/a.png", "photos/b.jpg", "photos/c.tga", "photos/damaged.jpg"]
    run(*contents, "style.jpg", "-o", "here", "--steps", 60)
    killed = []

    def on_cluster(work, paint, address):
        for job, outcome in original(work, paint, address):
            if not killed:  # the other worker is in the middle of a picture now, or this one begins with its next
                killed.extend(pids(cluster))
                os.kill(killed[0], signal.SIGKILL)
            yield job, outcome

    original = batch.on_cluster
    monkeypatch.setattr(batch, "on_cluster", on_cluster)
    status, _, errors = run(
        *contents, "style.jpg", "-o", "there", "--steps", 60, "--scheduler", cluster.scheduler_address
    )
    assert killed and status == 2 and "1 of 4 could not be painted: photos/damaged.jpg" in errors
    assert names("there") == ["a.png", "b.jpg", "c.tga"]
    for name in names("there"):
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes()
    assert load_image("there/a.png").shape == (1, 3, 43, 64)


def test_a_cluster_that_does_not_answer_is_one_line(run, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(stylelib.cluster, "PATIENCE", 0.5)
    arguments = ["photos/a.png", "photos/b.jpg", "style.jpg", "-o", "results", "--scheduler", "tcp://127.0.0.1:9"]
    status, _, errors = run(*arguments)
    assert status == 2 and "No Dask scheduler answers at tcp://127.0.0.1:9" in errors and errors.count("\n") == 1
