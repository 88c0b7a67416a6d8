"""Packs the Python package and the programs into a wheel: `python3 python/wheel.py PROGRAMS VERSION PLATFORM FOLDER`.

PROGRAMS is the folder whose files become `tombola/bin`, PLATFORM the last part of the name, such as `manylinux_2_34_x86_64`.
Prints the path of the wheel. The same files make the same bytes: order and times are fixed. Plain Python, nothing to install;
`scripts/wheel` calls it.
"""

import base64
import hashlib
import os
import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What zip archives can have as their oldest time.
TIME = (1980, 1, 1, 0, 0, 0)

METADATA = """\
Metadata-Version: 2.4
Name: tombola
Version: {version}
Summary: Runs sweeps of neural-network pruning, lottery-ticket and early-bird experiments
License-Expression: MIT OR Apache-2.0
License-File: LICENSE-APACHE
License-File: LICENSE-MIT
Keywords: pruning,lottery-ticket,deep-learning,sweep,libtorch
Classifier: Environment :: Console
Classifier: Operating System :: POSIX :: Linux
Classifier: Topic :: Scientific/Engineering :: Artificial Intelligence
Requires-Python: >=3.10
Requires-Dist: torch=={torch}
Requires-Dist: numpy>=1.26
Requires-Dist: pandas>=2.1
Description-Content-Type: text/markdown

Tombola trains a network, prunes it, sends the kept weights back to where you say, trains again, and prints accuracy against
density. The command `tombola` runs sweeps with the libtorch of this Python's torch; `import tombola` reads their results.

```
tombola init quickstart.toml --example quickstart
tombola run quickstart.toml
```

```python
import tombola

sweep = tombola.open("results/quickstart")
sweep.results, sweep.ticket(12).mask
```
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: tombola
Root-Is-Purelib: false
Tag: py3-none-{platform}
"""

ENTRY_POINTS = """\
[console_scripts]
tombola = tombola.command:main
"""


def torch_version():
    """The version that the package looks for and that the programs were built for: one number in one place."""
    lines = (ROOT / "python/tombola/libtorch.py").read_text(encoding="utf-8").splitlines()
    (version,) = (line.split('"')[1] for line in lines if line.startswith("VERSION = "))
    return version


def contents(programs, version, platform):
    """Path in the archive and bytes of each file, and whether it is a program."""
    about = f"tombola-{version}.dist-info"
    package = ROOT / "python/tombola"
    for path in sorted(package.rglob("*.py")):
        yield f"tombola/{path.relative_to(package).as_posix()}", path.read_bytes(), False
    for path in sorted(path for path in programs.rglob("*") if path.is_file()):
        yield f"tombola/bin/{path.relative_to(programs)}", path.read_bytes(), os.access(path, os.X_OK)
    yield f"{about}/METADATA", METADATA.format(version=version, torch=torch_version()).encode(), False
    yield f"{about}/WHEEL", WHEEL.format(platform=platform).encode(), False
    yield f"{about}/entry_points.txt", ENTRY_POINTS.encode(), False
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        yield f"{about}/licenses/{name}", (ROOT / name).read_bytes(), False


def record(files, path):
    """The list of all files with their checksums, itself without one."""
    lines = []
    for name, data, _ in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*lines, f"{path},,\n"]).encode()


def main():
    programs, version, platform, folder = sys.argv[1:]
    files = list(contents(pathlib.Path(programs), version, platform))
    list_of_files = f"tombola-{version}.dist-info/RECORD"
    files.append((list_of_files, record(files, list_of_files), False))
    wheel = pathlib.Path(folder) / f"tombola-{version}-py3-none-{platform}.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data, program in files:
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # On Unix, a plain file: pip makes executable what is so here.
            entry.create_system = 3
            entry.external_attr = (0o100755 if program else 0o100644) << 16
            archive.writestr(entry, data)
    part.replace(wheel)
    print(wheel)


if __name__ == "__main__":
    main()
