"""Verdicts: what a claim is worth beside what was measured.

"Beaten" needs 95 % intervals that do not overlap, and at least 10 seeds where a run takes less than a minute, 3
elsewhere. A claim without numbers ("fails", "~1.0") is turned into a bound, which is printed with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gnnkit.runs import spread

Kind = Literal["reproduced", "matched", "beaten", "wrong", "added", "differs", "inconclusive", "not reached"]

SAID: dict[Kind, str] = {
    "reproduced": "reproduced",
    "matched": "matched",
    "beaten": "beaten",
    "wrong": "the report was wrong",
    "added": "done here, not in the report",
    "differs": "not reproduced",
    "inconclusive": "inconclusive",
    "not reached": "not reached",
}


@dataclass(frozen=True)
class Check:
    """One claim.

    Attributes:
        claim: What the report says, with the bound it was turned into.
        measured: What came out here.
        kind: The verdict.
        why: In a sentence, where that is needed.
    """

    claim: str
    measured: str
    kind: Kind
    why: str = ""


@dataclass(frozen=True)
class Reported:
    """A reported mean, its sample deviation and the number of runs behind them."""

    mean: float
    std: float
    runs: int = 3

    @property
    def interval(self) -> tuple[float, float]:
        """The t interval of the mean, 95 %."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.runs - 1, 0.975)) * self.std / math.sqrt(self.runs)
        return self.mean - half, self.mean + half


def compare(
    claim: str,
    values: Sequence[float],
    reported: Reported,
    *,
    lower_is_better: bool,
    seconds: float,
    improvement: bool = False,
) -> Check:
    """Our runs against a reported mean and deviation, of something that is positive: an accuracy, a count of batches.

    Args:
        claim: As the report says it.
        values: One per seed.
        reported: What they had.
        lower_is_better: Whether less is better.
        seconds: Of one run: decides how many seeds "beaten" needs.
        improvement: Whether the settings are our own. With the report's, better is no more than "matched": what
            it does not state, such as how weights start, may be why.
    """
    found = spread(values)
    measured = f"{found.mean:.3g}" + (f" ± {found.std:.2g}" if found.n > 1 else "") + f" ({seeds(found.n)})"
    if found.n < 2:
        return Check(claim, measured, "inconclusive", "one seed has no interval")
    low, high = reported.interval
    better, worse = found.interval.high < low, found.interval.low > high
    if not lower_is_better:
        better, worse = worse, better
    ours = f"95 % intervals {found.interval.low:.3g} to {found.interval.high:.3g} and {low:.3g} to {high:.3g}"
    if better:
        if not improvement:
            return Check(
                claim, measured, "matched", f"better: {ours} do not overlap, but the settings are the report's"
            )
        if found.n >= seeds_to_beat(seconds):
            return Check(claim, measured, "beaten", f"{ours} do not overlap")
        return Check(claim, measured, "matched", f"better, {ours}; “beaten” needs 10 seeds where a run is this short")
    if worse:
        return Check(claim, measured, "differs", f"worse: {ours}")
    if found.interval.low <= 0 or low <= 0:  # of what is never negative
        return Check(claim, measured, "inconclusive", f"{ours}: one that reaches down to 0 tells nothing")
    return Check(claim, measured, "matched", f"{ours} overlap")


def seeds_to_beat(seconds: float) -> int:
    """How many seeds "beaten" needs where a run takes so long."""
    return 10 if seconds < 60 else 3


def bound(claim: str, values: Sequence[float], *, at_least: float = -math.inf, at_most: float = math.inf) -> Check:
    """Whether the mean of our runs lies within bounds; where only its 95 % interval reaches them, nobody can tell."""
    found = spread(values)
    shown = f"{found.mean:.3f}" + (f" ± {found.std:.3f}" if found.n > 1 else "") + f" ({seeds(found.n)})"
    if at_least <= found.mean <= at_most:
        return Check(claim, shown, "reproduced")
    low, high = found.interval.low, found.interval.high
    if low <= at_most and high >= at_least:
        return Check(claim, shown, "inconclusive", f"95 % interval {low:.2f} to {high:.2f}")
    return Check(claim, shown, "differs")


def ahead(claim: str, runs: Mapping[str, Sequence[float]]) -> Check:
    """Whether the first of two has the higher values: 95 % intervals of the means that overlap cannot tell."""
    first, second = (spread(values) for values in runs.values())
    shown = ", ".join(f"{name} {mean:.3f}" for name, mean in zip(runs, (first.mean, second.mean), strict=True))
    if first.interval.low > second.interval.high:
        return Check(claim, shown, "reproduced")
    if first.interval.high < second.interval.low:
        return Check(claim, shown, "differs")
    return Check(claim, shown, "inconclusive", "95 % intervals overlap" if min(first.n, second.n) > 1 else "one seed")


def near(claim: str, value: float, reported: float, tolerance: float, why: str = "") -> Check:
    """One run of theirs, one of ours: no interval, so only near or not."""
    kind = reproduced(abs(value - reported) <= tolerance)
    if kind == "differs" and value > reported:
        return Check(claim, f"{value:.3f}", "matched", f"higher; one run each, so not “beaten”. {why}".strip())
    return Check(claim, f"{value:.3f}", kind, why)


def overall(checks: Sequence[Check]) -> Kind | Literal["in part"]:
    """One word for a row.

    Example:
        >>> overall([Check("a", "", "reproduced"), Check("b", "", "beaten")])
        'beaten'
        >>> overall([Check("a", "", "reproduced"), Check("b", "", "differs")])
        'in part'
    """
    kinds = {check.kind for check in checks}
    if not kinds:
        return "not reached"
    failed = kinds & {"differs", "not reached", "inconclusive"}
    if failed:
        return (
            "in part"
            if kinds - failed
            else next(kind for kind in ("differs", "not reached", "inconclusive") if kind in failed)
        )
    # The strictest word that holds for all of it: one length beaten among others matched is "matched".
    order: tuple[Kind, ...] = ("wrong", "matched", "beaten", "reproduced", "added")
    return next(kind for kind in order if kind in kinds)


def reproduced(holds: bool) -> Kind:
    """``"reproduced"`` where a claim holds, else ``"differs"``."""
    return "reproduced" if holds else "differs"


def seeds(count: int) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{count} seed" + ("" if count == 1 else "s")
