"""The shell commands do what they say; a mistake costs one clear line on standard error and exit status 2."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pooch
import pytest
import tifffile
import torch
from PIL import Image
from skimage import data

import stylelib
from stylelib import cli, commands, gallery, load_image, memory, save_image, stylize
from stylelib.backbones import RECIPES, weights_file
from stylelib.objective import STYLE_WEIGHT

QUICK = ["--size", "64", "--steps", "4", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with pictures of several kinds and files that are none."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(data.chelsea()).resize((96, 64)).save("content.png")
    Image.fromarray(data.coffee()).resize((80, 60)).save("style.jpg")
    Image.fromarray(data.coffee()).resize((1000, 20)).save("narrow.png")
    Path("text.jpg").write_text("Dear diary,")
    Path("empty.png").touch()
    Path("cut.jpg").write_bytes(Path("style.jpg").read_bytes()[:1500])
    Path("folder.png").mkdir()
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Runs one command: (exit status, standard output, standard error)."""

    def run(*arguments):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's way out
            status = stop.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def offline(monkeypatch):
    def refuse(*arguments, **options):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def complaint(outcome):
    """The one line on standard error that a mistake of the user gives, without its `stylelib: `."""
    status, _, errors = outcome
    assert status == 2, errors
    assert errors.startswith("stylelib: ") and errors.count("\n") == 1 and errors.endswith("\n")
    return errors.removeprefix("stylelib: ").strip()


# --- what the commands do ---


def test_stylize_writes_a_picture_of_the_contents_shape(run):
    status, output, errors = run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK)
    assert (status, errors) == (0, "")
    assert output == "out.png: 64 × 43 pixels after 4 evaluations\n"
    assert load_image("out.png").shape == (1, 3, 43, 64)


def test_stylize_paints_what_the_function_paints(run):
    run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, "--style-weight", 100)
    content, style = load_image("content.png", 64), load_image("style.jpg", 64)
    result = stylize(content, style, size=64, steps=4, style_weight=100)
    save_image(result.image, "expected.png")
    assert Path("out.png").read_bytes() == Path("expected.png").read_bytes()


def test_texture_writes_a_square_picture(run):
    status, output, errors = run("texture", "style.jpg", "-o", "out.JPG", *QUICK)
    assert (status, errors) == (0, "")
    assert "64 × 64 pixels" in output and load_image("out.JPG").shape == (1, 3, 64, 64)


