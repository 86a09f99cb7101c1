"""Graph files: what each kind of file means, written out by hand, and that writing and reading agree."""

import gzip
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnkit.errors import FileFormatError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.edge_list import EdgeListFormat, edge_table, read_edge_rows, sorted_names
from gnnkit.graph.files import read_graph
from gnnkit.graph.integer_edge_list import read_integer_edge_rows
from gnnkit.graph.write_files import write_graph
from tests.effort import at_least

FIGURE_A = "# Figure A\nA B\nA E\nA F\nB C\nB D\nC D\nD F\nE F\n"
ROWS_A = ["010011", "101100", "010100", "011001", "100001", "100110"]


def dense(rows):
    return torch.tensor([[float(cell) for cell in row] for row in rows])


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("a.txt", FIGURE_A, {}),
        ("a.edges", FIGURE_A.replace(" ", "\t  "), {}),
        ("a.csv", FIGURE_A.replace(" ", ", "), {"comments": "#"}),
        ("a.csv", "source,target\n" + FIGURE_A.replace(" ", ","), {"comments": ["#,"]}),
        ("a.csv", FIGURE_A.replace("# Figure A\n", "").replace(" ", ";"), {"delimiter": ";"}),
        ("a.tsv", FIGURE_A.replace(" ", "\t"), {}),
        ("a.txt.gz", FIGURE_A, {}),
        ("a.TSV.gz", FIGURE_A.replace(" ", "\t"), {}),
        ("windows.txt", FIGURE_A.replace("\n", "\r\n"), {}),
        ("byte order mark.txt", "\ufeff" + FIGURE_A.replace("# Figure A\n", ""), {}),
        ("no newline at the end.txt", FIGURE_A.rstrip(), {}),
        ("given twice.txt", FIGURE_A + "B A\nA B\n", {}),
        ("blank lines.txt", FIGURE_A.replace("\n", "\n \n"), {}),
        ("percent.txt", FIGURE_A.replace("#", "%"), {}),
        ("double bar.txt", FIGURE_A.replace(" ", "||"), {"delimiter": "||", "comments": "#"}),
        ("titles.txt", "here there\n" + FIGURE_A, {"header": True}),
        ("time stamps.txt", "\n".join(f"{line} 17 x" for line in FIGURE_A.split("\n")[1:-1]), {"weighted": False}),
    ],
)
def test_figure_a_from_every_spelling_of_an_edge_list(tmp_path, name, text, options):
    adjacency, names = read_graph(written(tmp_path, name, text), **options)
    assert names == tuple("ABCDEF")
    torch.testing.assert_close(adjacency.to_dense(), dense(ROWS_A))


def test_directed_edge_list_keeps_one_direction_and_weights(tmp_path):
    path = written(tmp_path, "a.txt", "a b 2\nb a 3.5\nb b -1e-1\nc a .5\n")
    adjacency, _ = read_graph(path, directed=True)
    expected = torch.tensor([[0.0, 2.0, 0.0], [3.5, -0.1, 0.0], [0.5, 0.0, 0.0]])
    torch.testing.assert_close(adjacency.to_dense(), expected)


def test_undirected_self_loop_is_one_edge(tmp_path):
    adjacency, _ = read_graph(written(tmp_path, "a.txt", "a a 3\na b 2\n"))
    torch.testing.assert_close(adjacency.to_dense(), torch.tensor([[3.0, 2.0], [2.0, 0.0]]))


def test_two_weights_for_one_undirected_edge_name_both_lines(tmp_path):
    path = written(tmp_path, "a.txt", "# weights\na b 1\nb c 1\nb a 2\n")
    with pytest.raises(FileFormatError, match=r"line 4: the edge b a has weight 2\.0 here and 1\.0 in line 2"):
        read_graph(path)
    assert read_graph(path, directed=True).adjacency.num_edges == 3


