"""One training loop per kind of job."""

from gnnkit.training.link_prediction import LinkResult, LinkTraining, fit_link_predictor
from gnnkit.training.nodes import NodeResult, Scores, TrainConfig, fit
from gnnkit.training.optimization import Optimization
from gnnkit.training.sequences import SequenceConfig, SequenceResult, fit_sequence

__all__ = [
    "LinkResult",
    "LinkTraining",
    "NodeResult",
    "Optimization",
    "Scores",
    "SequenceConfig",
    "SequenceResult",
    "TrainConfig",
    "fit",
    "fit_link_predictor",
    "fit_sequence",
]