def test_the_same_seed_writes_the_same_file(run):
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        run("texture", "style.jpg", "-o", name, *QUICK, "--seed", seed)
    first, same, other = (Path(name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert first == same and first != other


def test_start_noise_uses_the_seed(run):
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        run("stylize", "content.png", "style.jpg", "-o", name, *QUICK, "--start", "noise", "--seed", seed)
    first, same, other = (Path(name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert first == same and first != other


def test_a_seed_that_would_do_nothing_is_refused(run):
    message = complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, "--seed", 1))
    assert "--start noise" in message and not Path("out.png").exists()


def test_a_folder_does_not_hide_a_picture_of_the_gallery(run):
    Path("coffee").mkdir()
    assert run("stylize", "coffee", "waves", "-o", "out.png", *QUICK)[0] == 0
    assert load_image("out.png").shape == (1, 3, 43, 64)


def test_pictures_of_the_gallery_go_by_name(run):
    status, _, _ = run("stylize", "chelsea", "waves", "-o", "out.png", *QUICK)
    assert status == 0 and load_image("out.png").shape == (1, 3, 43, 64)


def test_a_file_comes_before_a_gallery_picture_of_the_same_name(run):
    Image.new("RGB", (50, 50)).save("coffee", format="PNG")
    run("stylize", "coffee", "style.jpg", "-o", "out.png", *QUICK)
    assert load_image("out.png").shape == (1, 3, 64, 64), "the gallery's coffee is not square"


def test_an_older_result_is_overwritten(run):
    Path("out.png").write_bytes(b"older")
    assert run("texture", "style.jpg", "-o", "out.png", *QUICK)[0] == 0
    assert load_image("out.png").shape == (1, 3, 64, 64)


def test_doctor_names_the_backbones_and_a_time(run, monkeypatch):
    monkeypatch.setattr(commands.doctor, "estimate", lambda *_: 42.0)
    status, output, _ = run("doctor", "--device", "cpu")
    assert status == 0
    assert all(re.search(rf"^{name}\s+(ready|not downloaded)", output, re.MULTILINE) for name in RECIPES)
    assert re.search(r"^slim\s+ready$", output, re.MULTILINE), "it comes with the package"
    assert re.search(r"^one picture   512 × 384 pixels with slim on cpu, 240 evaluations: about 42 s and", output, re.M)


def test_doctor_without_a_picture_speaks_of_the_size_and_the_steps_asked_for(run):
    status, output, _ = run("doctor", "--size", 64, "--steps", 10, "--device", "cpu")
    assert status == 0
    assert "64 × 48 pixels with slim on cpu, 10 evaluations: about 1 s" in output


@pytest.mark.parametrize(
    "options, said",
    [
        (["--size", 99999], "Size 99999 needs about"),
        (["--size", 8], "choose a larger size"),
        (["--backbone", "vgg"], "There is no backbone 'vgg'"),
    ],
)
def test_doctor_reports_on_the_machine_even_where_the_picture_is_impossible(run, options, said):
    status, output, _ = run("doctor", *options, "--device", "cpu")
    assert status == 0
    assert said in output
    assert re.search(r"^slim\s+ready$", output, re.MULTILINE)


def test_doctor_sees_weights_that_were_downloaded(run, monkeypatch):
    monkeypatch.setattr(commands.doctor, "estimate", lambda *_: 42.0)
    monkeypatch.setenv("TORCH_HOME", "torch_home")
    assert re.search(r"^vgg19\s+not downloaded", run("doctor")[1], re.MULTILINE)
    weights_file("vgg19").parent.mkdir(parents=True)
    weights_file("vgg19").touch()
    assert re.search(r"^vgg19\s+ready", run("doctor")[1], re.MULTILINE)


def test_doctors_estimate_grows_with_the_picture_and_the_steps():
    backbone = commands.load_backbone("slim")
    small = commands.doctor.estimate(backbone, 64, 100, (3, 4))
    assert small > 0
    assert commands.doctor.estimate(backbone, 127, 1000, (3, 4)) > 5 * small


def test_doctor_forecasts_the_run_of_a_picture(run):
    status, output, errors = run("doctor", "content.png", "--size", 64, "--steps", 10, "--device", "cpu")
    assert (status, errors) == (0, "")
    assert re.fullmatch(
        r"content.png: 64 × 43 pixels with slim on cpu, 10 evaluations: about \d+ s and \d+\.\d GiB of memory\n", output
    )


def test_gallery_lists_every_name(run):
    status, output, _ = run("gallery")
    assert status == 0 and all(name in output for name in commands.gallery.names())


@pytest.mark.parametrize("command", [[], ["stylize"], ["texture"], ["doctor"], ["gallery"]])
def test_help_is_no_error(run, command):
    status, output, _ = run(*command, "--help")
    assert status == 0 and output.startswith("usage: stylelib")


def test_the_command_runs_as_a_process(folder):
    command = [sys.executable, "-m", "stylelib.cli", "stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "64 × 43 pixels" in done.stdout and load_image("out.png").shape == (1, 3, 43, 64)


# --- mistakes ---


@pytest.mark.parametrize("name", ["missing.png", "text.jpg", "empty.png", "cut.jpg", "folder.png"])
@pytest.mark.parametrize("role", ["content", "style"])
def test_a_source_that_cannot_be_read(run, name, role):
    pictures = [name, "style.jpg"] if role == "content" else ["content.png", name]
    assert name in complaint(run("stylize", *pictures, "-o", "out.png", *QUICK))
    assert not Path("out.png").exists()


@pytest.mark.parametrize("name", ["out.xyz", "out", "out.psd", "missing/out.png", "folder.png"])
def test_a_result_that_cannot_be_written_is_found_before_the_work(run, name, monkeypatch):
    monkeypatch.setattr(commands, "load_backbone", lambda *_: pytest.fail("it went to work"))
    complaint(run("stylize", "content.png", "style.jpg", "-o", name, *QUICK))


@pytest.mark.parametrize("name", ["content.png", "style.jpg", "./style.jpg", "folder.png/../content.png"])
def test_the_sources_are_not_overwritten(run, name):
    before = Path(name).read_bytes()
    assert "source" in complaint(run("stylize", "content.png", "style.jpg", "-o", name, *QUICK))
    assert Path(name).read_bytes() == before


def test_a_link_to_a_source_is_not_overwritten(run):
    Path("link.jpg").symlink_to("style.jpg")
    assert "source" in complaint(run("texture", "style.jpg", "-o", "link.jpg", *QUICK))


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--size", "0"], "--size: must be a whole number, at least 1, not '0'"),
        (["--size", "-3"], "--size: must be a whole number, at least 1, not '-3'"),
        (["--size", "large"], "--size: must be a whole number, at least 1, not 'large'"),
        (["--size", "8"], "short side of the content would be under 32"),
        (["--steps", "0"], "--steps: must be a whole number, at least 1, not '0'"),
        (["--steps", "1.5"], "--steps: must be a whole number, at least 1, not '1.5'"),
        (["--seed", "x"], "--seed: must be a whole number"),
        (["--seed", "99999999999999999999"], "--seed: must be a whole number, at least 0 and below"),
        (["--style-weight", "-1"], "--style-weight: must be a number, at least 0, not '-1'"),
        (["--style-weight", "nan"], "--style-weight: must be a number, at least 0, not 'nan'"),
        (["--style-weight", "inf"], "--style-weight: must be a number, at least 0, not 'inf'"),
        (["--style-weight", "much"], "--style-weight: must be a number, at least 0, not 'much'"),
        (["--backbone", "vgg16"], "There is no backbone 'vgg16'. There are: slim, vgg19"),
        (["--device", "banana"], "no device 'banana'"),
        (["--device", "meta"], "no device 'meta'"),
        (["--device", "hpu"], "no device 'hpu'"),
        (["--colour", "red"], "--colour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_says_what_would_be_right(run, arguments, expected):
    assert expected in complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, *arguments))
    assert not Path("out.png").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has it")
def test_a_gpu_that_is_not_there(run):
    assert "--device cpu" in complaint(run("texture", "style.jpg", "-o", "out.png", *QUICK, "--device", "cuda"))


@pytest.mark.parametrize(
    "arguments",
    [[], ["paint"], ["stylize"], ["stylize", "content.png", "-o", "out.png"], ["texture", "style.jpg"]],
    ids=" ".join,
)
def test_an_incomplete_command(run, arguments):
    assert "--help" in complaint(run(*arguments))


def test_a_content_picture_too_narrow_for_the_size(run):
    assert "larger size" in complaint(run("stylize", "narrow.png", "style.jpg", "-o", "out.png", *QUICK))


@pytest.mark.parametrize("command", [["stylize", "content.png", "narrow.png"], ["texture", "narrow.png"]], ids=" ".join)
def test_a_style_picture_too_narrow_for_the_size(run, command):
    complaint(run(*command, "-o", "out.png", *QUICK))


def test_a_name_too_long_for_the_file_system(run):
    assert "Cannot read" in complaint(run("stylize", "x" * 5000, "style.jpg", "-o", "out.png", *QUICK))
    assert "Cannot write" in complaint(run("texture", "style.jpg", "-o", "x" * 5000 + ".png", *QUICK))


def test_a_mistake_leaves_an_older_result_as_it_was(run):
    Path("out.png").write_bytes(b"older")
    complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, "--size", 8))
    assert Path("out.png").read_bytes() == b"older"


