"""gnnkit: graph neural networks, and how far information travels in them.

The names below are handed on lazily, so that importing the package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnkit.data import NodeData, load_dataset
    from gnnkit.diagnostics import flow
    from gnnkit.graph import Adjacency
    from gnnkit.jobs import load
    from gnnkit.jobs.verdict import verdict
    from gnnkit.nn.exported import export
    from gnnkit.nn.pruned import prune
    from gnnkit.training import TrainConfig, fit

_HOME = {
    "Adjacency": "gnnkit.graph",
    "NodeData": "gnnkit.data",
    "TrainConfig": "gnnkit.training",
    "export": "gnnkit.nn.exported",
    "fit": "gnnkit.training",
    "flow": "gnnkit.diagnostics",
    "load": "gnnkit.jobs",
    "load_dataset": "gnnkit.data",
    "prune": "gnnkit.nn.pruned",
    "verdict": "gnnkit.jobs.verdict",
}
_PACKAGES = ("data", "diagnostics", "graph", "jobs", "models", "nn", "plots", "runs", "training")

__all__ = ["Adjacency", "NodeData", "TrainConfig", "export", "fit", "flow", "load", "load_dataset", "prune", "verdict"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _PACKAGES:
        return import_module(f"gnnkit.{name}")
    raise AttributeError(f"module 'gnnkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
