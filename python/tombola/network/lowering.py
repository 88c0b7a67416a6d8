"""From an exported graph of PyTorch's operators to one of Tombola's: walks it once, in order.

What depends on neither the image nor a parameter is computed at once, by PyTorch. Operators are in the files beside this one.
"""

import difflib
import operator as python

import torch

from . import axes, elements, layers, products, windows  # noqa: F401 (they declare operators)
from .call import OPERATORS, Call, Noise, Parameter, module_of
from .graph import Graph
from .view import IMAGES, Mixed, View

# They look at their input and give nothing.
CHECKS = {"_assert_tensor_metadata", "_assert_async", "sym_constrain_range_for_size", "_assert_scalar"}
# Same values, perhaps at the same place in memory.
ALIASES = set(
    "alias contiguous detach view reshape flatten transpose permute t select slice unsqueeze squeeze expand unbind split chunk "
    "split_with_sizes narrow unflatten swapaxes movedim expand_as view_as reshape_as _unsafe_view to lift_fresh".split()
)
# They make a tensor out of nothing but its shape; their first argument is only looked at.
MADE = {"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like"}
RANDOM = {"randn", "randint", "randperm", "randn_like", "normal", "uniform", "exponential", "multinomial", "poisson"}
# A constant larger than this is no table of positions but a mistake.
MOST_VALUES = 1 << 28


