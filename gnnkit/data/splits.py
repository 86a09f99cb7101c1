"""Which labelled nodes train, validate and test. The same seed gives the same split on any machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Split(NamedTuple):
    """Three masks over the nodes; no node is in two of them, and a node without a label is in none."""

    train_mask: Tensor
    val_mask: Tensor
    test_mask: Tensor


def random_split(
    y: Tensor,
    *,
    train_per_class: int = 20,
    num_val: int = 500,
    num_test: int | None = 1000,
    seed: int = 0,
) -> Split:
    """As many training nodes of every class, the others drawn from what is left, whatever their class.

    The sizes of the public Planetoid split, drawn anew.

    Args:
        y: Class of each node, -1 where unknown; those nodes are left out.
        train_per_class: Training nodes of each class.
        num_val: Validation nodes.
        num_test: Test nodes; None for all that are left.
        seed: Which draw.

    Shapes:
        - **y:** :math:`(N)`; each mask: :math:`(N)`

    Raises:
        ValueError: If a class, or what is left of all of them, has fewer nodes than are asked for.

    Example:
        >>> split = random_split(torch.tensor([0, 0, 1, 1, 1, -1]), train_per_class=1, num_val=1, num_test=2)
        >>> [int(mask.sum()) for mask in split]
        [2, 1, 2]
    """
    counts = {"train_per_class": train_per_class, "num_val": num_val, "num_test": num_test}
    for name, count in counts.items():
        least = 1 if name == "train_per_class" else 0
        if count is not None and count < least:
            raise ValueError(f"{name} must be at least {least}, got {count}")
    generator = torch.Generator().manual_seed(_checked_seed(seed))
    train: list[Tensor] = []
    rest: list[Tensor] = []
    for label, nodes in _shuffled_classes(y, generator):
        if len(nodes) < train_per_class:
            raise ValueError(f"train_per_class={train_per_class}, but class {label} has {len(nodes)} labelled nodes")
        train.append(nodes[:train_per_class])
        rest.append(nodes[train_per_class:])
    left = torch.cat(rest)
    left = left[torch.randperm(len(left), generator=generator)]
    wanted = num_val + (0 if num_test is None else num_test)
    if wanted > len(left):
        raise ValueError(
            f"num_val={num_val} and num_test={num_test} ask for {wanted} nodes, but {len(left)} of "
            f"{int((y >= 0).sum())} labelled nodes are left after {len(y[y >= 0]) - len(left)} for training"
        )
    end = len(left) if num_test is None else wanted
    return _masks(y, torch.cat(train), left[:num_val], left[num_val:end])


def stratified_split(y: Tensor, *, ratios: Sequence[float] = (0.6, 0.2, 0.2), seed: int = 0) -> Split:
    """The same shares of every class train, validate and test, as nearly as whole nodes allow.

    Within a class, nodes that rounding leaves over go to the parts with the largest remainders, the
    earlier part on ties, and every part with a share gets a node while there are enough.

    Args:
        y: Class of each node, -1 where unknown; those nodes are left out.
        ratios: Shares of the training, validation and test nodes; their sum is at most 1.
        seed: Which draw.

    Shapes:
        - **y:** :math:`(N)`; each mask: :math:`(N)`

    Raises:
        ValueError: If the shares are not three numbers in 0..1 with a sum of at most 1 and a training
            share above 0, or a class has fewer labelled nodes than there are parts with a share.

    Example:
        >>> split = stratified_split(torch.tensor([0] * 10 + [1] * 5), ratios=(0.6, 0.2, 0.2))
        >>> [int(mask.sum()) for mask in split]
        [9, 3, 3]
    """
    shares = tuple(float(ratio) for ratio in ratios)
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares) or math.fsum(shares) > 1 + 1e-9:
        raise ValueError(f"ratios must be three shares in 0..1 with a sum of at most 1, got {tuple(ratios)}")
    if shares[0] == 0:
        raise ValueError(f"ratios must leave something to train on, got {tuple(ratios)}")
    generator = torch.Generator().manual_seed(_checked_seed(seed))
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for label, nodes in _shuffled_classes(y, generator):
        if len(nodes) < sum(share > 0 for share in shares):
            raise ValueError(
                f"class {label} has {len(nodes)} labelled nodes, too few for a part each of ratios {shares}"
            )
        start = 0
        for part, size in zip(parts, _sizes(len(nodes), shares), strict=True):
            part.append(nodes[start : start + size])
            start += size
    return _masks(y, *(torch.cat(part) for part in parts))


def _sizes(count: int, shares: tuple[float, ...]) -> list[int]:
    """Whole sizes nearest to ``count * share``, by largest remainder; none 0 where its share is not."""
    exact = [count * share for share in shares]
    # 10 * 0.6 is 5.999...: without the allowance its floor would be one too few.
    sizes = [math.floor(size + 1e-9) for size in exact]
    total = min(count, round(math.fsum(exact)))
    by_remainder = sorted(range(len(shares)), key=lambda part: sizes[part] - exact[part])
    for part in by_remainder[: total - sum(sizes)]:
        sizes[part] += 1
    for part, share in enumerate(shares):
        if share > 0 and sizes[part] == 0:
            if sum(sizes) == count:
                sizes[sizes.index(max(sizes))] -= 1
            sizes[part] = 1
    return sizes


def _shuffled_classes(y: Tensor, generator: torch.Generator) -> list[tuple[int, Tensor]]:
    if y.dim() != 1 or y.dtype != torch.int64:
        raise ValueError(f"y must be a vector of int64 classes, got {y.dtype} of shape {tuple(y.shape)}")
    y = y.cpu()
    labels = sorted(set(y[y >= 0].tolist()))
    if not labels:
        raise ValueError(f"y has no labelled node among {len(y)}, so there is nothing to split")
    shuffled = []
    for label in labels:
        nodes = (y == label).nonzero().view(-1)
        shuffled.append((label, nodes[torch.randperm(len(nodes), generator=generator)]))
    return shuffled


def _masks(y: Tensor, *parts: Tensor) -> Split:
    masks = []
    for nodes in parts:
        mask = torch.zeros(len(y), dtype=torch.bool)
        mask[nodes] = True
        masks.append(mask.to(y.device))
    return Split(*masks)


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {seed}")
    return seed
