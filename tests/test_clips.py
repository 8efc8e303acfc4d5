"""Clips as people have them come in right, and go out as films that others can play."""

import os
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from films import BEEP, gray, loud_from, sound_packets, write_film, write_sound
from PIL import ExifTags, Image

from stylelib.clips import Clip, ClipError, Frame, check_clip_writable, open_clip, picture_files, save_clip
from stylelib.images import save_image


def means(clip):
    return [round(frame.image.mean().item() * 255) for frame in clip.frames()]


def times(clip):
    return [float(frame.time) for frame in clip.frames()]


def colors(count, height=48, width=64):
    return [gray(20 * (index + 1), height, width) for index in range(count)]


@pytest.fixture
def flash(tmp_path):
    """Ten frames, dark, with a white flash and a tone from half a second on."""
    return write_film(tmp_path / "flash.mp4", [gray(20)] * 5 + [gray(235)] * 5, sound="aac")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx-vp9")])
def test_films_are_read_frame_by_frame_with_their_times(tmp_path, name, codec):
    clip = open_clip(write_film(tmp_path / name, colors(6), codec=codec))
    assert means(clip) == pytest.approx([20, 40, 60, 80, 100, 120], abs=2)
    assert times(clip) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert clip.shape == (48, 64) and clip.rate == 10 and clip.count == pytest.approx(6, abs=1)
    frame = next(clip.frames())
    assert frame.image.shape == (1, 3, 48, 64) and frame.image.dtype == torch.float32


def test_a_clip_can_be_gone_through_again_and_from_the_middle(tmp_path):
    clip = open_clip(write_film(tmp_path / "a.mp4", colors(6)))
    every = list(clip.frames())
    assert all(torch.equal(a.image, b.image) for a, b in zip(clip.frames(skip=4), every[4:], strict=True))


def test_a_range_and_fewer_frames_a_second(tmp_path):
    path = write_film(tmp_path / "a.mp4", colors(10))
    clip = open_clip(path, start=0.2, stop=0.7)
    assert means(clip) == pytest.approx([60, 80, 100, 120, 140], abs=2)
    assert times(clip) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4]) and clip.count == 5
    clip = open_clip(path, rate=5)
    assert means(clip) == pytest.approx([20, 60, 100, 140, 180], abs=2) and clip.rate == 5
    assert len(times(open_clip(path, rate=50))) == 10, "no frame is shown twice"


def test_frames_that_come_when_they_like_keep_their_times(tmp_path):
    moments = [0, 4, 30, 31, 90]
    clip = open_clip(write_film(tmp_path / "a.mp4", colors(5), times=moments))
    assert times(clip) == pytest.approx([moment / 100 for moment in moments])
    save_clip(clip.frames(), tmp_path / "b.mp4", clip)
    assert times(open_clip(tmp_path / "b.mp4")) == pytest.approx(times(clip))


def test_a_film_turned_by_the_camera_is_shown_upright(tmp_path):
    picture = gray(20)
    picture[:12, :12] = 235  # upper left
    clip = open_clip(write_film(tmp_path / "a.mp4", [picture] * 3, rotate=-90))  # to be turned clockwise
    image = next(clip.frames()).image[0, 0]
    assert clip.shape == (64, 48) and image.shape == (64, 48)
    assert image[:10, -10:].mean() > 0.8 and image[:10, :10].mean() < 0.2


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    clip = open_clip(write_film(tmp_path / "a.mp4", colors(2), aspect=Fraction(3, 2)))
    assert clip.shape == (48, 96)
    assert open_clip(tmp_path / "a.mp4", size=48).shape == (24, 48)


def test_a_folder_is_sorted_as_people_mean_it(tmp_path):
    for number in (10, 9, 1):
        save_image(torch.full((1, 3, 40, 50), number / 20), tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("none either")
    assert [path.name for path in picture_files(tmp_path)] == ["frame1.png", "frame9.png", "frame10.png"]
    clip = open_clip(tmp_path, rate=10)
    assert means(clip) == pytest.approx([255 / 20, 255 * 9 / 20, 255 / 2], abs=1)
    assert times(clip) == pytest.approx([0, 0.1, 0.2]) and clip.count == 3


def test_images_are_a_clip_too():
    clip = open_clip([torch.zeros(1, 3, 30, 40), torch.ones(1, 3, 30, 40)], size=20)
    assert isinstance(clip, Clip) and clip.shape == (15, 20) and means(clip) == [0, 255]
    assert open_clip(clip) is clip


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.webm", "b.gif", "b"])
def test_what_is_written_reads_back(tmp_path, name):
    images = [torch.full((1, 3, 33, 47), value) for value in (0.1, 0.4, 0.8)]
    images[1][..., 20:] = 0.9
    clip = open_clip(images, rate=10)
    save_clip(clip.frames(), tmp_path / name, clip)
    back = list(open_clip(tmp_path / name, rate=10).frames())
    assert len(back) == 3 and [float(frame.time) for frame in back] == pytest.approx([0, 0.1, 0.2])
    for frame, image in zip(back, images, strict=True):
        assert (frame.image[..., :33, :47] - image).abs().mean() < 0.02
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing else is left"


def test_films_are_such_as_every_player_knows(tmp_path):
    clip = open_clip([torch.rand(1, 3, 33, 47)] * 2)
    save_clip(clip.frames(), tmp_path / "b.mp4", clip)
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 48, 34)


