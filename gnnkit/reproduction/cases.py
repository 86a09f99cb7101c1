"""What the judges of rows read from a result's cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnnkit.reproduction.verdict import Check

Content = Mapping[str, Any]
Case = Mapping[str, Any]
Judge = Callable[[Content], list[Check]]

END = "test_accuracy"


def length_of(case: Case) -> int:
    """What the case's task calls its length."""
    return int(case["settings"]["task"]["length"])


def mean(values: Sequence[float]) -> float:
    """The sum over the count."""
    return sum(values) / len(values)
