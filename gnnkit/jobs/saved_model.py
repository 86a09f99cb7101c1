"""The selected weights in a checkpoint, and the model they belong to, whatever was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from gnnkit.errors import FileFormatError
from gnnkit.runs import RunFolder
from gnnkit.training.saved_state import SavedBest, best_of, check_weights

ModelT = TypeVar("ModelT", bound=nn.Module)


def saved_best(folder: RunFolder, name: str) -> SavedBest | None:
    """Step, value and weights of the best step in one respect in a run's checkpoint; None where there is none yet.

    Raises:
        FileFormatError: If the checkpoint is damaged or holds something else.
    """
    saved = folder.load_checkpoint()
    return None if saved is None else best_of(folder.checkpoint_path, saved, name)


def model_with(weights: dict[str, Tensor], layers: int, build: Callable[[], ModelT], run: Path) -> ModelT:
    """The model that ``build`` makes, with these weights, in evaluation mode.

    It is first made without memory: a config that asks for more than the checkpoint has weights for is told
    so before anything is allocated.

    Args:
        weights: Of a checkpoint.
        layers: How many the config asks for; each has a weight of its own.
        build: Makes the model, untrained.
        run: The folder of both, for messages.

    Raises:
        FileFormatError: If the two do not fit.
    """
    path = run / "checkpoint.pt"
    if layers > len(weights):
        problem = f"does not fit the model in config.toml: {len(weights)} weights for {layers} layers"
        raise FileFormatError(path, problem)
    try:
        with torch.device("meta"):
            described = build()
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes that no tensor can have
        first = str(error).partition("\n")[0]
        raise FileFormatError(run / "config.toml", "asks for a model that cannot be made", text=first) from error
    check_weights(path, weights, described.state_dict())
    model = build()
    model.load_state_dict(weights)
    return model.eval()
