"""Running the rows: side by side, going on where it stopped, leaving alone what is done and unchanged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gnnkit.errors import DivergedError, FileFormatError, MissingDataError, RunError
from gnnkit.jobs import sequence_rows, text_row_cases, text_rows
from gnnkit.reproduction import graph_rows
from gnnkit.runs import Interrupted, read_json, report_progress, run_many, write_json

Status = Literal["done", "unchanged", "not reached"]


@dataclass(frozen=True)
class RowOutcome:
    """What became of a row.

    Attributes:
        number: Of the row.
        status: ``"unchanged"``: its result lay there, of the same settings and code.
        problem: Why it was not reached; else empty.
        seconds: Of this sitting.
    """

    number: int
    status: Status
    problem: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Campaign:
    """How the rows are run.

    Attributes:
        out: Folder of the result files; run folders go below ``runs`` in it, apart for each version of the code.
        texts: Folder of the texts.
        quick: The quick forms.
    """

    out: Path
    texts: Path
    quick: bool = False


def row_numbers() -> list[int]:
    """Every row that can be run."""
    return sorted({*sequence_rows.ROWS, *text_row_cases.ROWS, *graph_rows.ROWS})


def result_path(out: str | os.PathLike[str], number: int, *, quick: bool = False) -> Path:
    """Where the result of a row lies."""
    return Path(out) / (f"row-{number:02}" + ("-quick" if quick else "") + ".json")


def run_rows(
    numbers: Iterable[int],
    campaign: Campaign,
    *,
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[RowOutcome]:
    """Run rows; a row that cannot be run (a text is missing, say) is recorded as not reached, with the reason.

    Args:
        numbers: Which rows.
        campaign: See `Campaign`.
        jobs: Rows side by side, one thread each; those that share trainings follow each other.
        say: Is told of each row as it ends.

    Raises:
        ValueError: If there is no such row.
        Interrupted: After ctrl-C; the same command goes on.
    """
    wanted = sorted(set(numbers))
    if unknown := [number for number in wanted if number not in row_numbers()]:
        raise ValueError(f"there is no row {unknown[0]}: there are {', '.join(map(str, row_numbers()))}")
    campaign.out.mkdir(parents=True, exist_ok=True)
    outcomes = {number: RowOutcome(number, "unchanged") for number in wanted if is_current(number, campaign)}
    for number in outcomes:
        say(f"row {number}: done before, unchanged")
    groups = sharing([number for number in wanted if number not in outcomes], quick=campaign.quick)

    def tell(_: int, outcome: RowOutcome) -> None:
        outcomes[outcome.number] = outcome
        how = f"not reached: {outcome.problem}" if outcome.problem else outcome.status
        say(f"row {outcome.number}: {how} ({outcome.seconds:.0f} s; {len(outcomes)} of {len(wanted)})")

    found = run_many(_run_group, groups, shared=campaign, jobs=jobs, on_progress=tell)
    if any(outcome.status == "interrupted" for outcome in found):
        raise Interrupted(f"stopped with {len(outcomes)} of {len(wanted)} rows done; run the same command again")
    for group, outcome in zip(groups, found, strict=True):
        for number in group:
            if number not in outcomes:  # its process died
                outcomes[number] = _not_reached(number, campaign, outcome.error)
    return [outcomes[number] for number in wanted]


def is_current(number: int, campaign: Campaign) -> bool:
    """Whether the recorded result is of the same settings, versions and code."""
    content = read_result(result_path(campaign.out, number, quick=campaign.quick))
    return content is not None and content.get("fingerprint") == row_fingerprint(number, quick=campaign.quick)


def read_result(path: Path) -> dict[str, Any] | None:
    """What a result file holds; None where there is none or it cannot be read."""
    try:
        return read_json(path)
    except (OSError, FileFormatError):
        return None


def row_fingerprint(number: int, *, quick: bool = False) -> str:
    """What the recorded result of a row must carry to be that of this program."""
    if number in sequence_rows.ROWS:
        return sequence_rows.row_fingerprint(number, quick=quick)
    if number in text_row_cases.ROWS:
        return text_rows.row_fingerprint(number, quick=quick)
    return graph_rows.graph_fingerprint(number, quick=quick)


def sharing(numbers: Sequence[int], *, quick: bool = False) -> list[list[int]]:
    """Rows that share trainings together, so that none waits for another's run folder; the costliest first."""
    groups: list[tuple[list[int], set[str]]] = []
    for number in numbers:
        mine, names = [number], _trainings(number, quick)
        apart = []
        for group, used in groups:
            if names & used:
                mine, names = group + mine, names | used
            else:
                apart.append((group, used))
        groups = [*apart, (mine, names)]
    # Texts take longest, then what trains most.
    groups.sort(key=lambda group: (-sum(number in text_row_cases.ROWS for number in group[0]), -len(group[1])))
    return [sorted(group) for group, _ in groups]


def _trainings(number: int, quick: bool) -> set[str]:
    if number in sequence_rows.ROWS:
        return sequence_rows.row_trainings(number, quick=quick)
    if number in text_row_cases.ROWS:
        return set(text_row_cases.ROWS[number].runs)
    return set()


def _run_group(campaign: Campaign, numbers: list[int]) -> None:
    for number in numbers:
        report_progress(_run_row(number, campaign))


def _run_row(number: int, campaign: Campaign) -> RowOutcome:
    started = time.perf_counter()
    try:
        _compute(number, campaign)
    except (MissingDataError, RunError, DivergedError, ValueError, OSError) as error:
        return _not_reached(number, campaign, str(error), time.perf_counter() - started)
    return RowOutcome(number, "done", seconds=time.perf_counter() - started)


def _compute(number: int, campaign: Campaign) -> None:
    out, quick = campaign.out, campaign.quick
    # A training belongs to the settings and the code that it was made with: others, another folder.
    if number in sequence_rows.ROWS:
        sequence_rows.run_row(
            number,
            out,
            quick=quick,
            progress="quiet",
            trainings=out / "runs" / sequence_rows.trainings_fingerprint(quick=quick),
        )
    elif number in text_row_cases.ROWS:
        text_rows.run_text_row(
            number,
            campaign.texts,
            out,
            quick=quick,
            progress="quiet",
            say=lambda _: None,
            trainings=out / "runs" / text_rows.trainings_fingerprint(quick=quick),
        )
    else:
        graph_rows.run_graph_row(number, out, quick=quick)


def _not_reached(number: int, campaign: Campaign, problem: str, seconds: float = 0.0) -> RowOutcome:
    """Record the reason, unless an older result lies there: that says more."""
    path = result_path(campaign.out, number, quick=campaign.quick)
    before = read_result(path)
    if before is None or "not_reached" in before:
        write_json(path, {"row": number, "quick": campaign.quick, "not_reached": problem})
    return RowOutcome(number, "not reached", problem, seconds)


def failures(outcomes: Iterable[RowOutcome]) -> list[RowOutcome]:
    """Those that were not reached."""
    return [outcome for outcome in outcomes if outcome.status == "not reached"]
