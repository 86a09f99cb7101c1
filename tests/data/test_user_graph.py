import gzip

import pytest
import torch

from gnnkit.data import read_node_data
from gnnkit.errors import FileFormatError, MissingDataError

EDGES = "a b\nb c\n"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_edges_alone(write):
    data = read_node_data(write("roads.txt", EDGES))
    assert data.node_names == ("a", "b", "c")
    assert torch.equal(data.x.to_dense(), torch.eye(3))
    assert data.y.tolist() == [-1, -1, -1]
    assert data.name == "roads"
    assert data.adjacency.to_dense().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_directed_weighted_edges_and_nodes_without_edges(write):
    edges, nodes = write("e.csv", "a,b,0.5\nb,c,2\n"), write("n.txt", "z\na\n")
    data = read_node_data(edges, nodes=nodes, directed=True, name="mine")
    assert data.node_names == ("a", "b", "c", "z")
    assert data.adjacency.to_dense()[0].tolist() == [0, 0.5, 0, 0]
    assert (data.adjacency.num_edges, data.name) == (2, "mine")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.txt", "c 3 30\na 1 10\nb 2 20\n"),
        ("f.csv", "node,age,height\nc,3,30\na,1,10\n\n# the last\nb,2,20\n"),
        ("f.tsv", "c\t3\t3e1\na\t1\t10\nb\t2\t20.0\n"),
        ("f.csv", '"c",3,30\r\na, 1 ,10\r\nb,+2,20\r\n'),
    ],
)
def test_features_by_name(write, name, text):
    data = read_node_data(write("e.txt", EDGES), features=write(name, text))
    assert data.x.tolist() == [[1, 10], [2, 20], [3, 30]]


def test_gzipped_tables(write, tmp_path):
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(b"a,1\nb,2\nc,3\n"))
    assert read_node_data(write("e.txt", EDGES), features=tmp_path / "f.csv.gz").x.tolist() == [[1], [2], [3]]


def test_a_node_that_only_the_features_name_has_no_edges(write):
    features = write("f.txt", "10 1\n9 2\n2 3\n7 4\n")
    data = read_node_data(write("e.txt", "10 9\n9 2\n"), features=features)
    assert data.node_names == ("2", "7", "9", "10")
    assert data.x.view(-1).tolist() == [3, 4, 2, 1]
    assert data.adjacency.to_dense()[1].sum() == 0
    assert data.adjacency.to_dense()[2].tolist() == [1, 0, 0, 1]


def test_rows_without_names_are_nodes_by_number(write):
    edges = write("e.txt", "3 0\n0 1\n")
    data = read_node_data(edges, features=write("f.txt", "5 1\n5 2\n5 3\n5 4\n5 5\n"), labels=write("l.txt", "x\ny\n?\nx\ny\n"))  # fmt: skip  # noqa: E501
    assert data.node_names is None
    assert data.x.tolist() == [[5, 1], [5, 2], [5, 3], [5, 4], [5, 5]]
    assert data.adjacency.to_edge_index()[0].T.tolist() == [[0, 1], [0, 3], [1, 0], [3, 0]]
    assert (data.y.tolist(), data.class_names) == ([0, 1, -1, 0, 1], ("x", "y"))


def test_labels_without_names_beside_features_with_numbers_for_names(write):
    edges, features = write("e.txt", "0 1\n1 2\n"), write("f.txt", "2 30\n0 10\n1 20\n")
    data = read_node_data(edges, features=features, labels=write("l.txt", "x\n?\ny\n"))
    assert data.x.view(-1).tolist() == [10, 20, 30]
    assert data.y.tolist() == [0, -1, 1]


def test_a_single_column_of_numbers_is_a_feature(write):
    data = read_node_data(write("e.txt", "0 1\n1 2\n"), features=write("f.txt", "2\n0\n1\n"))
    assert data.x.tolist() == [[2], [0], [1]]