def test_a_mistake_in_doctors_options(run):
    assert "no device 'banana'" in complaint(run("doctor", "--device", "banana"))
    assert "no file missing.png" in complaint(run("doctor", "missing.png"))
    assert "There is no backbone 'vgg'" in complaint(run("doctor", "content.png", "--backbone", "vgg"))
    assert "short side of the content" in complaint(run("doctor", "narrow.png", "--size", 64))


@pytest.mark.parametrize("command", ["stylize content.png style.jpg -o out.png", "texture style.jpg -o out.png"])
def test_a_size_beyond_the_memory_names_the_largest_that_fits(run, command):
    message = complaint(run(*command.split(), "--size", 100_000, "--device", "cpu"))
    assert re.match(r"Size 100000 needs about \d+\.\d GiB .* the largest size that fits is \d+\.$", message)
    assert not Path("out.png").exists()


def test_doctor_says_the_same_of_such_a_size(run):
    message = complaint(run("doctor", "content.png", "--size", 100_000, "--device", "cpu"))
    assert "the largest size that fits is" in message


def test_without_a_network_a_painting_names_what_is_here(run, offline, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda project: Path("cache"))
    message = complaint(run("stylize", "content.png", "starry_night", "-o", "out.png", *QUICK))
    assert "'starry_night' could not be downloaded" in message and "waves" in message


