"""Operators that compute nothing: axes in another order, split, joined or repeated, and parts of tensors."""

import torch

from .call import Noise, Parameter, operator
from .view import IMAGES, View


def constant(call, tensor):
    """A constant as a view. One that is there for each image has to be the same for all."""
    tensor = tensor.detach()
    sizes, whole = list(tensor.shape), tuple(tensor.shape)
    for axis, size in enumerate(sizes):
        if size and size % IMAGES == 0:
            parts = tensor.unflatten(axis, (IMAGES, size // IMAGES))
            first = parts.narrow(axis, 0, 1)
            if not torch.equal(parts, first.expand_as(parts)):
                call.refuse("reads a constant that differs between the images of a batch", "make it the same for all images")
            tensor = first.flatten(axis, axis + 1)
            sizes[axis] = size // IMAGES
            if sizes[axis] != 1:
                call.refuse("reads a constant that is repeated for parts of images", "repeat it by `expand`")
    if tensor.numel() > 1 and any(step == 0 for step in tensor.stride()):
        # What was repeated is written once.
        small = tensor
        for axis, step in enumerate(tensor.stride()):
            small = small.narrow(axis, 0, 1) if step == 0 else small
        tensor = small
    values = tensor.to(torch.float32).contiguous().numpy().tobytes()
    shape = tuple(tensor.shape)
    node = call.graph.constant(shape or (1,), values)
    view = View.of(call.graph, node, shape)
    return view if whole == shape else view.expanded(whole)


def _lazy(call, argument="self"):
    return call.lowering.view(call, call[argument])


@operator("permute", "transpose", "t", "swapaxes", "movedim", "numpy_T", "mT", "adjoint", "swapdims")
def permute(call):
    x = _lazy(call)
    rank, name = len(x.shape), call.name
    order = list(range(rank))
    if name == "permute":
        order = [call.axis(axis, rank) for axis in call["dims"]]
    elif name == "numpy_T":
        order.reverse()
    elif name == "movedim":
        pairs = [[values] if isinstance(values, int) else list(values) for values in (call["source"], call["destination"])]
        source, destination = ([call.axis(axis, rank) for axis in values] for values in pairs)
        order = [axis for axis in order if axis not in source]
        for to, axis in sorted(zip(destination, source)):
            order.insert(to, axis)
    elif name == "t" and rank < 2:
        return x
    else:
        ends = [call["dim0"], call["dim1"]] if call["dim0"] is not None else [call["axis0"], call["axis1"]]
        a, b = (call.axis(axis, rank) if axis is not None else rank - 2 + at for at, axis in enumerate(ends))
        order[a], order[b] = order[b], order[a]
    return x.permuted(order)


@operator("view", "reshape", "flatten", "unflatten", "_unsafe_view", "view_as", "reshape_as", "squeeze", "unsqueeze", "resize")
def reshape(call):
    x = _lazy(call)
    if call.name == "unsqueeze":
        return x.inserted(call.axis(call["dim"]))
    if call.name == "squeeze" and call["dim"] is not None:
        axes = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
        for axis in sorted((call.axis(axis, len(x.shape)) for axis in axes), reverse=True):
            x = x.removed(axis) if x.shape[axis] == 1 else x
        return x
    return x.reshaped(call.shape)


@operator("expand", "expand_as", "broadcast_to", "repeat", "tile")
def expand(call):
    x = _lazy(call)
    if call.name not in ("repeat", "tile"):
        return x.expanded(call.shape)
    repeats = list(call["repeats"] or call["dims"])
    while len(x.groups) < len(repeats):
        x = x.inserted(0)
    repeats = [1] * (len(x.groups) - len(repeats)) + repeats
    if all(count == 1 or size == 1 for count, size in zip(repeats, x.shape)):
        return x.expanded(call.shape)
    # Repeated as a whole: an axis of repetitions before the axis, which are one then.
    sizes = []
    for axis, (count, size) in enumerate(zip(repeats, x.shape)):
        x = x.inserted(2 * axis)
        sizes += [count, size]
    return x.expanded(sizes).reshaped(call.shape)


@operator("slice", "narrow", "select")
def part(call):
    x = _lazy(call)
    axis = call.axis(call["dim"], len(x.shape))
    size = x.shape[axis]
    if call.name == "select":
        start = call.axis(call["index"], size)
        return x.sliced(axis, start, start + 1).removed(axis)
    if call.name == "narrow":
        start = call.axis(call["start"], size)
        return x.sliced(axis, start, start + call["length"])
    start, end, step = slice(call["start"], call["end"], call["step"]).indices(size)
    return x.sliced(axis, start, end, step)


@operator("split", "split_with_sizes", "chunk", "unbind", "tensor_split")
def split(call):
    x = _lazy(call)
    axis = call.axis(call["dim"], len(x.shape))
    parts = [value.shape[axis] if call.name != "unbind" else 1 for value in call.node.meta["val"]]
    found, start = [], 0
    for size in parts:
        view = x.sliced(axis, start, start + size)
        found.append(view.removed(axis) if call.name == "unbind" else view)
        start += size
    return found


@operator("cat", "concat", "concatenate", "stack")
def concat(call):
    axis = call["dim"]
    values = [value for value in call["tensors"] if not (isinstance(value, torch.Tensor) and value.numel() == 0)]
    views = [call.lowering.view(call, value).resolved() for value in values]
    axis = call.axis(axis)
    if call.name == "stack":
        views = [view.inserted(axis) for view in views]
    if len(views) == 1:
        return views[0]
    batches = {view.batch for view in views}
    if len(batches) > 1 or axis in batches:
        call.refuse("joins different images", "join along another axis")
    batch = batches.pop()
    at = views[0].axis(axis)
    nodes = [view.arranged() for view in views]
    shape = list(call.graph.shape(nodes[0]))
    shape[at] = sum(call.graph.shape(node)[at] for node in nodes)
    return call.of(call.graph.add("concat", nodes, shape, axis=at), batch=batch)


def _taken(call, x, axis, places):
    """Some places of an axis; `places` may have several axes of its own, which come out in its stead."""
    size = x.shape[axis]
    flat = [int(place) % size for place in places.flatten()]
    view, at = x.alone(axis)
    if at is None:
        return view.expanded([len(flat) if i == axis else s for i, s in enumerate(view.shape)]).reshaped(call.shape)
    if flat == list(range(size)):
        found = view
    else:
        shape = list(call.graph.shape(view.node))
        shape[at] = len(flat)
        number = call.graph.list(flat)
        channels = at == 1 and view.images and len(shape) in (2, 4) and shape[0] == 1
        if channels:
            node = call.graph.add("select", [view.node], shape, list=number, out=len(flat))
        else:
            node = call.graph.add("take", [view.node], shape, axis=at, list=number)
        found = view.sized(node, axis, len(flat))
    return found.reshaped((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))


@operator("index", "index_select", "gather", "embedding")
def index(call):
    if call.name == "embedding":
        x, places = call.lowering.view(call, call["weight"]), [call["indices"]]
    elif call.name == "index_select":
        x = _lazy(call)
        places = [None] * call.axis(call["dim"], len(x.shape)) + [call["index"]]
    else:
        x, places = _lazy(call), call["indices"] or [call["index"]]
    if any(not isinstance(place, torch.Tensor) for place in places if place is not None) or call.name == "gather":
        call.refuse("takes places that depend on the image", "take places that are always the same")
    given = [axis for axis, place in enumerate(places) if place is not None]
    indices = torch.broadcast_tensors(*[place.nonzero()[:, 0] if place.dtype == torch.bool else place for place in places if place is not None])
    if given != list(range(given[0], given[-1] + 1)) or (len(given) > 1 and any(places[a].dtype == torch.bool for a in given)):
        call.refuse("takes places of axes that do not follow each other", "take those of one axis after those of the other")
    first, place = given[0], indices[0] % x.shape[given[0]]
    for axis, more in zip(given[1:], indices[1:]):
        place = place * x.shape[axis] + more % x.shape[axis]
    if len(given) > 1:
        sizes = x.shape
        joined = torch.Size(sizes[first : given[-1] + 1]).numel()
        x = x.reshaped((*sizes[:first], joined, *sizes[given[-1] + 1 :]))
    return _taken(call, x.resolved(), first, place)


@operator("flip")
def flip(call):
    x = call.view("self")
    for axis in call["dims"]:
        axis = call.axis(axis)
        x = _taken(call, x, axis, torch.arange(x.shape[axis] - 1, -1, -1))
    return x


@operator("roll")
def roll(call):
    x = call.view("self")
    if not call["dims"]:
        call.refuse("moves all values", "say which axis")
    for by, axis in zip(call["shifts"], call["dims"]):
        axis = call.axis(axis)
        by %= x.shape[axis]
        if by:
            x, at = x.alone(axis)
            x = x.with_node(call.graph.add("roll", [x.node], call.graph.shape(x.node), axis=at, by=by))
    return x


@operator("repeat_interleave")
def repeat_interleave(call):
    x, axis, count = call.view("self"), call["dim"], call["repeats"]
    if axis is None or not isinstance(count, int):
        call.refuse("repeats a whole tensor, or each value its own number of times", "say which axis, and one number")
    axis = call.axis(axis)
    sizes = list(x.shape)
    return x.inserted(axis + 1).expanded([*sizes[: axis + 1], count, *sizes[axis + 1 :]]).reshaped(call.shape)


def part_of(lowering, whole, part):
    """1 where a tensor of the graph has nothing of one of its parts, 0 there: both by their nodes. None if that is not known."""
    path, node = [], part
    while node is not whole:
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], torch.fx.Node):
            return None
        path.append(node)
        node = node.args[0]
    value = lowering.values[whole]
    if isinstance(value, (Noise, torch.Tensor)) or not path:
        return None
    shape = value.tensor.shape if isinstance(value, Parameter) else value.shape
    if IMAGES in shape:
        return None
    mask = torch.ones(tuple(shape))
    view = mask
    for node in reversed(path):
        view = node.target(view, *node.args[1:], **node.kwargs)
    view.zero_()
    return mask
