import numpy as np
import pytest
import torch

from gnnkit.data import load_dataset
from gnnkit.data.coauthor_amazon import read_coauthor_amazon
from gnnkit.errors import FileFormatError


def test_edges_both_ways_without_loops_and_features_without_counts(tmp_path, build):
    np.savez(tmp_path / "tiny.npz", **build.npz_arrays())
    arrays = read_coauthor_amazon(tmp_path / "tiny.npz")
    assert arrays.edge_index.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert arrays.features.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert arrays.labels.tolist() == [1, 0, 1, 2]
    assert arrays.class_names == ("a", "b", "c")


def test_names_stored_as_objects_are_not_read(tmp_path, build):
    # As in some of the upstream files; nothing depends on them.
    names = {"node_names": np.array([{"a": 1}], object), "class_names": np.array(["a", None, "c"], object)}
    np.savez(tmp_path / "tiny.npz", **(build.npz_arrays() | names))
    assert read_coauthor_amazon(tmp_path / "tiny.npz").class_names is None


def test_the_limit_on_unpacked_bytes_holds_before_unpacking(tmp_path, build):
    arrays = build.npz_arrays() | {"adj_data": np.ones(100_000, np.float32)}
    np.savez_compressed(tmp_path / "tiny.npz", **arrays)
    with pytest.raises(FileFormatError, match=r"unpacks to 40\d{4} bytes, more than 100000"):
        read_coauthor_amazon(tmp_path / "tiny.npz", max_bytes=100_000)


@pytest.mark.data
@pytest.mark.parametrize("name", ["photo", "cs"])
def test_equals_pyg(data_folder, name):
    from torch_geometric.io import read_npz

    from gnnkit.data.registry import dataset_info

    info = dataset_info(name)
    # What torch_geometric.datasets.Amazon and Coauthor call; the classes would write next to the file.
    expected = read_npz(str(data_folder / info.folder / info.files[0].name), to_undirected=True)
    ours = load_dataset(name, data_folder, normalize_features=False)
    assert torch.equal(ours.x.to_dense(), expected.x)
    assert torch.equal(ours.y, expected.y)
    assert torch.equal(ours.adjacency.to_edge_index()[0], expected.edge_index)
    sizes = (ours.num_nodes, ours.adjacency.num_edges, ours.num_features, ours.num_classes)
    assert sizes == (info.num_nodes, info.num_edges, info.num_features, info.num_classes)
    assert len(ours.class_names) == info.num_classes
