"""From a run folder back to a sequence model."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

from gnnkit.errors import RunError
from gnnkit.jobs.saved_model import model_with, saved_best
from gnnkit.jobs.sequence_job import SequenceJob
from gnnkit.runs import RunFolder
from gnnkit.training.sequences import Evaluation, evaluate_sequence
from recurrent.models import SequenceClassifier
from recurrent.tasks import Task, TaskStream


@dataclass(frozen=True)
class TrainedSequence:
    """A trained sequence model, with what it was trained on.

    Attributes:
        model: With the weights of the selected step, in evaluation mode; of several runs, that with the
            lowest evaluation loss. ``model(inputs)`` gives logits.
        job: What was trained, how.
        seed: Of the run that the weights are from.
    """

    model: SequenceClassifier
    job: SequenceJob
    seed: int

    @property
    def task(self) -> Task:
        """What it learned; ``task.sample`` makes inputs and targets."""
        return self.job.task.build()

    def evaluate(self, samples: int = 1024, *, length: int | None = None, seed: int = 0) -> Evaluation:
        """Loss and accuracy on fresh samples, also of another length than it was trained on.

        Samples are those of the held-out stream of ``seed``, which no training draws from; evaluations
        during the training of that same seed did.

        Raises:
            ValueError: If the length does not fit the task.
        """
        choice = self.job.task if length is None else replace(self.job.task, length=length)
        return evaluate_sequence(self.model, TaskStream(choice.build(), samples, seed, "held_out"))


def load_sequence(run: str | os.PathLike[str]) -> TrainedSequence:
    """The trained model of a sequence run's folder.

    Raises:
        RunError: If it is not a run folder of this kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    if folder.kind != "sequence":
        raise RunError(f"{folder.path} holds a run of kind {folder.kind!r}, not a sequence model")
    job = folder.read_config(SequenceJob)
    paths = [folder.path] if job.runs == 1 else folder.seed_paths()
    best = {path: saved_best(RunFolder.open(path), "eval_loss") for path in paths}
    finished = {path: found for path, found in best.items() if found is not None}
    if not finished:
        raise RunError(f"{folder.path} holds no evaluated weights yet; continue it with --resume")
    chosen = min(finished, key=lambda path: (_loss(finished[path][1]), path.name))
    seed = job.training.seed if job.runs == 1 else int(chosen.name.removeprefix("seed-"))
    model = model_with(finished[chosen][2], job.model.num_layers, lambda: job.build(seed)[1], chosen)
    return TrainedSequence(model, job, seed)


def _loss(value: float) -> float:
    return value if math.isfinite(value) else math.inf
