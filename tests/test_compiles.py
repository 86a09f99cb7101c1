"""Every layer compiles as one graph: ``torch.compile(..., fullgraph=True)`` meets no break and gives the same.

A graph must have been used once: what a layer needs of it is found by looking at its values, and then kept with it
(`GCNConv` has its graph do so before it is traced). What does not compile whole, and why: a raw ``edge_index`` is
checked at each call, by its values; `GatedGraph` sorts its typed edges at each call; a learned lambda makes another
graph at each. A whole LSTM is torch's own kernel, whose backward torch's compiler cannot take apart (``nn.LSTM`` it
refuses altogether), so it is traced with the backend that leaves it whole.
"""

import pytest
import torch
from torch import Tensor, nn

from gnnkit.graph import Adjacency
from gnnkit.nn import GATConv, GCN2Conv, GCNConv, GraphGRU, GraphLSTM, NeighborLSTM
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell, unroll

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own, as its compiler loads
CELLS = [RNNCell, LSTMCell, GRUCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell]


class Unrolled(nn.Module):
    """A cell over whole sequences."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return unroll(self.cell, inputs)


def cases() -> dict[str, tuple[nn.Module, tuple]]:
    torch.manual_seed(0)
    graph = Adjacency.from_edge_index(torch.randint(9, (2, 30)), torch.rand(30) + 0.1, num_nodes=9)
    tree = Adjacency.from_edge_index(torch.tensor([[0, 1, 2, 3], [2, 2, 4, 4]]), num_nodes=5)
    x, sequence, batch = torch.randn(9, 4), torch.randn(3, 9, 4), torch.randn(3, 4, 4)
    attributes = torch.randn(graph.num_edges, 2)
    return {
        "GCNConv": (GCNConv(4, 3), (x, graph)),
        "GCN2Conv": (GCN2Conv(4, 0.1, 0.5, 1), (x, x, graph)),
        "GATConv": (GATConv(4, 3, heads=2), (x, graph)),
        "GATConv, version 2": (GATConv(4, 3, heads=2, version=2), (x, graph)),
        "GATConv, edge features": (GATConv(4, 3, heads=2, edge_dim=2), (x, graph, attributes)),
        **{f"GraphLSTM, {kind}": (GraphLSTM(4, 3, operator=kind), (sequence, graph)) for kind in ("gcn", "attention")},
        "GraphGRU, diffusion": (GraphGRU(4, 3, operator="diffusion", reset="before"), (sequence, graph)),
        "NeighborLSTM": (NeighborLSTM(4, 3), (x[:5], tree)),
        **{cell.__name__: (cell(4, 3), (batch[:, 0], cell(4, 3).initial_state(3))) for cell in CELLS},
        **{f"unroll, {cell.__name__}": (Unrolled(cell(4, 3)), (batch,)) for cell in CELLS},
    }


def tensors(found) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [each for part in found for each in tensors(part)]


@pytest.mark.parametrize("name", cases())
def test_a_layer_compiles_as_one_graph(name):
    torch._dynamo.reset()
    module, given = cases()[name]
    backend = "eager" if name == "unroll, LSTMCell" else "aot_eager"
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    results = []
    for run in (module, compiled):
        module.zero_grad()
        out = tensors(run(*given))
        sum(each.square().sum() for each in out).backward()
        results.append([*out, *(weight.grad for weight in module.parameters() if weight.grad is not None)])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
