"""Healthy run folders of every kind of job, small and quick, and how one that was interrupted goes on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from gnnkit.data.temporal import diffusion_process
from gnnkit.jobs.forecast_job import ForecastJob, TemporalSource
from gnnkit.jobs.node_job import NodeJob
from gnnkit.jobs.sequence_job import CellChoice, SequenceJob, TaskChoice
from gnnkit.jobs.text_job import TextJob, TextModel, TextSource
from gnnkit.jobs.text_train import run_text_job
from gnnkit.jobs.train_nodes import run_node_job
from gnnkit.jobs.train_sequences import run_sequence_job
from gnnkit.jobs.trained import new_model
from gnnkit.models.registry import ModelOptions, resolve_options
from gnnkit.runs import RunFolder
from gnnkit.training import Optimization, SequenceConfig, TrainConfig, fit, fit_sequence
from gnnkit.training.forecasts import ForecastConfig
from gnnkit.training.text import TextConfig, fit_text
from recurrent.text import Corpus, Vocabulary

BOOK = "the cat sat on the mat.\n" * 30
NODES = NodeJob(training=TrainConfig(epochs=4), options=ModelOptions(hidden_channels=4))
SEQUENCE = SequenceJob(
    TaskChoice("palindrome", 3),
    CellChoice("lstm", hidden_size=4),
    SequenceConfig(steps=4, batch_size=4, eval_every=2, eval_size=8, optimization=Optimization("adam", 1e-2)),
)
TEXT = TextConfig(steps=4, batch_size=4, seq_length=8, eval_every=2, sample_every=4, sample_length=4)
TEXT_MODEL = TextModel(hidden_size=6, num_layers=1)


def make_runs(root: Path) -> None:
    """Train one run of every kind below ``root``, as the commands do."""
    quiet: dict[str, Any] = {"progress": "quiet"}
    run_node_job(NODES, root / "nodes", **quiet)
    run_node_job(NODES, root / "other", **quiet)
    run_sequence_job(SEQUENCE, root / "sequence", **quiet)
    (root / "cats.txt").write_text(BOOK)
    job = TextJob(TextSource(str(root / "cats.txt"), validation=0.1), TEXT_MODEL, TEXT)
    run_text_job(job, root / "text", say=lambda _: None, **quiet)
    # Not trained: nothing of a forecast is read back but these files.
    source = TemporalSource("", values=str(root / "v.csv"), edges=str(root / "e.txt"), directed=True)
    forecast = ForecastJob(source, 3, 2, hidden_size=4, hops=1, training=ForecastConfig(epochs=1))
    with RunFolder.create(root / "forecast", kind="forecast") as folder:
        folder.write_config(forecast.resolved())
        folder.write_summary({"kind": "forecast", "dataset": diffusion_process(num_nodes=4, num_steps=5).name})


def resumed(kind: str, path: Path) -> Any:
    """Go on with an interrupted run of ``kind`` in ``path``: what a resumed job does before it draws."""
    with RunFolder.resume(path) as folder:
        if kind == "nodes":
            job, data = _nodes()
            return fit(new_model(job), data, job.training, folder=folder)
        if kind == "sequence":
            task, model = SEQUENCE.resolved().build(0)
            return fit_sequence(model, task, SEQUENCE.training, folder=folder)
        vocabulary, parts = _text()
        model = TextJob(model=TEXT_MODEL, training=TEXT).new_model(len(vocabulary))
        return fit_text(model, parts, vocabulary, TEXT, folder=folder)


@cache
def _nodes() -> tuple[NodeJob, Any]:
    from dataclasses import replace

    from gnnkit.jobs.node_job import DataSizes

    data = NODES.source.load()
    options = resolve_options(NODES.model, NODES.options, NODES.source.dataset)
    return replace(NODES, options=options, sizes=DataSizes.of(data)), NODES.source.split_for(data, 0)


@cache
def _text() -> tuple[Vocabulary, Any]:
    vocabulary = Vocabulary.from_text(BOOK)
    return vocabulary, TextSource(validation=0.1).parts(Corpus("cats", BOOK), vocabulary)
