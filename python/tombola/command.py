"""The command `tombola`: becomes the program, with the libraries of this Python's torch where a verb needs them.

Everything here happens at each start, also of each rank under `mpirun`: only what is needed is imported.
"""

import os
import sys

from . import libtorch, program
from .error import TombolaError

# Verbs that compute. All others need no libtorch, and no torch is looked for. tests/program/wheel.rs holds this to the program.
TRAINS = frozenset({"run", "retry", "doctor", "selftest", "bench", "tune"})


def needs_libtorch(arguments):
    """Whether the program will become the one with libtorch."""
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments):
        return False
    if arguments[0] == "export":
        return any(word.endswith((".pt", "torchscript")) for word in arguments)
    return arguments[0] in TRAINS


def environment(arguments):
    """The variables for the program."""
    variables = dict(os.environ)
    # What a job script should call: this command again, because it is what finds libtorch.
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) == "tombola" and os.access(own, os.X_OK):
        variables["TOMBOLA_COMMAND"] = own
    if needs_libtorch(arguments):
        folders = libtorch.library_folders(libtorch.find())
        before = variables.get("LD_LIBRARY_PATH")
        variables["LD_LIBRARY_PATH"] = ":".join([*folders, *([before] if before else [])])
    return variables


def main():
    """Does not come back: this process becomes the program."""
    arguments = sys.argv[1:]
    try:
        place = program.path()
        variables = environment(arguments)
    except TombolaError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.code)
    os.execve(place, ["tombola", *arguments], variables)
