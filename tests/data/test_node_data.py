import numpy as np
import pytest
import torch

from gnnkit.data import NodeData, identity_features, load_dataset, random_split, row_normalized
from gnnkit.graph import Adjacency


def small(**changes) -> NodeData:
    """A directed chain of four nodes, the last without a label."""
    values = {
        "adjacency": Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4),
        "x": torch.arange(8.0).view(4, 2),
        "y": torch.tensor([0, 1, 0, -1]),
        "train_mask": torch.tensor([True, False, False, False]),
        "val_mask": torch.tensor([False, True, False, False]),
        "test_mask": torch.tensor([False, False, True, False]),
    }
    return NodeData(**(values | changes))


def test_sizes_and_words():
    data = small()
    assert (data.num_nodes, data.num_features, data.num_classes) == (4, 2, 2)
    assert small(class_names=("a", "b", "c")).num_classes == 3
    assert repr(data) == "NodeData(graph: 4 nodes, 3 edges, 2 features, 2 classes, 1/1/1 train/val/test)"


WRONG = {
    "no graph": ({"adjacency": torch.eye(4)}, TypeError, "got Tensor"),
    "features of numpy": ({"x": np.ones((4, 2))}, TypeError, "x must be a torch.Tensor, got ndarray; .*as_tensor"),
    "a list of labels": ({"y": [0, 1, 0, -1]}, TypeError, "y must be a torch.Tensor, got list"),
    "a list for a mask": ({"val_mask": [True] * 4}, TypeError, "val_mask must be a torch.Tensor, got list"),
    "no mask": ({"test_mask": None}, TypeError, "test_mask must be a torch.Tensor, got None; torch.zeros_like"),
    "whole-number features": ({"x": torch.ones(4, 2, dtype=torch.int64)}, TypeError, r"torch\.int64"),
    "COO features": ({"x": torch.eye(4).to_sparse_coo()}, ValueError, "sparse_coo"),
    "features of three nodes": ({"x": torch.ones(3, 2)}, ValueError, r"got shape \(3, 2\)"),
    "features in a row": ({"x": torch.ones(4)}, ValueError, r"got shape \(4,\)"),
    "NaN": ({"x": torch.tensor([[1.0]] * 3 + [[torch.nan]])}, ValueError, "got 1 values"),
    "infinity in sparse features": (
        {"x": row_normalized(identity_features(4)) * torch.inf},
        ValueError,
        "got 4 values",
    ),
    "labels that are fractions": ({"y": torch.zeros(4)}, TypeError, r"torch\.float32"),
    "labels in a column": ({"y": torch.zeros(4, 1, dtype=torch.int64)}, ValueError, r"got \(4, 1\)"),
    "a label of -2": ({"y": torch.tensor([0, 1, 0, -2])}, ValueError, "got -2"),
    "a mask of numbers": ({"train_mask": torch.ones(4)}, TypeError, r"train_mask .*torch\.float32"),
    "a mask of five": ({"val_mask": torch.zeros(5, dtype=torch.bool)}, ValueError, r"val_mask .*\(5,\)"),
    "training without a label": (
        {"train_mask": torch.tensor([True, False, False, True])},
        ValueError,
        "train_mask has node 3",
    ),
    "a node in two parts": (
        {"test_mask": torch.tensor([True, False, True, False])},
        ValueError,
        "node 0 is in two",
    ),
    "too few class names": ({"class_names": ("a",)}, ValueError, "got 1 names and the label 1"),
    "too many node names": ({"node_names": ("a",) * 5}, ValueError, "got 5 names"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_refused(name):
    changes, kind, match = WRONG[name]
    with pytest.raises(kind, match=match):
        small(**changes)


@pytest.mark.parametrize("sparse", [False, True])
def test_to_pyg_and_back(sparse):
    data = small(x=torch.eye(4).to_sparse_csr() if sparse else torch.rand(4, 3))
    back = NodeData.from_data(data.to_data(), name="again")
    assert torch.equal(back.x.to_dense(), data.x.to_dense())
    assert torch.equal(back.adjacency.to_dense(), data.adjacency.to_dense())
    for name in ("y", "train_mask", "val_mask", "test_mask"):
        assert torch.equal(getattr(back, name), getattr(data, name))
    assert back.name == "again"


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_to_pyg_and_back_keeps_the_dtype(weight):
    graph = Adjacency.from_edge_index(torch.tensor([[0], [1]]), torch.tensor([weight]).double(), num_nodes=4)
    data = small(adjacency=graph, x=torch.rand(4, 3, dtype=torch.float64))
    back = NodeData.from_data(data.to_data())
    assert back.adjacency.dtype == back.x.dtype == torch.float64
    assert torch.equal(back.adjacency.to_dense(), graph.to_dense())


def test_weights_go_to_pyg_only_where_they_say_something():
    edge_index = torch.tensor([[0, 1], [1, 2]])
    weighted = Adjacency.from_edge_index(edge_index, torch.tensor([0.5, 2.0]), num_nodes=4)
    assert "edge_weight" not in small().to_data()
    data = small(adjacency=weighted).to_data()
    assert data.edge_weight.tolist() == [0.5, 2.0]
    assert torch.equal(NodeData.from_data(data).adjacency.to_dense(), weighted.to_dense())


def test_from_pyg_data_with_little_in_it():
    from torch_geometric.data import Data

    data = NodeData.from_data(Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0], [1]])))
    assert data.y.tolist() == [-1, -1, -1]
    assert not data.train_mask.any()
    assert data.num_classes == 0
    with pytest.raises(ValueError, match="no x"):
        NodeData.from_data(Data(edge_index=torch.tensor([[0], [1]])))
    with pytest.raises(ValueError, match=r"no edge_index, only \['x'\]"):
        NodeData.from_data(Data(x=torch.ones(3, 1)))


