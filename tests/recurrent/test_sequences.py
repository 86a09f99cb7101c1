"""Sequences of unequal length: rows, padding, and what is refused."""

import pytest
import torch

from recurrent import Sequences


def ragged():
    torch.manual_seed(0)
    return [torch.randn(length, 2) for length in (3, 0, 5, 1)]


def test_what_goes_in_comes_out():
    each = ragged()
    sequences = Sequences.from_list(each)
    assert (len(sequences), sequences.num_features, sequences.is_ids) == (4, 2, False)
    padded = sequences.padded()
    assert padded.shape == (4, 5, 2)
    for row, sequence in zip(padded, each, strict=True):
        torch.testing.assert_close(row[: len(sequence)], sequence)
        assert not bool(row[len(sequence) :].any())
    again = Sequences.from_padded(padded, sequences.lengths)
    assert torch.equal(again.values, sequences.values)


def test_rows_in_any_order_and_twice():
    each = ragged()
    chosen = Sequences.from_list(each).select_rows(torch.tensor([2, 1, 0, 2]))
    assert chosen.lengths.tolist() == [5, 0, 3, 5]
    assert torch.equal(chosen.values, torch.cat([each[2], each[1], each[0], each[2]]))
    assert len(chosen.select_rows(torch.empty(0, dtype=torch.long))) == 0


def test_token_ids_and_their_embedding():
    words = Sequences.from_list([torch.tensor([3, 1], dtype=torch.int32), torch.tensor([], dtype=torch.int32)])
    assert (words.num_features, words.is_ids, words.dtype) == (4, True, torch.int64)
    assert words.padded().tolist() == [[3, 1], [0, 0]]
    embedding = torch.nn.Embedding(4, 5)
    assert words.map(embedding).padded().shape == (2, 2, 5)
    assert words.to(dtype=torch.float64).is_ids
    assert Sequences.from_list(ragged()).to(dtype=torch.float64).dtype == torch.float64
    assert Sequences.from_list([torch.tensor([], dtype=torch.long)]).padded().shape == (1, 1)


def test_gradients_pass_through_padding_and_rows():
    values = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 2])

    def through(values):
        return Sequences(values, lengths).select_rows(torch.tensor([1, 0])).padded()

    assert torch.autograd.gradcheck(through, values)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequences(torch.zeros(3), torch.tensor([3])), ValueError, r"torch.float32 of shape \(3,\)"),
        (lambda: Sequences(torch.zeros(3, 2), torch.tensor([2])), ValueError, "add up to the 3 steps.*a sum of 2"),
        (lambda: Sequences(torch.zeros(3, 2), torch.tensor([4, -1])), ValueError, "each 0 or more"),
        (lambda: Sequences(torch.zeros(3, 2), torch.tensor([3.0])), TypeError, "lengths must be integers"),
        (lambda: Sequences(torch.tensor([-1]), torch.tensor([1])), ValueError, "0 or more, got -1"),
        (lambda: Sequences(torch.tensor([True]), torch.tensor([1])), TypeError, "got torch.bool"),
        (lambda: Sequences.from_list([]), ValueError, "got none"),
        (lambda: Sequences.from_list([torch.zeros(1, 2), torch.zeros(1, 3)]), ValueError, "must agree"),
        (lambda: Sequences.from_padded(torch.zeros(2, 3)), ValueError, r"got \(2, 3\)"),
        (lambda: Sequences.from_padded(torch.zeros(2, 3, 1), torch.tensor([1, 4])), ValueError, r"from 0 to 3, got"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
