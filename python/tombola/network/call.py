"""One operator of the exported graph: what it is called with, where it stands in the user's code, and how it is refused."""

import torch

from ..error import TombolaError
from .view import View


class Parameter:
    """A parameter that no operator has read yet: the weight of a layer, or a tensor that is learned."""

    def __init__(self, name, tensor):
        self.name, self.tensor = name, tensor


class Noise:
    """What is multiplied with to leave out values: the shape says which ones go together.

    `kept` is the chance of a 1, `scaled` whether that is what stays of the mean. Before that it may be `uniform`: a number from 0 to 1,
    and what was added to it.
    """

    def __init__(self, shape, kept, scaled=False, uniform=None):
        self.shape, self.kept, self.scaled, self.uniform = tuple(shape), kept, scaled, uniform


def line_of(node):
    """Where the user's code says this: the innermost line that is not PyTorch's own."""
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    places = [(line, lines[at + 1] if at + 1 < len(lines) else "") for at, line in enumerate(lines) if line.startswith("File ")]
    own = [place for place in places if "/torch/nn/" not in place[0] and "/torch/_" not in place[0]] or places
    if not own:
        return ""
    place, code = own[-1]
    file, number, *_ = place.removeprefix("File ").split(", ")
    return f"{file.strip(chr(34))}, {number}: `{code}`"


def module_of(node):
    """The path of the innermost module."""
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    # A module that is called several times has a number after an at sign.
    return path.split("@")[0]


class Call:
    """`arguments` by the names of the operator's schema, defaults filled in."""

    def __init__(self, lowering, node, arguments, name):
        self.lowering, self.graph, self.node = lowering, lowering.graph, node
        # The name of an operator that writes in place is that of the other; `shown` is its own.
        self.arguments, self.name, self.shown = arguments, name, name
        value = node.meta.get("val")
        self.shape = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        self.module = module_of(node)

    def __getitem__(self, argument):
        return self.arguments.get(argument)

    def view(self, argument):
        """An argument as a view, with nothing left to repeat."""
        return self.lowering.view(self, self[argument]).resolved()

    def axis(self, axis, rank=None):
        """An axis counted from 0."""
        rank = len(self.shape) if rank is None else rank
        return axis + rank if axis < 0 else axis

    def of(self, node, sizes=None, batch=None):
        """What a new node holds, as PyTorch's tensor: of the shape of the result, unless another is given."""
        return View.of(self.graph, node, self.shape if sizes is None else sizes, batch)

    def stays(self, view, shape):
        """`shape`, a node's, without the axis of the images being another."""
        return [self.graph.shape(view)[0], *shape]

    def refuse(self, problem, hint):
        """Ends the export: what is wrong, where, and what to write instead."""
        place = f"module `{self.module}`" if self.module else "the model"
        line = line_of(self.node)
        where = f"\n  at {line}" if line else ""
        raise TombolaError(f"{place}: `{self.shown}` {problem}{where}\n\nhint: {hint}", 2)

    def function(self, view, function):
        """A function of each value by itself, of whatever axes."""
        return view.with_node(self.graph.add("activation", [view.node], self.graph.shape(view.node), function=function))


# The operators by name, without `aten::` and the underscore of those that write in place.
OPERATORS = {}


def operator(*names):
    """Declares a function as what lowers these operators."""

    def declare(function):
        for name in names:
            OPERATORS[name] = function
        return function

    return declare
