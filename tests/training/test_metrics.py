"""Scores against scikit-learn."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.training.metrics import accuracy, confusion_matrix, macro_f1

sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


@st.composite
def answers(draw):
    num_classes = draw(st.integers(2, 6))
    pair = st.tuples(st.integers(0, num_classes - 1), st.integers(0, num_classes - 1))
    pairs = draw(st.lists(pair, min_size=1, max_size=30))
    return num_classes, torch.tensor([a for a, _ in pairs]), torch.tensor([b for _, b in pairs])


@given(answers())
def test_equals_scikit_learn(drawn):
    num_classes, predicted, labels = drawn
    logits = torch.nn.functional.one_hot(predicted, num_classes).float() + 0.1 * torch.rand(len(labels), num_classes)
    assert accuracy(logits, labels) == pytest.approx(sklearn.accuracy_score(labels, predicted), abs=1e-15)
    confusion = confusion_matrix(predicted, labels, num_classes)
    expected = sklearn.confusion_matrix(labels, predicted, labels=list(range(num_classes)))
    assert confusion.tolist() == expected.tolist()
    f1 = sklearn.f1_score(labels, predicted, average="macro", zero_division=0.0)
    assert macro_f1(confusion) == pytest.approx(f1, abs=1e-12)


def test_without_rows_scores_are_nan():
    none = torch.empty(0, dtype=torch.long)
    assert math.isnan(accuracy(torch.empty(0, 3), none))
    confusion = confusion_matrix(none, none, 3)
    assert confusion.tolist() == [[0] * 3] * 3
    assert math.isnan(macro_f1(confusion))


def test_rows_are_true_classes():
    confusion = confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 2]), 3)
    assert confusion.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_scores_stacks_of_rows():
    logits, labels = torch.randn(4, 5, 3), torch.randint(3, (4, 5))
    expected = sklearn.accuracy_score(labels.view(-1), logits.argmax(-1).view(-1))
    assert accuracy(logits, labels) == pytest.approx(expected)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"got \(4, 3\) and \(4, 1\)"):
        accuracy(torch.randn(4, 3), torch.zeros(4, 1, dtype=torch.long))
    with pytest.raises(ValueError, match=r"got \(4, 3\) and \(5,\)"):
        accuracy(torch.randn(4, 3), torch.zeros(5, dtype=torch.long))
    inside = torch.tensor([0, 1])
    # Cell 0 * 3 + 4 is that of class 1: a wrong count, silently.
    with pytest.raises(ValueError, match=r"predicted holds 4, but classes are 0..2"):
        confusion_matrix(torch.tensor([0, 4]), inside, 3)
    with pytest.raises(ValueError, match=r"labels holds -1, but classes are 0..2"):
        confusion_matrix(inside, torch.tensor([0, -1]), 3)
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        confusion_matrix(inside, torch.zeros(3, dtype=torch.long), 3)
