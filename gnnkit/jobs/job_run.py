"""What the runs of all jobs share, whatever they train: seeds side by side, going on, the summary, the report's end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gnnkit.errors import RunError
from gnnkit.runs import (
    Outcome,
    Progress,
    ProgressMode,
    RunFolder,
    check_settled,
    config_to_toml,
    environment_changes,
    report_progress,
    run_many,
    spread,
)

Job = TypeVar("Job")
Shared = TypeVar("Shared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class JobSummary:
    """What became of a job: its folder, and what ``summary.json`` holds."""

    folder: Path
    content: dict[str, Any]


class EpochReporter:
    """Tells the parent process which epoch a run is at."""

    def update(self, completed: int, **fields: float | str) -> None:
        """``completed`` epochs are done."""
        report_progress(completed)


def job_of(folder: RunFolder, kind: str, job: type[Job]) -> Job:
    """The job that a run folder holds.

    Raises:
        RunError: If it holds one of another kind.
    """
    if folder.kind != kind:
        raise RunError(f"{folder.path} holds a run of kind {folder.kind!r}, not {kind!r}")
    return folder.read_config(job)


def warn_of_changes(folder: RunFolder, now: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Say what is no longer as it was when the run began, and may change its last bits.

    Args:
        folder: Of the run.
        now: What `gnnkit.runs.environment` says.
        warn: Is told, a sentence for each.
    """
    for change in environment_changes(folder.environment, now):
        warn(f"the last bits may differ from an uninterrupted run's: {change}")


def seeds_side_by_side(
    one_seed: Callable[[Shared, int], Result],
    seeds: Sequence[int],
    shared: Shared,
    *,
    epochs: int,
    title: str,
    hint: str,
    jobs: int,
    progress: ProgressMode,
) -> list[Outcome[Result]]:
    """Every seed's run in a process of its own, ``jobs`` at a time; progress counts the epochs of all.

    Args:
        one_seed: From ``shared`` and a seed to a result; says how far it is through `EpochReporter`.
        seeds: Of the runs.
        shared: Handed to every run.
        epochs: Of one run.
        title: Of the progress bar.
        hint: How to continue, for the message after ctrl-C.
        jobs: Runs side by side.
        progress: How to show it.

    Raises:
        RunError: If every run failed.
        Interrupted: After ctrl-C.
    """
    done = [0] * len(seeds)
    with Progress(epochs * len(seeds), title, mode=progress) as bar:

        def advance(index: int, completed: int) -> None:
            done[index] = completed
            bar.update(sum(done))

        def settle(outcome: Outcome[Result]) -> None:
            if outcome.ok:
                advance(outcome.index, epochs)
            else:
                bar.note(f"seed {seeds[outcome.index]} {outcome.status}: {outcome.error}")

        outcomes = run_many(one_seed, seeds, shared=shared, jobs=jobs, on_done=settle, on_progress=advance)
    check_settled(outcomes, hint)
    if not any(outcome.ok for outcome in outcomes):
        raise RunError(f"every run failed, the first with: {outcomes[0].error}")
    return outcomes


def over_runs(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """``NAME_mean`` and ``NAME_std`` of every score: the mean over runs, and their sample deviation, 0 of one run.

    NaN where a run has no finite value.
    """
    found: dict[str, float] = {}
    for name, values in scores.items():
        finite = all(map(math.isfinite, values))
        each = spread(values) if finite else None
        found[f"{name}_mean"] = math.nan if each is None else each.mean
        found[f"{name}_std"] = math.nan if each is None else each.std if len(values) > 1 else 0.0
    return found


def settings_section(job: Any) -> list[str]:
    """The lines that end a report: the settings, as the run folder keeps them."""
    return ["## Settings", "", "```toml", config_to_toml(job).rstrip(), "```", ""]
