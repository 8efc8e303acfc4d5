"""A run that is killed goes on and ends with the same picture, bit for bit; other runs' checkpoints are refused."""

import multiprocessing
import os
import pickle
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from stylelib import Style, checkpoint, cli, commands, cost, gallery, load_backbone, load_image, save_image, stylize
from stylelib.checkpoint import Checkpoint, CheckpointError, CheckpointWarning, digest
from stylelib.loop import OptimizationWarning

BACKBONE = load_backbone("slim")
KILLS = int(os.environ.get("STYLELIB_KILLS", "3"))  # more for a thorough try


class Killed(Exception):
    """Stands for SIGKILL where a process of its own would only take time: nothing in the package catches it."""


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))


@pytest.fixture(scope="module")
def content():
    return gallery.load("chelsea", size=256)


@pytest.fixture(scope="module")
def style():
    return gallery.load("waves", size=256)


def killer(step):
    """What ends a run once it comes to this step, before that one is kept."""

    def on_step(seen):
        if seen.index == step:
            raise Killed

    return on_step


def started(content, style, file, at=None, **options):
    options = {"backbone": BACKBONE, "size": 256, "steps": 9} | options
    return stylize(content, style, checkpoint=file, on_step=None if at is None else killer(at), **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"start": "noise", "seed": 4}, {"color": "content", "style_layers": ["relu1_1"]}],
    ids=["content", "noise", "color"],
)
def test_killed_at_both_scales_it_ends_the_same(content, style, tmp_path, options):
    whole = started(content, style, None, **options)
    file = tmp_path / "a.checkpoint"
    for step in (2, 5, 8):  # 5 is the first of the larger scale
        with pytest.raises(Killed):
            started(content, style, file, at=step, **options)
        assert file.exists()
    result = started(content, style, file, **options)
    assert torch.equal(result.image, whole.image) and result.history == whole.history
    assert result.status == "finished" and not list(tmp_path.iterdir()), "the file is deleted when the run is done"


def test_tiles_and_a_short_history_are_taken_up_again_whatever_memory_is_free_then(
    content, style, tmp_path, monkeypatch
):
    monkeypatch.setattr(cost, "fitting_way", lambda *arguments: cost.Way(tile=96, pairs=2))
    whole = started(content, style, None, size=128)
    with pytest.raises(Killed):
        started(content, style, tmp_path / "a", at=6, size=128)
    monkeypatch.setattr(cost, "fitting_way", lambda *arguments: cost.Way())
    assert torch.equal(started(content, style, tmp_path / "a", size=128).image, whole.image)


def test_steps_that_were_done_are_not_told_again(content, style, tmp_path):
    with pytest.raises(Killed):
        started(content, style, tmp_path / "a", at=4)
    seen = []
    stylize(content, style, backbone=BACKBONE, size=256, steps=9, checkpoint=tmp_path / "a", on_step=seen.append)
    assert [step.index for step in seen] == [4, 5, 6, 7, 8]


# --- killed from outside ---


def paints(folder, tell):
    """Paints, tells of each step, leaves the picture as a file."""
    checkpoint.SECONDS, checkpoint.SHARE = 0.0, float("inf")  # in another process, no fixture does
    content, style = gallery.load("chelsea", size=96), gallery.load("waves", size=96)
    result = stylize(
        content, style, size=96, steps=40, checkpoint=folder / "kept", on_step=lambda step: tell(step.index)
    )
    torch.save([result.image, [step.losses for step in result.history]], folder / "out.pt")


