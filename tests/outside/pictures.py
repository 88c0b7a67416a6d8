"""Images of all kinds, and their pixels as Pillow decodes and resizes them: pictures.py FOLDER.

Prints JSON: for each image its file, what it is brought to, the file of the values that Pillow has (bytes, or 16-bit numbers), and by how
much they may differ: JPEG and WebP lose, and every decoder rounds in its own way.
"""

import json
import pathlib
import struct
import sys

import numpy
from PIL import Image
from torchvision import transforms

ROOT = pathlib.Path(sys.argv[1])
RANDOM = numpy.random.default_rng(3)
CASES = []


def case(name, wanted, bits=8, tolerance=0, **how):
    size = [wanted.shape[0], wanted.shape[1]]
    channels = 1 if wanted.ndim == 2 else wanted.shape[2]
    values = ROOT / f"{len(CASES)}.values"
    values.write_bytes(numpy.ascontiguousarray(wanted).tobytes())
    CASES.append({"file": name, "values": values.name, "size": size, "channels": channels, "bits": bits, "tolerance": tolerance} | how)


def smooth(height, width, channels):
    coarse = RANDOM.integers(0, 256, (5, 6, channels), dtype=numpy.uint8)
    planes = [Image.fromarray(coarse[:, :, channel]).resize((width, height), Image.BICUBIC) for channel in range(channels)]
    return numpy.stack([numpy.asarray(plane) for plane in planes], axis=2)


