"""What the reports trained on texts, row by row, with their settings, and what the trained models write."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from recurrent.generation import GenerationConfig


@dataclass(frozen=True)
class Passage:
    """A text to be written by one of the row's runs."""

    run: str
    prompt: str
    config: GenerationConfig


@dataclass(frozen=True)
class TextRow:
    """An experiment of the reports.

    Attributes:
        report: Which student reports it is from.
        experiment: What was done.
        claim: What was found, as the report says it.
        runs: Name of a training to what differs from its recipe.
        passages: What the trained models write.
        ladder: Steps at which training accuracy (mean of the 100 batches before) and samples are listed.
    """

    report: str
    experiment: str
    claim: str
    runs: dict[str, Run]
    passages: tuple[Passage, ...] = ()
    ladder: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """A training: a file below ``text/``, a recipe, and what differs from it."""

    file: str
    recipe: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


_GRIMM, _BARTLEBY, _TUTORIAL = "book_EN_grimms_fairy_tails.txt", "bartleby_the_scrivener.txt", "python_tutorial.txt"
_RIGHTS, _KALEVALA = "us_bill_of_rights.txt", "kalevala_fi.txt"
_GRIMM_8200 = Run(_GRIMM, "report-000", training={"steps": 8200, "sample_every": 100})
_BY_001 = {"bartleby": Run(_BARTLEBY, "report-001"), "tutorial": Run(_TUTORIAL, "report-001")}
_RIGHTS_RUN = Run(_RIGHTS, "report-003", training={"sample_every": 100, "eval_every": 50})
_KALEVALA_RUN = Run(_KALEVALA, "report-004", training={"sample_every": 1000})


def _sampled(temperature: float | None, length: int, **options: Any) -> GenerationConfig:
    return GenerationConfig(length=length, temperature=temperature, **options)


ROWS: dict[int, TextRow] = {
    5: TextRow(
        "000",
        "character LM on Grimm, 2x128, Adam .01, T = 20, 30, 50",
        "training accuracy .64 after 5000 steps",
        {f"grimm-T{length}": Run(_GRIMM, "report-000", training={"seq_length": length}) for length in (20, 30, 50)},
        ladder=(1000, 2500, 5000),
    ),
    6: TextRow(
        "000",
        "samples at steps 100, 400, 1200, 8200; temperatures .5, 1, 2; a prompt",
        "text tables",
        {"grimm-8200": _GRIMM_8200},
        (
            *(Passage("grimm-8200", "T", _sampled(value, 100)) for value in (0.5, 1.0, 2.0)),
            Passage("grimm-8200", "sleeping beauty is", _sampled(0.5, 40)),
        ),
        ladder=(100, 400, 1200, 8200),
    ),
    7: TextRow(
        "000",
        "beam search",
        "asked, left empty",
        {"grimm-8200": _GRIMM_8200},
        (
            Passage("grimm-8200", "sleeping beauty is", GenerationConfig(length=40, strategy="greedy")),
            *(
                Passage("grimm-8200", "sleeping beauty is", GenerationConfig(40, "beam", beam_width=width))
                for width in (1, 5, 20)
            ),
            Passage("grimm-8200", "sleeping beauty is", GenerationConfig(40, "beam", beam_width=20, num_returns=3)),
        ),
    ),
    11: TextRow(
        "001",
        "character LM on Bartleby and the Python tutorial, 2x1024, dropout .5, AdamW .005, 7500 steps",
        "training accuracy 84.22 % and 74.84 %",
        _BY_001,
        ladder=(2500, 5000, 7500),
    ),
    12: TextRow(
        "001",
        "samples at 2500, 5000, 7500; temperatures; three completions to T = 100",
        "text tables",
        _BY_001,
        tuple(
            Passage(name, prompt, config)
            for name, prompt in (("bartleby", "I am a "), ("tutorial", "Python is "))
            for config in (
                *(_sampled(value, 60) for value in (0.5, 1.0, 2.0)),
                _sampled(0.5, 100, num_returns=3),
            )
        ),
        ladder=(2500, 5000, 7500),
    ),
    18: TextRow(
        "003",
        "character LM on the US Bill of Rights, 2x128, dropout .5, Adam .01; temperature inside training",
        "clean samples from step 500",
        {
            f"rights-{value:g}": replace(_RIGHTS_RUN, training={**_RIGHTS_RUN.training, "loss_temperature": value})
            for value in (0.5, 1.0, 1.5, 2.0)
        },
        ladder=(100, 500, 1000, 2000),
    ),
    19: TextRow(
        "003",
        "prompts E, T, C; two sentence prompts, at least 210 characters, on to the end of the sentence",
        "text tables",
        {"rights-1": replace(_RIGHTS_RUN, training={**_RIGHTS_RUN.training, "loss_temperature": 1.0})},
        (
            *(Passage("rights-1", prompt, _sampled(0.5, 100)) for prompt in "ETC"),
            *(
                Passage("rights-1", prompt, _sampled(0.5, 600, stop_at_sentence_end=True, min_length=210))
                for prompt in ("Congress shall make no law ", "The right of the people ")
            ),
        ),
    ),
    21: TextRow(
        "004",
        "character LM on a Finnish text (here the Kalevala), T = 30, batch 64, to 100,000 steps",
        "training accuracy .42/.61/.66/.71/.74/.77 at 1k/5k/10k/25k/50k/100k steps",
        {"kalevala": _KALEVALA_RUN},
        ladder=(1000, 5000, 10_000, 25_000, 50_000, 100_000),
    ),
    22: TextRow(
        "004",
        "samples by step; temperatures .5, 1, 2; completion at .25; T = 100 with hidden 256; 1000 characters",
        "text tables",
        {
            "kalevala": _KALEVALA_RUN,
            "kalevala-256": Run(
                _KALEVALA,
                "report-004",
                {"hidden_size": 256},
                {"seq_length": 100, "steps": 10_000, "sample_every": 1000},
            ),
        },
        (
            *(Passage("kalevala", "V", _sampled(value, 100)) for value in (0.5, 1.0, 2.0)),
            Passage("kalevala", "Vaka vanha", _sampled(0.25, 100)),
            Passage("kalevala-256", "V", _sampled(0.5, 100)),
            Passage("kalevala", "V", _sampled(0.5, 1000)),
        ),
        ladder=(1000, 5000, 10_000, 25_000, 50_000, 100_000),
    ),
}
