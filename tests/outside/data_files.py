"""Data sets as the programs of others write them, and what these say is in them: data_files.py FOLDER.

Writes the sets into FOLDER, and prints JSON: for each set its place, options, and all examples of its parts, read by the library that it
is made for (torchvision, NumPy, SciPy, pandas, PyArrow, safetensors). Tests of the readers compare.
"""

import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile

import numpy
import pandas
import pyarrow
import pyarrow.parquet
import safetensors.numpy
import scipy.io
import sklearn.datasets
import torchvision
from PIL import Image

ROOT = pathlib.Path(sys.argv[1])
RANDOM = numpy.random.default_rng(5)
SETS, REFUSED = [], []


def place(name):
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def label(value):
    return value if isinstance(value, str) else int(value)


def arrays(values, labels, channels="last"):
    """Examples of arrays: channels are moved to the end, as readers give them, and first in their shape."""
    examples = []
    for value, own in zip(values, labels, strict=True):
        value = numpy.asarray(value)
        if value.ndim == 3 and channels == "first":
            value = value.transpose(1, 2, 0)
        if value.ndim == 2 and channels == "signal first":
            value = value.T
        if value.ndim == 2 and "signal" not in channels:
            value = value[:, :, None]
        shape = list(value.shape)
        shape = shape[-1:] + shape[:-1] if len(shape) > 1 else shape
        kind = "bytes" if value.dtype == numpy.uint8 else "whole" if value.dtype.kind in "iu" else "floats"
        numbers = value.astype(numpy.float32) if kind == "floats" else value
        examples.append({"label": label(own), "shape": shape, "kind": kind, "numbers": numbers.ravel().tolist()})
    return examples


def files(contents, labels):
    return [{"label": label(own), "file": content.hex()} for content, own in zip(contents, labels, strict=True)]


def found(name, train, validation=None, test=None, options=None):
    SETS.append({"path": name, "options": options or {}, "parts": {"train": train, "validation": validation, "test": test}})


def encoded(form="PNG", mode="RGB"):
    size = (RANDOM.integers(3, 9), RANDOM.integers(3, 9), 3)
    out = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, size, dtype=numpy.uint8)).convert(mode).save(out, form)
    return out.getvalue()


def image_folders():
    for part in ("train", "test"):
        for kind in ("zebra", "Ant", "ant"):
            for index, form in enumerate(["PNG", "JPEG", "WEBP", "BMP", "TIFF"]):
                place(f"folders/{part}/{kind}/{index}.{form}").write_bytes(encoded(form))
        place(f"folders/{part}/Ant/deeper/9.jpg").write_bytes(encoded("JPEG"))

    def part(name):
        data = torchvision.datasets.ImageFolder(str(ROOT / "folders" / name))
        # torchvision goes into folders after their files; examples here are in the order of their whole names.
        samples = sorted(data.samples, key=lambda sample: sample[0].encode())
        return files([pathlib.Path(path).read_bytes() for path, _ in samples], [data.classes[index] for _, index in samples])

    found("folders", part("train"), None, part("test"))


