"""How to go on from a prompt: every choice, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from recurrent.generation.sampling import Sampling
from recurrent.text.vocabulary import UnknownPolicy

Strategy = Literal["sample", "greedy", "beam"]

SENTENCE_ENDS = ".!?"

_OF_STRATEGY = {
    "temperature": "sample",
    "top_k": "sample",
    "top_p": "sample",
    "min_p": "sample",
    "beam_width": "beam",
    "length_penalty": "beam",
}


@dataclass(frozen=True)
class GenerationConfig:
    """How to go on from a prompt.

    Attributes:
        length: Characters to write, at most.
        strategy: ``"sample"``; ``"greedy"``, always the likeliest; or ``"beam"`` search.
        temperature: Of sampling; 1 when None. See `recurrent.generation.Sampling`.
        top_k: Of sampling.
        top_p: Of sampling.
        min_p: Of sampling.
        beam_width: Hypotheses kept; 5 when None.
        length_penalty: A beam's score is its log-probability / length ** length_penalty; 1 when None.
        num_returns: Texts wanted: samples of the seeds seed, seed + 1, ..., or the best beams.
        stop_at_sentence_end: Stop after the first of ``. ! ?`` at ``min_length`` or later.
        min_length: Characters before a sentence's end stops the text.
        seed: Of sampling.
        unknown: What to do with characters of the prompt that the model does not know.

    Raises:
        ValueError: Naming what is out of range, or belongs to another strategy.
    """

    length: int = 200
    strategy: Strategy = "sample"
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    beam_width: int | None = None
    length_penalty: float | None = None
    num_returns: int = 1
    stop_at_sentence_end: bool = False
    min_length: int = 0
    seed: int = 0
    unknown: UnknownPolicy = "error"

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise ValueError(f"strategy must be one of {', '.join(get_args(Strategy))}, got {self.strategy!r}")
        for name, owner in _OF_STRATEGY.items():
            value = getattr(self, name)
            if value is not None and owner != self.strategy:
                raise ValueError(f'{name} is of strategy="{owner}", got {value} with strategy="{self.strategy}"')
        for name, least in (("length", 1), ("beam_width", 1), ("num_returns", 1), ("min_length", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < 2**31:
                raise ValueError(f"{name} must be from {least} to 2**31 - 1, got {value}")
        if self.length_penalty is not None and not 0 <= self.length_penalty < float("inf"):
            raise ValueError(f"length_penalty must be a number from 0, got {self.length_penalty}")
        if self.min_length and not self.stop_at_sentence_end:
            raise ValueError(
                f"min_length delays the stop at a sentence's end, got {self.min_length} without "
                "stop_at_sentence_end; without it every text has all its length"
            )
        if self.min_length > self.length:
            raise ValueError(f"min_length must not exceed length={self.length}, got {self.min_length}")
        if not 0 <= self.seed < 2**62:
            raise ValueError(f"seed must be from 0 to 2**62 - 1, got {self.seed}")
        if self.unknown not in get_args(UnknownPolicy):
            raise ValueError(f"unknown must be one of {', '.join(get_args(UnknownPolicy))}, got {self.unknown!r}")
        if self.strategy == "greedy" and self.num_returns > 1:
            raise ValueError(f"greedy knows one text, got num_returns={self.num_returns}; sample, or search with beams")
        if self.strategy == "beam" and self.num_returns > self.width:
            raise ValueError(f"num_returns must not exceed beam_width={self.width}, got {self.num_returns}")
        if self.strategy == "sample":
            self.sampling  # noqa: B018 - its own checks

    @property
    def sampling(self) -> Sampling:
        """The settings of a draw."""
        temperature = 1.0 if self.temperature is None else self.temperature
        return Sampling(temperature, self.top_k, self.top_p, self.min_p)

    @property
    def width(self) -> int:
        """Beams kept."""
        return 5 if self.beam_width is None else self.beam_width

    @property
    def penalty(self) -> float:
        """The exponent of a beam's length."""
        return 1.0 if self.length_penalty is None else self.length_penalty
