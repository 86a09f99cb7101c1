"""The intervals and tests that comparisons between models rest on.

Equivalence: Schuirmann's two one-sided tests, J. Pharmacokinet. Biopharm. 15 (1987).
Superiority over random splits: the corrected resampled t-test, Nadeau & Bengio, "Inference for the
Generalization Error", Machine Learning 52 (2003), eq. 9. Unpaired: Welch, Biometrika 34 (1947).
Several data sets: Holm, Scand. J. Statist. 6 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``, with the confidence it was made for."""

    low: float
    high: float
    confidence: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a value."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (NaN for one value) and the mean's t interval (NaN likewise)."""

    n: int
    mean: float
    std: float
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """A difference of means (first minus second), its interval, and the two-sided test against 0."""

    n: int
    difference: float
    interval: Interval
    statistic: float
    degrees_of_freedom: float
    p_value: float


@dataclass(frozen=True)
class Equivalence:
    """Whether two models are the same within ``margin``, paired.

    Attributes:
        interval: Of the mean difference, with confidence 1 - 2 alpha; `equivalent` when it lies
            within the margin.
        p_value: The larger of the two one-sided tests'; below alpha exactly when `equivalent`.
    """

    n: int
    difference: float
    margin: float
    interval: Interval
    p_value: float
    equivalent: bool


def spread(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """Mean, standard deviation and the t interval of the mean.

    Raises:
        ValueError: If there is no value, or one is not finite.

    Example:
        >>> result = spread([0.81, 0.82, 0.83])
        >>> f"{result.mean:.3f} ± {result.std:.3f}, {result.interval.low:.3f} to {result.interval.high:.3f}"
        '0.820 ± 0.010, 0.795 to 0.845'
    """
    numbers = _finite("values", values, at_least=1)
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return Spread(1, mean, math.nan, Interval(math.nan, math.nan, confidence))
    std = math.sqrt(_variance(numbers))
    error = std / math.sqrt(len(numbers))
    return Spread(len(numbers), mean, std, _t_interval(mean, error, len(numbers) - 1, confidence))


def paired_equivalence(
    first: Sequence[float], second: Sequence[float], *, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided paired t-tests (TOST): is the mean of ``first - second`` within ``±margin``?

    Raises:
        ValueError: If the two differ in length, have fewer than two values or one not finite, or if
            ``margin`` is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}")
    differences = _differences(first, second)
    n = len(differences)
    mean = math.fsum(differences) / n
    error = math.sqrt(_variance(differences) / n)
    p_value = max(_upper_tail(mean + margin, error, n - 1), _upper_tail(margin - mean, error, n - 1))
    interval = _t_interval(mean, error, n - 1, 1 - 2 * alpha)
    within = -margin < interval.low and interval.high < margin
    return Equivalence(n, mean, margin, interval, p_value, within)


def corrected_resampled_t_test(
    first: Sequence[float],
    second: Sequence[float],
    *,
    num_train: int,
    num_test: int,
    confidence: float = 0.95,
) -> Comparison:
    """Paired test over random splits of one data set, whose training parts overlap.

    The overlap makes the splits' differences dependent; the variance of their mean is therefore
    taken as ``(1/n + num_test/num_train)`` times the sample variance instead of ``1/n`` times.

    Args:
        first: One model's score per split.
        second: The other's, on the same splits.
        num_train: Examples each split trains on.
        num_test: Examples it tests on.
        confidence: Of the interval.

    Raises:
        ValueError: If the two differ in length, have fewer than two values or one not finite, or if
            a size is not positive.
    """
    if num_train < 1 or num_test < 1:
        raise ValueError(f"num_train and num_test must be positive, got {num_train} and {num_test}")
    differences = _differences(first, second)
    n = len(differences)
    error = math.sqrt((1 / n + num_test / num_train) * _variance(differences))
    return _compare(n, math.fsum(differences) / n, error, n - 1, confidence)


def welch_t_test(first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95) -> Comparison:
    """Unpaired test of the difference of two means, variances unequal; ``n`` is that of the smaller.

    Raises:
        ValueError: If either has fewer than two values or one not finite.
    """
    a, b = _finite("first", first, at_least=2), _finite("second", second, at_least=2)
    share_a, share_b = _variance(a) / len(a), _variance(b) / len(b)
    total = share_a + share_b
    difference = math.fsum(a) / len(a) - math.fsum(b) / len(b)
    if total == 0:
        degrees = float(len(a) + len(b) - 2)
    else:  # the shares of the total first: their squares may underflow
        degrees = 1 / ((share_a / total) ** 2 / (len(a) - 1) + (share_b / total) ** 2 / (len(b) - 1))
    return _compare(min(len(a), len(b)), difference, math.sqrt(total), degrees, confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number, in the order given; reject those at or below alpha.

    Raises:
        ValueError: If one is not between 0 and 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    if bad := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p values lie between 0 and 1, got {bad[0]}")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _compare(n: int, difference: float, error: float, degrees: float, confidence: float) -> Comparison:
    if error == 0:
        statistic = math.copysign(math.inf, difference) if difference else 0.0
    else:
        statistic = difference / error
    p_value = 2 * min(_upper_tail(difference, error, degrees), _upper_tail(-difference, error, degrees))
    interval = _t_interval(difference, error, degrees, confidence)
    return Comparison(n, difference, interval, statistic, degrees, min(1.0, p_value))


def _upper_tail(mean: float, error: float, degrees: float) -> float:
    """P(T >= mean / error); without any error, certainty one way or the other."""
    from scipy.special import stdtr

    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(stdtr(degrees, -mean / error))


def _t_interval(mean: float, error: float, degrees: float, confidence: float) -> Interval:
    from scipy.special import stdtrit

    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    half = float(stdtrit(degrees, (1 + confidence) / 2)) * error
    return Interval(mean - half, mean + half, confidence)


def _variance(values: Sequence[float]) -> float:
    # Equal values have none: rounding of the mean must not invent a tiny one, and so a huge t.
    if min(values) == max(values):
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    a, b = _finite("first", first, at_least=2), _finite("second", second, at_least=2)
    if len(a) != len(b):
        raise ValueError(f"paired scores must be equally many, got {len(a)} and {len(b)}; use welch_t_test")
    return [x - y for x, y in zip(a, b, strict=True)]


def _finite(name: str, values: Sequence[float], *, at_least: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} value(s), got {len(numbers)}")
    if bad := [number for number in numbers if not math.isfinite(number)]:
        raise ValueError(f"{name} must be finite, got {bad[0]}; leave failed runs out, and say so")
    return numbers
