"""Scores of a classifier, from logits and labels."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest logit is the label's; NaN without rows."""
    if labels.numel() == 0:
        return float("nan")
    return float((logits.argmax(dim=-1) == labels).sum()) / labels.numel()


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Counts ``(num_classes, num_classes)``: row the true class, column the predicted one."""
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
