"""On a GPU everything gives what it gives on a CPU. GNNKIT_TEST_DEVICE=cpu runs these tests on the CPU, too."""

import copy
import os

import pytest
import torch

from gnnkit.data import load_dataset
from gnnkit.graph import Adjacency, hop_distance
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.nn import GATConv, GCNConv, GraphGRU, GraphLSTM
from gnnkit.training import TrainConfig, fit
from recurrent import GRUCell, LSTMCell, PhasedLSTMCell, RNNCell, unroll

DEVICE = os.environ.get("GNNKIT_TEST_DEVICE", "cuda")
pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device")


def graph(size=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(size - 1, (2, 5 * size), generator=generator).unique(dim=1)  # the last node is isolated
    weight = torch.rand(edges.size(1), generator=generator) + 0.5
    return Adjacency.from_edge_index(edges, weight, num_nodes=size)


def same_there(module, arguments, run=lambda module, *arguments: module(*arguments)):
    """Outputs and gradients of weights, here and on the device."""
    there = copy.deepcopy(module).to(DEVICE)
    moved = [each.to(DEVICE) if hasattr(each, "to") else each for each in arguments]
    out, out_there = run(module, *arguments), run(there, *moved)
    assert out_there.device.type == torch.device(DEVICE).type
    torch.testing.assert_close(out_there.cpu(), out, rtol=1e-4, atol=1e-5)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(upstream)
    out_there.backward(upstream.to(DEVICE))
    for (name, one), other in zip(module.named_parameters(), there.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(
                other.grad.cpu(), one.grad, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )


LAYERS = {
    "gcn": lambda: GCNConv(6, 4),
    "gcn, lambda learned": lambda: GCNConv(6, 4, learn_self_loop=True),
    "gat": lambda: GATConv(6, 4, heads=3),
    "gat v2": lambda: GATConv(6, 4, heads=3, version=2),
    "GCN": lambda: GCN(6, 8, 3, 4, dropout=0.0),
    "GAT": lambda: GAT(6, 4, 2, 3, dropout=0.0, heads=2),
    "GCNII": lambda: GCNII(6, 8, 8, 4, dropout=0.0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_cuda_layers_equal_those_of_the_cpu(name):
    torch.manual_seed(0)
    same_there(LAYERS[name](), [torch.randn(40, 6), graph()])


@pytest.mark.parametrize("operator", ["chebyshev", "gcn", "diffusion"])
@pytest.mark.parametrize("kind", [GraphLSTM, GraphGRU])
def test_cuda_recurrent_graph_layers_equal_those_of_the_cpu(kind, operator):
    torch.manual_seed(0)
    edges, _ = graph().to_edge_index()
    both = Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], 1), num_nodes=40, coalesce="max")
    same_there(kind(3, 5, operator=operator), [torch.randn(2, 4, 40, 3), both], lambda layer, x, g: layer(x, g)[0])


@pytest.mark.parametrize("cell", [RNNCell, LSTMCell, GRUCell, PhasedLSTMCell])
def test_cuda_cells_equal_those_of_the_cpu(cell):
    torch.manual_seed(0)
    same_there(cell(3, 5), [torch.randn(4, 9, 3)], lambda module, x: unroll(module, x)[0])


def test_cuda_hop_distances_equal_those_of_the_cpu():
    assert torch.equal(hop_distance(graph().to(DEVICE)).cpu(), hop_distance(graph()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_cuda_products_of_every_dtype(dtype):
    here = graph()
    x = torch.randn(40, 7, dtype=torch.float64)
    expected = here.to_dense().double().T @ x
    there = here.to(device=DEVICE, dtype=dtype)
    found = there.propagate(x.to(DEVICE, dtype)).cpu().double()
    torch.testing.assert_close(
        found, expected, rtol=1e-1 if dtype != torch.float64 else 1e-6, atol=2e-1 if dtype != torch.float64 else 1e-5
    )


@pytest.mark.parametrize("prune", [True, False])
def test_cuda_training_follows_that_of_the_cpu(prune):
    data = load_dataset("karate")
    here, there = (
        fit(
            GCN(data.num_features, 8, 2, data.num_classes, dropout=0.0),
            data,
            TrainConfig(20, prune=prune, device=device),
        )
        for device in ("cpu", DEVICE)
    )
    # Weights are drawn before they move, so both start alike.
    assert there.history["train_loss"] == pytest.approx(here.history["train_loss"], rel=1e-3)
