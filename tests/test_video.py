"""Films are painted without flicker, can be killed and gone on with, and every part of the recipe does its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from clusters import pids, two_workers
from films import gray, sound_packets, write_film

import stylelib
from stylelib import cli, gallery, scenes, video
from stylelib.clips import ClipError, open_clip
from stylelib.flow import optical_flow, warp
from stylelib.images import to_picture
from stylelib.reel import Reel

SIZE, STEPS = 96, 12


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


@pytest.fixture(scope="module")
def style():
    return gallery.load("flow_strokes", size=SIZE)


@pytest.fixture(scope="module")
def scene():
    return scenes.passing(size=SIZE, step=2)


@pytest.fixture(scope="module")
def clip(scene):
    return [scene.frame(number) for number in range(8)]


def paint(clip, style, backbone, **options):
    film = stylelib.stylize_video(clip, style, backbone=backbone, size=SIZE, steps=STEPS, **options)
    return [frame.image for frame in film]


@pytest.fixture(scope="module")
def film(clip, style, backbone):
    return paint(clip, style, backbone)


def warp_error(frames, scene, lag=1):
    last = len(frames) - 1
    gap = (frames[last] - warp(frames[last - lag], scene.flow(last, lag))).abs()
    return ((gap * scene.visible(last, lag)).sum() / scene.visible(last, lag).sum()).item()


def test_a_film_flickers_far_less_than_frames_painted_one_by_one(clip, film, scene, style, backbone):
    alone = {
        number: stylelib.stylize(clip[number], style, backbone=backbone, size=SIZE, steps=STEPS).image
        for number in (2, 6, 7)
    }
    alone = [alone.get(number) for number in range(8)]
    assert warp_error(film, scene) < 0.4 * warp_error(alone, scene)
    assert warp_error(film, scene, 5) < 0.7 * warp_error(alone, scene, 5)
    objective = stylelib.Objective(backbone, clip[7], style)
    with torch.no_grad():
        assert objective(film[7])["style"] < 1.5 * objective(alone[7])["style"], "copying would not flicker either"


def test_frames_are_what_a_file_of_8_bits_holds(film, clip):
    assert all(image.shape == clip[0].shape for image in film)
    assert all(torch.equal((image * 255).round() / 255, image) for image in film)


def test_the_first_frame_is_a_painted_picture(film, clip, style, backbone):
    first = stylelib.stylize(clip[0], style, backbone=backbone, size=SIZE, steps=STEPS).image
    assert torch.equal(film[0], (first * 255).round() / 255)


def test_nothing_crosses_a_cut(clip, film, style, backbone):
    shown = [scenes.still("rocket", size=SIZE).frame(0), clip[0], clip[1]]
    cut = paint(shown, style, backbone)
    assert torch.equal(cut[1], film[0]) and torch.equal(cut[2], film[1])


def test_the_fresh_term_paints_what_comes_into_sight(clip, scene, style, backbone):
    new = 1 - scene.visible(7, lag=7)
    judge = stylelib.Objective(backbone, clip[7], stylelib.Style(style, where=new))
    losses = []
    for fresh in (0.0, 2.0):
        shot = video.Shot(backbone, style, SIZE, STEPS, video.Carry(fresh=fresh))
        last = [shot.paint(frame) for frame in clip][-1]
        with torch.no_grad():
            losses.append(judge(last)["style"].item())
    assert losses[1] < losses[0]


def test_the_temporal_loss_holds_a_still_scene(style, backbone):
    still = scenes.still("chelsea", size=SIZE, noise=0.01)
    clip = [still.frame(number) for number in range(7)]
    changes = []
    for temporal in (0.0, 300.0):
        shot = video.Shot(backbone, style, SIZE, STEPS, video.Carry(temporal=temporal))
        film = [shot.paint(frame) for frame in clip]
        changes.append((film[-1] - film[0]).abs().mean().item())
    assert changes[1] < 0.6 * changes[0]


def test_what_is_carried_is_the_change_and_the_detail_is_new(clip, film):
    flow = optical_flow(clip[1], clip[0])
    target, mask = video.carried(clip[1], video.Past(clip[0], film[0], None), flow)
    sure = (mask == 1).float()
    assert torch.allclose(sure * (target - clip[1]), sure * warp(film[0] - clip[0], flow), atol=1e-5)
    same = video.Past(clip[0], clip[0], None)
    assert torch.allclose(video.carried(clip[1], same, flow)[0], clip[1], atol=1e-5), "no change leaves the content"


# --- to a file, and on ---


def run(clip, style, backbone, out, *, resume=False, stop_after=None):
    frames = stylelib.stylize_video(clip, style, out, backbone=backbone, size=SIZE, steps=STEPS, resume=resume)
    seen = []
    for frame in frames:
        seen.append(frame)
        if len(seen) == stop_after:
            frames.close()  # what `break` does, when the generator is let go
            break
    return seen


@pytest.fixture(scope="module")
def source(clip, tmp_path_factory):
    """The clip as a film with sound."""
    pictures = [(image[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for image in clip]
    return write_film(tmp_path_factory.mktemp("source") / "clip.mp4", pictures, sound="aac")


def test_a_film_that_was_stopped_is_gone_on_with_bit_for_bit(source, style, backbone, tmp_path):
    through = run(source, style, backbone, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4.frames").exists()
    for stop in (1, 6):  # in a shot's first frames, and when five frames are behind
        out = tmp_path / f"b{stop}.mp4"
        run(source, style, backbone, out, stop_after=stop)
        assert len(list(open_clip(out).frames())) == stop, "what is done is a film"
        assert (tmp_path / f"b{stop}.mp4.frames").is_dir()
        again = run(source, style, backbone, out, resume=True)
        assert all(torch.equal(a.image, b.image) and a.time == b.time for a, b in zip(through, again, strict=True))
        assert out.read_bytes() == (tmp_path / "a.mp4").read_bytes()
        assert not (tmp_path / f"b{stop}.mp4.frames").exists()
    assert sound_packets(tmp_path / "a.mp4") == sound_packets(source)


def test_a_kill_between_picture_and_state_loses_one_frame(tmp_path):
    reel = Reel(tmp_path / "a.mp4", {"size": 1}, resume=False)
    reel.add(torch.zeros(1, 3, 8, 8), 0, {"fresh": torch.ones(2)})
    (reel.folder / "000002.png").write_bytes(b"half a picture")
    again = Reel(tmp_path / "a.mp4", {"size": 1}, resume=True)
    assert len(again) == 1 and len(list(again.frames())) == 1
    assert torch.equal(again.memory["fresh"], torch.ones(2))


def test_frames_of_another_run_are_neither_overwritten_nor_mixed_in(tmp_path):
    Reel(tmp_path / "a.mp4", {"size": 1}, resume=False).add(torch.zeros(1, 3, 8, 8), 0, None)
    with pytest.raises(ClipError, match="1 finished frames of an earlier run"):
        Reel(tmp_path / "a.mp4", {"size": 1}, resume=False)
    with pytest.raises(ClipError, match="made with another size"):
        Reel(tmp_path / "a.mp4", {"size": 2}, resume=True)


def test_mistakes_are_told_before_any_work(clip, style, backbone, tmp_path):
    with pytest.raises(ValueError, match="short side of the clip's frame"):
        stylelib.stylize_video([torch.zeros(1, 3, 4, 400)], style, tmp_path / "a.mp4", backbone=backbone)
    with pytest.raises(ValueError, match="let it end in"):
        stylelib.stylize_video(clip, style, tmp_path / "a.doc", backbone=backbone)
    assert list(tmp_path.iterdir()) == []


# --- on a cluster ---


@pytest.fixture(scope="module")
def three_shots(tmp_path_factory):
    scene_by_scene = [scenes.passing(size=SIZE, step=2), scenes.zoom(size=SIZE), scenes.still(size=SIZE)]
    images = [scene.frame(number) for scene in scene_by_scene for number in range(3)]
    pictures = [(image[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for image in images]
    return write_film(tmp_path_factory.mktemp("shots") / "clip.mp4", pictures)


def test_shots_end_at_the_cuts(three_shots):
    clip = open_clip(three_shots, SIZE)
    assert list(video.shots(clip)) == [range(0, 3), range(3, 6), range(6, 9)]
    assert list(video.shots(clip, 3)) == [range(3, 6), range(6, 9)]
    assert list(video.shots(clip, 9)) == []


@pytest.fixture
def one_thread(monkeypatch):
    """Here and in processes that are started: with more, sums are added up in another order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_paints_the_same_film_and_a_lost_worker_costs_no_frame(
    three_shots, style, backbone, tmp_path, monkeypatch
):
    run(three_shots, style, backbone, tmp_path / "here.mp4")
    out, painted_here = tmp_path / "there.mp4", []
    run(three_shots, style, backbone, out, stop_after=2)  # in the middle of the first shot
    painted = video.Shot.paint
    monkeypatch.setattr(video.Shot, "paint", lambda shot, content: painted_here.append(1) or painted(shot, content))
    options = {"backbone": backbone, "size": SIZE, "steps": STEPS, "resume": True}
    with two_workers() as cluster:
        there = stylelib.stylize_video(three_shots, style, out, scheduler=cluster.scheduler_address, **options)
        for number, _ in enumerate(there, start=1):
            if number == 4:  # of the second shot; the third is being painted, or lies with a worker
                os.kill(pids(cluster)[0], signal.SIGKILL)
    assert number == 9 and len(painted_here) == 1, "what was left of the first shot, and no other"
    assert out.read_bytes() == (tmp_path / "here.mp4").read_bytes()


