"""The reports' experiments with texts, each run again by its number into one small JSON file.

Trainings are shared between rows: they lie in ``runs/`` below the output folder, and what is finished
there is not trained again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gnnkit.errors import FileFormatError, MissingDataError, RunError
from gnnkit.jobs.job_run import JobSummary
from gnnkit.jobs.row_curves import banded
from gnnkit.jobs.row_fingerprint import TEXT_CODE, fingerprint
from gnnkit.jobs.text_job import TextJob, TextSource, recipe
from gnnkit.jobs.text_train import resume_text_job, run_text_job
from gnnkit.jobs.text_trained import load_text
from gnnkit.runs import Interrupted, ProgressMode, RunFolder, environment, read_json, read_metrics, write_json
from recurrent.generation import GenerationConfig

_QUICK_STEPS = {128: 150, 256: 60, 1024: 4}  # by hidden size: about a minute each
_QUICK_TEST = {1024: 0.01}  # share held out, where reading a tenth would take longer than the training


@dataclass(frozen=True)
class Passage:
    """A text to be written by one of the row's runs."""

    run: str
    prompt: str
    config: GenerationConfig


@dataclass(frozen=True)
class TextRow:
    """An experiment of the reports.

    Attributes:
        report: Which student reports it is from.
        experiment: What was done.
        claim: What was found, as the report says it.
        runs: Name of a training to what differs from its recipe.
        passages: What the trained models write.
        ladder: Steps at which training accuracy (mean of the 100 batches before) and samples are listed.
    """

    report: str
    experiment: str
    claim: str
    runs: dict[str, Run]
    passages: tuple[Passage, ...] = ()
    ladder: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """A training: a file below ``text/``, a recipe, and what differs from it."""

    file: str
    recipe: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TextRowResult:
    """What became of a row: its file, and what that holds."""

    path: Path
    content: dict[str, Any]


_GRIMM, _BARTLEBY, _TUTORIAL = "book_EN_grimms_fairy_tails.txt", "bartleby_the_scrivener.txt", "python_tutorial.txt"
_RIGHTS, _KALEVALA = "us_bill_of_rights.txt", "kalevala_fi.txt"
_GRIMM_8200 = Run(_GRIMM, "report-000", training={"steps": 8200, "sample_every": 100})
_BY_001 = {"bartleby": Run(_BARTLEBY, "report-001"), "tutorial": Run(_TUTORIAL, "report-001")}
_RIGHTS_RUN = Run(_RIGHTS, "report-003", training={"sample_every": 100, "eval_every": 50})
_KALEVALA_RUN = Run(_KALEVALA, "report-004", training={"sample_every": 1000})


def _sampled(temperature: float | None, length: int, **options: Any) -> GenerationConfig:
    return GenerationConfig(length=length, temperature=temperature, **options)