CHAIN = "0,1\n1,2\n2,3\n"
TITLED = {
    "by pandas": ("f.csv", "0,1\n.1,.2\n.1,.2\n.1,.2\n.5,.6\n"),
    "from 1": ("f.txt", "1 2\n1e-1 .2\n0.1 .2\n.1 2e-1\n.5 .6\n"),
    "by pandas, with its index": ("f.csv", ",0,1\n0,.1,.2\n1,.1,.2\n2,.1,.2\n3,.5,.6\n"),
    "names by a word": ("f.csv", "Node,0,1\n3,.5,.6\n1,.1,.2\n2,.1,.2\n0,.1,.2\n"),
    "an index by a word": ("f.csv", "index,7,8\n3,.5,.6\n1,.1,.2\n2,.1,.2\n0,.1,.2\n"),
    "names by a number that is one of them": ("f.csv", "0,1,2\n3,.5,.6\n1,.1,.2\n2,.1,.2\n0,.1,.2\n"),
}


@pytest.mark.parametrize(("name", "text"), TITLED.values(), ids=TITLED)
def test_titles_that_are_numbers_are_no_node(write, name, text):
    data = read_node_data(write("e.csv", CHAIN), features=write(name, text))
    torch.testing.assert_close(data.x, torch.tensor([[0.1, 0.2]] * 3 + [[0.5, 0.6]]))


def test_names_in_words_below_titles_that_are_numbers(write):
    data = read_node_data(write("e.txt", EDGES), features=write("f.csv", "0,1,2\nc,3.,.3\na,1.,.1\nb,2.,.2\n"))
    assert data.node_names == ("a", "b", "c")
    torch.testing.assert_close(data.x, torch.tensor([[1, 0.1], [2, 0.2], [3, 0.3]]))


@pytest.mark.parametrize(
    ("edges", "text"),
    [
        (CHAIN, "0,1\n1,0\n0,1\n1,1\n"),
        (CHAIN, "0,1\n1.5,0\n0,1\n1,1\n"),
        (CHAIN, "1\n0.5\n2\n3\n"),
        ("1,2\n2,3\n3,1\n1,0\n", "0,1,2\n1,.5,.5\n2,.5,.5\n3,.5,.5\n"),  # node 0 has whole numbers for features
    ],
)
def test_a_first_row_that_counts_is_a_nodes_where_an_edge_names_what_it_makes(write, edges, text):
    data = read_node_data(write("e.csv", edges), features=write("f.csv", text))
    assert data.num_nodes == 4
    assert data.x[0].tolist() == [float(cell) for cell in text.split("\n")[0].split(",")][-data.num_features :]


def test_an_empty_cell_on_top_of_features_is_no_title(write):
    with pytest.raises(FileFormatError, match="line 1: a node without a name"):
        read_node_data(write("e.csv", "0,1\n"), features=write("f.csv", ",.2\n.1,.3\n.4,.5\n"))


DOUBTFUL = {
    "rows": ("f.csv", "0,1\n1,0\n0,1\n1,1\n1,1\n", "line 1: numbers the columns.*makes '4' a node.*such as a,b"),
    "one column": ("f.csv", "0\n.5\n.1\n.2\n.4\n", "line 1: numbers the columns.*makes '4'"),
    "names": ("f.csv", "1,2\n5,0\n6,1\n7,1\n8,1\n", "line 1: numbers the columns.*makes '1'"),
    "labels": ("l.txt", "0\n1\n0\n1\n0\n", "line 1: numbers the columns.*such as label"),
}


