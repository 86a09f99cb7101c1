# ruff: noqa: E501 (the table of cases reads best with one case a line)
"""Broken and hostile graph files: each is one clear error, found before memory or code is spent on it."""

import gzip
import io
import pickle
import struct
import zipfile

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from gnnkit.errors import FileFormatError
from gnnkit.graph.files import read_graph


class Payload:
    """Unpickling this would create a file."""

    def __reduce__(self):
        return (open, ("code-ran", "w"))


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def archive(members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return stream.getvalue()


def npy_header(shape: str, dtype: str = "<i8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


def scipy_npz(**changes) -> bytes:
    arrays = {
        "indices": np.array([1, 0]), "indptr": np.array([0, 1, 2]), "format": np.array(b"csr"),
        "shape": np.array([2, 2]), "data": np.array([1.0, 1.0]),
    }  # fmt: skip
    return npz(**{**arrays, **changes})


def graphml(body: str, top: str = "", default: str = "undirected") -> bytes:
    return f'<?xml version="1.0"?>{top}<graphml><graph edgedefault="{default}">{body}</graph></graphml>'.encode()


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
FETCH = '<!DOCTYPE g [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
WEIGHT_KEY = '<key id="w" for="edge" attr.name="weight"/>'
NODES = '<node id="a"/><node id="b"/>'
ONE_EDGE = scipy.sparse.csr_array(np.array([[0, 1], [1, 0]]))
MTX = "%%MatrixMarket matrix coordinate real general\n"

CASES = {
    # name: (file name, content, options, words of the message)
    "letters in the weight column": ("e.txt", b"a b 1\nb c x\n", {}, r"line 2: the weight 'x' is not a finite number"),
    "NaN weight": ("e.txt", b"a b 1\nb c nan\n", {}, r"line 2: the weight 'nan' is not a finite"),
    "infinite weight": ("e.csv", b"a,b,inf\n", {}, r"line 1: the weight 'inf' is not a finite"),
    "weight beyond double": ("e.txt", b"1 2 1e999\n", {}, r"line 1: the weight '1e999'"),
    "weight beyond float": ("e.txt", b"1 2 1e300\n", {}, r"1e\+300 is too large for torch.float32"),
    "decimal comma": ("e.csv", b"a;b;0,5\n", {"delimiter": ";"}, r"'0,5' is not a finite number"),
    "Python's underscore": ("e.txt", b"1 2 1_0\n", {}, r"'1_0' is not a finite"),
    "one token": ("e.txt", b"a b\nlonely\n", {}, r"line 2: an edge needs two names, got 1 column"),
    "comma in a .txt": ("e.txt", b"a,b\n", {}, r"got 1 column.*pass delimiter="),
    "comma and space in a .txt": ("e.txt", b"a, b\n", {}, r"'a,' ends with ','; if that separates columns"),
    "a column too many": ("e.txt", b"a b\nb c 1\n", {}, r"line 2: 3 columns where the first edge has 2"),
    "a column too few": ("e.csv", b"a,b,1\nb,c\n", {}, r"line 2: 2 columns where the first edge has 3"),
    "four columns": ("e.csv", b"a,b,1,2\n", {}, r"line 1: 4 columns.*weighted=False"),
    "weights demanded, none there": ("e.txt", b"1 2\n", {"weighted": True}, r"line 1: no weight"),
    "empty name": ("e.csv", b"a,b\n,c\n", {}, r"line 2: a node without a name"),
    "unclosed quote": ("e.csv", b'a,b\n"a,c\n', {}, r"line 2: broken quotes"),
    "header only": ("e.csv", b"source,target,weight\n", {}, r"no edges"),
    "unannounced header": ("e.csv", b"user,item\n1,2\n2,3\n", {}, r"line 1: 'user' and 'item' stand above whole numbers"),
    "unannounced header above weights": ("e.csv", b"u,v,w\n1,2,3\n", {}, r"'w' is not a finite number; if this line is a header"),
    "empty file": ("e.txt", b"", {}, r"no edges"),
    "negative id as row number": ("e.txt", b"0 1\n1 -1\n", {"num_nodes": 3}, r"line 2: '-1' is not a row number from 0 to 2"),
    "id beyond the rows": ("e.txt", b"0 1\n1 3\n", {"num_nodes": 3}, r"line 2: '3' is not a row number"),
    "letter as row number": ("e.txt", b"0 1\n1 x\n", {"num_nodes": 3, "header": False}, r"line 2: 'x' is not a row number"),
    "row number beyond 64 bits": ("e.txt", b"0 99999999999999999999\n", {"num_nodes": 3}, r"is not a row number"),
    "absurd num_nodes": ("e.txt", b"0 1\n", {"num_nodes": 10**12}, r"1000000000000 nodes for 1 edges"),
    "two weights for one edge": ("e.txt", b"1 2 1\n2 1 2\n", {}, r"line 2: the edge 2 1 has weight 2.0 here and 1.0 in line 1"),
    "NUL byte": ("e.txt", b"a b\nb \x00c\n", {}, r"line 2: NUL at byte 3"),
    "UTF-16": ("e.txt", "a b\n".encode("utf-16"), {}, r"line 1: not UTF-8 at byte 1"),
    "Latin-1": ("e.txt", "a b\nb \xe9t\xe9\n".encode("latin-1"), {}, r"line 2: not UTF-8 at byte 3 of the line \(0xe9\)"),
    "over-long line": ("e.txt", b"a b\n" + b"x" * (1 << 21), {}, r"line 2: longer than 1048576 bytes"),
    "over-long line of blanks": ("e.txt", b"1" + b" " * (1 << 21) + b"2\n", {}, r"line 1: longer than"),
    "terminal escapes": ("e.txt", b"a b\n\x1b[2J\n", {}, r"\\x1b\[2J"),
    "truncated gzip": ("e.txt.gz", gzip.compress(b"1 2\n" * 999)[:-12], {}, r"not a whole gzip file"),
    "gzip with a wrong checksum": ("e.txt.gz", gzip.compress(b"1 2\n")[:-8] + b"\0" * 8, {}, r"not a whole gzip file"),
    "gz that is none": ("e.txt.gz", b"1 2\n", {}, r"not a whole gzip file"),
    "gzip bomb of one line": ("e.txt.gz", gzip.compress(bytes(1 << 24)), {}, r"line 1: longer than"),
    "GraphML with entities": ("g.graphml", graphml(NODES + "&c;", LAUGHS), {}, r"a DOCTYPE"),
    "GraphML that fetches": ("g.graphml", graphml(NODES + "&x;", FETCH), {}, r"a DOCTYPE"),
    "GraphML with a bare DOCTYPE": ("g.graphml", graphml(NODES, "<!DOCTYPE graphml>"), {}, r"line 1: a DOCTYPE"),
    "GraphML cut short": ("g.graphml", graphml(NODES)[:-12], {}, r"not well-formed XML"),
    "GraphML of another root": ("g.graphml", b"<svg/>", {}, r"outermost element is 'svg'"),
    "GraphML without a graph": ("g.graphml", b"<graphml/>", {}, r"no <graph> element"),
    "GraphML unknown encoding": ("g.graphml", b'<?xml version="1.0" encoding="x-no"?><graphml/>', {}, r"XML"),
    "GraphML without edgedefault": ("g.graphml", b"<graphml><graph/></graphml>", {}, r"edgedefault must be"),
    "GraphML edge to nowhere": ("g.graphml", graphml(NODES + '<edge source="a" target="q"/>'), {}, r"names the node 'q'"),
    "GraphML edge without target": ("g.graphml", graphml(NODES + '<edge source="a"/>'), {}, r"without a source or a target"),
    "GraphML node twice": ("g.graphml", graphml(NODES + '<node id="a"/>'), {}, r"'a' stands there twice"),
    "GraphML nameless node": ("g.graphml", graphml("<node/>"), {}, r"a node without an id"),
    "GraphML hyperedge": ("g.graphml", graphml(NODES + "<hyperedge/>"), {}, r"hyperedge"),
    "GraphML nested graph": ("g.graphml", graphml('<node id="a"><graph edgedefault="directed"/></node>'), {}, r"second <graph>"),
    "GraphML NaN weight": (
        "g.graphml",
        graphml(NODES + '<edge source="a" target="b"><data key="w">NaN</data></edge>').replace(b"<graphml>", b"<graphml>" + WEIGHT_KEY.encode()),
        {},
        r"line 1: the weight 'NaN' is not a finite",
    ),
    "GraphML undirected read as directed": ("g.graphml", graphml(NODES), {"directed": True}, r"edges are undirected"),
    "Matrix Market without banner": ("m.mtx", b"2 2 1\n1 2 1\n", {}, r"line 1: the first line must read"),
    "Matrix Market complex": ("m.mtx", b"%%MatrixMarket matrix coordinate complex general\n2 2 0\n", {}, r"'complex' is none of"),
    "Matrix Market without size": ("m.mtx", MTX.encode() + b"% only comments\n", {}, r"ends before the line with the matrix's size"),
    "Matrix Market odd size": ("m.mtx", (MTX + "2 x 1\n").encode(), {}, r"line 2: the size must be"),
    "Matrix Market not square": ("m.mtx", (MTX + "2 3 1\n1 2 1\n").encode(), {}, r"2 x 3 is not square"),
    "Matrix Market absurd entries": ("m.mtx", (MTX + f"9 9 {10**15}\n1 2 1\n").encode(), {}, r"declares 1000000000000000 entries"),
    "Matrix Market absurd nodes": ("m.mtx", (MTX + f"{10**12} {10**12} 1\n1 2 1\n").encode(), {}, r"1000000000000 nodes for 1 edges"),
    "Matrix Market absurd dense": ("m.mtx", b"%%MatrixMarket matrix array real general\n99999 99999\n1\n", {}, r"declares 9999800001 entries, but 1 follow"),
    "Matrix Market cut short": ("m.mtx", (MTX + "3 3 2\n1 2 1.0000\n").encode(), {}, r"line 2: declares 2 entries, but 1 follow"),
    "Matrix Market row 0": ("m.mtx", (MTX + "3 3 1\n0 2 1.0\n").encode(), {}, r"line 3: '0' is not a row or column from 1 to 3"),
    "Matrix Market row beyond": ("m.mtx", (MTX + "3 3 1\n4 2 1.0\n").encode(), {}, r"line 3: '4' is not a row or column from 1 to 3"),
    "Matrix Market letters": ("m.mtx", (MTX + "3 3 1\n1 2 abc\n").encode(), {}, r"line 3: the value 'abc' is not a finite number"),
    "Matrix Market NaN": ("m.mtx", (MTX + "3 3 1\n1 2 nan\n").encode(), {}, r"line 3: the value 'nan' is not a finite number"),
    "Matrix Market entry too many": ("m.mtx", (MTX + "3 3 1\n1 2 1\n2 3 1\n").encode(), {}, r"line 4: an entry beyond the 1 declared"),
    "Matrix Market value missing": ("m.mtx", (MTX + "3 3 1\n1 2\n").encode(), {}, r"line 3: an entry must be a row and a column and a value"),
    "Matrix Market dense, size beyond any": ("m.mtx", b"%%MatrixMarket matrix array real general\n999999999999999999 999999999999999999\n1\n", {}, r"but 1 follow"),
    "Matrix Market dense pattern": ("m.mtx", b"%%MatrixMarket matrix array pattern general\n1 1\n1\n", {}, r"cannot be a pattern"),
    "Matrix Market dense, one too many": ("m.mtx", b"%%MatrixMarket matrix array real general\n1 1\n1\n2\n", {}, r"line 4: an entry beyond"),
    "Matrix Market both halves": ("m.mtx", b"%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n2 1 5\n1 2 5\n", {}, r"line 4: a symmetric matrix gives an entry and its mirror image"),
    "Matrix Market skew diagonal": ("m.mtx", b"%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n1 1 5\n", {}, r"line 3: an entry on the diagonal"),
    "npz that is text": ("g.npz", b"not a zip", {}, "is not an intact npz archive"),
    "npz cut short": ("g.npz", scipy_npz()[:-40], {}, "is not an intact npz archive"),
    "npz of neither layout": ("g.npz", npz(x=np.ones(3)), {}, r"neither a sparse matrix.*there are x"),
    "npz with pickled objects": ("g.npz", npz(edge_index=np.array([Payload()], dtype=object), num_nodes=1), {}, r"Python objects"),
    "npz whose member is a pickle": ("g.npz", archive({"edge_index.npy": pickle.dumps(Payload())}), {}, "'edge_index' is not an npy array"),
    "npz that declares terabytes": ("g.npz", archive({"edge_index.npy": npy_header(f"(2, {10**12})")}), {}, "needs 16000000000000 bytes, the file holds 0"),
    "npz of a negative shape": ("g.npz", archive({"edge_index.npy": npy_header("(-2, -8)") + bytes(128)}), {}, r"edge_index"),
    "npz bomb": ("g.npz", archive({"edge_index.npy": npy_header("(2, 20000000)") + bytes(320_000_000)}, zipfile.ZIP_DEFLATED), {}, r"decompression bombs"),
    "npz with a damaged member": ("g.npz", scipy_npz().replace(struct.pack("<q", 1), struct.pack("<q", 7)), {}, r"is damaged"),
    "npz without num_nodes": ("g.npz", npz(edge_index=np.zeros((2, 1), int)), {}, "has no array 'num_nodes'; there are edge_index"),
    "npz edges one per row": ("g.npz", npz(edge_index=np.zeros((5, 2), int), num_nodes=2), {}, r"shape \(2, num_edges\), got \(5, 2\)"),
    "npz ids as floats": ("g.npz", npz(edge_index=np.zeros((2, 5)), num_nodes=2), {}, r"must be integers.*float64"),
    "npz id beyond": ("g.npz", npz(edge_index=np.array([[0], [2]]), num_nodes=2), {}, r"the node 2 is not among the 2 nodes"),
    "npz negative id": ("g.npz", npz(edge_index=np.array([[0], [-2]]), num_nodes=2), {}, r"the node -2 is not"),
    "npz unsigned id beyond": ("g.npz", npz(edge_index=np.array([[0], [2**64 - 1]], np.uint64), num_nodes=2), {}, r"18446744073709551615"),
    "npz absurd num_nodes": ("g.npz", npz(edge_index=np.zeros((2, 1), int), num_nodes=10**15), {}, r"1000000000000000 nodes for 1 edges"),
    "npz negative num_nodes": ("g.npz", npz(edge_index=np.zeros((2, 0), int), num_nodes=-1), {}, r"num_nodes is -1"),
    "npz weights of another number": ("g.npz", npz(edge_index=np.zeros((2, 2), int), edge_weight=np.ones(3), num_nodes=2), {}, r"2, 2 and 3"),
    "npz NaN weight": ("g.npz", npz(edge_index=np.zeros((2, 2), int), edge_weight=np.array([1, np.nan]), num_nodes=2), {}, r"'edge_weight'\[1\] is nan"),
    "npz complex weight": ("g.npz", npz(edge_index=np.zeros((2, 1), int), edge_weight=np.array([1j]), num_nodes=2), {}, r"complex128"),
    "npz repeated names": ("g.npz", npz(edge_index=np.zeros((2, 1), int), num_nodes=2, node_names=np.array(["a", "a"])), {}, r"different from each other"),
    "npz dense format": ("g.npz", scipy_npz(format=np.array(b"dia")), {}, r"'dia' is none of csr, csc, coo"),
    "npz not square": ("g.npz", scipy_npz(shape=np.array([2, 3])), {}, r"\[2, 3\] is not square"),
    "npz falling indptr": ("g.npz", scipy_npz(indptr=np.array([0, 3, 2])), {}, r"'indptr' must rise"),
    "npz index beyond": ("g.npz", scipy_npz(indices=np.array([1, 9])), {}, r"the node 9 is not among"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "words"), CASES.values(), ids=CASES)
def test_broken_file_is_one_clear_error(tmp_path, monkeypatch, name, content, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=words) as caught:
        read_graph(tmp_path / name, **options)
    assert str(tmp_path / name) in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert [path.name for path in tmp_path.iterdir()] == [name]  # nothing ran, nothing lost


def test_gzip_bomb_of_honest_lines_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("gnnkit.storage.text_lines.unpack_limit", lambda size: 1 << 20)
    path = tmp_path / "bomb.txt.gz"
    path.write_bytes(gzip.compress(b"1 2\n" * (1 << 19)))
    with pytest.raises(FileFormatError, match=r"unpacks to more than 1048576 bytes.*gunzip"):
        read_graph(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_graph(tmp_path / "absent.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        read_graph(tmp_path / "folder.txt")


def healthy_files(folder) -> dict[str, bytes]:
    """One small graph in every kind of file."""
    graph = nx.gnp_random_graph(12, 0.3, seed=1)
    text = "".join(f"{a} {b} {a + b + 0.5}\n" for a, b in graph.edges).encode()
    files = {"e.txt": text, "e.csv": text.replace(b" ", b","), "e.txt.gz": gzip.compress(text)}
    sparse = nx.to_scipy_sparse_array(graph, dtype=float)
    stream = io.BytesIO()
    nx.write_graphml(graph, stream)
    files["g.graphml"] = stream.getvalue()
    for name, matrix, symmetry in (
        ("general.mtx", sparse, "general"),
        ("symmetric.mtx", sparse, "symmetric"),
        ("dense.mtx", sparse.toarray(), "general"),
    ):
        stream = io.BytesIO()
        scipy.io.mmwrite(stream, matrix, symmetry=symmetry)
        files[name] = stream.getvalue()
    for name, compressed in (("packed.npz", True), ("stored.npz", False)):
        scipy.sparse.save_npz(folder / name, sparse.tocsr(), compressed=compressed)
        files[name] = (folder / name).read_bytes()
    edge_index = np.array(list(graph.edges)).T
    files["e.npz"] = npz(edge_index=edge_index, num_nodes=12, node_names=np.array(list("abcdefghijkl")))
    return files


def mutant_of(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with a few bytes changed, digits swapped for digits, pieces repeated or cut out."""
    mutant = bytearray(content)
    digits = [place for place, byte in enumerate(mutant) if chr(byte).isdecimal()]
    for _ in range(int(rng.integers(1, 6))):
        place, kind = int(rng.integers(len(mutant))), rng.random()
        if kind < 0.4:
            mutant[place] = int(rng.integers(256))
        elif kind < 0.7 and digits:
            mutant[int(rng.choice(digits)) % len(mutant)] = int(rng.integers(48, 58))
        elif kind < 0.85:
            mutant[place:place] = mutant[max(0, place - int(rng.integers(1, 30))) : place]
        else:
            del mutant[place : place + int(rng.integers(1, 20))]
        mutant = mutant or bytearray(b"1")
    return bytes(mutant)


def test_mutated_files_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(7)
    outcomes = set()
    for name, content in healthy_files(tmp_path).items():
        for _ in range(100):
            (tmp_path / name).write_bytes(mutant_of(content, rng))
            try:
                read_graph(tmp_path / name)
                outcomes.add((name, "read"))
            except FileFormatError:
                outcomes.add((name, "refused"))
    assert len({name for name, outcome in outcomes if outcome == "refused"}) == 10
