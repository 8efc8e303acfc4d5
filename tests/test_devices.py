"""What a GPU refuses is refused here too, on a stand-in: a forgotten `.to(device)`, a generator of the processor, …

`elsewhere` says why torch's own fake tensors do not do: they run what has neither losses that are looked at, nor
gradients, nor NumPy, which is less than one step of a transfer. The stand-in computes on the processor, so that each
result can be compared with the processor's own. It knows nothing of a GPU's memory, which is said to be plenty, of its
speed, nor of autocast to bfloat16 there: the network is `slim` in float32.
"""

import numpy as np
import pytest
import torch
from elsewhere import WrongDeviceError, a_gpu_elsewhere

from stylelib import (
    Objective,
    Style,
    bilateral,
    color,
    cost,
    flow,
    load_backbone,
    losses,
    lut,
    masks,
    optimize,
    photo,
    reconstruct,
    spectrum,
    stylize,
    synthesize_texture,
    transfer_photo,
    video,
)
from stylelib.lbfgs import LBFGS
from stylelib.objective import Near
from stylelib.tiles import TiledObjective

LAYERS = ["relu1_1", "relu2_1", "relu4_2"]


@pytest.fixture(autouse=True)
def plenty(monkeypatch):
    """Of memory; and few evaluations where many would only repeat."""
    monkeypatch.setattr(cost, "free_memory", lambda device: 2**36)
    monkeypatch.setattr(photo, "EVALUATIONS", 3)


class On:
    """The same pictures and the same network on one device or the other."""

    def __init__(self, device):
        generator = torch.Generator().manual_seed(0)

        def random(*shape):
            return torch.rand(*shape, generator=generator).to(device)

        self.device = device
        self.content, self.style, self.second = random(1, 3, 72, 96), random(1, 3, 80, 64), random(1, 3, 64, 64)
        self.mask = torch.zeros(1, 1, 72, 96, device=device)
        self.mask[..., :40] = 1
        self.part = torch.ones(1, 1, 80, 64, device=device)
        self.flow = 2 * random(1, 2, 72, 96)
        self.backbone = load_backbone("slim", device)

    def gradient(self, objective, image=None):
        image = (self.content if image is None else image).clone().requires_grad_()
        objective(image)["total"].backward()
        return image.grad

    def features(self, picture):
        return self.backbone(picture, LAYERS)

    def regions(self):
        return [Style(self.style, where=self.mask, part=self.part), Style(self.second, weight=2, scale=0.5)]

    def last(self, image, objective, **options):
        return [step.image for step in optimize(image, objective, **options)][-1]


def taken_up(on):
    """A solver's state, kept on the processor as in a checkpoint, and gone on with where the variables are."""
    variables = [torch.ones(4, device=on.device, requires_grad=True) for _ in range(2)]
    solvers = [LBFGS(each) for each in variables]
    for _ in range(3):
        solvers[0].zero_grad()
        variables[0].pow(4).sum().backward()
        solvers[0].step()
    state = solvers[0].state_dict()
    pairs = [tuple(part.cpu() for part in pair) for pair in state["pairs"]]
    solvers[1].load_state_dict(
        state | {"pairs": pairs, "gradient": state["gradient"].cpu(), "move": state["move"].cpu()}
    )
    variables[1].data = variables[0].data.clone()
    solvers[1].zero_grad()
    variables[1].pow(4).sum().backward()
    solvers[1].step()
    return variables[1].detach()


