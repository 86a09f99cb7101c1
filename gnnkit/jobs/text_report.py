"""What a text run leaves to look at: curves and a report with samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnkit.jobs.job_run import settings_section
from gnnkit.jobs.sequence_report import averaged
from gnnkit.jobs.text_job import TextJob
from gnnkit.runs import RunFolder
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.text import printable

_POINTS = 400  # more points of a curve than this would only draw its noise
_SHOWN_SAMPLES = 12


def draw(
    folder: RunFolder, job: TextJob, history: Mapping[str, Any], selected: int | None, where: Path | None = None
) -> None:
    """Draw ``curves.png``, in the run folder or ``where``: bits per character and accuracy by step."""
    from gnnkit.plots import curves, save_figure

    columns = {name: list(map(float, values)) for name, values in history.items()}
    width = max(1, math.ceil(len(columns["step"]) / _POINTS))
    measured = any(value == value for value in columns["val_loss"])
    parts = ("train", "val") if measured else ("train",)
    figure = curves(
        [averaged(columns, width)],
        {
            "bits per character": [f"{part}_bits_per_character" for part in parts],
            "accuracy": [f"{part}_accuracy" for part in parts],
            "gradient norm": ["gradient_norm"],
        },
        step="step",
        selected=[selected],
        title=f"{job.model.label} on {printable(job.corpus.name if job.corpus else job.source.path)}",
        log_scale=["gradient norm"],
    )
    save_figure(figure, (where or folder.path) / "curves.png")


def rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a summary says, a line each."""

    def scored(part: str) -> str:
        bits, accuracy = summary[f"{part}_bits_per_character"], summary[f"{part}_accuracy"]
        return "- (no such part)" if bits is None else f"{bits:.3f} bits per character, accuracy {100 * accuracy:.2f} %"

    return [
        ("held-out test part", scored("test")),
        ("validation part", scored("val")),
        (
            "training accuracy",
            f"{100 * summary['train_accuracy_last_100']:.2f} % (mean of the last 100 batches; last "
            f"{100 * summary['train_accuracy']:.2f} %, best {100 * summary['train_accuracy_best']:.2f} %)",
        ),
        ("selected step", f"{summary['selected_step']} of {summary['steps']} (lowest validation loss)"),
        ("parameters", f"{summary['parameters']:,}"),
        ("text", f"{summary['characters']:,} characters, {summary['vocab_size']} different"),
        ("seconds", f"{summary['seconds']:.1f}"),
    ]


def write(folder: RunFolder, job: TextJob, summary: Mapping[str, Any]) -> None:
    """Write ``report.md``."""
    samples = summary["samples"]
    every = max(1, math.ceil(len(samples) / _SHOWN_SAMPLES))
    shown = samples[::-1][::every][::-1]  # the last one is always among them
    notes = [f"- {printable(note)}" for note in summary["notes"]]
    lines = [
        f"# {job.model.label} on {printable(summary['text'])}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows(summary)),
        "",
        *notes,
        *([""] if notes else []),
        "![Bits per character and accuracy by step](curves.png)",
        "",
        "## Samples while training (greedy)",
        "",
        *(f"    step {each['step']:>7}: {_one_line(each['prompt'] + each['text'])}" for each in shown),
        "",
        *settings_section(job),
    ]
    atomic_write(folder.path / "report.md", "\n".join(lines))


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))