def test_colors_stay(tmp_path):
    image = torch.tensor([0.8, 0.3, 0.1])[None, :, None, None].expand(1, 3, 64, 64).clone()
    clip = open_clip([image] * 2)
    for name in ("b.mp4", "b.webm", "b.gif"):
        save_clip(clip.frames(), tmp_path / name, clip)
        back = next(open_clip(tmp_path / name).frames()).image
        assert (back - image).abs().max() < 0.025, name


def test_sound_is_copied_byte_for_byte_and_in_step(tmp_path, flash):
    clip = open_clip(flash)
    save_clip(clip.frames(), tmp_path / "b.mp4", clip)
    assert sound_packets(tmp_path / "b.mp4") == sound_packets(flash)
    assert loud_from(tmp_path / "b.mp4") == pytest.approx(BEEP, abs=0.03)
    bright = next(frame.time for frame in open_clip(tmp_path / "b.mp4").frames() if frame.image.mean() > 0.5)
    assert float(bright) == pytest.approx(BEEP, abs=0.001)


def test_sound_of_a_range_is_in_step(tmp_path, flash):
    clip = open_clip(flash, start=0.3, stop=0.8)
    save_clip(clip.frames(), tmp_path / "b.mp4", clip)
    assert loud_from(tmp_path / "b.mp4") == pytest.approx(BEEP - 0.3, abs=0.03)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(0.5, abs=0.05)


def test_sound_that_the_film_cannot_hold_is_encoded_anew(tmp_path, flash):
    clip = open_clip(flash)
    save_clip(clip.frames(), tmp_path / "b.webm", clip)
    with av.open(str(tmp_path / "b.webm")) as container:
        assert container.streams.audio[0].codec_context.name == "opus"
    assert loud_from(tmp_path / "b.webm") == pytest.approx(BEEP, abs=0.03)


def test_sound_of_half_a_film_ends_with_its_pictures(tmp_path, flash):
    clip = open_clip(flash)
    save_clip(list(clip.frames())[:3], tmp_path / "b.mp4", clip, whole=False)
    assert len(sound_packets(tmp_path / "b.mp4")) < len(sound_packets(flash)) / 2


def test_films_and_gifs_have_no_sound_where_there_is_none(tmp_path, flash):
    clip = open_clip(flash)
    save_clip(clip.frames(), tmp_path / "b.gif", clip)
    assert open_clip(tmp_path / "b.gif").sound is None


# --- what cannot be ---


def noise(path, count=400):
    path.write_bytes(np.random.default_rng(0).bytes(count))
    return path


def cut_off(path):
    data = write_film(path, colors(10)).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def mixed(folder):
    folder.mkdir()
    for side in (40, 50):
        save_image(torch.zeros(1, 3, side, side), folder / f"{side}.png")
    return folder


def empty(folder):
    folder.mkdir()
    return folder