def test_a_cluster_that_does_not_answer_is_one_line(sources, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(stylelib.cluster, "PATIENCE", 0.5)
    assert cli.main(command("--scheduler", "tcp://127.0.0.1:9")) == 2
    said = capsys.readouterr().err
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in said and said.count("\n") == 1
    assert not Path("out.mp4").exists()


# --- from a shell ---


@pytest.fixture
def sources(source, style, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(source.read_bytes())
    to_picture(style).save("style.png")


def command(*more):
    return ["video", "clip.mp4", "style.png", "-o", "out.mp4", "--size", "64", "--steps", "6", *more]


def test_the_command_makes_a_film_with_its_sound(sources, capsys):
    assert cli.main(command("--range", "0.1:0.5")) == 0
    assert "out.mp4: 4 frames of 64 × 48 pixels" in capsys.readouterr().out
    assert len(list(open_clip("out.mp4").frames())) == 4 and len(sound_packets("out.mp4")) > 5
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "out.mp4", "style.png"]


def test_one_frame_is_a_film_too(sources):
    assert cli.main(command("--range", ":0.1")) == 0
    assert len(list(open_clip("out.mp4").frames())) == 1


def test_doctor_forecasts_a_film(sources, capsys):
    assert cli.main(["doctor", "clip.mp4", "--size", "64", "--steps", "6", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("clip.mp4: 8 frames of 64 × 48 pixels with slim on cpu: about")
    assert "GiB of memory" in said


MISTAKES = {
    "style": ["video", "clip.mp4", "nowhere.png", "-o", "out.mp4"],
    "clip": ["video", "nowhere.mp4", "style.png", "-o", "out.mp4"],
    "itself": ["video", "clip.mp4", "style.png", "-o", "clip.mp4"],
    "ending": ["video", "clip.mp4", "style.png", "-o", "out.doc"],
    "range": ["video", "clip.mp4", "style.png", "-o", "out.mp4", "--range", "9:"],
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_and_nothing_is_written(sources, capsys, name):
    assert cli.main(MISTAKES[name]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "style.png"]


def test_a_killed_command_is_gone_on_with(sources):
    arguments = [sys.executable, "-m", "stylelib.cli", *command()]
    process = subprocess.Popen(arguments)
    try:
        for _ in range(600):
            if (Path("out.mp4.frames") / "000002.png").exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    assert not Path("out.mp4").exists(), "killed in the middle"
    assert cli.main(command()) == 2, "the finished frames are not thrown away"
    assert cli.main(command("--resume")) == 0
    killed = Path("out.mp4").read_bytes()
    assert cli.main(command()) == 0
    assert Path("out.mp4").read_bytes() == killed


def test_ctrl_c_leaves_a_film_of_what_is_done(sources, monkeypatch, capsys):
    painted = video.Shot.paint

    def interrupted(self, content):
        if len(self.past) == 2:
            raise KeyboardInterrupt
        return painted(self, content)

    monkeypatch.setattr(video.Shot, "paint", interrupted)
    assert cli.main(command()) == 130
    assert "2 frames of 64 × 48 pixels; the rest will be added" in capsys.readouterr().out
    assert len(list(open_clip("out.mp4").frames())) == 2


def test_a_gray_clip_of_one_color_is_painted_too(style, backbone, tmp_path):
    path = write_film(tmp_path / "gray.mp4", [gray(128, 64, 96)] * 3)
    assert len(run(path, style, backbone, tmp_path / "b.gif")) == 3


# --- one film, one process ---


def test_the_clip_itself_is_never_replaced(style, backbone, tmp_path):
    path = write_film(tmp_path / "a.mp4", [gray(100)] * 2)
    with pytest.raises(ClipError, match="is the clip itself"):
        stylelib.stylize_video(path, style, tmp_path / "." / "a.mp4", backbone=backbone, size=SIZE)


def test_two_processes_do_not_make_one_film(tmp_path):
    film = tmp_path / "a.mp4"
    code = f"""
import sys; from pathlib import Path; from stylelib.reel import Reel
Reel(Path({str(film)!r}), {{}}, resume=False).claim()
print("mine", flush=True); sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "mine\n"
    with pytest.raises(ClipError, match=f"Another run, process {other.pid}, is making a.mp4"):
        Reel(film, {}, resume=False)
    other.kill()
    other.communicate()
    reel = Reel(film, {}, resume=False)  # of a process that was killed nothing is left
    reel.claim()
    reel.release()
    assert list(tmp_path.iterdir()) == []


def test_a_reel_with_missing_frames_is_damaged(tmp_path):
    Reel(tmp_path / "a.mp4", {}, resume=False).add(torch.zeros(1, 3, 8, 8), 0, None)
    (tmp_path / "a.mp4.frames" / "000001.png").unlink()
    with pytest.raises(ClipError, match="frames are missing"):
        Reel(tmp_path / "a.mp4", {}, resume=True)
