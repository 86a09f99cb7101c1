"""Whole jobs, from names to a run folder: data, model, training, report; and back from a folder to a model."""

from gnnkit.jobs.job_run import JobSummary
from gnnkit.jobs.node_job import DataSource, NodeJob
from gnnkit.jobs.sequence_job import CellChoice, PhasedOptions, SequenceJob, TaskChoice
from gnnkit.jobs.sequence_sweep import SweepJob, resume_sweep, run_sweep
from gnnkit.jobs.train_nodes import resume_node_job, run_node_job
from gnnkit.jobs.train_sequences import resume_sequence_job, run_sequence_job
from gnnkit.jobs.trained import Prediction, TrainedNodes, load
from gnnkit.jobs.trained_sequence import TrainedSequence

__all__ = [
    "CellChoice",
    "DataSource",
    "JobSummary",
    "NodeJob",
    "PhasedOptions",
    "Prediction",
    "SequenceJob",
    "SweepJob",
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
