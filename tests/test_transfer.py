"""The recipes: coarse to fine, reproducible, and in one piece when they are stopped."""

import pytest
import torch

from stylelib import Style, gallery, load_backbone, reconstruct, stylize, synthesize_texture
from stylelib.color import luminance, to_gray, to_lab
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
    assert result.status == "finished" and not result.interrupted


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
    assert scales(512, stroke=2) == [64, 128, 256, 512], "a large stroke begins where a network sees all of it"
    assert scales(512, stroke=0.5) == [256, 512]
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
    before, after = min(seen[:5], key=lambda step: step.losses["total"]).image, seen[5].image
    larger, smaller = scaled(content, after.shape), scaled(content, before.shape)
    assert (scaled(after, before.shape) - before).abs().mean() < (smaller - before).abs().mean()

    def detail(image):  # what is lost at the smaller scale
        return image - scaled(scaled(image, before.shape), image.shape)

    assert (detail(after) - detail(larger)).norm() < 0.3 * detail(larger).norm()


def test_from_noise_no_detail_of_the_content_is_brought_in(style):
    content, seen = gallery.load("chelsea", size=256), []
    stylize(content, style, backbone=BACKBONE, size=256, steps=9, start="noise", on_step=seen.append)
    before, after = min(seen[:5], key=lambda step: step.losses["total"]).image, seen[5].image
    torch.testing.assert_close(after, scaled(before, after.shape).clamp(0, 1), atol=1e-4, rtol=0)


def test_interrupting_returns_the_best_image_and_says_so(content, style):
    def stop(step):
        if step.index == 5:
            raise KeyboardInterrupt

    with pytest.warns(OptimizationWarning, match="Interrupted after 6 of 12 steps"):
        result = stylize(content, style, on_step=stop, **SMALL)
    assert result.status == "interrupted" and result.interrupted and result.evaluations == 6
    assert torch.isfinite(result.image).all()
    assert result.image.shape[-1] == 64


def test_a_loss_that_is_not_finite_ends_the_run_with_the_best_finite_picture(content, style, tmp_path):
    kept = tmp_path / "a"
    with pytest.warns(OptimizationWarning, match="weights are too large for float32") as caught:
        result = stylize(content, style, backbone=BACKBONE, size=256, steps=20, checkpoint=kept, style_weight=3e38)
    assert result.status == "diverged" and not result.interrupted
    assert len(caught) == 1 and result.evaluations < 13, "no larger scale was tried"
    assert result.image.shape[-1] == 256 and torch.isfinite(result.image).all()
    assert not kept.exists(), "it would diverge again"


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_are_accepted(content, style, dtype):
    content, style = content.to(dtype), style.to(dtype)
    expected = stylize(
        content.float(), style.float(), **SMALL
    ).image  # of the rounded values: runs magnify a difference
    assert torch.equal(stylize(content, style, **SMALL).image, expected)


@pytest.mark.parametrize("recipe", [lambda image: stylize(image, image), synthesize_texture, reconstruct])
def test_values_to_255_are_told_to_be_divided(content, recipe):
    for wrong in (content * 255, (content * 255).to(torch.uint8)):
        with pytest.raises(ValueError, match="divide it by 255"):
            recipe(wrong)


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
        planned = plan(size, 240, [scaled_shape(*panorama.shape[-2:], size)])
        assert all(round(122 / 512 * scale) >= 32 for scale, _ in planned) and planned[-1][0] == size
        assert sum(steps for _, steps in planned) == 240
    assert stylize(panorama, style, backbone=BACKBONE, size=512, steps=6).image.shape[-2:] == (122, 512)
    with pytest.raises(ValueError, match="short side of the content would be under 32 pixels"):
        stylize(panorama[..., :30, :], style, backbone=BACKBONE, size=512)
    assert stylize(style, panorama, backbone=BACKBONE, size=512, steps=6).evaluations == 6, "a narrow style too"


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6, 9])
def test_few_steps_are_spent_where_they_change_something(style, steps):
    content = gallery.load("chelsea", size=512)
    assert all(count >= min(steps, 3) for _, count in plan(512, steps, [(384, 512)]))
    result = stylize(content, style, backbone=BACKBONE, size=512, steps=steps)
    assert result.evaluations == steps
    assert result.history[-1].losses["total"] < 0.95 * result.history[0].losses["total"]
    changed = (result.image * 255).round() != (scaled(content, result.image.shape) * 255).round()
    assert changed.float().mean() > 0.3, "in the saved file too"


def test_a_single_step_is_refused_because_it_would_change_nothing(content, style):
    with pytest.raises(ValueError, match="at least 2 steps, not 1"):
        stylize(content, style, backbone=BACKBONE, size=64, steps=1)


# --- whose colors, where, from what ---


