"""Cora, CiteSeer and PubMed as Planetoid stores them: eight files ``ind.<name>.<part>``.

``x``, ``tx``, ``allx`` are the features of the training, the test and all but the test nodes, ``y``, ``ty``,
``ally`` their one-hot labels, ``graph`` maps a node to its neighbours, and ``test.index`` says which nodes
the rows of ``tx`` belong to. The result equals `torch_geometric.datasets.Planetoid`; no class that a file
names is ever resolved (see `safe_pickle`).

Reference: Yang, Cohen & Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph Embeddings",
ICML 2016, https://arxiv.org/abs/1603.08861.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from gnnkit.data.arrays import Array, checked_csr, read_bytes
from gnnkit.data.safe_pickle import PickledArray, PickledCSR, PickleError, load
from gnnkit.errors import FileFormatError

PLANETOID_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")

_MAX_FILE_BYTES = 64 * 2**20  # PubMed's allx, the largest, has 7.6 MB
_NODE_ID = re.compile(rb"\d{1,9}")


class PlanetoidArrays(NamedTuple):
    """A citation network as plain arrays.

    Shapes:
        - **edge_index:** :math:`(2, E)`, both directions, without loops and duplicates, sorted by target
        - **features:** :math:`(N, F)`, sparse; **labels:** :math:`(N)`
        - **train, val, test:** node ids of the public split
    """

    edge_index: Array
    features: sp.csr_array
    labels: Array
    train: Array
    val: Array
    test: Array


def read_planetoid(folder: Path, name: str, *, num_val: int = 500) -> PlanetoidArrays:
    """Read ``folder/ind.<name>.*``.

    CiteSeer's 15 test nodes without a row in ``tx`` get no features and, as in PyG, class 0; they are in
    no part of the public split.

    Args:
        folder: Where the eight files lie.
        name: As in the file names: ``"cora"``.
        num_val: How many nodes after the training nodes validate.

    Raises:
        MissingDataError: If a file is absent.
        FileFormatError: If a file is damaged, hostile, or does not fit the others.
    """
    path = {part: folder / f"ind.{name}.{part}" for part in PLANETOID_PARTS}
    x, tx, allx = (_read_features(path[part]) for part in ("x", "tx", "allx"))
    y, ty, ally = (_read_labels(path[part]) for part in ("y", "ty", "ally"))
    for part, labels, features in (("y", y, x), ("ty", ty, tx), ("ally", ally, allx)):
        if labels.shape[0] != features.shape[0]:
            raise FileFormatError(path[part], f"labels {labels.shape[0]} nodes, but {features.shape[0]} have features")
        if labels.shape[1] != ally.shape[1] or features.shape[1] != allx.shape[1]:
            raise FileFormatError(path[part], "has other numbers of classes or features than ally and allx")
    test = _read_test_index(path["test.index"], first=allx.shape[0], count=tx.shape[0])
    num_nodes = max(allx.shape[0], int(test.max()) + 1)
    edge_index = _read_graph(path["graph"], num_nodes)
    num_train = y.shape[0]
    if num_train + num_val > allx.shape[0]:
        problem = f"{num_train} training and {num_val} validation nodes, but {allx.shape[0]} outside the test set"
        raise FileFormatError(path["y"], problem)
    labels = np.zeros(num_nodes, np.int64)
    labels[: len(ally)] = ally.argmax(axis=1)
    labels[test] = ty.argmax(axis=1)
    return PlanetoidArrays(
        edge_index=edge_index,
        features=_rows_in_place(allx, tx, test, num_nodes),
        labels=labels,
        train=np.arange(num_train),
        val=np.arange(num_train, num_train + num_val),
        test=test,
    )


def _rows_in_place(allx: sp.csr_array, tx: sp.csr_array, test: Array, num_nodes: int) -> sp.csr_array:
    """Row ``k`` of ``tx`` becomes the row of node ``test[k]``; a node with no row gets an empty one."""
    empty = sp.csr_array((1, allx.shape[1]), dtype=np.float32)
    source = np.full(num_nodes, allx.shape[0] + tx.shape[0])
    source[: allx.shape[0]] = np.arange(allx.shape[0])
    source[test] = allx.shape[0] + np.arange(len(test))
    return sp.csr_array(sp.vstack([allx, tx, empty], format="csr")[source])


def _load(path: Path) -> tuple[object, int]:
    program = read_bytes(path, _MAX_FILE_BYTES)
    try:
        return load(program), len(program)
    except PickleError as error:
        raise FileFormatError(path, str(error)) from None


def _read_features(path: Path) -> sp.csr_array:
    loaded, _ = _load(path)
    if not isinstance(loaded, PickledCSR) or loaded.state is None:
        raise FileFormatError(path, "does not hold a CSR matrix")
    state = loaded.state
    shape = state.get(b"_shape", state.get(b"shape"))
    if type(shape) is not tuple or len(shape) != 2 or any(type(side) is not int for side in shape):
        raise FileFormatError(path, "the matrix has no shape of two whole numbers")
    parts: list[Array] = []
    for name in (b"data", b"indices", b"indptr"):
        array = state.get(name)
        if not isinstance(array, PickledArray) or array.value is None:
            raise FileFormatError(path, f"the matrix has no array {name.decode()!r}")
        parts.append(array.value)
    return checked_csr(path, parts[0], parts[1], parts[2], shape)


def _read_labels(path: Path) -> Array:
    loaded, _ = _load(path)
    if not isinstance(loaded, PickledArray) or loaded.value is None:
        raise FileFormatError(path, "does not hold an array")
    labels = loaded.value
    if labels.ndim != 2 or 0 in labels.shape:
        raise FileFormatError(path, f"labels must be a matrix of nodes and classes, got shape {labels.shape}")
    if not ((labels == 0) | (labels == 1)).all() or (labels.sum(axis=1, dtype=np.float64) > 1).any():
        raise FileFormatError(path, "a row of labels must be 0 but for at most one 1")
    return labels


def _read_test_index(path: Path, *, first: int, count: int) -> Array:
    ids: list[int] = []
    for number, line in enumerate(read_bytes(path, _MAX_FILE_BYTES).splitlines(), start=1):
        token = line.strip()
        if not _NODE_ID.fullmatch(token):
            raise FileFormatError(path, "expected one node id", line=number, text=line.decode("latin1"))
        ids.append(int(token))
    if len(ids) != count or count == 0:
        raise FileFormatError(path, f"names {len(ids)} test nodes, but {count} have features")
    test = np.array(ids, dtype=np.int64)
    if len(np.unique(test)) != count:
        raise FileFormatError(path, "names a test node twice")
    if test.min() != first:
        raise FileFormatError(path, f"the first must be {first}, after those of allx, got {test.min()}")
    return test


def _read_graph(path: Path, num_nodes: int) -> Array:
    graph, num_bytes = _load(path)
    if type(graph) is not dict or any(type(neighbours) is not list for neighbours in graph.values()):
        raise FileFormatError(path, "does not hold a dict of lists")
    # Exactly these keys: so the number of nodes, which test.index could claim to be anything, is one
    # that this file has bytes for.
    if len(graph) != num_nodes or any(type(key) is not int or not 0 <= key < num_nodes for key in graph):
        problem = f"must list the neighbours of nodes 0..{num_nodes - 1}, lists those of {len(graph)} nodes"
        raise FileFormatError(path, problem)
    lengths = np.fromiter(map(len, graph.values()), np.int64, len(graph))
    # One list may stand under every key at the cost of five bytes; listed for real, an id takes two.
    if lengths.sum() > num_bytes:
        raise FileFormatError(path, f"claims {lengths.sum()} neighbours in {num_bytes} bytes")
    if not set(map(type, chain.from_iterable(graph.values()))) <= {int}:
        raise FileFormatError(path, "a neighbour is not a whole number")
    target = np.fromiter(chain.from_iterable(graph.values()), np.int64, lengths.sum())
    if len(target) and (target.min() < 0 or target.max() >= num_nodes):
        worst = target.min() if target.min() < 0 else target.max()
        raise FileFormatError(path, f"the neighbour {worst} is outside 0..{num_nodes - 1}")
    source = np.repeat(np.fromiter(graph.keys(), np.int64, len(graph)), lengths)
    # Loops and repeated citations are in the files; PyG and all published results leave them out.
    keep = source != target
    order = np.unique(target[keep] * num_nodes + source[keep])
    return np.stack([order % num_nodes, order // num_nodes])
