"""The network that is being written: operations of Tombola, the tensors that stay, and the names of all that is learned.

A tensor that there is once for each image has axes whose first is counted for one image; others are shared by all images. It may
not know of PyTorch's operators.
"""

import dataclasses

# More axes than this no node can have.
MOST_AXES = 8


@dataclasses.dataclass
class Node:
    """One operation. `named` is the module path that its parameters stand under, `place` where it stands in the model."""

    op: str
    inputs: list
    shape: tuple
    images: bool
    attributes: dict = dataclasses.field(default_factory=dict)
    # Names of the parameters, weight before bias, and of the buffers that belong to them.
    weights: list = dataclasses.field(default_factory=list)
    buffers: list = dataclasses.field(default_factory=list)
    named: str | None = None
    place: str = ""
    leaf: bool = False

    @property
    def own_names(self):
        """The names of its parameters, where they do not follow from its own."""
        if self.op == "learned" or all(name in (f"{self.named}.weight", f"{self.named}.bias") for name in self.weights):
            return []
        return self.weights


class Graph:
    """Grows node by node; a node's inputs stand before it. Node 0 is the image."""

    def __init__(self, shape):
        self.nodes = [Node("input", [], (1, *shape), True)]
        self.lists, self.constants = [], []
        self._known = {}
        # Where what is added now stands in the model, and whether that module has no others in it.
        self.place, self.leaf = "", False

    def shape(self, node):
        return self.nodes[node].shape

    def add(self, op, inputs, shape, images=None, /, *, weights=(), buffers=(), named=None, **attributes):
        """Adds a node and gives its number. One that was added before, with the same inputs and no parameters, is that one."""
        if images is None:
            images = any(self.nodes[node].images for node in inputs)
        if len(shape) > MOST_AXES:
            raise ValueError(f"needs a tensor of {len(shape)} axes, and Tombola has at most {MOST_AXES}")
        node = Node(op, list(inputs), tuple(shape), images, attributes, list(weights), list(buffers), named, self.place, self.leaf)
        key = (op, tuple(inputs), node.shape, images, repr(attributes))
        if not weights and not buffers and op != "dropout":
            if key in self._known:
                return self._known[key]
            self._known[key] = len(self.nodes)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def list(self, places):
        """The number of a list of places."""
        places = [int(place) for place in places]
        if places not in self.lists:
            self.lists.append(places)
        return self.lists.index(places)

    def constant(self, axes, values):
        """A node with a tensor that stays: `values` are the bytes of its float32 values."""
        entry = (tuple(axes), values)
        if entry not in self.constants:
            self.constants.append(entry)
        return self.add("constant", [], axes, False, list=self.constants.index(entry))

    def _needed(self, last):
        """The node and all that it reads, at any distance."""
        needed, waiting = set(), [last]
        while waiting:
            node = waiting.pop()
            if node not in needed:
                needed.add(node)
                waiting += self.nodes[node].inputs
        return needed

    def learns(self, node):
        """Whether a node depends on a parameter."""
        return any(self.nodes[other].weights for other in self._needed(node))

    def finish(self, last):
        """Leaves what node `last` needs, puts it at the end, and gives every node its name."""
        needed = self._needed(last) | {0}
        order = [node for node in sorted(needed) if node != last] + ([last] if last else [])
        numbers = {node: number for number, node in enumerate(order)}
        self.nodes = [dataclasses.replace(self.nodes[node], inputs=[numbers[i] for i in self.nodes[node].inputs]) for node in order]
        self._leave_used("lists")
        self._leave_used("constants")
        self._name()

    def _leave_used(self, kind):
        ops = ("select", "take") if kind == "lists" else ("constant",)
        users = [node for node in self.nodes if node.op in ops]
        used = sorted({node.attributes["list"] for node in users})
        for node in users:
            node.attributes = {**node.attributes, "list": used.index(node.attributes["list"])}
        setattr(self, kind, [getattr(self, kind)[number] for number in used])

    def _name(self):
        taken = {node.named for node in self.nodes if node.named}
        for node in self.nodes[1:]:
            if node.named:
                continue
            name = node.place if node.leaf and node.place not in taken else ".".join(filter(None, (node.place, node.op)))
            count, free = 1, name
            while free in taken:
                count += 1
                free = f"{name}-{count}"
            taken.add(free)
            node.named = free
