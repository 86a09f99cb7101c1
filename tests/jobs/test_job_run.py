"""What the runs of all jobs share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.errors import RunError
from gnnkit.jobs.job_run import EpochReporter, over_runs, seeds_side_by_side

scores = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


@given(scores)
def test_over_runs_equals_numpy(values: list[float]) -> None:
    found = over_runs({"score": values})
    assert found["score_mean"] == pytest.approx(np.mean(values), abs=1e-9)
    assert found["score_std"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_run_has_no_deviation_and_a_diverged_one_no_mean() -> None:
    found = over_runs({"one": [0.5], "diverged": [0.5, math.nan], "overflown": [math.inf]})
    assert (found["one_mean"], found["one_std"]) == (0.5, 0.0)
    assert all(math.isnan(found[f"{name}_{of}"]) for name in ("diverged", "overflown") for of in ("mean", "std"))


def _one_seed(failing: frozenset[int], seed: int) -> int:
    EpochReporter().update(1)
    if seed in failing:
        raise ValueError(f"no luck with {seed}")
    return seed**2


def test_a_failed_seed_costs_no_other() -> None:
    outcomes = seeds_side_by_side(
        _one_seed, (2, 3, 4), frozenset({3}), epochs=2, title="squares", hint="again", jobs=2, progress="quiet"
    )
    assert [outcome.value for outcome in outcomes] == [4, None, 16]
    assert outcomes[1].error == "ValueError: no luck with 3"


def test_all_failed_is_an_error_that_names_the_first() -> None:
    with pytest.raises(RunError, match="every run failed, the first with: ValueError: no luck with 2"):
        seeds_side_by_side(
            _one_seed, (2, 3), frozenset({2, 3}), epochs=2, title="squares", hint="again", jobs=1, progress="quiet"
        )