HERE_AS_THERE = {
    # networks, losses
    "features": lambda on: on.features(on.content)["relu4_2"],
    "gram_matrix": lambda on: losses.gram_matrix(on.features(on.style)["relu2_1"]),
    "gram_matrix of a part": lambda on: losses.gram_matrix(
        on.features(on.style)["relu1_1"], masks.to_layers(on.part, on.backbone.network, LAYERS, (80, 64))["relu1_1"]
    ),
    "content_loss": lambda on: losses.content_loss(on.features(on.content), on.features(on.content.flip(-1))),
    "style_loss": lambda on: losses.style_loss(
        on.features(on.content), {name: losses.gram_matrix(f) for name, f in on.features(on.style).items()}
    ),
    "total_variation": lambda on: losses.total_variation(on.content),
    "out_of_range": lambda on: losses.out_of_range(2 * on.content),
    # objectives, with gradients
    "Objective": lambda on: on.gradient(Objective(on.backbone, on.content, on.style), on.content.flip(-1)),
    "Objective, regions": lambda on: on.gradient(Objective(on.backbone, on.content, on.regions())),
    "Objective, near": lambda on: on.gradient(
        Objective(on.backbone, on.content, on.style, also=[Near(on.content.flip(-1).cpu(), on.mask.cpu(), 1.0, "near")])
    ),
    "Objective of pictures on the processor": lambda on: on.gradient(
        Objective(on.backbone, on.content.cpu(), [Style(on.style.cpu(), where=on.mask.cpu())])
    ),
    "TiledObjective": lambda on: on.gradient(TiledObjective(on.backbone, on.content, on.style, tile=32)),
    "TiledObjective of pictures on the processor": lambda on: on.gradient(
        TiledObjective(on.backbone, on.content.cpu(), on.style.cpu(), tile=32)
    ),
    "TiledObjective, regions": lambda on: on.gradient(TiledObjective(on.backbone, on.content, on.regions(), tile=64)),
    # the loop
    "spectrum": lambda on: spectrum.spectrum(on.content)[1](2 * spectrum.spectrum(on.content)[0]),
    "optimize": lambda on: on.last(on.content.cpu(), Objective(on.backbone, on.content, on.style), steps=4),
    "optimize, Adam": lambda on: on.last(
        on.content, Objective(on.backbone, on.content, on.style), steps=4, optimizer="adam"
    ),
    "optimize, projected": lambda on: on.last(
        on.content,
        Objective(on.backbone, on.content, on.style),
        steps=4,
        project=color.color_span([on.content[:, :1].expand(1, 3, -1, -1)]),
    ),
    "LBFGS, taken up": taken_up,
    # masks, colors
    "to_layers": lambda on: masks.to_layers(on.mask, on.backbone.network, LAYERS, (72, 96))["relu4_2"],
    "soften, resize_mask, union": lambda on: masks.union(
        [masks.soften(on.mask, 5), masks.resize_mask(on.part, (9, 9))]
    ),
    "regions": lambda on: sum(masks.regions(on.mask * on.content.new_ones(1, 3, 1, 1)).values()),
    "lighter_than": lambda on: masks.lighter_than(on.content, 0.5),
    "Lab and back": lambda on: color.from_lab(color.to_lab(on.content)),
    "with_luminance": lambda on: color.with_luminance(on.content, color.luminance(on.content).flip(-1)),
    "match_luminance": lambda on: color.match_luminance(color.to_gray(on.content), color.to_gray(on.style)),
    "match_covariance": lambda on: color.match_covariance(on.content, on.style),
    "match_covariance, Cholesky": lambda on: color.match_covariance(on.content, on.style, "cholesky"),
    "monge_kantorovich": lambda on: color.monge_kantorovich(on.content, on.style),
    "reinhard": lambda on: color.reinhard(on.content, on.style),
    "match_distribution": lambda on: color.match_distribution(on.content, on.style, iterations=2),
    "compress": lambda on: color.compress(2 * on.content - 0.5),
    # photographs
    **{
        f"transfer_photo, {method}": lambda on, method=method: transfer_photo(on.content, on.style, method=method)
        for method in photo.METHODS
    },
    "transfer_photo, regions": lambda on: transfer_photo(on.content, on.style, regions=[(on.mask, on.part)]),
    "a table": lambda on: lut.apply(lut.sample(lambda colors: colors.flip(1), 5), on.content),
    "bilateral": lambda on: bilateral.read(torch.ones(1, 12, *bilateral.CELLS, device=on.device), on.mask),
    # film
    "warp, chain": lambda on: flow.warp(on.content, flow.chain(on.flow, on.flow)),
    "optical_flow": lambda on: flow.optical_flow(on.content, on.content.roll(2, -1)),
    "agreement, fill": lambda on: flow.fill(
        on.content, flow.soften(flow.agreement(on.content, flow.warp(on.content, on.flow), on.flow))
    ),
    "end_point_error": lambda on: flow.end_point_error(on.flow, 2 * on.flow, flow.inside(on.flow)),
    "histogram": lambda on: flow.histogram(on.content),
    "carried": lambda on: video.carried(on.content, video.Past(on.content, on.content.flip(-1), None), on.flow)[0],
}


