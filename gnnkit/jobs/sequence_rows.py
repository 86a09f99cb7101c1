"""The reports' experiments with sequences, each run again by its number into one small JSON file.

Trainings of the same settings are shared between rows: they lie in ``runs/`` below the output folder,
and what is finished there is not trained again.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from gnnkit.jobs.job_run import JobSummary
from gnnkit.jobs.row_curves import banded, by_run
from gnnkit.jobs.row_fingerprint import SEQUENCE_CODE, fingerprint, meaning
from gnnkit.jobs.sequence_diagnostics import (
    factor_per_step,
    gate_lines,
    gradients_by_distance,
    parameter_table,
    report_003_gates,
)
from gnnkit.jobs.sequence_job import CellChoice, CellName, SequenceJob, TaskChoice
from gnnkit.jobs.sequence_row_cases import GRADIENT, PALINDROME_SCORES, TRAINING_ROWS, Case, TrainingRow
from gnnkit.jobs.sequence_rows_beyond import BEYOND_ROWS
from gnnkit.jobs.sequence_sweep import draw_by_length
from gnnkit.jobs.train_sequences import run_sequence_jobs
from gnnkit.runs import ProgressMode, RunFolder, environment, read_metrics, spread, write_json
from gnnkit.training.sequences import RECURRENT_GRADIENT
from recurrent import RNNCell, unroll
from recurrent.analytic_gradients import rnn_gradients
from recurrent.tasks import Palindromes


@dataclass(frozen=True)
class RowResult:
    """What became of a row: its file, and what that holds."""

    path: Path
    content: dict[str, Any]


@dataclass(frozen=True)
class MeasuredRow:
    """An experiment of the reports that trains nothing.

    Attributes:
        number: In the list of experiments.
        report: Which student reports it is from.
        experiment: What was done.
        claim: What was found, as the report says it.
        measure: From the number of runs and the picture's path to cases of ``label``, ``reported``,
            ``settings``, ``seeds`` and ``results``, one value per seed.
    """

    number: int
    report: str
    experiment: str
    claim: str
    measure: Callable[[int, Path], list[dict[str, Any]]]


def run_row(
    number: int,
    out: str | os.PathLike[str] = "rows",
    *,
    quick: bool = False,
    runs: int | None = None,
    jobs: int = 1,
    progress: ProgressMode = "auto",
    trainings: str | os.PathLike[str] | None = None,
) -> RowResult:
    """Run an experiment and write ``row-08.json`` (``row-08-quick.json``) and, for most, a picture into ``out``.

    Args:
        number: Of the experiment; see `row_numbers`.
        out: Folder.
        quick: A form of a minute or two, with fewer lengths, steps and runs.
        runs: Seeds 0, 1, ...; the row's own number (mostly 3), or 1 if quick, when None.
        jobs: Trainings side by side.
        progress: How to show it.
        trainings: Folder of the run folders; ``runs`` below ``out`` when None.

    Raises:
        ValueError: If there is no such row, or less than one run.
        RunError: If that folder holds trainings of other settings under the same names.
        Interrupted: After ctrl-C; the same command continues.
    """
    if number not in ROWS:
        raise ValueError(f"there is no sequence row {number}: there are {', '.join(map(str, row_numbers()))}")
    count = _runs(number, quick) if runs is None else runs
    if count < 1:
        raise ValueError(f"runs must be 1 or more, got {count}")
    row, folder = ROWS[number], Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"row-{number:02}" + ("-quick" if quick else "")
    started = time.perf_counter()
    if isinstance(row, TrainingRow):
        kept = folder / "runs" if trainings is None else Path(trainings)
        cases = _train_row(row, folder / f"{stem}.png", kept, quick, count, jobs, progress)
        seconds = sum(sum(case["results"]["seconds"]) for case in cases)  # also of what was trained before
    else:
        cases = row.measure(count, folder / f"{stem}.png")
        seconds = time.perf_counter() - started
    options = (["--quick"] if quick else []) + ([] if runs is None else [f"--runs {runs}"])
    content = {
        "row": number,
        "report": row.report,
        "experiment": row.experiment,
        "claim": row.claim,
        "quick": quick,
        "command": " ".join(["gnnkit sequence row", str(number), *options]),
        "cases": [{**case, "summary": summaries(case["results"])} for case in cases],
        "seconds": seconds,
        "environment": environment(threads=1),
        "date": time.strftime("%Y-%m-%d"),
        "fingerprint": row_fingerprint(number, quick=quick, runs=runs),
    }
    path = folder / f"{stem}.json"
    write_json(path, content)
    return RowResult(path, content)


def row_fingerprint(number: int, *, quick: bool = False, runs: int | None = None) -> str:
    """What a row's recorded result must carry to be that of this program; see `run_row`."""
    row, count = ROWS[number], _runs(number, quick) if runs is None else runs
    if isinstance(row, TrainingRow):
        settings: Any = [case.job for case in row.cases(quick, count)]
    else:
        settings = [count, meaning(inspect.getsource(row.measure))]
    return fingerprint({"row": number, "settings": settings}, SEQUENCE_CODE)


