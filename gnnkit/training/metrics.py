"""Scores of a classifier, from logits and labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_classes(logits: Tensor, num_classes: int, model: nn.Module) -> None:
    """Raise ValueError if ``model`` gave fewer logits per node than there are classes; more stay unused."""
    if logits.size(-1) < num_classes:
        raise ValueError(
            f"{type(model).__name__} gives {logits.size(-1)} logits per node, but the data have {num_classes} "
            f"classes; make it with out_channels={num_classes} (data.num_classes)"
        )


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest logit is the label's; NaN without rows.

    Raises:
        ValueError: If there is not one label per row.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"one label per row of logits: got {tuple(logits.shape)} and {tuple(labels.shape)}")
    if labels.numel() == 0:
        return float("nan")
    return float((logits.argmax(dim=-1) == labels).sum()) / labels.numel()


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Counts ``(num_classes, num_classes)``: row the true class, column the predicted one.

    Raises:
        ValueError: If the shapes differ, or a class does not lie in ``0 .. num_classes - 1``.
    """
    if predicted.shape != labels.shape:
        raise ValueError(f"one prediction per label: got {tuple(predicted.shape)} and {tuple(labels.shape)}")
    for name, classes in (("predicted", predicted), ("labels", labels)):
        outside = (classes < 0) | (classes >= num_classes)
        if bool(outside.any()):
            raise ValueError(f"{name} holds {int(classes[outside][0])}, but classes are 0..{num_classes - 1}")
    counts = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def macro_f1(confusion: Tensor) -> float:
    """The mean over classes of 2 TP / (2 TP + FP + FN), over classes that occur or are predicted; NaN without rows."""
    true_positive = confusion.diagonal().double()
    occurs = (confusion.sum(0) + confusion.sum(1)).double()  # 2 TP + FP + FN
    present = occurs > 0
    if not bool(present.any()):
        return float("nan")
    return float((2 * true_positive[present] / occurs[present]).mean())
