"""From a prompt to text, at the same cost per character however long the text is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recurrent.generation.beam import beam_search
from recurrent.generation.config import SENTENCE_ENDS, GenerationConfig
from recurrent.generation.sampling import draw
from recurrent.generation.stepping import StepModel, advance, prefill
from recurrent.state import select_rows
from recurrent.text.vocabulary import Vocabulary


class Character(NamedTuple):
    """One character of a stream, and its log-probability under the model (before temperature and filters)."""

    text: str
    log_probability: float


@dataclass(frozen=True)
class Generation:
    """One text.

    Attributes:
        prompt: What it goes on from, as the model read it: skipped and replaced characters show.
        text: What was written, without the prompt.
        log_probabilities: Of each character under the model, before temperature and filters.
        finished: Whether it stopped at the end of a sentence, rather than at the length.
        score: Log-probability of the text; of a beam, divided by length ** length_penalty.
    """

    prompt: str
    text: str
    log_probabilities: tuple[float, ...]
    finished: bool
    score: float

    @property
    def log_probability(self) -> float:
        """Of the whole text, given the prompt."""
        return float(torch.tensor(self.log_probabilities, dtype=torch.float64).sum())


def generate(
    model: StepModel, vocabulary: Vocabulary, prompt: str = "", config: GenerationConfig | None = None
) -> list[Generation]:
    r"""Go on from a prompt; ``config.num_returns`` texts.

    Args:
        model: Anything with ``initial_state`` and ``step``.
        vocabulary: The model's.
        prompt: Read once. An empty one stands for the start of a line.
        config: How.

    Raises:
        UnknownCharacterError: If the prompt has a character that the model does not know; its message
            says what to do.
        ValueError: If nothing of the prompt is left, if the vocabulary has no sentence end to stop at,
            or the model's logits are NaN.

    Example:
        >>> from recurrent.models import CharLM
        >>> vocabulary = Vocabulary("abc\n")
        >>> [text] = generate(CharLM(4, 8), vocabulary, "ab", GenerationConfig(length=5, strategy="greedy"))
        >>> len(text.text), len(text.log_probabilities)
        (5, 5)
    """
    config = config or GenerationConfig()
    start, stops = _checked(vocabulary, prompt, config)
    read = vocabulary.decode(start) if prompt else ""
    if config.strategy != "beam":
        texts = _walk(model, start, config, stops)
        rows: list[list[tuple[int, float]]] = [[] for _ in range(config.num_returns)]
        for written in texts:
            for row, token, log_probability in written:
                rows[row].append((token, log_probability))
        return [_generation(vocabulary, read, row, stops, config) for row in rows]
    scores, state = prefill(model, start)
    beams = beam_search(
        model,
        scores,
        state,
        width=config.width,
        length=config.length,
        length_penalty=config.penalty,
        num_returns=config.num_returns,
        stop_tokens=stops,
        min_length=config.min_length,
    )
    return [
        Generation(read, vocabulary.decode(each.tokens), tuple(each.log_probabilities), each.finished, each.score)
        for each in beams
    ]


def stream(
    model: StepModel, vocabulary: Vocabulary, prompt: str = "", config: GenerationConfig | None = None
) -> Iterator[Character]:
    """The characters of :func:`generate`'s first text, each as soon as it is known: for beams, at the end.

    Bad arguments are raised here, not at the first character.

    Raises:
        ValueError: As :func:`generate`; also if several texts are asked for, which one stream cannot carry.
    """
    config = config or GenerationConfig()
    if config.num_returns != 1:
        raise ValueError(f"a stream carries one text, got num_returns={config.num_returns}; use generate")
    start, stops = _checked(vocabulary, prompt, config)
    if config.strategy == "beam":
        [best] = generate(model, vocabulary, prompt, config)
        return map(Character, best.text, best.log_probabilities)
    steps = _walk(model, start, config, stops)
    return (
        Character(vocabulary.characters[token], log_probability)
        for written in steps
        for _, token, log_probability in written
    )


def _walk(
    model: StepModel, start: Tensor, config: GenerationConfig, stops: tuple[int, ...]
) -> Iterator[list[tuple[int, int, float]]]:
    """Per step the (text, token, log-probability) of each text that still runs."""
    scores, state = prefill(model, start)
    running = list(range(config.num_returns))
    rows = torch.zeros(len(running), dtype=torch.long, device=scores.device)
    scores, state = scores.index_select(0, rows), select_rows(state, rows)  # the prompt is read once for all
    generators = [torch.Generator(scores.device).manual_seed(config.seed + text) for text in running]
    for size in range(1, config.length + 1):
        if config.strategy == "greedy":
            tokens = scores.argmax(-1)
        else:
            tokens = draw(scores, config.sampling, [generators[text] for text in running])
        chosen = scores.gather(1, tokens.unsqueeze(1)).squeeze(1)
        written = list(zip(running, tokens.tolist(), chosen.tolist(), strict=True))
        yield written
        if size == config.length:
            return
        if size >= config.min_length and stops:
            kept = [place for place, (_, token, _) in enumerate(written) if token not in stops]
            if not kept:
                return
            if len(kept) < len(running):
                rows = torch.tensor(kept, device=scores.device)
                running = [running[place] for place in kept]
                tokens, state = tokens[rows], select_rows(state, rows)
        scores, state = advance(model, tokens, state)


def _checked(vocabulary: Vocabulary, prompt: str, config: GenerationConfig) -> tuple[Tensor, tuple[int, ...]]:
    """The prompt's ids, and those at which to stop."""
    stops: tuple[int, ...] = ()
    if config.stop_at_sentence_end:
        stops = vocabulary.ids(SENTENCE_ENDS)
        if not stops:
            raise ValueError(f"the vocabulary has none of {' '.join(SENTENCE_ENDS)}; leave stop_at_sentence_end out")
    if prompt:
        ids = vocabulary.encode(prompt, unknown=config.unknown)
        if len(ids) == 0:
            raise ValueError(f"nothing of the prompt {prompt!a} is in the vocabulary; give another prompt")
        return ids, stops
    start = vocabulary.ids("\n") or vocabulary.ids(" ")
    if not start:
        raise ValueError("an empty prompt '' stands for the start of a line, which this vocabulary lacks; give one")
    return torch.tensor(start), stops


def _generation(
    vocabulary: Vocabulary,
    prompt: str,
    written: list[tuple[int, float]],
    stops: tuple[int, ...],
    config: GenerationConfig,
) -> Generation:
    tokens = [token for token, _ in written]
    log_probabilities = tuple(log_probability for _, log_probability in written)
    finished = tokens[-1] in stops and len(tokens) >= config.min_length
    return Generation(prompt, vocabulary.decode(tokens), log_probabilities, finished, sum(log_probabilities))
