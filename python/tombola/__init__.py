"""Sweeps of Tombola in Python: `tombola.open("results/lenet")` gives tables as data frames and tickets as arrays.

Importing this is quick: NumPy and pandas are imported when the first table or ticket is read, PyTorch only by
`Ticket.state_dict` and `from_torch`.
"""

from .error import TombolaError

__all__ = ["TombolaError", "from_torch", "open"]


def open(folder):
    """The sweep in a results folder, finished or not, or of the shards that lie in a folder.

    A folder that is damaged, or no sweep, is refused as the program refuses it: with a `TombolaError` in its words.
    """
    from .results import Results

    return Results(folder)


def from_torch(model, input_shape, path):
    """Writes a model of PyTorch as a network that a sweep can name, `NAME.toml`, with its weights, `NAME.safetensors`.

    `input_shape` is that of one image: `tombola.from_torch(model, (3, 32, 32), "my-net.toml")`. Gives a summary, which prints well.
    """
    from .network import from_torch

    return from_torch(model, input_shape, path)


def __getattr__(name):
    if name == "__version__":
        from .program import version

        return version()
    raise AttributeError(f"module `tombola` has no `{name}`")
