"""Records gradual magnitude pruning and RigL in plain PyTorch, for `tests/train/changing.rs` to compare with.

As `record.py`, whose inputs it takes: written from Zhu and Gupta 2017 (equation 1) and Evci et al. 2020 (algorithm 1). The order of
the images is Tombola's; it lies in `order.json` and is an input. Weights are chosen so that nothing that goes or comes is within
rounding of its neighbour.
"""

import json
import math

import numpy
import torch
import torch.nn.functional as F
from record import HERE, PATTERN, fill, fnv, in_pytorch_order, prepare, stored, synthetic
from torch import nn

IMAGES, SIZE, BATCH, EPOCHS, RATE = 200, 6, 20, 3, 0.05
STEPS = EPOCHS * IMAGES // BATCH
CASES = [
    {"rule": "gradual", "scope": "global", "ratio": 0.9, "every": 4, "until": 0.7, "from": 3, "start": 0.1, "output": 1.0},
    {"rule": "gradual", "scope": "layer", "ratio": 0.8, "every": 5, "until": 0.6, "from": 0, "start": 0.0, "output": 0.5},
    {"rule": "gradual", "scope": "layer", "ratio": 0.7, "every": 3, "until": 1.0, "from": 2, "start": 0.2, "output": 1.0},
    {"rule": "rigl", "scope": "erk", "ratio": 0.8, "every": 4, "until": 0.75, "drop": 0.3, "output": 1.0},
    {"rule": "rigl", "scope": "layer", "ratio": 0.9, "every": 3, "until": 0.9, "drop": 0.5, "output": 1.0},
]


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.fc1 = nn.Linear(4 * SIZE * SIZE, 12)
        self.fc2 = nn.Linear(12, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(F.relu(self.conv(x)).flatten(1))))


def rounded(value):
    return math.floor(value + 0.5)


class Lowest:
    """Chooses the lowest scores, of equal ones the first, and remembers how close it was."""

    def __init__(self):
        self.gap = math.inf

    def __call__(self, scores, among, count):
        chosen = torch.zeros_like(among)
        order = torch.sort(torch.where(among, scores, torch.inf), stable=True).indices
        chosen[order[:count]] = True
        if 0 < count < int(among.sum()):
            self.gap = min(self.gap, float(scores[order[count]] - scores[order[count - 1]]))
        return chosen


def erk(weights, ratio):
    """How many weights each layer keeps: densities in proportion to the sum of the sizes over their product, at most 1."""
    sizes = {name: value.numel() for name, value in weights.items()}
    raw = {name: sum(value.shape) for name, value in weights.items()}
    kept = sum(sizes.values()) - rounded(ratio * sum(sizes.values()))
    dense = set()
    while True:
        factor = (kept - sum(sizes[name] for name in dense)) / sum(raw[name] for name in raw if name not in dense)
        over = {name for name in raw if name not in dense and factor * raw[name] > sizes[name]}
        if not over:
            break
        dense |= over
    share = {name: sizes[name] if name in dense else factor * raw[name] for name in raw}
    counts = {name: math.floor(value) for name, value in share.items()}
    missing = kept - sum(counts.values())
    for name in sorted(share, key=lambda name: counts[name] - share[name])[:missing]:
        counts[name] += 1
    return counts


def prune_to(case, weights, masks, ratio, lowest):
    """The masks with exactly the share `ratio` of each group dead."""
    names = list(weights)
    if case["scope"] == "global":
        groups = [(names, ratio)]
    elif case["scope"] == "layer":
        groups = [([name], ratio * (case["output"] if name == names[-1] else 1)) for name in names]
    else:
        counts = erk(weights, ratio)
        groups = [([name], 1 - counts[name] / weights[name].numel()) for name in names]
    after = {}
    for group, share in groups:
        alive = torch.cat([stored(masks[name]) for name in group])
        scores = torch.cat([stored(weights[name].detach().abs()) for name in group])
        gone = rounded(share * len(alive)) - int((~alive).sum())
        alive = alive & ~lowest(scores, alive, gone)
        for name, part in zip(group, alive.split([weights[name].numel() for name in group])):
            after[name] = in_pytorch_order(part, weights[name])
    return after


