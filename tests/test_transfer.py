"""The recipes: coarse to fine, reproducible, and in one piece when they are stopped."""

import pytest
import torch

from stylelib import gallery, load_backbone, reconstruct, stylize, synthesize_texture
from stylelib.images import scaled_shape
from stylelib.loop import OptimizationWarning
from stylelib.transfer import plan, scales, shares

BACKBONE = load_backbone("slim")
SMALL = {"backbone": BACKBONE, "size": 64, "steps": 12}


@pytest.fixture(scope="module")
def content():
    return gallery.load("chelsea", size=96)


@pytest.fixture(scope="module")
def style():
    return gallery.load("waves", size=96)


def test_stylize_returns_an_image_with_the_contents_aspect_ratio(content, style):
    result = stylize(content, style, **SMALL)
    height, width = content.shape[-2:]
    assert result.image.shape == (1, 3, round(64 * height / width), 64)
    assert result.image.dtype == torch.float32 and result.image.is_contiguous()
    assert 0 <= result.image.min() and result.image.max() <= 1
    assert not result.interrupted


def test_the_history_has_every_step_and_no_pictures(content, style):
    result = stylize(content, style, **SMALL)
    assert [step.index for step in result.history] == list(range(12))
    assert result.evaluations == 12
    assert all(step.image is None and step.steps == 12 for step in result.history)
    assert result.history[0].losses["content"] == pytest.approx(0, abs=1e-9), "the start is the content"
    assert result.history[-1].losses["total"] < 0.5 * result.history[0].losses["total"]


@pytest.mark.parametrize("start", ["content", "noise"])
def test_the_same_seed_gives_the_same_picture(content, style, start):
    first, second = (stylize(content, style, start=start, seed=3, **SMALL) for _ in range(2))
    assert torch.equal(first.image, second.image)


def test_another_seed_gives_another_texture(style):
    first, second = (synthesize_texture(style, seed=seed, **SMALL).image for seed in (0, 1))
    assert (first - second).abs().mean() > 0.05


def test_the_global_random_state_neither_matters_nor_changes(style):
    torch.manual_seed(1)
    first = synthesize_texture(style, **SMALL).image
    state = torch.get_rng_state()
    second = synthesize_texture(style, **SMALL).image
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())


def test_a_texture_is_square_and_approaches_the_statistics_of_its_style(style):
    result = synthesize_texture(style, backbone=BACKBONE, size=64, steps=60)
    assert result.image.shape == (1, 3, 64, 64)
    assert result.history[-1].losses["style"] < 0.05 * result.history[0].losses["style"]


def test_a_shallow_layer_gives_the_picture_back_and_a_deep_one_less_of_it(content):
    def error(layer):
        result = reconstruct(content, layer, backbone=BACKBONE, size=64, steps=150)
        target = torch.nn.functional.interpolate(content, result.image.shape[-2:], mode="bicubic", antialias=True)
        return (result.image - target).square().mean().sqrt().item()

    errors = [error(layer) for layer in ("relu1_1", "relu3_1", "relu5_1")]
    assert errors[0] < 0.03
    assert errors[0] < errors[1] < errors[2]


def test_coarse_to_fine_spends_all_steps_and_most_of_them_small():
    assert scales(512) == [128, 256, 512]
    assert scales(300) == [150, 300]
    assert scales(100) == [100]
    assert shares(350, 3) == [140, 122, 88]
    for steps in (3, 7, 100, 351):
        for count in (1, 2, 3):
            assert sum(shares(steps, count)) == steps


def scaled(image, shape):
    return torch.nn.functional.interpolate(image, shape[-2:], mode="bicubic", antialias=True)


def test_each_scale_starts_from_the_one_before_with_the_detail_of_the_content(style):
    content, seen = gallery.load("chelsea", size=256), []
    stylize(content, style, backbone=BACKBONE, size=256, steps=9, on_step=seen.append)
    sizes = [step.image.shape[-1] for step in seen]
    assert sizes == [128] * 5 + [256] * 4
    before, after = seen[4].image, seen[5].image
    larger, smaller = scaled(content, after.shape), scaled(content, before.shape)
    assert (scaled(after, before.shape) - before).abs().mean() < (smaller - before).abs().mean()

    def detail(image):  # what is lost at the smaller scale
        return image - scaled(scaled(image, before.shape), image.shape)

    assert (detail(after) - detail(larger)).norm() < 0.3 * detail(larger).norm()


