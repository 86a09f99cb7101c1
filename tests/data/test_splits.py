# ruff: noqa: E501 (the table of cases reads best with one case a line)
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.data import random_split, stratified_split

LABELS = torch.tensor([0] * 30 + [1] * 50 + [2] * 20 + [-1] * 10)


def disjoint_and_labelled(split, y):
    assert (torch.stack(split).sum(0) <= 1).all()
    assert not (torch.stack(split).any(0) & (y < 0)).any()


def test_random_split_has_the_sizes_asked_for():
    split = random_split(LABELS, train_per_class=5, num_val=20, num_test=30)
    assert [int(mask.sum()) for mask in split] == [15, 20, 30]
    assert LABELS[split.train_mask].bincount().tolist() == [5, 5, 5]
    disjoint_and_labelled(split, LABELS)


def test_all_that_are_left_test():
    split = random_split(LABELS, train_per_class=20, num_val=10, num_test=None)
    assert [int(mask.sum()) for mask in split] == [60, 10, 30]


DRAWS = {
    "random": lambda seed: random_split(LABELS, train_per_class=5, num_val=20, num_test=30, seed=seed),
    "stratified": lambda seed: stratified_split(LABELS, seed=seed),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_the_seed_alone_decides(draw):
    torch.manual_seed(1)
    state, first = torch.get_rng_state(), draw(3)
    # A model built afterwards must not depend on whether a split was drawn before.
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, draw(3), strict=True))
    assert not torch.equal(first.train_mask, draw(4).train_mask)


def test_the_draw_is_the_same_on_every_machine():
    y = torch.tensor([0, 1] * 10)
    split = random_split(y, train_per_class=2, num_val=3, num_test=4, seed=0)
    assert [mask.nonzero().view(-1).tolist() for mask in split] == [[2, 7, 8, 19], [0, 9, 15], [3, 6, 14, 16]]


def test_every_node_is_drawn_about_as_often():
    y = torch.tensor([0] * 20 + [1] * 20)
    drawn = sum(random_split(y, train_per_class=5, num_val=5, num_test=5, seed=s).train_mask.int() for s in range(400))
    # Binomial(400, 1/4): 100 with standard deviation 8.7.
    assert (drawn - 100).abs().max() < 40


def test_stratified_split_keeps_the_shares_of_every_class():
    split = stratified_split(LABELS, ratios=(0.6, 0.2, 0.2))
    for mask, expected in zip(split, ([18, 30, 12], [6, 10, 4], [6, 10, 4]), strict=True):
        assert LABELS[mask].bincount().tolist() == expected
    disjoint_and_labelled(split, LABELS)


@given(
    st.lists(st.integers(3, 40), min_size=1, max_size=5),
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.05, 1)),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_stratified_split_of_any_classes(sizes, weights, whole, seed):
    total = sum(weights) * (1 if whole else 1.5)
    ratios = tuple(weight / total for weight in weights)
    y = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)] + [torch.full((3,), -1)])
    split = stratified_split(y, ratios=ratios, seed=seed)
    disjoint_and_labelled(split, y)
    for label, size in enumerate(sizes):
        counts = [int((mask & (y == label)).sum()) for mask in split]
        assert min(counts) >= 1
        assert not whole or sum(counts) == size
        for count, ratio in zip(counts, ratios, strict=True):
            # Rounding moves a part by less than one node; a node lent to an empty part, by one or two more.
            assert abs(count - size * ratio) < 3


WRONG = {
    "a class too small": (lambda: random_split(LABELS, train_per_class=25), "class 2 has 20 labelled nodes"),
    "too many in all": (lambda: random_split(LABELS, train_per_class=5), "ask for 1500 nodes, but 85 of 100 .* after 15"),
    "no training nodes": (lambda: random_split(LABELS, train_per_class=0), "train_per_class must be at least 1, got 0"),
    "a negative number": (lambda: random_split(LABELS, num_val=-1), "num_val must be at least 0, got -1"),
    "no labels": (lambda: random_split(torch.full((5,), -1)), "no labelled node among 5"),
    "labels that are fractions": (lambda: random_split(torch.zeros(5)), r"torch\.float32"),
    "shares beyond 1": (lambda: stratified_split(LABELS, ratios=(0.6, 0.3, 0.2)), r"got \(0\.6, 0\.3, 0\.2\)"),
    "a negative share": (lambda: stratified_split(LABELS, ratios=(0.6, -0.3, 0.2)), r"got \(0\.6, -0\.3, 0\.2\)"),
    "two shares": (lambda: stratified_split(LABELS, ratios=(0.6, 0.4)), r"got \(0\.6, 0\.4\)"),
    "NaN": (lambda: stratified_split(LABELS, ratios=(float("nan"), 0.4, 0.1)), "got .nan"),
    "nothing to train on": (lambda: stratified_split(LABELS, ratios=(0, 0.4, 0.1)), "something to train on"),
    "a class of two": (lambda: stratified_split(torch.tensor([0, 0, 0, 1, 1])), "class 1 has 2 labelled nodes"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_impossible_requests(name):
    request, match = WRONG[name]
    with pytest.raises(ValueError, match=match):
        request()
