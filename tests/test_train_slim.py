"""The training of slim: its pictures, what it learns, folding and weighing, and a short real run."""

import importlib.util
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stylelib.backbones import Backbone, load_backbone
from stylelib.losses import gram_matrix, style_loss

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


train_slim, training_pictures = script("train_slim"), script("training_pictures")


@pytest.fixture(scope="module")
def crops():
    torch.manual_seed(0)
    sources = train_slim.photographs()[:3], train_slim.procedural_pictures(3, seed=0)
    return train_slim.Crops(sources, shares=[0.85, 0.15], crop=48, device=CPU)


@pytest.fixture(scope="module")
def teacher():
    """A random teacher serves: its features can be learned too, and it needs no download."""
    torch.manual_seed(0)
    return load_backbone("squeezenet1_0", padding="replicate", pretrained=False, mixed=False)


@pytest.mark.parametrize("procedure", train_slim.PROCEDURES, ids=lambda procedure: procedure.__name__)
def test_computed_pictures_are_in_range_varied_and_reproducible(procedure):
    first, again, other = (procedure(np.random.default_rng(seed), size=96) for seed in (0, 0, 1))
    assert first.shape == (96, 96, 3)
    assert 0 <= first.min() and first.max() <= 1
    assert first.std() > 0.02
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_photographs_are_those_listed_and_nothing_else():
    pictures = train_slim.photographs()
    assert len(pictures) == len(train_slim.PHOTOGRAPHS) == 17
    for picture in pictures:
        assert picture.shape[0] == 3 and 0 <= picture.min() and picture.max() <= 1


def test_crops_are_batches_of_images_and_seeded(crops):
    torch.manual_seed(3)
    batch, other = crops(4), crops(4)
    assert batch.shape == (4, 3, 48, 48) and batch.dtype == torch.float32
    assert 0 <= batch.min() and batch.max() <= 1
    assert not torch.equal(batch, other)
    torch.manual_seed(3)
    assert torch.equal(batch, crops(4))


def test_a_crop_is_cut_out_of_a_level_of_a_picture():
    """Each pixel of these pictures says where it is: red the row, green the column, blue the picture."""
    row, column = torch.arange(40).view(-1, 1).expand(40, 50), torch.arange(50).expand(40, 50)
    pictures = [torch.stack([row, column, torch.full_like(row, 100 + number)]) / 255 for number in range(3)]
    torch.manual_seed(0)
    cut = train_slim.Crops([pictures[:1], pictures[1:]], shares=[0.2, 0.8], crop=36, device=CPU)
    mirrored = numbers = 0
    for crop in cut._cut(400).int():
        red, green, blue = sorted(crop, key=lambda channel: (channel.min() >= 100, channel[0].unique().numel() > 1))
        assert torch.equal(red, red[0, 0] + row[:36, :36]) and red[0, 0] <= 4
        ascending = green.sort(dim=1).values
        assert torch.equal(ascending, ascending[0, 0] + column[:36, :36]) and ascending[0, 0] <= 14
        assert blue.unique().numel() == 1
        mirrored += bool(green[0, 0] > green[0, 1])
        numbers += torch.nn.functional.one_hot(blue[0, 0].long() - 100, 3)
    assert 150 < mirrored < 250
    assert 50 < numbers[0] < 110 and all(120 < number < 200 for number in numbers[1:])


def test_pyramids_hold_no_level_smaller_than_a_crop():
    levels = train_slim.pyramid(torch.rand(3, 300, 200), crop=64)
    assert [tuple(level.shape[1:]) for level in levels] == [(300, 200), (210, 140), (150, 100), (105, 70)]
    assert [level.shape[1:] for level in train_slim.pyramid(torch.rand(3, 30, 200), crop=64)] == [(64, 200)]


def randomized_student():
    """The student with statistics and scales as after training, not the identity it starts with."""
    torch.manual_seed(0)
    network = train_slim.student_network()
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return network


RELUS = list(train_slim.GRAMS)
SQUEEZED = [f"squeezed{layer.removeprefix('relu')}" for layer in RELUS[2:]]


