"""Records which weights and channels each criterion keeps, for `tests/train/criteria.rs` to compare with.

Plain PyTorch 2.11.0 in float64, written from the papers, not from Tombola's code. Run it as `python criteria.py`: it writes
`criteria.json` beside itself. Networks and inputs are those of `record.py`.

A score that lies within a relative 1e-4 of the threshold may fall on the other side of it in float32: such weights and
channels are marked as unsure.
"""

import copy
import math

import numpy
import torch
import torch.nn.functional as F
from torch import nn

from record import PreResNet, ResNet, fill, hashes, labels, prepare, write

SIZE = 8
IMAGES = 64
SURE = 1e-4
# What float32 may leave of a sum that cancels, as a share of the sum of its absolute values: some units in the last place.
LEFT = 5e-7


def images():
    """Bytes of the first training images, normalised, [64, 3, 8, 8]."""
    count = IMAGES * 3 * SIZE * SIZE
    grey = (hashes("score images", count) & numpy.uint64(255)).astype(numpy.float64).reshape(IMAGES, SIZE, SIZE, 3)
    return (torch.from_numpy(grey).permute(0, 3, 1, 2).contiguous() / 255 - 0.5) / 0.25


def weights_of(network):
    return {name: value for name, value in network.named_parameters() if value.dim() > 1}


# ---- Scores of weights: the lowest are pruned ------------------------------------------------------------------------


def magnitude(network):
    return {name: value.detach().abs() for name, value in weights_of(network).items()}


def lamp(network):
    """Lee et al. 2021, equation 5, by comparing each weight with all of its layer."""
    scores = {}
    for name, value in weights_of(network).items():
        squares = value.detach().flatten() ** 2
        larger = torch.stack([squares[squares >= square].sum() for square in squares])
        scores[name] = (squares / larger).reshape(value.shape)
    return scores


def loss_gradient(network, temperature, create_graph=False):
    weights = weights_of(network)
    loss = F.cross_entropy(network(images()) / temperature, labels(IMAGES))
    return weights, torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)


def snip(network):
    """Lee et al. 2019, equation 6, batch norms on the statistics of the batch."""
    weights, gradients = loss_gradient(network.train(), 1.0)
    return {name: (value.detach() * g).abs() for (name, value), g in zip(weights.items(), gradients)}


def grasp(network):
    """Wang et al. 2020, equation 8: -w * Hg, of which the largest go; their program's temperature is 200, and its gradient
    that of convolution and linear weights."""
    weights, gradients = loss_gradient(network.train(), 200.0, create_graph=True)
    norm = sum((gradient * gradient.detach()).sum() for gradient in gradients)
    products = torch.autograd.grad(norm, list(weights.values()))
    return {name: value.detach() * product for (name, value), product in zip(weights.items(), products)}


