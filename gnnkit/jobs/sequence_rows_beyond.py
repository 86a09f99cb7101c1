"""Beyond the reports: their tasks with other settings, and longer ones, as rows of their own.

But for the latch, which is named as such and never counted, nothing here knows the task.
"""

from __future__ import annotations

from dataclasses import replace

from gnnkit.jobs.sequence_job import CellChoice, CellName, SequenceJob, TaskChoice
from gnnkit.jobs.sequence_row_cases import (
    COMBINATION_SCORES,
    PALINDROME_SCORES,
    Case,
    TrainingRow,
    lstm_of_report_003,
    palindrome,
    rnn_of_report_003,
)
from gnnkit.training.optimization import Optimization
from gnnkit.training.sequences import SequenceConfig

LATCH = "latch (knows the task)"

_BATCHES = {
    False: {5: "25.0 +- 2.2 batches", 10: "124.7 +- 15.1 batches", 15: "544.7 +- 71.0 batches"},
    True: {5: "18.3 +- .5 batches", 10: "80.7 +- 12.4 batches", 15: "298.3 +- 21.5 batches"},
}
_SOLVED_SCORES = ("test_accuracy", "test_loss", "eval_accuracy", "steps")


def _combinations(quick: bool, runs: int) -> list[Case]:
    """A wider embedding drives the gates harder, forgetting starts slow, the rate is ten times the report's."""
    config = SequenceConfig(
        steps=60 if quick else 2000,
        optimization=Optimization("adam", 1e-2),
        eval_every=1,
        eval_size=4096,
        stop_after=3,
    )
    return [
        Case(
            f"{'bi-' if both else ''}lstm, embedding 64",
            SequenceJob(
                TaskChoice("combinations", length, "token"),
                CellChoice("lstm", bidirectional=both, embedding_dim=64, init="kaiming", forget_bias=1.0),
                config,
                runs,
            ),
            _BATCHES[both][length],
        )
        for both in (False, True)
        for length in ((5, 10) if quick else (5, 10, 15))
    ]


def _palindromes(quick: bool, runs: int) -> list[Case]:
    """A wide embedding, and forgetting times spread over the sequence; then a latch, apart."""
    config = SequenceConfig(
        steps=100 if quick else 1500, optimization=Optimization("adam", 2e-3, clip=1.0), eval_every=50, stop_after=3
    )
    lengths: dict[CellName, tuple[int, ...]] = {"lstm": (50, 75, 100, 200, 300), "gru": (100, 200, 300)}
    if quick:
        lengths = {"lstm": (50,), "gru": (50,)}
    general = [
        Case(
            f"{cell}, embedding 64, spread forgetting",
            SequenceJob(
                TaskChoice("palindrome", length, "token"),
                CellChoice(cell, embedding_dim=64, init="kaiming", chrono=length),
                config,
                runs,
            ),
            "fails" if length > 50 else ">= 90 %",
        )
        for cell in lengths
        for length in lengths[cell]
    ]
    slower = replace(config, optimization=Optimization("adam", 1e-3, clip=1.0))
    length = 50 if quick else 300
    latch = SequenceJob(TaskChoice("palindrome", length, "one-hot"), CellChoice("rnn", init="latch"), slower, runs)
    return [*general, Case(f"{LATCH}, rnn", latch)]


def _long_memory(quick: bool, runs: int) -> list[Case]:
    """The two problems of Arjovsky, Shah & Bengio (2016), section 4, at their lengths."""
    copy = SequenceConfig(
        steps=20 if quick else 2000,
        batch_size=50,
        optimization=Optimization("adam", 1e-3, schedule="cosine", clip=1.0),
        eval_every=50,
        stop_after=3,
    )
    add = SequenceConfig(
        steps=30 if quick else 2000,
        batch_size=50,
        optimization=Optimization("adam", 5e-3, clip=1.0),
        eval_every=50,
        stop_after=3,
    )
    delay, length = (20, 50) if quick else (500, 750)
    return [
        Case(
            "orthogonal-rnn",
            SequenceJob(
                TaskChoice("copy-memory", delay, "one-hot"), CellChoice("orthogonal-rnn", init="kaiming"), copy, runs
            ),
        ),
        Case(
            "min-gru, 2 layers of 64",
            SequenceJob(
                TaskChoice("adding", length), CellChoice("min-gru", 64, num_layers=2, chrono=length), add, runs
            ),
        ),
    ]


def _forget_bias(quick: bool, runs: int) -> list[Case]:
    """Rows 14 to 16 again, and beside them the same LSTM but for its forget biases."""

    def lstm(length: int, forget_bias: float | None, lr: float = 1e-3) -> SequenceJob:
        job = palindrome("lstm", length, runs=runs, steps=5000, quick=quick, lr=lr)
        return replace(job, model=replace(job.model, forget_bias=forget_bias))

    cases = []
    for length in (5, 15) if quick else (10, 20, 30, 40, 50, 75, 100):
        rnn, said = palindrome("rnn", length, runs=runs, steps=5000, quick=quick), lstm_of_report_003(length, 1e-3)
        cases += [
            Case("rnn", rnn, rnn_of_report_003(length)),
            Case("lstm, forget bias 0", lstm(length, None), said),
            Case("lstm, forget bias 1", lstm(length, 1.0), said),
        ]
    faster = 15 if quick else 75
    return [*cases, Case("lstm, lr 0.01, forget bias 1", lstm(faster, 1.0, 1e-2), lstm_of_report_003(faster, 1e-2))]


BEYOND_ROWS = {
    row.number: row
    for row in (
        TrainingRow(
            30,
            "001",
            "beyond: LSTM and BiLSTM on random combinations, embedding of 64, forget bias 1, Adam at 1e-2",
            "with the report's settings 25.0 / 124.7 / 544.7 batches, both ways 18.3 / 80.7 / 298.3",
            COMBINATION_SCORES,
            _combinations,
            runs=10,
        ),
        TrainingRow(
            31,
            "003",
            "beyond: LSTM and GRU on palindromes of T = 50 to 300, embedding of 64, spread forgetting times",
            "with the report's settings the LSTM fails at T = 75 and 100",
            _SOLVED_SCORES,
            _palindromes,
        ),
        TrainingRow(
            32,
            "-",
            "beyond: copy memory over 500 steps by an orthogonal RNN, adding over 750 by a minGRU",
            "Arjovsky, Shah & Bengio (2016), fig. 1: an LSTM does not get past guessing in copy memory over 500 steps",
            _SOLVED_SCORES,
            _long_memory,
        ),
        TrainingRow(
            33,
            "003",
            "beyond: RNN and LSTM on palindromes of T = 10 to 100, the LSTM with forget biases of 0 and of 1",
            "LSTM >= 90 % to T = 50, fails at 75 and 100, T = 75 100 % at lr x10; ahead of the RNN but at T = 5",
            PALINDROME_SCORES,
            _forget_bias,
        ),
    )
}
