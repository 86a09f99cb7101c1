# ruff: noqa: E501 (the tables of cases read best with one case a line)
"""Hostile and broken data files: each is one clear error, nothing runs, nothing on disk changes."""

import hashlib
import io
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from gnnkit.data.coauthor_amazon import read_coauthor_amazon
from gnnkit.data.planetoid import read_planetoid
from gnnkit.data.tables import read_features, read_labels
from gnnkit.errors import FileFormatError

COMMAND = "touch gnnkit-was-here"
MARKER = "gnnkit-was-here"

# Programs that python's own pickle.loads runs: test_the_attacks_are_real shows it.
ATTACKS = {
    "GLOBAL and REDUCE": b"\x80\x02cos\nsystem\nU\x15" + COMMAND.encode() + b"\x85R.",
    "the other name of os": b"\x80\x02cposix\nsystem\nU\x15" + COMMAND.encode() + b"\x85R.",
    "text protocol 0": b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.",
    "INST": b"\x80\x02(S'" + COMMAND.encode() + b"'\nios\nsystem\n.",
    "OBJ": b"\x80\x02(cos\nsystem\nS'" + COMMAND.encode() + b"'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x15" + COMMAND.encode() + b"\x85R.",
    "eval": b"\x80\x02c__builtin__\neval\nX\x32\x00\x00\x00" + f"__import__('os').system('{COMMAND}')".ljust(50).encode() + b"\x85R.",
    "exec under its new name": b"\x80\x02cbuiltins\nexec\nX\x32\x00\x00\x00" + f"__import__('os').system('{COMMAND}')".ljust(50).encode() + b"\x85R.",
    "subprocess": b"\x80\x02csubprocess\ncall\n](U\x05touchU\x0fgnnkit-was-heree\x85R.",
    "in an instruction that is then thrown away": b"\x80\x02cos\nsystem\nU\x15" + COMMAND.encode() + b"\x85R0}.",
    "as the value of a node": b"\x80\x02}(K\x00cos\nsystem\nU\x15" + COMMAND.encode() + b"\x85Ru.",
    "behind a memo": b"\x80\x02cos\nsystem\nq\x000h\x00U\x15" + COMMAND.encode() + b"\x85R.",
}  # fmt: skip


