"""Records what torchvision does to images whose numbers are drawn, for `tests/train/augment.rs` to compare with.

The functions are torchvision's own (0.26), on tensors of bytes; cutout is written as its authors' program has it
(github.com/uoguelph-mlrg/Cutout). Images are made from the hashes of `record.py`.
"""

import json
import math

import numpy
import torch
from record import HERE, hashes, prepare
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import RandAugment, _apply_op

SIZE = (9, 7)


def image(channels):
    """Bytes from 40 to 168, in rows and columns that get lighter: no channel has all bytes, and edges are seen."""
    noise = (hashes(f"augment {channels}", channels * SIZE[0] * SIZE[1]) >> numpy.uint64(58)).astype(numpy.int64)
    rows, columns = numpy.meshgrid(numpy.arange(SIZE[0]), numpy.arange(SIZE[1]), indexing="ij")
    return torch.from_numpy(noise.reshape(channels, *SIZE) + 40 + 5 * rows + 4 * columns).to(torch.uint8)


def listed(tensor):
    return tensor.flatten().tolist()


def moved(pixels):
    yield "flip", [1], F.hflip(pixels)
    for padding, top, left in [(2, 0, 4), (2, 3, 1), (4, 8, 0)]:
        yield f"crop:{padding}", [top, left], F.crop(F.pad(pixels, padding), top, left, *SIZE)
    for part in [(0, 0, 9, 7), (2, 1, 5, 3), (1, 3, 8, 4), (4, 4, 1, 1), (0, 2, 3, 5)]:
        yield "random-resized-crop", list(part), F.resized_crop(pixels, *part, SIZE, antialias=True)
    for angle in [0.0, 7.3, -14.9, 33.0, 90.0, -121.7]:
        yield "rotate:180", [angle], F.rotate(pixels, angle, InterpolationMode.NEAREST, fill=[0.0] * pixels.shape[0])


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def jittered(pixels):
    functions = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation]
    for order, factors in enumerate([(0.6, 1.4, 0.9), (1.3, 0.7, 1.2), (1.9, 0.1, 0.0), (1.0, 1.1, 1.7), (0.3, 1.9, 0.5), (0.0, 1.5, 1.9)]):
        result = pixels
        for which in ORDERS[order]:
            result = functions[which](result, factors[which])
        yield "colour:0.9", [*factors, order], result


def chosen(pixels):
    for magnitude in [9, 30]:
        space = RandAugment(magnitude=magnitude)._augmentation_space(31, SIZE)
        for number, (name, (magnitudes, signed)) in enumerate(space.items()):
            for sign in [1, -1] if signed else [1]:
                value = sign * (float(magnitudes[magnitude].item()) if magnitudes.ndim > 0 else 0.0)
                fill = [0.0] * pixels.shape[0]
                result = _apply_op(pixels, name, value, interpolation=InterpolationMode.NEAREST, fill=fill)
                yield f"randaugment:1:{magnitude}", [number, sign], result


def cut_out(length, y, x):
    """The mask of `Cutout.__call__`, of one hole."""
    mask = numpy.ones(SIZE, numpy.float32)
    y1, y2 = numpy.clip(y - length // 2, 0, SIZE[0]), numpy.clip(y + length // 2, 0, SIZE[0])
    x1, x2 = numpy.clip(x - length // 2, 0, SIZE[1]), numpy.clip(x + length // 2, 0, SIZE[1])
    mask[y1:y2, x1:x2] = 0.0
    return torch.from_numpy(mask)


def main():
    prepare()
    recorded = []
    for channels in [1, 3]:
        pixels = image(channels)
        for made in [moved(pixels), jittered(pixels), chosen(pixels)]:
            for name, numbers, result in made:
                entry = {"alteration": name, "channels": channels, "numbers": numbers}
                recorded.append(entry | {"pixels": listed(result)})
    for length, y, x in [(4, 0, 0), (4, 5, 3), (6, 8, 6), (2, 4, 0)]:
        entry = {"alteration": f"cutout:{length}", "channels": 0, "numbers": [y, x]}
        recorded.append(entry | {"pixels": [int(value) for value in listed(cut_out(length, y, x))]})
    assert all(math.isfinite(number) for entry in recorded for number in entry["numbers"])
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in recorded)
    (HERE / "augment.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
