import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.runs import (
    Interval,
    corrected_resampled_t_test,
    holm,
    paired_equivalence,
    spread,
    welch_t_test,
)

A = [0.812, 0.805, 0.831, 0.798, 0.820, 0.809]
B = [0.801, 0.799, 0.822, 0.803, 0.811, 0.800]


def test_spread_against_scipy():
    result = spread(A, 0.9)
    expected = scipy.stats.ttest_1samp(A, 0).confidence_interval(0.9)
    assert result.n == 6
    assert result.mean == pytest.approx(np.mean(A), rel=1e-14)
    assert result.std == pytest.approx(np.std(A, ddof=1), rel=1e-12)
    assert (result.interval.low, result.interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_spread_by_hand():
    # mean 4, deviations -2, 0, 2: s = 2; t(0.975, 2 degrees) = 4.302653, so 4 ± 4.302653 * 2 / sqrt(3).
    result = spread([2, 4, 6])
    assert (result.mean, result.std) == (4, 2)
    assert result.interval.high == pytest.approx(4 + 4.302653 * 2 / math.sqrt(3), rel=1e-6)


def test_one_value_has_no_deviation_and_equal_values_have_none():
    assert math.isnan(spread([0.5]).std)
    assert math.isnan(spread([0.5]).interval.low)
    assert spread([0.1] * 10).std == 0  # the mean of ten 0.1 rounds; the deviation must not


def test_equivalence_against_scipys_one_sided_tests():
    result = paired_equivalence(A, B, margin=0.02)
    difference = np.subtract(A, B)
    above = scipy.stats.ttest_1samp(difference, -0.02, alternative="greater").pvalue
    below = scipy.stats.ttest_1samp(difference, 0.02, alternative="less").pvalue
    assert result.p_value == pytest.approx(max(above, below), rel=1e-10)
    expected = scipy.stats.ttest_1samp(difference, 0).confidence_interval(0.9)
    assert (result.interval.low, result.interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert result.interval.confidence == 0.9
    assert result.difference == pytest.approx(difference.mean())


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=30),
    st.floats(0.001, 2),
)
def test_equivalence_by_interval_and_by_p_value_agree(pairs, margin):
    first, second = zip(*pairs, strict=True)
    result = paired_equivalence(first, second, margin=margin)
    if abs(result.p_value - 0.05) > 1e-6:  # at the very edge rounding decides
        assert result.equivalent == (result.p_value < 0.05)


def test_equivalence_of_the_same_and_of_a_constant_gap():
    same = paired_equivalence(A, A, margin=0.005)
    assert (same.equivalent, same.p_value, same.difference) == (True, 0.0, 0.0)
    gap = paired_equivalence([1.0, 2.0], [0.0, 1.0], margin=0.5)
    assert (gap.equivalent, gap.p_value) == (False, 1.0)


def test_nadeau_bengio_by_hand():
    # differences 1, 2, 3: mean 2, variance 1; (1/3 + 10/40) = 7/12; t = 2 / sqrt(7/12) with 2 degrees,
    # for which P(|T| > t) = 1 - t / sqrt(2 + t^2).
    result = corrected_resampled_t_test([2, 4, 6], [1, 2, 3], num_train=40, num_test=10)
    t = 2 / math.sqrt(7 / 12)
    assert result.statistic == pytest.approx(t, rel=1e-12)
    assert result.degrees_of_freedom == 2
    assert result.p_value == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-10)
    half = 4.30265272991 * math.sqrt(7 / 12)
    assert (result.interval.low, result.interval.high) == pytest.approx((2 - half, 2 + half), rel=1e-9)


def test_nadeau_bengio_without_test_share_is_the_paired_t_test():
    result = corrected_resampled_t_test(A, B, num_train=10**15, num_test=1)
    expected = scipy.stats.ttest_rel(A, B)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert corrected_resampled_t_test(A, B, num_train=140, num_test=1000).p_value > 2 * expected.pvalue


@pytest.mark.parametrize("second", [B, B[:3], [0.3, 1.0, 1.1]])
def test_welch_against_scipy(second):
    result = welch_t_test(A, second, confidence=0.99)
    expected = scipy.stats.ttest_ind(A, second, equal_var=False)
    interval = expected.confidence_interval(0.99)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert result.degrees_of_freedom == pytest.approx(expected.df, rel=1e-10)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (result.interval.low, result.interval.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_without_any_deviation():
    sure = welch_t_test([1, 1], [2, 2])
    assert (sure.p_value, sure.statistic, sure.difference) == (0.0, -math.inf, -1.0)
    none = welch_t_test([1, 1], [1, 1])
    assert (none.p_value, none.statistic) == (1.0, 0.0)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made non-decreasing: .02 .03 .06 .06
    assert holm([0.03, 0.005, 0.04, 0.01]) == pytest.approx([0.06, 0.02, 0.06, 0.03])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_intervals_overlap():
    assert Interval(0, 2, 0.95).overlaps(Interval(2, 3, 0.95))
    assert not Interval(0, 2, 0.95).overlaps(Interval(2.1, 3, 0.95))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spread([]), "at least 1 value"),
        (lambda: spread([1, math.nan]), "must be finite, got nan"),
        (lambda: spread([1, 2], 1.5), "confidence must lie between 0 and 1, got 1.5"),
        (lambda: welch_t_test([1], [1, 2]), "first must hold at least 2 value"),
        (lambda: paired_equivalence([1, 2], [1, 2, 3], margin=1), "equally many, got 2 and 3"),
        (lambda: paired_equivalence([1, 2], [1, 2], margin=0), "margin must be positive, got 0"),
        (lambda: corrected_resampled_t_test([1, 2], [2, 1], num_train=0, num_test=1), "got 0 and 1"),
        (lambda: holm([0.1, math.nan]), "between 0 and 1, got nan"),
    ],
)
def test_bad_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