def test_names_sort_as_numbers_only_where_all_are(tmp_path):
    assert read_graph(written(tmp_path, "n.txt", "10 9\n-1 9\n")).node_names == ("-1", "9", "10")
    assert read_graph(written(tmp_path, "m.txt", "10 9\nx 9\n"), header=False).node_names == ("10", "9", "x")
    assert sorted_names(["01", "1", "2"]) == ["01", "1", "2"]


def test_nodes_file_adds_nodes_without_edges(tmp_path):
    edges = written(tmp_path, "a.txt", "10 9\n")
    nodes = written(tmp_path, "nodes.txt", "# all\n9\n2\n\n30\n")
    adjacency, names = read_graph(edges, nodes=nodes)
    assert names == ("2", "9", "10", "30")
    torch.testing.assert_close(adjacency.to_dense(), dense(["0000", "0010", "0100", "0000"]))
    with pytest.raises(ValueError, match="cannot both be given"):
        read_graph(edges, nodes=nodes, num_nodes=4)


def test_num_nodes_makes_tokens_row_numbers(tmp_path):
    adjacency, names = read_graph(written(tmp_path, "a.txt", "2 0\n"), num_nodes=4)
    assert names is None
    torch.testing.assert_close(adjacency.to_dense(), dense(["0010", "0000", "1000", "0000"]))


def test_a_graph_without_edges_needs_its_nodes(tmp_path):
    path = written(tmp_path, "a.txt", "# nothing\n")
    with pytest.raises(FileFormatError, match="no edges"):
        read_graph(path)
    assert read_graph(path, num_nodes=3).adjacency.num_nodes == 3
    assert read_graph(path, nodes=written(tmp_path, "n.txt", "b\na\n")).node_names == ("a", "b")


def test_quoted_cells(tmp_path):
    path = written(tmp_path, "a.csv", 'source,target,weight\n"Smith, J", "O""Hara",2\nplain,"Smith, J",1\n')
    adjacency, names = read_graph(path, directed=True)
    assert names == ('O"Hara', "Smith, J", "plain")
    torch.testing.assert_close(adjacency.to_dense(), torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]]))


def test_options_that_a_format_has_no_use_for_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"delimiter=',' is for edge lists, but .*a\.mtx"):
        read_graph(tmp_path / "a.mtx", delimiter=",")
    with pytest.raises(ValueError, match=r"nodes='n\.txt' is for edge lists, but .*a\.graphml"):
        read_graph(tmp_path / "a.graphml", nodes=Path("n.txt"))
    with pytest.raises(ValueError, match=r"'a\.xls' has an unknown ending; known are \.txt"):
        read_graph(tmp_path / "a.xls")


# --- the two edge-list readers are one ---------------------------------------------------------

LINE = st.one_of(
    st.lists(st.integers(-3, 12).map(str), min_size=2, max_size=2),
    st.lists(st.sampled_from(["0", "7", "-7", "10", "01", "+1", "-0", "1.0", "x", "", "9" * 18, "9" * 19]), max_size=3),
)
WEIGHT = st.sampled_from(["1", "0.5", "-2e3", ".5", "5.", "1e400", "nan", "1_0", "e", "-"])


@st.composite
def edge_list_texts(draw):
    delimiter = draw(st.sampled_from([None, ",", "\t", ";"]))
    plain = draw(st.booleans())
    columns = draw(st.sampled_from([2, 3]))
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        cells = [str(draw(st.integers(-3, 12))) for _ in range(2)] if plain else draw(LINE)
        if columns == 3:
            cells = [*cells, draw(st.sampled_from(["1", "0.5", "-2e3", ".5"]) if plain else WEIGHT)]
        joint = delimiter or draw(st.sampled_from([" ", "\t", "  "]))
        lines.append(joint.join(cells) + draw(st.sampled_from(["", "", " ", "\r"])))
    if draw(st.booleans()):
        lines.insert(0, draw(st.sampled_from(["# comment", "", "source,target", "source target", "a b"])))
    if not plain and draw(st.booleans()):
        lines.insert(
            draw(st.integers(0, len(lines))), draw(st.sampled_from(["# comment", " ", "\t", ",", "\x00", "\u00e9 1"]))
        )
    return delimiter, "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@at_least(400)