@pytest.mark.parametrize(("name", "text", "message"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_first_row_that_may_be_titles_is_refused(write, name, text, message):
    edges = write("e.csv", "5,6\n6,7\n7,8\n" if text.startswith("1,2") else CHAIN)
    table = {"features" if name == "f.csv" else "labels": write(name, text)}
    with pytest.raises(FileFormatError, match=message):
        read_node_data(edges, **table)
    titles = "label" if name == "l.txt" else ",".join("abc"[: text.index("\n") // 2 + 1])
    for said in (text, text.split("\n", 1)[1]):  # titles above it, or in its place
        data = read_node_data(edges, **dict.fromkeys(table, write(name, f"{titles}\n{said}")))
        assert data.num_nodes == said.count("\n")


@pytest.mark.parametrize(
    ("text", "y", "class_names"),
    [
        ("a cat\nb dog\nc cat\n", [0, 1, 0], ("cat", "dog")),
        ("node label\nc 10\na 9\nb 10\n", [0, 1, 1], ("9", "10")),
        ("a -1\nb 1\nc ?\n", [0, 1, -1], ("-1", "1")),
        ("b dog\n", [-1, 0, -1], ("dog",)),
        ("a ?\n", [-1, -1, -1], None),
    ],
)
def test_labels_by_name(write, text, y, class_names):
    data = read_node_data(write("e.txt", EDGES), labels=write("l.txt", text))
    assert (data.y.tolist(), data.class_names) == (y, class_names)


@pytest.mark.parametrize("unknown", ["", "?", "nan", "NaN", "NA", "null"])
def test_an_empty_cell_is_an_unknown_label(write, unknown):
    data = read_node_data(write("e.txt", EDGES), labels=write("l.csv", f"a,x\nb,{unknown}\nc,y\n"))
    assert data.y.tolist() == [0, -1, 1]
    assert data.class_names == ("x", "y")


def test_a_matrix_file_has_numbers_for_names(write):
    matrix = "%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 2\n2 3\n"
    data = read_node_data(
        write("m.mtx", matrix), features=write("f.txt", "1 5\n0 4\n2 6\n"), labels=write("l.txt", "2 x\n")
    )
    assert data.x.view(-1).tolist() == [4, 5, 6]
    assert data.y.tolist() == [-1, -1, 0]


# edges, features, labels, what the error must say
WRONG = {
    "a node without features": (EDGES, "a 1\nb 2\n", None, "f.txt: has no row for the node 'c'"),
    "numbers for names, and one left out": ("0 1\n1 2\n", "1 5\n2 5\n3 5\n", None, "no row for the node '0'"),
    "several without": (EDGES, "a 1\n", None, "no row for the node 'b' and 1 other"),
    "a node twice": (EDGES, "a 1\nb 2\nc 3\na 4\n", None, "f.txt, line 4: the node of line 1 again: 'a'"),
    "a word": (EDGES, "a 1\nb two\nc 3\n", None, "f.txt, line 2: not a finite number: 'two'"),
    "rows without names for nodes with names": (EDGES, "1 1\n1 2\n1 3\n", None, "3 rows without names.*one is 'a'"),
    "more nodes than rows": ("0 1\n1 5\n", "7 1\n7 2\n7 3\n", None, r"row numbers 0\.\.2, but one is '5'"),
    "a number of two spellings": ("0 1\n1 01\n", "7 1\n7 2\n7 3\n", None, "one node in two ways"),
    "a label for no node": (EDGES, None, "a x\nd y\n", "l.txt, line 2: not a node of the graph.*: 'd'"),
    "unknown titles": (EDGES, None, "person kind\na x\n", "l.txt, line 1: .*title the columns node and label"),
    "a label twice": (EDGES, None, "a x\nb y\na y\n", "l.txt, line 3: the node of line 1 again"),
    "labels without names": (EDGES, None, "x\ny\nx\n", "3 rows without names"),
    "labels without names beside features with": (EDGES, "a 1\nb 2\nc 3\n", "x\ny\nx\n", "3 rows without names"),
    "too few labels": ("0 1\n1 2\n", "5 1\n5 2\n5 3\n", "x\ny\n", "2 labels for 3 nodes; write [?]"),
    "three columns of labels": (EDGES, None, "a x y\n", "l.txt, line 1: 3 columns"),
    "an edge of one node": ("a b\nc\n", None, None, "e.txt, line 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name, write):
    edges, features, labels, match = WRONG[name]
    with pytest.raises(FileFormatError, match=match):
        read_node_data(
            write("e.txt", edges),
            features=None if features is None else write("f.txt", features),
            labels=None if labels is None else write("l.txt", labels),
        )


@pytest.mark.parametrize("which", ["edges", "features", "labels"])
def test_a_missing_file_is_named(which, write, tmp_path):
    files = {"edges": write("e.txt", EDGES), "features": write("f.txt", "a 1\nb 2\nc 3\n"), "labels": write("l.txt", "a x\n")}  # fmt: skip  # noqa: E501
    with pytest.raises(FileNotFoundError, match="absent") as caught:
        read_node_data(**(files | {which: tmp_path / "absent.txt"}))
    assert not isinstance(caught.value, MissingDataError)
