"""What the figures of lesson 05 claim, checked as arrays: nbval does not look at pictures."""

import math
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import torch
from torch.nn.functional import avg_pool2d

import stylelib
from stylelib import checks, gallery
from stylelib.checks import EXERCISES
from stylelib.spectrum import spectrum

SIZE, STEPS = 128, 30
PAIRS = [("chelsea", "flow_strokes"), ("coffee", "waves")]


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


@pytest.fixture(scope="module")
def content():
    return gallery.load("chelsea", size=SIZE)


@pytest.fixture(scope="module")
def style():
    return gallery.load("flow_strokes", size=SIZE)


@pytest.fixture(scope="module")
def objective(backbone, content, style):
    return stylelib.Objective(backbone, content, style)


@pytest.fixture(scope="module")
def history(content, objective):
    return run(content, objective)


def run(image, objective, **options):
    return list(stylelib.optimize(image, objective, steps=STEPS, **options))


def best(history):
    return min(history, key=lambda step: step.losses["total"])


def reference(name):
    return EXERCISES[name].reference


def total(objective, image):
    with torch.no_grad():
        return objective(image)["total"].item()


def correlation(image, other):
    """Of brightness, seen from far away."""
    seen = torch.stack([avg_pool2d(each.mean(1), 4).flatten() for each in (image, other)])
    return torch.corrcoef(seen)[0, 1].item()


def detail(image):
    """Mean frequency of the picture's waves in cycles per long side, weighted by their energy."""
    height, width = image.shape[-2:]
    f = max(height, width) * torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    energy = torch.fft.rfft2(image - image.mean((-1, -2), keepdim=True)).abs().square().sum((0, 1))
    return ((f * energy).sum() / energy.sum()).item()


def noted(objective, totals):
    """The objective, which writes down each total; the image may also be coefficients with their way back."""

    def losses_of(image, to_image=lambda image: image):
        losses = objective(to_image(image))
        totals.append(losses["total"].item())
        return losses

    return losses_of


# --- 3, 4: the loop and the optimizers ---


def test_style_takes_over_step_by_step_and_the_content_stays_to_be_seen(history, content):
    early, middle, late = (history[index] for index in (0, 12, STEPS - 1))
    assert early.losses["style"] > 5 * middle.losses["style"] > 10 * late.losses["style"]
    assert torch.allclose(early.image, content, atol=1e-4)  # there and back through its waves
    assert 0.2 < correlation(best(history).image, content) < 0.95


def test_too_small_a_rate_leaves_the_photograph_and_too_large_a_one_throws_it_away(history, content, objective):
    adam = {rate: run(content, objective, optimizer="adam", learning_rate=rate) for rate in (0.001, 0.05, 0.2)}
    totals = {rate: best(steps).losses["total"] for rate, steps in adam.items()}
    assert 2 * totals[0.05] < totals[0.001] and totals[0.05] < totals[0.2]
    assert (best(adam[0.001]).image - content).abs().mean() < 0.05 < (best(adam[0.05]).image - content).abs().mean()
    assert max(step.losses["total"] for step in adam[0.2]) > 2 * history[0].losses["total"]
    assert detail(best(adam[0.2]).image) > 1.2 * detail(best(adam[0.05]).image), "noise remains"
    assert best(history).losses["total"] < 1.5 * totals[0.05]


def test_the_default_rate_of_adam_is_the_one_the_lesson_names(content, objective):
    pair = [
        list(stylelib.optimize(content, objective, steps=3, optimizer="adam", learning_rate=rate))[-1].image
        for rate in (None, 0.05)
    ]
    assert torch.equal(*pair)


@pytest.mark.parametrize(("photograph", "painting"), PAIRS)
def test_the_same_loop_ends_lower_on_waves_than_on_pixels(backbone, photograph, painting):
    start = gallery.load(photograph, size=SIZE)
    objective = stylelib.Objective(backbone, start, gallery.load(painting, size=SIZE))
    coefficients, to_image = spectrum(start)
    pixels, waves = [], []
    on_pixels, on_waves = noted(objective, pixels), noted(objective, waves)
    reference("optimize_lbfgs")(start, on_pixels, STEPS)
    moved = reference("optimize_lbfgs")(coefficients, lambda c: on_waves(c, to_image), STEPS) - coefficients
    assert abs(waves[0] - pixels[0]) < 1e-2 * pixels[0], "both start from the photograph"
    assert min(waves) < min(pixels)

    way = torch.fft.rfft2(to_image(moved), norm="ortho").abs().mean((0, 1))
    scaled = torch.view_as_complex(moved).abs().mean((0, 1))
    height, width = start.shape[-2:]
    f = max(height, width) * torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    slow, fast = (f >= 1) & (f < 2), (f >= 32) & (f < 64)
    assert way[slow].mean() > 8 * way[fast].mean(), "slow waves have the longest way to go"
    assert 1.3 * scaled[slow].mean() / scaled[fast].mean() < way[slow].mean() / way[fast].mean(), "less so when scaled"


