"""Many runs of a node job on a GPU: trained as one, then written as if each had been trained by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gnnkit.data.node_data import NodeData
from gnnkit.jobs.node_job import NodeJob
from gnnkit.jobs.trained import new_model
from gnnkit.runs import RunFolder
from gnnkit.training.stacked import fit_stacked

# Runs in one stack: on graphs of citation size a stack's features and masks then take a few gigabytes.
_TOGETHER = 25


def may_stack(job: NodeJob, data: NodeData, path: Path) -> bool:
    """Whether runs gain from being one, and can be: a GPU, a split that all share, and nothing begun singly."""
    if torch.device(job.training.device).type != "cuda" or job.training.batch_size is not None:
        return False
    first, second = (job.source.split_for(data, seed) for seed in job.seeds[:2])
    parts = ("train_mask", "val_mask", "test_mask")
    one_split = all(torch.equal(getattr(first, part), getattr(second, part)) for part in parts)
    return one_split and not any((path / f"seed-{seed}").exists() for seed in job.seeds)


def train_stacked(job: NodeJob, data: NodeData, path: Path, kind: str) -> None:
    """Train every seed of the job into its folder below ``path``, where a resumed run finds it finished.

    Raises:
        DivergedError: If a loss becomes NaN or infinite.
        Interrupted: After ctrl-C; the stacks that were finished stay.
    """
    split = job.source.split_for(data, job.training.seed)
    for first in range(0, job.runs, _TOGETHER):
        seeds = job.seeds[first : first + _TOGETHER]
        model = new_model(job)
        for run in fit_stacked(model, split, job.training, seeds):
            with RunFolder.create_or_resume(path / f"seed-{run.result.seed}", kind=kind) as folder:
                run.save(folder, model, replace(job.training, seed=run.result.seed))
