import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from gnnkit.data import split_links
from gnnkit.errors import DivergedError
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, LinkPredictor
from gnnkit.runs import Interrupted, RunFolder
from gnnkit.training.link_prediction import LinkTraining, fit_link_predictor, score_links
from gnnkit.training.links import area_under_roc, average_precision


def communities() -> Adjacency:
    """Two groups of 20: links within are likely, links between are rare."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(40) // 20
    chance = torch.where(group.unsqueeze(0) == group.unsqueeze(1), 0.5, 0.02)
    linked = (torch.rand(40, 40, generator=generator) < chance).triu(1)
    pairs = linked.nonzero().t()
    return Adjacency.from_edge_index(torch.cat([pairs, pairs.flip(0)], dim=1), num_nodes=40)


SPLIT = split_links(communities(), val=0.1, test=0.2)


@pytest.mark.parametrize("encoder", [lambda: GCN(40, 8, 2, 4, 0.0), lambda: GAT(40, 4, 2, 4, 0.2, heads=2)])
def test_links_within_communities_are_found(encoder):
    model = LinkPredictor(encoder())
    result = fit_link_predictor(model, torch.eye(40), SPLIT, LinkTraining(epochs=80))
    assert result.test.auc > 0.7  # at random .5
    assert not model.training
    again = score_links(model, torch.eye(40), SPLIT, SPLIT.test, SPLIT.test_other)
    assert again == result.test
    assert result.val_auc == max(result.history["val_auc"])
    assert result.history["val_auc"].index(result.val_auc) + 1 == result.selected_epoch


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    found = (torch.randn(30, generator=generator) + 0.5).mul(3).round()  # rounded: many ties
    other = torch.randn(50, generator=generator).mul(3).round()
    truth = torch.cat([torch.ones(30), torch.zeros(50)])
    both = torch.cat([found, other])
    assert area_under_roc(found, other) == pytest.approx(roc_auc_score(truth, both), abs=1e-12)
    assert average_precision(found, other) == pytest.approx(average_precision_score(truth, both), abs=1e-6)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    config = LinkTraining(epochs=12)

    def made() -> LinkPredictor:
        return LinkPredictor(GCN(40, 8, 2, 4, 0.3))

    whole = made()
    expected = fit_link_predictor(whole, torch.eye(40), SPLIT, config)

    class Stop:
        def update(self, completed, **fields):
            if completed == 5:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGINT)

    with RunFolder.create(tmp_path / "run", kind="links") as folder, pytest.raises(Interrupted):
        fit_link_predictor(made(), torch.eye(40), SPLIT, config, folder=folder, progress=Stop())
    rest = made()
    with RunFolder.resume(tmp_path / "run") as folder:
        result = fit_link_predictor(rest, torch.eye(40), SPLIT, config, folder=folder)
    assert result.history == expected.history
    assert result.test == expected.test
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name])


def test_patience_ends_it_and_divergence_is_told():
    result = fit_link_predictor(
        LinkPredictor(GCN(40, 8, 2, 4, 0.0)), torch.eye(40), SPLIT, LinkTraining(epochs=300, patience=3)
    )
    assert len(result.history["epoch"]) < 300
    with pytest.raises(DivergedError, match="lower lr"):
        fit_link_predictor(LinkPredictor(GCN(40, 8, 2, 4, 0.0)), torch.eye(40), SPLIT, LinkTraining(lr=1e30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"lr": 0.0}, "lr must be a positive number, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"patience": 0}, "patience must be 1 or more, got 0"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        LinkTraining(**options)


def test_a_pair_scores_the_product_of_its_ends():
    model = LinkPredictor(GCN(40, 8, 2, 4, 0.0)).eval()
    pairs = torch.tensor([[0, 3, 5], [1, 3, 2]])
    z = model.encoder(torch.eye(40), SPLIT.graph)
    torch.testing.assert_close(model(torch.eye(40), SPLIT.graph, pairs), (z @ z.t())[pairs[0], pairs[1]])