@given(edge_list_texts(), st.sampled_from([None, True, False]), st.sampled_from([None, True, False]))
def test_fast_reader_gives_the_careful_result_or_declines(tmp_path_factory, case, header, weighted):
    delimiter, text = case
    path = tmp_path_factory.getbasetemp() / "either.txt"
    path.write_bytes(text.encode())
    form = EdgeListFormat(delimiter, ("#", "%"), header, weighted)
    fast = read_integer_edge_rows(path, form)
    if fast is None:
        return
    careful = read_edge_rows(path, form)  # must not raise where the fast reader accepted
    for one, other in zip(fast, careful, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.txt", "# SNAP\n" + "\n".join(f"{i} {i * 7 % 50}" for i in range(50))),
        ("weights.csv", "source,target,weight\n" + "\n".join(f"{i},{i * 7 % 50},{i / 8}" for i in range(50))),
        ("tabs.tsv", "\n".join(f"{i}\t{i * 7 % 50}" for i in range(50))),
    ],
)
def test_usual_integer_files_take_the_fast_reader(tmp_path, monkeypatch, name, text):
    path = written(tmp_path, name, text)
    expected = read_graph(path, directed=True)
    monkeypatch.setattr("gnnkit.graph.files.read_edge_rows", None)
    fast = read_graph(path, directed=True)
    assert fast.node_names == expected.node_names
    torch.testing.assert_close(fast.adjacency.to_dense(), expected.adjacency.to_dense())


def test_blocks_of_the_fast_reader_join_seamlessly(tmp_path, monkeypatch):
    lines = [f"{i * 37 % 101} {i * 11 % 97} {i}.5" for i in range(500)]
    path = written(tmp_path, "a.txt", "# top\n" + "\n".join(lines))
    form = EdgeListFormat(None, ("#",), None, None)
    whole = read_integer_edge_rows(path, form)
    monkeypatch.setattr("gnnkit.graph.integer_edge_list._BLOCK_BYTES", 64)
    in_blocks, careful = read_integer_edge_rows(path, form), read_edge_rows(path, form)
    for rows in (in_blocks, careful):
        for one, other in zip(whole, rows, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@at_least(100)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20),
    st.booleans(),
)
def test_edge_list_equals_networkx(tmp_path_factory, edges, directed):
    path = tmp_path_factory.getbasetemp() / "random.txt"
    path.write_text("".join(f"{a} {b}\n" for a, b in edges))
    adjacency, names = read_graph(path, directed=directed)
    reference = (nx.DiGraph if directed else nx.Graph)()
    reference.add_nodes_from(sorted({node for edge in edges for node in edge}))
    reference.add_edges_from(edges)
    assert names == tuple(map(str, reference))
    np.testing.assert_array_equal(adjacency.to_dense().numpy(), nx.to_numpy_array(reference))


@pytest.mark.slow
def test_a_million_edges_through_the_fast_reader(tmp_path):
    edges = np.random.default_rng(0).integers(0, 200_000, (1_000_000, 2))
    path = tmp_path / "big.txt"
    path.write_text("\n".join(f"{a} {b}" for a, b in edges.tolist()))
    form = EdgeListFormat(None, ("#",), None, None)
    rows = read_integer_edge_rows(path, form)
    table = edge_table(rows, path, directed=False)
    assert table.num_nodes == len(np.unique(edges))


# --- the other formats -------------------------------------------------------------------------

GRAPHML = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="w" for="edge" attr.name="weight" attr.type="double"><default>0.5</default></key>
  <key id="c" for="node" attr.name="weight" attr.type="double"/>
  <graph edgedefault="{default}">
    <node id="z"><data key="c">99</data></node><node id="b"/><node id="alone"/>
    <edge source="z" target="b"><data key="w"> 2.5 </data><data key="other">7</data></edge>
    <edge source="b" target="b"/>
    <edge source="b" target="alone" directed="true"/>
  </graph>