def numpy_arrays():
    kinds = ["|b1", "|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">i4", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
    for index, kind in enumerate(kinds):
        for order in "CF":
            values = (RANDOM.random((4, 5, 6, 3)) * 250).astype(numpy.dtype(kind))
            x = numpy.array(values, order=order)
            y = numpy.arange(4).astype(kind if kind != "|b1" else "<i4")
            name = f"npz/{index}{order}.npz"
            save = numpy.savez if index % 2 else numpy.savez_compressed
            save(place(name), x=x, y=y.reshape(4, 1) if order == "F" else y)
            found(name, arrays(values, y))
    first = RANDOM.integers(0, 256, (4, 3, 5, 6), dtype=numpy.uint8)
    words = numpy.array(["cat", "dög", "", "a"])
    for name, own in [("text", words), ("bytes", numpy.array([b"cat", b"dog", b"cat", b"a"]))]:
        numpy.savez(place(f"npz/{name}.npz"), images=first, labels=own)
        plain = [word.decode() if isinstance(word, bytes) else str(word) for word in own]
        found(f"npz/{name}.npz", arrays(first, plain, "first"))
    hot = numpy.eye(4, dtype=numpy.float32)[[2, 0, 3, 1]]
    numpy.savez(place("npz/hot.npz"), first, hot)
    found("npz/hot.npz", arrays(first, [2, 0, 3, 1], "first"))
    signals = RANDOM.random((4, 2, 7), dtype=numpy.float32)
    for name, part in [("train", slice(0, 3)), ("test", slice(3, 4))]:
        numpy.save(place(f"npy/x_{name}.npy"), numpy.asfortranarray(signals[part]))
        numpy.save(place(f"npy/y_{name}.npy"), numpy.arange(4)[part])
    examples = arrays(signals, range(4), "signal first")
    found("npy", examples[:3], None, examples[3:], {"axes": "first"})
    medical = {f"{part}_{what}": value for part in ("train", "val", "test") for what, value in [("images", first), ("labels", numpy.arange(4)[:, None])]}
    numpy.savez(place("npz/medmnist.npz"), **medical)
    part = arrays(first, range(4), "first")
    found("npz/medmnist.npz", part, part, part)
    numpy.savez(place("npz/objects.npz"), x=numpy.array([[1], [2, 3]], dtype=object), y=[0, 1])
    REFUSED.append({"path": "npz/objects.npz", "words": "Python's objects"})


def idx(name, array):
    array = numpy.ascontiguousarray(array)
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    place(name).write_bytes(header + array.astype(array.dtype.newbyteorder(">")).tobytes())


def vision():
    images = RANDOM.integers(0, 256, (5, 28, 28), dtype=numpy.uint8)
    labels = numpy.array([3, 1, 9, 0, 3], dtype=numpy.uint8)
    for kind in ("MNIST", "FashionMNIST", "KMNIST"):
        for word in ("train", "t10k"):
            idx(f"vision/{kind}/raw/{word}-images-idx3-ubyte", images)
            idx(f"vision/{kind}/raw/{word}-labels-idx1-ubyte", labels)
        read = [getattr(torchvision.datasets, kind)(str(ROOT / "vision"), train=train) for train in (True, False)]
        train, test = (arrays(data.data.numpy(), data.targets) for data in read)
        found(f"vision/{kind}", train, None, test)
        found(f"vision/{kind}/raw", train, None, test)
    for split in ("letters", "balanced"):
        for word in ("train", "test"):
            idx(f"vision/EMNIST/raw/emnist-{split}-{word}-images-idx3-ubyte", images)
            idx(f"vision/EMNIST/raw/emnist-{split}-{word}-labels-idx1-ubyte", labels)
    data = torchvision.datasets.EMNIST(str(ROOT / "vision"), split="letters")
    # As its publisher says, they are turned and mirrored; torchvision leaves them so.
    upright = arrays(data.data.numpy().transpose(0, 2, 1), data.targets)
    found("vision/EMNIST", upright, None, upright, {"train": "emnist-letters-train-*", "test": "emnist-letters-test-*"})
    wide = numpy.concatenate([labels[:, None].astype(numpy.int32), RANDOM.integers(0, 9, (5, 7), dtype=numpy.int32)], axis=1)
    for word in ("train", "test"):
        idx(f"vision/QMNIST/raw/qmnist-{word}-images-idx3-ubyte", images)
        idx(f"vision/QMNIST/raw/qmnist-{word}-labels-idx2-int", wide)
    read = [torchvision.datasets.QMNIST(str(ROOT / "vision"), what=what) for what in ("train", "test")]
    train, test = (arrays(data.data.numpy(), [target for _, target in data]) for data in read)
    found("vision/QMNIST", train, None, test)
    for code in ("i1", "i2", "i4", "f4", "f8"):
        values = (RANDOM.random((3, 4, 2)) * 100).astype(code)
        idx(f"idx/{code}/a-images", values)
        idx(f"idx/{code}/a-labels", numpy.arange(3, dtype=code))
        found(f"idx/{code}", arrays(values, range(3)))


def cifar():
    for kind, folder, key, names in [
        (torchvision.datasets.CIFAR10, "cifar-10-batches-py", "labels", ["data_batch_1", "data_batch_2", "test_batch"]),
        (torchvision.datasets.CIFAR100, "cifar-100-python", "fine_labels", ["train", "test"]),
    ]:
        for name in names:
            batch = {"data": RANDOM.integers(0, 256, (3, 3072), dtype=numpy.uint8), key: [1, 7, 9], "filenames": ["a.png", "ä.png", "c.png"]}
            batch["coarse_labels"] = [0, 0, 0]
            place(f"{folder}/{name}").write_bytes(pickle.dumps(batch, protocol=2))
        meta = {"label_names": ["x"] * 10, "fine_label_names": ["x"] * 100}
        meta_name = "batches.meta" if "10-" in folder else "meta"
        place(f"{folder}/{meta_name}").write_bytes(pickle.dumps(meta, protocol=2))

        class Unchecked(kind):
            train_list = [[name, None] for name in names[:-1]]
            test_list = [[names[-1], None]]
            meta = {"filename": meta_name, "key": "label_names" if "10-" in folder else "fine_label_names", "md5": None}

        train, test = (Unchecked(str(ROOT), train=train) for train in (True, False))
        found(folder, arrays(train.data, train.targets), None, arrays(test.data, test.targets))


def stl_and_svhn():
    for word in ("train", "test"):
        place(f"stl10_binary/{word}_X.bin").write_bytes(RANDOM.integers(0, 256, 2 * 3 * 96 * 96, dtype=numpy.uint8).tobytes())
        place(f"stl10_binary/{word}_y.bin").write_bytes(bytes([1, 10]))
    place("stl10_binary/class_names.txt").write_text("a\n" * 10)

    class Stl(torchvision.datasets.STL10):
        train_list = [["train_X.bin", None], ["train_y.bin", None]]
        test_list = [["test_X.bin", None], ["test_y.bin", None]]

    read = [Stl(str(ROOT), split=split) for split in ("train", "test")]
    # The numbers of its files begin at 1, those of torchvision at 0.
    train, test = (arrays(data.data, data.labels + 1, "first") for data in read)
    found("stl10_binary", train, None, test)
    for packed in (True, False):
        folder = f"svhn{int(packed)}"
        for word in ("train", "test"):
            content = {"X": RANDOM.integers(0, 256, (32, 32, 3, 4), dtype=numpy.uint8), "y": numpy.array([[10], [1], [2], [10]], dtype=numpy.uint8)}
            scipy.io.savemat(place(f"{folder}/{word}_32x32.mat"), content, do_compression=packed)

        class Svhn(torchvision.datasets.SVHN):
            split_list = {word: ["", f"{word}_32x32.mat", None] for word in ("train", "test")}

        read = [Svhn(str(ROOT / folder), split=split) for split in ("train", "test")]
        train, test = (arrays(data.data, data.labels, "first") for data in read)
        found(folder, train, None, test)


def matlab():
    for index, kind in enumerate(["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"]):
        content = {"note": "words", "x": (RANDOM.random((4, 6)) * 100).astype(kind), "y": numpy.arange(4.0), "cells": numpy.array([1, "a"], dtype=object)}
        name = f"mat/{index}.mat"
        scipy.io.savemat(place(name), content, do_compression=bool(index % 2))
        read = scipy.io.loadmat(ROOT / name)
        found(name, arrays(read["x"], read["y"].ravel()))


def tables():
    iris = sklearn.datasets.load_iris(as_frame=True)
    frame = iris.frame.iloc[::10].copy()
    values = frame[iris.feature_names].to_numpy()
    frame["species"] = [str(iris.target_names[target]) for target in frame["target"]]
    words, numbers = frame["species"].tolist(), frame["target"].tolist()
    for name, columns, own, settings in [
        ("plain", [*iris.feature_names, "target"], numbers, {"index": False}),
        ("words", ["species", *iris.feature_names], words, {"index": False, "sep": ";"}),
        ("indexed", [*iris.feature_names, "species"], words, {"sep": "\t", "quoting": 2}),
        ("bare", [*iris.feature_names, "species"], words, {"index": False, "header": False}),
        ("packed", [*iris.feature_names, "target"], numbers, {"index": False, "lineterminator": "\r\n"}),
    ]:
        ending = ".csv.gz" if name == "packed" else ".csv"
        frame[columns].to_csv(place(f"csv/{name}{ending}"), **settings)
        found(f"csv/{name}{ending}", arrays(values, own))
    frame.loc[frame.index[3], iris.feature_names[1]] = None
    frame[[*iris.feature_names, "target"]].to_csv(place("csv/missing.csv"), index=False)
    REFUSED.append({"path": "csv/missing.csv", "words": "row 5, column `sepal width (cm)`: a value is missing"})


def tensors():
    for index, kind in enumerate(["bool", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f4", "f8"]):
        values = (RANDOM.random((3, 3, 4, 5)) * 90).astype(kind)
        content = {"train_images": values, "train_labels": numpy.arange(3), "test_images": values[:1], "test_labels": numpy.arange(1)}
        name = f"tensors/{index}.safetensors"
        safetensors.numpy.save_file({key: numpy.ascontiguousarray(value) for key, value in content.items()}, place(name), {"by": "me"})
        found(name, arrays(values, range(3), "first"), None, arrays(values[:1], range(1), "first"))


def parquet():
    names = ["cat", "dog"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    contents = [encoded() for _ in range(7)]
    labels = [0, 1, 1, 0, 1, 0, 0]
    images = pyarrow.array([{"bytes": content, "path": "a.png"} for content in contents])
    table = pyarrow.table({"image": images, "label": pyarrow.array(labels, pyarrow.int64())}).replace_schema_metadata(metadata)
    expected = files(contents, [names[index] for index in labels])
    for compression in ("none", "snappy", "gzip", "lz4"):
        for version in ("1.0", "2.0"):
            folder = f"parquet/{compression}{version}"
            for index, part in enumerate([table.slice(0, 3), table.slice(3, 2)]):
                path = place(f"{folder}/data/train-0000{index}-of-00002.parquet")
                pyarrow.parquet.write_table(part, path, compression=compression, data_page_version=version, row_group_size=2)
            pyarrow.parquet.write_table(table.slice(5), place(f"{folder}/data/test-00000-of-00001.parquet"), compression=compression)
            found(folder, expected[:5], None, expected[5:])
    pyarrow.parquet.write_table(table, place("parquet/zstd.parquet"), compression="zstd")
    REFUSED.append({"path": "parquet/zstd.parquet", "words": "compressed with ZSTD"})
    for index, kind in enumerate(["uint8", "int16", "int32", "int64", "float32", "float64"]):
        values = (RANDOM.random((4, 3, 5, 6)) * 100).astype(kind)
        nested = pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.type_for_alias(kind))))
        words = pyarrow.array(["a", "b", "a", "c"]).dictionary_encode()
        table = pyarrow.table({"pixels": pyarrow.array(values.tolist(), nested), "label": words})
        name = f"parquet/nested{index}.parquet"
        pyarrow.parquet.write_table(table, place(name), use_dictionary=bool(index % 2))
        found(name, arrays(values, ["a", "b", "a", "c"], "first"))
    binary = pyarrow.table({"img": pyarrow.array(contents, pyarrow.binary()), "fine_label": labels, "coarse_label": labels})
    pyarrow.parquet.write_table(binary, place("parquet/binary.parquet"))
    found("parquet/binary.parquet", files(contents, labels))
    frame = pandas.DataFrame(RANDOM.random((4, 3)), columns=["a", "b", "c"]).assign(y=[0, 1, 0, 1])
    frame.to_parquet(place("parquet/frame.parquet"))
    found("parquet/frame.parquet", arrays(frame[["a", "b", "c"]].to_numpy(), frame["y"]))


def shards():
    contents = [encoded("JPEG") for _ in range(4)]
    for name, form, mode in [("ustar", tarfile.USTAR_FORMAT, "w"), ("gnu", tarfile.GNU_FORMAT, "w"), ("pax", tarfile.PAX_FORMAT, "w:gz")]:
        deep = "x" * (60 if name == "ustar" else 180)
        ending = ".tar.gz" if mode == "w:gz" else ".tar"
        for shard in range(2):
            with tarfile.open(place(f"shards/{name}/train-000{shard}{ending}"), mode, format=form) as archive:
                for index in (2 * shard, 2 * shard + 1):
                    own = str(index).encode() if shard == 0 else json.dumps({"label": index}).encode()
                    for suffix, content in [("jpg", contents[index]), ("cls" if shard == 0 else "json", own)]:
                        about = tarfile.TarInfo(f"ä/{deep}/{index:04d}.{suffix}")
                        about.size = len(content)
                        archive.addfile(about, io.BytesIO(content))
        found(f"shards/{name}", files(contents, range(4)))
        found(f"shards/{name}/train-{{0000..0001}}{ending}", files(contents, range(4)))


for write in (image_folders, numpy_arrays, vision, cifar, stl_and_svhn, matlab, tables, tensors, parquet, shards):
    write()
print(json.dumps({"sets": SETS, "refused": REFUSED}))
