"""Labelled trees: reading, hostile files, batches, the two-class task, generated expressions, treebanks."""

import gzip
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torch_geometric.data import Batch

from gnnkit.data.download import DownloadError
from gnnkit.data.treebanks import PARTS, download_sst, load_treebank, read_treebank
from gnnkit.data.trees import MAX_DEPTH, WordList, as_binary, boolean_trees, read_trees
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.nn import NeighborLSTM

TEXT = "(3 (2 Effective) (2 (2 but) (1 (2 too-tepid) (2 biopic))))\n\n(0 No)\n(4 (3 a) (3 b) (3 1\\/2))\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "trees.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "trees.txt"


def test_reading(path):
    trees = read_trees(path)
    assert len(trees) == 3
    assert trees.words == ("Effective", "but", "too-tepid", "biopic", "", "", "", "No", "a", "b", "1\\/2", "")
    assert trees.labels.tolist() == [2, 2, 2, 2, 1, 2, 3, 0, 3, 3, 3, 4]
    assert trees.parents.tolist() == [6, 5, 4, 4, 5, 6, -1, -1, 11, 11, 11, -1]
    assert trees.roots.tolist() == [6, 7, 11]
    assert trees.max_children == 3
    assert [trees.to_text(tree) for tree in range(3)] == [line for line in TEXT.splitlines() if line]


def test_gzip_and_no_break_spaces(tmp_path):
    path = tmp_path / "trees.txt.gz"
    path.write_bytes(gzip.compress("(2 (1 8\xa01\\/2) (3 x))".encode()))
    assert read_trees(path).words[0] == "8\xa01\\/2"


