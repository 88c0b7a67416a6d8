"""The same images as people keep them: data_layouts.py FOLDER WHAT.

WHAT is `digits` (scikit-learn's 8x8 digits, rows of features too), `fashion` (6,000 + 2,000 of Fashion-MNIST), or `icons` (Oxygen's
icons, a folder a category, sizes, palettes and transparency as they come).
"""

import gzip
import io
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet
from PIL import Image

ROOT = pathlib.Path(sys.argv[1])


def idx(path):
    content = gzip.open(path).read()
    sizes = [int.from_bytes(content[4 + 4 * place : 8 + 4 * place], "big") for place in range(content[3])]
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(head + array.tobytes())


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def as_folders(root, parts):
    for part, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / part / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:05}.png").write_bytes(png(image))


def as_npz(path, parts):
    arrays = {}
    for part, (images, labels) in parts.items():
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    numpy.savez_compressed(path, **arrays)


def as_parquet(root, parts):
    root.mkdir(parents=True, exist_ok=True)
    for part, (images, labels) in parts.items():
        cells = [{"bytes": png(image), "path": f"{number}.png"} for number, image in enumerate(images)]
        table = pyarrow.table({"image": cells, "label": labels.astype(numpy.int64)})
        pyarrow.parquet.write_table(table, root / f"{part}-00000-of-00001.parquet")


def as_idx(root, parts):
    for part, (images, labels) in parts.items():
        stem = "train" if part == "train" else "t10k"
        write_idx(root / f"{stem}-images-idx3-ubyte", images)
        write_idx(root / f"{stem}-labels-idx1-ubyte", labels)


def fashion():
    source = pathlib.Path("/usr/share/datasets/fashion-mnist")
    parts = {}
    for part, stem, count in [("train", "train", 6000), ("test", "t10k", 2000)]:
        images = idx(source / f"{stem}-images-idx3-ubyte.gz")[:count]
        parts[part] = (images, idx(source / f"{stem}-labels-idx1-ubyte.gz")[:count])
    as_folders(ROOT / "folders", parts)
    as_npz(ROOT / "fashion.npz", parts)
    as_parquet(ROOT / "parquet", parts)
    as_idx(ROOT / "FashionMNIST" / "raw", parts)


def digits():
    import pandas
    import sklearn.datasets

    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = images.astype(numpy.uint8)
    numpy.savez(ROOT / "digits.npz", x=images.reshape(-1, 8, 8), y=labels)
    table = pandas.DataFrame(images, columns=[f"pixel{place}" for place in range(64)])
    table["label"] = labels
    table.to_csv(ROOT / "digits.csv", index=False)
    # The same as numbers between 0 and 1, which are no bytes.
    numpy.savez(ROOT / "floats.npz", x=(images / 16.0).astype(numpy.float32), y=labels)


def icons():
    source = pathlib.Path("/usr/share/icons/oxygen/base")
    modes = set()
    for size in ["16x16", "22x22", "32x32", "48x48"]:
        for category in ["actions", "apps", "devices", "mimetypes", "places", "status"]:
            folder = ROOT / "icons" / category
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted((source / size / category).glob("*.png")):
                with Image.open(path) as image:
                    modes.add(image.mode)
                (folder / f"{size}-{path.name}").write_bytes(path.read_bytes())
    print(" ".join(sorted(modes)))


{"digits": digits, "fashion": fashion, "icons": icons}[sys.argv[2]]()