def test_without_a_network_missing_weights_say_what_to_do(run, offline, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "torch_home")
    message = complaint(run("texture", "style.jpg", "-o", "out.png", *QUICK, "--backbone", "vgg19"))
    assert "548 MB" in message and str(weights_file("vgg19")) in message and '"slim"' in message


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>", b"PK\x03\x04" + bytes(500), bytes(range(256))])
def test_damaged_weights_say_what_to_do(run, offline, monkeypatch, content):
    monkeypatch.setenv("TORCH_HOME", "torch_home")
    weights_file("vgg19").parent.mkdir(parents=True)
    weights_file("vgg19").write_bytes(content)
    message = complaint(run("texture", "style.jpg", "-o", "out.png", *QUICK, "--backbone", "vgg19"))
    assert str(weights_file("vgg19")) in message and "Delete it" in message


# --- what happens to a run ---


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("[…] can't allocate memory: […]")],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_suggests_a_smaller_size(run, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(commands.transfer, "stylize", fail)
    assert "smaller --size" in complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK))


def test_a_mistake_of_the_program_is_not_hidden(run, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(commands.transfer, "stylize", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK)


class InterruptedBar(commands.tqdm):
    """A progress bar under which Ctrl-C is pressed after the third step."""

    pressed_after = 3

    def update(self, n=1):
        self.pressed_after -= 1
        if self.pressed_after == 0:
            raise KeyboardInterrupt


def test_ctrl_c_saves_the_best_picture_so_far(run, monkeypatch):
    monkeypatch.setattr(commands, "tqdm", InterruptedBar)
    status, output, errors = run("texture", "style.jpg", "-o", "out.png", "--size", 64, "--steps", 50)
    assert status == 130
    assert "Interrupted after 3 of 50 steps" in errors and errors.count("\n") == 1
    assert "after 3 evaluations" in output
    run("texture", "style.jpg", "-o", "start.png", "--size", 64, "--steps", 2)
    assert (load_image("out.png") - load_image("start.png")).abs().mean() > 0.001, "not merely the start"


def test_ctrl_c_before_the_first_step_is_no_traceback(run, monkeypatch):
    def press(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "load_backbone", press)
    status, _, errors = run("texture", "style.jpg", "-o", "out.png", *QUICK)
    assert status == 130 and errors.startswith("stylelib: interrupted") and errors.count("\n") == 1


def test_an_unstable_run_warns_in_one_line_and_keeps_the_picture(run, monkeypatch):
    def warn(*arguments, **options):
        warnings.warn("The loss became nan.", stacklevel=2)
        return commands.Result(torch.rand(1, 3, 8, 8), [])

    monkeypatch.setattr(commands.transfer, "synthesize_texture", warn)
    status, _, errors = run("texture", "style.jpg", "-o", "out.png", *QUICK)
    assert (status, errors) == (0, "stylelib: The loss became nan.\n") and Path("out.png").exists()


def test_a_picture_that_cannot_be_written_after_all_is_one_line(run, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "Cannot write out.png: No space left" in complaint(run("texture", "style.jpg", "-o", "out.png", *QUICK))


# --- control ---


@pytest.fixture
def masked(folder):
    """A mask whose left half is white, and pictures of two regions."""
    mask = Image.new("L", (48, 32))
    mask.paste(255, (0, 0, 24, 32))
    mask.save("mask.png")
    Image.new("L", (48, 32)).save("black.png")
    for name, size, colors in (("cr.png", (48, 32), ("red", "blue")), ("sr.png", (40, 30), ("blue", "red"))):
        picture = Image.new("RGB", size, colors[0])
        picture.paste(colors[1], (size[0] // 2, 0, size[0], size[1]))
        picture.save(name)
    Image.new("RGB", (40, 30), "lime").save("lime.png")


def test_every_control_is_passed_on(run, masked):
    plain, *controlled = (
        ["-o", "plain.png"],
        ["-o", "color.png", "--color", "content"],
        ["-o", "stroke.png", "--stroke", 2],
        ["-o", "blend.png", "--also", "waves", "points", "--blend", 1, 3, 2],
        ["-o", "mask.png.png", "--mask", "mask.png"],
        ["-o", "regions.png", "--regions", "cr.png", "sr.png"],
    )
    for options in (plain, *controlled):
        status, _, errors = run("stylize", "content.png", "style.jpg", *QUICK, *options)
        assert status == 0, errors
    pictures = [load_image(options[1]) for options in (plain, *controlled)]
    for index, picture in enumerate(pictures):
        assert all((picture - other).abs().mean() > 1e-3 for other in pictures[:index])
    content = load_image("content.png", size=64)
    assert (pictures[4] - content)[..., 36:].abs().max() <= 1 / 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--mask black.png", "black.png is black all over"),
        ("--mask nothing.png", "There is no file nothing.png"),
        ("--regions cr.png lime.png", "#0000ff of the content has no partner"),
        ("--regions content.png sr.png", "one color for each"),
        ("--regions cr.png sr.png --mask mask.png", "leave --also and --mask out"),
        ("--also waves --blend 1", "one weight for each style: 2, not 1"),
        ("--also waves --blend 0 0", "weights of all styles are zero"),
        ("--stroke 0", "--stroke must be above 0"),
        ("--stroke 0.1", "short side of the style would be under 32"),
        ("--stroke x", "argument --stroke: must be a number"),
        ("--color green", "argument --color: invalid choice"),
        ("--also", "argument --also: expected at least one argument"),
    ],
)
def test_a_control_that_makes_no_sense_costs_one_line(run, masked, options, message):
    arguments = ["stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, *options.split()]
    assert message in complaint(run(*arguments))
    assert not Path("out.png").exists()


def test_no_control_overwrites_one_of_its_sources(run, masked):
    arguments = ["stylize", "content.png", "style.jpg", *QUICK, "--mask", "mask.png", "-o", "mask.png"]
    assert "is one of the source pictures" in complaint(run(*arguments))


# --- photo


def test_photo_grades_a_picture(run):
    assert run("photo", "content.png", "style.jpg", "-o", "out.png") == (0, "out.png: 96 × 64 pixels\n", "")
    content, style, result = (load_image(name) for name in ("content.png", "style.jpg", "out.png"))
    expected = stylelib.transfer_photo(content, style)
    assert (result - expected).abs().max() <= 0.51 / 255


def test_photo_saves_a_look_and_uses_it_again(run):
    looked = ["photo", "content.png", "style.jpg", "--method", "linear", "--save-lut", "look.cube", "-o", "out.png"]
    assert run(*looked)[0] == 0
    assert run("photo", "content.png", "--lut", "look.cube", "-o", "again.png")[0] == 0
    assert (load_image("again.png") - load_image("out.png")).abs().mean() < 1 / 255
    assert run("photo", "content.png", "--lut", "look.cube", "--strength", "0", "-o", "same.png")[0] == 0
    assert torch.equal(load_image("same.png"), load_image("content.png"))


def test_photo_treats_regions_apart(run):
    left = Image.new("L", (96, 64))
    left.paste(255, (0, 0, 48, 64))
    left.save("left.png")
    Image.new("L", (80, 60), 255).save("all.png")
    assert run("photo", "content.png", "style.jpg", "--regions", "left.png", "all.png", "-o", "out.png")[0] == 0
    assert run("photo", "content.png", "style.jpg", "-o", "whole.png")[0] == 0
    content, result, whole = (load_image(name) for name in ("content.png", "out.png", "whole.png"))
    assert (result - content)[..., -10:].abs().mean() < 0.3 * (whole - content)[..., -10:].abs().mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["content.png"], "either a STYLE or --lut"),
        (["content.png", "style.jpg", "--lut", "a.cube"], "either a STYLE or --lut"),
        (["content.png", "--lut", "missing.cube"], "Cannot read missing.cube"),
        (["content.png", "--lut", "text.jpg"], "no complete 3-D table"),
        (["content.png", "style.jpg", "--save-lut", "a.cube"], "no color table can"),
        (["content.png", "style.jpg", "--save-lut", "a.txt", "--method", "full"], "saved as .cube"),
        (["content.png", "style.jpg", "--strength", "2"], "at least 0 and at most 1, not '2'"),
        (["content.png", "style.jpg", "--method", "magic"], "invalid choice: 'magic'"),
        (["content.png", "style.jpg", "--regions", "text.jpg", "text.jpg"], "not a picture"),
    ],
)
def test_mistakes_with_photographs_cost_one_line(run, arguments, message):
    assert message in complaint(run("photo", *arguments, "-o", "out.png"))
    assert not Path("out.png").exists()


