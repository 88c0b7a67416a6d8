"""Draws masks as docs/concepts.md and docs/channels.md say, with NumPy alone: what `recompute.py` compares masks with.

Weights of a convolution come in the order output, row, column, input; that decides between equal scores.
"""

import math

import numpy

import networks

# Scores that are sums of many floats may differ by this share from the program's.
CLOSE = 1e-6


class NotComputed(Exception):
    """Something that is not computed here, or cannot be from what was kept."""


def rounded(number):
    return math.floor(number + 0.5)


def words(text):
    """The items of a list in a table: `[first, last=0.5]`."""
    return [item for item in (text or "").strip("[]").replace(",", " ").split() if item]


def named(network, word):
    """The layer that a word names: the first or the last, as the random sweeps have them."""
    return network.layers()[{"first": 0, "last": -1}[word]]


def is_spared(network, node, row):
    return any(named(network, word) is node for word in words(row.get("spare")))


def own_rate(network, node, row):
    """The rate of a layer that has a ratio of its own; nothing for the others. Beside a `prune-rate` it is a rate already."""
    for item in words(row.get("ratios")):
        word, _, ratio = item.partition("=")
        if named(network, word) is node:
            return float(ratio) if row.get("prune-rate") else rate_of(float(ratio), row["prune-iterations"])
    return None


def rate_of(ratio, prunings):
    """The share of what is alive that each of some prunings takes, to nine decimals."""
    return rounded((1.0 - (1.0 - ratio) ** (1.0 / prunings)) * 1e9) / 1e9


def may_prune(network, node, row):
    kind = row["prune-layers"] in ("all", {"conv": "conv", "linear": "linear"}[node.op])
    return kind and not is_spared(network, node, row)


def in_order(array):
    """From PyTorch's order into that of positions."""
    return (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).reshape(-1)


def out_of_order(flat, shape):
    if len(shape) == 4:
        out, read, height, width = shape
        return flat.reshape(out, height, width, read).transpose(0, 3, 1, 2)
    return flat.reshape(shape)


class Drawn:
    """A mask with the scores that it follows from."""

    def __init__(self, network, row, alive, scores, exact):
        # `alive`: for weights by name in the order of positions, for channels one array.
        self.network, self.row, self.alive, self.scores, self.exact = network, row, alive, scores, exact
        self.forced, self.per_layer, self.channels = None, None, None

    def differs(self, mask):
        """What is wrong with a mask of a file; nothing if it is this one."""
        if self.channels is not None:
            return differing(self.alive, alive_channels(self.channels, mask), self.scores, self.exact) or self._shape(mask)
        names = [node.weight for node in self.network.layers()]
        own = numpy.concatenate([self.alive[name] for name in names])
        scores = numpy.concatenate([self.scores[name] for name in names])
        return differing(own, numpy.concatenate([in_order(mask[name]) for name in names]), scores, self.exact)

    def _shape(self, mask):
        """Whether a mask of weights keeps exactly what its channels say."""
        weights, _ = self.channels.masks(alive_channels(self.channels, mask))
        wrong = [name for name in mask if not numpy.array_equal(mask[name], weights[name])]
        return f"{wrong} keep other weights than their channels" if wrong else None

    def differs_in_bits(self, bits):
        if self.channels is not None:
            return differing(self.alive, bits, self.scores, self.exact)
        parts = [node.weight for node in self.network.layers() if may_prune(self.network, node, self.row)]
        own = numpy.concatenate([self.alive[name] for name in parts])
        return differing(own, bits, numpy.concatenate([self.scores[name] for name in parts]), self.exact)


def differing(own, found, scores, exact):
    """Masks may differ where scores are equal but for the rounding of sums."""
    if len(own) != len(found):
        return f"{len(found)} bits, expected {len(own)}"
    places = numpy.flatnonzero(own != found)
    if not len(places):
        return None
    text = f"{len(places)} of {len(own)} bits differ, the first at {places[0]}"
    if exact or own.sum() != found.sum():
        return text
    at = scores[places]
    return None if numpy.ptp(at) <= CLOSE * abs(at).max() else text


def draw(network, row, weights, before):
    """The mask that `row` says, drawn from `weights` with the mask `before`."""
    if row["criterion"] in ("random", "snip", "grasp", "synflow", "taylor"):
        raise NotComputed(f"by {row['criterion']}")
    if row.get("target"):
        raise NotComputed("to a target")
    if weights is None:
        raise NotComputed("drawn from what was not kept")
    if row["pruning-type"] == "structured":
        return draw_channels(network, row, weights, before)
    return draw_weights(network, row, weights, before)