def chroma(image):
    return (image.amax(1) - image.amin(1)).max().item()


@pytest.mark.parametrize("start", ["content", "noise"])
def test_gray_in_both_gives_gray_out(content, style, start):
    result = stylize(to_gray(content), to_gray(style), start=start, **SMALL)
    assert chroma(result.image) == 0
    assert (result.image - to_gray(content).mean()).abs().max() > 0.05
    assert chroma(synthesize_texture(to_gray(style), **SMALL).image) == 0


def test_colors_stay_in_the_plane_that_both_pictures_span(content, style):
    tint = torch.tensor([1.0, 0.8, 0.5]).view(1, 3, 1, 1)
    sepia, gray = tint * to_gray(content), to_gray(style)
    image = stylize(sepia, gray, **SMALL).image
    normal = torch.linalg.cross(tint.flatten(), torch.ones(3))
    inside = ((image > 0.001) & (image < 0.999)).all(1, keepdim=True).expand_as(image)
    off = (image * (normal / normal.norm()).view(1, 3, 1, 1)).sum(1, keepdim=True)
    assert off[inside[:, :1]].abs().max() < 1e-4


def test_colors_of_the_content_stay_and_its_lightness_is_painted(content, style):
    plain, kept = (stylize(content, style, color=color, **SMALL).image for color in ("style", "content"))
    own = scaled(content, plain.shape)
    hue = [(to_lab(image) - to_lab(own))[:, 1:].abs().mean() for image in (plain, kept)]
    assert hue[1] < 0.25 * hue[0]
    assert (luminance(kept) - luminance(own)).abs().mean() > 0.03


def test_a_matched_style_brings_its_strokes_in_the_colors_of_the_content(content, style):
    plain, matched = (stylize(content, style, color=color, **SMALL).image for color in ("style", "matched"))
    own = scaled(content, plain.shape)
    distance = [(image.mean((2, 3)) - own.mean((2, 3))).norm() for image in (plain, matched)]
    assert distance[1] < 0.5 * distance[0]


def test_previews_show_the_picture_that_was_asked_for(content, style):
    seen = []
    result = stylize(content, style, color="content", on_step=seen.append, **SMALL)
    best = min(seen, key=lambda step: step.losses["total"])
    torch.testing.assert_close(best.image, result.image, atol=1e-5, rtol=0)


def test_outside_its_mask_the_photograph_stays_as_it_is(content, style):
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., :30] = 1
    for color in ("style", "content"):
        image = stylize(content, Style(style, where=mask), color=color, **SMALL).image
        own = scaled(content, image.shape).clamp(0, 1)
        assert (image - own)[..., 34:].abs().max() < 0.5 / 255
        assert (image - own)[..., :30].abs().mean() > 0.02


def test_two_regions_take_their_own_styles(content, style):
    left = torch.zeros(1, 1, 64, 96)
    left[..., :48] = 1
    red, blue = (torch.tensor(color).view(1, 3, 1, 1) * style for color in ((1.0, 0.2, 0.2), (0.2, 0.2, 1.0)))
    image = stylize(content, [Style(red, where=left), Style(blue, where=1 - left)], **SMALL | {"steps": 40}).image
    redness = (image[:, 0] - image[:, 2])[0]
    assert redness[:, :28].mean() > 0.05 > -0.05 > redness[:, 36:].mean()


def test_a_start_image_is_where_the_run_starts(content, style):
    first, seen = stylize(content, style, **SMALL).image, []
    stylize(content, style, start=first, on_step=seen.append, **SMALL)
    torch.testing.assert_close(seen[0].image, first, atol=1e-3, rtol=0)
    assert seen[-1].losses["total"] < seen[0].losses["total"]


def test_what_no_control_can_mean_is_refused_in_words(content, style):
    with pytest.raises(ValueError, match="no color 'mine'. There are: style, content, matched"):
        stylize(content, style, color="mine", **SMALL)
    with pytest.raises(ValueError, match="content's proportions"):
        stylize(content, style, start=content[..., :48, :], **SMALL)
    with pytest.raises(ValueError, match="start must be an image"):
        stylize(content, style, start=content[0], **SMALL)
    with pytest.raises(ValueError, match="There is no style"):
        stylize(content, [], **SMALL)
    with pytest.raises(ValueError, match="short side of the style would be under 32"):
        stylize(content, Style(style, scale=0.25), **SMALL)


@pytest.mark.parametrize("size, expected", [(100, [100]), (512, [128, 256, 512]), (4096, [512, 1024, 2048, 4096])])
def test_a_poster_begins_as_small_as_a_picture_for_the_screen(size, expected):
    assert scales(size) == expected
    counts = shares(240, len(expected))
    assert sum(counts) == 240 and counts == sorted(counts, reverse=True)
