# ruff: noqa: E501 (tables of bytes and long conditions read best in one line)
"""Mutants of pickled files: Planetoid's programs opcode by opcode, checkpoints by what they hold, and both with gadgets."""

from __future__ import annotations

import io
import pickletools
import random
import re
import struct
from typing import Any

import mutators as m
import numpy as np
import scipy.sparse as sp
import torch

COMMAND = "touch gnnkit-was-here"


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def _call(module: str, name: str, *arguments: bytes) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


CODE = f"__import__('os').system('{COMMAND}')"
# Bodies that Python's own unpickler obeys: the campaign first shows that its canary notices each.
GADGETS = (
    _call("os", "system", _text(COMMAND)),
    _call("posix", "system", _text(COMMAND)),
    _call("builtins", "eval", _text(CODE)),
    _call("builtins", "exec", _text(CODE)),
    _call("subprocess", "Popen", b"](" + _text("touch") + _text("gnnkit-was-here") + b"e"),
    _call("builtins", "open", _text("gnnkit-was-here"), _text("w")),
    _call("socket", "create_connection", _text("127.0.0.1"), b"K\x09\x86"),
    _call("shutil", "rmtree", _text("gnnkit-was-here")),
    _call("runpy", "run_path", _text("gnnkit-was-here")),
    _call("importlib", "import_module", _text("antigravity")),
    _call("torch.hub", "load", _text("x"), _text("y")),
    _call("torch.serialization", "load", _text("x")),
    _call("builtins", "bytearray", b"J\xff\xff\xff\x7f"),
    _call("builtins", "getattr", b"cos\nsystem\n", _text("__call__")),
    _call("collections", "OrderedDict", b"](" + b"](" + b"K\x01" + b"e" + b"e"),
    b"(" + _text(COMMAND) + b"ios\nsystem\n",
    b"(cos\nsystem\n" + _text(COMMAND) + b"o",
)


def opcodes_changed(content: bytes, rng: random.Random) -> bytes:
    """Instructions of a program removed, doubled, swapped, or others put in between."""
    try:
        places = [place for _, _, place in pickletools.genops(content) if place is not None]
    except Exception:  # a mutant of a mutant: no program any more
        return m.bytes_changed(content, rng)
    if len(places) < 4:
        return m.bytes_changed(content, rng)
    pieces = [content[start:end] for start, end in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        first, second = rng.randrange(1, len(pieces) - 1), rng.randrange(1, len(pieces) - 1)
        kind = rng.randrange(6)
        if kind == 0 and len(pieces) > 4:
            del pieces[first]
        elif kind == 1:
            pieces.insert(second, pieces[first])
        elif kind == 2:
            pieces[first], pieces[second] = pieces[second], pieces[first]
        elif kind == 3:
            pieces.insert(first, rng.choice(_OPCODES))
        elif kind == 4:
            pieces[first] = rng.choice(_OPCODES)
        else:
            pieces.insert(first, rng.choice(GADGETS))
    return b"".join(pieces)


_OPCODES = (
    b"(", b")", b"}", b"]", b"N", b"0", b"1", b"2", b"t", b"e", b"u", b"a", b"s", b"b", b"R", b"o", b"\x81", b"\x85", b"\x86", b"\x87",
    b"\x88", b"\x89", b"K\x00", b"K\xff", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"M\xff\xff", b"q\x00", b"h\x00", b"h\xff", b"j\xff\xff\xff\xff",
    b"r\xff\xff\xff\xff", b"U\x00", b"T\xff\xff\xff\xff", b"X\xff\xff\xff\x7f", b"\x8a\x04\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"G" + b"\x7f\xf8" + bytes(6),
    b"\x82\x01", b"Q", b"Pos.system\n", b"\x8c\x02os\x8c\x06system\x93", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"\x80\x05", b"\x95" + b"\xff" * 8,
    b".",
)  # fmt: skip
PICKLE: tuple[m.Mutator, ...] = (opcodes_changed, opcodes_changed, m.bytes_changed)

# Checkpoints


def state_changed(content: bytes, rng: random.Random) -> bytes:
    """A checkpoint that is intact, and whose state is not: parts missing, of other types and shapes."""
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    stream = io.BytesIO()
    changed = (
        {**loaded, "state": m.tree_changed(loaded["state"], rng, _odd)}
        if rng.random() < 0.9
        else m.tree_changed(loaded, rng, _odd)
    )
    torch.save(changed, stream)
    return stream.getvalue()


def _odd(value: Any, rng: random.Random) -> Any:
    if isinstance(value, torch.Tensor) and rng.random() < 0.7:
        return rng.choice(
            (value.reshape(-1), value.double(), value.long(), value.reshape(-1)[:0], value.t() if value.dim() == 2 else value[None],
             torch.full_like(value, float("nan")) if value.is_floating_point() else -value, torch.zeros(3, 3), value.to(torch.bfloat16),
             torch.zeros(1).expand(10**9), torch.empty(0), value.to(torch.complex64), torch.tensor(1.0))
        )  # fmt: skip
    return rng.choice(
        (None, True, False, -1, 0, 1, 2**31, 2**70, -(2**63), 10**12, 0.5, float("nan"), float("inf"), "x", "", "\x1b[2J", [], {}, (), [1],
         {"x": 1}, torch.zeros(2), torch.zeros(0), (0, 0.0, {}), [value])
    )  # fmt: skip


def gadget_in_checkpoint(content: bytes, rng: random.Random) -> bytes:
    """The program inside a checkpoint changed, with its checksum made right."""
    try:
        members = m.zip_members(content)
    except Exception:  # a mutant of a mutant: no archive any more
        return m.bytes_changed(content, rng)
    name = next((name for name in members if name.endswith("data.pkl")), None)
    if name is None:
        return m.bytes_changed(content, rng)
    kind = rng.randrange(4)
    if kind == 0:
        members[name] = b"\x80\x02" + rng.choice(GADGETS) + b"."
    elif kind == 1:
        members[name] = re.sub(
            rb"ctorch\._utils\n_rebuild_tensor_v2\n|ctorch\n\w+Storage\n|ccollections\nOrderedDict\n",
            lambda at: rng.choice((at[0], b"cos\nsystem\n", b"ctorch\nload\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nSize\n",
                                   b"ctorch.storage\nUntypedStorage\n", b"ctorch\nLongStorage\n", b"ctorch._utils\n_rebuild_sparse_tensor\n")),
            members[name],
        )  # fmt: skip
    else:
        members[name] = opcodes_changed(members[name], rng)
    return m.zip_of(list(members.items()))


def another_file(content: bytes, rng: random.Random) -> bytes:
    """What is no archive at all: plain pickles, torch's older format, other kinds of archive."""
    body = rng.choice(GADGETS)
    kind = rng.randrange(4)
    if kind == 0:
        return b"\x80\x02" + body + b"."
    if kind == 1:
        stream = io.BytesIO()
        torch.save({"x": torch.zeros(3)}, stream, _use_new_zipfile_serialization=False)
        return stream.getvalue()
    if kind == 2:
        return m.zip_of(
            [
                ("archive/data.pkl", b"\x80\x02" + body + b"."),
                ("archive/constants.pkl", b"\x80\x02)."),
                ("archive/version", b"3\n"),
            ]
        )
    return b"PK\x03\x04" + body + content[-200:]


CHECKPOINT: tuple[m.Mutator, ...] = (
    state_changed, state_changed, state_changed, gadget_in_checkpoint, gadget_in_checkpoint, another_file, m.zip_changed, m.bytes_changed,
)  # fmt: skip


def brackets_changed(content: bytes, rng: random.Random) -> bytes:
    """Parentheses lost, added, nested thousands deep."""
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(content) + 1)
        added = rng.choice(
            (
                b"(",
                b")",
                b"((",
                b"))",
                b"()",
                b"(2 x)",
                b"(2 " * 50_000,
                b"(3 (2 x) " * 3000,
                b"-LRB-",
                b" " * 5000,
                b"(9 x)",
            )
        )
        content = content[:place] + added + content[place + rng.choice((0, 1, 5)) :]
    return content


