"""From a run folder back to a character language model, and what it can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs.job_run import job_of
from gnnkit.jobs.saved_model import model_with, saved_best
from gnnkit.jobs.text_job import TextJob
from gnnkit.runs import RunFolder
from gnnkit.storage.reading import read_regular
from recurrent.generation import Character, Generation, GenerationConfig, Scored, generate, score, stream, surprise
from recurrent.models import CharLM
from recurrent.text import UnknownPolicy, Vocabulary

KIND = "text"
VOCABULARY = "vocabulary.json"

_LIMIT = 16 * 2**20


@dataclass(frozen=True)
class TrainedText:
    """A trained character language model.

    Attributes:
        model: With the weights of the selected step, in evaluation mode.
        vocabulary: Its characters.
        job: What was trained, how.
    """

    model: CharLM
    vocabulary: Vocabulary
    job: TextJob

    def generate(self, prompt: str = "", config: GenerationConfig | None = None) -> list[Generation]:
        """Go on from a prompt; see `recurrent.generation.generate`."""
        return generate(self.model, self.vocabulary, prompt, config)

    def stream(self, prompt: str = "", config: GenerationConfig | None = None) -> Iterator[Character]:
        """The same, character by character; see `recurrent.generation.stream`."""
        return stream(self.model, self.vocabulary, prompt, config)

    def score(self, text: str, *, unknown: UnknownPolicy = "error") -> Scored:
        """Bits per character and accuracy on a text, read as one.

        Raises:
            UnknownCharacterError: If it has a character that the model does not know, and ``unknown`` is
                ``"error"``.
            ValueError: If fewer than two characters are left.
        """
        return score(self.model, self.vocabulary.encode(text, unknown=unknown))

    def surprise(self, text: str, *, unknown: UnknownPolicy = "error") -> tuple[str, Tensor]:
        """The text as the model read it, and -log2 p of each of its characters after the first.

        Raises:
            UnknownCharacterError: As :meth:`score`.
        """
        ids = self.vocabulary.encode(text, unknown=unknown)
        bits, _ = surprise(self.model, ids)
        return self.vocabulary.decode(ids), bits


def load_text(run: str | os.PathLike[str]) -> TrainedText:
    """The trained model of a text run's folder; of one still in training, the best so far.

    Raises:
        RunError: If it is not a run folder of this kind, or it has no weights yet.
        FileFormatError: If a file in it is damaged; nothing in it is executed.
    """
    folder = RunFolder.open(run)
    job = job_of(folder, KIND, TextJob)
    vocabulary = read_vocabulary(folder)
    best = saved_best(folder, "val_loss")
    if best is None:
        raise RunError(f"{folder.path} has no selected weights yet: its training has not got far enough; use --resume")
    model = model_with(best[2], job.model.num_layers, lambda: job.model.build(len(vocabulary)), folder.path)
    return TrainedText(model, vocabulary, job)


def read_vocabulary(folder: RunFolder) -> Vocabulary:
    """``vocabulary.json`` of a run folder.

    Raises:
        FileFormatError: If it is damaged.
        RunError: If it is not there.
    """
    path = folder.path / VOCABULARY
    try:
        return Vocabulary.from_json(read_regular(path, limit=_LIMIT))
    except FileNotFoundError:
        raise RunError(f"the run folder {folder.path} has no {VOCABULARY}: it ended before training began") from None
    except FileFormatError:
        raise
    except ValueError as error:
        raise FileFormatError(path, str(error)) from error