# --- signals ---


@pytest.fixture
def heard():
    """Signals as in a shell; where tests run in the background or under nohup, some are ignored from the start."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), signal.SIG_DFL) for name in names}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


def bar_that_sends(number):
    class Bar(commands.tqdm):
        """A progress bar under which a signal comes at the third step."""

        steps = 0

        def update(self, n=1):
            Bar.steps += 1
            if Bar.steps == 3:
                os.kill(os.getpid(), number)

    return Bar


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_stop_saves_the_best_picture_so_far(run, heard, monkeypatch, name):
    if not hasattr(signal, name):
        pytest.skip("not on this system")
    before = signal.getsignal(getattr(signal, name))
    monkeypatch.setattr(commands, "tqdm", bar_that_sends(getattr(signal, name)))
    status, output, errors = run("texture", "style.jpg", "-o", "out.png", "--size", 64, "--steps", 50)
    assert status == 130 and "Interrupted after 3 of 50 steps" in errors and "after 3 evaluations" in output
    assert load_image("out.png").shape == (1, 3, 64, 64)
    assert signal.getsignal(getattr(signal, name)) == before, "as it was"


def test_a_second_signal_does_not_cost_the_picture(run, heard, monkeypatch):
    """A closing terminal sends SIGHUP and then SIGTERM; the picture is being saved by then."""

    def save(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        save_image(*arguments, **options)

    monkeypatch.setattr(commands, "save_image", save)
    monkeypatch.setattr(commands, "tqdm", bar_that_sends(signal.SIGHUP))
    assert run("texture", "style.jpg", "-o", "out.png", "--size", 64, "--steps", 50)[0] == 130
    assert load_image("out.png").shape == (1, 3, 64, 64)


def test_a_signal_that_is_ignored_stays_ignored(run, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        monkeypatch.setattr(commands, "tqdm", bar_that_sends(signal.SIGHUP))
        assert "after 4 evaluations" in run("texture", "style.jpg", "-o", "out.png", *QUICK)[1]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_torch_is_imported_is_one_line(folder, heard):
    """A torch that takes long, and under which Ctrl-C is pressed."""
    Path("torch").mkdir()
    Path("torch/__init__.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    )
    command = [sys.executable, "-m", "stylelib.cli", "texture", "style.jpg", "-o", "out.png"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder)})
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "stylelib: interrupted before there was a picture to keep.\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["stylize", "--help"], ["stylize", "a", "b", "--colour", "c"], ["x"]]
)
def test_neither_help_nor_a_mistyped_option_waits_for_torch(folder, arguments):
    Path("torch").mkdir()
    Path("torch/__init__.py").write_text("raise SystemExit('torch was imported')")
    command = [sys.executable, "-m", "stylelib.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder)})
    assert "torch" not in done.stderr and done.returncode == (0 if "--help" in arguments else 2)


def test_defaults_that_the_options_repeat_are_the_packages():
    assert cli.BACKBONES == tuple(RECIPES)
    assert (cli.STEPS, cli.STYLE_WEIGHT) == (commands.transfer.STEPS, STYLE_WEIGHT)


# --- text that cannot be shown ---


@pytest.mark.parametrize("encoding", ["cp437", "cp1251", "ascii"])
def test_text_that_an_encoding_lacks_is_written_plainly(folder, monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["texture", "style.jpg", "-o", "out.png", *QUICK]) == 0
    assert stream.buffer.getvalue().decode(encoding).strip() == "out.png: 64 x 64 pixels after 4 evaluations"


@pytest.mark.parametrize("arguments", [["gallery"], ["stylize", "--help"]], ids=" ".join)
@pytest.mark.parametrize("encoding", ["cp437", "ascii"])
def test_no_command_fails_for_an_encoding(folder, monkeypatch, encoding, arguments):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    try:
        assert cli.main(arguments) == 0
    except SystemExit as stop:
        assert stop.code == 0


def test_a_name_that_is_no_text_is_spoken_of(run):
    assert "no file" in complaint(run("stylize", "caf\udce9.png", "style.jpg", "-o", "out.png", *QUICK))


def test_a_pipe_that_nobody_reads_any_more_is_no_error(folder, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["gallery"]) == 0


@pytest.mark.parametrize("mistake", [lambda: "é".encode("ascii"), lambda: int("x"), lambda: torch.zeros(2, 3).view(5)])
def test_an_error_of_python_is_not_printed_as_our_sentence(run, monkeypatch, mistake):
    monkeypatch.setattr(commands.transfer, "stylize", lambda *_, **__: mistake())
    with pytest.raises((ValueError, RuntimeError)):
        run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK)


# --- what a file holds ---


def test_a_full_disk_costs_neither_the_older_file_nor_the_picture(run, monkeypatch, tmp_path):
    Path("out.png").write_bytes(b"older")
    write = Path.write_bytes

    def full(path, data):
        if path.resolve().parent == tmp_path.resolve():
            write(path, data[:9])
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    Path("elsewhere").mkdir()
    monkeypatch.setattr(commands, "gettempdir", lambda: "elsewhere")
    message = complaint(run("texture", "style.jpg", "-o", "out.png", *QUICK))
    assert "No space left" in message and Path("out.png").read_bytes() == b"older"
    (rescued,) = Path("elsewhere").iterdir()
    assert str(rescued) in message and load_image(rescued).shape == (1, 3, 64, 64)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing lies about"


def test_keep_alpha_puts_the_contents_alpha_back(run):
    alpha = Image.linear_gradient("L").resize((96, 64))
    content = Image.open("content.png")
    content.putalpha(alpha)
    content.save("cut_out.png")
    assert run("stylize", "cut_out.png", "style.jpg", "-o", "out.png", *QUICK, "--keep-alpha")[0] == 0
    result = Image.open("out.png")
    assert result.mode == "RGBA" and result.size == (64, 43)
    difference = np.abs(np.asarray(result.getchannel("A")).astype(int) - np.asarray(alpha.resize((64, 43))))
    assert difference.max() <= 8
    refused = complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK, "--keep-alpha"))
    assert "no transparent parts" in refused
    refused = complaint(run("stylize", "cut_out.png", "style.jpg", "-o", "out.jpg", *QUICK, "--keep-alpha"))
    assert "out.jpg cannot hold transparency" in refused


def test_a_blank_sheet_is_said_in_one_line(run):
    Image.new("RGBA", (64, 64), (255, 255, 255, 0)).save("logo.png")
    status, _, errors = run("stylize", "logo.png", "style.jpg", "-o", "out.png", *QUICK)
    assert status == 0 and errors.startswith("stylelib: logo.png is one color") and errors.count("\n") == 1


def test_sixteen_bits_and_dots_per_inch(run):
    options = ["--bits", 16, "--dpi", 300]
    assert run("stylize", "content.png", "style.jpg", "-o", "out.tif", *QUICK, *options)[0] == 0
    with tifffile.TiffFile("out.tif") as file:
        page = file.pages[0]
        assert page.dtype == np.uint16 and page.tags["XResolution"].value == (300, 1)
        assert len(np.unique(page.asarray())) > 256, "more than 8 bits of them are used"
    assert "out.jpg cannot hold 16 bits" in complaint(run("texture", "style.jpg", "-o", "out.jpg", *QUICK, *options))
    refused = complaint(run("texture", "style.jpg", "-o", "out.webp", *QUICK, "--dpi", 300))
    assert "out.webp cannot hold dots per inch" in refused


def test_pillows_warnings_are_not_shown(run, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # content.png has 6144, and may have twice as many
    Image.open("content.png").save("damaged.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05junk")
    status, _, errors = run("stylize", "damaged.png", "content.png", "-o", "out.png", *QUICK)
    assert (status, errors) == (0, "")


def test_a_picture_too_large_to_decode_is_refused(run, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 10_000)
    message = complaint(run("stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK))
    assert re.match(r"Reading content\.png takes about .* make it smaller first\.$", message)


# --- what must not be lost, and options that would do nothing ---


def test_no_source_is_replaced_by_its_result(run):
    waves = gallery.path("waves")
    assert "one of the source pictures" in complaint(run("stylize", "content.png", "waves", "-o", waves, *QUICK))
    Image.new("RGB", (64, 48)).save("style.gif")
    assert "one of the source pictures" in complaint(run("video", "content.png", "style.gif", "-o", "style.gif"))


def test_a_mistyped_name_of_the_gallery_is_guessed(run):
    assert "did you mean waves?" in complaint(run("stylize", "content.png", "Waves", "-o", "out.png", *QUICK))
    assert "`stylelib gallery` lists" in complaint(run("stylize", "content.png", "zzz", "-o", "out.png", *QUICK))


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["stylize", "content.png", "style.jpg", "-o", "out.png", "--blend", "3"], "--blend weighs several styles"),
        (["photo", "content.png", "-o", "out.png", "--lut", "a.cube", "--save-lut", "b.cube"], "--save-lut out"),
        (["photo", "content.png", "-o", "out.png", "--lut", "a.cube", "--method", "full"], "leave --method"),
        (
            ["photo", "content.png", "style.jpg", "-o", "out.png", "--save-lut", "b.cube", "--regions", "a", "b"],
            "leave --regions out",
        ),
        (["stylize", "content.png", "style.jpg", "-o", "out.jpg", "--dpi", "1e9"], "at most 65535"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run, arguments, fragment):
    assert fragment in complaint(run(*arguments))
    assert not Path("out.png").exists() and not Path("b.cube").exists()


def test_a_table_of_colors_is_as_strong_as_the_picture(run):
    options = ["--method", "linear", "--strength", "0.4", "--save-lut", "a.cube"]
    assert run("photo", "content.png", "style.jpg", "-o", "out.png", *options)[0] == 0
    assert run("photo", "content.png", "-o", "again.png", "--lut", "a.cube")[0] == 0
    assert (load_image("out.png") - load_image("again.png")).abs().mean() < 0.01


def test_a_picture_too_large_for_its_format_is_kept_in_another(run, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "gettempdir", lambda: str(tmp_path))
    Image.new("RGB", (17_000, 1)).save("wide.png")
    said = complaint(run("photo", "wide.png", "style.jpg", "-o", "out.webp", "--method", "reinhard"))
    assert "does not hold 17000 × 1 pixels" in said
    (rescued,) = re.findall(r"The picture is in (\S+\.png) instead", said)
    assert load_image(rescued).shape[-1] == 17_000


def test_a_closed_standard_error_costs_no_picture(folder):
    code = "import sys; from stylelib import cli; sys.exit(cli.main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "stylize", "content.png", "style.jpg", "-o", "out.png", *QUICK]
    subprocess.run(line, check=True, preexec_fn=lambda: os.close(2))
    assert load_image("out.png").shape[-1] == 64


def test_hidden_files_of_a_folder_are_no_pictures(run):
    Path("many").mkdir()
    Image.new("RGB", (64, 48)).save("many/a.png")
    Path("many/._a.png").write_bytes(b"of macOS")
    status, *_ = run("stylize", "many", "style.jpg", "-o", "results", *QUICK)
    assert status == 0 and [path.name for path in Path("results").iterdir()] == ["a.png"]


def test_pressing_twice_does_not_lose_the_picture(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt):
            cli._interrupt(signal.SIGINT, None)
        again = signal.getsignal(signal.SIGINT)
        again(signal.SIGINT, None)  # nothing happens
        now = cli.time.monotonic()
        monkeypatch.setattr(cli.time, "monotonic", lambda: now + 2 * cli.PATIENCE)
        with pytest.raises(KeyboardInterrupt):
            again(signal.SIGINT, None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_pipe_is_no_place_for_a_picture(run):
    os.mkfifo("pipe.png")
    assert "a pipe or a device" in complaint(run("stylize", "content.png", "style.jpg", "-o", "pipe.png", *QUICK))


def test_a_link_to_itself_is_no_traceback(run):
    Path("loop.png").symlink_to("loop.png")
    assert complaint(run("stylize", "loop.png", "style.jpg", "-o", "out.png", *QUICK))


def test_the_version_is_told(run):
    assert run("--version")[1].startswith("stylelib ")
