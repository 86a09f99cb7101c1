"""Exported programs give what the model gives, on graphs of any size; ONNX needs its extra, else it is skipped."""

import json
from importlib.util import find_spec

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

import gnnkit
from gnnkit.errors import MissingSoftwareError
from gnnkit.graph import Adjacency
from gnnkit.models import GAT, GCN, GCNII
from gnnkit.nn import GATConv, GCNConv
from gnnkit.nn.exported import export, save_exported

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")), reason="needs the extra onnx"
)
EDGES = {
    "no edges": (6, [[], []]),
    "one node": (1, [[], []]),
    "one node, a loop": (1, [[0], [0]]),
    "one edge, isolated nodes": (4, [[0], [2]]),
    "self-loops and repeated ones": (4, [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 3, 3]]),
    "directed, repeated": (5, [[0, 0, 0, 3, 4, 1], [1, 1, 1, 2, 2, 4]]),
    "many": (40, torch.randint(40, (2, 300), generator=torch.Generator().manual_seed(1)).tolist()),
}


def randomized(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def models() -> dict[str, tuple[nn.Module, str]]:
    """Models, and what they take beside features and edges."""
    shared = {"heads": 2, "out_heads": 2}
    return {
        "gcn": (GCN(4, 8, 2, 3), "edge_weight"),
        "gcn, lambda 3": (GCN(4, 8, 2, 3, self_loop_weight=3.0), "edge_weight"),
        "gcn, learned lambda, row": (GCN(4, 8, 2, 3, learn_self_loop=True, normalize="row"), "edge_weight"),
        "gcn, plain": (GCN(4, 8, 2, 3, normalize=False), "edge_weight"),
        "gcn, no loops": (GCN(4, 8, 2, 3, add_self_loops=False), "edge_weight"),
        "gcnii": (GCNII(4, 8, 3, 3), "edge_weight"),
        "gat 1": (GAT(4, 5, 2, 3, **shared), ""),
        "gat 2": (GAT(4, 5, 2, 3, version=2, **shared), ""),
        "gat, no loops": (GAT(4, 5, 2, 3, add_self_loops=False, **shared), ""),
        "gat 2, residual, shared": (GAT(4, 5, 2, 3, version=2, residual=True, share_weights=True, **shared), ""),
        **{
            f"gat {version}, {fill}": (
                GAT(4, 5, 2, 3, version=version, edge_dim=2, fill_value=fill, **shared),
                "edge_attr",
            )
            for version, fill in [(1, "mean"), (2, "mean"), (1, "add"), (2, "min"), (1, "max"), (1, "mul"), (2, 0.7)]
        },
    }


def example(takes: str) -> tuple:
    graph = Adjacency.from_edge_index(torch.tensor([[0], [1]]), num_nodes=2)  # sizes that would become constants
    x = torch.zeros(2, 4)
    return (x, graph, torch.zeros(1, 2)) if takes == "edge_attr" else (x, graph)


def given(name: str, takes: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    size, ends = EDGES[name]
    edge_index = torch.tensor(ends, dtype=torch.long)
    generator = torch.Generator().manual_seed(len(name))
    count = edge_index.size(1)
    further = {
        "": {},
        "edge_weight": {"edge_weight": torch.rand(count, generator=generator) + 0.1},
        "edge_attr": {"edge_attr": torch.randn(count, 2, generator=generator)},
    }
    return torch.randn(size, 4, generator=generator), edge_index, further[takes]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own, while its exporter loads
@pytest.mark.parametrize("kind", models())
def test_a_program_gives_what_the_model_gives_on_graphs_of_other_sizes(kind):
    model, takes = models()[kind]
    model = randomized(model)
    program = export(model, *example(takes)).module()
    for name in EDGES:
        x, edge_index, further = given(name, takes)
        torch.testing.assert_close(
            program(x, edge_index, **further), model(x, edge_index, **further), rtol=1e-5, atol=1e-5, msg=name
        )


class Readout(nn.Module):
    """A user's own model: layers, then one answer per graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = GCNConv(4, 6), GATConv(6, 3, heads=2), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x, edge_index).relu(), edge_index).mean(-2))


def test_a_model_of_ones_own_and_batched_features():
    model = randomized(Readout())
    program = gnnkit.export(model, torch.zeros(3, 2, 4), torch.zeros(2, 1, dtype=torch.long)).module()
    _, edge_index, _ = given("many", "")
    x = torch.randn(3, 40, 4)
    torch.testing.assert_close(program(x, edge_index), model(x, edge_index), rtol=1e-5, atol=1e-5)


@needs_onnx
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages that ONNX is made with
@pytest.mark.parametrize("kind", ["gcn", "gcnii", "gat 1", "gat 2, mean"])
def test_onnxruntime_gives_what_the_model_gives(kind, tmp_path):
    import onnxruntime

    model, takes = models()[kind]
    model = randomized(model)
    path = tmp_path / "model.onnx"
    save_exported(export(model, *example(takes)), path, class_names=["a", "b", "ü"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["a", "b", "ü"]
    assert [each.name for each in session.get_inputs()] == ["x", "edge_index", takes][: 3 if takes else 2]
    assert [each.name for each in session.get_outputs()] == ["output"]
    for name in EDGES:
        x, edge_index, further = given(name, takes)
        arrays = {key: value.numpy() for key, value in {"x": x, "edge_index": edge_index, **further}.items()}
        with torch.no_grad():
            expected = model(x, edge_index, **further)
        found = torch.from_numpy(session.run(None, arrays)[0])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=name)


def test_a_saved_program_is_loaded_by_torch_alone(tmp_path):
    model = randomized(GCN(4, 8, 2, 3))
    save_exported(export(model, *example("")), tmp_path / "model.pt2", class_names=["a", "b", "c"])
    files = {"classes": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=files).module()
    assert json.loads(files["classes"]) == ["a", "b", "c"]
    x, edge_index, further = given("many", "edge_weight")
    torch.testing.assert_close(program(x, edge_index, **further), model(x, edge_index, **further))


class Closed(nn.Module):
    """A model that has its graph inside."""

    def __init__(self, graph: Adjacency) -> None:
        super().__init__()
        self.conv, self.graph = GCNConv(4, 2), graph

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.conv(x, self.graph)


def test_what_cannot_be_exported_says_so(tmp_path, monkeypatch):
    x, graph = example("")
    with pytest.raises(ValueError, match=r"training mode.*model.eval\(\)"):
        export(GCN(4, 8, 2, 3), x, graph)
    with pytest.raises(TypeError, match="takes a plain edge_index, got Adjacency"):
        export(Closed(graph).eval(), x, graph)
    program = export(GCN(4, 8, 1, 3).eval(), x, graph)
    with pytest.raises(ValueError, match=r"ends in \.pt2 or \.onnx, got 'model\.pth'"):
        save_exported(program, "model.pth")
    monkeypatch.setattr("gnnkit.nn.exported.find_spec", lambda name: None)
    with pytest.raises(MissingSoftwareError, match=r"onnx and onnxscript.*pip install 'gnnkit\[onnx\]'"):
        save_exported(program, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_pyg_models_export_as_well():
    model = randomized(pyg.models.GraphSAGE(4, 8, 2, 3))
    program = export(model, torch.zeros(2, 4), torch.zeros(2, 1, dtype=torch.long)).module()
    x, edge_index, _ = given("many", "")
    torch.testing.assert_close(program(x, edge_index), model(x, edge_index), rtol=1e-5, atol=1e-5)
