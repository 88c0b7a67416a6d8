"""Takes a model of PyTorch apart with `torch.export`, in training form and without computing anything."""

import contextlib
import io
import logging
import os
import traceback
import warnings

import torch

from ..error import TombolaError
from .view import IMAGES


def exported(model, shape):
    """The graph of operators for a batch of `IMAGES` images of this shape. The model stays as it was."""
    from torch._subclasses import FakeTensorMode

    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        # A tensor with a shape and no values: it takes no memory.
        images = torch.empty(IMAGES, *shape, device=device)
    with _training(model), _quiet():
        try:
            return torch.export.export(model, (images,), strict=False)
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[0] if lines else type(error).__name__
            raise TombolaError(
                f"PyTorch cannot take `{type(model).__name__}` apart for images of {'x'.join(map(str, shape))}: {reason}{_line(error)}\n\n"
                "hint: the model has to run on a batch of such images while it trains, and what it does may not depend on their "
                "values; `torch.export.export(model.train(), (images,), strict=False)` tells more",
                2,
            ) from error


def _line(error):
    """The innermost line of the user's code that the error came through."""
    own = os.path.dirname(torch.__file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((own, os.path.dirname(__file__), "<"))]
    return f"\n  at {frames[-1].filename}, line {frames[-1].lineno}: `{frames[-1].line}`" if frames else ""


@contextlib.contextmanager
def _training(model):
    """In training mode for a while."""
    before = {module: module.training for module in model.modules()}
    if not model.training:
        model.train()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextlib.contextmanager
def _quiet():
    """Without what PyTorch logs and prints of a failure, which is told by the exception."""
    loggers = [logging.getLogger(name) for name in ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