def test_words_above_others_and_no_labels(tmp_path):
    path = tmp_path / "trees.txt"
    trees = boolean_trees(20, depth=3)
    trees.labels[::3] = -1
    path.write_text("\n".join(trees.to_text(tree) for tree in range(20)))
    found = read_trees(path)
    assert found.words == trees.words
    assert torch.equal(found.labels, trees.labels)
    assert torch.equal(found.parents, trees.parents)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("(3 (2 a)", "1 brackets are never closed"),
        ("(3 a))", r"'\)' after the tree's end"),
        ("(3 a) (2 b)", r"'\(2 b\)' after the tree's end"),
        ("(3 a) b", "'b' after the tree's end"),
        ("a", "'a' outside of brackets at column 1"),
        (")", r"'\)' outside of brackets"),
        ("((2 a))", r"a label from 0 to 999, or \?, must follow the bracket at column 1, got '\('"),
        ("(", "got the line's end"),
        ("(x a)", "got 'x'"),
        ("(-1 a)", "got '-1'"),
        ("(1000 a)", "got '1000'"),
        ("(٣ a)", "got '٣'"),
        ("(3)", "without word or children ends at column 3"),
        ("(3 a b)", "the word 'b' at column 6 stands behind another"),
        ("(3 (2 b) a)", "the word 'a' at column 10 stands behind another, or behind a child"),
        ("(1 " * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), f"nest deeper than {MAX_DEPTH}"),
        ("(1 " * 300_000, f"nest deeper than {MAX_DEPTH}"),
        ("(1 a)" + " " * (1 << 20), "longer than"),
        ("(1 a\x00)", "NUL"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, problem):
    path = tmp_path / "bad.txt"
    path.write_text("(1 fine)\n" + line + "\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match=f"line 2: .*{problem}"):
        read_trees(path)


def test_as_deep_as_may_be(tmp_path):
    path = tmp_path / "deep.txt"
    path.write_text("(1 " * (MAX_DEPTH - 1) + "(0 a)" + ")" * (MAX_DEPTH - 1))
    trees = read_trees(path)
    assert trees.num_nodes == MAX_DEPTH
    assert read_trees(path).to_text(0).count("(") == MAX_DEPTH
    batch = WordList.of(trees).encode(trees).batch(torch.tensor([0]))
    x = torch.zeros(MAX_DEPTH, 2)
    assert NeighborLSTM(2, 3)(x, batch.edge_index).hidden.isfinite().all()


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(FileFormatError, match="holds no tree"):
        read_trees(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError):
        read_trees(tmp_path / "absent.txt")


def test_too_many_nodes(path, monkeypatch):
    monkeypatch.setattr("gnnkit.data.trees.MAX_NODES", 7)
    with pytest.raises(FileFormatError, match="line 3: more than 7 nodes"):
        read_trees(path)


def test_selecting_and_batching_agree(path):
    trees = read_trees(path)
    chosen = torch.tensor([2, 0])
    some = trees.select(chosen)
    assert [some.to_text(0), some.to_text(1)] == [trees.to_text(2), trees.to_text(0)]
    words = WordList.of(trees)
    batch = words.encode(trees).batch(chosen)
    whole = words.encode(some).batch(torch.arange(2))
    for one, other in zip(batch, whole, strict=True):
        assert torch.equal(one, other)
    assert batch.roots.tolist() == [3, 10]
    assert batch.labels[batch.roots].tolist() == [4, 3]
    assert batch.edge_index[:, batch.edge_index[1] == 3].tolist() == [[0, 1, 2], [3, 3, 3]]


def test_words(path):
    trees = read_trees(path)
    words = WordList.of(trees)
    assert len(words) == 9
    assert words.words[:2] == ("1\\/2", "a")
    assert WordList.of(trees, min_count=2).words == ()
    assert "No" in WordList.of(trees, lower=False).words
    ids = words.encode(trees).words
    assert (ids < 0).tolist() == [word == "" for word in trees.words]
    other = WordList(("no",)).encode(trees)
    assert other.words[7] == 1
    assert other.words[0] == 0


def test_pyg_batches_are_ours(path):
    trees = read_trees(path)
    encoded = WordList.of(trees).encode(trees)
    mine = encoded.batch(torch.arange(3))
    theirs = Batch.from_data_list([encoded.to_data(tree) for tree in range(3)])
    assert torch.equal(theirs.edge_index, mine.edge_index)
    assert torch.equal(theirs.x[:, 0], mine.words)
    assert torch.equal(theirs.y, mine.labels)
    assert torch.equal(torch.nonzero(theirs.root).view(-1), mine.roots)


def test_two_classes(path):
    path.write_text("(3 (2 a) (1 b))\n(2 c)\n(0 (4 d) (2 e))\n")
    binary = as_binary(read_trees(path))
    assert binary.labels.tolist() == [-1, 0, 1, 1, -1, 0]
    assert binary.to_text(0) == "(1 (? a) (0 b))"
    path.write_text("(5 a)")
    with pytest.raises(ValueError, match="got label 5"):
        as_binary(read_trees(path))


def test_expressions_are_true_to_their_labels():
    trees = boolean_trees(50, depth=4)
    for node in range(trees.num_nodes):
        word = trees.words[node]
        below = trees.labels[trees.parents == node].tolist()
        value = {
            "true": lambda: 1,
            "false": lambda: 0,
            "not": lambda below=below: 1 - below[0],
            "and": lambda below=below: below[0] & below[1],
            "or": lambda below=below: below[0] | below[1],
            "xor": lambda below=below: below[0] ^ below[1],
        }[word]()
        assert value == trees.labels[node]
    assert trees.words == boolean_trees(50, depth=4).words
    with pytest.raises(ValueError, match="got 0 and 5"):
        boolean_trees(0)


def test_treebanks_by_name(tmp_path):
    treebank = load_treebank()
    assert (len(treebank.train), treebank.num_classes, treebank.max_children) == (2000, 2, 2)
    with pytest.raises(ValueError, match="'penn'"):
        load_treebank("penn")
    with pytest.raises(ValueError, match="got 3"):
        load_treebank("boolean", num_classes=3)
    with pytest.raises(ValueError, match="5 classes or 2, got 3"):
        load_treebank("sst", tmp_path, num_classes=3)
    with pytest.raises(MissingDataError, match="gnnkit trees download"):
        load_treebank("sst", tmp_path)


def test_a_file_of_ones_own(path):
    path.write_text("".join(f"({k % 5} (2 a{k}) (3 b))\n" for k in range(30)))
    treebank = read_treebank(path)
    assert [len(part) for part in (treebank.train, treebank.dev, treebank.test)] == [24, 3, 3]
    assert treebank.num_classes == 5
    assert read_treebank(path).test.words == treebank.test.words
    assert read_treebank(path, num_classes=2).train.labels.max() == 1
    with pytest.raises(ValueError, match="label 4, which is none of 3 classes"):
        read_treebank(path, num_classes=3)
    path.write_text("(1 a)\n")
    with pytest.raises(ValueError, match="has 1 trees"):
        read_treebank(path)
    path.write_text("(? a)\n" * 10)
    with pytest.raises(ValueError, match="has no label"):
        read_treebank(path)


@pytest.mark.data
def test_the_stanford_treebank(data_root):
    treebank = load_treebank("sst", data_root)
    assert [len(part) for part in (treebank.train, treebank.dev, treebank.test)] == [8544, 1101, 2210]
    assert treebank.max_children == 2
    binary = load_treebank("sst", data_root, num_classes=2)
    assert [len(part) for part in (binary.train, binary.dev, binary.test)] == [6920, 872, 1821]


@pytest.fixture
def mirror(tmp_path):
    """A server of a folder on this machine: its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder / "trainDevTestTrees_PTB.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def zipped(names: list[str], text: str = "(2 (1 a) (3 b))\n") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return stream.getvalue()


def test_download(mirror, tmp_path):
    url, served = mirror
    served.write_bytes(zipped([f"trees/{part}.txt" for part in PARTS]))
    paths = download_sst(tmp_path, base_url=url)
    assert [path.read_text() for path in paths] == ["(2 (1 a) (3 b))\n"] * 3
    served.unlink()
    assert download_sst(tmp_path, base_url=url) == paths  # nothing is fetched twice
    assert load_treebank("sst", tmp_path).train.to_text(0) == "(2 (1 a) (3 b))"


def test_archives_that_are_none(mirror, tmp_path, monkeypatch):
    url, served = mirror
    with pytest.raises(DownloadError, match="404"):
        download_sst(tmp_path / "a", base_url=url)
    served.write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match="is not the treebank's archive"):
        download_sst(tmp_path / "b", base_url=url)
    served.write_bytes(zipped(["trees/train.txt", "../../dev.txt"]))
    with pytest.raises(FileFormatError, match=r"has no file trees/dev.txt"):
        download_sst(tmp_path / "c", base_url=url)
    monkeypatch.setattr("gnnkit.data.treebanks._MAX_PART_BYTES", 10)
    served.write_bytes(zipped([f"trees/{part}.txt" for part in PARTS]))
    with pytest.raises(FileFormatError, match="unpacks to 16 bytes, more than 10"):
        download_sst(tmp_path / "d", base_url=url)
