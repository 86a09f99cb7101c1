"""A mistake of a report, what is right, and the numbers that show it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Finding:
    """A number beside what it shows.

    Attributes:
        what: "largest difference from autograd, the report's formula".
        value: The number, as it is shown.
        holds: Whether it shows what the correction says.
    """

    what: str
    value: str
    holds: bool


@dataclass(frozen=True)
class Correction:
    """A mistake, what is right, why, and numbers.

    Attributes:
        reports: Where it stands.
        says: What stands there.
        right: What is right.
        because: The derivation, in a sentence or two.
        findings: Numbers.
    """

    reports: str
    says: str
    right: str
    because: str
    findings: tuple[Finding, ...]


def difference(found: Tensor, right: Tensor) -> float:
    """The largest difference, as a share of the largest entry."""
    return float((found - right).abs().max() / right.abs().max())


def agrees(what: str, found: Tensor, right: Tensor) -> Finding:
    """That ``found`` is right, to ten digits."""
    value = difference(found, right)
    return Finding(what, f"{value:.1e}", value < 1e-10)


def disagrees(what: str, found: Tensor, right: Tensor) -> Finding:
    """That ``found`` is wrong, by more than a hundredth."""
    value = difference(found, right)
    return Finding(what, f"{value:.2g}", value > 1e-2)
