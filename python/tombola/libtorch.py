"""The libtorch inside this Python's torch, found without importing torch, which takes seconds.

It may not know of the program: a folder and its libraries are all there is here.
"""

import os

from .error import TombolaError

VERSION = "2.11.0"

_CURE = f"install it into this Python: pip install torch=={VERSION}"


def _places(name):
    """The folders of a top-level package, as far as this Python can see them."""
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or ()) if spec else []


def version_of(folder):
    """What `version.py` in a folder of torch says, such as `2.11.0+cpu`; nothing where it says nothing."""
    try:
        with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
            for line in file:
                if line.startswith("__version__"):
                    return line.partition("=")[2].strip().strip("'\"")
    except OSError:
        pass
    return None


def find():
    """The folder of torch. Whatever is wrong with it is a `TombolaError` that says what was found."""
    import sys

    places = _places("torch")
    for folder in places:
        found = version_of(folder)
        # After `+` stands how it was compiled: 2.11.0+cpu, 2.11.0+cu130.
        if found is None or found.partition("+")[0] != VERSION:
            continue
        if os.path.isfile(os.path.join(folder, "lib", "libtorch_cpu.so")):
            return folder
        raise TombolaError(f"the torch in `{folder}` has no lib/libtorch_cpu.so\n\nhint: install it again: pip install --force-reinstall torch=={VERSION}")
    if not places:
        raise TombolaError(f"training needs torch {VERSION}, and `{sys.executable}` has no torch\n\nhint: {_CURE}")
    found = version_of(places[0]) or "of an unknown version"
    raise TombolaError(f"training needs torch {VERSION}, and the torch in `{places[0]}` is {found}\n\nhint: {_CURE}")


def library_folders(folder):
    """Where the libraries of a torch lie, and those of NVIDIA's that it needs: beside it, or elsewhere on Python's path."""
    folders = [os.path.join(folder, "lib")]
    beside = os.path.join(os.path.dirname(folder), "nvidia")
    for packages in dict.fromkeys([beside, *_places("nvidia")]):
        if os.path.isdir(packages):
            parts = (os.path.join(packages, name, "lib") for name in sorted(os.listdir(packages)))
            folders.extend(part for part in parts if os.path.isdir(part))
    return folders