def synflow(network, alive):
    """Tanaka et al. 2020, equation 2."""
    positive = copy.deepcopy(network).eval()
    with torch.no_grad():
        for value in [*positive.parameters(), *positive.buffers()]:
            value.abs_()
        for name, value in weights_of(positive).items():
            value.mul_(alive[name])
    weights = weights_of(positive)
    flow = positive(torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    return {name: value.detach() * g for (name, value), g in zip(weights.items(), gradients)}


# ---- Masks -----------------------------------------------------------------------------------------------------------


def lowest(scores, alive, kept):
    """Keeps the `kept` highest of the alive scores; says which are too close to call."""
    values = torch.cat([scores[name][alive[name]] for name in scores]).sort(descending=True).values
    last, next_one = values[kept - 1], values[min(kept, len(values) - 1)]
    middle = (last + next_one) / 2
    after = {name: alive[name] & (scores[name] >= last) for name in scores}
    near = {name: alive[name] & ((scores[name] - middle).abs() <= SURE * middle.abs()) for name in scores}
    return after, near


def all_alive(network):
    return {name: torch.ones(value.shape, dtype=torch.bool) for name, value in weights_of(network).items()}


def globally(network, scores, rate):
    alive = all_alive(network)
    count = sum(mask.numel() for mask in alive.values())
    return lowest(scores, alive, count - math.floor(rate * count + 0.5))


def by_flow(network, rate):
    """Tanaka et al. 2020, algorithm 1: 100 steps, each keeps the same share."""
    alive = all_alive(network)
    count = sum(mask.numel() for mask in alive.values())
    end = count - math.floor(rate * count + 0.5)
    unsure = {name: torch.zeros_like(mask) for name, mask in alive.items()}
    for step in range(1, 101):
        kept = end if step == 100 else math.floor(count * (end / count) ** (step / 100) + 0.5)
        alive, near = lowest(synflow(network, alive), alive, kept)
        unsure = {name: unsure[name] | near[name] for name in unsure}
    return alive, unsure


def by_erk(network, rate):
    """Evci et al. 2020, section 3: the factor by bisection, each layer then by magnitude."""
    weights = weights_of(network)
    sizes = {name: value.numel() for name, value in weights.items()}
    sums = {name: sum(value.shape) for name, value in weights.items()}
    total = sum(sizes.values())
    kept = total - math.floor(rate * total + 0.5)
    low, high = 0.0, float(total)
    for _ in range(200):
        factor = (low + high) / 2
        reached = sum(min(sizes[name], factor * sums[name]) for name in weights)
        low, high = (factor, high) if reached < kept else (low, factor)
    shares = {name: min(float(sizes[name]), low * sums[name]) for name in weights}
    counts = {name: math.floor(share + 1e-9) for name, share in shares.items()}
    missing = kept - sum(counts.values())
    for name in sorted(weights, key=lambda name: counts[name] - shares[name])[:missing]:
        counts[name] += 1
    masks, unsure = {}, {}
    for name, value in magnitude(network).items():
        own, near = lowest({name: value}, {name: torch.ones(value.shape, dtype=torch.bool)}, counts[name])
        masks |= own
        unsure |= near
    return masks, unsure


def by_deviation(network, rate):
    """Han et al. 2015: each layer's threshold is one factor times its standard deviation; the factor by bisection."""
    weights = {name: value.detach() for name, value in weights_of(network).items()}
    deviations = {name: value.std(correction=0) for name, value in weights.items()}
    total = sum(value.numel() for value in weights.values())
    kept = total - math.floor(rate * total + 0.5)
    low, high = 0.0, 100.0
    for _ in range(200):
        factor = (low + high) / 2
        reached = sum(int((value.abs() > factor * deviations[name]).sum()) for name, value in weights.items())
        low, high = (factor, high) if reached > kept else (low, factor)
    masks = {name: value.abs() > high * deviations[name] for name, value in weights.items()}
    assert sum(int(mask.sum()) for mask in masks.values()) == kept
    near = lambda value, threshold: (value.abs() - threshold).abs() <= SURE * threshold
    return masks, {name: near(value, high * deviations[name]) for name, value in weights.items()}


# ---- Channels --------------------------------------------------------------------------------------------------------


def filter_scores(criterion, convolution, norm, gradient):
    weight = convolution.weight.detach().flatten(1)
    if criterion == "bn-scale":
        return norm.weight.detach().abs()
    if criterion == "l1":
        return weight.abs().mean(1)
    if criterion == "l2":
        return (weight**2).mean(1).sqrt()
    if criterion == "geometric-median":
        # He et al. 2019, equation 8. Layers meet in one comparison, so it counts how far a filter lies from the others of its
        # layer, beside how far they lie apart there.
        sums = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
        return sums / sums.mean()
    return (weight * gradient.flatten(1)).sum(1).abs()


def rounding(network):
    """How far off float32 may have the Taylor score of each filter. It is a sum that cancels almost wholly: behind a filter with
    a batch norm its length changes nothing, so the gradient is at right angles to it."""
    products = snip(network)
    return {name.removesuffix(".weight"): LEFT * value.flatten(1).sum(1) for name, value in products.items()}


def inner_channels(network, criterion):
    """The first convolution of each basic block: what nothing is added to."""
    modules = dict(network.named_modules())
    names = [name for name in modules if name.startswith("layer") and name.endswith(".conv1")]
    weights, gradients = loss_gradient(network.train(), 1.0)
    gradients = dict(zip(weights, gradients))
    return {
        name: filter_scores(criterion, modules[name], modules[name.replace("conv1", "bn1")], gradients[f"{name}.weight"])
        for name in names
    }


def stream_channels(network, criterion):
    """And each stream of a network with shortcuts of convolution and batch norm, as one: the mean of all that write it."""
    modules = dict(network.named_modules())
    scores = inner_channels(network, criterion)
    weights, gradients = loss_gradient(network.train(), 1.0)
    gradients = dict(zip(weights, gradients))
    for stage in [1, 2, 3]:
        writers = [(f"layer{stage}.0.conv2", f"layer{stage}.0.bn2")]
        # The stem writes the first stream, a shortcut each of the others. The first writer in the network names the layer.
        if stage == 1:
            writers.insert(0, ("conv1", "bn1"))
        else:
            writers.append((f"layer{stage}.0.downsample.0", f"layer{stage}.0.downsample.1"))
        parts = [filter_scores(criterion, modules[c], modules[n], gradients[f"{c}.weight"]) for c, n in writers]
        scores[writers[0][0]] = torch.stack(parts).mean(0)
    return scores


def norm_channels(network):
    """All batch norms of a pre-activation network. What a batch norm reads comes from the convolution before it, if that is
    all that reads it; else the batch norm selects by itself."""
    scores = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            inner = name.endswith(".bn2") or name.endswith(".bn3")
            layer = name.replace("bn2", "conv1").replace("bn3", "conv2") if inner else name
            scores[layer] = module.weight.detach().abs()
    return scores


def never_empty(scores, rate, off=None):
    """Prunes the lowest of all, but never the last of a layer: that one is passed over. Scores may be `off` by so much."""
    flat = sorted((float(score), name, place) for name, layer in scores.items() for place, score in enumerate(layer))
    masks = {name: torch.ones(len(layer), dtype=torch.bool) for name, layer in scores.items()}
    wanted = math.floor(rate * len(flat) + 0.5)
    last = 0.0
    for score, name, place in flat:
        if wanted == 0:
            break
        if int(masks[name].sum()) > 1:
            masks[name][place] = False
            wanted -= 1
            last = score
    near = {name: SURE * abs(last) + (off[name] if off else 0.0) for name in scores}
    return masks, {name: (layer - last).abs() <= near[name] for name, layer in scores.items()}


def within_layers(scores, rate):
    """The same for each layer alone."""
    masks, unsure = {}, {}
    for name, layer in scores.items():
        own, near = never_empty({name: layer}, rate)
        masks |= own
        unsure |= near
    return masks, unsure


# ----------------------------------------------------------------------------------------------------------------------


def packed(masks):
    return {name: numpy.packbits(mask.numpy().flatten(), bitorder="little").tobytes().hex() for name, mask in masks.items()}


def entry(network, criterion, scope, rate, drawn, channels=False, streams="whole"):
    masks, unsure = drawn
    near = {name: mask for name, mask in unsure.items() if bool(mask.any())}
    return {
        "network": network,
        "criterion": criterion,
        "scope": scope,
        "rate": rate,
        "channels": channels,
        "streams": streams,
        "alive": sum(int(mask.sum()) for mask in masks.values()),
        "masks": packed(masks),
        "unsure": packed(near),
    }


def record():
    resnet = fill(ResNet(3, 8, 4, "B")).double()
    preresnet = fill(PreResNet(3, 11, 4)).double()
    recorded = []
    for rate in [0.3, 0.9]:
        for criterion, score in [("lamp", lamp), ("snip", snip), ("grasp", grasp)]:
            drawn = globally(resnet, score(copy.deepcopy(resnet)), rate)
            recorded.append(entry("resnet", criterion, "global", rate, drawn))
        recorded.append(entry("resnet", "synflow", "global", rate, by_flow(resnet, rate)))
        recorded.append(entry("resnet", "magnitude", "erk", rate, by_erk(resnet, rate)))
        recorded.append(entry("resnet", "magnitude", "deviation", rate, by_deviation(resnet, rate)))
        for criterion in ["bn-scale", "l1", "l2", "geometric-median", "taylor"]:
            off = rounding(copy.deepcopy(resnet)) if criterion == "taylor" else None
            drawn = never_empty(inner_channels(copy.deepcopy(resnet), criterion), rate, off)
            recorded.append(entry("resnet", criterion, "global", rate, drawn, True))
            if criterion != "taylor":
                drawn = never_empty(stream_channels(copy.deepcopy(resnet), criterion), rate)
                recorded.append(entry("resnet", criterion, "global", rate, drawn, True, "group"))
        drawn = within_layers(inner_channels(copy.deepcopy(resnet), "geometric-median"), rate)
        recorded.append(entry("resnet", "geometric-median", "layer", rate, drawn, True))
        recorded.append(entry("resnetb", "bn-scale", "global", rate, never_empty(norm_channels(preresnet), rate), True))
    return recorded


def main():
    prepare()
    recorded = record()
    write("criteria", recorded)
    unsure = sum(bin(int(value, 16)).count("1") for value in (v for r in recorded for v in r["unsure"].values()))
    print(len(recorded), "masks,", unsure, "bits too close to call")


if __name__ == "__main__":
    main()
