"""The selected weights in a checkpoint, and the model they belong to, whatever was trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from gnnkit.errors import FileFormatError, RunError
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


def highest_of_seeds(
    folder: RunFolder, seeds: Sequence[int], name: str, only: int | None = None
) -> tuple[int, dict[str, Tensor], Path]:
    """Of a job's runs that have selected weights, the one that is highest in one respect, the earlier on ties.

    Args:
        folder: The job's, with a folder per seed.
        seeds: The job's.
        name: The respect, as ``"val_auc"``.
        only: The one seed to look at; all where None.

    Returns:
        The seed, its weights and its folder.

    Raises:
        ValueError: If the job has no run of that seed.
        RunError: If no run has selected weights yet.
        FileFormatError: If a checkpoint is damaged or holds something else.
    """
    if only is not None and only not in seeds:
        raise ValueError(f"{folder.path} has runs of the seeds {', '.join(map(str, seeds))}, got {only}")
    paths = {seed: folder.seed_path(seed) for seed in (seeds if only is None else [only])}
    found = {seed: saved_best(RunFolder.open(path), name) for seed, path in paths.items() if path.exists()}
    best = {seed: saved for seed, saved in found.items() if saved is not None}
    if not best:
        raise RunError(f"{folder.path} has no selected weights yet: continue it with --resume")
    chosen = max(best, key=lambda seed: (best[seed][1] if math.isfinite(best[seed][1]) else -math.inf, -seed))
    return chosen, best[chosen][2], paths[chosen]


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