</graphml>
"""


def test_graphml_keeps_node_order_weights_defaults_and_single_directed_edges(tmp_path):
    adjacency, names = read_graph(written(tmp_path, "g.graphml", GRAPHML.format(default="undirected")))
    assert names == ("z", "b", "alone")
    torch.testing.assert_close(adjacency.to_dense(), torch.tensor([[0, 2.5, 0], [2.5, 0.5, 0.5], [0, 0, 0]]))
    packed = written(tmp_path, "g.graphml.gz", GRAPHML.format(default="directed"))
    directed = read_graph(packed, directed=True).adjacency
    torch.testing.assert_close(directed.to_dense(), torch.tensor([[0, 2.5, 0], [0, 0.5, 0.5], [0, 0, 0]]))


@pytest.mark.parametrize("given", ['for="edge" ', 'for="all" ', ""])
def test_a_graphml_key_is_for_all_where_it_does_not_say(tmp_path, given):
    text = GRAPHML.format(default="directed").replace('for="edge" ', given)
    path = written(tmp_path, "g.graphml", text)
    assert read_graph(path, directed=True).adjacency.to_edge_index()[1].tolist() == [2.5, 0.5, 0.5]


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph])
def test_graphml_of_networkx(tmp_path, kind):
    graph = kind()
    graph.add_nodes_from("dacb")
    graph.add_weighted_edges_from([("a", "b", 1.5), ("b", "c", -2.0), ("c", "c", 4.0)])
    nx.write_graphml(graph, tmp_path / "g.graphml")
    adjacency, names = read_graph(tmp_path / "g.graphml")
    assert names == tuple(graph)
    np.testing.assert_allclose(adjacency.to_dense().numpy(), nx.to_numpy_array(graph))


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("field", ["real", "integer", "pattern"])
def test_matrix_market_as_scipy_reads_it(tmp_path, symmetry, field):
    rng = np.random.default_rng(3)
    matrix = np.triu(rng.integers(-3, 4, (6, 6)), 1).astype(float)
    matrix = {"general": matrix, "symmetric": matrix + matrix.T, "skew-symmetric": matrix - matrix.T}[symmetry]
    if field == "pattern":
        if symmetry == "skew-symmetric":
            pytest.skip("a pattern has no signs")
        matrix = (matrix != 0).astype(float)
    path = tmp_path / "m.mtx"
    scipy.io.mmwrite(path, scipy.sparse.coo_array(matrix), field=field, symmetry=symmetry)
    packed = tmp_path / "m.mtx.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, packed):
        adjacency, names = read_graph(file)
        assert names is None
        np.testing.assert_array_equal(adjacency.to_dense().numpy(), matrix)


@pytest.mark.parametrize("pattern", [True, False])
def test_matrix_market_line_by_line_equals_the_fast_reader(tmp_path, monkeypatch, pattern):
    rng = np.random.default_rng(5)
    ends = rng.integers(1, 31, (200, 2)).tolist()
    entries = [f"{i} {j}" if pattern else f" {i}\t{j} {rng.normal():.6g}" for i, j in ends]
    field = "pattern" if pattern else "real"
    text = f"%%MatrixMarket matrix coordinate {field} general\n% comment\n\n30 30 200\n" + "\n".join(entries)
    path = written(tmp_path, "m.mtx", text)
    with monkeypatch.context() as patched:
        patched.setattr("gnnkit.graph.matrix_market._entries", None)
        fast = read_graph(path).adjacency.to_dense()
    commented = written(tmp_path, "c.mtx", text + "\n% a comment that the fast reader declines\n")
    torch.testing.assert_close(read_graph(commented).adjacency.to_dense(), fast, rtol=0, atol=0)
    np.testing.assert_allclose(fast.numpy(), scipy.io.mmread(path).toarray(), rtol=1e-6)


@pytest.mark.parametrize("symmetry", ["general", "symmetric"])
def test_matrix_market_of_a_dense_matrix(tmp_path, symmetry):
    matrix = np.array([[0.0, 2.0], [2.0, 1.0]])
    scipy.io.mmwrite(tmp_path / "m.mtx", matrix, symmetry=symmetry)
    np.testing.assert_array_equal(read_graph(tmp_path / "m.mtx").adjacency.to_dense().numpy(), matrix)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize("compressed", [True, False])
def test_npz_of_scipy(tmp_path, kind, compressed):
    matrix = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.coo_array(matrix).asformat(kind), compressed=compressed)
    np.testing.assert_array_equal(read_graph(tmp_path / "m.npz").adjacency.to_dense().numpy(), matrix)


def test_npz_of_edge_index(tmp_path):
    np.savez(tmp_path / "e.npz", edge_index=np.array([[0, 2], [1, 0]], dtype=np.int32), num_nodes=4)
    expected = torch.zeros(4, 4)
    expected[0, 1] = expected[2, 0] = 1
    torch.testing.assert_close(read_graph(tmp_path / "e.npz").adjacency.to_dense(), expected)
    np.savez(
        tmp_path / "w.npz",
        edge_index=np.array([[0, 2], [1, 0]]), edge_weight=np.array([3, 4]), num_nodes=np.int64(3),
        node_names=np.array(["x", "\u00e9", "z"]),
    )  # fmt: skip
    adjacency, names = read_graph(tmp_path / "w.npz")
    assert names == ("x", "\u00e9", "z")
    torch.testing.assert_close(adjacency.to_dense(), torch.tensor([[0.0, 3, 0], [0, 0, 0], [4, 0, 0]]))


# --- writing -----------------------------------------------------------------------------------

NAMES = ("a", "with space ", 'quo"te', "#5", "comma, name", "\x1b[31m")


def small_graph():
    edge_index = torch.tensor([[0, 0, 1, 2, 3, 4], [1, 0, 2, 5, 0, 3]])
    return Adjacency.from_edge_index(edge_index, torch.tensor([1.0, 0.1, -2.5, 1e-7, 1 / 3, 12345.678]), num_nodes=6)


@pytest.mark.parametrize("name", ["g.npz", "g.csv", "g.mtx"])
def test_what_is_written_is_read_back_exactly(tmp_path, name):
    graph = small_graph()
    write_graph(graph, tmp_path / name, NAMES)
    adjacency, names = read_graph(tmp_path / name, directed=True)
    if name == "g.csv":  # an edge list sorts its names
        assert names == tuple(sorted(NAMES))
        order = [names.index(given) for given in NAMES]
        torch.testing.assert_close(adjacency.to_dense()[order][:, order], graph.to_dense(), rtol=0, atol=0)
    else:
        assert names == (NAMES if name == "g.npz" else None)
        torch.testing.assert_close(adjacency.to_dense(), graph.to_dense(), rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_scipy_reads_what_we_write(tmp_path):
    graph = small_graph()
    write_graph(graph, tmp_path / "g.npz", NAMES)
    np.testing.assert_array_equal(scipy.sparse.load_npz(tmp_path / "g.npz").toarray(), graph.to_dense().numpy())


def test_csv_without_names_holds_row_numbers(tmp_path):
    write_graph(small_graph(), tmp_path / "g.csv")
    assert (tmp_path / "g.csv").read_text().splitlines()[:3] == ["source,target,weight", "0,0,0.1", "0,1,1"]
    back = read_graph(tmp_path / "g.csv", directed=True, num_nodes=6).adjacency
    torch.testing.assert_close(back.to_dense(), small_graph().to_dense(), rtol=0, atol=0)


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("older")
    with pytest.raises(ValueError, match=r"'b\\nc' does not fit a line of CSV"):
        write_graph(small_graph(), path, ["a", "b\nc", "d", "e", "f", "g"])
    assert path.read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="6 different names, got 2"):
        write_graph(small_graph(), path, ["a", "b"])
    with pytest.raises(ValueError, match=r"'g\.xyz'.*none of \.npz, \.csv, \.mtx"):
        write_graph(small_graph(), tmp_path / "g.xyz")
    with pytest.raises(FileNotFoundError):
        write_graph(small_graph(), tmp_path / "absent" / "g.csv")
