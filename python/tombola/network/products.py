"""Operators that join many values: products of matrices, attention, softmax, and what is left of an axis."""

import math

from .call import operator
from .elements import dropped, pair, paired, scaled
from .view import IMAGES, View


@operator("matmul", "bmm", "mm", "linalg_matmul")
def matmul(call):
    first, second = (call.view(name) for name in (("self", "other") if call["other"] is not None else ("self", "mat2")))
    if len(first.shape) < 2 or len(second.shape) < 2:
        call.refuse("multiplies with a vector", "use `[:, None]` and `squeeze`")
    return product(call, first, second)


def product(call, first, second):
    """The product of the last two axes of two views as matrices; those before are matched."""
    graph = call.graph
    rank = max(len(first.shape), len(second.shape))
    batches = {view.batch + rank - len(view.shape) for view in (first, second) if view.images}
    if len(batches) > 1 or (batches and batches.pop() >= rank - 2 and not (rank == 2 and first.batch == 0 and not second.images)):
        call.refuse("multiplies values of different images", "keep the axis of the batch before the last two")
    # One of images has all axes, so that its first one meets no other; so has what it meets in another place than behind.
    rank = max(rank, *(len(view.shape) for view in (first, second)))
    views = []
    for view in (first, second):
        while view.images and len(view.shape) < rank:
            view = view.inserted(0)
        views.append(view)
    batch = next((view.batch for view in views if view.images), None)
    nodes = []
    for view in views:
        if not view.images and batch:
            while len(view.shape) < rank:
                view = view.inserted(0)
            view = view.permuted([batch, *(axis for axis in range(rank) if axis != batch)])
        nodes.append(view.arranged())
    sizes = [max(pair) for pair in zip(*(_before(view, rank) for view in views))] + [views[0].shape[-2], views[1].shape[-1]]
    order = list(range(rank))
    if batch is not None:
        order.remove(batch)
        order.insert(0, batch)
    stored = [sizes[axis] // (IMAGES if axis == batch else 1) for axis in order]
    return View.of(graph, graph.add("matrix-product", nodes, stored), sizes, batch)


def _before(view, rank):
    return [1] * (rank - len(view.shape)) + list(view.shape[:-2])


@operator("addmm", "baddbmm")
def addmm(call):
    names = ("mat1", "mat2") if call["mat1"] is not None else ("batch1", "batch2")
    result = scaled(call, product(call, *(call.view(name) for name in names)), call["alpha"], 0.0)
    return paired(call, "add", scaled(call, call.lowering.view(call, call["self"]), call["beta"], 0.0), result)


@operator("softmax", "_softmax")
def softmax(call):
    x = call.view("self")
    axis = call.axis(call["dim"])
    if axis == x.batch:
        call.refuse("shares 1 out over the images of a batch", "use another axis")
    node = x.arranged()
    return call.of(call.graph.add("softmax", [node], call.graph.shape(node), axis=x.axis(axis)), batch=x.batch)


@operator("log_softmax", "_log_softmax")
def log_softmax(call):
    x = call.view("self")
    axis = call.axis(call["dim"])
    if len(x.shape) != 2 or axis != 1 or [user.op for user in call.node.users] != ["output"]:
        call.refuse("is no operation of Tombola but at the end of a network", "use `softmax`, or leave it to the loss")
    # The loss of Tombola has it: the cross entropy of these values is the same without.
    call.lowering.notes.append(("log_softmax", 0))
    return x


@operator("scaled_dot_product_attention")
def attention(call):
    q, k, v = (call.view(name) for name in ("query", "key", "value"))
    scale = call["scale"] if call["scale"] is not None else q.shape[-1] ** -0.5
    mask = call["attn_mask"]
    if call["enable_gqa"]:
        call.refuse("has fewer keys than queries", "repeat the keys, and leave out `enable_gqa`")
    if mask is not None and hasattr(mask, "dtype") and not mask.dtype.is_floating_point:
        mask = mask.float().log()
    mask = None if mask is None else call.lowering.view(call, mask)
    batches = {view.batch for view in (q, k, v)}
    plain = len(batches) == 1 and len({len(view.shape) for view in (q, k, v)}) == 1 and not call["dropout_p"]
    if not plain or (mask is not None and len(mask.shape) > len(q.shape)):
        if call["is_causal"]:
            call.refuse("is causal, with dropout or with tensors of different axes", "give it a mask")
        scores = scaled(call, product(call, q, k.permuted(_turned(k))), scale, 0.0)
        scores = scores if mask is None else paired(call, "add", scores, mask)
        node = scores.arranged()
        shares = call.graph.add("softmax", [node], call.graph.shape(node), axis=len(scores.shape) - 1)
        shares = dropped(call, View.of(call.graph, shares, scores.shape, scores.batch), call["dropout_p"], "values")
        return product(call, shares, v)
    nodes = [view.arranged() for view in (q, k, v)]
    if mask is not None:
        nodes.append(_mask(mask.resolved() if mask.images else mask, q))
    shape = (*call.graph.shape(nodes[0])[:-1], v.shape[-1])
    attributes = {"scale": float(scale), **({"causal": True} if call["is_causal"] else {})}
    return call.of(call.graph.add("attention", nodes, shape, **attributes), batch=q.batch)


def _turned(view):
    rank = len(view.shape)
    return [*range(rank - 2), rank - 1, rank - 2]


def _mask(mask, q):
    if mask.images:
        while len(mask.shape) < len(q.shape):
            mask = mask.inserted(0)
        return mask.arranged()
    # What is repeated anyway, and axes of 1 in front, need not be there.
    wide = tuple((axis, size) for axis, size in mask.wide if axis >= len(mask.shape) - 2)
    mask = View(mask.graph, mask.node, mask.atoms, mask.groups, wide).resolved()
    while len(mask.shape) > 2 and mask.shape[0] == 1:
        mask = mask.removed(0)
    return mask.arranged()


@operator("mean", "sum", "amax", "max", "linalg_vector_norm", "norm")
def reduce(call):
    if call["other"] is not None:
        call.name = "maximum"
        return pair(call)
    x, name = call.view("self" if call["self"] is not None else "input"), call.name
    if name in ("linalg_vector_norm", "norm") and float(call["ord"] or call["p"] or 2) != 2:
        call.refuse(f"is a norm of order {call['ord'] or call['p']}", "use that of order 2")
    axes = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
    if not axes or axes == [None]:
        axes = range(len(x.shape))
    rank = len(x.shape)
    axes = sorted(call.axis(axis, rank) for axis in axes)
    if x.batch in axes:
        call.refuse("joins the images of a batch", "leave out the axis of the batch")
    shape = [size for axis, size in enumerate(x.shape) if axis not in axes]
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    keep = bool(call["keepdim"])
    node, stored = x.arranged(), call.graph
    gone = sorted(x.axis(axis) for axis in axes)
    sizes = stored.shape(node)
    reduction = {"mean": "mean", "sum": "sum", "amax": "max", "max": "max"}.get(name, "norm")
    if reduction == "mean" and gone == [2, 3] and len(sizes) == 4 and sizes[0] == 1 and x.images and not keep:
        return call.of(stored.add("global-average-pool", [node], sizes[:2]), batch=0)
    left = [1 if axis in gone else size for axis, size in enumerate(sizes) if keep or axis not in gone]
    node = stored.add("reduce", [node], left or [1], reduction=reduction, axes=gone, keep=keep)
    out = kept if keep else shape
    batch = None if x.batch is None else x.batch - sum(axis < x.batch for axis in axes) * (not keep)
    view = View.of(stored, node, out, batch)
    return [view, None] if call.shape is None else view


@operator("einsum")
def einsum(call):
    """Of two tensors: what both have and comes out is matched, what both have and does not is summed."""
    inputs, output = call["equation"].replace(" ", "").split("->")
    words = inputs.split(",")
    if len(words) != 2 or "." in inputs or any(len(set(word)) != len(word) for word in words):
        call.refuse(f"computes `{call['equation']}`", "write it as products of two tensors, with a letter for each axis")
    views = [call.lowering.view(call, value).resolved() for value in call["tensors"]]
    sizes = {letter: size for word, view in zip(words, views) for letter, size in zip(word, view.shape)}
    for at, other in ((0, 1), (1, 0)):
        # The images are matched, with 1 if they are not there.
        letter = words[at][views[at].batch] if views[at].images else ""
        if letter not in words[other] and letter in output:
            words[other], views[other] = letter + words[other], views[other].inserted(0)
    first, second = words
    both = [letter for letter in output if letter in first and letter in second]
    summed = [letter for letter in first if letter in second and letter not in output]
    left = [letter for letter in first if letter not in second]
    right = [letter for letter in second if letter not in first]
    if any(letter not in output for letter in left + right):
        call.refuse(f"computes `{call['equation']}`", "sum what only one tensor has before")
    turned = []
    for word, view, rows, columns in ((first, views[0], left, summed), (second, views[1], summed, right)):
        view = view.permuted([word.index(letter) for letter in both + rows + columns])
        matched, joined = view.shape[: len(both)], [math.prod(sizes[letter] for letter in letters) for letters in (rows, columns)]
        turned.append(view.reshaped((*matched, *joined)))
    result = product(call, *turned).reshaped([sizes[letter] for letter in both + left + right])
    return result.permuted([(both + left + right).index(letter) for letter in output])