# --- 5 to 8: the knobs ---


def test_the_start_decides_among_good_pictures(history, content, style, objective):
    starts = {
        "content": content,
        "noise": torch.rand(content.shape, generator=torch.Generator().manual_seed(0)),
        "style": stylelib.images.resize_to(style, tuple(content.shape[-2:])),
    }
    ends = {name: best(history if name == "content" else run(start, objective)) for name, start in starts.items()}
    assert max(end.losses["total"] for end in ends.values()) < history[0].losses["total"] / 5
    assert correlation(ends["content"].image, content) > correlation(ends["style"].image, content) + 0.1
    assert correlation(ends["style"].image, starts["style"]) > correlation(ends["content"].image, starts["style"]) + 0.1
    for name, other in (("content", "noise"), ("content", "style"), ("noise", "style")):
        assert (ends[name].image - ends[other].image).abs().mean() > 0.05


def test_more_style_is_less_content(history, backbone, content, style, objective):
    ends = []
    for factor in (1 / 64, 1 / 16, 1 / 4, 1, 4):
        weighted = stylelib.Objective(backbone, content, style, style_weight=factor * objective.weights["style"])
        ends.append(best(history if factor == 1 else run(content, weighted)))
    assert all(1.1 * less.losses["content"] < more.losses["content"] for less, more in pairwise(ends))
    assert 10 * ends[-1].losses["style"] < ends[0].losses["style"]
    assert correlation(ends[0].image, content) > correlation(ends[-1].image, content) + 0.1


def test_a_little_smoothing_keeps_the_strokes_and_a_lot_blurs_them(history, backbone, content, style, objective):
    usual, sharpness = objective.weights["variation"], []
    for weight in (0, usual, 100 * usual):
        other = stylelib.Objective(backbone, content, style, variation_weight=weight)
        sharpness.append(detail(best(history if weight == usual else run(content, other)).image))
    assert 0.75 * sharpness[0] < sharpness[1] < 1.05 * sharpness[0]
    assert sharpness[2] < 0.8 * sharpness[1]


def test_coarse_to_fine_is_cheaper_and_changes_broad_waves_more_and_full_size_gets_lower(backbone):
    content, style = gallery.load("chelsea", size=2 * SIZE), gallery.load("flow_strokes", size=2 * SIZE)
    objective = stylelib.Objective(backbone, content, style)
    full = best(run(content, objective))
    result = stylelib.stylize(content, style, backbone=backbone, size=2 * SIZE, steps=STEPS)
    sizes = [math.prod(step.shape) for step in result.history]
    assert len(sizes) == STEPS and sum(sizes) < 0.7 * STEPS * max(sizes)
    f = 2 * SIZE * torch.hypot(torch.fft.fftfreq(content.shape[-2])[:, None], torch.fft.rfftfreq(2 * SIZE))
    broad = [torch.fft.rfft2(i - content)[..., (f >= 4) & (f < 16)].norm() for i in (result.image, full.image)]
    assert broad[0] > 1.05 * broad[1]
    assert full.losses["total"] < total(objective, result.image)


# --- 9: digits ---


def test_bfloat16_convolutions_blur_gram_matrices_and_float16_ones_overflow(backbone):
    layers = list(backbone.style_layers)
    picture = (gallery.load("chelsea", size=2 * SIZE) - backbone.mean) / backbone.std
    with torch.no_grad():
        precise = reference("collect_features")(backbone.network, picture, layers)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = reference("collect_features")(backbone.network, picture, layers)
            grams = {name: stylelib.gram_matrix(feature) for name, feature in short.items()}
    for name in layers:
        true = stylelib.gram_matrix(precise[name])
        assert short[name].dtype == torch.bfloat16 and grams[name].dtype == torch.float32
        assert 1e-4 < (grams[name] - true).norm() / true.norm() < 0.1
    rows = precise[layers[0]].half().flatten(2)
    assert torch.isinf(rows @ rows.mT).any()


# --- 10: breaking it ---


