"""Writes models that PyTorch exports as ONNX, in evaluation mode's numbers, and what each gives for some images.

    models.py FOLDER

Of each NAME, `NAME.onnx` and `NAME.safetensors` with `images` and `scores`. Prints a line of JSON: of each file the names of the
model's own state dict.
"""

import contextlib
import copy
import json
import pathlib
import sys
import warnings

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")


class Block(nn.Module):
    """A transformer's: layer norms, attention by hand and by PyTorch's function, GELU."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width, bias=False)
        self.fc2 = nn.Linear(2 * width, width)
        self.gamma = nn.Parameter(0.1 * torch.ones(width))

    def forward(self, x):
        images, places, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(images, places, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(seen.transpose(1, 2).reshape(images, places, width))
        return x + self.gamma * self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 24))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 17, 24))
        self.blocks = nn.Sequential(Block(24, 3), Block(24, 3))
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Mixed(nn.Module):
    """Convolutions of all kinds, squeeze and excitation, and functions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8, eps=1e-3, momentum=0.01), nn.SiLU())
        self.depth = nn.Conv2d(8, 8, 3, 1, 2, dilation=2, groups=8)
        self.bare = nn.BatchNorm2d(8, affine=False)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.slopes = nn.PReLU(8)
        self.up = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)
        self.group = nn.GroupNorm(2, 6)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(6 * 4 * 4 + 6, 10)

    def forward(self, x):
        x = self.stem(x)
        y = F.hardswish(self.bare(self.depth(x)))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        x = self.slopes(y * gate) + x
        first, second = x.chunk(2, 1)
        x = torch.cat((F.leaky_relu(second, 0.1), F.elu(first)), 1)
        x = F.pad(F.max_pool2d(x, 3, 2, 1), (1, 0, 1, 0))
        x = F.interpolate(F.relu6(self.group(self.up(x))), size=(8, 8), mode="bilinear", align_corners=False)
        x = x * 2 - F.softplus(x) / 3
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.fc(self.drop(torch.cat((F.avg_pool2d(x, 2).flatten(1), pooled), 1)))


def moved(model):
    """A model whose norms are not as they begin."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if "num_batches" not in name and value.dim() == 1:
                value.add_(0.1 * torch.rand_like(value))
    return model


def models():
    yield "transformer", Transformer(), 16
    yield "mixed", Mixed(), 32
    try:
        import torchvision
    except ImportError:
        return
    yield "mobilenet", torchvision.models.mobilenet_v3_small(num_classes=10), 32
    yield "shufflenet", torchvision.models.shufflenet_v2_x0_5(num_classes=10), 32
    convnext = torchvision.models.convnext
    blocks = [convnext.CNBlockConfig(16, 32, 2), convnext.CNBlockConfig(32, None, 1)]
    yield "convnext", convnext.ConvNeXt(blocks, 0.0, num_classes=10), 32


def exported(model, images, path, how):
    dynamic = {"input": {0: "N"}, "output": {0: "N"}}
    more = {"input_names": ["input"], "output_names": ["output"]}
    if how == "dynamo":
        axes = torch.export.Dim("N", min=1, max=64)
        torch.onnx.export(model, (images,), path, dynamo=True, external_data=False, dynamic_shapes=({0: axes},), **more)
        return
    mode = torch.onnx.TrainingMode.EVAL if how == "eval" else torch.onnx.TrainingMode.TRAINING
    fold = {"do_constant_folding": how == "eval", "export_params": True}
    more |= {} if how == "one" else {"dynamic_axes": dynamic}
    torch.onnx.export(model, (images,), path, dynamo=False, training=mode, opset_version=17, **fold, **more)


def main():
    folder, told = pathlib.Path(sys.argv[1]), {}
    for name, model, side in models():
        model = moved(model).eval()
        images = torch.randn(3, 3, side, side)
        for how in ("training", "one", "dynamo", "eval"):
            if (name, how[:6]) == ("convnext", "dynamo"):
                # Its pool becomes strides over memory there.
                continue
            file, own = f"{name}-{how}", copy.deepcopy(model)
            try:
                own.train(how in ("training", "one"))
                # The exporter prints what it does.
                with contextlib.redirect_stdout(sys.stderr):
                    exported(own, images[:1] if how == "one" else images, str(folder / f"{file}.onnx"), how)
            except Exception as error:
                print(f"{file}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
                continue
            # In training, statistics move while it is exported.
            save_file({"images": images, "scores": own.eval()(images).detach()}, folder / f"{file}.safetensors")
            told[file] = sorted(key for key in model.state_dict() if "num_batches" not in key)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
