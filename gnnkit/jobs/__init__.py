"""Whole jobs, from names to a run folder: data, model, training, report; and back from a folder to a model."""

from gnnkit.jobs.node_job import DataSource, NodeJob
from gnnkit.jobs.sequence_job import CellChoice, PhasedOptions, SequenceJob, TaskChoice
from gnnkit.jobs.sequence_sweep import SweepJob, SweepSummary, resume_sweep, run_sweep
from gnnkit.jobs.train_nodes import NodeSummary, resume_node_job, run_node_job
from gnnkit.jobs.train_sequences import SequenceSummary, resume_sequence_job, run_sequence_job
from gnnkit.jobs.trained import Prediction, TrainedNodes, load
from gnnkit.jobs.trained_sequence import TrainedSequence

__all__ = [
    "CellChoice",
    "DataSource",
    "NodeJob",
    "NodeSummary",
    "PhasedOptions",
    "Prediction",
    "SequenceJob",
    "SequenceSummary",
    "SweepJob",
    "SweepSummary",
    "TaskChoice",
    "TrainedNodes",
    "TrainedSequence",
    "load",
    "resume_node_job",
    "resume_sequence_job",
    "resume_sweep",
    "run_node_job",
    "run_sequence_job",
    "run_sweep",
]
