"""What lesson 10 says beside its figures, checked as arrays.

The lesson's own cells are run, with other seeds than it uses: what it says of a student must not be the luck of one.
"""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import stylelib
from stylelib import checks, gallery, plots
from stylelib.backbones import SLIM_PLAN, SLIM_WEIGHTS

ROOT = Path(__file__).parent.parent
MASTER = ROOT / "notebooks" / "solutions" / "10_small_backbone.ipynb"
STEPS = 150
KINDS = ("conv", "squeeze")  # of convolutions in slim


@pytest.fixture(scope="module")
def lesson():
    """What the lesson's cells define, without training its student."""
    threads = torch.get_num_threads()
    sources = {cell.id: cell.source for cell in nbformat.read(MASTER, as_version=4).cells}
    sources["train-4"] = sources["train-4"].partition("\ncopies, losses = ")[0]
    sources["improve-2"] = sources["improve-2"].partition("\npainters = ")[0]
    sources["fold-3"] = sources["fold-3"].partition("\nstudent = ")[0]
    sources["exam-1"] = sources["exam-1"].partition("\nreport = ")[0]
    defined = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "show", lambda figure, alt: None)
        for name in ("setup", "random-2", "judges", "few-2", "train-2", "train-4", "exam-1", "improve-2", "fold-3"):
            exec(compile(sources[name], name, "exec"), defined)
    yield SimpleNamespace(**defined)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[1, 2])
def student(request, lesson):
    """Copies of a student, before and after its training, and its losses."""
    copies, losses = lesson.distill(seed=request.param, steps=STEPS)
    return SimpleNamespace(random=copies[0], trained=copies[STEPS], losses=losses)


def test_the_loss_falls_in_every_layer(student, lesson):
    assert tuple(student.losses) == lesson.TAPS
    for layer, values in student.losses.items():
        assert len(values) == STEPS
        assert sum(values[-20:]) < 0.8 * sum(values[:20]), layer


def test_the_trained_student_knows_more_of_the_teacher_on_photographs_new_to_it(student, lesson):
    random, trained = lesson.grades(student.random), lesson.grades(student.trained)
    for layer in lesson.TAPS:
        assert trained[layer] < 0.9 * random[layer], layer
    assert random["relu1_1"] < random["relu3_1"], "random layers explain less, the deeper they are"


def test_the_trained_student_paints_nearer_to_the_styles_by_both_judges(student, lesson):
    for name, judge in lesson.JUDGES.items():
        distance = {}
        for kind, net in {"random": student.random, "trained": student.trained}.items():
            pairs = [(lesson.paint(net, style, lesson.THREE_BLOCKS), style) for style in lesson.styles.values()]
            distance[kind] = sum(judge(*pair) for pair in pairs)
        photograph = sum(judge(lesson.content, style) for style in lesson.styles.values())
        assert distance["trained"] < distance["random"] < photograph, name


def test_the_student_has_not_seen_its_exam(lesson):
    assert not set(lesson.lessons) & set(lesson.EXAM)
    assert set(lesson.lessons) | set(lesson.EXAM) == set(gallery.photographs())
    seen, asked = ([picture.mean((1, 2)) for picture in lesson.supply[part]] for part in ("training", "exam"))
    assert all((a - b).abs().max() > 1e-3 for a in seen for b in asked)


def test_crops_are_images_repeatable_and_all_different(lesson):
    photographs = lesson.supply["training"]
    batch, again, other = (lesson.Crops(photographs, seed)(8) for seed in (5, 5, 6))
    assert batch.shape == (8, 3, lesson.CROP, lesson.CROP) and 0 <= batch.min() and batch.max() <= 1
    assert torch.equal(batch, again) and not torch.equal(batch, other)
    assert len({crop.sum().item() for crop in batch}) == 8


