"""Dropout from cheap random bits, for dense and for sparse features.

Drawing the random numbers is what costs in dropout on a CPU: torch's Bernoulli takes several times
as long as one 64-bit draw cut into four 16-bit lanes. The probability is realised to the nearest
2^-16, and survivors are scaled by the realised probability, so the expectation is exact.

Reference: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
JMLR 2014.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.row_draws import RowDraws, active_draws

Features = TypeVar("Features", bound=Tensor | SparseMatrix)
_LANES = 1 << 16
_TORCHS = (
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
)
_keeps_all: ContextVar[bool] = ContextVar("keeps_all", default=False)


def checked_probability(p: float) -> float:
    """``p`` itself.

    Raises:
        ValueError: If it does not lie in 0 .. 1.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a dropout probability must lie in 0..1, got {p}")
    return float(p)


def dropout(x: Features, p: float, training: bool = True) -> Features:
    """Zero each number with probability ``p`` and scale the others up, so that the mean stays.

    On a sparse matrix only the stored entries are drawn for: a zero stays zero either way. Within
    :func:`~gnnkit.nn.row_draws.drawing_by_row` the bits belong to the rows' nodes.

    Raises:
        ValueError: If ``p`` does not lie in 0 .. 1.
    """
    p = checked_probability(p)
    if not training or p == 0.0:
        return x
    draws = active_draws()
    if draws is not None:
        return _dropped_by_row(x, p, draws)
    if isinstance(x, SparseMatrix):
        return cast(Features, x.with_values(dropout(x.values, p)))
    if x.device.type != "cpu" or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        # One fused kernel there; and neither the compiler nor vmap knows random_ of a range.
        return cast(Features, functional.dropout(x, p))
    chance = keep_probability(p)
    return cast(Features, (x * kept(x.shape, p, x.device)).mul_(1.0 / chance if chance else 0.0))


def _dropped_by_row(x: Features, p: float, draws: RowDraws) -> Features:
    if isinstance(x, SparseMatrix):
        keep = kept_of(draws.of_entries(x.pattern.row, x.pattern.col), p)
        return cast(Features, x.with_values(x.values * _scaled(keep, x.values, p)))
    nodes_first = x.movedim(-2, 0)
    keep = kept_of(draws.of_rows(x.size(-2), nodes_first[0].numel()), p)
    keep = keep.view(nodes_first.shape).movedim(0, -2)
    return cast(Features, x * _scaled(keep, x, p))


def _scaled(keep: Tensor, like: Tensor, p: float) -> Tensor:
    chance = keep_probability(p)
    return keep.to(like.dtype).mul_(1.0 / chance if chance else 0.0)


def keep_probability(p: float) -> float:
    """The probability with which a number is kept: 1 - p to the nearest 2^-16."""
    return (_LANES - round(p * _LANES)) / _LANES


@contextmanager
def keeping_all() -> Iterator[None]:
    """Let no dropout within the block drop a number, here or in ``torch.nn``, and none draw one.

    So two passes in training mode can be compared. What is scaled for those that would be dropped stays scaled.
    """
    token = _keeps_all.set(True)
    try:
        with _TorchKeepsAll():
            yield
    finally:
        _keeps_all.reset(token)


class _TorchKeepsAll(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _TORCHS and kwargs["training"] and kwargs["p"] > 0:
            return args[0].clone()  # another tensor, as dropout gives: a graph's edges are told by identity
        return func(*args, **kwargs)


def kept(shape: Sequence[int], p: float, device: torch.device) -> Tensor:
    """Which numbers stay, as booleans."""
    if not torch.compiler.is_compiling() and _keeps_all.get():
        return torch.ones(tuple(shape), dtype=torch.bool, device=device)
    dropped_lanes = round(p * _LANES)
    if dropped_lanes == _LANES:  # no 16-bit number lies above all of them
        return torch.zeros(tuple(shape), dtype=torch.bool, device=device)
    if torch._C._are_functorch_transforms_active():  # vmap knows no random_ of a range; it does know rand
        return torch.rand(tuple(shape), device=device) < keep_probability(p)
    size = math.prod(shape)
    words = torch.empty((size + 3) // 4, dtype=torch.int64, device=device)
    # The full range: random_() alone never sets the sign bit, a quarter of whose lanes would be biased.
    words.random_(-(2**63), None)
    return kept_of(words.view(torch.int16)[:size].view(tuple(shape)), p)


def kept_of(lanes: Tensor, p: float) -> Tensor:
    """Which numbers stay, by 16 random bits for each."""
    dropped_lanes = round(p * _LANES)
    if dropped_lanes == _LANES:
        return torch.zeros_like(lanes, dtype=torch.bool)
    return lanes >= dropped_lanes - _LANES // 2
