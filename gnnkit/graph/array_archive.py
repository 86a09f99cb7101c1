"""Graphs in ``.npz`` archives, read array by array and checked before they are used.

Two layouts: scipy's ``save_npz`` (CSR, CSC or COO; what :func:`~gnnkit.graph.files.write_graph`
writes), and plain ``edge_index`` with ``num_nodes`` and perhaps ``edge_weight``. Either may add
``node_names``.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_table import EdgeTable, too_many_nodes
from gnnkit.storage.archives import ArrayArchive, listed, open_arrays

_SCIPY_ARRAYS = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}


def read_array_archive(path: Path) -> EdgeTable:
    """Read a graph from ``.npz``; entries that stand there twice are summed, as scipy does.

    Raises:
        FileFormatError: If it is no archive of either layout, damaged, or not a graph.
    """
    with open_arrays(path) as archive:
        if "format" in archive.names:
            return _scipy_layout(archive)
        if "edge_index" in archive.names:
            return _edge_index_layout(archive)
        raise FileFormatError(
            path,
            "neither a sparse matrix of scipy.sparse.save_npz nor edge_index with num_nodes; "
            f"there are {listed(archive.names)}",
        )


def _scipy_layout(archive: ArrayArchive) -> EdgeTable:
    raw = archive.array("format")
    if raw.ndim != 0 or raw.dtype.kind not in "SU":
        archive.fail(f"'format' must be one word, got {raw.dtype} {raw.shape}")
    kind = raw.item().decode("latin-1") if raw.dtype.kind == "S" else raw.item()
    if kind not in _SCIPY_ARRAYS:
        archive.fail(f"the sparse format {kind[:20]!r} is none of csr, csc, coo; convert with .tocsr()")
    shape = _integers(archive, "shape")
    if shape.shape != (2,) or shape[0] != shape[1] or shape[0] < 0:
        archive.fail(f"the shape {shape.tolist()[:4]} is not square, so no adjacency matrix")
    num_nodes, weight = int(shape[0]), _numbers(archive, "data")
    first, second = (_integers(archive, name) for name in _SCIPY_ARRAYS[kind])
    if kind == "coo":
        source, target = first, second
    else:
        # Damaged index arrays crash compiled code, so they are checked here.
        if second.size != num_nodes + 1 or second[0] != 0 or second[-1] != first.size or (np.diff(second) < 0).any():
            archive.fail(f"'indptr' must rise from 0 to {first.size} in {num_nodes + 1} steps")
        walked = np.repeat(np.arange(num_nodes), np.diff(second))
        source, target = (walked, first) if kind == "csr" else (first, walked)
    return _checked_table(archive, source, target, weight, num_nodes)


def _edge_index_layout(archive: ArrayArchive) -> EdgeTable:
    edge_index = _integers(archive, "edge_index", dimensions=2)
    if edge_index.shape[0] != 2:
        archive.fail(f"edge_index must have shape (2, num_edges), got {edge_index.shape}")
    num_nodes = _integers(archive, "num_nodes", dimensions=0).item()
    weight = _numbers(archive, "edge_weight") if "edge_weight" in archive.names else None
    return _checked_table(archive, edge_index[0], edge_index[1], weight, num_nodes)


def _checked_table(
    archive: ArrayArchive,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    num_nodes: int,
) -> EdgeTable:
    if source.size != target.size or (weight is not None and weight.size != source.size):
        sizes = f"{source.size}, {target.size}" + ("" if weight is None else f" and {weight.size}")
        archive.fail(f"sources, targets and weights differ in number: {sizes}")
    problem = too_many_nodes(num_nodes, source.size)
    if num_nodes < 0 or problem is not None:
        archive.fail(problem or f"num_nodes is {num_nodes}")
    for ids in (source, target):
        if ids.size and not 0 <= ids.min() <= ids.max() < num_nodes:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            archive.fail(f"the node {wrong} is not among the {num_nodes} nodes")
    return EdgeTable(source, target, weight, num_nodes, _node_names(archive, num_nodes))


def _integers(archive: ArrayArchive, name: str, dimensions: int = 1) -> NDArray[np.int64]:
    values = archive.array(name)
    if values.dtype.kind not in "iu" or values.ndim != dimensions:
        archive.fail(f"{name!r} must be integers in {dimensions} dimension(s), got {values.dtype} {values.shape}")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        archive.fail(f"{name!r} holds {values.max()}, which no id can be")
    return values.astype(np.int64)


def _numbers(archive: ArrayArchive, name: str) -> NDArray[np.float64]:
    values = archive.array(name)
    if values.dtype.kind not in "iufb" or values.ndim != 1:
        archive.fail(f"{name!r} must be real numbers in one dimension, got {values.dtype} {values.shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        archive.fail(f"{name!r}[{place}] is {values[place]}, not a finite number")
    return values


def _node_names(archive: ArrayArchive, num_nodes: int) -> tuple[str, ...] | None:
    if "node_names" not in archive.names:
        return None
    names = archive.array("node_names")
    if names.dtype.kind != "U" or names.shape != (num_nodes,):
        archive.fail(f"'node_names' must be {num_nodes} strings, got {names.dtype} {names.shape}")
    listed = tuple(names.tolist())
    if len(set(listed)) != num_nodes or "" in listed:
        archive.fail("'node_names' must be different from each other and not empty")
    return listed