def test_folding_gives_the_same_features_without_batch_norms(student, lesson):
    folded = lesson.Backbone("slim", lesson.fold(student.trained.network)).eval()
    relus = [name for name in folded.layers if name.startswith("relu")]
    image = gallery.load("rocket", size=96)
    for name, feature in folded(image, relus).items():
        torch.testing.assert_close(feature, student.trained(image, relus)[name], rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_a_batch_norm_in_training_hardly_notices_contrast_and_in_evaluation_it_does(student, lesson):
    """The lesson's answer why a network must not paint in training mode."""
    net = lesson.copy.deepcopy(student.trained)
    pale, strong = (gallery.load("coffee", size=96) * gain + 0.3 for gain in (0.2, 0.4))

    def change():
        before, after = (net(image, ["relu1_1"])["relu1_1"] for image in (pale, strong))
        return ((after - before).norm() / before.norm()).item()

    assert change() > 0.2
    net.train()
    assert change() < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_slim_paints_nearer_to_the_style_than_random_weights(seed, lesson):
    torch.manual_seed(seed)
    untrained = stylelib.load_backbone("slim", pretrained=False)
    style = lesson.styles["flow_strokes"]
    by_random = lesson.filter_distance(lesson.paint(untrained, style, lesson.FOUR_BLOCKS), style)
    by_slim = lesson.filter_distance(lesson.paint(lesson.teacher, style, lesson.FOUR_BLOCKS), style)
    assert by_slim < by_random < lesson.filter_distance(lesson.content, style)


def test_random_kernels_know_the_moments_of_patches_and_too_few_do_not():
    picture = gallery.load("waves", size=96).double()
    patches = F.unfold(picture, 3)[0]
    moments = patches @ patches.T / patches.shape[1]
    for count in (20, 27, 40):
        kernels = torch.randn(count, 27, generator=torch.Generator().manual_seed(1)).double()
        gram = stylelib.gram_matrix(F.conv2d(picture, kernels.view(count, 3, 3, 3)))[0]
        inverse = torch.linalg.pinv(kernels)
        recovered = inverse @ gram @ inverse.T
        assert torch.allclose(recovered, moments, atol=1e-5) == (count >= 27)


def test_a_linear_head_carries_gram_matrices_over():
    """G_T = A G_S Aᵀ, with a channel of ones for the bias."""
    generator = torch.Generator().manual_seed(0)
    features, head = torch.randn(1, 4, 5, 6, generator=generator), torch.randn(7, 5, generator=generator)
    with_ones = torch.cat([features, torch.ones(1, 1, 5, 6)], dim=1)
    predicted = F.conv2d(features, head[:, :4, None, None], head[:, 4])
    expected = head @ stylelib.gram_matrix(with_ones)[0] @ head.T
    torch.testing.assert_close(stylelib.gram_matrix(predicted)[0], expected)


def test_a_bias_brings_the_means_of_the_students_channels_in():
    """G_T = A G_S Aᵀ + A μ aᵀ + a μᵀ Aᵀ + a aᵀ; two pictures with one Gram matrix in the student may differ in G_T."""
    generator = torch.Generator().manual_seed(0)
    features, A, a = (torch.randn(*shape, generator=generator) for shape in ((1, 4, 5, 6), (7, 4), (7,)))
    mean = features.mean((2, 3))[0]
    predicted = F.conv2d(features, A[:, :, None, None], a)
    cross = torch.outer(A @ mean, a)
    expected = A @ stylelib.gram_matrix(features)[0] @ A.T + cross + cross.T + torch.outer(a, a)
    torch.testing.assert_close(stylelib.gram_matrix(predicted)[0], expected)
    one, other = torch.tensor([[[[1.0, 1.0]]]]), torch.tensor([[[[2**0.5, 0.0]]]])
    torch.testing.assert_close(stylelib.gram_matrix(one), stylelib.gram_matrix(other))
    assert stylelib.gram_matrix(one + 1) > stylelib.gram_matrix(other + 1) + 0.5


def test_the_judges_are_distances(lesson):
    style, other = lesson.styles.values()
    style, other = style[..., :96, :96], other[..., :96, :96]
    for judge in lesson.JUDGES.values():
        assert judge(style, style) == 0 and judge(style, other) > 0.01
        assert judge(style, 0.9 * style + 0.1 * other) < judge(style, other)
    assert lesson.patch_distance(style, other) == pytest.approx(lesson.patch_distance(other, style))


def test_the_table_of_slim_says_what_the_script_does():
    spec = importlib.util.spec_from_file_location("train_slim", ROOT / "tools" / "train_slim.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (table,) = (cell.source for cell in nbformat.read(MASTER, as_version=4).cells if cell.id == "slim-1")
    plan = {
        kind: [(name[-3], width[0]) for name, width in SLIM_PLAN.items() if name.startswith(kind)] for kind in KINDS
    }
    widest = [max(width for block, width in plan["conv"] if block == which) for which in "12345"]
    assert f"| channels, at most | 8, 16, 32 | {', '.join(map(str, widest))} |" in table
    assert {width for _, width in plan["squeeze"]} == {16, 32, 48, 64} and "to 16, 32, 48 or 64 channels" in table
    assert set(script.TAPS.values()) < set(stylelib.load_backbone("squeezenet1_0", pretrained=False).layers)
    assert script.COLOR_LAYERS
    kinds = {"pink_noise", "dead_leaves", "strokes", "hatching", "dots", "cells", "waves"}
    assert {procedure.__name__ for procedure in script.PROCEDURES} == kinds
    assert SLIM_WEIGHTS.stat().st_size < 2e6


def test_the_plans_of_the_networks_are_theirs_and_slim_is_ten_times_cheaper(lesson):
    (source,) = (cell.source for cell in nbformat.read(MASTER, as_version=4).cells if cell.id == "cost-3")
    defined = {"checks": checks}
    exec(source, defined)
    with torch.device("meta"):
        networks = {name: stylelib.load_backbone(name, "meta", pretrained=False) for name in ("vgg19", "slim")}
    for name, net in networks.items():
        until = net.layers[: net.layers.index("conv5_1") + 1]
        convolutions = [layer for layer in until if isinstance(net.network.get_submodule(layer), nn.Conv2d)]
        features = net(torch.empty(1, 3, 64, 64, device="meta"), convolutions)
        layers = {layer: net.network.get_submodule(layer) for layer in convolutions}
        assert defined["network_cost"](defined["PLANS"][name], 64) == [
            sum(weight.numel() for layer in layers.values() for weight in layer.parameters()),
            sum(layer.weight[0].numel() * features[key].numel() for key, layer in layers.items()),
        ]
    assert all(large > 10 * small for large, small in zip(*defined["costs"].values(), strict=True))
    assert defined["direct"] / defined["squeezed"] == pytest.approx(414_720 / 132_096)
    assert [SLIM_PLAN[name][0] for name in ("conv4_1", "squeeze4_2", "conv4_2")] == [160, 48, 288]


def test_both_judges_prefer_the_trained_network_the_filters_more_clearly(lesson):
    style = lesson.styles["flow_strokes"]
    trained, random = (lesson.paint(net, style, lesson.FOUR_BLOCKS) for net in (lesson.teacher, lesson.untrained))
    filters, patches = (
        judge(trained, style) / judge(random, style) for judge in (lesson.filter_distance, lesson.patch_distance)
    )
    assert filters < patches < 0.9