def test_a_long_run_that_explodes_keeps_its_best_picture(content, objective):
    with pytest.warns(stylelib.OptimizationWarning):
        wild = run(content, objective, learning_rate=1e6)
    assert len(wild) < STEPS and wild[-1].losses["total"] == best(wild).losses["total"]
    assert torch.isfinite(wild[-1].image).all()


def test_one_bad_pixel_value_is_enough(content, objective):
    broken = content.clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.warns(stylelib.OptimizationWarning, match="no finite loss"):
        assert run(broken, objective) == []


# --- 11: the capstone, with the references of the checks ---


@pytest.mark.parametrize(("photograph", "painting"), PAIRS)
def test_the_parts_of_the_exercises_add_up_to_stylelib(backbone, photograph, painting, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("STYLELIB_FOLDER", str(tmp_path))  # nobody has kept anything here
    names = "normalize collect_features content_loss gram_matrix style_loss total_loss total_variation optimize_lbfgs"
    part = {name: checks.mine(name) for name in [*names.split(), "best_image", "coarse_sizes"]}
    assert capsys.readouterr().out.count("the reference stands in") == len(part)
    photo, picture = gallery.load(photograph, size=SIZE), gallery.load(painting, size=SIZE)
    judge = stylelib.Objective(backbone, photo, picture)
    content_layers, style_layers, seen = [backbone.content_layer], list(backbone.style_layers), []

    def see(image, layers):
        image = part["normalize"](image, backbone.mean.flatten(), backbone.std.flatten())
        return part["collect_features"](backbone.network, image, layers)

    with torch.no_grad():
        targets = see(photo, content_layers)
        grams = {name: part["gram_matrix"](feature) for name, feature in see(picture, style_layers).items()}

    def losses_of(image):
        features = see(image, content_layers + style_layers)
        losses = {
            "content": part["content_loss"](features, targets),
            "style": part["style_loss"](features, grams),
            "variation": part["total_variation"](image),
            "range": stylelib.losses.out_of_range(image),
        }
        losses["total"] = part["total_loss"](losses, judge.weights)
        numbers = {name: loss.item() for name, loss in losses.items()}
        seen.append(stylelib.Step(0, numbers, image.detach().clamp(0, 1), STEPS, tuple(image.shape[-2:])))
        return losses

    part["optimize_lbfgs"](photo, losses_of, STEPS)
    ours = part["best_image"](seen)
    assert part["coarse_sizes"](SIZE, SIZE) == [SIZE] and len(seen) == STEPS
    assert total(judge, ours) == pytest.approx(losses_of(ours)["total"].item(), rel=1e-3)
    theirs = stylelib.stylize(photo, picture, backbone=backbone, size=SIZE, steps=STEPS).image
    assert total(judge, ours) < total(judge, photo) / 4
    assert total(judge, ours) < 2 * total(judge, theirs)
    assert correlation(ours, theirs) > 0.5


MASTER = Path(__file__).parent.parent / "notebooks" / "solutions" / "05_optimization_loop.ipynb"


@pytest.fixture
def capstone(tmp_path, monkeypatch):
    """Runs the cells of the capstone for a panorama of 1000 × 60 pixels, painted at a given size."""
    monkeypatch.chdir(tmp_path)
    wide = stylelib.images.resize_to(gallery.load("coffee", size=64), (60, 1000))
    stylelib.save_image(wide, tmp_path / "wide.png")
    sources = {cell.id: cell.source for cell in nbformat.read(MASTER, as_version=4).cells}

    def run(size):
        sources["capstone-choice"] = (
            sources["capstone-choice"]
            .replace("PHOTO = None", 'PHOTO = "wide.png"')
            .replace("PAINT_SIZE = 256", f"PAINT_SIZE = {size}")
            .replace("PAINT_STEPS = 30", "PAINT_STEPS = 4")
        )
        defined = {}
        for name in ("setup", "objective-2", "capstone-parts", "capstone-choice", "capstone-objective", "capstone-run"):
            exec(compile(sources[name], name, "exec"), defined)
        return defined

    return run


def test_the_capstone_says_in_one_sentence_what_is_wrong_with_a_narrow_panorama(capstone):
    with pytest.raises(ValueError, match=r"the photograph has 256 × 15 pixels, and its short side needs 32\. Choose"):
        capstone(256)


def test_the_capstone_leaves_out_the_sizes_at_which_a_panorama_is_too_narrow(capstone):
    done = capstone(600)
    assert done["coarse_sizes"](600, 128) == [150, 300, 600] and done["sizes"] == [600]
    assert done["picture"].shape == (1, 3, 36, 600) and not torch.equal(done["picture"].cpu(), done["photo"])