def trainings_fingerprint(*, quick: bool = False) -> str:
    """Changes with the settings of any row's training, or their code: trainings before are of no use then."""
    rows = [row for row in ROWS.values() if isinstance(row, TrainingRow)]
    return fingerprint([case.job for row in rows for case in row.cases(quick, 1)], SEQUENCE_CODE)


def row_trainings(number: int, *, quick: bool = False) -> set[str]:
    """Names of the run folders that a row uses: rows that share one cannot run side by side."""
    row = ROWS[number]
    return (
        {_folder_name(case.job) for case in row.cases(quick, _runs(number, quick))}
        if isinstance(row, TrainingRow)
        else set()
    )


def _runs(number: int, quick: bool) -> int:
    row = ROWS[number]
    return 1 if quick else row.runs if isinstance(row, TrainingRow) else 3


def row_numbers() -> list[int]:
    """The experiments that `run_row` knows."""
    return sorted(ROWS)


def _train_row(
    row: TrainingRow, picture: Path, kept: Path, quick: bool, runs: int, jobs: int, progress: ProgressMode
) -> list[dict[str, Any]]:
    cases = row.cases(quick, runs)
    points = {_folder_name(case.job): case.job for case in cases}
    done = run_sequence_jobs(points, kept, jobs=jobs, progress=progress, title=f"row {row.number}")
    found = [(case, done[_folder_name(case.job)]) for case in cases]
    labels = {_folder_name(case.job): case.label for case in cases}
    if GRADIENT in row.scores:
        _draw_gradients(found, picture)
    elif row.scores == PALINDROME_SCORES:
        draw_by_length(
            [(case.job, summary) for case, summary in found],
            picture,
            title=f"row {row.number}: {row.experiment}",
            label=lambda job: labels[_folder_name(job)],
        )
    return [_case(row, case, summary) for case, summary in found]


def _case(row: TrainingRow, case: Case, summary: JobSummary) -> dict[str, Any]:
    content = summary.content
    results = {name: content["per_run"][name] for name in row.scores if name != GRADIENT}
    metrics = _metrics(case.job, summary, content["seeds"])
    curves: dict[str, Any] = {"train_accuracy": banded(metrics, "train_accuracy")}
    if GRADIENT in row.scores:
        results[GRADIENT] = [float(each[RECURRENT_GRADIENT].mean()) for each in metrics]
        curves[RECURRENT_GRADIENT] = by_run(metrics, RECURRENT_GRADIENT)
    if case.job.training.stop_after is not None:
        results["solved"] = [float(at is not None) for at in content["solved_at"]]
    results["seconds"] = content["per_run"]["seconds"]
    return {
        "label": f"{case.label}, {case.job.task.label}",
        "reported": case.reported,
        "settings": asdict(case.job.resolved()),
        "seeds": content["seeds"],
        "failed_runs": content["failed_runs"],
        "results": results,
        "curves": curves,
    }


