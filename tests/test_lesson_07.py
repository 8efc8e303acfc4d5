"""What the figures of lesson 07 claim, checked as arrays: nbval does not look at pictures."""

import pytest
import torch

import stylelib
from stylelib import checks, color, gallery, lut, photo

SIZE = 192


@pytest.fixture(scope="module")
def pictures():
    """Name → the results of the lesson."""
    content, style = gallery.load("rocket", size=SIZE), gallery.load("coffee", size=SIZE)
    found = {"content": content, "style": style, "linear": color.monge_kantorovich(content, style).clamp(0, 1)}
    found["reinhard"] = color.reinhard(content, style).clamp(0, 1)
    found["full"] = stylelib.transfer_photo(content, style, method="full")
    found["smooth"] = stylelib.transfer_photo(content, style)
    return found


def lab_mean(image):
    return color.to_lab(image).mean((0, 2, 3))


def detail(image):
    lightness = color.luminance(image)
    return lightness - photo.window_mean(lightness, 2)


def sky(image):
    return detail(image)[..., : SIZE // 4, : SIZE // 2].std().item()


def distance(image, style):
    """Of the distributions of every channel of Lab, each by itself: not the lesson's measure."""
    ours, theirs = (color.to_lab(x)[0].flatten(1).sort(1).values for x in (image, style))
    levels = torch.linspace(0, 1, 300)
    ours, theirs = (torch.stack([torch.quantile(row, levels) for row in table]) for table in (ours, theirs))
    return (ours - theirs).abs().mean().item()


def test_the_content_is_on_the_side_of_blue_and_the_style_on_the_side_of_red(pictures):
    assert lab_mean(pictures["content"])[2] < 0 < lab_mean(pictures["style"])[2]
    assert lab_mean(pictures["style"])[1] > 5


def test_every_result_has_become_brown(pictures):
    for name in ("linear", "reinhard", "full", "smooth"):
        assert lab_mean(pictures[name])[2] > 5, name


def test_the_closer_the_clouds_the_fewer_the_steps_left(pictures):
    near = {name: distance(image, pictures["style"]) for name, image in pictures.items()}
    assert near["full"] < near["smooth"] < near["linear"] < near["content"]


def test_the_exact_match_speckles_and_the_smooth_one_does_not(pictures):
    assert sky(pictures["full"]) > 1.2 * sky(pictures["smooth"])
    assert sky(pictures["full"]) > 1.3 * sky(pictures["content"])


def test_the_picture_is_kept_by_the_smooth_transfer(pictures):
    kept = {
        name: torch.corrcoef(torch.stack([detail(pictures["content"]).flatten(), detail(image).flatten()]))[0, 1]
        for name, image in pictures.items()
    }
    assert kept["smooth"] > 0.9
    assert kept["smooth"] > kept["full"]


def test_the_references_of_the_exercises_agree_with_the_package(pictures):
    content, style = pictures["content"], pictures["style"]
    rows, wanted = content[0].flatten(1), style[0].flatten(1)
    T = checks.EXERCISES["transport_matrix"].reference(torch.cov(rows, correction=0), torch.cov(wanted, correction=0))
    moved = T @ (rows - rows.mean(1, keepdim=True)) + wanted.mean(1, keepdim=True)
    linear = color.monge_kantorovich(content, style)[0].flatten(1)
    torch.testing.assert_close(moved, linear, atol=0.02, rtol=0)
    guide, values = color.luminance(content), content[:, :1]
    slope, shift = checks.EXERCISES["window_lines"].reference(guide, values, 5, 0.01)
    lines = photo.local_lines(guide, values, 5, 0.01)
    for ours, theirs in zip(lines, (slope, shift), strict=True):
        torch.testing.assert_close(ours, photo.window_mean(theirs, 5), atol=1e-3, rtol=1e-3)


def test_the_table_is_as_good_as_the_map(pictures):
    table = lut.sample(photo.global_map(pictures["content"], pictures["style"], "linear"))
    assert (lut.apply(table, pictures["content"]) - pictures["linear"]).abs().mean() < 0.02


def test_a_portrait_in_the_colors_of_a_retina_has_one_hue():
    portrait, retina = gallery.load("astronaut", size=SIZE), gallery.load("retina", size=SIZE)
    lab = color.to_lab(stylelib.transfer_photo(portrait, retina))
    colored = lab[:, 1:].norm(dim=1) > 10
    hue = torch.atan2(lab[:, 2], lab[:, 1])[colored]
    assert ((hue > -0.2) & (hue < 1.8)).float().mean() > 0.9