def painted_by_another_process(folder, patience=None):
    """Whether it came to its end; after so many seconds since its first step it is killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stylelib.transfer", "stylelib.gallery", __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=paints, args=(folder, sender.send))
    process.start()
    sender.close()
    if patience is not None and receiver.poll(60):
        time.sleep(patience)
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
def test_killed_at_random_moments_it_ends_bit_identical(tmp_path):
    moments = random.Random(17)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    paints(tmp_path / "whole", tell=int)
    kills = 0
    while kills < KILLS and not painted_by_another_process(tmp_path / "killed", moments.uniform(0, 0.05)):
        kills += 1
    assert kills >= min(3, KILLS)
    assert (tmp_path / "killed/out.pt").exists() or painted_by_another_process(tmp_path / "killed")
    first, second = (torch.load(tmp_path / name / "out.pt") for name in ("whole", "killed"))
    assert torch.equal(first[0], second[0]) and first[1] == second[1]
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["out.pt"], "nothing half-written is left either"


# --- what is refused ---


@pytest.fixture
def kept(content, style, tmp_path):
    """A checkpoint of `started(content, style, …)`."""
    with pytest.raises(Killed):
        started(content, style, tmp_path / "a.checkpoint", at=3, size=64)
    return tmp_path / "a.checkpoint"


def test_another_run_is_refused_and_what_differs_is_named(content, style, kept):
    mask = torch.ones(1, 1, 8, 8)
    for other, options in {
        "content": {"content": content.flip(-1)},
        "style": {"style": [Style(style, where=mask)]},
        "size": {"size": 65},
        "steps": {"steps": 10},
        "seed": {"seed": 1},
        "start": {"start": "noise"},
        "color": {"color": "matched"},
        "optimizer": {"optimizer": "adam"},
        "style_weight": {"style_weight": 32.5},
        "style_layers": {"style_layers": ["relu1_1"]},
        "backbone": {"backbone": load_backbone("slim", pooling="average")},
        "steps, color": {"steps": 10, "color": "content"},
    }.items():
        arguments = {"content": content, "style": style, "size": 64} | options
        with pytest.raises(CheckpointError, match=rf"a\.checkpoint has another {other};"):
            started(arguments.pop("content"), arguments.pop("style"), kept, **arguments)


def test_a_file_cut_off_or_changed_anywhere_is_refused_or_harmless(content, style, kept):
    whole, expected = kept.read_bytes(), started(content, style, kept, size=64).image
    places = random.Random(0)
    refused = 0
    for number in range(60):
        place, damaged = places.randrange(len(whole)), bytearray(whole)
        damaged[place] ^= 1 << places.randrange(8)
        kept.write_bytes(damaged if number % 3 else whole[:place])
        try:
            image = started(content, style, kept, size=64).image
        except CheckpointError as error:
            assert "a.checkpoint is no checkpoint, or was cut off or changed; delete it" in str(error)
            refused += 1
        else:  # a byte of padding
            assert torch.equal(image, expected)
    assert refused > 40


def test_a_changed_value_is_refused_though_the_archive_is_sound(content, style, kept):
    changed = torch.load(kept, weights_only=True)
    changed["state"]["descent"]["variables"][0, 0, 0, 0, 0] += 1e-3
    torch.save(changed, kept)
    with pytest.raises(CheckpointError, match="or changed; delete it"):
        started(content, style, kept, size=64)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_nothing_in_it_is_run(content, style, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (lambda: torch.save(Harmful(), "a"), lambda: Path("a").write_bytes(pickle.dumps(Harmful()))):
        write()
        with pytest.raises(CheckpointError, match="a is no checkpoint"):
            started(content, style, "a")
    assert not Path("harmed").exists()


def test_what_is_no_checkpoint_is_neither_overwritten_nor_deleted(content, style, tmp_path):
    save_image(content, tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    with pytest.raises(CheckpointError, match=r"mine\.png is no checkpoint"):
        started(content, style, tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == before
    os.mkfifo(tmp_path / "pipe")
    for place, said in {
        "pipe": "it is a pipe",
        ".": "Is a directory",
        "missing/a": "Cannot write the checkpoint",
    }.items():
        with pytest.raises(CheckpointError, match=said):
            started(content, style, tmp_path / place)


# --- when it is written ---


def test_it_is_written_seldom_enough_to_cost_a_fiftieth(tmp_path, monkeypatch):
    monkeypatch.undo()
    clock, written = [0.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    kept = Checkpoint(tmp_path / "a", {})

    def state():
        written.append(clock[0])
        clock[0] += 3 if clock[0] < 300 else 0.1  # seconds that the writing takes
        return {}

    while clock[0] < 600:
        kept.offer(state)
        clock[0] += 1
    assert written[:3] == [30, 183, 336] and len(written) == 11, "then every half minute"


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(content, style, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.warns(CheckpointWarning, match="a.checkpoint.*the run goes on without") as caught:
            result = started(content, style, tmp_path / "a.checkpoint", size=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.status == "finished" and len(caught) == 1 and not list(tmp_path.iterdir())


def test_after_ctrl_c_it_stays(content, style, tmp_path):
    def stop(step):
        if step.index == 6:
            raise KeyboardInterrupt

    with pytest.warns(OptimizationWarning, match="Interrupted after 7 of 9"):
        result = stylize(content, style, backbone=BACKBONE, size=64, steps=9, on_step=stop, checkpoint=tmp_path / "a")
    assert result.status == "interrupted" and (tmp_path / "a").exists()
    assert torch.equal(
        started(content, style, tmp_path / "a", size=64).image, started(content, style, None, size=64).image
    )


def test_equal_values_have_equal_digests_and_others_do_not(style):
    values = [
        1, 1.0, True, None, "1", [1], (1, [2]), [[1], 2], {"a": 1}, {"b": 1}, {"a": None}, torch.zeros(2),
        torch.zeros(3), torch.zeros(2, 1), torch.zeros(2, dtype=torch.int32), Style(style), Style(style, weight=2),
        BACKBONE, load_backbone("slim", pooling="average"), load_backbone("slim", pretrained=False), -0.0, 0.0,
        torch.tensor(1.0),
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)
    assert digest(style) == digest(style.clone()) == digest(style.contiguous(memory_format=torch.channels_last))
    assert digest(BACKBONE) == digest(load_backbone("slim"))


# --- from a shell ---


@pytest.fixture
def shell(content, style, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_image(content, "content.png")
    save_image(style, "style.png")

    def run(*arguments, at=None):
        class Bar(commands.tqdm):
            def update(self, n=1):
                if self.n + n - 1 == at:
                    raise Killed
                super().update(n)
                self.n += n if self.disable else 0

        with monkeypatch.context() as patch:
            patch.setattr(commands, "tqdm", Bar)
            options = ["--size", "64", "--steps", "9", "--device", "cpu"]
            status = cli.main(["stylize", *(str(each) for each in arguments), *options])
        return status, *capsys.readouterr()

    return run


def test_resume_goes_on_and_without_it_an_unfinished_run_is_not_lost(shell):
    shell("content.png", "style.png", "-o", "whole.png")
    with pytest.raises(Killed):
        shell("content.png", "style.png", "-o", "out.png", at=5)
    assert Path("out.png.checkpoint").exists()
    status, _, errors = shell("content.png", "style.png", "-o", "out.png")
    assert status == 2 and errors == (
        "stylelib: out.png.checkpoint holds an unfinished run; go on with it (--resume), or delete that file.\n"
    )
    status, _, errors = shell("content.png", "style.png", "-o", "out.png", "--resume", "--style-weight", 3)
    assert status == 2 and "out.png.checkpoint has another style_weight" in errors and errors.count("\n") == 1
    status, output, errors = shell("content.png", "style.png", "-o", "out.png", "--resume")
    assert (status, output, errors) == (0, "out.png: 64 × 42 pixels after 9 evaluations\n", "")
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert not Path("out.png.checkpoint").exists()
    assert shell("content.png", "style.png", "-o", "new.png", "--resume")[0] == 0, "where nothing was begun, it begins"


def test_of_many_pictures_the_one_that_was_begun_is_gone_on_with(shell):
    for name in ("a.png", "b.png"):
        save_image(load_image("content.png").flip(-1 if name == "a.png" else -2), name)
    assert shell("a.png", "b.png", "style.png", "-o", "whole")[0] == 0
    with pytest.raises(Killed):
        shell("a.png", "b.png", "style.png", "-o", "out", at=5)
    assert [path.name for path in Path("out").iterdir()] == ["a.png.checkpoint"]
    assert shell("a.png", "b.png", "style.png", "-o", "out")[0] == 0
    for name in ("a.png", "b.png"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    assert len(list(Path("out").iterdir())) == 2
