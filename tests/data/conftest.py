"""Small Planetoid and npz data sets, written as Python 2 wrote the real ones, byte by byte."""

import os
import struct
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp


def pickled_name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def pickled_text(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def pickled_int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def pickled_array(array: np.ndarray) -> bytes:
    """The body (no PROTO, no STOP) that Python 2 and numpy wrote for an array."""
    code, order = array.dtype.str[1:], array.dtype.str[0]
    shape = b"(" + b"".join(map(pickled_int, array.shape)) + b"t"
    content = array.tobytes()
    dtype = (
        pickled_name("numpy", "dtype") + pickled_text(code) + b"K\x00K\x01\x87R"
        b"(K\x03" + pickled_text(order) + b"NNN" + pickled_int(-1) * 2 + b"K\x00tb"
    )  # fmt: skip
    return (
        pickled_name("numpy.core.multiarray", "_reconstruct") + pickled_name("numpy", "ndarray")
        + b"K\x00\x85U\x01b\x87R(K\x01" + shape + dtype + b"\x89T" + struct.pack("<I", len(content)) + content
        + b"tb"
    )  # fmt: skip


def pickled_csr(matrix: sp.csr_matrix) -> bytes:
    parts = {name: pickled_array(getattr(matrix, name)) for name in ("indptr", "indices", "data")}
    shape = b"".join(map(pickled_int, matrix.shape)) + b"\x86"
    state = pickled_text("format") + pickled_text("csr") + pickled_text("_shape") + shape
    state += b"".join(pickled_text(name) + part for name, part in parts.items())
    return pickled_name("scipy.sparse.csr", "csr_matrix") + b")\x81}(" + state + b"ub"


def pickled_graph(graph: dict[int, list[int]]) -> bytes:
    items = b"".join(
        pickled_int(node) + b"](" + b"".join(map(pickled_int, neighbours)) + b"e" for node, neighbours in graph.items()
    )
    default = pickled_name("collections", "defaultdict") + pickled_name("__builtin__", "list") + b"\x85R"
    return default + b"(" + items + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


NUM_NODES, NUM_FEATURES, NUM_CLASSES = 11, 5, 3
# Node 9 is like CiteSeer's isolated test nodes: no row of tx is its.
TEST_INDEX = [10, 7, 8]
GRAPH = {
    0: [1, 2, 2], 1: [0, 3], 2: [0], 3: [1, 3, 7], 4: [10], 5: [], 6: [8],
    7: [3, 10], 8: [6], 9: [], 10: [7, 4],
}  # fmt: skip


def planetoid_arrays() -> dict[str, np.ndarray | sp.csr_matrix]:
    rng = np.random.default_rng(0)
    dense = (rng.random((10, NUM_FEATURES)) < 0.5) * rng.random((10, NUM_FEATURES))
    labels = np.eye(NUM_CLASSES, dtype=np.int32)[[0, 1, 2, 0, 1, 2, 0, 2, 1, 0]]
    features = sp.csr_matrix(dense.astype(np.float32))
    return {
        "x": features[:3], "tx": features[7:], "allx": features[:7],
        "y": labels[:3], "ty": labels[7:], "ally": labels[:7],
    }  # fmt: skip


def write_planetoid(folder: Path, name: str = "tiny") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in planetoid_arrays().items():
        body = pickled_csr(array) if sp.issparse(array) else pickled_array(array)
        (folder / f"ind.{name}.{part}").write_bytes(program(body))
    (folder / f"ind.{name}.graph").write_bytes(program(pickled_graph(GRAPH)))
    (folder / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in TEST_INDEX))
    return folder


def npz_arrays() -> dict[str, np.ndarray]:
    adjacency = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.float32))
    features = sp.csr_matrix(np.array([[2, 0, 1], [0, 0.5, 0], [0, 0, 0], [1, 1, 1]], np.float32))
    arrays = {"labels": np.array([1, 0, 1, 2]), "class_names": np.array(["a", "b", "c"])}
    for prefix, matrix in (("adj", adjacency), ("attr", features)):
        arrays |= {f"{prefix}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
        arrays[f"{prefix}_shape"] = np.array(matrix.shape)
    return arrays


@pytest.fixture(scope="session")
def build() -> types.SimpleNamespace:
    """The writers above; test modules cannot import this file."""
    return types.SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})


@pytest.fixture
def data_folder() -> Path:
    """The real data sets."""
    root = os.environ.get("GNNKIT_DATA")
    if not root:
        pytest.skip("the environment variable GNNKIT_DATA names no folder of data sets")
    return Path(root)
