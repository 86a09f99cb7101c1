"""Training a character language model into a run folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gnnkit.errors import RunError
from gnnkit.jobs import text_report
from gnnkit.jobs.job_run import JobSummary, job_of, warn_of_changes
from gnnkit.jobs.text_job import CorpusFacts, TextJob
from gnnkit.jobs.text_trained import KIND, VOCABULARY, read_vocabulary
from gnnkit.runs import (
    Interrupted,
    Progress,
    ProgressMode,
    RunFolder,
    environment,
    keep_freed_memory,
    use_threads,
    versions,
)
from gnnkit.training.text import TextResult, fit_text
from recurrent.generation import Scored
from recurrent.text import Corpus, Vocabulary


def run_text_job(
    job: TextJob,
    out: str | os.PathLike[str] | None = None,
    *,
    progress: ProgressMode = "auto",
    say: Callable[[str], None] = print,
) -> JobSummary:
    """Train as ``job`` says, into a new run folder.

    Args:
        job: What to train on what.
        out: The folder; ``runs/text-grimm-001`` and onwards where None.
        progress: How to show it.
        say: Is told what was removed from the text.

    Raises:
        ValueError: If the text cannot be read or is too short, or the model's settings do not go together.
        RunError: If the folder is not empty.
        Interrupted: After ctrl-C; the message says how to continue.
    """
    corpus = job.source.load()
    for note in corpus.notes:
        say(f"{corpus.name}: {note}")
    job = replace(job, corpus=CorpusFacts.of(corpus))
    vocabulary = Vocabulary.from_text(corpus.text)
    # Before a folder is made, so that an impossible request leaves none behind.
    _check(job, corpus, vocabulary)
    record = environment(device=job.training.device, threads=job.threads)
    files = {VOCABULARY: vocabulary.to_json() + "\n"}
    with RunFolder.create(out, kind=KIND, name=job.name, environment=record, config=job, files=files) as folder:
        return _train(job, corpus, vocabulary, folder, progress)


def resume_text_job(
    path: str | os.PathLike[str], *, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary:
    """Go on where an interrupted job stopped; the results are those of one never interrupted, bit for bit.

    Raises:
        RunError: If the folder holds no such job, or its text has changed.
    """
    with RunFolder.resume(path) as folder:
        job = job_of(folder, KIND, TextJob)
        done = folder.read_summary()
        if done is not None:
            return JobSummary(folder.path, done)
        warn_of_changes(folder, environment(device=job.training.device, threads=job.threads), warn)
        corpus = job.source.load()
        if CorpusFacts.of(corpus) != job.corpus:
            raise RunError(f"the text {job.source.path} has changed since {folder.path} was begun; train anew")
        return _train(job, corpus, read_vocabulary(folder), folder, progress)


def _check(job: TextJob, corpus: Corpus, vocabulary: Vocabulary) -> None:
    job.new_model(len(vocabulary))
    vocabulary.encode(job.training.sample_prompt)
    train = job.source.parts(corpus, vocabulary).train
    if len(train) <= job.training.seq_length:
        raise ValueError(
            f"the training part of {corpus.name} has {len(train)} characters, too few for windows of "
            f"{job.training.seq_length}; take shorter windows or a longer text"
        )


def _train(
    job: TextJob, corpus: Corpus, vocabulary: Vocabulary, folder: RunFolder, progress: ProgressMode
) -> JobSummary:
    keep_freed_memory()
    model = job.new_model(len(vocabulary))
    parts = job.source.parts(corpus, vocabulary)
    with use_threads(job.threads), Progress(job.training.steps, f"train {job.name}", mode=progress) as bar:
        try:
            result = fit_text(model, parts, vocabulary, job.training, folder=folder, progress=bar)
        except Interrupted as stopped:
            raise Interrupted(f"{stopped} {folder.path}") from None
    summary = _summary(job, result, sum(each.numel() for each in model.parameters()))
    text_report.draw(folder, job, result.history, result.selected_step)
    text_report.write(folder, job, summary)
    folder.write_summary(summary)  # last: it says that the job is done
    return JobSummary(folder.path, summary)


def _summary(job: TextJob, result: TextResult, parameters: int) -> dict[str, Any]:
    def scored(part: str, found: Scored | None) -> dict[str, float | None]:
        return {
            f"{part}_bits_per_character": None if found is None else found.bits_per_character,
            f"{part}_accuracy": None if found is None else found.accuracy,
        }

    assert job.corpus is not None, "found before training"
    return {
        "kind": KIND,
        "text": job.corpus.name,
        "notes": list(job.corpus.notes),
        "characters": job.corpus.characters,
        "vocab_size": job.corpus.vocab_size,
        "model": job.model.label,
        "parameters": parameters,
        **scored("test", result.test),
        **scored("val", result.val),
        "train_accuracy": result.train_accuracy,
        "train_accuracy_last_100": result.train_accuracy_last_100,
        "train_accuracy_best": result.train_accuracy_best,
        "train_bits_per_character": result.history["train_bits_per_character"][-1],
        "selected_step": result.selected_step,
        "steps": result.steps,
        "seed": result.seed,
        "samples": [sample._asdict() for sample in result.samples],
        "seconds": result.seconds,
        "versions": versions(),
    }
