"""Operators of images: pools, other sizes, and what is added around them."""

import math

from .call import operator
from .layers import window
from .view import IMAGES, View

# Operators that leave the values of a vector as they are.
KEEPS = {"dropout", "dropout_", "contiguous", "clone", "alias", "detach", "to"}


def _name(node):
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[-1] if schema else ""


def becomes_vector(node):
    """Whether all that read a tensor of 1x1 images make a vector of it at once."""
    for user in node.users:
        value = user.meta.get("val")
        rank = len(value.shape) if hasattr(value, "shape") else 0
        if rank == 2 and _name(user) in ("flatten", "view", "reshape", "squeeze", "mean"):
            continue
        if _name(user) not in KEEPS or not becomes_vector(user):
            return False
    return bool(node.users)


def _image(x, *last):
    """A view as one image for each image of the batch, whose last axes are `last`: what lies between is its channels."""
    between = math.prod(x.shape) // math.prod(last) // IMAGES
    return x.reshaped((IMAGES, between, *last))


def _signals(call, x):
    if len(x.shape) not in (3, 4) or x.batch != 0:
        call.refuse(f"reads a tensor of {len(x.shape)} axes", "give it images, `[batch, channels, height, width]`")
    return len(x.shape) == 3


@operator("max_pool2d", "max_pool1d", "max_pool2d_with_indices", "avg_pool2d", "avg_pool1d")
def pool(call):
    x = call.view("self")
    signals = _signals(call, x)
    stride = call["stride"] or call["kernel_size"]
    found = window(call, call["kernel_size"], stride, call["padding"], call["dilation"] or 1, signals)
    attributes = {"window": found, "ceil": bool(call["ceil_mode"])}
    name = "max-pool" if call.name.startswith("max") else "avg-pool"
    if name == "avg-pool":
        if call["divisor_override"]:
            call.refuse("divides by a number of its own", "leave out `divisor_override`")
        attributes["counts_padding"] = bool(call["count_include_pad"]) and any(found["padding"])
    sizes = call.shape or tuple(call.node.meta["val"][0].shape)
    view = call.of(call.graph.add(name, [x.arranged()], (sizes[0] // IMAGES, *sizes[1:]), **attributes), sizes, 0)
    return [view, None] if call.shape is None else view


@operator("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool1d")
def adaptive_pool(call):
    x = call.view("self")
    if _signals(call, x):
        return signal_pool(call, x)
    mean = "avg" in call.name
    sizes = call.shape or tuple(call.node.meta["val"][0].shape)
    if sizes[2:] == x.shape[2:]:
        return x if call.shape is not None else [x, None]
    x = _image(x, *x.shape[2:])
    if mean and sizes[2:] == (1, 1) and becomes_vector(call.node):
        view = call.of(call.graph.add("global-average-pool", [x.arranged()], (1, x.shape[1])), x.shape[:2], 0)
        return view.reshaped(sizes)
    shape = (x.shape[1], *sizes[2:])
    node = call.graph.add("adaptive-pool", [x.arranged()], (1, *shape), reduction="mean" if mean else "max", to=list(sizes[2:]))
    view = call.of(node, (IMAGES, *shape), 0).reshaped(sizes)
    return [view, None] if call.shape is None else view


def signal_pool(call, x):
    if call.shape[2] != 1:
        call.refuse(f"makes signals of length {call.shape[2]}", "use a length of 1, or `AvgPool1d`")
    node = call.graph.add("reduce", [x.arranged()], (call.shape[0] // IMAGES, *call.shape[1:]), reduction="mean", axes=[2], keep=True)
    return call.of(node, batch=0)


@operator("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d")
def interpolate(call):
    x = call.view("input" if call["input"] is not None else "self")
    mode = call.name.removeprefix("upsample_").removesuffix("2d")
    factors = call["scale_factors"]
    if factors and any(factor * size != out for factor, size, out in zip(factors, x.shape[2:], call.shape[2:])):
        call.refuse(f"has factors of {list(factors)}, which give no whole sizes", "say the size that comes out: `size=(height, width)`")
    if x.shape == call.shape:
        return x
    if x.batch != 0:
        call.refuse("resizes what is no image", "keep the axes `[batch, channels, height, width]`")
    attributes = {"mode": mode, "to": list(call.shape[2:])}
    if mode != "nearest":
        attributes["align_corners"] = bool(call["align_corners"])
    x = _image(x, *x.shape[2:])
    shape = (x.shape[1], *call.shape[2:])
    node = call.graph.add("interpolate", [x.arranged()], (1, *shape), **attributes)
    return call.of(node, (IMAGES, *shape), 0).reshaped(call.shape)


@operator("pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def pad(call):
    x = call.view("self")
    mode = call["mode"] or {"reflection_pad2d": "reflect", "replication_pad2d": "replicate"}.get(call.name, "constant")
    amounts = list(call["pad"] or call["padding"])
    if mode == "circular":
        call.refuse("pads with the other side of the image", "use `torch.roll`, or zeros")
    filling = {"constant": float(call["value"] or 0)} if mode == "constant" else mode
    rank = len(x.shape)
    sides = {rank - 1 - at // 2: amounts[at : at + 2] for at in range(0, len(amounts), 2) if any(amounts[at : at + 2])}
    # What is taken away is a slice.
    for axis, (before, after) in list(sides.items()):
        if before < 0 or after < 0:
            x = x.sliced(axis, max(-before, 0), x.shape[axis] - max(-after, 0))
            sides[axis] = [max(before, 0), max(after, 0)]
    sides = {axis: amount for axis, amount in sorted(sides.items()) if any(amount)}
    if not sides:
        return x
    if x.batch in sides or not x.images or len(sides) > 2:
        call.refuse(f"pads the axes {list(sides)} of a tensor of {rank}", "pad height and width of images")
    return _padded(call, x, sides, filling)


def _padded(call, x, sides, filling):
    """The axes that grow become height and width for a moment."""
    graph, rank = call.graph, len(x.shape)
    if list(sides) == [1] and filling == {"constant": 0.0} and rank == 4 and x.shape[0] == IMAGES and x.batch == 0:
        return _more_channels(call, x, sides[1])
    grown = [rank - 2, rank - 1] if list(sides) == [rank - 2] and x.batch != rank - 1 else list(sides)
    order = [x.batch, *(axis for axis in range(rank) if axis not in grown and axis != x.batch), *grown]
    turned = x.permuted(order)
    # One axis that grows is the width of images of one row.
    height, width = ((1,) if len(grown) == 1 else ()) + turned.shape[-len(grown) :]
    (top, bottom), (left, right) = ([[0, 0]] if len(grown) == 1 else []) + [sides.get(axis, [0, 0]) for axis in grown]
    image = _image(turned, height, width)
    shape = (image.shape[1], height + top + bottom, width + left + right)
    node = graph.add("pad", [image.arranged()], (1, *shape), around=[left, right, top, bottom], filling=filling)
    padded = View.of(graph, node, (IMAGES, *shape), 0).reshaped([call.shape[axis] for axis in order])
    return padded.permuted([order.index(axis) for axis in range(rank)])


def _more_channels(call, x, amount):
    """Channels of zeros around those of an image: the shortcut of ResNets without parameters, with its step if it has one."""
    graph, node, stride = call.graph, x.arranged(), 1
    second = graph.nodes[node]
    if second.op == "slice":
        first = graph.nodes[second.inputs[0]]
        steps = [(n.attributes["axis"], n.attributes["start"], n.attributes.get("step", 1)) for n in (first, second) if n.op == "slice"]
        whole = len(steps) == 2 and graph.shape(first.inputs[0])[2:]
        step = steps[0][2]
        if whole and sorted(steps) == [(2, 0, step), (3, 0, step)]:
            if tuple(-(-size // step) for size in whole) == second.shape[2:]:
                node, stride = first.inputs[0], step
    attributes = {"stride": stride, "before": amount[0], "after": amount[1]}
    return call.of(graph.add("pad-shortcut", [node], (call.shape[0] // IMAGES, *call.shape[1:]), **attributes), batch=0)