def test_from_noise_no_detail_of_the_content_is_brought_in(style):
    content, seen = gallery.load("chelsea", size=256), []
    stylize(content, style, backbone=BACKBONE, size=256, steps=9, start="noise", on_step=seen.append)
    before, after = seen[4].image, seen[5].image
    torch.testing.assert_close(after, scaled(before, after.shape).clamp(0, 1), atol=1e-4, rtol=0)


def test_interrupting_returns_the_best_image_and_says_so(content, style):
    def stop(step):
        if step.index == 5:
            raise KeyboardInterrupt

    with pytest.warns(OptimizationWarning, match="Interrupted after 6 of 12 steps"):
        result = stylize(content, style, on_step=stop, **SMALL)
    assert result.interrupted and result.evaluations == 6
    assert torch.isfinite(result.image).all()
    assert result.image.shape[-1] == 64


def test_interrupting_at_a_small_scale_still_gives_the_size_asked_for(content, style):
    def stop(step):
        raise KeyboardInterrupt

    with pytest.warns(OptimizationWarning):
        result = stylize(content, style, backbone=BACKBONE, size=256, steps=9, on_step=stop)
    assert result.image.shape[-1] == 256


def test_an_exception_of_the_callback_is_not_swallowed(content, style):
    def fail(step):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        stylize(content, style, on_step=fail, **SMALL)


def test_errors_name_what_is_wrong(content, style):
    with pytest.raises(ValueError, match="content must be an image.*str"):
        stylize("photo.jpg", style)
    with pytest.raises(ValueError, match=r"style must be an image.*\(3, "):
        stylize(content, style[0])
    for pictures in [(content[:, :, :4], style), (content, style[:, :, :4])]:
        with pytest.raises(ValueError, match="short side of the (content|style) would be under 32"):
            stylize(*pictures)
    with pytest.raises(ValueError, match="content contains NaN"):
        stylize(content / 0 * 0, style)
    with pytest.raises(ValueError, match="short side of the style"):
        synthesize_texture(style[..., :8])
    with pytest.raises(ValueError, match="image must be an image.*str"):
        reconstruct("photo.jpg")
    with pytest.raises(ValueError, match="'random'.*content, noise"):
        stylize(content, style, start="random")


def test_a_panorama_works_at_every_size_at_which_the_result_is_not_too_narrow(style):
    panorama = gallery.load("chelsea", size=512)[..., :122, :]  # 4.2 : 1
    for size in (400, 508, 512, 600):
        planned = plan(size, 240, scaled_shape(*panorama.shape[-2:], size))
        assert all(round(122 / 512 * scale) >= 32 for scale, _ in planned) and planned[-1][0] == size
        assert sum(steps for _, steps in planned) == 240
    assert stylize(panorama, style, backbone=BACKBONE, size=512, steps=6).image.shape[-2:] == (122, 512)
    with pytest.raises(ValueError, match="short side of the content would be under 32 pixels"):
        stylize(panorama[..., :30, :], style, backbone=BACKBONE, size=512)
    assert stylize(style, panorama, backbone=BACKBONE, size=512, steps=6).evaluations == 6, "a narrow style too"


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6, 9])
def test_few_steps_are_spent_where_they_change_something(style, steps):
    content = gallery.load("chelsea", size=512)
    assert all(count >= min(steps, 3) for _, count in plan(512, steps, (384, 512)))
    result = stylize(content, style, backbone=BACKBONE, size=512, steps=steps)
    assert result.evaluations == steps
    assert result.history[-1].losses["total"] < 0.95 * result.history[0].losses["total"]
    changed = (result.image * 255).round() != (scaled(content, result.image.shape) * 255).round()
    assert changed.float().mean() > 0.3, "in the saved file too"


def test_a_single_step_is_refused_because_it_would_change_nothing(content, style):
    with pytest.raises(ValueError, match="at least 2 steps, not 1"):
        stylize(content, style, backbone=BACKBONE, size=64, steps=1)