def train(case, kind, salt, order):
    """Masks after each change by the steps taken, all weights and momenta at the end, the closest choice."""
    network = fill(Small(), salt).to(kind)
    images, targets = synthetic("training", IMAGES, SIZE)
    images = ((images.unsqueeze(1).double() / 255 - 0.5) / 0.25).to(kind)
    weights = {name: value for name, value in network.named_parameters() if value.dim() > 1}
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=0.001)
    lowest, recorded = Lowest(), []
    end = rounded(case["until"] * STEPS)
    gradual = case["rule"] == "gradual"

    def take(masks, kept, taken):
        for name, value in weights.items():
            value.data[~kept[name]] = 0
            if optimizer.state.get(value):
                optimizer.state[value]["momentum_buffer"][~kept[name]] = 0
        packed = lambda mask: numpy.packbits(mask.numpy().flatten(), bitorder="little").tobytes()
        described = {n: {"alive": int(m.sum()), "hash": f"{fnv(packed(m)):016x}"} for n, m in masks.items()}
        recorded.append({"taken": taken, "masks": described})

    everything = {name: torch.ones(value.shape, dtype=torch.bool) for name, value in weights.items()}
    masks = prune_to(case, weights, everything, case["start"] if gradual else case["ratio"], lowest)
    take(masks, masks, 0)
    for taken in range(STEPS):
        epoch, number = divmod(taken, IMAGES // BATCH)
        chosen = torch.tensor(order[epoch][number * BATCH : (number + 1) * BATCH])
        optimizer.zero_grad()
        F.cross_entropy(network(images[chosen]), targets[chosen]).backward()
        if not gradual and taken > 0 and taken % case["every"] == 0 and taken < end:
            kept, grown = {}, {}
            for name, value in weights.items():
                alive = stored(masks[name])
                share = case["drop"] / 2 * (1 + math.cos(taken * math.pi / end))
                count = min(rounded(share * int(alive.sum())), int((~alive).sum()))
                rest = alive & ~lowest(stored(value.detach().abs()), alive, count)
                come = lowest(-stored(value.grad.abs()), ~rest, count)
                kept[name], grown[name] = in_pytorch_order(rest, value), in_pytorch_order(rest | come, value)
            masks = grown
            take(masks, kept, taken + 1)
            continue
        for name, value in weights.items():
            value.grad[~masks[name]] = 0
        optimizer.step()
        done = taken + 1
        if gradual and (done == end or case["from"] <= done < end and (done - case["from"]) % case["every"] == 0):
            left = 1 - (done - case["from"]) / (end - case["from"])
            masks = prune_to(case, weights, masks, case["ratio"] + (case["start"] - case["ratio"]) * left**3, lowest)
            take(masks, masks, done)
    momenta = {f"momentum {n}": optimizer.state[v]["momentum_buffer"] for n, v in network.named_parameters()}
    return recorded, {n: v.detach() for n, v in network.named_parameters()} | momenta, lowest.gap


def main():
    prepare()
    order = json.loads((HERE / "order.json").read_text())
    entries = []
    for case in CASES:
        for attempt in range(500):
            salt = f"changing {attempt} "
            exact, tensors, gap = train(case, torch.float64, salt, order)
            single, short, _ = train(case, torch.float32, salt, order)
            error = max(float((short[name] - value).abs().max()) for name, value in tensors.items())
            if exact == single and gap > 4 * error:
                break
        else:
            raise SystemExit(f"no weights are clear of rounding: {case}")
        print(case, attempt, f"gap {gap:.1e}, error {error:.1e}")
        every = {name: [float(f"{x:.9g}") for x in value.flatten()[::7].tolist()] for name, value in tensors.items()}
        entries.append(case | {"salt": salt, "pattern": PATTERN, "error": error, "changes": exact, "tensors": every})
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (HERE / "changing.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
