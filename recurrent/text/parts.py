"""A text in three: contiguous, so that no held-out character is inside a training window."""

from typing import NamedTuple

from torch import Tensor


class TextParts(NamedTuple):
    """Ids in the order of the text, ``[N]`` each: first training, then validation, test last."""

    train: Tensor
    validation: Tensor
    test: Tensor


def split_contiguous(tokens: Tensor, *, validation: float = 0.05, test: float = 0.1) -> TextParts:
    """Cut a text: its last ``test`` for testing, the ``validation`` before that, the rest for training.

    Raises:
        ValueError: If a share is not in [0, 1), or nothing is left to train on.

    Example:
        >>> import torch
        >>> [len(part) for part in split_contiguous(torch.arange(100))]
        [85, 5, 10]
    """
    if tokens.dim() != 1:
        raise ValueError(f"tokens must be one row of ids, [N], got {tuple(tokens.shape)}")
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be a share from 0 to below 1, got {share}")
    sizes = [round(len(tokens) * share) for share in (validation, test)]
    first = len(tokens) - sum(sizes)
    if first < 2:
        raise ValueError(
            f"of {len(tokens)} characters, shares of {validation} and {test} leave {max(first, 0)} to train on; "
            "take smaller shares or a longer text"
        )
    return TextParts(tokens[:first], tokens[first : first + sizes[0]], tokens[len(tokens) - sizes[1] :])
