"""One training loop per kind of job."""

from gnnkit.training.nodes import NodeResult, Scores, TrainConfig, fit

__all__ = ["NodeResult", "Scores", "TrainConfig", "fit"]
