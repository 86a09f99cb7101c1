"""Evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """A model in evaluation mode within the block; after it each of its parts is in the mode it was in.

    What is no module has no mode.

    Example:
        >>> model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5).eval())
        >>> with evaluating(model):
        ...     model.training
        False
        >>> model.training, model[1].training
        (True, False)
    """
    in_training = [part for part in model.modules() if part.training] if isinstance(model, nn.Module) else []
    if isinstance(model, nn.Module) and in_training:
        model.eval()
    try:
        yield
    finally:
        for part in in_training:
            part.training = True
