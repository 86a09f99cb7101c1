"""Link prediction: the area against scikit-learn, splits that lose nothing, a model that learns what can be learned."""

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from gnnkit.training.links import LinkConfig, area_under_roc, fit_links, other_pairs, split_pairs


@pytest.mark.parametrize("seed", range(5))
def test_area_is_sklearns_with_ties(seed):
    generator = torch.Generator().manual_seed(seed)
    positive = torch.randint(6, (17,), generator=generator).double()
    negative = torch.randint(5, (23,), generator=generator).double()
    labels = [1] * 17 + [0] * 23
    expected = roc_auc_score(labels, torch.cat([positive, negative]).numpy())
    assert area_under_roc(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_area_needs_both_kinds():
    with pytest.raises(ValueError, match="got 0 positive and 2 negative"):
        area_under_roc(torch.tensor([]), torch.ones(2))


def test_a_split_keeps_every_pair_once():
    pairs = torch.randint(50, (2, 40), generator=torch.Generator().manual_seed(0))
    train, held = split_pairs(pairs, 0.3, seed=1)
    assert (train.shape[1], held.shape[1]) == (28, 12)
    together = torch.cat([train, held], dim=1).t().tolist()
    assert sorted(together) == sorted(pairs.t().tolist())
    assert not torch.equal(split_pairs(pairs, 0.3, seed=2)[1], held)
    with pytest.raises(ValueError, match=r"a share of 0\.001 of 40 pairs leaves one part empty"):
        split_pairs(pairs, 0.001)


def test_other_pairs_are_none_of_the_pairs_and_none_twice():
    pairs = torch.tensor([[0, 3], [1, 2]])
    others = other_pairs(pairs, 5, 100)
    listed = {tuple(pair) for pair in others.t().tolist()}
    assert len(listed) == others.shape[1] == 10 - 2
    assert all(first < second for first, second in listed)
    assert not listed & {(0, 1), (2, 3)}
    assert other_pairs(pairs, 5, 3).shape == (2, 3)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.z = nn.Parameter(torch.randn(8, 4))


def test_fit_learns_two_groups_and_is_the_same_twice():
    # Nodes 0-3 are linked to each other, 4-7 to each other.
    pairs = torch.cat([torch.combinations(torch.arange(4)), torch.combinations(torch.arange(4, 8))]).t()

    def score(model):
        return lambda _, ends: (model.z[ends[0]] * model.z[ends[1]]).sum(-1)

    config = LinkConfig(steps=60, lr=0.05, seed=3)
    model = fit_links(Inner, score, {"linked": pairs}, 8, config)
    assert not model.training
    scorer = score(model)
    with torch.no_grad():
        assert area_under_roc(scorer("", pairs), scorer("", other_pairs(pairs, 8, 100))) > 0.95
    again = fit_links(Inner, score, {"linked": pairs}, 8, config)
    assert torch.equal(again.z, model.z)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="'empty' has none"):
        fit_links(Inner, lambda _: lambda name, pairs: pairs[0], {"empty": torch.empty(2, 0, dtype=torch.long)}, 8)
    with pytest.raises(ValueError, match="steps must be 1 or more, got 0"):
        LinkConfig(steps=0)
