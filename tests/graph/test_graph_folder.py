"""A converted graph is the graph that read_graph reads; opened over memory maps it does what any graph does."""

import gzip
import multiprocessing
import os
import pickle
import signal

import networkx as nx
import numpy as np
import pytest
import torch

from gnnkit.errors import FileFormatError
from gnnkit.graph import (
    Adjacency,
    BlockSampler,
    conversion,
    hop_distance,
    read_graph,
    receptive_field,
    summarize,
    write_graph,
)
from gnnkit.graph.conversion import convert_graph
from gnnkit.graph.graph_folder import GraphFolder
from gnnkit.graph.sampling import EnteringRows
from gnnkit.models import GAT, GCN


def same_graph(found: Adjacency, expected: Adjacency) -> None:
    for one, other in zip(found.to_edge_index(), expected.to_edge_index(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    for fact in ("num_nodes", "num_edges", "is_symmetric", "is_undirected", "is_weighted", "num_self_loops"):
        assert getattr(found, fact) == getattr(expected, fact), fact
    assert found.has_negative_weights == expected.has_negative_weights
    ours, theirs = (EnteringRows.of_graph(graph) for graph in (found, expected))
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.source, theirs.source)
    np.testing.assert_array_equal(ours.edge_id, theirs.edge_id)
    np.testing.assert_array_equal(found._matrix.transposed_values, expected._matrix.transposed_values)


FILES = {
    "names.txt": "A B\nB C\n# a remark\nA C\nC A\n\nD D\n",
    "numbers.txt": "10 2\n2 30\n-5 10\n10 2\n30 30\n",
    "from zero.txt": "0 1\n1 2\n2 0\n3 1\n",
    "titled.csv": "source,target,weight\n1,2,0.5\n2,3,1.5\n3,3,2\n2,1,0.5\n",
    "quoted.csv": '"source","target"\n"Smith, J",B\nB,"Ümläut"\n',
    "weights of 1.txt": "1 2 1\n2 3 1.0\n",
    "negative.tsv": "a\tb\t-1.5\nb\tc\t2\n",
    "unusual.txt": "01 1\n1 2\n",
    "late remark.txt": "1 2\n3 4\n% here\n5 1\n",
    "late name.txt": "1 2\n3 4\n5 x\n5 1\n",
}


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize(("name", "text"), FILES.items(), ids=FILES)
def test_it_is_the_graph_that_is_read(tmp_path, name, text, directed):
    path = tmp_path / name
    path.write_text(text)
    expected, names = read_graph(path, directed=directed)
    folder = convert_graph(path, tmp_path / "graph", directed=directed, at_once=2)
    same_graph(folder.adjacency(), expected)
    assert tuple(folder.node_names) == names
    for node, called in enumerate(names):
        assert folder.node_names.index(called) == node
    assert "nobody" not in folder.node_names
    assert folder.verify() == []
    assert not (tmp_path / "graph" / "unfinished").exists()


def random_edges(seed=0, num_nodes=300, count=4000):
    # Skewed, with repeats: every range of keys has another size.
    return (np.random.default_rng(seed).random((count, 2)) ** 3 * num_nodes).astype(np.int64)


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_larger_file_in_many_parts(tmp_path, directed, packed, monkeypatch):
    monkeypatch.setattr("gnnkit.graph.integer_edge_list._BLOCK_BYTES", 1 << 10)
    text = "".join(f"{a} {b}\n" for a, b in random_edges().tolist()).encode()
    path = tmp_path / ("edges.txt.gz" if packed else "edges.txt")
    path.write_bytes(gzip.compress(text) if packed else text)
    steps = []
    folder = convert_graph(
        path, tmp_path / "graph", directed=directed, at_once=500, tell=lambda step, done, total: steps.append(step)
    )
    same_graph(folder.adjacency(), read_graph(path, directed=directed).adjacency)
    assert {"read", "sort", "merge", "sort by target", "merge by target"} <= set(steps)


def test_numbered_nodes_need_no_names(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("0 1\n3 1\n")
    folder = convert_graph(path, tmp_path / "graph", num_nodes=6)
    same_graph(folder.adjacency(), read_graph(path, num_nodes=6).adjacency)
    assert folder.node_names is None
    nodes = tmp_path / "nodes.txt"
    nodes.write_text("7\nzoe\n")
    named = convert_graph(path, tmp_path / "named", nodes=nodes)
    expected, names = read_graph(path, nodes=nodes)
    same_graph(named.adjacency(), expected)
    assert tuple(named.node_names) == names


@pytest.mark.parametrize("shape", ["(2, E)", "(E, 2)"])
def test_an_array_of_edges_stands_as_it_is(tmp_path, shape):
    edges = random_edges(num_nodes=50, count=700)
    np.save(tmp_path / "edges.npy", edges if shape == "(E, 2)" else edges.T)
    expected = Adjacency.from_edge_index(torch.from_numpy(edges.T), num_nodes=50, coalesce="max")
    same_graph(
        convert_graph(tmp_path / "edges.npy", tmp_path / "graph", num_nodes=50, at_once=99).adjacency(), expected
    )
    both = np.concatenate([edges, edges[:, ::-1]])
    expected = Adjacency.from_edge_index(torch.from_numpy(both.T.copy()), num_nodes=50, coalesce="max")
    folder = convert_graph(tmp_path / "edges.npy", tmp_path / "both", num_nodes=50, directed=False, at_once=99)
    same_graph(folder.adjacency(), expected)
    np.save(tmp_path / "both.npy", both.T)  # every edge has its reverse, though nobody says so
    found = convert_graph(tmp_path / "both.npy", tmp_path / "seen", num_nodes=50, at_once=99)
    same_graph(found.adjacency(), expected)
    assert "in_source" not in found


@pytest.mark.parametrize("ending", [".npz", ".mtx", ".graphml"])
def test_other_files_are_read_whole(tmp_path, ending):
    generator = torch.Generator().manual_seed(1)
    edge_index = torch.randint(20, (2, 60), generator=generator)
    graph = Adjacency.from_edge_index(edge_index, torch.rand(60, generator=generator), num_nodes=21, coalesce="max")
    if ending == ".graphml":
        nx.write_graphml(graph.to_networkx(), tmp_path / "graph.graphml")
    else:
        write_graph(graph, tmp_path / f"graph{ending}")
    expected, names = read_graph(tmp_path / f"graph{ending}")
    folder = convert_graph(tmp_path / f"graph{ending}", tmp_path / "graph", at_once=7)
    same_graph(folder.adjacency(), expected)
    assert folder.node_names == names if names is not None else folder.node_names is None


@pytest.fixture(params=["directed", "directed, weighted", "undirected", "no edges"])
def opened(request, tmp_path):
    edges = random_edges(num_nodes=60, count=400)
    weights = np.random.default_rng(1).random(400) if "weighted" in request.param else None
    lines = [f"{a} {b}" + ("" if weights is None else f" {(a * 7 + b) % 5 + 0.5}") for a, b in edges.tolist()]
    path = tmp_path / "edges.txt"
    path.write_text("" if request.param == "no edges" else "\n".join(lines))
    rules = {"directed": request.param != "undirected", "num_nodes": 61}
    convert_graph(path, tmp_path / "graph", at_once=64, **rules)
    return Adjacency.open(tmp_path / "graph"), read_graph(path, **rules).adjacency


def test_an_open_graph_does_what_any_graph_does(opened):
    graph, expected = opened
    torch.manual_seed(0)
    x = torch.randn(61, 5, requires_grad=True)
    for product in (Adjacency.propagate, Adjacency.__matmul__):
        torch.testing.assert_close(product(graph, x), product(expected, x))
        grads = [torch.autograd.grad(product(each, x).square().sum(), x)[0] for each in opened]
        torch.testing.assert_close(*grads)
    for weighted in (True, False):
        torch.testing.assert_close(graph.in_degree(weighted=weighted), expected.in_degree(weighted=weighted))
        torch.testing.assert_close(graph.out_degree(weighted=weighted), expected.out_degree(weighted=weighted))
    for kind in ("sym", "row", "column"):
        torch.testing.assert_close(
            graph.with_self_loops().normalized(kind).to_dense(), expected.with_self_loops().normalized(kind).to_dense()
        )
    torch.testing.assert_close(graph.T.to_dense(), expected.T.to_dense())
    torch.testing.assert_close(graph.subgraph([5, 1, 9]).to_dense(), expected.subgraph([5, 1, 9]).to_dense())
    torch.testing.assert_close(graph.to(dtype=torch.float64).to_dense(), expected.to_dense().double())
    for direction in ("out", "in", "both"):
        assert torch.equal(hop_distance(graph, direction=direction), hop_distance(expected, direction=direction))
    assert summarize(graph) == summarize(expected)
    assert (graph.to_scipy() != expected.to_scipy()).nnz == 0
    for model in (GCN(5, 4, 2, 3, 0.0), GCN(5, 4, 2, 3, 0.0, normalize=False), GAT(5, 4, 2, 3, 0.0)):
        torch.testing.assert_close(model(x, graph), model(x, expected))
        blocks = receptive_field(graph, [3, 60], 2).blocks
        torch.testing.assert_close(model(x[blocks[0].source_ids], blocks), model(x, expected)[[3, 60]])
        blocks = BlockSampler(graph, [-1, -1]).blocks(np.array([3, 60]), [0])
        torch.testing.assert_close(model(x[blocks[0].source_ids], blocks), model(x, expected)[[3, 60]])


def test_it_goes_to_other_processes_by_its_name(opened):
    graph, expected = opened
    sent = pickle.dumps(graph)
    assert len(sent) < 1000
    same_graph(pickle.loads(sent), expected)


def test_nothing_is_copied_on_opening(opened):
    graph, _ = opened
    pattern = graph._matrix.pattern
    assert "col" not in pattern.__dict__
    rows = EnteringRows.of_graph(graph)
    assert "col" not in pattern.__dict__
    if graph.num_edges:
        assert isinstance(rows.source.base, torch.Tensor | np.ndarray)
        assert rows.source.dtype == np.int32


def convert_and_die(path, out, directed, left):
    """Convert, and die by kill -9 after so many notes of what is safe."""
    save = conversion._Work.save

    def killed(self, **changes):
        nonlocal left
        save(self, **changes)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    conversion._Work.save = killed
    convert_graph(path, out, directed=directed, at_once=400)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", ["directed", "weighted", "names"])
def test_it_goes_on_after_kill_9(tmp_path, kind, monkeypatch):
    """Killed again and again, each time a few steps further on; at last the same files, byte for byte."""
    monkeypatch.setattr("gnnkit.graph.integer_edge_list._BLOCK_BYTES", 1 << 10)
    form = {"directed": "{0} {1}", "weighted": "{0} {1} {2}", "names": "n{0} n{1}"}[kind]
    path = tmp_path / "edges.txt"
    path.write_text("".join(form.format(a, b, (a + b) % 4) + "\n" for a, b in random_edges(count=1500).tolist()))
    whole = convert_graph(path, tmp_path / "whole", directed=kind == "directed", at_once=400)
    died = 0
    for step in (2, 5, 7, 9, 4, 3):
        arguments = (path, tmp_path / "graph", kind == "directed", step)
        process = multiprocessing.get_context("fork").Process(target=convert_and_die, args=arguments)
        process.start()
        process.join(100)
        died += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    else:
        convert_graph(path, tmp_path / "graph", directed=kind == "directed", at_once=400)
    assert died >= 3
    assert GraphFolder(tmp_path / "graph").files == whole.files


def test_damage_is_found(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("1 2\n2 3\n")
    folder = convert_graph(path, tmp_path / "graph")
    target = tmp_path / "graph" / "out_target.npy"
    raw = bytearray(target.read_bytes())
    raw[-1] ^= 1
    target.write_bytes(raw)
    assert folder.verify() == ["out_target.npy"]
    target.write_bytes(raw[:-3])
    with pytest.raises(FileFormatError, match="cut off"):
        Adjacency.open(tmp_path / "graph")
    target.unlink()
    assert folder.verify() == ["out_target.npy"]
    with pytest.raises(FileFormatError, match="is missing"):
        Adjacency.open(tmp_path / "graph")
    manifest = tmp_path / "graph" / "graph.json"
    for wrong in ('{"format": "gnnkit graph", "version": 9}', "[]", manifest.read_text().replace(": 3,", ": -3,")):
        manifest.write_text(wrong)
        with pytest.raises(FileFormatError):
            Adjacency.open(tmp_path / "graph")
    with pytest.raises(FileFormatError, match=r"has no graph\.json"):
        Adjacency.open(tmp_path)


def test_mistakes_are_named(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("a b 1\nb c 2\nb a 3\n")
    with pytest.raises(FileFormatError, match=r"the edge a b has weight 1 in one place and 3"):
        convert_graph(path, tmp_path / "twice", at_once=1)
    path.write_text("1 2\n3 4\n3 4 5\n")
    with pytest.raises(FileFormatError, match="line 3: 3 columns"):
        convert_graph(path, tmp_path / "columns")
    path.write_text("0 1\n1 7\n")
    with pytest.raises(FileFormatError, match="7 is not a row number from 0 to 4"):
        convert_graph(path, tmp_path / "range", num_nodes=5)
    with pytest.raises(ValueError, match="other settings"):
        convert_graph(path, tmp_path / "range", num_nodes=8)
    convert_graph(path, tmp_path / "graph")
    with pytest.raises(ValueError, match="holds a graph already"):
        convert_graph(path, tmp_path / "graph")
    with pytest.raises(ValueError, match="no unfinished graph"):
        convert_graph(path, tmp_path)
    with pytest.raises(ValueError, match="num_nodes must be"):
        convert_graph(path, tmp_path / "many", num_nodes=2**33)
    np.save(tmp_path / "flat.npy", np.arange(6))
    with pytest.raises(FileFormatError, match="2 axes"):
        convert_graph(tmp_path / "flat.npy", tmp_path / "flat")
    path.write_text("")
    with pytest.raises(FileFormatError, match="no edges"):
        convert_graph(path, tmp_path / "empty")


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("1 2\n")
    said = []

    def again(step, done, total):
        if not said:
            with pytest.raises(ValueError, match="another process") as error:
                convert_graph(path, tmp_path / "graph")
            said.append(error)

    convert_graph(path, tmp_path / "graph", tell=again)
    assert said