class Lowering:
    """`exported` is what torch.export gave, `model` the module that it was made from."""

    def __init__(self, exported, model, shape):
        self.exported, self.model = exported, model
        self.graph = Graph(shape)
        self.values, self.learned, self.used = {}, {}, {}
        self.buffers, self.aliases = {}, {}
        self.order = {node: place for place, node in enumerate(_in_order(exported.graph_module))}
        self.notes = []

    def run(self):
        """The node of the output, and how many values it has."""
        return self._output(self._walk(self.exported.graph_module, self._placeholder))

    def _walk(self, module, given):
        """Lowers one graph after its inputs; gives the node that says what comes out."""
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = given(node)
            elif node.op == "get_attr":
                self.values[node] = getattr(module, node.target)
            elif node.op == "call_function":
                self.values[node] = self._call(node)
        return node

    def _inner(self, node):
        """A part of the model that is computed as all others: one without automatic half precision."""
        _, _, enabled, _, module, *arguments = node.args
        if enabled:
            return None
        inner = self.values[module]
        given = dict(zip((other for other in inner.graph.nodes if other.op == "placeholder"), arguments))
        self.buffers.update({other: self.buffers[outer] for other, outer in given.items() if outer in self.buffers})
        (outputs,) = self._walk(inner, lambda other: self.values[given[other]]).args
        return torch.fx.node.map_arg(outputs, lambda other: self.values[other])

    def _placeholder(self, node):
        signature = self.exported.graph_signature
        if node.name in signature.inputs_to_parameters:
            name = signature.inputs_to_parameters[node.name]
            return Parameter(name, self.exported.state_dict[name])
        if node.name in signature.inputs_to_buffers:
            name = signature.inputs_to_buffers[node.name]
            tensor = self.exported.state_dict.get(name)
            self.buffers[node] = name
            return (self.exported.constants[name] if tensor is None else tensor).detach().cpu().clone()
        constants = signature.inputs_to_lifted_tensor_constants
        if node.name in constants:
            return self.exported.constants[constants[node.name]].detach().cpu().clone()
        return View.of(self.graph, 0, (IMAGES, *self.graph.shape(0)[1:]), 0)

    def _call(self, node):
        if node.target is python.getitem:
            return self.values[node.args[0]][node.args[1]]
        schema = getattr(node.target, "_schema", None)
        call = Call(self, node, {}, str(node.target))
        if str(node.target) == "wrap_with_autocast" and (inner := self._inner(node)) is not None:
            return inner
        if schema is None:
            call.refuse("is no operator of PyTorch", "leave out `torch.no_grad`, `torch.autocast` and checkpointing within the model")
        name = schema.name.split("::")[-1]
        writes = schema.is_mutable and name.endswith("_")
        name = name.rstrip("_") if writes else name
        if name in CHECKS:
            return None
        call.name, call.shown = name, schema.name.replace("aten::", "")
        call.arguments = self._arguments(node, schema)
        self.graph.place, self.graph.leaf = call.module, not self._has_children(call.module)
        try:
            result = self._result(call, name, node)
        except Mixed as mixed:
            call.refuse(f"{mixed}, and each image has to be computed by itself", "keep the axis of the batch whole and in front")
        except ValueError as error:
            call.refuse(str(error), "write it with fewer axes")
        self._root(node, name)
        if writes:
            self._write(call, result)
        return result

    def _has_children(self, path):
        try:
            return any(True for _ in self.model.get_submodule(path).children())
        except AttributeError:
            return True

    def _arguments(self, node, schema):
        values = torch.fx.node.map_arg((node.args, node.kwargs), lambda argument: self.values[argument])
        args, kwargs = values
        arguments = {}
        for place, argument in enumerate(schema.arguments):
            if place < len(args):
                arguments[argument.name] = args[place]
            elif argument.name in kwargs:
                arguments[argument.name] = kwargs[argument.name]
            else:
                arguments[argument.name] = argument.default_value if argument.has_default_value() else None
        return arguments

    def _result(self, call, name, node):
        read = [value for value in _flat(call.arguments.values()) if isinstance(value, (View, Parameter, Noise))]
        if name in RANDOM:
            call.refuse("draws random numbers", "use `torch.nn.Dropout`, or leave them out")
        if name in MADE:
            return self._made(call, name)
        if name in ("bernoulli", "rand", "rand_like"):
            return OPERATORS[name](call)
        if not read:
            return self._computed(call, node)
        if name in ("copy", "index_put", "scatter"):
            call.refuse("writes into a part of a tensor", "build it by `torch.cat` or `torch.stack`")
        if name not in OPERATORS:
            near = difflib.get_close_matches(name, OPERATORS, 3)
            known = f"; known are {', '.join(f'`{word}`' for word in near)}" if near else ""
            if not any(isinstance(value, View) and value.images for value in read):
                call.refuse("computes weights from other tensors, and is no operation of Tombola", layers.PLAIN)
            call.refuse("is no operation of Tombola", f"write it with operators that docs/python.md lists{known}")
        return OPERATORS[name](call)

    def _made(self, call, name):
        if name.endswith("_like"):
            fill = {"ones_like": 1.0, "full_like": call["fill_value"]}.get(name, 0.0)
            kind = call["dtype"] or call.node.meta["val"].dtype
            return torch.full((), fill, dtype=kind).expand(call.shape)
        arguments = dict(call.arguments)
        size, fill = arguments["size"], {"new_ones": 1.0, "new_full": arguments.get("fill_value")}.get(name, 0.0)
        return torch.full(size, fill, dtype=call.node.meta["val"].dtype)

    def _computed(self, call, node):
        """What depends on constants alone, by PyTorch itself."""
        if call.shape is not None and torch.Size(call.shape).numel() > MOST_VALUES and call.name != "expand":
            call.refuse(f"makes a constant of {torch.Size(call.shape).numel()} values", "make it once, in the constructor")
        args, kwargs = torch.fx.node.map_arg((node.args, dict(node.kwargs)), lambda argument: self.values[argument])
        kwargs = {name: torch.device("cpu") if isinstance(value, torch.device) else value for name, value in kwargs.items()}
        args = [torch.device("cpu") if isinstance(value, torch.device) else value for value in args]
        return node.target(*args, **kwargs)

    # Operators that write in place.

    def _root(self, node, name):
        first = next((argument for argument in node.args if isinstance(argument, torch.fx.Node)), None)
        self.aliases[node] = self.aliases.get(first, first) if name in ALIASES and first is not None else node

    def _write(self, call, result):
        """The tensor that is written into has the new values from here on; views of it would have them too."""
        target = call.node.args[0]
        if isinstance(self.values[target], torch.Tensor) and isinstance(result, torch.Tensor):
            return
        root, now = self.aliases.get(target, target), self.order[call.node]
        for other in self.values:
            if other in (target, call.node) or self.aliases.get(other, other) is not root:
                continue
            if any(self.order[user] > now for user in other.users):
                self._write_through(call, other, target, result)
        self.values[target] = result

    def _write_through(self, call, other, target, result):
        """A tensor whose part was written into: only what makes all of the part 0 is known."""
        place = axes.part_of(self, other, target)
        if place is None or call.name not in ("zero", "fill") or (call.name == "fill" and call["value"] != 0):
            call.refuse("writes into a part of a tensor that is read later", "build it by `torch.cat` or `torch.stack`")
        self.values[other] = elements.multiplied(call, self.view(call, self.values[other]), place)

    # Values.

    def view(self, call, value):
        """A value as a view; a parameter becomes a tensor that is learned, a constant a node."""
        if isinstance(value, View):
            return value
        if isinstance(value, Parameter):
            if value.name not in self.learned:
                self.take(call, value)
                self.learned[value.name] = layers.learned(call, value)
            return self.learned[value.name]
        if isinstance(value, (torch.Tensor, int, float, bool)):
            return axes.constant(call, torch.as_tensor(value))
        if isinstance(value, Noise):
            call.refuse("reads random numbers", "use `torch.nn.Dropout`, or multiply with them at once")
        call.refuse(f"reads {type(value).__name__}, not a tensor", "call it with a tensor")

    def take(self, call, parameter):
        """Notes that a parameter is used; a second use is refused."""
        if parameter.name in self.used:
            before = self.used[parameter.name] or "the model"
            call.refuse(
                f"reads the parameter `{parameter.name}` again, after `{before}`: layers that share weights cannot be pruned apart",
                "give each layer a module of its own",
            )
        self.used[parameter.name] = call.module or call.name

    def _output(self, node):
        (outputs,) = node.args
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        last = next(iter(outputs), None)
        call = Call(self, last if isinstance(last, torch.fx.Node) else node, {}, "output")
        call.module, call.node = "", node if not isinstance(last, torch.fx.Node) else last
        if len(outputs) != 1:
            call.refuse(
                f"gives {len(outputs)} tensors, expected one with a value a class",
                "return the logits alone, for instance with `aux_logits=False`",
            )
        value = self.view(call, self.values[last]).resolved()
        self.graph.place, self.graph.leaf = "", False
        if value.batch != 0 or len(value.shape) != 2 or value.shape[0] != IMAGES:
            call.refuse(f"has the shape {tuple(value.shape)} for {IMAGES} images", "end the model with one value a class")
        return value.arranged(), value.shape[1]


def _in_order(module):
    """All nodes as they are computed, those of inner graphs where they are called."""
    for node in module.graph.nodes:
        for argument in node.args if node.op == "call_function" else ():
            if isinstance(argument, torch.fx.Node) and argument.op == "get_attr":
                yield from _in_order(getattr(module, argument.target))
        yield node


def _flat(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value
