"""Graphs of networkx, scipy, PyG and dense matrices, read and written back."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from torch_geometric.data import Data, HeteroData

from gnnkit.graph import Adjacency
from tests.graphs import GRAPHS, Case, cases

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)


def equal(graph: Adjacency, rows) -> None:
    assert torch.equal(graph.to_dense().double(), torch.as_tensor(rows, dtype=torch.float64))


# ---- there and back ------------------------------------------------------------------------------


@each_graph
def test_dense_scipy_networkx_and_pyg_agree(case: Case):
    graph, dense = case.adjacency(), case.dense()
    assert torch.equal(torch.from_numpy(graph.to_scipy().toarray()), dense)
    written = graph.to_networkx()
    assert list(written.nodes) == list(range(case.num_nodes))
    assert {(s, t): w for s, t, w in written.edges.data("weight")} == case.entries
    # networkx numbers come back in the default dtype.
    torch.testing.assert_close(Adjacency.from_networkx(written).to_dense(), dense.float())
    torch.testing.assert_close(Adjacency.from_scipy(graph.to_scipy()).to_dense(), dense)
    edge_index, weight = graph.to_edge_index()
    data = Data(edge_index=edge_index, edge_weight=weight, num_nodes=case.num_nodes)
    assert torch.equal(Adjacency.from_data(data).to_dense(), dense)
    assert torch.equal(Adjacency.from_dense(dense).to_dense(), dense)


@given(cases())
def test_round_trips_keep_the_graph(case: Case):
    graph = case.adjacency()
    for again in (
        Adjacency.from_scipy(graph.to_scipy()),
        Adjacency.from_edge_index(*graph.to_edge_index(), num_nodes=case.num_nodes),
    ):
        assert torch.equal(again.to_edge_index()[0], graph.to_edge_index()[0])
        assert torch.equal(again.to_edge_index()[1], graph.to_edge_index()[1])


# ---- dense ---------------------------------------------------------------------------------------


def test_dense_entry_i_j_is_the_edge_from_i_to_j():
    graph = Adjacency.from_dense([[0, 2], [0, 0]])
    assert graph.to_edge_index()[0].tolist() == [[0], [1]]
    assert graph.dtype == torch.float32
    assert graph.propagate(torch.tensor([[3.0], [0.0]])).tolist() == [[0.0], [6.0]]


def test_dense_matrices_pass_gradients():
    matrix = torch.tensor([[0.0, 2.0], [3.0, 0.0]], requires_grad=True)
    Adjacency.from_dense(matrix).propagate(torch.tensor([[1.0], [10.0]])).sum().backward()
    assert matrix.grad.tolist() == [[0.0, 1.0], [10.0, 0.0]]


@pytest.mark.parametrize("matrix", [np.eye(2, dtype=bool), np.eye(2, dtype=np.int8), np.eye(2, dtype=np.float16)])
def test_dense_numpy_arrays(matrix):
    equal(Adjacency.from_dense(matrix), np.eye(2))


BAD_DENSE = {
    "wide": (torch.ones(2, 3), ValueError, r"must be square, \(N, N\), got shape \(2, 3\)"),
    "a vector": ([1.0, 2.0], ValueError, r"got shape \(2,\)"),
    "a stack": (torch.ones(2, 2, 2), ValueError, r"got shape \(2, 2, 2\)"),
    "NaN": ([[0.0, float("nan")], [0.0, 0.0]], ValueError, "nan; weights must be finite"),
    "complex": (torch.eye(2).cfloat(), TypeError, "got torch.complex64"),
    "sparse": (torch.eye(2).to_sparse(), TypeError, r"got torch.sparse_coo; pass matrix.to_dense\(\)"),
}


@pytest.mark.parametrize(("matrix", "error", "message"), BAD_DENSE.values(), ids=BAD_DENSE)
def test_refuses_other_matrices(matrix, error, message):
    with pytest.raises(error, match=message):
        Adjacency.from_dense(matrix)


# ---- networkx ------------------------------------------------------------------------------------


def test_networkx_undirected_edges_go_both_ways_and_loops_once():
    graph = nx.Graph()
    graph.add_nodes_from(["c", "a", "b"])  # numbered in this order
    graph.add_edge("a", "b", weight=2.5)
    graph.add_edge("c", "c", weight=4)
    graph.add_edge("c", "a")
    equal(Adjacency.from_networkx(graph), [[4, 1, 0], [1, 0, 2.5], [0, 2.5, 0]])
    equal(Adjacency.from_networkx(graph, weight=None), [[1, 1, 0], [1, 0, 1], [0, 1, 0]])


def test_networkx_directed_and_with_another_attribute():
    graph = nx.DiGraph()
    graph.add_edge(10, 5, length=2, weight=7)
    graph.add_edge(5, 5)
    equal(Adjacency.from_networkx(graph), [[0, 7], [0, 1]])
    equal(Adjacency.from_networkx(graph, weight="length"), [[0, 2], [0, 1]])


@pytest.mark.parametrize(("kind", "rows"), [(nx.MultiGraph, [[0, 5], [5, 4]]), (nx.MultiDiGraph, [[0, 3], [2, 4]])])
def test_networkx_parallel_edges_add_up(kind, rows):
    graph = kind()
    graph.add_edge("a", "b", weight=1)
    graph.add_edge("a", "b", weight=2)
    graph.add_edge("b", "a", weight=2)
    graph.add_edge("b", "b", weight=3)
    graph.add_edge("b", "b")
    equal(Adjacency.from_networkx(graph), rows)


def test_networkx_empty_graphs():
    equal(Adjacency.from_networkx(nx.Graph()), torch.zeros(0, 0))
    equal(Adjacency.from_networkx(nx.empty_graph(3)), torch.zeros(3, 3))


def test_networkx_bad_weights_are_named():
    graph = nx.Graph()
    graph.add_edge("a", "b", weight="heavy")
    with pytest.raises(ValueError, match="'a' - 'b' has weight='heavy', which is not a number"):
        Adjacency.from_networkx(graph)
    graph["a"]["b"]["weight"] = None
    with pytest.raises(ValueError, match="weight=None"):
        Adjacency.from_networkx(graph)
    graph["a"]["b"]["weight"] = float("nan")
    with pytest.raises(ValueError, match=r"edge_weight\[0\] is nan"):
        Adjacency.from_networkx(graph)
    with pytest.raises(TypeError, match="takes a networkx graph, got dict"):
        Adjacency.from_networkx({"a": ["b"]})


# ---- scipy ---------------------------------------------------------------------------------------

MATRIX = np.array([[0.0, 1.5, 0.0], [0.0, 0.0, -2.0], [3.0, 0.0, 4.0]])


@pytest.mark.parametrize("format_", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("make", [sp.csr_array, sp.csr_matrix])
def test_scipy_formats(format_, make):
    matrix = make(MATRIX).asformat(format_)
    graph = Adjacency.from_scipy(matrix)
    assert graph.dtype == torch.float64
    equal(graph, MATRIX)


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i8", "u8", "f4", "f8", ">f4", ">f8", ">i4", "u2", "longdouble"])
def test_scipy_dtypes_of_either_byte_order(dtype):
    matrix = sp.coo_array((np.array([1.0, 0.0, 3.0]), ([0, 1, 2], [1, 2, 0])), shape=(3, 3))
    # scipy makes no matrix of another byte order, but a memory-mapped file gives one.
    matrix.data = matrix.data.astype(dtype)
    matrix.coords = tuple(index.astype(">i4") for index in matrix.coords)
    expected = torch.zeros(3, 3)
    expected[[0, 2], [1, 0]] = torch.tensor([1.0, 1.0 if dtype == "bool" else 3.0])
    graph = Adjacency.from_scipy(matrix)
    equal(graph, expected)
    assert graph.num_edges == 3  # a stored zero is an edge of weight 0
    assert graph.dtype in (torch.float32, torch.float64)


def test_scipy_counts_beyond_int64():
    matrix = sp.csr_array((np.array([2**63, 2**64 - 1], dtype=np.uint64), ([0, 1], [1, 0])), shape=(2, 2))
    equal(Adjacency.from_scipy(matrix), [[0, 2.0**63], [2.0**64, 0]])


def test_scipy_duplicates_are_summed_in_every_format():
    coo = sp.coo_array((np.array([1.0, 2.0, 5.0]), ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    csr = sp.csr_array((np.array([1.0, 2.0, 5.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    for matrix in (coo, csr):
        equal(Adjacency.from_scipy(matrix), [[0, 3], [5, 0]])


def test_scipy_matrices_are_copied():
    matrix = sp.csr_array(MATRIX)
    graph = Adjacency.from_scipy(matrix)
    matrix.data[:] = 0
    equal(graph, MATRIX)


def test_scipy_half_dtypes_become_float32():
    graph = GRAPHS["directed"].adjacency(torch.bfloat16)
    assert graph.to_scipy().dtype == np.float32


BAD_SCIPY = {
    "numpy": (np.eye(2), TypeError, "takes a scipy sparse matrix or array, got ndarray"),
    "wide": (sp.csr_array((2, 3)), ValueError, r"got shape \(2, 3\)"),
    "one dimension": (sp.coo_array(np.ones(3)), ValueError, r"got shape \(3,\)"),
    "complex": (sp.csr_array(np.eye(2) * 1j), TypeError, "real numbers, got complex128"),
    "NaN": (sp.csr_array(np.array([[0, np.nan], [0, 0]])), ValueError, "is nan"),
}


@pytest.mark.parametrize(("matrix", "error", "message"), BAD_SCIPY.values(), ids=BAD_SCIPY)
def test_refuses_other_scipy_input(matrix, error, message):
    with pytest.raises(error, match=message):
        Adjacency.from_scipy(matrix)


# ---- PyG -----------------------------------------------------------------------------------------

EDGES = torch.tensor([[0, 1], [1, 2]])


def test_data_weights_come_from_edge_weight_then_from_edge_attr():
    weight, attr = torch.tensor([2.0, 3.0]), torch.tensor([5.0, 7.0])
    assert Adjacency.from_data(Data(edge_index=EDGES, num_nodes=3)).to_edge_index()[1].tolist() == [1, 1]
    for given_attr in (attr, attr.view(-1, 1)):
        graph = Adjacency.from_data(Data(edge_index=EDGES, edge_attr=given_attr, num_nodes=3))
        assert graph.to_edge_index()[1].tolist() == [5, 7]
        both = Data(edge_index=EDGES, edge_attr=given_attr, edge_weight=weight, num_nodes=3)
        assert Adjacency.from_data(both).to_edge_index()[1].tolist() == [2, 3]
    several = Data(edge_index=EDGES, edge_attr=torch.ones(2, 3), edge_weight=weight, num_nodes=3)
    assert Adjacency.from_data(several).to_edge_index()[1].tolist() == [2, 3]


def test_data_nodes_are_counted_by_num_nodes_or_by_their_features():
    assert Adjacency.from_data(Data(edge_index=EDGES, num_nodes=5)).num_nodes == 5
    assert Adjacency.from_data(Data(edge_index=EDGES, x=torch.ones(4, 2))).num_nodes == 4
    assert Adjacency.from_data(Data(edge_index=EDGES, pos=torch.ones(4, 2))).num_nodes == 4
    assert Adjacency.from_data(Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=0)).num_nodes == 0


BAD_DATA = {
    "no count": (Data(edge_index=EDGES), ValueError, "neither num_nodes nor node features"),
    # Labels may be the graph's: PyG counts no nodes by them, but guesses from the edges.
    "labels only": (Data(edge_index=EDGES, y=torch.ones(4)), ValueError, "neither num_nodes nor node features"),
    "several numbers per edge": (
        Data(edge_index=EDGES, edge_attr=torch.ones(2, 3), num_nodes=3), ValueError, r"shape \(2, 3\), several numbers"
    ),
    "a list of weights": (
        Data(edge_index=EDGES, edge_attr=[1.0, 2.0], num_nodes=3), TypeError, r"edge_attr must be .*, got list"
    ),
    "no edges": (Data(x=torch.ones(2, 2)), TypeError, "got Data without one"),
    "several kinds of nodes": (HeteroData(), TypeError, "got HeteroData without one"),
    "an edge list": (EDGES, TypeError, "got Tensor without one"),
    "too few nodes": (Data(edge_index=EDGES, num_nodes=2), ValueError, "node id 2"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "error", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_refuses_other_data(data, error, message):
    with pytest.raises(error, match=message):
        Adjacency.from_data(data)