def _folder_name(job: SequenceJob) -> str:
    """A name that tells apart all trainings of the rows."""
    model, training = job.model, job.training
    rate = f"{training.optimization.optimizer}-{training.optimization.lr:g}"
    more = "" if model.embedding_dim is None else f"-embedding-{model.embedding_dim}"
    more += "" if model.chrono is None else f"-chrono-{model.chrono}"
    more += "" if model.forget_bias is None else f"-forget-bias-{model.forget_bias:g}"
    recorded = "-gradient" if training.record_recurrent_gradient else ""
    return f"{job.name}-{model.init}{more}-{rate}-{training.steps}-steps-{job.runs}-runs{recorded}"


def _metrics(job: SequenceJob, summary: JobSummary, seeds: Sequence[int]) -> list[dict[str, Any]]:
    paths = [summary.folder] if job.runs == 1 else [summary.folder / f"seed-{seed}" for seed in seeds]
    return [read_metrics(RunFolder.open(path).metrics_path) for path in paths]


def _draw_gradients(found: Sequence[tuple[Case, JobSummary]], path: Path) -> None:
    """The norm of dL/dW_hh by step, a line per run, with the accuracy that the run ended with."""
    from gnnkit.jobs.sequence_report import averaged
    from gnnkit.plots import save_figure
    from gnnkit.plots.compared_curves import compared_curves

    lines = {}
    for case, summary in found:
        seeds, ends = summary.content["seeds"], summary.content["per_run"]["eval_accuracy"]
        for seed, end, metrics in zip(seeds, ends, _metrics(case.job, summary, seeds), strict=True):
            columns = {name: list(metrics[name]) for name in ("step", RECURRENT_GRADIENT, "train_accuracy")}
            label = f"T = {case.job.task.length}, seed {seed}: {end:.2f}"
            lines[label] = [averaged(columns, max(1, len(metrics["step"]) // 100))]
    title = f"{found[0][0].job.model.label} on palindromes, each run with the accuracy it ended with"
    save_figure(compared_curves(lines, title=title), path)


def summaries(results: dict[str, list[Any]]) -> dict[str, dict[str, float]]:
    """Mean, sample deviation and 95 % interval of every list of numbers."""
    summaries = {}
    for name, values in results.items():
        if values and all(isinstance(value, int | float) and value == value for value in values):
            found = spread(values)
            summaries[name] = {
                "mean": found.mean,
                "std": found.std,
                "low": found.interval.low,
                "high": found.interval.high,
            }
    return summaries


def _untrained_gradients(runs: int, picture: Path) -> list[dict[str, Any]]:
    """Row 3."""
    from gnnkit.plots import save_figure
    from gnnkit.plots.influence import influence_by_distance

    task = TaskChoice("palindrome", 100, "scalar")
    reported = {"rnn": "falls ~x0.71 per step", "lstm": "flat, then falls"}
    cells: tuple[CellName, ...] = ("rnn", "lstm")
    cases = []
    series: dict[str, list[list[float]]] = {}
    for cell in cells:
        choice = CellChoice(cell, init="xavier")
        norms = [
            gradients_by_distance(choice.build(task.build(), seed), task.build(), seed=seed) for seed in range(runs)
        ]
        series[cell] = norms
        results: dict[str, list[Any]] = {
            "factor_per_step": [factor_per_step(each) for each in norms],
            "factor_last_10_steps": [factor_per_step(each[:11]) for each in norms],
            "norm_by_distance": norms,
        }
        cases.append(_measured(cell, reported[cell], {"task": asdict(task), "model": asdict(choice)}, runs, results))
    save_figure(influence_by_distance(series, title="dL/dh_t before training, T = 100"), picture)
    return cases


def _temporal_gate(runs: int, picture: Path) -> list[dict[str, Any]]:
    """Row 17: nothing is drawn at random, so there is one seed whatever is asked."""
    from gnnkit.plots import save_figure
    from gnnkit.plots.gates import temporal_gates

    times = torch.linspace(0, 60, 1201, dtype=torch.float64)
    panels = report_003_gates()
    lines = gate_lines(panels, times)
    save_figure(temporal_gates(times, lines, title="the temporal gate k(t)"), picture)
    return [
        _measured(
            f"{title}: {name}",
            "",
            asdict(setting),
            1,
            {"share_of_time_open": [float((k[:-1] > setting.leak).double().mean())], "highest": [float(k.max())]},
        )
        for title, settings in panels.items()
        for (name, k), setting in zip(lines[title].items(), settings, strict=True)
    ]


def _parameter_counts(runs: int, picture: Path) -> list[dict[str, Any]]:
    """Row 23: counts are the same for every seed, and there is nothing to draw."""
    sizes = {"inputs": 1, "hidden": 128, "outputs": 10}
    cases = []
    for entry in parameter_table(("rnn", "lstm", "gru", "phased-lstm"), **sizes):
        results = {name: [entry[name]] for name in ("by_formula", "counted", "second_biases")}
        reported = {"lstm": "4(nd + n² + n) + on + o"}.get(entry["cell"], "")
        cases.append(_measured(entry["cell"], reported, {**sizes, "formula": entry["formula"]}, 1, results))
    return cases


def _analytic_gradients(runs: int, picture: Path) -> list[dict[str, Any]]:
    """Row 24: the largest difference from autograd, as a share of the largest entry, in float64."""
    results: dict[str, list[float]] = {"weight_ph": [], "weight_hh": [], "weight_hx": []}
    for seed in range(runs):
        torch.manual_seed(seed)
        cell, output_map = RNNCell(10, 128).double(), torch.nn.Linear(128, 10).double()
        inputs, targets = Palindromes(20).sample(128, torch.Generator().manual_seed(seed))
        inputs = inputs.double()
        by_hand = rnn_gradients(cell, output_map, inputs, targets)
        outputs, _ = unroll(cell, inputs)
        torch.nn.functional.cross_entropy(output_map(outputs[:, -1]), targets).backward()  # type: ignore[no-untyped-call]
        weights = {"weight_ph": output_map.weight, "weight_hh": cell.weight_hh, "weight_hx": cell.weight_ih}
        for name, weight in weights.items():
            assert weight.grad is not None
            difference = (getattr(by_hand, name) - weight.grad).abs().max() / weight.grad.abs().max()
            results[name].append(float(difference))
    settings = {"cell": "rnn", "inputs": 10, "hidden": 128, "length": 20, "batch_size": 128, "dtype": "float64"}
    return [_measured("largest relative difference from autograd", "formulas", settings, runs, results)]


def _measured(
    label: str, reported: str, settings: dict[str, Any], seeds: int, results: dict[str, list[Any]]
) -> dict[str, Any]:
    case = {"label": label, "reported": reported, "settings": settings, "seeds": list(range(seeds))}
    return {**case, "failed_runs": 0, "results": results}


ROWS: dict[int, TrainingRow | MeasuredRow] = {
    **TRAINING_ROWS,
    **BEYOND_ROWS,
    3: MeasuredRow(
        3,
        "000",
        "gradient of the loss with respect to h_t of untrained RNN and LSTM, T = 100",
        "RNN falls ~x0.71 per step; LSTM flat, then falls",
        _untrained_gradients,
    ),
    17: MeasuredRow(
        17,
        "003",
        "temporal gate of the Phased LSTM: tau, s and r_on varied",
        "schematic and three plots",
        _temporal_gate,
    ),
    23: MeasuredRow(
        23,
        "all",
        "parameters by formula beside those counted, d = 1, n = 128, o = 10",
        "4(nd + n² + n) + on + o for the LSTM; report 001 left the recurrent weights out",
        _parameter_counts,
    ),
    24: MeasuredRow(
        24,
        "all",
        "analytic gradients of the RNN against autograd in float64",
        "formulas for dL/dW_ph and dL/dW_hh",
        _analytic_gradients,
    ),
}
