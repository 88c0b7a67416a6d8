"""A tensor of PyTorch, as a view of a node's tensor: its axes in another order, split and joined, without a node for that.

The tensor of a node is cut into *atoms*: its axes, or factors of them. Each axis of the view is a sequence of atoms, mostly of one.
So the axis of the images may lie anywhere in PyTorch's tensor and stays the first one of ours, and axes that are moved and moved
back cost nothing. Nodes are added when an operation needs the values in its own order. It may not know of operators or weights.

Where the images are is told by their number: `IMAGES`, a prime that is no size of anything else.
"""

import dataclasses
import math

from .graph import MOST_AXES

IMAGES = 1009


class Mixed(ValueError):
    """An operation joins what belongs to different images."""


@dataclasses.dataclass(frozen=True)
class View:
    """`atoms` are sizes, those of 1 left out; of images the first is `IMAGES`. `groups` has the atoms of each axis of the view.
    `wide` has the sizes of axes that are repeated, for which there are no atoms."""

    graph: object
    node: int
    atoms: tuple
    groups: tuple
    wide: tuple = ()

    @staticmethod
    def of(graph, node, sizes, batch=None):
        """What `node` holds, as axes of these sizes, the one of the images being `batch` and the first of the node."""
        images = graph.nodes[node].images
        order = list(range(len(sizes)))
        if images:
            order.remove(batch)
            order.insert(0, batch)
        atoms, groups = ([IMAGES] if images else []), [()] * len(sizes)
        for place, axis in enumerate(order):
            size, group = sizes[axis], ()
            if images and place == 0:
                size, group = size // IMAGES, (0,)
            if size != 1:
                atoms.append(size)
                group += (len(atoms) - 1,)
            groups[axis] = group
        return View(graph, node, tuple(atoms), tuple(groups))

    @property
    def images(self):
        return self.graph.nodes[self.node].images

    @property
    def batch(self):
        """The axis of the images; none if it is shared by them."""
        return next((axis for axis, group in enumerate(self.groups) if self.images and 0 in group), None)

    @property
    def shape(self):
        """As PyTorch says it, for `IMAGES` images."""
        wide = dict(self.wide)
        return tuple(wide.get(axis, math.prod(self.atoms[atom] for atom in group)) for axis, group in enumerate(self.groups))

    def with_node(self, node):
        """The same axes of a node of the same shape."""
        return dataclasses.replace(self, node=node)

    # Other axes of the same values.

    def permuted(self, order):
        wide = {order.index(axis): size for axis, size in self.wide}
        return dataclasses.replace(self, groups=tuple(self.groups[axis] for axis in order), wide=tuple(sorted(wide.items())))

    def inserted(self, axis):
        """With an axis of 1 before `axis`."""
        wide = tuple((at + (at >= axis), size) for at, size in self.wide)
        return dataclasses.replace(self, groups=(*self.groups[:axis], (), *self.groups[axis:]), wide=wide)

    def removed(self, axis):
        """Without an axis of 1."""
        wide = tuple((at - (at > axis), size) for at, size in self.wide if at != axis)
        return dataclasses.replace(self, groups=(*self.groups[:axis], *self.groups[axis + 1 :]), wide=wide)

    def expanded(self, sizes):
        """With axes of 1 repeated to `sizes`, of which there may be more, before the others."""
        view = self
        while len(view.groups) < len(sizes):
            view = view.inserted(0)
        wide = dict(view.wide)
        wide.update({axis: size for axis, size in enumerate(sizes) if size not in (-1, view.shape[axis])})
        return dataclasses.replace(view, wide=tuple(sorted(wide.items())))

    def reshaped(self, sizes):
        """With axes of these sizes and the values in the same order."""
        view = self.resolved()
        found = view._regrouped(sizes)
        if found is None:
            # An axis that comes out has a part of one that goes in: they are one for a moment.
            order = [atom for group in view.groups for atom in group]
            if view.images and order[0] != 0:
                raise Mixed("gives the images of a batch another order")
            slots = [(0,), tuple(order[1:])] if view.images else [tuple(order)]
            node = view.stored(slots)
            view = View.of(self.graph, node, [view._size(slot) for slot in slots], 0)
            found = view._regrouped(sizes)
            if found is None:
                raise Mixed("cuts through the images of a batch")
        return found

    def _regrouped(self, sizes):
        waiting = [(atom,) for group in self.groups for atom in group]
        # Atoms that are split: each becomes a list of sizes.
        splits = {atom: [size] for atom, size in enumerate(self.atoms)}
        waiting = [[atom, 0, self.atoms[atom]] for (atom,) in waiting]
        groups = []
        for size in sizes:
            group = []
            while size != 1:
                if not waiting:
                    return None
                atom, part, left = waiting[0]
                if size % left == 0:
                    group.append((atom, part))
                    size //= left
                    waiting.pop(0)
                elif left % size == 0 and not (self.images and atom == 0):
                    group.append((atom, part))
                    splits[atom][part:] = [size, left // size]
                    waiting[0] = [atom, part + 1, left // size]
                    size = 1
                else:
                    return None
            groups.append(group)
        if waiting:
            return None
        starts, atoms = {}, []
        for atom in range(len(self.atoms)):
            starts[atom] = len(atoms)
            atoms += splits[atom]
        groups = tuple(tuple(starts[atom] + part for atom, part in group) for group in groups)
        return View(self.graph, self.node, tuple(atoms), groups)._joined()

    def _joined(self):
        """With atoms that always follow each other in one axis as one."""
        follow = {a for group in self.groups for a, b in zip(group, group[1:]) if b == a + 1 and not (self.images and a == 0)}
        if not follow:
            return self
        atoms, numbers = [], {}
        for atom, size in enumerate(self.atoms):
            if atom - 1 in follow:
                atoms[-1] *= size
            else:
                atoms.append(size)
            numbers[atom] = len(atoms) - 1
        groups = tuple(tuple(dict.fromkeys(numbers[atom] for atom in group)) for group in self.groups)
        return dataclasses.replace(self, atoms=tuple(atoms), groups=groups)

    # Nodes for what was put off.

    def _size(self, slot):
        return math.prod(self.atoms[atom] for atom in slot)

    def resolved(self):
        """With a node that repeats what is to be repeated."""
        if not self.wide:
            return self
        sizes = self.shape
        base = dataclasses.replace(self, wide=())
        batch = base.batch
        if batch is None:
            batch = next((axis for axis, size in self.wide if size % IMAGES == 0), None)
        order = list(range(len(sizes)))
        if batch is not None:
            order.remove(batch)
            order.insert(0, batch)
        node = base.stored([base.groups[axis] for axis in order])
        to = [sizes[axis] // (IMAGES if axis == batch else 1) for axis in order]
        if batch is not None and not base.images and to[0] != 1:
            # Several for each image: an axis of their own until they are there.
            node = self.graph.add("expand", [node], [1, *to], True, to=[1, *to], images=True)
            return View.of(self.graph, node, sizes, batch)._plain(to)
        node = self.graph.add("expand", [node], to, batch is not None, to=to, images=batch is not None)
        return View.of(self.graph, node, sizes, batch)

    def _plain(self, sizes):
        return self.with_node(self._as(self.node, sizes))

    def arranged(self):
        """The number of a node with an axis for each of the view, that of the images first and the others in their order."""
        view = self.resolved()
        order = list(range(len(view.groups)))
        batch = view.batch
        if batch is not None:
            if view.groups[batch][0] != 0:
                raise Mixed("gives the images of a batch another order")
            order.remove(batch)
            order.insert(0, batch)
        return view.stored([view.groups[axis] for axis in order])

    def opened(self):
        """With the images first in their axis: where something lies before them in it, each part of it is an axis."""
        view = self.resolved()
        group = () if view.batch is None else view.groups[view.batch]
        if not group or group[0] == 0:
            return view
        return view.reshaped([size for one in view.groups for size in ([view.atoms[a] for a in one] if one is group else [view._size(one)])])

    def axis(self, axis):
        """Where an axis of the view lies in the node of [`arranged`]."""
        batch = self.batch
        if batch is None or axis > batch:
            return axis
        return 0 if axis == batch else axis + 1

    def stored(self, slots):
        """A node whose axes are these sequences of atoms, in this order."""
        graph, order = self.graph, [atom for slot in slots for atom in slot]
        each = IMAGES if self.images else 1
        wanted = [self._size(slot) for slot in slots]
        if self.images:
            wanted[0] //= each
        shape = graph.shape(self.node)
        if order == list(range(len(self.atoms))):
            return self._as(self.node, wanted)
        if list(shape) == wanted and (chosen := self._within_one_axis(slots)):
            axis, places = chosen
            if axis == 1 and self.images:
                return graph.add("select", [self.node], shape, list=graph.list(places), out=len(places))
            return graph.add("take", [self.node], shape, axis=axis, list=graph.list(places))
        # Atoms that stay next to each other are moved as one, but axes of the node and of what comes out stay whole if they may.
        blocks = self._blocks(order, {slot[0] for slot in slots if slot} | {part[0] for part in self._parts() or () if part})
        if len(blocks) > MOST_AXES:
            blocks = self._blocks(order, set())
        if self.images and blocks[0][0] != 0:
            raise Mixed("gives the images of a batch another order")
        before = sorted(blocks)
        sizes = [self._size(block) for block in before]
        if self.images:
            sizes[0] //= each
        node = self._as(self.node, sizes)
        turn = [before.index(block) for block in blocks]
        node = graph.add("permute", [node], [sizes[axis] for axis in turn], order=turn)
        return self._as(node, wanted)

    @staticmethod
    def _blocks(order, cuts):
        blocks = []
        for atom in order:
            if blocks and blocks[-1][-1] == atom - 1 and atom not in cuts:
                blocks[-1].append(atom)
            else:
                blocks.append([atom])
        return blocks

    def _as(self, node, sizes):
        shape = self.graph.shape(node)
        if list(shape) == list(sizes):
            return node
        if self.images and len(shape) == 4 and shape[0] == 1 and len(sizes) == 2 and sizes[0] == 1:
            return self.graph.add("flatten", [node], sizes)
        # Two in a row are one.
        if self.graph.nodes[node].op == "reshape":
            return self._as(self.graph.nodes[node].inputs[0], sizes)
        return self.graph.add("reshape", [node], sizes, to=list(sizes))

    def _within_one_axis(self, slots):
        """The only axis of the node whose places change their order, and that order; the node and the slots have one shape."""
        changed = [slot for slot in slots if list(slot) != list(range(min(slot, default=0), min(slot, default=0) + len(slot)))]
        if len(changed) != 1 or (self.images and 0 in changed[0]):
            return None
        low = [min(slot) for slot in slots if slot]
        if low != sorted(low) or sorted(changed[0]) != list(range(min(changed[0]), max(changed[0]) + 1)):
            return None
        atoms = sorted(changed[0])
        strides, step = {}, 1
        for atom in reversed(atoms):
            strides[atom], step = step, step * self.atoms[atom]
        places = [0]
        for atom in changed[0]:
            places = [place + strides[atom] * index for place in places for index in range(self.atoms[atom])]
        return slots.index(changed[0]), places

    # One axis by itself.

    def single(self, axis):
        """A view in which this axis is one atom, which begins an axis of the node: the view, that axis, the values of the node
        from one place to the next; none for an axis of 1."""
        view = self.resolved()
        group = view.groups[axis]
        if view.images and 0 in group:
            raise Mixed("takes some images of a batch")
        if len(group) > 1:
            node = view.arranged()
            view = View.of(view.graph, node, view.shape, view.batch)
            group = view.groups[axis]
        if not group:
            return view, None, 1
        (atom,) = group
        parts = view._parts()
        if parts is None:
            sizes = [size // (IMAGES if view.images and place == 0 else 1) for place, size in enumerate(view.atoms)]
            view = view.with_node(view._as(view.node, sizes))
            parts = view._parts()
        place = next(place for place, inside in enumerate(parts) if atom in inside)
        cut = parts[place].index(atom)
        behind = view._size(parts[place][cut + 1 :])
        if cut:
            shape = view.graph.shape(view.node)
            last = view.atoms[atom] * behind
            view = view.with_node(view._as(view.node, [*shape[:place], shape[place] // last, last, *shape[place + 1 :]]))
            place += 1
        return view, place, behind

    def _parts(self):
        """The atoms of each axis of the node; none if an atom lies in several axes."""
        parts, atom = [], 0
        for place, size in enumerate(self.graph.shape(self.node)):
            inside, left = [], size * (IMAGES if self.images and place == 0 else 1)
            while left > 1:
                if atom == len(self.atoms) or left % self.atoms[atom]:
                    return None
                left //= self.atoms[atom]
                inside.append(atom)
                atom += 1
            parts.append(inside)
        return parts

    def alone(self, axis):
        """As `single`, of an axis of the node that has nothing else in it."""
        view, place, values = self.single(axis)
        if values > 1:
            shape = view.graph.shape(view.node)
            sizes = [*shape[:place], shape[place] // values, values, *shape[place + 1 :]]
            view = view.with_node(view._as(view.node, sizes))
        return view, place

    def sized(self, node, axis, size):
        """A view of `node`, which differs in the size of the one atom of an axis."""
        (atom,) = self.groups[axis]
        if size != 1:
            return dataclasses.replace(self, node=node, atoms=(*self.atoms[:atom], size, *self.atoms[atom + 1 :]))
        groups = tuple(tuple(a - (a > atom) for a in group if a != atom) for group in self.groups)
        return dataclasses.replace(self, node=node, atoms=(*self.atoms[:atom], *self.atoms[atom + 1 :]), groups=groups)

    def sliced(self, axis, start, end, step=1):
        """Places `start` to `end` of an axis."""
        size = self.shape[axis]
        if (start, end, step) == (0, size, 1):
            return self
        if axis in dict(self.wide):
            wide = {**dict(self.wide), axis: len(range(start, end, step))}
            return dataclasses.replace(self, wide=tuple((at, s) for at, s in sorted(wide.items()) if s != 1))
        view, place, values = self.single(axis)
        if place is None:
            return view
        if values > 1 and step > 1:
            view, place = view.alone(axis)
            values = 1
        shape = list(view.graph.shape(view.node))
        count = len(range(start, end, step))
        shape[place] = count * values
        attributes = {"axis": place, "start": start * values, "end": end * values, **({"step": step} if step > 1 else {})}
        return view.sized(view.graph.add("slice", [view.node], shape, **attributes), axis, count)
