"""The reports' experiments with texts, each run again by its number into one small JSON file.

Trainings are shared between rows: they lie in ``runs/`` below the output folder, and what is finished
there is not trained again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gnnkit.errors import FileFormatError, MissingDataError, RunError
from gnnkit.jobs.job_run import JobSummary
from gnnkit.jobs.row_curves import banded
from gnnkit.jobs.row_fingerprint import TEXT_CODE, fingerprint
from gnnkit.jobs.text_job import TextJob, TextSource, recipe
from gnnkit.jobs.text_row_cases import ROWS, Passage, Run, TextRow
from gnnkit.jobs.text_train import resume_text_job, run_text_job
from gnnkit.jobs.text_trained import load_text
from gnnkit.runs import Interrupted, ProgressMode, RunFolder, environment, read_json, read_metrics, write_json

_QUICK_STEPS = {128: 150, 256: 60, 1024: 4}  # by hidden size: about a minute each
_QUICK_TEST = {1024: 0.01}  # share held out, where reading a tenth would take longer than the training


@dataclass(frozen=True)
class TextRowResult:
    """What became of a row: its file, and what that holds."""

    path: Path
    content: dict[str, Any]


def run_text_row(
    number: int,
    texts: str | os.PathLike[str],
    out: str | os.PathLike[str] = "rows",
    *,
    quick: bool = False,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: str = "cpu",
    threads: int = 1,
    progress: ProgressMode = "auto",
    say: Callable[[str], None] = print,
    trainings: str | os.PathLike[str] | None = None,
) -> TextRowResult:
    """Run an experiment and write ``row-05.json`` (``row-05-quick.json``) into ``out``.

    Args:
        number: Of the experiment.
        texts: Folder of the texts.
        out: Folder.
        quick: A form of a minute or two, with few steps: it shows that all works, not the figures.
        precision: Of the forward passes; the reports' is float32.
        device: Where to train.
        threads: Of torch.
        progress: How to show it.
        say: Is told what was removed from a text.
        trainings: Folder of the run folders; ``runs`` below ``out`` when None.

    Raises:
        ValueError: If there is no such row.
        MissingDataError: If a text is not there.
        RunError: If that folder holds trainings of other settings under the same names.
        Interrupted: After ctrl-C; the same command continues. The file then has the curves as far as they got
            and the texts of what is trained, and says that it is unfinished, unless a finished one is there.
    """
    if number not in ROWS:
        raise ValueError(f"there is no text row {number}: there are {', '.join(map(str, ROWS))}")
    row, folder = ROWS[number], Path(out)
    kept = folder / "runs" if trainings is None else Path(trainings)
    stem = f"row-{number:02}" + ("-quick" if quick else "")
    jobs = {
        name: _job(run, Path(texts), quick, precision=precision, device=device, threads=threads)
        for name, run in row.runs.items()
    }
    folders = {name: kept / (name + ("-quick" if quick else "")) for name in jobs}
    path = folder / f"{stem}.json"
    content: dict[str, Any] = {
        "row": number,
        "report": row.report,
        "experiment": row.experiment,
        "claim": row.claim,
        "quick": quick,
        "command": f"gnnkit text row {number}"
        + (" --quick" if quick else "")
        + (f" --precision {precision}" if precision != "float32" else ""),
        "environment": environment(device=device, threads=threads),
        "date": time.strftime("%Y-%m-%d"),
    }
    try:
        trained = {name: _trained(job, folders[name], progress, say) for name, job in jobs.items()}
    except Interrupted:
        so_far = {name: _so_far(folders[name], row.ladder) for name in jobs if _is_begun(folders[name])}
        if so_far and not _is_finished(path):
            ended = {name: folders[name] for name, run in so_far.items() if "steps_asked" not in run}
            written = _all_written([each for each in row.passages if each.run in ended], ended)
            write_json(path, {**content, "unfinished": True, "runs": so_far, "texts": written})
        raise
    content |= {
        "runs": {name: _described(summary, row.ladder) for name, summary in trained.items()},
        "texts": _all_written(row.passages, folders),
        "fingerprint": row_fingerprint(number, quick=quick, precision=precision),
    }
    write_json(path, content)
    return TextRowResult(path, content)


def row_fingerprint(number: int, *, quick: bool = False, precision: str = "float32") -> str:
    """What a row's recorded result must carry to be that of this program; see `run_text_row`."""
    row = ROWS[number]
    return fingerprint(
        {"row": number, "settings": [row.passages, row.ladder, _settings([row], quick, precision)]}, TEXT_CODE
    )


def trainings_fingerprint(*, quick: bool = False) -> str:
    """Changes with the settings of any row's training, or their code: trainings before are of no use then."""
    return fingerprint(_settings(list(ROWS.values()), quick, "float32"), TEXT_CODE)


def _settings(rows: list[TextRow], quick: bool, precision: str) -> list[Any]:
    recipes = {run.recipe: recipe(run.recipe) for row in rows for run in row.runs.values()}
    return [[row.runs for row in rows], recipes, [_QUICK_STEPS, _QUICK_TEST] if quick else [], precision]


