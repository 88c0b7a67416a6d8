"""Operators that compute each value by itself, or from the values at the same place of two tensors; and dropout."""

import math

import torch

from .call import Noise, Parameter, operator
from .view import IMAGES, View

# Operators that are one function of Tombola, whatever their arguments.
PLAIN = {
    "relu6": "relu6", "silu": "silu", "tanh": "tanh", "sigmoid": "sigmoid", "hardsigmoid": "hard-sigmoid",
    "hardswish": "hard-swish", "mish": "mish", "exp": "exp", "abs": "abs",
}  # fmt: skip
POWERS = {"sqrt": 0.5, "rsqrt": -0.5, "square": 2.0, "reciprocal": -1.0}
PAIRS = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "maximum": "maximum"}
# They change the type or place of a tensor, or nothing at all.
SAME = ("alias", "clone", "contiguous", "to", "_to_copy", "lift_fresh", "lift_fresh_copy", "type_as", "positive", "requires_grad")


@operator("relu")
def relu(call):
    x = call.view("self")
    return x.with_node(call.graph.add("relu", [x.node], call.graph.shape(x.node)))


def _plain(call):
    return call.function(call.view("self"), PLAIN[call.name])


def _power(call):
    return call.function(call.view("self"), {"power": POWERS[call.name]})


for _name in PLAIN:
    operator(_name)(_plain)
for _name in POWERS:
    operator(_name)(_power)


@operator("gelu")
def gelu(call):
    return call.function(call.view("self"), "gelu-tanh" if call["approximate"] == "tanh" else "gelu")


@operator("leaky_relu")
def leaky_relu(call):
    return call.function(call.view("self"), {"leaky-relu": float(call["negative_slope"])})


@operator("elu", "celu")
def elu(call):
    if (call["scale"] or 1) != 1 or (call["input_scale"] or 1) != 1:
        call.refuse("has scales", "use `torch.nn.ELU`")
    if call.name.startswith("celu") and call["alpha"] != 1:
        call.refuse(f"has an alpha of {call['alpha']}", "use an alpha of 1, or `torch.nn.ELU`")
    return call.function(call.view("self"), {"elu": float(call["alpha"])})


@operator("softplus")
def softplus(call):
    if call["beta"] != 1:
        call.refuse(f"has a beta of {call['beta']}", "use a beta of 1")
    return call.function(call.view("self"), "softplus")


@operator("hardtanh", "clamp", "clamp_min", "clamp_max", "clip")
def clamp(call):
    low, high = (call[names[0]] if call[names[0]] is not None else call[names[1]] for names in (("min", "min_val"), ("max", "max_val")))
    numbers = [_number(value) for value in (low, high)]
    if [value for value, number in zip((low, high), numbers) if value is not None and number is None]:
        call.refuse("has limits that are tensors", "use numbers")
    low, high = (float(number) if number is not None else limit for number, limit in zip(numbers, (-math.inf, math.inf)))
    return call.function(call.view("self"), "relu6" if (low, high) == (0.0, 6.0) else {"clamp": [low, high]})


@operator("pow")
def power(call):
    exponent = _number(call["exponent"])
    if not isinstance(call["self"], (View, Parameter)) or exponent is None:
        call.refuse("has an exponent that is no number", "use a number")
    return call.function(call.view("self"), {"power": float(exponent)})


@operator("neg")
def negative(call):
    return scaled(call, call.view("self"), -1.0, 0.0)


def scaled(call, view, factor, added):
    """A view times a number, plus a number."""
    if (factor, added) == (1.0, 0.0):
        return view
    return call.function(view, {"linear": [float(factor), float(added)]})


@operator("zero", "fill")
def filled(call):
    value = 0.0 if call.name == "zero" else _number(call["value"])
    if value is None:
        call.refuse("fills with what is computed", "fill with a number")
    return call.function(call.view("self"), {"linear": [0.0, float(value)]})


def _same(call):
    kind = call["dtype"] or (call["other"].dtype if isinstance(call["other"], torch.Tensor) else None)
    if kind is not None and not kind.is_floating_point:
        call.refuse(f"makes whole numbers or truth values ({kind}) of what is computed from the image", "stay with floating-point numbers")
    return call["self"]


for _name in SAME:
    operator(_name)(_same)


# Two tensors.