@pytest.mark.parametrize("name", HERE_AS_THERE)
def test_there_as_here_and_it_stays_there(name):
    expected = HERE_AS_THERE[name](On("cpu"))
    with a_gpu_elsewhere():
        got = HERE_AS_THERE[name](On("cuda"))
        assert got.device.type == "cuda"
        torch.testing.assert_close(got.cpu(), expected, atol=2e-3, rtol=2e-3)


# --- whole recipes, with pictures as they come, from the processor, and already there ---


RECIPES = {
    "stylize": lambda on: stylize(on.content, on.style, backbone=on.backbone, size=96, steps=4),
    "stylize, colors of the content": lambda on: stylize(
        on.content, on.style, backbone=on.backbone, size=96, steps=4, color="content"
    ),
    "stylize, matched colors": lambda on: stylize(
        on.content, on.style, backbone=on.backbone, size=96, steps=4, color="matched"
    ),
    "stylize, regions": lambda on: stylize(on.content, on.regions()[:1], backbone=on.backbone, size=96, steps=4),
    "stylize from noise": lambda on: stylize(
        on.content, on.style, backbone=on.backbone, size=96, steps=4, start="noise", optimizer="adam"
    ),
    "synthesize_texture": lambda on: synthesize_texture(on.style, backbone=on.backbone, size=64, steps=4),
    "reconstruct": lambda on: reconstruct(on.content, layer="relu2_1", backbone=on.backbone, steps=4),
}


@pytest.mark.parametrize("pictures", ["cpu", "cuda"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_there(name, pictures):
    expected = RECIPES[name](On("cpu")).image
    with a_gpu_elsewhere():
        on = On(pictures)
        on.backbone = load_backbone("slim", "cuda")
        image = RECIPES[name](on).image
        assert image.device.type == "cpu", "a result can be shown and saved"
        torch.testing.assert_close(image, expected, atol=5e-3, rtol=0)


def test_a_film_is_painted_there(monkeypatch):
    with a_gpu_elsewhere():
        on = On("cpu")
        shot = video.Shot(load_backbone("slim", "cuda"), on.style, 96, steps=4, carry=video.Carry(steps=2, lag=2))
        monkeypatch.setattr(video, "optical_flow", lambda image, before: torch.zeros(1, 2, 72, 96))
        monkeypatch.setattr(video, "is_cut", lambda *frames: False)
        frames = [shot.paint(on.content.roll(index, -1)) for index in range(4)]
    assert all(frame.device.type == "cpu" and frame.isfinite().all() for frame in frames)


# --- the stand-in refuses what a GPU refuses ---


@pytest.mark.parametrize(
    "mistake",
    [
        lambda there: there + torch.ones(3),
        lambda there: torch.cat([there, torch.ones(3)]),
        lambda there: there[None] @ torch.ones(3, 1),
        lambda there: there.clone().add_(torch.ones(3)),
        lambda there: torch.where(torch.ones(3) > 0, there, there),
        lambda there: there * there.cpu(),
        lambda there: torch.ones(3)[there.long()],
        lambda there: there.clone().index_put_((torch.tensor([0, 1]),), torch.ones(2)),
        lambda there: there.numpy(),
        lambda there: np.asarray(there),
        lambda there: torch.rand(3, device="cuda", generator=torch.Generator()),
        lambda there: there.clone().normal_(generator=torch.Generator()),
        lambda there: torch.fft.fft(there) * torch.fft.fftfreq(3),
    ],
)
def test_the_stand_in_refuses(mistake):
    with a_gpu_elsewhere(), pytest.raises((WrongDeviceError, RuntimeError)):
        mistake(torch.ones(3).to("cuda"))


def test_the_stand_in_lets_pass_what_a_gpu_lets_pass():
    with a_gpu_elsewhere():
        there = torch.arange(3.0, device="cuda")
        for right in (there * 2, there + torch.tensor(1.0), there[torch.tensor([2, 0])], there.new_tensor([1.0])):
            assert right.device.type == "cuda"
        there.copy_(torch.ones(3))
        here = torch.zeros(3, requires_grad=True)
        (here.to(there) * there).sum().backward()
        assert here.grad.device.type == "cpu" and here.grad.tolist() == [1, 1, 1]
        assert there.cpu().numpy().sum() == 3 and torch.ones(2).to(there).device == there.device
    assert there.device.type == "cpu"
