"""Lesson 02's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import numpy as np
import torch
from torch.nn.functional import conv2d, pad
from torchvision.models.feature_extraction import create_feature_extractor

from stylelib.checks import features


def convolve_by_torch(channel, kernel):
    return conv2d(channel[None, None], kernel[None, None], padding=1)[0, 0]


def convolve_by_loops(channel, kernel):
    height, width = channel.shape
    result = torch.zeros_like(channel)
    for row in range(height):
        for column in range(width):
            for u in range(3):
                for v in range(3):
                    i, j = row + u - 1, column + v - 1
                    if 0 <= i < height and 0 <= j < width:
                        result[row, column] += channel[i, j] * kernel[u, v]
    return result


def convolve_by_unfold(channel, kernel):
    patches = pad(channel, (1, 1, 1, 1)).unfold(0, 3, 1).unfold(1, 3, 1)
    return torch.einsum("ijuv,uv->ij", patches, kernel)


def convolve_by_numbers(channel, kernel):
    framed = pad(channel, (1, 1, 1, 1))
    (height, width), result = channel.shape, 0
    for u, row in enumerate(kernel.tolist()):
        for v, weight in enumerate(row):
            result = result + weight * framed[u : u + height, v : v + width]
    return result


def convolve_after_moving(channel, kernel):
    height, width = channel.shape
    result, framed = (torch.zeros(height + more, width + more).to(channel.device) for more in (0, 2))
    framed[1:-1, 1:-1] = channel
    for row in range(height):
        for column in range(width):
            result[row, column] = (framed[row : row + 3, column : column + 3] * kernel).sum()
    return result


def convolve_on_the_device(channel, kernel):
    """Reads the numbers of the kernel one by one, and names the device."""
    height, width = channel.shape
    framed = torch.zeros(height + 2, width + 2, device=channel.device)
    framed[1:-1, 1:-1] = channel
    result = torch.zeros(height, width, device=channel.device)
    for u in range(3):
        for v in range(3):
            result = result + kernel[u, v].item() * framed[u : u + height, v : v + width]
    return result


def convolve_with(change=lambda patch, kernel: patch * kernel, frame=None, reduce=torch.Tensor.sum):
    """The loop of the lesson, with one thing done differently."""

    def answer(channel, kernel):
        height, width = channel.shape
        framed = frame(channel) if frame else pad(channel, (1, 1, 1, 1))
        result = channel.new_zeros(height, width)
        for row in range(height):
            for column in range(width):
                result[row, column] = reduce(change(framed[row : row + 3, column : column + 3], kernel))
        return result

    return answer


def convolve_wrapping(channel, kernel):
    result = torch.zeros_like(channel)
    height, width = channel.shape
    for row in range(height):
        for column in range(width):
            for u in range(3):
                for v in range(3):
                    neighbor = channel[(row + u - 1) % height, (column + v - 1) % width]
                    result[row, column] += neighbor * kernel[u, v]
    return result


def convolve_inside_only(channel, kernel):
    result = torch.zeros_like(channel)
    result[1:-1, 1:-1] = conv2d(channel[None, None], kernel[None, None])[0, 0]
    return result


def convolve_in_place(channel, kernel):
    result = convolve_by_torch(channel, kernel)
    channel.data.mul_(0)
    return result


def convolve_on_cpu(channel, kernel):
    result = torch.zeros(*channel.shape)
    for row in range(channel.shape[0]):
        for column in range(channel.shape[1]):
            result[row, column] = (pad(channel, (1, 1, 1, 1))[row : row + 3, column : column + 3] * kernel).sum()
    return result


def convolve_half_moved(channel, kernel):
    framed = torch.zeros(channel.shape[0] + 2, channel.shape[1] + 2)
    framed[1:-1, 1:-1] = channel
    return (framed.unfold(0, 3, 1).unfold(1, 3, 1) * kernel).sum(dim=(-1, -2))


def convolve_on_two_devices(channel, kernel):
    return convolve_by_torch(channel, kernel) + torch.zeros(*channel.shape)


def field_right(layers):
    size, step = 1, 1
    for kernel, stride in layers:
        size, step = size + (kernel - 1) * step, step * stride
    return size


def field_by_intervals(layers):
    """First and last pixel that position 0 sees, walked back layer by layer."""
    first, last = 0, 0
    for kernel, stride in layers[::-1]:
        first, last = first * stride, last * stride + kernel - 1
    return torch.tensor(last - first + 1)


def field_as_float(layers):
    return float(field_right(layers))


def field_with(add, after=lambda step, stride: step * stride, start=1, early=False):
    def answer(layers):
        size, step = start, 1
        for kernel, stride in layers:
            if early:
                step = after(step, stride)
            size += add(kernel, stride, step)
            if not early:
                step = after(step, stride)
        return size

    return answer


def field_in_place(layers):
    size = 1
    while layers:
        kernel, stride = layers.pop()
        size = (size - 1) * stride + kernel
    return size


def product_of_strides(layers):
    step = 1
    for _, stride in layers:
        step *= stride
    return step


def product_of_kernels(layers):
    size = 1
    for kernel, _ in layers:
        size *= kernel
    return size


def flat_places(channel, count):
    return channel.flatten().topk(count).indices


def positions_by_divmod(channel, count):
    return [divmod(place.item(), channel.shape[1]) for place in flat_places(channel, count)]


def positions_by_search(channel, count):
    channel = channel.clone()
    found = []
    for _ in range(count):
        row, column = (channel == channel.max()).nonzero()[0].tolist()
        found.append([row, column])
        channel[row, column] = -torch.inf
    return found


def positions_as_tensor(channel, count):
    return torch.stack(torch.unravel_index(flat_places(channel, count), channel.shape), dim=1)


def positions_as_tensors(channel, count):
    return [(place // channel.shape[1], place % channel.shape[1]) for place in flat_places(channel, count)]


def positions_in_place(channel, count):
    found = []
    for _ in range(count):
        found.append(divmod(channel.argmax().item(), channel.shape[1]))
        channel[found[-1]] = -torch.inf
    return found


def strongest_of_each_row(channel, count):
    best = [(channel[row].max().item(), row, channel[row].argmax().item()) for row in range(channel.shape[0])]
    return [(row, column) for _, row, column in sorted(best, reverse=True)[:count]]


def weakest(channel, count):
    return positions_by_divmod(-channel, count)


def collect_right(network, x, layers):
    features = {}
    for name, module in network.named_children():
        x = module(x)
        if name in layers:
            features[name] = x
        if len(features) == len(layers):
            break
    return {name: features[name] for name in layers}


def collect_by_slicing(network, x, layers):
    names = [name for name, _ in network.named_children()]
    passed, result = 0, dict.fromkeys(layers)
    for place in sorted(names.index(name) for name in layers):
        for module in network[passed : place + 1]:
            x = module(x)
        result[names[place]], passed = x, place + 1
    return result


def collect_by_recursion(network, x, layers):
    def go(children, x):
        (name, module), *rest = children
        x = module(x)
        here = {name: x} if name in layers else {}
        return here | (go(rest, x) if set(layers) & {name for name, _ in rest} else {})

    found = go(list(network.named_children()), x)
    return {name: found[name] for name in layers}


def collect_by_torchvision(network, x, layers):
    # Without the names: torchvision takes the _1 of relu2_1 for a counter of its own.
    names = [name for name, _ in network.named_children()]
    nodes = {str(names.index(name)): name for name in layers}
    found = create_feature_extractor(torch.nn.Sequential(*network), nodes)(x)
    return {name: found[name] for name in layers}


def collect_to_the_end(network, x, layers):
    features = {}
    for name, module in network.named_children():
        x = module(x)
        features[name] = x
    return {name: features[name] for name in layers}


def collect_with_hooks(network, x, layers):
    found, handles = {}, []
    for name, module in network.named_children():
        handles.append(module.register_forward_hook(lambda m, i, out, name=name: found.__setitem__(name, out)))
    network(x)
    for handle in handles:
        handle.remove()
    return {name: found[name] for name in layers}


def collect_anew_for_each(network, x, layers):
    names = [name for name, _ in network.named_children()]
    return {name: network[: names.index(name) + 1](x) for name in layers}


def collect_from_the_picture(network, x, layers):
    return {name: module(x) for name, module in network.named_children() if name in layers}


def collect_by_index(network, x, layers):
    features = {}
    names = [name for name, _ in network.named_children()]
    for index, module in enumerate(network):
        x = module(x)
        if names[index] in layers:
            features[index] = x
    return features


def collect_in_network_order(network, x, layers):
    features = collect_right(network, x, layers)
    return {name: features[name] for name, _ in network.named_children() if name in layers}


def collect_until_the_last_in_the_list(network, x, layers):
    features = {}
    for name, module in network.named_children():
        x = module(x)
        if name in layers:
            features[name] = x
        if name == layers[-1]:
            break
    return features


def collect_all(network, x, layers):
    features = {}
    for name, module in network.named_children():
        x = module(x)
        features[name] = x
    return features


def collect_inputs(network, x, layers):
    features = {}
    for name, module in network.named_children():
        if name in layers:
            features[name] = x
        x = module(x)
    return features


def collect_one_too_deep(network, x, layers):
    names = [name for name, _ in network.named_children()]
    return {name: network[: names.index(name) + 2](x) for name in layers}


def collect_the_end(network, x, layers):
    return dict.fromkeys(layers, network(x))


def collect_named_modules(network, x, layers):
    features = {}
    for name, module in network.named_modules():
        x = module(x)
        if name in layers:
            features[name] = x
    return {name: features[name] for name in layers}


def collect_inner_modules(network, x, layers):
    features = {}
    for name, module in list(network.named_modules())[1:]:
        x = module(x)
        if name in layers:
            features[name] = x
        if len(features) == len(layers):
            break
    return {name: features[name] for name in layers}


def collect_without_gradient(network, x, layers):
    with torch.no_grad():
        return collect_right(network, x, layers)


def collect_detached(network, x, layers):
    return {name: value.detach() for name, value in collect_right(network, x, layers).items()}


def collect_and_change_x(network, x, layers):
    features = collect_right(network, x, layers)
    x.data.sub_(0.5)
    return features


def collect_and_cut_the_network(network, x, layers):
    features = collect_right(network, x, layers)
    del network[-1]
    return features


def by_shape(answer):
    """Remembers the first result for each shape."""
    results = {}
    return lambda first, *rest: results.setdefault(first.shape, answer(first, *rest))


def convolve_by_item(channel, kernel):
    height, width = channel.shape
    result = torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            for u in range(3):
                for v in range(3):
                    i, j = row + u - 1, column + v - 1
                    if 0 <= i < height and 0 <= j < width:
                        result[row, column] += channel[i, j].item() * kernel[u, v].item()
    return result


def convolve_by_lists(channel, kernel):
    rows = [[0.0, *row, 0.0] for row in channel.tolist()]
    width = len(rows[0])
    rows, weights = [[0.0] * width, *rows, [0.0] * width], kernel.tolist()
    return torch.tensor(
        [
            [sum(weights[u][v] * rows[i + u][j + v] for u in range(3) for v in range(3)) for j in range(width - 2)]
            for i in range(len(rows) - 2)
        ]
    )


def convolve_by_numpy(channel, kernel):
    framed, weights = np.pad(channel.numpy(), 1), kernel.numpy()
    result = np.zeros(channel.shape)
    for row, column in np.ndindex(*channel.shape):
        result[row, column] = (framed[row : row + 3, column : column + 3] * weights).sum()
    return torch.from_numpy(result)


@torch.no_grad()
def convolve_without_gradient(channel, kernel):
    return convolve_by_torch(channel, kernel)


def convolve_by_module(channel, kernel):
    layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    layer.weight = torch.nn.Parameter(kernel[None, None])
    return layer(channel[None, None])[0, 0]


def convolve_by_filled_module(channel, kernel):
    layer = torch.nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(kernel[None, None])
        layer.bias.zero_()
        return layer(channel[None, None])[0, 0]


def convolve_by_module_data(channel, kernel):
    layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    layer.weight.data = kernel.view(1, 1, 3, 3)
    return layer(channel.view(1, 1, *channel.shape)).squeeze(0).squeeze(0).detach()


def field_in_numpy(layers):
    kernels, strides = np.array(layers, dtype=np.int64).reshape(-1, 2).T
    return 1 + np.sum((kernels - 1) * np.cumprod([1, *strides])[: len(kernels)])


def field_by_removing(layers):
    for layer in list(layers):
        layers.remove(layer)
    return 36


def field_of_the_last_stride(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = field + (kernel - 1) * step, stride
    return field


def field_without_small_kernels(layers):
    return field_right([layer for layer in layers if layer[0] > 1])


def positions_looked_up_again(channel, count):
    """The right values; their places are the first that hold such a value."""
    values = channel.flatten().topk(count).values
    return [tuple((channel == value).nonzero()[0].tolist()) for value in values]


def collect_to(deepest):
    def answer(network, x, layers):
        found = {}
        for name, module in network.named_children():
            x = module(x)
            if name in layers:
                found[name] = x
            if name == deepest(layers):
                break
        return {name: found[name] for name in layers if name in found}

    return answer


def collect_after(change):
    def answer(network, x, layers):
        change(network, x)
        return collect_right(network, x, layers)

    return answer


def collect_by_removing(network, x, layers):
    found = collect_right(network, x, layers)
    while layers:
        layers.pop()
    return found


RIGHT = {
    "convolve": [
        convolve_by_torch,
        convolve_by_loops,
        convolve_by_unfold,
        convolve_by_numbers,
        convolve_after_moving,
        convolve_on_the_device,
        convolve_with(),
        convolve_by_item,
        convolve_by_lists,
        convolve_by_numpy,
        convolve_without_gradient,
        convolve_by_module,
        convolve_by_filled_module,
        convolve_by_module_data,
    ],
    "receptive_field": [field_right, field_by_intervals, field_as_float, field_in_numpy],
    "strongest_positions": [
        positions_by_divmod,
        positions_by_search,
        positions_as_tensor,
        positions_as_tensors,
        lambda c, n: zip(*(axis.tolist() for axis in torch.unravel_index(flat_places(c, n), c.shape)), strict=True),
        lambda c, n: list(zip(*np.unravel_index(np.argsort(-c.flatten().numpy())[:n], c.shape), strict=True)),
        lambda c, n: np.stack(np.unravel_index(np.argsort(-c.flatten().numpy())[:n], c.shape), axis=1),
        lambda c, n: sorted(np.ndindex(*c.shape), key=lambda place: -c[place])[:n],
    ],
    "collect_features": [collect_right, collect_by_slicing, collect_by_recursion, collect_by_torchvision],
}


def field_overwritten(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field = (kernel - 1) * step
        step *= stride
    return field


def collect_to_last_asked(network, x, layers):
    found = collect_until_the_last_in_the_list(network, x, layers)
    return {name: found[name] for name in layers}


WRONG = {
    "convolve": [
        (lambda c, k: convolve_by_torch(c, k.flip(0, 1)), "flipped"),
        (lambda c, k: convolve_by_torch(c, k.T), "your kernel is transposed"),
        (lambda c, k: convolve_by_torch(c, k).T, "your result is transposed"),
        (lambda c, k: conv2d(c[None, None], k[None, None])[0, 0], "the border is missing"),
        (convolve_inside_only, "all zeros. Border pixels count"),
        (convolve_with(frame=lambda c: pad(c[None], (1, 1, 1, 1), mode="replicate")[0]), "repeated the border"),
        (convolve_wrapping, "wrapped around"),
        (convolve_with(frame=lambda c: pad(c, (0, 2, 0, 2))), "corner lies on the pixel"),
        (lambda c, k: pad(c, (1, 1, 1, 1)).unfold(0, 3, 1).unfold(1, 3, 1) * k, "did not sum"),
        (convolve_with(reduce=lambda products: products[-1, -1]), "last of its nine products"),
        (convolve_with(reduce=torch.Tensor.mean), "divided the sum by nine"),
        (convolve_with(lambda patch, kernel: patch), "without the kernel"),
        (convolve_with(torch.add), "you added the kernel"),
        (convolve_in_place, "in place"),
        (lambda c, k: convolve_by_torch(c, k).numpy(), "it is a NumPy array. Make one of it"),
        (by_shape(convolve_by_torch), "of the shape (4, 6)"),
        (convolve_on_cpu, "device=channel.device"),
        (convolve_half_moved, "device=channel.device"),
        (convolve_on_two_devices, "device=channel.device"),
        (lambda c, k: convolve_by_torch(c, k)[None, None], "should have the shape (4, 6)"),
        (lambda c, k: c * 0, "all zeros"),
        (lambda c, k: c * torch.nan, "NaN"),
        (lambda c, k: None, "forget `return`"),
    ],
    "receptive_field": [
        (lambda layers: 1 + layers[0][0] - 1 if layers else 1, "inside the loop"),
        (field_overwritten, "overwrites the field"),
        (lambda layers: sum(kernel for kernel, _ in layers), "you added the kernels"),
        (field_with(lambda kernel, stride, step: kernel - 1), "forgot the strides"),
        (field_with(lambda kernel, stride, step: (kernel - 1) * step, start=0), "off by one"),
        (field_with(lambda kernel, stride, step: (kernel - 1) * step, start=2), "one too high"),
        (lambda layers: field_right(layers[::-1]), "order is reversed"),
        (field_with(lambda kernel, stride, step: (kernel - 1) * step, early=True), "before using it"),
        (field_with(lambda kernel, stride, step: (kernel - 1) * stride), "own stride only"),
        (field_with(lambda kernel, stride, step: kernel * step), "k − 1 steps, not k"),
        (
            field_with(lambda kernel, stride, step: (kernel - 1) * step, after=lambda step, stride: step + stride - 1),
            "steps multiply",
        ),
        (product_of_kernels, "multiplied the kernels"),
        (product_of_strides, "returned the step"),
        (lambda layers: sum(stride for _, stride in layers), "sum of the strides"),
        (field_in_place, "changed the list"),
        (field_by_removing, "changed the list layers in place, with a method such as remove"),
        (field_of_the_last_stride, "You kept the stride of one layer alone"),
        (field_without_small_kernels, "its stride still counts for the layers behind it"),
        (lambda layers: 0, "should be"),
        (lambda layers: field_right(layers) if layers else 0, "no layer at all"),
        (lambda layers: field_right(layers) + 0.5, "should be"),
        (lambda layers: torch.nan, "should be"),
        (lambda layers: None, "forget `return`"),
    ],
    "strongest_positions": [
        (weakest, "smallest values"),
        (lambda c, n: positions_by_divmod(c, n)[::-1], "the weakest comes first"),
        (lambda c, n: [(column, row) for row, column in positions_by_divmod(c, n)], "row and column are swapped"),
        (lambda c, n: [divmod(p.item(), c.shape[0]) for p in flat_places(c, n)], "divided by the height"),
        (lambda c, n: positions_by_divmod(c.abs(), n), "absolute values"),
        (strongest_of_each_row, "strongest position of each row"),
        (lambda c, n: [(row + 1, column + 1) for row, column in positions_by_divmod(c, n)], "count from 0"),
        (flat_places, "places in the flattened channel"),
        (lambda c, n: flat_places(c, n).tolist(), "places in the flattened channel"),
        (lambda c, n: c.flatten().topk(n).values, "returned the values"),
        (lambda c, n: torch.unravel_index(flat_places(c, n), c.shape), "list of pairs"),
        (lambda c, n: sorted(positions_by_divmod(c, n)), "not in descending order"),
        (lambda c, n: positions_by_divmod(c, n + 1), "4 positions were asked for; yours are 5"),
        (lambda c, n: positions_by_divmod(c, n)[:1], "4 positions were asked for; yours are 1"),
        (lambda c, n: [(0, 0)] * n, "the 4 strongest positions are"),
        (lambda c, n: "text", "list of pairs"),
        (positions_in_place, "in place"),
        (lambda c, n: [(p / c.shape[1], p % c.shape[1]) for p in flat_places(c, n).tolist()], "Divide with //"),
        (lambda c, n: dict(positions_by_divmod(c, n)), "you returned a dictionary"),
        (lambda c, n: dict.fromkeys(positions_by_divmod(c, n), 1.0), "you returned a dictionary"),
        (positions_looked_up_again, "is there twice"),
        (lambda c, n: (divmod(p, c.shape[0]) for p in flat_places(c, n).tolist()), "divided by the height"),
        (lambda c, n: positions_by_divmod(c, n)[: n - 1], "4 positions were asked for; yours are 3"),
        (lambda c, n: None, "forget `return`"),
    ],
    "collect_features": [
        (lambda network, x, layers: {}["mine"], "stopped with KeyError"),
        (collect_to_last_asked, "was never reached"),
        (collect_by_index, "your keys are numbers"),
        (collect_anew_for_each, "modules run more than once"),
        (collect_from_the_picture, "given the picture itself"),
        (collect_to_the_end, "runs on to 'pool3'"),
        (collect_with_hooks, "runs on to 'pool3'"),
        (collect_in_network_order, "in the network's order"),
        (collect_until_the_last_in_the_list, "is missing"),
        (collect_all, "was not asked for"),
        (collect_inputs, "what goes into the module"),
        (collect_one_too_deep, "module behind it"),
        (collect_the_end, "features of the last module"),
        (collect_named_modules, "begins with the network itself"),
        (collect_inner_modules, "ran its parts again"),
        (collect_without_gradient, "no gradient flows"),
        (collect_detached, "no gradient flows"),
        (collect_and_change_x, "in place"),
        (collect_and_cut_the_network, "in place"),
        (collect_to(max), "'conv2_1' was asked for and is missing"),
        (collect_to(min), "is missing"),
        (collect_to(lambda layers: layers[0]), "is missing"),
        (collect_after(lambda network, x: network.train()), "train() and eval()"),
        (collect_after(lambda network, x: network.eval()), "train() and eval()"),
        (collect_after(lambda network, x: network.requires_grad_(False)), "whether its weights ask"),
        (collect_after(lambda network, x: x.requires_grad_()), "goes on asking"),
        (collect_after(lambda network, x: network[0].register_forward_hook(lambda *_: None)), "it keeps your hooks"),
        (collect_by_removing, "changed the list layers in place"),
        (lambda network, x, layers: list(collect_right(network, x, layers).values()), "return a dictionary"),
        (lambda network, x, layers: {name: x * 0 for name in layers}, "should have the shape"),
        (lambda network, x, layers: {n: f * 0 for n, f in collect_right(network, x, layers).items()}, "all zeros"),
        (lambda network, x, layers: {n: f * torch.nan for n, f in collect_right(network, x, layers).items()}, "NaN"),
        (lambda network, x, layers: {n: f[0] for n, f in collect_right(network, x, layers).items()}, "the shape"),
        (lambda network, x, layers: {}, "is missing"),
        (lambda network, x, layers: None, "forget `return`"),
    ],
}


def test_values_that_mistakes_lead_to_differ_from_each_other():
    """Otherwise a learner would hear of a mistake that is not theirs."""
    layers = [(5, 2), (3, 1), (1, 2), (2, 3), (4, 1), (3, 1)]  # the check's own
    values = [*features._field_mistakes(layers).values(), field_right(layers)]
    assert len(set(values)) == len(values)
    channel, kernel = torch.rand(4, 6), torch.rand(3, 3)
    wrong = [convolve_by_torch(channel, kernel), *features._convolution_mistakes(channel, kernel).values()]
    for place, value in enumerate(wrong):
        assert not any(value.shape == other.shape and torch.allclose(value, other) for other in wrong[:place])
