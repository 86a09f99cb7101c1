"""What a checkpoint must hold before a run goes on from it: its parts are there, of the right kinds and shapes.

`load_checkpoint` has shown that the file is whole and runs nothing. Whether its content is what this run wrote
is another question: a file that was edited, or that belongs to another run, is told here, by name, and not by
whatever fails first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gnnkit.errors import FileFormatError

SavedBest = tuple[int, float, dict[str, Tensor]]

_ADAM = {"step", "exp_avg", "exp_avg_sq"}
# What torch's optimisers keep for each weight once it was updated, without momentum.
_KEPT = {"SGD": set(), "RMSprop": {"step", "square_avg"}, "Adam": _ADAM, "AdamW": _ADAM}
# All that taking up a state of other types or shapes raises; running out of memory is no fault of the file.
MISFITS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RuntimeError, StopIteration)


def check_state(path: object, saved: Mapping[str, Any], columns: Sequence[str], parts: Mapping[str, Any]) -> None:
    """Refuse the state of a checkpoint that a run with these metrics and parts did not write.

    Raises:
        FileFormatError: Naming ``path`` and what is missing or of another kind.
    """
    kinds = {"step": int, "parts": dict, "random": dict, "history": dict, "best": dict, "seconds": float}
    for name, kind in kinds.items():
        if type(saved.get(name)) is not kind:
            raise FileFormatError(path, f"its state has no {name!r} of type {kind.__name__}")
    step, history = saved["step"], saved["history"]
    if step < 0 or not (math.isfinite(saved["seconds"]) and saved["seconds"] >= 0):
        raise FileFormatError(path, f"its state says step {step} after {saved['seconds']} seconds")
    if absent := [name for name in parts if not isinstance(saved["parts"].get(name), dict)]:
        raise FileFormatError(path, f"its state lacks the part {absent[0]!r}")
    if set(history) != set(columns):
        raise FileFormatError(path, f"its history has other columns than {', '.join(columns)}")
    for name, values in history.items():
        if type(values) is not list or len(values) != step or not set(map(type, values)) <= {int, float}:
            raise FileFormatError(path, f"its history of {name} is not one number for each of {step} steps")
    for name in saved["best"]:
        best_of(path, saved, name)
    model = parts.get("model")
    if model is not None:
        own = model.state_dict()
        check_weights(path, saved["parts"]["model"], own)
        for name in saved["best"]:
            check_weights(path, saved["best"][name][2], own)


def best_of(path: object, saved: Mapping[str, Any], name: str) -> SavedBest | None:
    """Step, value and weights of the best step in one respect; None where there is none yet.

    Raises:
        FileFormatError: If the state holds something else there.
    """
    every = saved.get("best")
    if not isinstance(every, dict):
        raise FileFormatError(path, "its state has no 'best' of type dict")
    if name not in every:
        return None
    best = every[name]
    whole = (
        type(best) is tuple
        and len(best) == 3
        and type(best[0]) is int
        and type(best[1]) is float
        and isinstance(best[2], dict)
        and all(type(key) is str and isinstance(value, Tensor) for key, value in best[2].items())
    )
    steps = saved.get("step")
    if not whole or type(steps) is not int or not 0 <= best[0] <= steps:
        raise FileFormatError(path, f"its best {name!r} is not a step, a value and weights")
    return best[0], best[1], best[2]


def check_weights(path: object, weights: Mapping[str, Any], own: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of a model with ``own``: other names, shapes or types.

    Raises:
        FileFormatError: Naming the first that differs.
    """
    if (missing := [name for name in own if name not in weights]) or (missing := [n for n in weights if n not in own]):
        where = "lacks" if missing[0] in own else "has"
        raise FileFormatError(
            path, f"does not fit the model in config.toml: it {where} the weight", text=str(missing[0])
        )
    for name, value in own.items():
        saved = weights[name]
        if not isinstance(saved, Tensor) or saved.layout != torch.strided or saved.shape != value.shape:
            shape = tuple(saved.shape) if isinstance(saved, Tensor) else type(saved).__name__
            problem = (
                f"does not fit the model in config.toml: {name} should have shape {tuple(value.shape)}, not {shape}"
            )
            raise FileFormatError(path, problem)
        if saved.dtype != value.dtype:
            problem = f"does not fit the model in config.toml: {name} should be {value.dtype}, not {saved.dtype}"
            raise FileFormatError(path, problem)


def settings_of(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The optimiser's settings, group by group, but for the learning rate, which a schedule changes."""
    return [
        {key: value for key, value in group.items() if key not in ("params", "lr")} for group in optimizer.param_groups
    ]


def check_optimizer(path: object, optimizer: torch.optim.Optimizer, settings: list[dict[str, Any]]) -> None:
    """Refuse what an optimiser has just taken up, if its next step could not use it.

    Args:
        path: Of the checkpoint.
        optimizer: With the state it took up.
        settings: Its own `settings_of`, from before.

    Raises:
        FileFormatError: If settings, names or shapes are others.
    """
    if settings_of(optimizer) != settings:
        raise FileFormatError(path, "its optimiser has other settings than config.toml")
    kept = _KEPT.get(type(optimizer).__name__)
    for group in optimizer.param_groups:
        lr = group["lr"]
        if type(lr) not in (int, float) or not (math.isfinite(lr) and lr >= 0):
            raise FileFormatError(path, "its optimiser's learning rate is no number of 0 or more", text=repr(lr))
        wanted = None if kept is None else kept | ({"momentum_buffer"} if group.get("momentum") else set())
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if not state:
                continue  # a weight that was not updated yet
            if not isinstance(state, dict) or (wanted is not None and set(state) != wanted):
                raise FileFormatError(path, f"its optimiser's state is not that of {type(optimizer).__name__}")
            for name, value in state.items():
                shape = parameter.shape if name != "step" else torch.Size([])
                if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
                    raise FileFormatError(path, f"its optimiser's {name} has not the shape of its weight")
