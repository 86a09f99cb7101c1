"""Beyond the reports: their tasks with other settings, as rows of their own.

Nothing here knows the task: inputs are one-hot, recurrent matrices start orthogonal, forgetting times are
spread over the sequence where it is long (Tallec & Ollivier, 2018), Adam's rate is higher.
"""

from __future__ import annotations

from gnnkit.jobs.sequence_job import CellChoice, SequenceJob, TaskChoice
from gnnkit.jobs.sequence_row_cases import COMBINATION_SCORES, PALINDROME_SCORES, Case, TrainingRow
from gnnkit.training.optimization import Optimization
from gnnkit.training.sequences import SequenceConfig

_BATCHES = {5: "25.0 +- 2.2 batches", 10: "124.7 +- 15.1 batches", 15: "544.7 +- 71.0 batches"}


def _combinations(quick: bool, runs: int) -> list[Case]:
    config = SequenceConfig(
        steps=60 if quick else 2000,
        optimization=Optimization("adam", 1e-2),
        eval_every=1,
        eval_size=4096,
        stop_after=3,
    )
    model = CellChoice("lstm", init="orthogonal")
    lengths = (5, 10) if quick else (5, 10, 15)
    return [
        Case(
            "lstm, one-hot, orthogonal",
            SequenceJob(TaskChoice("combinations", length, "one-hot"), model, config, runs),
            _BATCHES[length],
        )
        for length in lengths
    ]


def _palindromes(quick: bool, runs: int) -> list[Case]:
    config = SequenceConfig(steps=100 if quick else 1500, optimization=Optimization("adam", 5e-3, clip=1.0))
    return [
        Case(
            "lstm, one-hot, orthogonal, chrono",
            SequenceJob(
                TaskChoice("palindrome", length, "one-hot"),
                CellChoice("lstm", init="orthogonal", chrono=length),
                config,
                runs,
            ),
            "fails" if length > 50 else ">= 90 %",
        )
        for length in ((50,) if quick else (50, 75, 100))
    ]


BEYOND_ROWS = {
    row.number: row
    for row in (
        TrainingRow(
            30,
            "001",
            "beyond: LSTM on random combinations from one-hot inputs, orthogonal weights, Adam at 1e-2",
            "25.0 +- 2.2 / 124.7 +- 15.1 / 544.7 +- 71.0 batches with the report's settings",
            COMBINATION_SCORES,
            _combinations,
            runs=10,
        ),
        TrainingRow(
            31,
            "003",
            "beyond: LSTM on palindromes of T = 50, 75, 100 from one-hot inputs, orthogonal weights, spread gates",
            "with the report's settings the LSTM fails at T = 75 and 100",
            PALINDROME_SCORES,
            _palindromes,
        ),
    )
}
