"""Packs the kit: `python3 scripts/kit/pack.py WHEEL COMMIT DATA PATCHELF OUT <BUILT`; prints the path of the archive.

BUILT is what cargo says of the test programs (`--message-format=json`), DATA the folder of Fashion-MNIST, OUT the folder of the
archive. The same files make the same bytes: order, owners and times are fixed. Plain Python, nothing to install; `scripts/gpu-kit`
calls it.

The programs of the wheel are much the same three times over. A wheel compresses each by itself, so here it lies uncompressed
inside an archive that sees them all at once: 9 MB instead of 25.
"""

import gzip
import io
import json
import lzma
import pathlib
import subprocess
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAME = "tombola-gpu-kit"
RUNNER = ("run.py", "steps.py", "programs.py", "sweeps.py", "measures.py", "place.py", "shell.py", "peer.py")
# PyTorch's training step, and its networks.
PEERS = ("benches/peers/step.py", "crates/train/tests/reference/record.py")
# What the test programs are called by cargo.
PROGRAMS = ("train", "tombola_train")
IMAGES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# Jumps to the same function look the same everywhere, and the programs lie within reach of each other.
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 64 << 20}]


def built(lines):
    """The test programs by their names."""
    found = {}
    for line in lines:
        if line.startswith("{"):
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] in PROGRAMS:
                found[message["target"]["name"]] = pathlib.Path(message["executable"])
    missing = set(PROGRAMS) - set(found)
    if missing:
        sys.exit(f"error: cargo built no test program `{'`, `'.join(sorted(missing))}`, only `{'`, `'.join(sorted(found))}`")
    return found


def stripped(program, patchelf, folder):
    """A program without what only this machine has a use for."""
    path = folder / program.name
    subprocess.run(["strip", "--strip-all", "-o", path, program], check=True)
    subprocess.run([patchelf, "--remove-rpath", path], check=True)
    data = path.read_bytes()
    path.unlink()
    return data


def uncompressed(wheel):
    """The same wheel with its files as they are."""
    data = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(data, "w") as target:
        for entry in source.infolist():
            contents = source.read(entry)
            entry.compress_type = zipfile.ZIP_STORED
            target.writestr(entry, contents)
    return data.getvalue()


def add(archive, name, data, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def packed(wheel, programs, patchelf, folder):
    """What is compressed: the wheel, the test programs and the files that they read."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        add(archive, wheel.name, uncompressed(wheel))
        for name, program in sorted(programs.items()):
            data = stripped(program, patchelf, folder)
            # The library for CUDA graphs is carried inside, where its headers were there at build time.
            if name == "train" and b"CUDAGraph" not in data:
                sys.exit(
                    "error: the test program was built without the library for CUDA graphs\n\n"
                    "hint: CUDA's headers were missing: delete the private libtorch in ~/.cache/tombola, or set CUDA_HOME"
                )
            add(archive, f"programs/{name}", data, 0o755)
        for path in sorted((ROOT / "crates/train/tests/reference").iterdir()):
            if path.suffix in (".json", ".safetensors"):
                add(archive, f"reference/{path.name}", path.read_bytes())
    return lzma.compress(tar.getvalue(), filters=FILTERS)


def images(folder, name):
    """A file of Fashion-MNIST, compressed as it is published."""
    path = folder / f"{name}.gz"
    return path.read_bytes() if path.is_file() else gzip.compress((folder / name).read_bytes(), mtime=0)


def main():
    wheel, commit, data, patchelf, out = sys.argv[1:]
    wheel, data, out = pathlib.Path(wheel), pathlib.Path(data), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    version = wheel.name.split("-")[1]
    lines = (ROOT / "python/tombola/libtorch.py").read_text(encoding="utf-8").splitlines()
    (torch,) = (line.split('"')[1] for line in lines if line.startswith("VERSION = "))
    facts = {"commit": commit, "version": version, "torch": torch, "wheel": wheel.name}
    path = out / f"{NAME}-{version}.tar"
    part = path.with_suffix(".part")
    try:
        with tarfile.open(part, "w") as archive:
            for name in RUNNER:
                add(archive, f"{NAME}/{name}", (ROOT / "scripts/kit" / name).read_bytes())
            for name in PEERS:
                add(archive, f"{NAME}/peers/{pathlib.Path(name).name}", (ROOT / name).read_bytes())
            add(archive, f"{NAME}/kit.json", (json.dumps(facts, indent=1) + "\n").encode())
            add(archive, f"{NAME}/programs.tar.xz", packed(wheel, built(sys.stdin), patchelf, out))
            for name in IMAGES:
                add(archive, f"{NAME}/fashion-mnist/{name}.gz", images(data, name))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(path)


if __name__ == "__main__":
    main()