ROWS: dict[int, TextRow] = {
    5: TextRow(
        "000",
        "character LM on Grimm, 2x128, Adam .01, T = 20, 30, 50",
        "training accuracy .64 after 5000 steps",
        {f"grimm-T{length}": Run(_GRIMM, "report-000", training={"seq_length": length}) for length in (20, 30, 50)},
        ladder=(1000, 2500, 5000),
    ),
    6: TextRow(
        "000",
        "samples at steps 100, 400, 1200, 8200; temperatures .5, 1, 2; a prompt",
        "text tables",
        {"grimm-8200": _GRIMM_8200},
        (
            *(Passage("grimm-8200", "T", _sampled(value, 100)) for value in (0.5, 1.0, 2.0)),
            Passage("grimm-8200", "sleeping beauty is", _sampled(0.5, 40)),
        ),
        ladder=(100, 400, 1200, 8200),
    ),
    7: TextRow(
        "000",
        "beam search",
        "asked, left empty",
        {"grimm-8200": _GRIMM_8200},
        (
            Passage("grimm-8200", "sleeping beauty is", GenerationConfig(length=40, strategy="greedy")),
            *(
                Passage("grimm-8200", "sleeping beauty is", GenerationConfig(40, "beam", beam_width=width))
                for width in (1, 5, 20)
            ),
            Passage("grimm-8200", "sleeping beauty is", GenerationConfig(40, "beam", beam_width=20, num_returns=3)),
        ),
    ),
    11: TextRow(
        "001",
        "character LM on Bartleby and the Python tutorial, 2x1024, dropout .5, AdamW .005, 7500 steps",
        "training accuracy 84.22 % and 74.84 %",
        _BY_001,
        ladder=(2500, 5000, 7500),
    ),
    12: TextRow(
        "001",
        "samples at 2500, 5000, 7500; temperatures; three completions to T = 100",
        "text tables",
        _BY_001,
        tuple(
            Passage(name, prompt, config)
            for name, prompt in (("bartleby", "I am a "), ("tutorial", "Python is "))
            for config in (
                *(_sampled(value, 60) for value in (0.5, 1.0, 2.0)),
                _sampled(0.5, 100, num_returns=3),
            )
        ),
        ladder=(2500, 5000, 7500),
    ),
    18: TextRow(
        "003",
        "character LM on the US Bill of Rights, 2x128, dropout .5, Adam .01; temperature inside training",
        "clean samples from step 500",
        {
            f"rights-{value:g}": replace(_RIGHTS_RUN, training={**_RIGHTS_RUN.training, "loss_temperature": value})
            for value in (0.5, 1.0, 1.5, 2.0)
        },
        ladder=(100, 500, 1000, 2000),
    ),
    19: TextRow(
        "003",
        "prompts E, T, C; two sentence prompts, at least 210 characters, on to the end of the sentence",
        "text tables",
        {"rights-1": replace(_RIGHTS_RUN, training={**_RIGHTS_RUN.training, "loss_temperature": 1.0})},
        (
            *(Passage("rights-1", prompt, _sampled(0.5, 100)) for prompt in "ETC"),
            *(
                Passage("rights-1", prompt, _sampled(0.5, 600, stop_at_sentence_end=True, min_length=210))
                for prompt in ("Congress shall make no law ", "The right of the people ")
            ),
        ),
    ),
    21: TextRow(
        "004",
        "character LM on a Finnish text (here the Kalevala), T = 30, batch 64, to 100,000 steps",
        "training accuracy .42/.61/.66/.71/.74/.77 at 1k/5k/10k/25k/50k/100k steps",
        {"kalevala": _KALEVALA_RUN},
        ladder=(1000, 5000, 10_000, 25_000, 50_000, 100_000),
    ),
    22: TextRow(
        "004",
        "samples by step; temperatures .5, 1, 2; completion at .25; T = 100 with hidden 256; 1000 characters",
        "text tables",
        {
            "kalevala": _KALEVALA_RUN,
            "kalevala-256": Run(
                _KALEVALA,
                "report-004",
                {"hidden_size": 256},
                {"seq_length": 100, "steps": 10_000, "sample_every": 1000},
            ),
        },
        (
            *(Passage("kalevala", "V", _sampled(value, 100)) for value in (0.5, 1.0, 2.0)),
            Passage("kalevala", "Vaka vanha", _sampled(0.25, 100)),
            Passage("kalevala-256", "V", _sampled(0.5, 100)),
            Passage("kalevala", "V", _sampled(0.5, 1000)),
        ),
        ladder=(1000, 5000, 10_000, 25_000, 50_000, 100_000),
    ),
}


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
        Interrupted: After ctrl-C; the same command continues. The file then has the curves as far as they got,
            and says that it is unfinished, unless a finished one is there.
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
            write_json(path, {**content, "unfinished": True, "runs": so_far, "texts": []})
        raise
    content |= {
        "runs": {name: _described(summary, row.ladder) for name, summary in trained.items()},
        "texts": [text for each in row.passages for text in _written(each, trained[each.run].folder)],
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
    """What an interrupted training has come to; nothing is held out for it, nor written by it, yet."""
    found = RunFolder.open(folder)
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