# Healthy Planetoid files, as Python 2 wrote them


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _array(array: Any) -> bytes:
    code, order, content = array.dtype.str[1:], array.dtype.str[0], array.tobytes()
    dtype = (
        _name("numpy", "dtype")
        + _short(code)
        + b"K\x00K\x01\x87R(K\x03"
        + _short(order)
        + b"NNN"
        + _int(-1) * 2
        + b"K\x00tb"
    )
    return (
        _name("numpy.core.multiarray", "_reconstruct") + _name("numpy", "ndarray") + b"K\x00\x85U\x01b\x87R(K\x01("
        + b"".join(map(_int, array.shape)) + b"t" + dtype + b"\x89T" + struct.pack("<I", len(content)) + content + b"tb"
    )  # fmt: skip


def _csr(matrix: sp.csr_matrix) -> bytes:
    state = _short("format") + _short("csr") + _short("_shape") + b"".join(map(_int, matrix.shape)) + b"\x86"
    state += b"".join(_short(part) + _array(getattr(matrix, part)) for part in ("indptr", "indices", "data"))
    return _name("scipy.sparse.csr", "csr_matrix") + b")\x81}(" + state + b"ub"


def planetoid_files() -> dict[str, bytes]:
    """A citation network of eleven nodes, one of them without a row of features."""
    rng = np.random.default_rng(0)
    features = sp.csr_matrix(((rng.random((10, 5)) < 0.5) * rng.random((10, 5))).astype(np.float32))
    labels = np.eye(3, dtype=np.int32)[[0, 1, 2, 0, 1, 2, 0, 2, 1, 0]]
    graph = {
        0: [1, 2, 2],
        1: [0, 3],
        2: [0],
        3: [1, 3, 7],
        4: [10],
        5: [],
        6: [8],
        7: [3, 10],
        8: [6],
        9: [],
        10: [7, 4],
    }
    items = b"".join(_int(node) + b"](" + b"".join(map(_int, near)) + b"e" for node, near in graph.items())
    bodies = {
        "x": _csr(features[:3]), "tx": _csr(features[7:]), "allx": _csr(features[:7]),
        "y": _array(labels[:3]), "ty": _array(labels[7:]), "ally": _array(labels[:7]),
        "graph": _name("collections", "defaultdict") + _name("__builtin__", "list") + b"\x85R(" + items + b"u",
    }  # fmt: skip
    files = {f"ind.tiny.{part}": b"\x80\x02" + body + b"." for part, body in bodies.items()}
    return {**files, "ind.tiny.test.index": b"10\n7\n8\n"}


def coauthor_arrays() -> dict[str, Any]:
    """A co-author network of four nodes."""
    adjacency = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.float32))
    features = sp.csr_matrix(np.array([[2, 0, 1], [0, 0.5, 0], [0, 0, 0], [1, 1, 1]], np.float32))
    arrays: dict[str, Any] = {"labels": np.array([1, 0, 1, 2]), "class_names": np.array(["a", "b", "c"])}
    for prefix, matrix in (("adj", adjacency), ("attr", features)):
        arrays |= {f"{prefix}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
        arrays[f"{prefix}_shape"] = np.array(matrix.shape)
    return arrays