def _job(run: Run, texts: Path, quick: bool, **settings: Any) -> TextJob:
    path = texts / run.file
    if not path.is_file():
        raise MissingDataError(f"this row learns the text {run.file}, which is not in {texts}; name its folder")
    model, training = recipe(run.recipe)
    model = replace(model, **run.model)
    threads = settings.pop("threads")
    training = replace(training, **run.training, **settings)
    if quick:
        steps = min(training.steps, _QUICK_STEPS[model.hidden_size])
        training = replace(training, steps=steps, sample_every=min(training.sample_every, steps))
    # Nothing is selected by: the weights are those of the last step, as the reports have them.
    test = _QUICK_TEST.get(model.hidden_size, 0.1) if quick else 0.1
    return TextJob(TextSource(str(path), validation=0.0, test=test), model, training, threads)


def _trained(job: TextJob, path: Path, progress: ProgressMode, say: Callable[[str], None]) -> JobSummary:
    try:
        return _begun_or_resumed(job, path, progress, say)
    except Interrupted as stopped:
        what = str(stopped).partition(";")[0]
        raise Interrupted(f"{path.name} {what}; run the same command again") from None


def _begun_or_resumed(job: TextJob, path: Path, progress: ProgressMode, say: Callable[[str], None]) -> JobSummary:
    if not (path / "config.toml").exists():  # the last file of a folder's making
        return run_text_job(job, path, progress=progress, say=say)
    found = RunFolder.open(path).read_config(TextJob)
    if replace(found, corpus=None) != job:
        raise RunError(f"{path} holds a training with other settings; choose another folder with --out")
    return resume_text_job(path, progress=progress, warn=say)


def _described(summary: JobSummary, ladder: tuple[int, ...]) -> dict[str, Any]:
    content = summary.content
    trained = ("text", "model", "parameters", "steps", "selected_step", "seconds", "train_accuracy")
    scored = ("train_accuracy_last_100", "train_accuracy_best", "test_bits_per_character", "test_accuracy")
    samples = {each["step"]: each["prompt"] + each["text"] for each in content["samples"]}
    return {
        **{name: content[name] for name in (*trained, *scored)},
        **_learned(summary.folder, ladder, samples),
    }


def _learned(folder: Path, ladder: tuple[int, ...], samples: Mapping[int, str]) -> dict[str, Any]:
    """The curve of training accuracy, and its rungs."""
    metrics = read_metrics(folder / "metrics.csv")
    accuracy = metrics["train_accuracy"].tolist()
    curve = banded([metrics], "train_accuracy")
    rungs = sorted({step for step in ladder if step <= len(accuracy)} | {len(accuracy)})
    return {
        "curve": {"step": curve["step"], "train_accuracy": curve["mean"]},
        "ladder": [
            {"step": step, "train_accuracy": _mean_before(accuracy, step), "sample": samples.get(step)}
            for step in rungs
        ],
    }


def _mean_before(accuracy: list[float], step: int) -> float:
    """Of the 100 batches before a step."""
    return math.fsum(accuracy[max(0, step - 100) : step]) / min(100, step)


def _is_begun(folder: Path) -> bool:
    return (folder / "metrics.csv").exists() and len(read_metrics(folder / "metrics.csv")["train_accuracy"]) > 0


def _is_finished(path: Path) -> bool:
    try:
        return not read_json(path).get("unfinished")
    except (OSError, FileFormatError):
        return False


def _so_far(folder: Path, ladder: tuple[int, ...]) -> dict[str, Any]:
    """What a training of an interrupted row has come to: all of it, or, with ``steps_asked``, a part."""
    found = RunFolder.open(folder)
    if (summary := found.read_summary()) is not None:
        return _described(JobSummary(folder, summary), ladder)
    job, learned = found.read_config(TextJob), _learned(folder, ladder, {})
    last, saved = learned["ladder"][-1], found.load_checkpoint()
    return {
        "text": job.corpus.name if job.corpus else job.source.path,
        "model": job.model.label,
        "steps": last["step"],
        "steps_asked": job.training.steps,
        "seconds": 0.0 if saved is None else saved["seconds"],
        "train_accuracy_last_100": last["train_accuracy"],
        "test_bits_per_character": None,
        "test_accuracy": None,
        **learned,
    }


def _all_written(passages: Iterable[Passage], folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    return [text for each in passages for text in _written(each, folders[each.run])]


def _written(passage: Passage, folder: Path) -> list[dict[str, Any]]:
    trained, how = load_text(folder), passage.config
    return [
        {
            "run": passage.run,
            "strategy": how.strategy,
            "temperature": (how.temperature or 1.0) if how.strategy == "sample" else None,
            "beam_width": how.width if how.strategy == "beam" else None,
            "prompt": each.prompt,
            "text": each.text,
            "finished": each.finished,
            "log_probability": each.log_probability,
        }
        for each in trained.generate(passage.prompt, replace(how, unknown="skip"))
    ]