UNREADABLE = {
    "missing": (lambda folder: folder / "no.mp4", "There is no file"),
    "no film": (lambda folder: noise(folder / "a.mp4"), "not a film"),
    "text": (lambda folder: (folder / "a.txt").write_text("hello " * 99) and folder / "a.txt", "not a film"),
    "cut off": (lambda folder: cut_off(folder / "a.mp4"), "cut off"),
    "sound only": (lambda folder: write_sound(folder / "a.m4a"), "only sound"),
    "empty folder": (lambda folder: empty(folder / "a"), "has no pictures"),
    "mixed sizes": (lambda folder: mixed(folder / "a"), "different sizes, 40 × 40 and 50 × 50"),
    "no images": (lambda folder: [], "has no pictures"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path, name):
    make, fragment = UNREADABLE[name]
    with pytest.raises(ClipError) as caught:
        list(open_clip(make(tmp_path)).frames())
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_range_beyond_the_end_has_no_pictures(tmp_path):
    path = write_film(tmp_path / "a.mp4", colors(3))
    with pytest.raises(ClipError, match="no pictures in this range"):
        open_clip(path, start=5)
    with pytest.raises(ClipError, match="must begin at 0"):
        open_clip(path, start=2, stop=1)
    with pytest.raises(ClipError, match="frame rate"):
        open_clip(path, rate=0)


UNWRITABLE = {"b.xyz": "let it end in .mp4", "no/b.mp4": "There is no folder", "full": "with things in it"}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_what_cannot_be_written_is_told_before_the_work(tmp_path, name):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    with pytest.raises(ClipError, match=UNWRITABLE[name]):
        check_clip_writable(tmp_path / name)


def test_a_film_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    clip = open_clip([torch.zeros(1, 3, 32, 32)])
    (tmp_path / "b.mp4").write_text("old")

    def frames():
        yield Frame(torch.zeros(1, 3, 32, 32), Fraction(0))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save_clip(frames(), tmp_path / "b.mp4", clip)
    with pytest.raises(ClipError, match="no frames"):
        save_clip([], tmp_path / "b.mp4", clip)
    assert (tmp_path / "b.mp4").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_frames_are_read_and_written_one_by_one(tmp_path):
    """A film of any length takes the same memory: no frame is asked for before the one before is let go."""
    alive = []

    class Watched(Clip):
        name, shape, rate, tick, count = "watched", (32, 32), Fraction(10), Fraction(1, 10), 30

        def frames(self, skip=0):
            for index in range(30):
                image = torch.full((1, 3, 32, 32), index / 30)
                alive.append(__import__("weakref").ref(image))
                yield Frame(image, Fraction(index, 10))
                del image

    clip = Watched()
    most = 0

    def counted():
        nonlocal most
        for frame in clip.frames():
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame

    for name in ("b.mp4", "b.gif", "b"):
        save_clip(counted(), tmp_path / name, clip)
    assert most <= 4


# --- what people have: mirrored films, photos turned by the camera, places that are taken ---


def test_a_film_that_is_shown_mirrored_is_mirrored(tmp_path):
    picture = gray(0)
    picture[:24, :32] = 255  # upper left
    path = write_film(tmp_path / "a.mp4", [picture] * 2, rotate=180)
    turned, mirrored = (
        struct.pack(">9i", a, 0, 0, 0, d, 0, 0, 0, 0)[:20] for a, d in ((-1 << 16,) * 2, (-1 << 16, 1 << 16))
    )
    data = path.read_bytes()
    assert data.count(turned) == 1
    for matrix, rows, columns in ((turned, slice(24, None), slice(32, None)), (mirrored, slice(24), slice(32, None))):
        path.write_bytes(data.replace(turned, matrix))
        (frame, *_) = open_clip(path).frames()
        white = torch.zeros(48, 64)
        white[rows, columns] = 1
        assert (frame.image.mean(dim=1)[0] - white).abs().mean() < 0.05


def test_pictures_of_a_folder_are_measured_as_they_are_shown(tmp_path):
    upright, turned = Image.new("RGB", (40, 60)), Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    upright.save(tmp_path / "1.jpg")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "2.jpg", exif=turned)
    assert open_clip(tmp_path).shape == (60, 40)
    upright.save(tmp_path / "3.jpg", exif=turned)  # stored as the first one, shown lying
    with pytest.raises(ClipError, match="different sizes, 40 × 60 and 60 × 40"):
        open_clip(tmp_path)


def save(path, **options):
    save_clip([Frame(torch.zeros(1, 3, 32, 32), Fraction(0))], path, open_clip([torch.zeros(1, 3, 32, 32)]), **options)


def test_frames_of_somebody_else_are_not_replaced(tmp_path):
    folder = tmp_path / "frames"
    save(folder)
    with pytest.raises(ClipError, match="folder with things in it"):
        save(folder)
    assert len(list(folder.iterdir())) == 1
    save(folder, replace=True)  # as a film that is gone on with does


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_link_stays_one_and_a_pipe_is_refused(tmp_path):
    (tmp_path / "b.mp4").touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "b.mp4")
    save(tmp_path / "link.mp4")
    assert (tmp_path / "link.mp4").is_symlink() and (tmp_path / "b.mp4").stat().st_size > 0
    (tmp_path / "shelf").mkdir()
    (tmp_path / "to_shelf").symlink_to(tmp_path / "shelf")
    save(tmp_path / "to_shelf")
    assert (tmp_path / "shelf" / "000001.png").exists()
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(ClipError, match="a pipe"):
        check_clip_writable(tmp_path / "pipe.mp4")
