"""Whole jobs, from names to a run folder: data, model, training, report; and back from a folder to a model."""

from gnnkit.jobs.node_job import DataSource, NodeJob
from gnnkit.jobs.train_nodes import NodeSummary, resume_node_job, run_node_job
from gnnkit.jobs.trained import Prediction, TrainedNodes, load

__all__ = [
    "DataSource",
    "NodeJob",
    "NodeSummary",
    "Prediction",
    "TrainedNodes",
    "load",
    "resume_node_job",
    "run_node_job",
]