@pytest.mark.parametrize(("field", "value"), [("x", [[1.0]] * 4), ("y", [0, 1, 0, -1]), ("val_mask", [True] * 4)])
def test_from_pyg_data_with_lists(field, value):
    pyg = small().to_data()
    pyg[field] = value
    with pytest.raises(TypeError, match=rf"data\.{field} must be a torch.Tensor, got list"):
        NodeData.from_data(pyg)


def test_from_pyg_data_with_a_column_of_labels_and_of_masks():
    pyg = small().to_data()
    pyg.y = pyg.y[:, None]
    assert NodeData.from_data(pyg).y.tolist() == [0, 1, 0, -1]
    pyg.train_mask = pyg.train_mask[:, None].expand(4, 10)
    with pytest.raises(ValueError, match=r"train_mask has shape \(4, 10\).*\[:, 0\]"):
        NodeData.from_data(pyg)


def test_to_moves_everything():
    moved = small().to("cpu")
    assert moved.adjacency.device.type == moved.x.device.type == "cpu"
    assert repr(moved) == repr(small())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_to_cuda_and_back():
    data = load_dataset("karate").to("cuda")
    for name in ("x", "y", "train_mask", "val_mask", "test_mask", "adjacency"):
        assert getattr(data, name).device.type == "cuda", name
    assert torch.equal(data.to("cpu").x.to_dense(), torch.eye(34))


def test_with_split():
    y = torch.tensor([0, 0, 1, 1])
    split = random_split(y, train_per_class=1, num_val=1, num_test=1)
    data = small(y=y).with_split(split)
    assert torch.equal(data.test_mask, split.test_mask)
    assert data.train_mask.sum() == 2


def test_row_normalised_sparse_equals_dense():
    x = torch.rand(6, 4) * (torch.rand(6, 4) < 0.5)
    x[2] = 0
    expected = x / x.sum(1, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(row_normalized(x), expected)
    torch.testing.assert_close(row_normalized(x.to_sparse_csr()).to_dense(), expected)
    with pytest.raises(ValueError, match="got -1"):
        row_normalized(torch.tensor([[1.0, -1.0]]))
