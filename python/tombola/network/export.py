"""Takes a model of PyTorch apart with `torch.export`, in training form and without computing anything."""

import contextlib
import logging

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
                f"PyTorch cannot take `{type(model).__name__}` apart for images of {'x'.join(map(str, shape))}: {reason}\n\n"
                "hint: the model has to run on a batch of such images while it trains, and what it does may not depend on their "
                "values; `torch.export.export(model.train(), (images,), strict=False)` tells more",
                2,
            ) from error


@contextlib.contextmanager
def _training(model):
    """In training mode for a while."""
    before = {module: module.training for module in model.modules()}
    frozen = model.training
    if not frozen:
        model.train()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextlib.contextmanager
def _quiet():
    """Without the traces that PyTorch logs of a failure, which is told by the exception."""
    loggers = [logging.getLogger(name) for name in ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