def groups(network, row, before):
    """Layers that compete, how many of their weights are alive, and how many stay."""
    parts = [node for node in network.layers() if may_prune(network, node, row)]
    output = network.layers()[-1]
    own = {node.weight: own_rate(network, node, row) for node in parts}
    if row["output-rate"] != 1.0 and own.get(output.weight, 0.0) is None:
        own[output.weight] = row["rate"] * row["output-rate"]
    apart = [node for node in parts if own[node.weight] is not None]
    together = [node for node in parts if node not in apart]
    count = lambda nodes: sum(int(before[node.weight].sum()) for node in nodes)
    left = lambda nodes, rate: count(nodes) - rounded(rate * count(nodes))
    if row["scope"] == "layer":
        found = [([node], left([node], row["rate"])) for node in together]
    elif row["scope"] == "erk":
        kept = kernel_densities([network.shape_of(node) for node in together], [count([n]) for n in together], left(together, row["rate"]))
        found = [([node], own) for node, own in zip(together, kept)]
    else:
        found = [(together, left(together, row["rate"]))] if together else []
    return found + [([node], left([node], own[node.weight])) for node in apart]


def kernel_densities(shapes, alive, kept):
    """Evci et al. 2020: densities proportional to the sum of the sizes over their product."""
    sums, full = [float(sum(shape)) for shape in shapes], set()
    while True:
        rest = kept - sum(alive[place] for place in full)
        total = sum(own for place, own in enumerate(sums) if place not in full)
        factor = max(rest, 0) / total if total else 0.0
        over = {place for place, own in enumerate(sums) if place not in full and factor * own > alive[place]}
        if not over:
            break
        full |= over
    shares = [float(alive[place]) if place in full else factor * own for place, own in enumerate(sums)]
    counts = [math.floor(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda place: counts[place] - shares[place])
    missing = max(0, kept - sum(counts))
    while missing:
        before = missing
        for place in order:
            if missing and counts[place] < alive[place]:
                counts[place] += 1
                missing -= 1
        if missing == before:
            break
    return counts


def draw_weights(network, row, weights, before):
    alive = {node.weight: in_order(before[node.weight]).copy() for node in network.layers()}
    scores = {name: numpy.zeros(len(own), numpy.float32) for name, own in alive.items()}
    for node in network.layers():
        own, name = alive[node.weight], node.weight
        values = in_order(weights[name])[own]
        if row["criterion"] == "lamp":
            scores[name][own] = lamp(values)
        else:
            scores[name][own] = abs(values)
        if row["scope"] == "deviation":
            # A sum over the layer, in some order.
            spread = float(numpy.std(values.astype(float)))
            scores[name][own] = (scores[name][own].astype(float) / (spread or 1.0)).astype(numpy.float32)
    for nodes, kept in groups(network, row, before):
        lives = numpy.concatenate([alive[node.weight] for node in nodes])
        places = numpy.flatnonzero(lives)
        own = numpy.concatenate([scores[node.weight] for node in nodes])[places]
        gone = places[numpy.argsort(own, kind="stable")[: len(places) - kept]]
        lives[gone] = False
        start = 0
        for node in nodes:
            size = len(alive[node.weight])
            alive[node.weight] = lives[start : start + size]
            start += size
    drawn = Drawn(network, row, alive, scores, exact=row["scope"] != "deviation")
    drawn.per_layer = {name: int(own.sum()) for name, own in alive.items()}
    return drawn


def lamp(values):
    """Lee et al. 2021, equation 5: the square over the sum of those that are not smaller."""
    squares = values.astype(float) ** 2
    # Of equals the later one is taken to be the larger.
    order = numpy.lexsort((-numpy.arange(len(values)), -abs(values)))
    sums = numpy.cumsum(squares[order])
    scores = numpy.zeros(len(values))
    scores[order] = numpy.divide(squares[order], sums, out=numpy.zeros(len(values)), where=squares[order] > 0)
    return scores.astype(numpy.float32)


def counts(network, row, before):
    """How many weights stay, where scores are not computed; nothing where that follows from scores."""
    if row["pruning-type"] == "structured":
        return None
    pruned = sum(sum(int(before[n.weight].sum()) for n in nodes) - kept for nodes, kept in groups(network, row, before))
    return sum(int(own.sum()) for own in before.values()) - pruned


# ---------------------------------------------------------------------------------------------------------- channels


def alive_channels(channels, mask):
    """Of each unit whether its filters live, or, where it has none, what reads it."""
    alive = numpy.zeros(len(channels.units), bool)
    for place, node in enumerate(channels.network.nodes):
        if node.op not in ("conv", "linear"):
            continue
        own = mask[node.weight].reshape(*mask[node.weight].shape[:2], -1).any(2)
        for unit, lives in zip(channels.of_node[place], own.any(1)):
            if unit is not None and channels.units[unit]["filters"]:
                alive[unit] |= lives
        for unit, lives in zip(channels.of_node[node.inputs[0]], own.any(0)):
            if unit is not None and not channels.units[unit]["filters"]:
                alive[unit] |= lives
    return alive


def channels_by_layer(channels, alive):
    found = {}
    for unit, lives in zip(channels.units, alive):
        found[unit["layer"]] = found.get(unit["layer"], 0) + int(lives)
    return found


def draw_channels(network, row, weights, before):
    channels = networks.Channels(network, row["streams"])
    alive = alive_channels(channels, before)
    lives, _ = channels.masks(alive)
    scores = [channel_score(channels, unit, row, weights, lives) for unit in channels.units]
    scores = [None if score is None or not own else numpy.float32(score) for score, own in zip(scores, alive)]
    order = sorted((place for place, score in enumerate(scores) if score is not None), key=lambda at: (scores[at], at))
    left, layer, forced = channels_by_layer(channels, alive), lambda at: channels.units[at]["layer"], 0
    order = [at for at in order if not is_made_by(channels, at, lambda node: is_spared(network, node, row))]
    rates = {}
    for at in order:
        for node in network.layers():
            rate = own_rate(network, node, row)
            if rate is not None and is_made_by(channels, at, lambda own: own is node):
                rates.setdefault(layer(at), rate)
    alone = [name for name in left if name in rates or row["scope"] != "global"]
    parts = [([at for at in order if layer(at) not in alone], row["rate"])]
    parts += [([at for at in order if layer(at) == name], rates.get(name, row["rate"])) for name in alone]
    for part, rate in parts:
        wanted = rounded(rate * len(part))
        for at in part:
            if wanted == 0:
                break
            if left[layer(at)] == 1:
                forced += 1
                continue
            left[layer(at)] -= 1
            alive[at] = False
            wanted -= 1
    for at in reversed(order):
        if not alive[at] and left[layer(at)] % (row["round-channels"] or 1):
            alive[at] = True
            left[layer(at)] += 1
    drawn = Drawn(network, row, alive, numpy.array([score or 0.0 for score in scores], float), exact=False)
    drawn.channels, drawn.forced, drawn.per_layer = channels, forced, left
    return drawn


def is_made_by(channels, at, which):
    """Whether a layer of some kind makes a channel."""
    weights = [node.weight for node in channels.network.layers() if which(node)]
    return any(name in weights for name, _ in channels.units[at]["filters"])


def channel_score(channels, unit, row, weights, lives):
    criterion = row["criterion"]
    if criterion == "bn-scale":
        scales = [abs(float(weights[name][channel])) for name, channel in unit["scales"]]
        return sum(scales) / len(scales) if scales else None
    across = row["scope"] == "global" or row["streams"] == "group"
    filters = [filter_score(criterion, name, channel, weights, lives, across) for name, channel in unit["filters"]]
    return sum(filters) / len(filters) if filters else None


def filter_score(criterion, name, channel, weights, lives, across):
    values, alive = weights[name].astype(float), lives[name]
    own = values[channel][alive[channel]]
    if criterion == "l1":
        return abs(own).mean() if len(own) else 0.0
    if criterion == "l2":
        return math.sqrt((own**2).mean()) if len(own) else 0.0
    # Filters that are gone, and inputs that are, count in no distance.
    rows = [at for at in range(len(values)) if alive[at].any()]
    sums = {at: sum(math.sqrt(((values[at] - values[other])[alive[at]] ** 2).sum()) for other in rows) for at in rows}
    typical = sum(sums.values()) / max(1, len(sums))
    return sums.get(channel, 0.0) / (typical if across and typical else 1.0)
