"""Features, labels and splits beside a converted graph."""

import numpy as np
import pytest
import torch

from gnnkit.data import BlockLoader, read_folder, read_node_data
from gnnkit.data.graph_folder import Attachments
from gnnkit.errors import FileFormatError
from gnnkit.graph import read_graph
from gnnkit.graph.conversion import convert_graph


@pytest.fixture
def files(tmp_path):
    (tmp_path / "edges.txt").write_text("b a\nc b\nd a\nc d\n")
    (tmp_path / "features.csv").write_text("d,4,0.5\na,1,0.1\nc,3,0.3\nb,2,0.2\n")
    (tmp_path / "labels.csv").write_text("a,yes\nc,no\nd,yes\n")
    (tmp_path / "train.txt").write_text("c\na\n")
    return tmp_path


def test_tables_by_name_are_as_without_conversion(files):
    beside = Attachments(files / "features.csv", files / "labels.csv", train=files / "train.txt")
    convert_graph(files / "edges.txt", files / "graph", attach=beside)
    found = read_folder(files / "graph")
    expected = read_node_data(files / "edges.txt", features=files / "features.csv", labels=files / "labels.csv")
    torch.testing.assert_close(found.x, expected.x)
    assert found.y.tolist() == expected.y.tolist()
    assert found.class_names == expected.class_names
    assert tuple(found.node_names) == expected.node_names
    assert found.train_mask.tolist() == [True, False, True, False]
    assert found.name == "edges"
    assert read_graph(files / "graph").adjacency.num_edges == 8
    with pytest.raises(ValueError, match="knows it"):
        read_graph(files / "graph", directed=True)


def test_arrays_are_mapped_and_split(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "edges.npy", rng.integers(0, 40, (2, 200)))
    x, y = rng.random((40, 3)), rng.integers(-1, 3, 40)
    mask = (y >= 0) & (np.arange(40) < 20)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "train.npy", mask)
    np.save(tmp_path / "test.npy", np.flatnonzero((y >= 0) & ~mask))
    beside = Attachments(*(tmp_path / f"{name}.npy" for name in ("x", "y", "train")), test=tmp_path / "test.npy")
    folder = convert_graph(tmp_path / "edges.npy", tmp_path / "graph", num_nodes=40, attach=beside)
    assert {"x.npy", "y.npy", "train_mask.npy", "test_mask.npy"} <= set(folder.files)
    data = read_folder(tmp_path / "graph")
    torch.testing.assert_close(data.x, torch.from_numpy(x).float())
    assert data.y.tolist() == y.tolist()
    assert data.train_mask.tolist() == mask.tolist()
    assert bool(data.test_mask.equal(torch.from_numpy((y >= 0) & ~mask)))
    batches = list(BlockLoader(data, [2, 2], data.train_mask, batch_size=5, num_workers=1))
    for batch in batches:
        torch.testing.assert_close(batch.x, data.x[batch.blocks[0].source_ids])


def test_without_anything_beside_it_nodes_are_their_own_features(files):
    convert_graph(files / "edges.txt", files / "graph")
    data = read_folder(files / "graph")
    assert data.x.to_dense().tolist() == torch.eye(4).tolist()
    assert data.y.tolist() == [-1] * 4


def test_what_does_not_fit_is_named(files):
    def convert(**beside):
        attach = Attachments(**{name: files / path for name, path in beside.items()})
        convert_graph(files / "edges.txt", files / "graph", attach=attach)

    np.save(files / "x.npy", np.ones((3, 2)))
    with pytest.raises(FileFormatError, match="has 3 rows, the graph 4 nodes"):
        convert(features="x.npy")
    np.save(files / "x.npy", np.array([[1.0], [2.0], [np.nan], [1.0]]))
    with pytest.raises(FileFormatError, match="features of node 2 are not all finite"):
        convert(features="x.npy")
    (files / "features.csv").write_text("a,1\nb,2\nc,3\n")
    with pytest.raises(FileFormatError, match="no row for the node 'd'"):
        convert(features="features.csv")
    (files / "labels.csv").write_text("node,label\na,yes\nx,no\n")
    with pytest.raises(FileFormatError, match="not a node of the graph"):
        convert(labels="labels.csv")
    np.save(files / "y.npy", np.array([0, 1]))
    with pytest.raises(FileFormatError, match="4 class numbers"):
        convert(labels="y.npy")
    np.save(files / "train.npy", np.array([0, 4]))
    with pytest.raises(FileFormatError, match=r"4 is not among the nodes 0\.\.3"):
        convert(train="train.npy")
    np.save(files / "train.npy", np.array([True]))
    with pytest.raises(FileFormatError, match="mask of 1 nodes"):
        convert(train="train.npy")
    (files / "train.txt").write_text("a\nzoe\n")
    with pytest.raises(FileFormatError, match="'zoe' is not a node"):
        convert(train="train.txt")
    convert()  # the folder was never finished, so what was wrong can be mended
    assert read_folder(files / "graph").num_nodes == 4