@torch.no_grad()
def test_folding_batch_norm_keeps_the_features():
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    student = Backbone("slim", randomized_student()).eval()
    before = student(image, RELUS)
    folded = Backbone("slim", train_slim.fold(student.network)).eval()
    assert folded.layers == load_backbone("slim").layers, "no norm is left, and the names are slim's"
    for name, feature in folded(image, RELUS).items():
        torch.testing.assert_close(feature, before[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_weighing_scales_each_channel_by_its_importance_and_changes_nothing_else():
    image = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    slim = Backbone("slim", train_slim.fold(randomized_student())).eval()
    before = slim(image, RELUS)
    lengths = {layer: torch.rand(before[layer].shape[1]) + 0.1 for layer in RELUS}
    squeezed = slim(image, SQUEEZED)
    train_slim.weigh(slim, lengths, image)
    for layer, feature in slim(image, RELUS).items():
        weighed = before[layer] * lengths[layer].view(1, -1, 1, 1)
        torch.testing.assert_close(feature, weighed / weighed.mean(), atol=1e-3, rtol=1e-3)
    for layer, feature in slim(image, SQUEEZED).items():
        torch.testing.assert_close(feature, squeezed[layer] / squeezed[layer].mean(), atol=1e-3, rtol=1e-3)


class Noise:
    """A backbone of one layer per name, whose features are the same random maps, mixed."""

    def __init__(self, name, mixtures):
        self.name, self.layers, self.mixtures = name, tuple(mixtures), mixtures

    def __call__(self, image, layers):
        return {layer: torch.einsum("tc,nchw->nthw", self.mixtures[layer], image) for layer in layers}


def test_importance_is_how_much_of_the_teacher_hangs_on_a_channel(monkeypatch):
    monkeypatch.setattr(train_slim, "TAPS", {"relu2_1": "deep"})
    generator = torch.Generator().manual_seed(0)
    slim = Noise("slim", {"relu1_1": 2 * torch.eye(3), "relu2_1": torch.eye(3)})
    teacher = Noise("teacher", {"deep": torch.tensor([[3.0, 0.0, 0.0], [4.0, 0.0, 1.0]])})
    found = train_slim.importance(slim, teacher, lambda count: torch.randn(count, 3, 8, 8, generator=generator))
    # Column lengths of the mixture: (3, 4) → 5, nothing hangs on the second, 1 on the third.
    torch.testing.assert_close(found["relu2_1"], torch.tensor([5.0, 0.0, 1.0]), atol=0.05, rtol=0)
    # A channel twice as large needs half the head; a layer without a tap is held against the first.
    torch.testing.assert_close(found["relu1_1"], torch.tensor([2.5, 0.0, 0.5]), atol=0.05, rtol=0)


@torch.no_grad()
def test_weighing_twice_is_weighing_once(crops, teacher):
    slim, image = Backbone("slim", train_slim.fold(randomized_student())).eval(), crops(16)
    features = []
    for _ in range(2):
        train_slim.weigh(slim, train_slim.importance(slim, teacher, lambda count: image, batches=1), image)
        features.append(slim(image, ["relu4_1"])["relu4_1"])
    torch.testing.assert_close(features[1], features[0], atol=0.02, rtol=0.02)


def test_the_learning_rate_warms_up_and_falls_to_zero():
    rates = [train_slim.learning_rate(step, 3000, 0.01) for step in range(3000)]
    assert rates[0] == pytest.approx(0.01 / train_slim.WARM_UP, rel=0.01)
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 1e-6


@torch.no_grad()
def test_unexplained_variance_is_one_for_a_head_that_knows_only_the_mean(crops, teacher):
    model, sample = train_slim.Distillation(teacher), crops(32)
    model.standardize(sample)
    for head in model.heads.values():
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, sample.mean() if head.out_channels == 3 else 0)
    losses = model.unexplained(sample, model.student(sample, RELUS), model.targets(sample))
    assert list(losses) == [*train_slim.TAPS, *(f"color {layer}" for layer in train_slim.COLOR_LAYERS)]
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(1, abs=0.1 if name.startswith("color") else 0.01)


def test_relative_distances_are_those_of_the_style_loss():
    features = torch.rand(4, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    distances = train_slim.relative_distances(gram_matrix(features))
    for i, j in itertools.product(range(4), repeat=2):
        expected = style_loss({"layer": features[i : i + 1]}, {"layer": gram_matrix(features[j : j + 1])})
        assert distances[i, j].item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_error_of_distances_counts_factors_and_no_tiny_distances():
    exactly = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    assert train_slim.distance_error(exactly, exactly) == 0
    assert train_slim.distance_error(3 * exactly, exactly).item() == pytest.approx(math.log(3) ** 2, rel=0.02)
    assert train_slim.distance_error(1e-5 * exactly, 1e-6 * exactly) < 1e-4


def test_a_direction_has_coarse_and_fine_structures_in_equal_parts():
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise[1] *= 1e6
    direction = train_slim.direction(noise)
    assert 0.9 < direction[0].std() / direction[1].std() < 1.1, "however long the gradient is"
    coarse = [torch.nn.functional.avg_pool2d(maps, 16).std() / maps.std() for maps in (noise[:1], direction[:1])]
    assert coarse[0] < 0.1 < 0.25 < coarse[1]


def test_paintings_move_towards_their_style_and_old_ones_give_way(crops):
    torch.manual_seed(0)
    slim, paintings = load_backbone("slim"), train_slim.Paintings(crops, count=4)
    assert paintings.ages.tolist() == [0, 10, 20, 30]
    styles, losses = paintings.styles.clone(), []
    for _ in range(10):
        image = paintings.pictures.clone().requires_grad_(True)
        ours, theirs = slim(image, RELUS), slim(paintings.styles, RELUS)
        loss = [
            style_loss(
                {layer: features[i : i + 1] for layer, features in ours.items()},
                {layer: gram_matrix(features[i : i + 1]) for layer, features in theirs.items()},
            )
            for i in range(4)
        ]
        (gradient,) = torch.autograd.grad(sum(loss), image)
        paintings.move(gradient)
        losses.append([value.item() for value in loss])
        assert 0 <= paintings.pictures.min() and paintings.pictures.max() <= 1
    assert all(last < 0.75 * first for first, last in zip(losses[0], losses[-1], strict=True))
    assert paintings.ages.tolist() == [10, 20, 30, 0], "the last one has given way"
    changed = [not torch.equal(now, before) for now, before in zip(paintings.styles, styles, strict=True)]
    assert changed == [False, False, False, True]


def test_a_gradient_that_overflowed_teaches_nothing(crops, teacher, monkeypatch):
    monkeypatch.setattr(train_slim, "SAMPLE", 8)
    torch.manual_seed(0)
    run = train_slim.Run(teacher, crops, fresh=1, painted=1)
    run.rate.fill_(1e-3)
    before = [parameter.clone() for parameter in run.model.parameters()]
    run._descend(float("inf") * sum(parameter.sum() for parameter in run.model.parameters()))
    assert all(map(torch.equal, run.model.parameters(), before))


class NoLook(TorchDispatchMode):
    """Fails where the value of a tensor is read."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "a value is read"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("paint", [True, False])
def test_a_step_reads_no_value_or_it_could_not_be_a_cuda_graph(crops, teacher, monkeypatch, paint):
    monkeypatch.setattr(train_slim, "SAMPLE", 8)
    torch.manual_seed(0)
    run = train_slim.Run(teacher, crops, fresh=1, painted=1)
    monkeypatch.setattr(run.optimizer, "step", lambda: None)  # on a GPU it is another one
    before = run.paintings.pictures.clone()
    with NoLook():
        run.step(paint)
    assert torch.equal(run.paintings.pictures, before) != paint


def test_a_short_run_learns_and_its_weights_load_as_slim(crops, teacher, monkeypatch, tmp_path):
    for name, value in {"EVERY": 16, "WARM_UP": 5, "SAMPLE": 16}.items():
        monkeypatch.setattr(train_slim, name, value)
    torch.manual_seed(0)
    log, weights = tmp_path / "run.log", tmp_path / "slim.pt"
    slim = train_slim.train(teacher, crops, steps=40, fresh=2, painted=1, peak=6e-3, log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [16, 32, 40]
    last = lines[-1]  # a running mean, which still holds the first steps
    assert last["relu2_1"] < lines[0]["relu2_1"] and last["relu2_1"] < 1
    assert last["color relu1_1"] < 0.8 * lines[0]["color relu1_1"]
    assert {f"distance {layer}" for layer in RELUS} <= set(last)
    assert all(math.isfinite(value) for value in last.values())

    train_slim.save(slim, weights)
    monkeypatch.setattr("stylelib.backbones.SLIM_WEIGHTS", weights)
    image = crops(1)
    loaded = load_backbone("slim")(image, ["relu4_2"])["relu4_2"]
    torch.testing.assert_close(loaded, slim(image, ["relu4_2"])["relu4_2"], atol=0.05, rtol=0.05)


def test_the_committed_log_belongs_to_a_whole_run():
    lines = [json.loads(line) for line in (ROOT / "tools" / "train_slim.log").read_text().splitlines()]
    assert lines[-1]["step"] > 29000
    assert lines[-1]["relu4_2"] < 0.4 < lines[0]["relu4_2"]
    assert set(lines[-1]) == {
        *("step", "seconds", *train_slim.TAPS),
        *(f"color {layer}" for layer in train_slim.COLOR_LAYERS),
        *(f"distance {layer}" for layer in train_slim.GRAMS),
    }


# --- the collecting script --------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """An unpacked package: a large picture, a transparent one, and files that are not wanted."""
    folder = tmp_path / "usr" / "share"
    (folder / "html").mkdir(parents=True)
    Image.new("RGB", (1600, 1280), "red").save(folder / "large.JPG")
    Image.new("RGBA", (300, 256), (255, 255, 255, 0)).save(folder / "glass.png")
    Image.new("RGB", (900, 255)).save(folder / "too_small.png")
    for unwanted in ("van_gogh_s_room.png", "Painting2.png", "html/classes.png"):
        Image.new("RGB", (300, 300)).save(folder / unwanted)
    (folder / "damaged.png").write_bytes((folder / "glass.png").read_bytes()[:60])
    (folder / "link.png").symlink_to(folder / "glass.png")
    (folder / "notes.txt").write_text("no picture")
    return tmp_path


def test_what_is_collected_is_large_enough_and_no_painting(tree):
    found = list(training_pictures.collect(tree, 10, np.random.default_rng(0)))
    assert sorted(picture.size for picture in found) == [(300, 256), (800, 640)]
    assert all(picture.mode == "RGB" for picture in found)


def test_transparent_pictures_get_a_plain_ground(tree):
    file = tree / "usr" / "share" / "glass.png"
    first, again, other = (training_pictures.opened(file, np.random.default_rng(seed)) for seed in (0, 0, 1))
    ((count, shade),) = first.getcolors()
    assert count == 300 * 256 and again.getcolors() == [(count, shade)] != other.getcolors()


def test_a_package_gives_no_more_than_stated_and_the_same_ones_again(tree):
    once, again = (list(training_pictures.collect(tree, 1, np.random.default_rng(0))) for _ in range(2))
    assert len(once) == 1 and once[0].tobytes() == again[0].tobytes()


def test_the_command_writes_a_folder_that_the_training_reads(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(training_pictures, "unpacked", lambda package, folder: tree)
    monkeypatch.setattr(training_pictures, "PACKAGES", {"one": 2, "two": 1})
    monkeypatch.setattr("sys.argv", ["training_pictures.py", str(tmp_path / "pictures")])
    training_pictures.main()
    pictures = list(train_slim.collected(tmp_path / "pictures"))
    assert len(pictures) == 3
    assert all(picture.shape[0] == 3 and 0 <= picture.min() and picture.max() <= 1 for picture in pictures)
