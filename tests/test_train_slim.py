"""The training of slim: its pictures, the folding of batch norm, the weighing of channels, and a short real run."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stylelib.backbones import Backbone, load_backbone

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("train_slim", ROOT / "tools" / "train_slim.py")
train_slim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_slim)


@pytest.fixture(scope="module")
def crops():
    original, train_slim.PROCEDURAL_COUNT = train_slim.PROCEDURAL_COUNT, len(train_slim.PROCEDURES)
    yield train_slim.Crops(seed=0, crop=64, batch=4)
    train_slim.PROCEDURAL_COUNT = original


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


def test_crops_are_batches_of_images(crops):
    batch = crops()
    assert batch.shape == (4, 3, 64, 64) and batch.dtype == torch.float32
    assert 0 <= batch.min() and batch.max() <= 1
    assert not torch.equal(batch, crops())


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


RELUS = [f"relu{block}_{index}" for block in range(1, 5) for index in (1, 2)] + ["relu5_1"]


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
    train_slim.weigh(slim, lengths, image)
    for layer, feature in slim(image, RELUS).items():
        weighed = before[layer] * lengths[layer].view(1, -1, 1, 1)
        torch.testing.assert_close(feature, weighed / weighed.mean(), atol=1e-3, rtol=1e-3)


class Noise:
    """A backbone of one layer per name, whose features are the same random maps, mixed."""

    def __init__(self, name, mixtures):
        self.name, self.layers, self.mixtures = name, tuple(mixtures), mixtures

    def __call__(self, image, layers):
        return {layer: torch.einsum("tc,nchw->nthw", self.mixtures[layer], image) for layer in layers}


def test_importance_is_how_much_of_the_teacher_hangs_on_a_channel(monkeypatch):
    monkeypatch.setitem(train_slim.TAPS, "teacher", {"relu2_1": ["deep"]})
    generator = torch.Generator().manual_seed(0)
    slim = Noise("slim", {"relu1_1": 2 * torch.eye(3), "relu2_1": torch.eye(3)})
    teacher = Noise("teacher", {"deep": torch.tensor([[3.0, 0.0, 0.0], [4.0, 0.0, 1.0]])})
    found = train_slim.importance(slim, teacher, lambda: torch.randn(2, 3, 8, 8, generator=generator), batches=8)
    # Column lengths of the mixture: (3, 4) → 5, nothing hangs on the second, 1 on the third.
    torch.testing.assert_close(found["relu2_1"], torch.tensor([5.0, 0.0, 1.0]), atol=0.05, rtol=0)
    # A channel twice as large needs half the head; a layer without a tap is held against the first.
    torch.testing.assert_close(found["relu1_1"], torch.tensor([2.5, 0.0, 0.5]), atol=0.05, rtol=0)


@torch.no_grad()
def test_weighing_twice_is_weighing_once(crops):
    torch.manual_seed(0)
    teacher = load_backbone("squeezenet1_0", padding="replicate", pretrained=False, mixed=False)
    slim, image = Backbone("slim", train_slim.fold(randomized_student())).eval(), crops()
    features = []
    for _ in range(2):
        train_slim.weigh(slim, train_slim.importance(slim, teacher, lambda: image, batches=1), image)
        features.append(slim(image, ["relu4_1"])["relu4_1"])
    torch.testing.assert_close(features[1], features[0], atol=0.02, rtol=0.02)


def test_the_learning_rate_warms_up_and_falls_to_zero():
    rates = [train_slim.learning_rate(step, 1000, 0.01) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-4, rel=0.01)
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 1e-6


def test_unexplained_variance_is_one_for_a_head_that_knows_only_the_mean(crops):
    torch.manual_seed(0)
    model = train_slim.Distillation(load_backbone("squeezenet1_0", padding="replicate", pretrained=False))
    sample = torch.cat([crops() for _ in range(4)])
    model.standardize(sample)
    model(sample)
    for head in model.heads.values():
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    losses = {layer: model(sample)[layer].item() for layer in model.taps}
    # Deep channels of a random teacher that never fire have no variance to explain and pull the mean below 1.
    assert losses["relu2_1"] == pytest.approx(1, abs=0.01)
    assert all(0.5 < loss < 1.01 for loss in losses.values())


def test_a_short_run_learns_and_its_weights_load_as_slim(crops, monkeypatch, tmp_path):
    """A random teacher serves: its features can be learned too, and it needs no download."""
    torch.manual_seed(0)
    teacher = load_backbone("squeezenet1_0", padding="replicate", pretrained=False)
    monkeypatch.setattr(train_slim, "Crops", lambda seed, crop, batch: crops)
    monkeypatch.setattr(train_slim, "EVERY", 60)
    log, weights = tmp_path / "run.log", tmp_path / "slim.pt"
    slim = train_slim.train(teacher, steps=160, crop=64, batch=4, peak=5e-3, seed=0, log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [60, 120, 160]
    last = lines[-1]  # a running mean, which still holds the first steps
    assert last["relu2_1"] < 1 and last["relu2_1"] < lines[1]["relu2_1"] < lines[0]["relu2_1"]
    assert last["color relu1_1"] < 0.7 * lines[0]["color relu1_1"]
    assert all(math.isfinite(value) for value in last.values())

    train_slim.save(slim, weights)
    monkeypatch.setattr("stylelib.backbones.SLIM_WEIGHTS", weights)
    image = crops()[:1]
    loaded = load_backbone("slim")(image, ["relu4_2"])["relu4_2"]
    torch.testing.assert_close(loaded, slim(image, ["relu4_2"])["relu4_2"], atol=0.05, rtol=0.05)


def test_the_committed_log_belongs_to_a_whole_run():
    lines = [json.loads(line) for line in (ROOT / "tools" / "train_slim.log").read_text().splitlines()]
    assert lines[-1]["step"] == 20000
    assert lines[-1]["relu4_2"] < 0.6 < lines[0]["relu4_2"]