def _number(value):
    """A number, or the only value of a constant."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return value.item()
    return value if isinstance(value, (int, float, bool)) else None


def _rank_kept(view, number, call):
    """A constant of one value may have more axes than the other side."""
    return call.shape is None or len(view.shape) == len(call.shape)


@operator("add", "sub", "mul", "div", "maximum", "rsub", "true_divide", "divide", "multiply", "subtract")
def pair(call):
    name = call.name
    name = {"true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub"}.get(name, name)
    first, second = call["self"], call["other"]
    if call["rounding_mode"]:
        call.refuse("rounds", "leave out `rounding_mode`")
    if second is None:
        call.refuse("reads one tensor", "use `amax`")
    if isinstance(first, Noise) or isinstance(second, Noise):
        return _with_noise(call, name, first, second)
    if name == "rsub":
        name, first, second = "sub", second, first
        if (call["alpha"] or 1) != 1:
            call.refuse("has an alpha", "multiply before")
    alpha = call["alpha"] or 1
    left, right = _number(first), _number(second)
    if right is not None and _rank_kept(view := call.lowering.view(call, first), right, call):
        match name:
            case "add":
                return scaled(call, view, 1.0, alpha * right)
            case "sub":
                return scaled(call, view, 1.0, -alpha * right)
            case "mul":
                return scaled(call, view, right, 0.0)
            case "div":
                return scaled(call, view, 1.0 / right, 0.0)
    if left is not None and _rank_kept(view := call.lowering.view(call, second), left, call):
        match name:
            case "add":
                return scaled(call, view, alpha, left)
            case "sub":
                return scaled(call, view, -alpha, left)
            case "mul":
                return scaled(call, view, left, 0.0)
            case "div":
                return scaled(call, call.function(view, {"power": -1.0}), left, 0.0)
    first, second = call.lowering.view(call, first), call.lowering.view(call, second)
    if alpha != 1:
        second = scaled(call, second, alpha, 0.0)
    return paired(call, PAIRS[name], first, second)


def multiplied(call, first, second):
    return paired(call, "multiply", first, call.lowering.view(call, second))


def paired(call, function, first, second):
    """A function of two views, whose axes are matched from the last on."""
    graph = call.graph
    rank = max(len(first.shape), len(second.shape))
    first, second = (_of_rank(view, rank) for view in (first, second))
    # Axes that are repeated anyway need not be before.
    first, second = _narrowed(first, second), _narrowed(second, first)
    first, second = (view.resolved() if view.wide else view for view in (first, second))
    batches = {view.batch for view in (first, second) if view.images}
    if len(batches) > 1:
        call.refuse("matches the images of a batch with something else", "give both tensors the batch at the same axis")
    batch = next(iter(batches), None)
    sizes = [max(pair) for pair in zip(first.shape, second.shape)]
    order = list(range(rank))
    if batch is not None:
        order.remove(batch)
        order.insert(0, batch)
    nodes = [_operand(view, order, batch is not None) for view in (first, second)]
    stored = [sizes[axis] for axis in order]
    if batch is not None:
        stored[0] //= IMAGES
    equal = graph.shape(nodes[0]) == graph.shape(nodes[1]) and graph.nodes[nodes[0]].images == graph.nodes[nodes[1]].images
    if function == "add" and equal:
        node = graph.add("add", nodes, stored)
    else:
        node = graph.add("pair", nodes, stored, function=function)
    return View.of(graph, node, sizes, batch)


def _of_rank(view, rank):
    while len(view.groups) < rank:
        view = view.inserted(0)
    return view


def _narrowed(view, other):
    kept = tuple((axis, size) for axis, size in view.wide if size != other.shape[axis] or axis in dict(other.wide))
    return view if kept == view.wide else View(view.graph, view.node, view.atoms, view.groups, kept)


def _operand(view, order, images):
    """The node that a pair reads: of images with all axes, shared by them without the first ones of 1."""
    if view.images or not images:
        return view.arranged()
    slots = [view.groups[axis] for axis in order]
    while len(slots) > 1 and not slots[0]:
        slots.pop(0)
    flat = [atom for slot in slots for atom in slot]
    shape = list(view.graph.shape(view.node))
    wanted = [view._size(slot) for slot in slots]
    bare = shape[next((place for place, size in enumerate(shape) if size != 1), len(shape) - 1) :] if shape else shape
    if flat == sorted(flat) and bare == wanted and 0 < len(shape) <= len(order):
        return view.node
    return view.stored(slots)


@operator("addcmul")
def addcmul(call):
    product = paired(call, "multiply", *(call.lowering.view(call, call[name]) for name in ("tensor1", "tensor2")))
    return paired(call, "add", call.lowering.view(call, call["self"]), scaled(call, product, call["value"], 0.0))


@operator("masked_fill", "where")
def chosen(call):
    """One of two tensors at each place, by a constant."""
    if call.name.startswith("where"):
        condition, kept, other = call["condition"], call["self"], call["other"]
    else:
        condition, kept, other = call["mask"], call["self"], call["value"]
        condition = ~condition if isinstance(condition, torch.Tensor) else condition
    if not isinstance(condition, torch.Tensor):
        call.refuse("chooses by what is computed from the image", "choose by a mask that is always the same")
    keep = condition.to(torch.float32)
    if (number := _number(other)) is not None and math.isinf(number):
        return paired(call, "add", call.lowering.view(call, kept), call.lowering.view(call, torch.where(condition, 0.0, float(number))))
    if isinstance(other, torch.Tensor) or _number(other) is not None:
        filled = torch.where(condition, torch.zeros(()), torch.as_tensor(other, dtype=torch.float32))
        result = multiplied(call, call.lowering.view(call, kept), keep)
        return paired(call, "add", result, call.lowering.view(call, filled)) if bool(filled.any()) else result
    first = multiplied(call, call.lowering.view(call, kept), keep)
    return paired(call, "add", first, multiplied(call, call.lowering.view(call, other), 1 - keep))


# Dropout.


def dropped(call, view, rate, of):
    """A view, of which a share is left out in training."""
    if not rate:
        return view
    if rate >= 1:
        call.refuse(f"leaves out a share of {rate}", "use a rate below 1")
    view = view.resolved()
    call.lowering.notes.append((of, rate))
    if of == "values":
        return view.with_node(call.graph.add("dropout", [view.node], call.graph.shape(view.node), rate=float(rate), of=of))
    node = view.arranged()
    shape = call.graph.shape(node)
    if of == "images" and shape[0] != 1:
        call.refuse("leaves out parts of an image together", "leave out whole images, or single values")
    return View.of(call.graph, call.graph.add("dropout", [node], shape, rate=float(rate), of=of), view.shape, view.batch)


@operator("dropout", "feature_dropout", "native_dropout")
def dropout(call):
    view = call.lowering.view(call, call["self"] if call["input"] is None else call["input"])
    channels = call.name.startswith("feature")
    if channels and (view.batch != 0 or len(view.shape) < 3):
        call.refuse("leaves out channels, and its input has none", "use `torch.nn.Dropout`")
    return dropped(call, view, call["p"] if call["train"] is not False else 0, "channels" if channels else "values")


@operator("bernoulli")
def bernoulli(call):
    """The noise of stochastic depth: 1 with a given chance."""
    if not isinstance(call["p"], float):
        call.refuse("draws with chances that are computed", "use `torch.nn.Dropout`")
    return Noise(call["self"].shape, call["p"])


@operator("rand", "rand_like")
def rand(call):
    """The noise of stochastic depth as it was written before: 1 where a number from 0 to 1, and a chance, have the floor 1."""
    return Noise(call.shape, 1.0, uniform=0.0)


@operator("floor")
def floor(call):
    noise = call["self"]
    if not isinstance(noise, Noise) or noise.uniform is None or not 0 < noise.uniform < 1:
        call.refuse("rounds what is computed from the image", "leave it out; it has no gradient")
    return Noise(noise.shape, noise.uniform)


@operator("detach")
def detach(call):
    """Only what has no gradient anyway."""
    value = call["self"]
    if isinstance(value, Parameter) or (isinstance(value, View) and call.graph.learns(value.node)):
        call.refuse("keeps gradients from what is before it", "leave it out, or compute that part before the model")
    return value


def _with_noise(call, name, first, second):
    noise, other = (first, second) if isinstance(first, Noise) else (second, first)
    if noise.uniform is not None:
        if name != "add" or _number(other) is None:
            call.refuse("uses random numbers in a way that is not known", "use `torch.nn.Dropout`")
        return Noise(noise.shape, 1.0, uniform=noise.uniform + _number(other))
    if name == "div" and noise is first and _number(other) is not None and abs(other - noise.kept) < 1e-9:
        return Noise(noise.shape, noise.kept, True)
    if name == "mul" and isinstance(other, (View, Parameter)):
        view = call.lowering.view(call, other)
        rank = len(view.shape)
        shape = (1,) * (rank - len(noise.shape)) + noise.shape
        if not noise.scaled and noise.kept < 1:
            # The other side may have been divided before.
            before = call.graph.nodes[view.node]
            factor = before.attributes.get("function") if before.op == "activation" else None
            if isinstance(factor, dict) and abs(factor.get("linear", [0.0])[0] * noise.kept - 1) < 1e-9:
                view, noise = view.with_node(before.inputs[0]), Noise(noise.shape, noise.kept, True)
        if not noise.scaled and noise.kept < 1:
            call.refuse("leaves out values without scaling the others", "divide the noise by its chance, as dropout does")
        kinds = {
            "images": tuple(size if axis == view.batch else 1 for axis, size in enumerate(view.shape)),
            "channels": tuple(size if axis < 2 else 1 for axis, size in enumerate(view.shape)),
            "values": view.shape,
        }
        for of, together in kinds.items():
            if shape == together and (of != "channels" or view.batch == 0):
                # Without what the subtraction adds: 0.2, not 0.19999999999999996.
                return dropped(call, view, round(1 - noise.kept, 12), of)
    call.refuse("uses random numbers in a way that is not known", "use `torch.nn.Dropout`, or stochastic depth that drops each image by itself")
