"""`tombola.from_torch`: small models become files that compute the same, and what cannot be taken is refused where it stands.

Needs torch, and safetensors for what is compared. Whole architectures are in `tests/outside/from_torch.py`.
"""

import importlib.util
import pathlib
import re
import sys
import tempfile
import tomllib
import unittest

import tombola

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise unittest.SkipTest("torch cannot be imported") from error

OUTSIDE = pathlib.Path(__file__).resolve().parents[2] / "tests/outside"


class Model(nn.Module):
    """What a function does with its modules and parameters."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._function = forward

    def forward(self, x):
        return self._function(self, x)


class Files(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = f"{place.name}/net.toml"
        torch.manual_seed(0)

    def taken(self, model, shape):
        """The nodes of the file, which computes what the model does, and the summary."""
        summary = tombola.from_torch(model, shape, self.path)
        with open(self.path, "rb") as file:
            table = tomllib.load(file)
        if importlib.util.find_spec("safetensors"):
            self.compare(model, shape)
        self.assertEqual((tuple(table["input"]), table["classes"]), (tuple(shape), 10))
        return table["nodes"], summary

    def compare(self, model, shape):
        sys.path.insert(0, str(OUTSIDE))
        self.addCleanup(sys.path.remove, str(OUTSIDE))
        import network_file

        network = network_file.NetworkFile(self.path, self.path.replace(".toml", ".safetensors"))
        images = torch.randn(3, *shape)
        self.assertEqual({name for name, _ in model.named_parameters()}, set(network.parameters))
        for training in (False, True):
            model.train(training)
            network.weights_of(model)
            expected, found = model(images), network.run(images, training)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        expected.square().sum().backward()
        found.square().sum().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(network.parameters[name].grad, parameter.grad, rtol=1e-3, atol=1e-4, msg=name)
        for name, buffer in network.statistics.items():
            torch.testing.assert_close(buffer, model.get_buffer(name), rtol=1e-4, atol=1e-5)

    def ops(self, nodes):
        return [node["op"] for node in nodes]

    def test_a_residual_block_without_parameters_in_its_shortcut(self):
        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
            y = self.bn2(self.conv2(x))
            y += functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
            return self.fc(functional.avg_pool2d(y, y.shape[3]).view(y.size(0), -1))

        model = Model(
            forward, conv1=nn.Conv2d(3, 8, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(8), conv2=nn.Conv2d(8, 16, 3, 2, 1, bias=False),
            bn2=nn.BatchNorm2d(16), fc=nn.Linear(16, 10),
        )  # fmt: skip
        nodes, summary = self.taken(model, (3, 16, 16))
        self.assertEqual(self.ops(nodes), "conv batch-norm relu conv batch-norm pad-shortcut add avg-pool flatten linear".split())
        shortcut = next(node for node in nodes if node["op"] == "pad-shortcut")
        self.assertEqual((shortcut["stride"], shortcut["before"], shortcut["after"]), (2, 4, 4))
        self.assertIn('network = "net.toml"', str(summary))
        self.assertIn('load = "net.safetensors"', str(summary))
        self.assertEqual(summary.parameters, sum(parameter.numel() for parameter in model.parameters()))
        self.assertTrue(model.training)

    def test_attention_keeps_the_axis_of_the_images_in_front(self):
        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
            q, k, v = self.qkv(self.norm(x)).reshape(len(x), -1, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
            x = x + functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            return self.head(x[:, 0])

        model = Model(
            forward, patches=nn.Conv2d(3, 16, 4, 4), token=nn.Parameter(torch.zeros(1, 1, 16)), places=nn.Parameter(torch.randn(1, 5, 16)),
            norm=nn.LayerNorm(16), qkv=nn.Linear(16, 48), head=nn.Linear(16, 10),
        )  # fmt: skip
        nodes, _ = self.taken(model, (3, 8, 8))
        self.assertEqual([node["start"] for node in nodes if node["op"] == "slice" and node["from"] != [len(nodes) - 3]][:3], [0, 16, 32])
        self.assertTrue(all(node["order"][0] == 0 for node in nodes if node["op"] == "permute"))

    def test_pytorch_s_own_attention_with_places_in_front(self):
        def forward(self, x):
            x = self.patches(x).flatten(2).permute(2, 0, 1)
            return self.head(self.attention(x, x, x, need_weights=False)[0].mean(0))

        model = Model(forward, patches=nn.Conv2d(3, 16, 4, 4), attention=nn.MultiheadAttention(16, 4), head=nn.Linear(16, 10))
        nodes, _ = self.taken(model, (3, 8, 8))
        names = {node["name"]: node.get("parameters") for node in nodes}
        self.assertEqual(names["attention.in_proj"], ["attention.in_proj_weight", "attention.in_proj_bias"])

    def test_a_channel_shuffle_is_one_node(self):
        def forward(self, x):
            x = self.conv(x).view(len(x), 2, 4, 8, 8).transpose(1, 2).reshape(len(x), 8, 8, 8)
            return self.fc(self.pool(x).flatten(1))

        model = Model(forward, conv=nn.Conv2d(4, 8, 1, groups=2), pool=nn.AdaptiveAvgPool2d(1), fc=nn.Linear(8, 10))
        nodes, _ = self.taken(model, (4, 8, 8))
        self.assertEqual(self.ops(nodes), ["conv", "select", "global-average-pool", "linear"])

    def test_what_depends_on_nothing_learned_is_a_constant(self):
        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = x + torch.sin(torch.arange(4.0))[:, None] + self.table[self.index.view(-1)].view(4, 16)
            mask = torch.ones(4, 4).triu(1).bool()
            return self.head(((x @ x.mT).masked_fill(mask, float("-inf")).softmax(-1) @ x).mean(1))

        model = Model(forward, patches=nn.Conv2d(3, 16, 4, 4), table=nn.Parameter(torch.randn(3, 16)), head=nn.Linear(16, 10))
        model.register_buffer("index", torch.tensor([[2, 0], [1, 1]]))
        nodes, summary = self.taken(model, (3, 8, 8))
        self.assertEqual((self.ops(nodes).count("constant"), self.ops(nodes).count("take")), (2, 1))
        self.assertIn("`index`", str(summary))

    def test_signals_and_rows_are_taken_too(self):
        signals = nn.Sequential(nn.Conv1d(2, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1))
        self.taken(nn.Sequential(signals, nn.Flatten(), nn.Linear(8, 10)), (2, 32))
        self.taken(nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.PReLU(), nn.Linear(16, 10)), (20,))

    def test_dropout_and_stochastic_depth_are_told_apart(self):
        def forward(self, x):
            x = self.conv(x)
            kept = x.new_empty((len(x), 1, 1, 1)).bernoulli_(0.8)
            kept.div_(0.8)
            return self.fc(functional.dropout(functional.dropout2d(x * kept, 0.3), 0.5).mean((2, 3)))

        tombola.from_torch(Model(forward, conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4, 10)), (3, 8, 8), self.path)
        with open(self.path, "rb") as file:
            nodes = tomllib.load(file)["nodes"]
        self.assertEqual([(n["of"], n["rate"]) for n in nodes if n["op"] == "dropout"], [("images", 0.2), ("channels", 0.3), ("values", 0.5)])

    def refused(self, model, *words):
        with self.assertRaises(tombola.TombolaError) as caught:
            tombola.from_torch(model, (3, 8, 8), self.path)
        for word in [*words, "hint: "]:
            self.assertIn(word, str(caught.exception))
        self.assertFalse(pathlib.Path(self.path).exists())

    def test_what_cannot_be_taken_is_named_with_its_line(self):
        conv, fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 10)
        here = "test_network.py, line "
        self.refused(Model(lambda self, x: self.fc(self.conv(self.conv(x)).mean((2, 3))), conv=conv, fc=fc), "`conv.weight` again", here)
        self.refused(Model(lambda self, x: self.fc(x.mean((2, 3)) - x.mean()), fc=fc), "`mean` joins the images", here)
        self.refused(Model(lambda self, x: self.fc(x.mean((2, 3)).cumsum(1)), fc=fc), "the model: `cumsum` is no operation", here)
        self.refused(Model(lambda self, x: self.fc(x.mean((2, 3))) if x.sum() > 0 else x, fc=fc), "data-dependent", here)
        self.refused(Model(lambda self, x: (self.fc(x.mean((2, 3))), x), fc=fc), "gives 2 tensors")
        self.refused(Model(lambda self, x: functional.conv2d(x, self.conv.weight * 2).mean((2, 3)), conv=conv), "weights that are computed", here)

    def test_what_is_no_model_shape_or_path_is_refused(self):
        for arguments, words in [
            (("net", (3, 8, 8), self.path), "found str, expected a model"),
            ((nn.Flatten(), 3, self.path), "`input_shape` is 3"),
            ((nn.Flatten(), (1, 2, 3, 4), self.path), "without the batch"),
            ((nn.Flatten(), (3, 8, 8), "net"), "`.toml`"),
        ]:
            with self.assertRaisesRegex(tombola.TombolaError, re.escape(words)):
                tombola.from_torch(*arguments)


if __name__ == "__main__":
    unittest.main()
