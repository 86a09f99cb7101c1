import pickle
import shutil
import warnings

import numpy as np
import pytest
import torch

from gnnkit.data import load_dataset
from gnnkit.data.planetoid import read_planetoid
from gnnkit.data.safe_pickle import load
from gnnkit.errors import MissingDataError


def pyg_planetoid(root, data_folder, title):
    from torch_geometric.datasets import Planetoid

    # PyG writes next to the raw files, so it works on a copy.
    shutil.copytree(data_folder / "planetoid" / title, root / title)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Planetoid(str(root), title)[0]


def test_each_test_row_goes_to_its_node_and_a_node_without_row_stays_empty(tmp_path, build):
    arrays = read_planetoid(build.write_planetoid(tmp_path), "tiny", num_val=2)
    source = build.planetoid_arrays()
    expected = np.zeros((build.NUM_NODES, build.NUM_FEATURES), np.float32)
    expected[:7] = source["allx"].toarray()
    for row, node in enumerate(build.TEST_INDEX):
        expected[node] = source["tx"].toarray()[row]
    np.testing.assert_array_equal(arrays.features.toarray(), expected)
    assert arrays.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 0, 2]
    assert (arrays.train.tolist(), arrays.val.tolist(), sorted(arrays.test)) == ([0, 1, 2], [3, 4], [7, 8, 10])


def test_loops_and_repeated_edges_are_left_out(tmp_path, build):
    edges = read_planetoid(build.write_planetoid(tmp_path), "tiny", num_val=2).edge_index
    expected = {(s, t) for s, targets in build.GRAPH.items() for t in targets if s != t}
    assert set(map(tuple, edges.T.tolist())) == expected
    assert edges.shape == (2, len(expected))


def test_our_writer_writes_what_pickle_reads(build):
    # Were the fixtures not real pickles, the tests on them would prove nothing.
    source = build.planetoid_arrays()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's and numpy's old module names
        matrix = pickle.loads(build.program(build.pickled_csr(source["tx"])), encoding="latin1")
        labels = pickle.loads(build.program(build.pickled_array(source["ally"])), encoding="latin1")
        graph = pickle.loads(build.program(build.pickled_graph(build.GRAPH)), encoding="latin1")
    np.testing.assert_array_equal(matrix.toarray(), source["tx"].toarray())
    np.testing.assert_array_equal(labels, source["ally"])
    assert graph == build.GRAPH == load(build.program(build.pickled_graph(build.GRAPH)))


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<i8", "<u2", "<f8", ">f4"])
def test_arrays_of_any_number_type_and_byte_order(build, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    np.testing.assert_array_equal(load(build.program(build.pickled_array(array))).value, array)


def test_a_missing_file_is_named(tmp_path, build):
    build.write_planetoid(tmp_path)
    (tmp_path / "ind.tiny.graph").unlink()
    with pytest.raises(MissingDataError, match=r"ind\.tiny\.graph"):
        read_planetoid(tmp_path, "tiny", num_val=2)


@pytest.mark.data
@pytest.mark.parametrize("title", ["Cora", "CiteSeer", "PubMed"])
def test_equals_pyg(tmp_path, data_folder, title):
    expected = pyg_planetoid(tmp_path, data_folder, title)
    ours = load_dataset(title, data_folder, normalize_features=False)
    assert ours.x.layout == torch.sparse_csr
    assert torch.equal(ours.x.to_dense(), expected.x)
    edge_index, edge_weight = ours.adjacency.to_edge_index()
    order = np.lexsort((expected.edge_index[1], expected.edge_index[0]))
    assert torch.equal(edge_index, expected.edge_index[:, order])
    assert (edge_weight == 1).all()
    for name in ("y", "train_mask", "val_mask", "test_mask"):
        assert torch.equal(getattr(ours, name), expected[name]), name


@pytest.mark.data
@pytest.mark.parametrize("title", ["Cora", "CiteSeer", "PubMed"])
def test_normalised_features_equal_pyg(tmp_path, data_folder, title):
    from torch_geometric.transforms import NormalizeFeatures

    expected = NormalizeFeatures()(pyg_planetoid(tmp_path, data_folder, title)).x
    torch.testing.assert_close(load_dataset(title, data_folder).x.to_dense(), expected, rtol=1e-6, atol=0)