def tiff(name, order, meaning, bits, width, pixels, colours=(), extra=None, samples=1):
    """A TIFF of one strip of samples that are packed already, as Pillow does not write them."""
    height = len(pixels) * 8 // (-(-width * samples * bits // 8) * 8)
    letter = {"little": "<", "big": ">"}[order]
    fields = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * samples), (259, 3, [1]), (262, 3, [meaning]), (273, 4, [8]),
              (277, 3, [samples]), (278, 3, [height]), (279, 4, [len(pixels)])]
    fields += [(320, 3, list(colours))] if colours else []
    fields += [(338, 3, [extra])] if extra is not None else []
    data = bytes(pixels) + b"\0" * (len(pixels) % 2)
    directory, behind = struct.pack(letter + "H", len(fields)), b""
    after = 8 + len(data) + 2 + 12 * len(fields) + 4
    for number, kind, values in fields:
        packed = struct.pack(f"{letter}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, behind = struct.pack(letter + "I", after + len(behind)), behind + packed
        directory += struct.pack(letter + "HHI", number, kind, len(values)) + packed.ljust(4, b"\0")
    head = struct.pack(letter + "2sHI", b"II" if order == "little" else b"MM", 42, 8 + len(data))
    (ROOT / name).write_bytes(head + data + directory + b"\0" * 4 + behind)


def odd_tiffs():
    """Those that the library does not read: palettes and grey of few bits, either meaning of zero, and kinds of alpha."""
    for order in ["little", "big"]:
        for meaning, bits in [(0, 1), (1, 1), (0, 2), (1, 2), (0, 4), (1, 4), (0, 8), (3, 1), (3, 2), (3, 4), (3, 8)]:
            name = f"bits-{meaning}-{bits}-{order}.tif"
            row = -(-13 * bits // 8)
            colours = RANDOM.integers(0, 65536, 3 << bits).tolist() if meaning == 3 else ()
            tiff(name, order, meaning, bits, 13, RANDOM.integers(0, 256, 7 * row, dtype=numpy.uint8).tobytes(), colours)
            with Image.open(ROOT / name) as found:
                case(name, numpy.asarray(found.convert("RGB")))
        for meaning, samples, extra in [(1, 2, 0), (1, 2, 1), (1, 2, 2), (2, 4, 0), (2, 4, 1), (2, 4, 2), (3, 2, 2)]:
            name = f"alpha-{meaning}-{extra}-{order}.tif"
            colours = RANDOM.integers(0, 65536, 3 << 8).tolist() if meaning == 3 else ()
            pixels = RANDOM.integers(0, 256, (7, 13, samples), dtype=numpy.uint8)
            if extra == 1:
                # Never more colour than there is of the pixel.
                pixels[:, :, :-1] = numpy.minimum(pixels[:, :, :-1], pixels[:, :, -1:])
            tiff(name, order, meaning, 8, 13, pixels.tobytes(), colours, extra, samples)
            with Image.open(ROOT / name) as found:
                clear = found.convert("LA") if found.mode == "La" else found
                case(name, numpy.asarray(clear.convert("RGB")))
                under = Image.new("RGBA", found.size, (255, 255, 255, 255))
                case(name, numpy.asarray(Image.alpha_composite(under, clear.convert("RGBA")).convert("RGB")), tolerance=1, alpha="white")


def main():
    odd_tiffs()
    colour = Image.fromarray(smooth(23, 31, 3))
    clear = Image.fromarray(numpy.concatenate([smooth(23, 31, 3), smooth(23, 31, 1)], axis=2), "RGBA")
    grey = colour.convert("L")
    kinds = {
        "rgb": colour,
        "rgba": clear,
        "l": grey,
        "la": clear.convert("LA"),
        "p": colour.quantize(64),
        "p4": colour.quantize(12),
        "1": grey.convert("1"),
    }
    for kind, image in kinds.items():
        for ending in ["png", "bmp", "tif", "webp"]:
            if (ending == "bmp" and kind in ("la",)) or (ending == "webp" and kind in ("p", "p4", "1", "la")):
                continue
            name = f"{kind}.{ending}"
            image.save(ROOT / name, **({"lossless": True, "exact": True} if ending == "webp" else {}))
            with Image.open(ROOT / name) as found:
                case(name, numpy.asarray(found.convert("RGB")))
                case(name, numpy.asarray(found.convert("RGB").convert("L")) if found.mode != "L" else numpy.asarray(found))
    for name, image, options in [
        ("colour.jpg", colour, {"quality": 90}),
        ("progressive.jpg", colour, {"quality": 80, "progressive": True}),
        ("full.jpg", colour, {"quality": 95, "subsampling": 0}),
        ("grey.jpg", grey, {"quality": 90}),
        ("lossy.webp", colour, {"quality": 80}),
        ("lzw.tif", colour, {"compression": "tiff_lzw"}),
        ("deflate.tif", colour, {"compression": "tiff_adobe_deflate"}),
        ("packbits.tif", grey, {"compression": "packbits"}),
    ]:
        image.save(ROOT / name, **options)
        with Image.open(ROOT / name) as found:
            lossy = name.endswith("jpg") or name == "lossy.webp"
            case(name, numpy.asarray(found.convert("RGB")), tolerance=6 if lossy else 0)
    deep = RANDOM.integers(0, 65536, (9, 7), dtype=numpy.uint16)
    for name in ["deep.png", "deep.tif"]:
        Image.fromarray(deep).save(ROOT / name)
        case(name, deep, bits=16)
    colour.transpose(Image.TRANSPOSE).save(ROOT / "upright.png")
    for size in [(8, 8), (40, 17), (23, 64)]:
        wide = colour.resize((size[1], size[0]), Image.BILINEAR)
        case("rgb.png", numpy.asarray(wide), tolerance=1)
        case("l.png", numpy.asarray(grey.resize((size[1], size[0]), Image.BILINEAR)), tolerance=1)
    # The shorter side, then the middle, as torchvision has them: of 31x23 pixels there are 1 to 7 to be cut away.
    for side in [3, 7, 9, 14, 16, 20, 23, 40]:
        cropped = transforms.CenterCrop(side)(transforms.Resize(side)(colour))
        case("rgb.png", numpy.asarray(cropped), tolerance=1, resize="crop")
        case("upright.png", numpy.asarray(cropped.transpose(Image.TRANSPOSE)), tolerance=1, resize="crop")
    for ground, name in [((255, 255, 255), "white"), ((0, 0, 0), "black")]:
        under = Image.new("RGBA", clear.size, (*ground, 255))
        case("rgba.png", numpy.asarray(Image.alpha_composite(under, clear).convert("RGB")), tolerance=1, alpha=name)
    print(json.dumps(CASES))


main()
