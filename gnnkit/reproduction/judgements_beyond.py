"""What the rows beyond the reports came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gnnkit.jobs.sequence_job import ADDING_SOLVED
from gnnkit.jobs.sequence_rows_beyond import LATCH
from gnnkit.reproduction.cases import END, Content, length_of, mean
from gnnkit.reproduction.verdict import Check, Kind, seeds, seeds_to_beat
from recurrent.tasks import Adding, CopyMemory


def row_31(content: Content) -> list[Check]:
    """Palindromes beyond the report, solved or not."""
    checks = []
    for case in content["cases"]:
        length, results = length_of(case), case["results"]
        cell = case["label"].split(",")[0]
        shown = _solved(results, f"accuracy {mean(results[END]):.3f}, lowest {min(results[END]):.3f}")
        done = all(results["solved"]) and min(results[END]) >= 0.99
        if case["label"].startswith(LATCH):
            checks.append(Check(f"T = {length}, not counted: an RNN that starts as a latch", shown, "added"))
            continue
        claim = f"{cell.upper()}, T = {length}: 100 % three times in a row"
        if not done:
            checks.append(Check(claim, shown, "not reached"))
        elif cell != "lstm" or length not in (75, 100):
            checks.append(Check(claim, shown, "added"))
        elif len(results[END]) >= seeds_to_beat(mean(results["seconds"])):
            checks.append(Check(claim, shown, "beaten", "with the report's settings it fails"))
        else:
            why = "with the report's settings it fails; “beaten” needs 10 seeds where a run is this short"
            checks.append(Check(claim, shown, "added", why))
    return checks


def row_32(content: Content) -> list[Check]:
    """Copy memory and adding."""
    copy, add = content["cases"]
    results = copy["results"]
    guessing = CopyMemory(length_of(copy)).baseline
    shown = f"accuracy {mean(results[END]):.4f}, lowest {min(results[END]):.4f}, loss {mean(results['test_loss']):.2g}"
    claim = f"copy memory over {length_of(copy)} steps by {_model(copy)}: ten symbols right"
    claim += f" (≥ .99; guessing: loss {guessing:.2g})"
    kind: Kind = "added" if min(results[END]) >= 0.99 else "not reached"
    checks = [Check(claim, f"{shown} ({seeds(len(results[END]))})", kind)]
    results = add["results"]
    shown = _solved(results, f"squared error {mean(results['test_loss']):.2g}")
    claim = f"adding over {length_of(add)} steps by {_model(add)}: squared error ≤ {ADDING_SOLVED:g}"
    claim += f" (always answering 1: {Adding.baseline:.2g})"
    return [*checks, Check(claim, shown, "added" if all(results["solved"]) else "not reached")]


def _model(case: Mapping[str, Any]) -> str:
    """The case's label without its task."""
    return str(case["label"].rpartition(", ")[0])


def _solved(results: Mapping[str, Any], score: str) -> str:
    """How many runs met the stop rule, when, and what they scored."""
    solved, steps = sum(results["solved"]), results["steps"]
    return f"{solved:.0f} of {len(steps)} runs in {mean(steps):.0f} batches, {score}"
