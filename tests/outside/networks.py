"""Networks as graphs, written down from their papers and docs/channels.md: what `recompute.py` checks masks against.

Weights are named and shaped as in PyTorch. A mask has an array of truth values for each weight of a convolution or linear
layer.
"""

import collections

import numpy


class Node:
    def __init__(self, op, inputs, shape, name="", **more):
        self.op, self.inputs, self.shape, self.name = op, inputs, shape, name
        self.kernel, self.before = more.get("kernel"), more.get("before")
        self.bias = more.get("bias", False)

    @property
    def weight(self):
        return f"{self.name}.weight"

    @property
    def pixels(self):
        return int(numpy.prod(self.shape[1:]))


class Network:
    """A list of nodes, each after those that it reads; node 0 is the image."""

    def __init__(self, shape):
        self.nodes = [Node("input", [], tuple(shape))]

    def add(self, op, inputs, shape, name="", **more):
        self.nodes.append(Node(op, inputs, tuple(shape), name, **more))
        return len(self.nodes) - 1

    def conv(self, name, source, out, kernel, stride=1, padding=None, bias=False):
        padding = kernel // 2 if padding is None else padding
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in self.nodes[source].shape[1:]]
        return self.add("conv", [source], [out, *sides], name, kernel=kernel, bias=bias)

    def linear(self, name, source, out, bias=True):
        return self.add("linear", [source], [out], name, bias=bias)

    def norm(self, name, source):
        return self.add("norm", [source], self.nodes[source].shape, name)

    def same(self, source):
        """A rectifier: nothing that channels notice."""
        return self.add("same", [source], self.nodes[source].shape)

    def pool(self, source, kernel, stride=None):
        channels, *sides = self.nodes[source].shape
        return self.add("same", [source], [channels, *((side - kernel) // (stride or kernel) + 1 for side in sides)])

    def flatten(self, source):
        return self.add("flatten", [source], [int(numpy.prod(self.nodes[source].shape))])

    def average(self, source):
        return self.add("same", [source], self.nodes[source].shape[:1])

    def concat(self, sources):
        shapes = [self.nodes[source].shape for source in sources]
        return self.add("concat", list(sources), [sum(shape[0] for shape in shapes), *shapes[0][1:]])

    def layers(self):
        """Convolutions and linear layers, in order."""
        return [node for node in self.nodes if node.op in ("conv", "linear")]

    def shape_of(self, node):
        read = self.nodes[node.inputs[0]].shape[0]
        return (node.shape[0], read) + ((node.kernel, node.kernel) if node.op == "conv" else ())

    def size_of_others(self):
        """Parameters that are no connections."""
        return sum(node.shape[0] * (2 if node.op == "norm" else node.bias) for node in self.nodes)

    def multiply_adds(self, alive):
        """For one image, `alive` weights of each layer being used."""
        return sum(alive[node.weight] * node.pixels for node in self.layers())

    def effective(self, masks, norms):
        """For each layer the weights on a path of alive ones from the image to the output. `norms` are the alive scales of
        each batch norm, where some are dead."""
        reached = []
        for node in self.nodes:
            read = [reached[source] for source in node.inputs]
            if node.op in ("conv", "linear"):
                joins = masks[node.weight].reshape(*masks[node.weight].shape[:2], -1).any(2)
                reached.append((joins & read[0]).any(1))
            elif node.op == "input":
                reached.append(numpy.ones(node.shape[0], bool))
            elif node.op == "add":
                reached.append(read[0] | read[1])
            elif node.op == "concat":
                reached.append(numpy.concatenate(read))
            elif node.op == "flatten":
                reached.append(numpy.repeat(read[0], self.nodes[node.inputs[0]].pixels))
            elif node.op == "pad":
                reached.append(numpy.pad(read[0], (node.before, node.shape[0] - node.before - len(read[0]))))
            else:
                reached.append(read[0] & norms.get(node.name, True))
        needed = [numpy.zeros(node.shape[0], bool) for node in self.nodes]
        needed[-1][:] = True
        counts = {}
        for place in reversed(range(len(self.nodes))):
            node, own = self.nodes[place], needed[place]
            if node.op in ("conv", "linear"):
                mask = masks[node.weight]
                source = node.inputs[0]
                both = own[:, None] & reached[source]
                counts[node.weight] = int((mask & both.reshape(both.shape + (1,) * (mask.ndim - 2))).sum())
                own = (mask.reshape(*mask.shape[:2], -1).any(2) & own[:, None]).any(0)
            elif node.op == "flatten":
                own = own.reshape(-1, self.nodes[node.inputs[0]].pixels).any(1)
            elif node.op == "pad":
                own = own[node.before :][: self.nodes[node.inputs[0]].shape[0]]
            elif node.op == "norm":
                own = own & norms.get(node.name, True)
            if node.op == "concat":
                ends = numpy.cumsum([self.nodes[source].shape[0] for source in node.inputs])
                for source, part in zip(node.inputs, numpy.split(own, ends[:-1])):
                    needed[source] |= part
                continue
            for source in node.inputs:
                needed[source] |= own
        return counts


class Channels:
    """The channels that may be pruned (docs/channels.md). A unit has a layer, batch-norm scales and filters."""

    def __init__(self, network, streams):
        self.network = network
        self.leader, self.elements = {}, []
        self.gates = set()
        self._follow()
        joined = {self._root(e) for node, own in zip(network.nodes, self.elements) if node.op == "add" for e in own}
        if streams == "whole":
            self.gates = self._gates(joined)
            self.leader, self.elements = {}, []
            self._follow()
        stays = {self._root(e) for e in self.elements[0]} | {self._root(e) for e in self.elements[-1]}
        if streams == "whole":
            stays |= {self._root(e) for node, own in zip(network.nodes, self.elements) if node.op == "add" for e in own}
            for gate in self.gates:
                stays |= {self._root(e) for e in self.elements[network.nodes[gate].inputs[0]]}
        self.units, unit_of = [], {}
        for place, node in enumerate(network.nodes):
            if node.op not in ("conv", "linear") and place not in self.gates:
                continue
            for element in self.elements[place]:
                root = self._root(element)
                if root not in stays and root not in unit_of:
                    unit_of[root] = len(self.units)
                    self.units.append({"layer": node.name, "scales": [], "filters": []})
        self.of_node = [[unit_of.get(self._root(e)) for e in own] for own in self.elements]
        for node, own in zip(network.nodes, self.of_node):
            kind = {"norm": "scales", "conv": "filters", "linear": "filters"}.get(node.op)
            for channel, unit in enumerate(own):
                if kind and unit is not None:
                    self.units[unit][kind].append((node.weight, channel))

    def _root(self, element):
        while self.leader[element] != element:
            element = self.leader[element]
        return element

    def _fresh(self, count):
        start = len(self.leader)
        self.leader.update((element, element) for element in range(start, start + count))
        return list(range(start, start + count))

    def _follow(self):
        """Gives each channel of each node the element of the channel that it comes from; additions join them."""
        for place, node in enumerate(self.network.nodes):
            read = [self.elements[source] for source in node.inputs]
            if node.op in ("input", "conv", "linear") or place in self.gates:
                own = self._fresh(node.shape[0])
            elif node.op == "add":
                own = read[0]
                for a, b in zip(*read):
                    a, b = sorted((self._root(a), self._root(b)))
                    self.leader[b] = a
            elif node.op == "concat":
                own = [element for elements in read for element in elements]
            elif node.op == "flatten":
                pixels = self.network.nodes[node.inputs[0]].pixels
                own = [element for element in read[0] for _ in range(pixels)]
            elif node.op == "pad":
                zeros = self._fresh(node.shape[0] - len(read[0]))
                own = zeros[: node.before] + read[0] + zeros[node.before :]
            else:
                own = read[0]
            self.elements.append(own)

    def _gates(self, joined):
        """Batch norms that read what others read too, or a stream, and that lead to no addition but through a layer."""
        nodes, bound = self.network.nodes, {len(self.network.nodes) - 1}
        for place in reversed(range(len(nodes))):
            if nodes[place].op == "add" or (place in bound and nodes[place].op not in ("conv", "linear")):
                bound |= set(nodes[place].inputs)
        readers = collections.Counter(source for node in nodes for source in node.inputs)
        gates = set()
        for place, node in enumerate(nodes):
            if node.op == "norm" and place not in bound:
                source = node.inputs[0]
                if readers[source] > 1 or any(self._root(e) in joined for e in self.elements[source]):
                    gates.add(place)
        return gates

    def masks(self, alive):
        """What masks of weights and scales come from a mask of units."""
        def of(place):
            return numpy.array([True if unit is None else alive[unit] for unit in self.of_node[place]], bool)

        weights, norms = {}, {}
        for place, node in enumerate(self.network.nodes):
            if node.op == "norm":
                norms[node.name] = of(place)
            if node.op in ("conv", "linear"):
                both = of(place)[:, None] & of(node.inputs[0])
                shape = self.network.shape_of(node)
                weights[node.weight] = numpy.broadcast_to(both.reshape(both.shape + (1,) * (len(shape) - 2)), shape)
        return weights, norms


def build(settings, own):
    """The network of a row of `results.csv`; `own` are the layers under `networks` in the sweep file."""
    shape, classes = settings["synthetic-shape"], settings["synthetic-classes"]
    name, width = settings["network"], settings["width"]
    network = Network(shape)
    if name in own:
        grow(network, own[name]["layers"], "layers", 0, classes)
    elif name == "lenet-300-100":
        head(network, network.flatten(0), [300, 100], classes)
    elif name == "mlp":
        head(network, network.flatten(0), settings["hidden"], classes)
    elif name == "lenet-5":
        last = 0
        for number, (out, padding) in enumerate([(6, 2), (16, 0)], 1):
            last = network.pool(network.same(network.conv(f"conv{number}", last, out, 5, padding=padding, bias=True)), 2)
        head(network, network.flatten(last), [120, 84], classes)
    elif name == "conv-2":
        last = 0
        for place in (0, 2):
            last = network.same(network.conv(f"features.{place}", last, 64, 3, bias=True))
        last = network.flatten(network.pool(last, 2))
        for place in (0, 2):
            last = network.same(network.linear(f"classifier.{place}", last, 256))
        network.linear("classifier.4", last, classes)
    elif name == "resnet":
        last = network.same(network.norm("bn1", network.conv("conv1", 0, width, 3)))
        for stage in range(3):
            for block in range((settings["depth"] - 2) // 6):
                last = basic(network, last, f"layer{stage + 1}.{block}", width << stage, stage > 0 and block == 0, settings)
        network.linear("fc", network.average(last), classes)
    elif name == "resnetb":
        last = network.conv("conv1", 0, width, 3)
        for stage in range(3):
            for block in range((settings["depth"] - 2) // 9):
                last = bottleneck(network, last, f"layer{stage + 1}.{block}", width << stage, stage > 0, block == 0)
        network.linear("fc", network.average(network.same(network.norm("bn", last))), classes)
    elif name == "wide-resnet":
        last = network.conv("conv1", 0, 16, 3)
        for stage in range(3):
            for block in range((settings["depth"] - 4) // 6):
                place = f"block{stage + 1}.layer.{block}"
                last = wide(network, last, place, 16 * width << stage, 2 if stage > 0 and block == 0 else 1)
        network.linear("fc", network.average(network.same(network.norm("bn1", last))), classes)
    elif name == "densenet-bc":
        last = network.conv("features.conv0", 0, 2 * width, 3)
        for part in (1, 2, 3):
            for layer in range(1, (settings["depth"] - 4) // 6 + 1):
                place = f"features.denseblock{part}.denselayer{layer}"
                inner = network.conv(f"{place}.conv1", network.same(network.norm(f"{place}.norm1", last)), 4 * width, 1)
                added = network.conv(f"{place}.conv2", network.same(network.norm(f"{place}.norm2", inner)), width, 3)
                last = network.concat([last, added])
            if part < 3:
                place = f"features.transition{part}"
                half = network.nodes[last].shape[0] // 2
                last = network.conv(f"{place}.conv", network.same(network.norm(f"{place}.norm", last)), half, 1)
                last = network.pool(last, 2)
        network.linear("classifier", network.average(network.same(network.norm("features.norm5", last))), classes)
    else:
        raise ValueError(f"unknown network {name}")
    return network


def head(network, last, hidden, classes):
    for number, out in enumerate([*hidden, classes], 1):
        last = network.linear(f"fc{number}", last, out)
        last = network.same(last) if number <= len(hidden) else last


def basic(network, source, name, out, smaller, settings):
    stride = 2 if smaller else 1
    last = network.same(network.norm(f"{name}.bn1", network.conv(f"{name}.conv1", source, out, 3, stride)))
    last = network.norm(f"{name}.bn2", network.conv(f"{name}.conv2", last, out, 3))
    if smaller and settings["shortcut"] == "b":
        source = network.norm(f"{name}.downsample.1", network.conv(f"{name}.downsample.0", source, out, 1, 2))
    elif smaller:
        before = (out - network.nodes[source].shape[0]) // 2
        source = network.add("pad", [source], network.nodes[last].shape, before=before)
    return network.same(network.add("add", [last, source], network.nodes[last].shape))


def wide(network, source, name, out, stride):
    active = network.same(network.norm(f"{name}.bn1", source))
    last = network.conv(f"{name}.conv1", active, out, 3, stride)
    last = network.conv(f"{name}.conv2", network.same(network.norm(f"{name}.bn2", last)), out, 3)
    if network.nodes[source].shape[0] != out:
        source = network.conv(f"{name}.convShortcut", active, out, 1, stride)
    return network.add("add", [last, source], network.nodes[last].shape)


def bottleneck(network, source, name, inner, smaller, first):
    last, stride = source, 2 if smaller and first else 1
    for number, (out, kernel, step) in enumerate([(inner, 1, 1), (inner, 3, stride), (4 * inner, 1, 1)], 1):
        last = network.same(network.norm(f"{name}.bn{number}", last))
        last = network.conv(f"{name}.conv{number}", last, out, kernel, step)
    kept = network.conv(f"{name}.downsample.0", source, 4 * inner, 1, stride) if first else source
    return network.add("add", [last, kept], network.nodes[last].shape)


def grow(network, layers, prefix, last, classes):
    """Layers of a sweep file, one after the other."""
    for place, layer in enumerate(layers):
        name = f"{prefix}.{place}"
        if layer in ("batch-norm", "relu", "gelu", "flatten", "global-average-pool"):
            last = {
                "batch-norm": lambda: network.norm(name, last),
                "relu": lambda: network.same(last),
                "gelu": lambda: network.same(last),
                "flatten": lambda: network.flatten(last),
                "global-average-pool": lambda: network.average(last),
            }[layer]()
        elif "dropout" in layer:
            last = network.same(last)
        elif "conv" in layer:
            kernel = layer.get("kernel", 3)
            more = layer.get("stride", 1), layer.get("padding"), layer.get("bias", False)
            last = network.conv(name, last, layer["conv"], kernel, *more)
        elif "linear" in layer:
            out = classes if layer["linear"] == "classes" else layer["linear"]
            last = network.linear(name, last, out, layer.get("bias", True))
        elif "residual" in layer:
            branch = grow(network, layer["residual"], f"{name}.residual", last, classes)
            kept = grow(network, layer.get("shortcut", []), f"{name}.shortcut", last, classes)
            last = network.add("add", [branch, kept], network.nodes[branch].shape)
        else:
            size = layer.get("max-pool") or layer["average-pool"]
            last = network.pool(last, size, layer.get("stride"))
    return last
