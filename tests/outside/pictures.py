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


def tiff(name, order, meaning, bits, width, pixels, colours=(), extra=None, samples=1, tile=None):
    """A TIFF of one strip of samples that are packed already, or of such tiles in a row, as Pillow does not write them."""
    height = len(pixels) * 8 // (-(-width * samples * bits // 8) * 8)
    letter = {"little": "<", "big": ">"}[order]
    fields = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * samples), (259, 3, [1]), (262, 3, [meaning]), (273, 4, [8]),
              (277, 3, [samples]), (278, 3, [height]), (279, 4, [len(pixels)])]
    fields += [(320, 3, list(colours))] if colours else []
    fields += [(338, 3, [extra])] if extra is not None else []
    data = bytes(pixels) + b"\0" * (len(pixels) % 2)
    if tile:
        # Of a side each, below each other as they come; those at the edges reach beyond the image.
        height, side = tile["height"], tile["side"]
        each = len(pixels) // tile["count"]
        fields = [field for field in fields if field[0] not in (257, 273, 278, 279)]
        fields += [(257, 3, [height]), (322, 3, [side]), (323, 3, [side])]
        fields += [(324, 4, [8 + each * number for number in range(tile["count"])]), (325, 4, [each] * tile["count"])]
        fields.sort()
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
        # Tiles of 16 pixels a side, of an image of 17 by 19, with a sample that is no colour.
        pixels = RANDOM.integers(0, 256, (2, 2, 16, 16, 4), dtype=numpy.uint8)
        tiff(f"tiles-{order}.tif", order, 2, 8, 17, pixels.tobytes(), extra=0, samples=4, tile={"height": 19, "side": 16, "count": 4})
        whole = pixels.transpose(0, 2, 1, 3, 4).reshape(32, 32, 4)[:19, :17, :3]
        with Image.open(ROOT / f"tiles-{order}.tif") as found:
            assert (numpy.asarray(found.convert("RGB")) == whole).all()
        case(f"tiles-{order}.tif", whole)
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


def jpegs_in_tiffs(colour):
    """Read where they are whole and as large as they should be."""
    colour.save(ROOT / "jpeg.tif", compression="jpeg", quality=90)
    with Image.open(ROOT / "jpeg.tif") as found:
        case("jpeg.tif", numpy.asarray(found.convert("RGB")), tolerance=6)
    whole = (ROOT / "jpeg.tif").read_bytes()
    start = whole.rindex(b"\xff\xc0") + 5
    end = whole.index(b"\xff\xd9", start)
    cut = whole[:end] + b"\0\0" + whole[end + 2 :]
    larger = whole[:start] + struct.pack(">HH", 16384, 16384) + whole[start + 4 :]
    for name, content, told in [("cut", cut, "it is cut off: a JPEG without its end"), ("larger", larger, "a JPEG of 16384x16384 pixels")]:
        (ROOT / f"{name}.tif").write_bytes(content)
        CASES.append({"file": f"{name}.tif", "size": [23, 31], "channels": 3, "bits": 8, "refused": told})


def turned_tiffs(colour):
    """A sample beyond the colours that is differences, too, and images that are kept on their side."""
    beside = Image.fromarray(numpy.concatenate([numpy.asarray(colour), smooth(23, 31, 1)], axis=2), "RGBX")
    beside.save(ROOT / "beside.tif", compression="tiff_lzw", tiffinfo={317: 2})
    case("beside.tif", numpy.asarray(beside.convert("RGB")))
    for turn in range(1, 9):
        for kind in ["RGB", "P", "L"]:
            name = f"turned-{turn}-{kind}.tif"
            # Of those that are not compressed Pillow turns the sides and not the pixels, unless they are coloured.
            colour.convert(kind).save(ROOT / name, compression="tiff_lzw", tiffinfo={274: turn})
            with Image.open(ROOT / name) as found:
                case(name, numpy.asarray(found.convert("RGB")))


def main():
    odd_tiffs()
    colour = Image.fromarray(smooth(23, 31, 3))
    clear = Image.fromarray(numpy.concatenate([smooth(23, 31, 3), smooth(23, 31, 1)], axis=2), "RGBA")
    grey = colour.convert("L")
    turned_tiffs(colour)
    jpegs_in_tiffs(colour)
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
    # What is not seen of a pixel colours no other; where little is seen, one more or less is much after the division.
    opaque = clear.copy()
    opaque.putalpha(Image.fromarray(numpy.where(smooth(23, 31, 1)[:, :, 0] < 128, 0, 255).astype(numpy.uint8)))
    opaque.save(ROOT / "opaque.png")
    for size in [(8, 8), (11, 31)]:
        smaller = numpy.asarray(opaque.resize((size[1], size[0]), Image.BILINEAR))
        case("opaque.png", smaller, tolerance=2, least_alpha=128)
    for ground, name in [((255, 255, 255), "white"), ((0, 0, 0), "black")]:
        under = Image.new("RGBA", clear.size, (*ground, 255))
        case("rgba.png", numpy.asarray(Image.alpha_composite(under, clear).convert("RGB")), tolerance=1, alpha=name)
    print(json.dumps(CASES))


main()
