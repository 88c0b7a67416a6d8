"""The program that this package carries: where it lies, and calls of it whose output is read.

It may not know what verbs mean, nor of torch: what is called here must not train.
"""

import os

from .error import TombolaError


def path():
    """The program: the one that `TOMBOLA_PROGRAM` names (a build from source), else the one in this package."""
    named = os.environ.get("TOMBOLA_PROGRAM")
    place = named or os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "tombola")
    if os.access(place, os.X_OK) and os.path.isfile(place):
        return place
    if named:
        raise TombolaError(f"TOMBOLA_PROGRAM is `{named}`, which is no program\n\nhint: name the program `tombola` that a build makes, or unset it")
    raise TombolaError(
        f"there is no program `{place}`\n\nhint: install the wheel (`scripts/wheel` makes it), or set TOMBOLA_PROGRAM to a program that was built from source"
    )


def call(*arguments):
    """What the program prints to standard output. Its errors become a `TombolaError` with the same words."""
    # Here, because it is not needed to become the program, and importing it takes as long as all the rest.
    import subprocess

    ended = subprocess.run(
        [path(), *map(os.fspath, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if ended.returncode != 0:
        said = ended.stderr.strip().removeprefix("error: ")
        raise TombolaError(said or f"the program ended with exit code {ended.returncode} and said nothing", ended.returncode)
    return ended.stdout


def version():
    """The version of the program, which is that of the package."""
    return call("--version").split()[-1]
