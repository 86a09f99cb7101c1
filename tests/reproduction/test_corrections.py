"""The corrections: every number shows what it is there to show, and the helper's own mistakes would be seen."""

import pytest
import torch

from gnnkit.nn import GATConv
from gnnkit.reproduction.correction import agrees, disagrees
from gnnkit.reproduction.corrections import corrections
from gnnkit.reproduction.graph_rows import FIGURES, dense_attention, figure_graph


@pytest.fixture(scope="module")
def found():
    return corrections()


def test_there_is_one_for_each_mistake_and_every_number_holds(found):
    assert len(found) == 17
    for each in found:
        assert each.findings
        assert each.says != each.right
        for finding in each.findings:
            assert finding.holds, (each.reports, finding)


def test_they_are_the_same_each_time_and_leave_the_generator_alone(found):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert corrections() == found
    assert torch.equal(torch.random.get_rng_state(), before)


def test_numbers_that_can_be_known_beforehand(found):
    values = {finding.what: finding.value for each in found for finding in each.findings}
    assert values["figure A: hops from C to E"] == "3 (C-B-A-E)"
    assert values["figure B: hops from C to E"].startswith("4 (C-D-")
    assert values["d = 10, n = 128, o = 10: by the formula"] == f"{4 * (128 * 10 + 128**2 + 128) + 128 * 10 + 10:,}"
    assert values["n = 128, o = 10: counted in torch.nn.Linear"] == "1,290"
    assert values["size of the first step for any gradient (lr .01)"] == "0.1"


def test_agreeing_and_disagreeing():
    right = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert agrees("", right + 1e-13, right).holds
    assert not agrees("", right + 1e-6, right).holds
    assert disagrees("", -right, right).holds
    assert not disagrees("", right, right).holds


def test_the_figures_are_those_of_the_practical():
    rows = {"A": "010011 101100 010100 011001 100001 100110"}
    assert ["".join(str(int(v)) for v in row) for row in figure_graph("A").to_dense()] == rows["A"].split()
    assert set(FIGURES["A"].split()) - set(FIGURES["B"].split()) == {"BC", "EF"}


def test_dense_attention_is_the_layer():
    torch.manual_seed(1)
    graph, layer = figure_graph("B"), GATConv(3, 2).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(6, 3, dtype=torch.float64)
    expected, alpha = dense_attention(x, graph.with_self_loops().to_dense(), layer)
    torch.testing.assert_close(layer(x, graph), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(alpha.sum(1), torch.ones(6, dtype=torch.float64))
