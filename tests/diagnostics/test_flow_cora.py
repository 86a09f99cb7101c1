"""On Cora: where PyG's measure of influence is too high at the last hop, and why ours is not."""

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import models as pyg_models
from torch_geometric.utils.influence import influence_weighted_receptive_field, jacobian_l1_agg_per_hop

from gnnkit import flow, load_dataset
from gnnkit.models import GCN

NODES = [3, 40, 500, 1000, 1701, 2300]


@pytest.fixture(scope="module")
def cora(data_root):
    data = load_dataset("cora", data_root)
    torch.manual_seed(0)
    model = GCN(data.num_features, 16, 2, data.num_classes).double().eval()
    theirs = pyg_models.GCN(data.num_features, 16, 2, data.num_classes).double().eval()
    theirs.load_state_dict(model.state_dict())
    x = data.x.to_dense().double() if data.x.layout != torch.strided else data.x.double()
    return data, x, model, theirs


def dense_influence(model, x, graph, node):
    """One row of the Jacobian, from the whole graph, a class at a time."""
    x = x.clone().requires_grad_()
    out = model(x, graph)[node]
    return sum(torch.autograd.grad(each, x, retain_graph=True)[0].abs().sum(1) for each in out)


@pytest.mark.data
def test_pyg_overstates_the_last_hop_and_we_do_not(cora):
    data, x, model, theirs = cora
    graph = data.adjacency.to(dtype=torch.float64)
    edge_index = graph.to_edge_index()[0]
    pyg_data = Data(x=x, edge_index=edge_index, num_nodes=data.num_nodes)
    exact, cut, wider = [], [], []
    for node in NODES:
        influence = dense_influence(model, x, graph, node)
        hops = torch.full((data.num_nodes,), -1)
        hops[node] = 0
        for hop in (1, 2):
            entering = torch.isin(edge_index[1], torch.nonzero(hops == hop - 1).view(-1))
            new = edge_index[0][entering]
            hops[new[hops[new] < 0]] = hop
        exact.append(torch.stack([influence[hops == hop].sum() for hop in range(3)]))
        cut.append(jacobian_l1_agg_per_hop(theirs, pyg_data, 2, node, "cpu", vectorize=False))
        wider.append(jacobian_l1_agg_per_hop(theirs, pyg_data, 3, node, "cpu", vectorize=False)[:3])
    exact, cut, wider = torch.stack(exact), torch.stack(cut), torch.stack(wider)
    found = flow(model, x, graph, NODES)
    torch.testing.assert_close(found.influence, exact, rtol=1e-9, atol=0)
    torch.testing.assert_close(flow(theirs, x, graph, NODES).influence, exact, rtol=1e-9, atol=0)
    # Nodes at the rim have lost the neighbours beyond it, and with them their degrees, by whose roots GCN divides.
    excess = cut.sum(0) / exact.sum(0)
    assert excess[2] > 1.2
    assert abs(float(excess[0]) - 1) < 0.01  # nearer by, what differs is only which ReLUs are open
    assert influence_weighted_receptive_field(cut.float()) > found.range + 0.02
    # One hop more than the model sees gives the rim its degrees: then PyG agrees.
    torch.testing.assert_close(wider, exact, rtol=1e-9, atol=0)


@pytest.mark.data
def test_every_model_on_cora_matches_one_row_of_the_jacobian(cora):
    data, x, model, _ = cora
    graph = data.adjacency.to(dtype=torch.float64)
    single = flow(model.float(), data.x, data.adjacency, NODES)
    model.double()
    for place, node in enumerate(NODES):
        total = dense_influence(model, x, graph, node).sum()
        assert abs(float(single.influence[place].sum() / total) - 1) < 1e-5  # float32