def raw(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def wrapped(name: str) -> bytes:
    return f"c{name.replace(' ', chr(10))}\n".encode()


NDARRAY = wrapped("numpy.core.multiarray _reconstruct") + wrapped("numpy ndarray") + b"K\x00\x85U\x01b\x87R"
INT4 = wrapped("numpy dtype") + b"U\x02i4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
CSR = wrapped("scipy.sparse.csr csr_matrix") + b")\x81"


def array(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    return NDARRAY + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


# file, its content, what the error must say
PICKLES = {
    **{name: ("graph", attack, "nothing in it was run|nothing was imported|protocol 2") for name, attack in ATTACKS.items()},
    "a command among the features": ("allx", ATTACKS["GLOBAL and REDUCE"], "asks for 'os.system'"),
    "a command among the labels": ("ty", ATTACKS["GLOBAL and REDUCE"], "asks for 'os.system'"),
    "NEWOBJ of another class": ("graph", raw(wrapped("subprocess Popen") + b")\x81"), "asks for 'subprocess.Popen'"),
    "NEWOBJ of a known name": ("graph", raw(wrapped("numpy ndarray") + b")\x81"), "object other than"),
    "NEWOBJ_EX": ("graph", raw(CSR[:-2] + b")}\x92"), "opcode 0x92"),
    "BUILD on a dict": ("graph", raw(b"}}b"), "a state it cannot take"),
    "BUILD twice": ("allx", raw(CSR + b"}b}b"), "a state it cannot take"),
    "BUILD of a name": ("graph", raw(wrapped("numpy ndarray") + b"}b"), "a state it cannot take"),
    "EXT1": ("graph", raw(b"\x82\x01"), "opcode 0x82"),
    "EXT4": ("graph", raw(b"\x84\x01\x00\x00\x00"), "opcode 0x84"),
    "persistent id": ("graph", raw(b"Pos.system\n"), "opcode 0x50"),
    "a default factory that runs a command": ("graph", raw(wrapped("collections defaultdict") + wrapped("os system") + b"\x85R"), "asks for 'os.system'"),
    "a default factory of a known name": ("graph", raw(wrapped("collections defaultdict") + wrapped("numpy dtype") + b"\x85R"), "not how an array"),
    "_reconstruct of a list": ("allx", raw(wrapped("numpy.core.multiarray _reconstruct") + wrapped("__builtin__ list") + b"K\x00\x85U\x01b\x87R"), "not how an array"),
    "numpy's own way to run a string": ("graph", raw(wrapped("numpy.testing._private.utils runstring")), "asks for 'numpy.testing"),
    "a name with a terminal escape": ("graph", raw(wrapped("os \x1b]0;owned\x07")), r"'os\.\\x1b\]0;owned\\x07'"),
    "a name without end": ("graph", b"\x80\x02c" + b"a" * 10_000, "name without end"),
    "REDUCE with a list of arguments": ("graph", raw(wrapped("collections defaultdict") + b"]R"), "tuple of arguments"),
    "REDUCE of a number": ("graph", raw(b"K\x01)R"), "not how an array"),
    "empty file": ("graph", b"", "protocol 2"),
    "a web page": ("graph", b"<!DOCTYPE html><html>404</html>", "protocol 2"),
    "protocol 5": ("graph", pickle.dumps({0: [1]}, protocol=5), "protocol 2"),
    "a pickle without values": ("graph", raw(b""), "leaves 0 values"),
    "two values": ("graph", raw(b"}}"), "leaves 2 values"),
    "an open group": ("graph", raw(b"(}"), "leaves 1 values"),
    "bytes after the end": ("graph", raw(b"}") + b"cos\nsystem\n", "goes on after its closing opcode"),
    "POP below a mark": ("graph", raw(b"](a"), "empty stack"),
    "a group never begun": ("graph", raw(b"t"), "never begun"),
    "a value never kept": ("graph", raw(b"h\x07"), "never kept"),
    "append to a number": ("graph", raw(b"K\x01K\x02a"), "appends to a int"),
    "an odd number of keys and values": ("graph", raw(b"}(K\x01u"), "sets 1 keys"),
    "a tuple as a key": ("graph", raw(b"}))s"), "uses a tuple as a key"),
    "a length of 2 GiB": ("graph", raw(b"T\xff\xff\xff\x7f"), "2147483647 bytes are announced"),
    "a negative length": ("graph", raw(b"T\xff\xff\xff\xff"), "4294967295 bytes are announced"),
    "a number of 2^31 digits": ("graph", raw(b"\x8b\xff\xff\xff\x7f"), "opcode 0x8b"),
    "a memo index of 2^32": ("graph", raw(b"}r\xff\xff\xff\xff" * 3), "leaves 3 values"),
    "more opcodes than any such file has": ("graph", raw(b"}" * 1_200_000), "more than 1000000 opcodes"),
    "tuples in tuples, 200,000 deep": ("graph", raw(b")" + b"\x85" * 200_000), "does not hold a dict"),
    "a tuple that doubles 900 times": ("graph", raw(b"K\x01" + b"q\x00h\x00\x86" * 900), "does not hold a dict"),
    "the same neighbours for every node": ("graph", raw(b"}(K\x00](" + b"K\x01" * 200 + b"eq\x01" + b"".join(b"K" + bytes([i]) + b"h\x01" for i in range(1, 11)) + b"u"), "claims 2200 neighbours"),
    "a list that holds itself": ("graph", raw(b"}(K\x00]q\x01h\x01a" + b"".join(b"K" + bytes([i]) + b"]" for i in range(1, 11)) + b"u"), "not a whole number"),
    "a graph of nine nodes": ("graph", raw(b"}(" + b"".join(b"K" + bytes([i]) + b"]" for i in range(9)) + b"u"), r"0\.\.10, lists those of 9"),
    "a neighbour that is no node": ("graph", raw(b"}(K\x00](K\x0be" + b"".join(b"K" + bytes([i]) + b"]" for i in range(1, 11)) + b"u"), "the neighbour 11 is outside"),
    "a negative neighbour": ("graph", raw(b"}(K\x00](J\xff\xff\xff\xffe" + b"".join(b"K" + bytes([i]) + b"]" for i in range(1, 11)) + b"u"), "the neighbour -1 is outside"),
    "True as a neighbour": ("graph", raw(b"}(K\x00](\x88e" + b"".join(b"K" + bytes([i]) + b"]" for i in range(1, 11)) + b"u"), "not a whole number"),
    "neighbours in a tuple": ("graph", raw(b"}(K\x00)u"), "dict of lists"),
    "an array of objects": ("y", raw(array(b"K\x01K\x01\x86", INT4.replace(b"i4", b"O8"), b"](K\x01e")), "without element type, order or bytes"),
    "an array of pointers": ("y", raw(array(b"K\x01K\x01\x86", INT4.replace(b"i4", b"O8"), b"U\x08AAAAAAAA")), "not a plain number type"),
    "a type with fields": ("y", raw(array(b"K\x01K\x01\x86", INT4.replace(b"NNN", b"N)N"), b"U\x04AAAA")), "a type with fields|type with fields"),
    "a shape of 2^62 numbers": ("y", raw(array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", INT4, b"U\x04AAAA")), "needs 18446744056529682436 bytes"),
    "a negative shape": ("y", raw(array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", INT4, b"U\x04AAAA")), "shape"),
    "a shape of words": ("y", raw(array(b"U\x01aU\x01b\x86", INT4, b"U\x04AAAA")), "tuple of whole numbers"),
    "text as the bytes of an array": ("y", raw(array(b"K\x01K\x01\x86", INT4, b"X\x04\x00\x00\x00AAAA")), "without element type"),
    "five axes": ("y", raw(array(b"(K\x01K\x01K\x01K\x01K\x01t", INT4, b"U\x04AAAA")), "vector or a matrix"),
    "labels that are no one-hot rows": ("y", raw(array(b"K\x01K\x03\x87".replace(b"\x87", b"\x86"), INT4, b"U\x0c" + b"\x01\0\0\0" * 2 + b"\0\0\0\0")), "at most one 1"),
    "a matrix without content": ("allx", raw(CSR), "does not hold a CSR matrix"),
    "a matrix without arrays": ("allx", raw(CSR + b"}(U\x06_shapeK\x07K\x05\x86ub"), "no array 'data'"),
    "a matrix without shape": ("allx", raw(CSR + b"}b"), "no shape"),
    "a matrix with a name for its arrays": ("allx", raw(CSR + b"}(U\x06_shapeK\x07K\x05\x86U\x04data" + wrapped("numpy ndarray") + b"ub"), "no array 'data'"),
    "a test index that is no number": ("test.index", b"7\n8\nten\n", "line 3: expected one node id: 'ten'"),
    "a test index with an underscore": ("test.index", b"7\n8\n1_0\n", "line 3"),
    "a negative test index": ("test.index", b"7\n8\n-1\n", "line 3"),
    "a test index of 2^80": ("test.index", b"7\n8\n%d\n" % 2**80, "line 3"),
    "a test index of 10^8": ("test.index", b"7\n8\n100000000\n", "nodes 0..100000000, lists those of 11"),
    "a test index twice": ("test.index", b"7\n8\n8\n", "twice"),
    "one test index too few": ("test.index", b"7\n8\n", "names 2 test nodes, but 3"),
    "test nodes that start elsewhere": ("test.index", b"8\n9\n10\n", "must be 7"),
    "a test index in binary": ("test.index", b"\x00\x01\x02\n", r"line 1.*\\x00"),
}  # fmt: skip


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def refused(folder, read, match):
    """``read`` ends in a FileFormatError that says ``match``, quickly, in little memory, without a trace."""
    before, start = digests(folder), time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=match) as caught:
            read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < len(str(folder)) + 400
    assert str(caught.value).isprintable()
    assert digests(folder) == before
    assert peak < 250e6
    assert time.process_time() - start < 30


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attacks_are_real(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(ATTACKS[name], encoding="latin1")
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", PICKLES)
def test_planetoid_files(name, tmp_path, monkeypatch, build):
    part, content, match = PICKLES[name]
    folder = build.write_planetoid(tmp_path / "raw")
    (folder / f"ind.tiny.{part}").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    refused(folder, lambda: read_planetoid(folder, "tiny", num_val=2), match)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


BROKEN_MATRICES = {
    "a column index beyond the matrix": ("indices", lambda a: a + 5, "column index"),
    "a negative column index": ("indices", lambda a: a - 1, "column index -1"),
    "row pointers that fall": ("indptr", lambda a: a[::-1], "must rise from 0"),
    "row pointers that start late": ("indptr", lambda a: a + 1, "must rise from 0"),
    "row pointers beyond the entries": ("indptr", lambda a: np.append(a[:-1], a[-1] + 1), "entries, but"),
    "too few row pointers": ("indptr", lambda a: a[:-1], "in 8 entries"),
    "row pointers that are fractions": ("indptr", lambda a: a.astype(np.float32), "signed integers"),
    "unsigned row pointers": ("indptr", lambda a: a.astype(np.uint32), "signed integers"),
    "too few values": ("data", lambda a: a[:-1], "entries, but"),
    "values in a square": ("data", lambda a: np.resize(a, (2, 2)), "vector"),
    "NaN": ("data", lambda a: np.where(np.arange(len(a)) == 3, np.nan, a).astype(np.float32), "entry 3 of the matrix is nan"),
    "infinity": ("data", lambda a: np.where(np.arange(len(a)) == 3, np.inf, a).astype(np.float32), "entry 3 of the matrix is inf"),
    "beyond float32": ("data", lambda a: np.where(np.arange(len(a)) == 3, 1e300, a.astype(np.float64)), "entry 3 of the matrix is 1e[+]300"),
    "negative values": ("data", lambda a: -a, "negative"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_MATRICES)
def test_broken_matrices(name, tmp_path, build):
    part, change, match = BROKEN_MATRICES[name]
    folder = build.write_planetoid(tmp_path / "raw")
    matrix = build.planetoid_arrays()["allx"]
    arrays = {key: getattr(matrix, key) for key in ("indptr", "indices", "data")}
    arrays[part] = np.ascontiguousarray(change(arrays[part]))
    body = build.pickled_csr(build.types.SimpleNamespace(shape=matrix.shape, **arrays))
    (folder / "ind.tiny.allx").write_bytes(build.program(body))
    refused(folder, lambda: read_planetoid(folder, "tiny", num_val=2), match)


def npy(shape: str, descr: str = "'<f4'", content: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def archive(arrays, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, array_ in arrays.items():
            content = io.BytesIO()
            np.save(content, array_)
            if f"{name}.npy" not in members:
                opened.writestr(f"{name}.npy", content.getvalue())
        for name, content in members.items():
            opened.writestr(name, content)
    return stream.getvalue()


def zip_bomb(arrays) -> bytes:
    """1 GB of zeros in 1 MB."""
    stream = io.BytesIO(archive({k: v for k, v in arrays.items() if k != "adj_data"}))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as opened, opened.open("adj_data.npy", "w") as member:
        member.write(npy("(250000000,)"))
        for _ in range(1000):
            member.write(bytes(1_000_000))
    return stream.getvalue()


def lying_about_its_size(arrays) -> bytes:
    content = archive(arrays)
    place = content.index(b"PK\x01\x02")
    return content[: place + 24] + struct.pack("<I", 2**31) + content[place + 28 :]


def encrypted(arrays) -> bytes:
    content = archive(arrays)
    place = content.index(b"PK\x01\x02")
    return content[: place + 8] + b"\x01" + content[place + 9 :]


def objects(arrays) -> bytes:
    class Payload:
        def __reduce__(self):
            import os

            return (os.system, (COMMAND,))

    stream = io.BytesIO()
    np.savez(stream, **(arrays | {"labels": np.array([Payload()] * 4, object)}))
    return stream.getvalue()


def with_changes(**changes):
    return lambda arrays: archive(arrays | changes)


def without(name):
    return lambda arrays: archive({key: value for key, value in arrays.items() if key != name})


def member(name: str, content: bytes):
    return lambda arrays: archive(arrays, **{name: content})


ARCHIVES = {
    "objects that run a command": (objects, "Python objects"),
    "a pickle under the name of an archive": (lambda arrays: ATTACKS["GLOBAL and REDUCE"], "not an intact npz"),
    "a pickle under the name of an array": (member("labels.npy", ATTACKS["GLOBAL and REDUCE"]), "'labels' is not an npy"),
    "a bomb": (zip_bomb, r"unpacks to 10000\d{5} bytes, more than 536870912, as decompression bombs do"),
    "a member said to hold 2 GiB": (lying_about_its_size, "unpacks to 21474"),
    "a shape beyond the bytes": (member("labels.npy", npy("(2000000000,)", "'<i8'")), "needs 16000000000 bytes"),
    "a shape with a huge number": (member("labels.npy", npy("(" + "9" * 300 + ",)", "'<i8'")), "plain numbers"),
    "a shape of nested parentheses": (member("labels.npy", npy("(" * 3000 + ")" * 3000)), "plain numbers"),
    "a header with a call": (member("labels.npy", npy("(4,)", f"__import__('os').system('{COMMAND}')")), "plain numbers"),
    "a header of 65,535 spaces": (member("labels.npy", npy("(4,)" + " " * 60_000)), "plain numbers"),
    "a header longer than the file": (member("labels.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr'"), "plain numbers"),
    "npy version 9": (member("labels.npy", b"\x93NUMPY\x09\x00" + bytes(100)), "not an npy"),
    "a record type": (member("labels.npy", npy("(4,)", "[('a', '<i4')]", bytes(16))), "plain numbers"),
    "path traversal": (member("../../evil.npy", npy("(0,)")), r"not named like an array: '\.\./\.\./evil\.npy'"),
    "an absolute path": (member("/etc/passwd", b"x"), "not named like an array"),
    "a Windows path": (member("C:\\evil.npy", b"x"), "not named like an array"),
    "a name with a terminal escape": (member("\x1b[2J.npy", b"x"), r"\\x1b"),
    "a thousand members": (lambda arrays: archive(arrays | {f"a{i}": np.zeros(1) for i in range(1000)}), "more than 64 members"),
    "an encrypted member": (encrypted, "encrypted"),
    "an archive within": (member("labels.npy", archive({"a": np.zeros(2)})), "'labels' is not an npy"),
    "no bytes": (lambda arrays: b"", "not an intact npz"),
    "no members": (lambda arrays: archive({}), "has no array 'adj_data'"),
    "no labels": (without("labels"), "has no array 'labels'"),
    "labels that are fractions": (with_changes(labels=np.array([0.5, 1, 2, 3])), "whole numbers, got float64"),
    "labels of another number": (with_changes(labels=np.array([0, 1])), "must be 4 whole numbers"),
    "a negative label": (with_changes(labels=np.array([0, 1, -7, 1])), "from -7"),
    "a label of 2^62": (with_changes(labels=np.array([0, 1, 2**62, 1])), "to 4611686018427387904"),
    "fewer class names than classes": (with_changes(class_names=np.array(["a"])), "names 1 classes"),
    "a class name of no character": (with_changes(class_names=np.frombuffer(b"\xff\xff\xff\x7f" * 3, "<U1")), "not text"),
    "a class name with a terminal escape": (with_changes(class_names=np.array(["a", "b", "\x1b[2J"])), r"not printable: '\\x1b"),
    "an adjacency matrix that is not square": (with_changes(adj_shape=np.array([4, 9])), r"shape \(4, 9\)"),
    "a shape of three": (with_changes(adj_shape=np.array([4, 4, 4])), "two whole numbers"),
    "a billion features": (with_changes(attr_shape=np.array([4, 10**9])), "not plausible"),
    "an edge to no node": (with_changes(adj_indices=np.array([0, 1, 2, 7], np.int32)), "column index 7"),
    "NaN": (with_changes(attr_data=np.array([np.nan] * 6, np.float32)), "nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(name, tmp_path, monkeypatch, build):
    make, match = ARCHIVES[name]
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "tiny.npz").write_bytes(make(build.npz_arrays()))
    monkeypatch.chdir(tmp_path)
    refused(folder, lambda: read_coauthor_amazon(folder / "tiny.npz"), match)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


TABLES = {
    "a word among the numbers": (read_features, "a 1 2\nb 1 x\n", "line 2: not a finite number: 'x'"),
    "nan": (read_features, "a 1 2\nb 1 nan\n", "line 2.*'nan'"),
    "infinity": (read_features, "a 1 2\nb inf 2\n", "line 2.*'inf'"),
    "beyond float32": (read_features, "a 1 2\nb 1e39 2\n", "line 2.*'1e39'"),
    "beyond float64": (read_features, "a 1 2\nb 1e999 2\n", "line 2.*'1e999'"),
    "digits of another script": (read_features, "a 1 2\nb \u0661 2\n", "line 2"),
    "an underscore": (read_features, "a 1 2\nb 1_0 2\n", "line 2.*'1_0'"),
    "hexadecimal": (read_features, "a 1 2\nb 0x10 2\n", "line 2.*'0x10'"),
    "a short row": (read_features, "a 1 2\n\n# note\nb 1\n", "line 4: 2 columns where the first row has 3: 'b 1'"),
    "a terminal escape": (read_features, "a 1 2\nb \x1b[2J 2\n", r"line 2.*'\\x1b\[2J'"),
    "a NUL": (read_features, "a 1 2\nb \0 2\n", "line 2: NUL"),
    "titles only": (read_features, "node f1 f2\n", "no row of features"),
    "nothing": (read_features, "", "no row of features"),
    "three columns of labels": (read_labels, "a 1\n# note\nb 1 2\n", "line 3: 3 columns"),
    "no labels": (read_labels, "node label\n", "no row of labels"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(name, tmp_path, build):
    read, text, match = TABLES[name]
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "table.txt").write_text(text, encoding="utf-8")
    refused(folder, lambda: read(folder / "table.txt"), match)


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled, or the end cut off."""
    mutated = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        place, kind = rng.randrange(len(mutated) or 1), rng.randrange(6)
        if kind == 0:
            mutated[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and mutated:
            mutated[place % len(mutated)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del mutated[place : place + rng.randrange(1, 9)]
        elif kind == 3:
            mutated[place:place] = mutated[place : place + rng.randrange(1, 33)]
        elif kind == 4:
            mutated[place : place + 4] = rng.choice((b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", bytes(4)))
        elif rng.random() < 0.3:
            del mutated[place:]
    return bytes(mutated)


def test_mutated_planetoid_files(tmp_path, build):
    """Each is read, with every id in range and every number finite, or refused; never another exception."""
    folder = build.write_planetoid(tmp_path)
    rng, outcomes = random.Random(0), {"read": 0, "refused": 0}
    originals = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    start = time.process_time()
    for path, content in originals.items():
        for _ in range(400):
            path.write_bytes(mutant(content, rng))
            try:
                arrays = read_planetoid(folder, "tiny", num_val=2)
            except FileFormatError:
                outcomes["refused"] += 1
                continue
            outcomes["read"] += 1
            num_nodes = len(arrays.labels)
            assert arrays.features.shape[0] == num_nodes <= 11
            assert np.isfinite(arrays.features.data).all()
            assert arrays.features.indices.size == 0 or arrays.features.indices.max() < arrays.features.shape[1]
            assert arrays.edge_index.size == 0 or 0 <= arrays.edge_index.min() <= arrays.edge_index.max() < num_nodes
        path.write_bytes(content)
    assert outcomes["read"] > 100
    assert outcomes["refused"] > 1500
    assert time.process_time() - start < 60


def test_truncated_planetoid_files(tmp_path, build):
    folder = build.write_planetoid(tmp_path)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for length in range(0, len(content) - 1, 3):
            path.write_bytes(content[:length])
            with pytest.raises(FileFormatError, match=path.name):
                read_planetoid(folder, "tiny", num_val=2)
        path.write_bytes(content)


def test_mutated_archives(tmp_path, build):
    path = tmp_path / "tiny.npz"
    rng, outcomes = random.Random(0), {"read": 0, "refused": 0}
    stream = io.BytesIO()
    np.savez(stream, **build.npz_arrays())
    with_repaired_sums = stream.getvalue()
    for _ in range(2000):
        path.write_bytes(
            repaired(mutant(with_repaired_sums, rng)) if rng.random() < 0.7 else mutant(with_repaired_sums, rng)
        )
        try:
            arrays = read_coauthor_amazon(path)
        except FileFormatError:
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert arrays.features.shape[0] == len(arrays.labels)
        assert arrays.edge_index.size == 0 or 0 <= arrays.edge_index.min() <= arrays.edge_index.max() < len(
            arrays.labels
        )
        assert np.isfinite(arrays.features.data).all()
    assert outcomes["read"] > 100
    assert outcomes["refused"] > 500


def repaired(content: bytes) -> bytes:
    """Stored members with their checksums made right again, so that mutants reach the reader behind zipfile."""
    fixed = bytearray(content)
    place = fixed.find(b"PK\x01\x02")
    while place >= 0 and place + 46 <= len(fixed):
        size = struct.unpack_from("<I", fixed, place + 20)[0]
        local = struct.unpack_from("<I", fixed, place + 42)[0]
        if local + 30 <= len(fixed):
            name, extra = struct.unpack_from("<HH", fixed, local + 26)
            start = local + 30 + name + extra
            struct.pack_into("<I", fixed, place + 16, zlib.crc32(fixed[start : start + size]))
        place = fixed.find(b"PK\x01\x02", place + 4)
    return bytes(fixed)
