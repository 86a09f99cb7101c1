"""Learning which edges are missing: negative sampling, the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnkit.runs import seed_everything


@dataclass(frozen=True)
class LinkConfig:
    """How to train.

    Attributes:
        steps: Each over all training pairs and as many drawn ones.
        lr: Adam's rate.
        weight_decay: L2 on all parameters.
        seed: Of the weights, where ``build`` draws them, and of the drawn pairs.
    """

    steps: int = 200
    lr: float = 0.01
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}")


Scorer = Callable[[str, Tensor], Tensor]


def fit_links(
    build: Callable[[], nn.Module],
    score: Callable[[nn.Module], Scorer],
    positives: Mapping[str, Tensor],
    num_nodes: int,
    config: LinkConfig | None = None,
) -> nn.Module:
    """Train a model to tell the pairs of each relation from random pairs of nodes.

    Args:
        build: Makes the model, after seeding.
        score: From the model to ``scorer(relation, pairs) -> logits``; called once a step, so that what all
            relations share, such as an encoder's embeddings, is computed once.
        positives: Training pairs ``(2, P)`` of every relation.
        num_nodes: Random pairs are drawn from nodes 0 to ``num_nodes - 1``.
        config: See `LinkConfig`.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: If a relation has no pair.
    """
    config = config or LinkConfig()
    if empty := [name for name, pairs in positives.items() if pairs.numel() == 0]:
        raise ValueError(f"every relation needs a pair to learn from, {empty[0]!r} has none")
    seed_everything(config.seed)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    model.train()
    for _ in range(config.steps):
        optimizer.zero_grad()
        scorer = score(model)
        losses = []
        for relation, pairs in positives.items():
            drawn = torch.randint(num_nodes, tuple(pairs.shape), generator=generator)
            found, other = scorer(relation, pairs), scorer(relation, drawn)
            # log sigmoid of the pairs that are, and of minus those that (mostly) are not.
            losses.append(functional.softplus(-found).mean() + functional.softplus(other).mean())
        torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def split_pairs(pairs: Tensor, share: float, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pairs to train on and, a ``share`` of all, held out.

    Raises:
        ValueError: If either part would be empty.
    """
    held = round(share * pairs.size(1))
    if not 0 < held < pairs.size(1):
        raise ValueError(f"a share of {share} of {pairs.size(1)} pairs leaves one part empty")
    order = torch.randperm(pairs.size(1), generator=torch.Generator().manual_seed(seed))
    return pairs[:, order[held:]], pairs[:, order[:held]]


def other_pairs(pairs: Tensor, num_nodes: int, count: int, *, seed: int = 0) -> Tensor:
    """Up to ``count`` pairs of different nodes that are none of ``pairs``, smaller id first, none twice."""
    linked = torch.eye(num_nodes, dtype=torch.bool)
    linked[pairs[0], pairs[1]] = True
    linked |= linked.t().clone()
    free = (~linked).triu(1).nonzero().t()
    order = torch.randperm(free.size(1), generator=torch.Generator().manual_seed(seed))[:count]
    return free[:, order]


def area_under_roc(positive: Tensor, negative: Tensor) -> float:
    """The probability that a random positive scores above a random negative, ties counting half.

    Raises:
        ValueError: If there is none of either.

    Example:
        >>> area_under_roc(torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.4]))
        0.875
    """
    if positive.numel() == 0 or negative.numel() == 0:
        raise ValueError(f"both kinds are needed, got {positive.numel()} positive and {negative.numel()} negative")
    ranked = negative.double().sort().values
    scores = positive.double()
    below = torch.searchsorted(ranked, scores, right=False)
    at_most = torch.searchsorted(ranked, scores, right=True)
    return int((below + at_most).sum()) / (2 * positive.numel() * negative.numel())


def average_precision(positive: Tensor, negative: Tensor) -> float:
    """The mean, over the positives, of the share of positives among all that score at least as high.

    Raises:
        ValueError: If there is none of either.

    Example:
        >>> average_precision(torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.5]))
        0.8333333333333333
    """
    if positive.numel() == 0 or negative.numel() == 0:
        raise ValueError(f"both kinds are needed, got {positive.numel()} positive and {negative.numel()} negative")
    above, below = positive.double().sort().values, negative.double().sort().values
    found = above.numel() - torch.searchsorted(above, above, right=False)
    wrong = below.numel() - torch.searchsorted(below, above, right=False)
    return float((found.double() / (found + wrong)).mean())
