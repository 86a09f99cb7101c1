"""Beam search: the likeliest continuation that a bounded memory finds.

Reference: Graves, "Sequence Transduction with Recurrent Neural Networks", 2012,
https://arxiv.org/abs/1211.3711; the length penalty divides by a power of the length, Wu et al., 2016,
https://arxiv.org/abs/1609.08144, in its simple form.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurrent.checks import check_sizes
from recurrent.generation.stepping import StepModel, advance
from recurrent.state import select_rows


class Beam(NamedTuple):
    """One hypothesis.

    Attributes:
        tokens: The ids, without the prompt.
        log_probabilities: Of each of them, under the model.
        finished: Whether it ended with a stop token, rather than at the length.
        score: Sum of the log-probabilities / length ** length_penalty.
    """

    tokens: list[int]
    log_probabilities: list[float]
    finished: bool
    score: float


class _Node(NamedTuple):
    """The last character of a hypothesis; its parents are the rest, shared between hypotheses."""

    token: int
    log_probability: float
    parent: _Node | None


@torch.no_grad()
def beam_search(
    model: StepModel,
    scores: Tensor,
    state: Any,
    *,
    width: int,
    length: int,
    length_penalty: float = 1.0,
    num_returns: int = 1,
    stop_tokens: Collection[int] = (),
    min_length: int = 0,
) -> list[Beam]:
    """The best continuations after a prompt that `prefill` has read, best first.

    The search ends at ``length``, or once ``width`` hypotheses are finished, which leaves those still
    open out; so one beam stops where greedy search does. Equal scores go to the lower id.

    Args:
        model: The model.
        scores: Log-probabilities of the first character, ``[1, V]``.
        state: After the prompt, of one sequence.
        width: Hypotheses kept at each step.
        length: Characters at most.
        length_penalty: The longer, the better for a hypothesis, the larger this is.
        num_returns: How many to return; fewer where there are not so many sequences at all.
        stop_tokens: Ids that finish a hypothesis, once it has ``min_length`` characters with them.
        min_length: See there.

    Raises:
        ValueError: If a number is out of range.
    """
    if not 1 <= num_returns <= width:
        raise ValueError(f"num_returns must be from 1 to width={width}, got {num_returns}")
    check_sizes(width=width, length=length)
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(f"length_penalty must be a number from 0, got {length_penalty}")
    stops = set(stop_tokens)
    nodes: list[_Node | None] = [None]
    totals = scores.new_zeros(1)
    done: list[tuple[float, int, Beam]] = []
    for size in range(1, length + 1):
        chosen, finished = _best(scores, totals, width, stops if size >= min_length else set())
        for beam, token, total in finished:
            ended = _Node(token, float(scores[beam, token]), nodes[beam])
            done.append(_ranked(ended, total, True, length_penalty, len(done)))
        if len(done) >= width or not chosen:
            nodes = []
            break
        nodes = [_Node(token, float(scores[beam, token]), nodes[beam]) for beam, token, _ in chosen]
        totals = scores.new_tensor([total for _, _, total in chosen])
        if size < length:
            rows = torch.tensor([beam for beam, _, _ in chosen], device=scores.device)
            tokens = torch.tensor([token for _, token, _ in chosen], device=scores.device)
            scores, state = advance(model, tokens, select_rows(state, rows))
    for node, total in zip(nodes, totals.tolist(), strict=False):
        assert node is not None, "length is at least 1"
        done.append(_ranked(node, total, False, length_penalty, len(done)))
    return [beam for _, _, beam in sorted(done, key=lambda each: each[:2])[:num_returns]]


def _best(
    scores: Tensor, totals: Tensor, width: int, stops: set[int]
) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]:
    """The open and the finished (beam, token, total) among the best; a finished one takes no open one's place."""
    vocab_size = scores.size(1)
    candidates = (totals.unsqueeze(1) + scores).flatten()
    # Enough that `width` open ones remain even if every beam finishes in every way.
    wanted = min(width + len(stops) * len(totals), len(candidates))
    # A stable sort, not topk, whose order among equals is not defined.
    best, places = candidates.sort(descending=True, stable=True)
    chosen: list[tuple[int, int, float]] = []
    finished: list[tuple[int, int, float]] = []
    for rank, (total, place) in enumerate(zip(best[:wanted].tolist(), places[:wanted].tolist(), strict=True)):
        if total == float("-inf"):
            break  # a model may rule characters out
        beam, token = divmod(place, vocab_size)
        if token in stops:
            if rank < width:
                finished.append((beam, token, total))
        elif len(chosen) < width:
            chosen.append((beam, token, total))
    return chosen, finished


def _ranked(node: _Node, total: float, finished: bool, penalty: float, count: int) -> tuple[float, int, Beam]:
    tokens, log_probabilities = [], []
    last: _Node | None = node
    while last is not None:
        tokens.append(last.token)
        log_probabilities.append(last.log_probability)
        last = last.parent
    score = total / len(tokens) ** penalty
    return -score, count, Beam(tokens[::-1], log_probabilities[::-1], finished, score)
