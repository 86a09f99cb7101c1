"""From a run folder back to a classifier of trees."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from gnnkit.data.trees import Trees, WordList
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs.job_run import job_of
from gnnkit.jobs.saved_model import highest_of_seeds, model_with
from gnnkit.jobs.trained import Prediction
from gnnkit.jobs.tree_job import TreeJob, TreeSizes
from gnnkit.models.tree_classifier import TreeClassifier
from gnnkit.runs import RunFolder, read_json, write_json
from gnnkit.training.trees import TreeScores, evaluate_trees

KIND = "trees"
_VOCABULARY = "vocabulary.json"


@dataclass(frozen=True)
class TrainedTrees:
    """A trained classifier of tree nodes, with the words it knows.

    Attributes:
        model: With the weights of the selected epoch, in evaluation mode.
        words: Its vocabulary.
        job: What was trained, how.
        seed: Of the run that the weights are from.
    """

    model: TreeClassifier
    words: WordList
    job: TreeJob
    seed: int

    @torch.no_grad()
    def predict(self, trees: Trees) -> Prediction:
        """The class of every node, in the trees' order; that of ``trees.roots`` is the trees'.

        Raises:
            ValueError: If a node has more children than any in training, and each place has weights of its own.
        """
        batch = self.words.encode(trees).batch(torch.arange(len(trees)))
        probabilities = self.model(batch.words, batch.edge_index).softmax(dim=-1)
        return Prediction(probabilities.argmax(dim=-1), probabilities)

    def evaluate(self, trees: Trees) -> TreeScores:
        """Scores on labelled trees."""
        return evaluate_trees(self.model, self.words.encode(trees))


def load_trees(run: str | os.PathLike[str], *, seed: int | None = None) -> TrainedTrees:
    """The trained classifier of a run folder.

    Args:
        run: The folder.
        seed: Which of its runs; that of the highest accuracy on the development part where None.

    Raises:
        ValueError: If the job has no run of that seed.
        RunError: If it is not a run folder of this kind, or its training has not finished.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    job = job_in(folder)
    chosen, weights, path = highest_of_seeds(folder, job.seeds, "dev_accuracy", seed)
    words, sizes = read_vocabulary(folder, job)
    model = model_with(weights, 1, lambda: job.build(sizes, chosen), path)
    return TrainedTrees(model, words, job, chosen)


def job_in(folder: RunFolder) -> TreeJob:
    """The job of a run folder.

    Raises:
        RunError: If it is of another kind.
        FileFormatError: If its config is damaged.
    """
    return job_of(folder, KIND, TreeJob)


def write_vocabulary(folder: RunFolder, words: WordList, sizes: TreeSizes) -> None:
    """Write what a model must know of its trees, so that it can be used without them."""
    content = {"words": words.words, "num_classes": sizes.num_classes, "max_children": sizes.max_children}
    write_json(folder.path / _VOCABULARY, content)


def read_vocabulary(folder: RunFolder, job: TreeJob) -> tuple[WordList, TreeSizes]:
    """What `write_vocabulary` wrote.

    Raises:
        RunError: If it has not been written.
        FileFormatError: If it is not such a file.
    """
    path = folder.path / _VOCABULARY
    if not path.exists():
        raise RunError(f"{folder.path} has no {_VOCABULARY}: its training has not begun; continue it with --resume")
    content = read_json(path)
    words: Any = content.get("words")
    numbers: list[Any] = [content.get("num_classes"), content.get("max_children")]
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise FileFormatError(path, "holds no list of words")
    if not all(isinstance(number, int) and 1 <= number <= 10**6 for number in numbers):
        raise FileFormatError(path, f"num_classes and max_children must be positive numbers, got {numbers}")
    sizes = TreeSizes(num_words=len(words) + 1, num_classes=numbers[0], max_children=numbers[1])
    return WordList(tuple(words), job.model.lower), sizes
