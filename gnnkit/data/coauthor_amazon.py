"""Amazon Photo and Computers, Coauthor CS and Physics as their ``.npz`` files store them.

The result equals `torch_geometric.datasets.Amazon` and `Coauthor`: self-loops dropped, every edge in both
directions once, and every positive feature set to 1 (a bag of words without counts).

Reference: Shchur, Mumme, Bojchevski & Günnemann, "Pitfalls of Graph Neural Network Evaluation", 2018,
https://arxiv.org/abs/1811.05868.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from gnnkit.data.arrays import Array, checked_csr
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.storage.archives import NotPlainError, open_arrays

MAX_UNPACKED_BYTES = 512 * 2**20

_MAX_PACKED_BYTES = 128 * 2**20
_CSR = ("data", "indices", "indptr", "shape")
_REQUIRED = (*(f"adj_{part}" for part in _CSR), *(f"attr_{part}" for part in _CSR), "labels")


class CoauthorAmazonArrays(NamedTuple):
    """A co-purchase or co-author network as plain arrays.

    Shapes:
        - **edge_index:** :math:`(2, E)`, both directions, without loops and duplicates, sorted by source
        - **features:** :math:`(N, F)`, sparse; **labels:** :math:`(N)`
    """

    edge_index: Array
    features: sp.csr_array
    labels: Array
    class_names: tuple[str, ...] | None


def read_coauthor_amazon(path: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> CoauthorAmazonArrays:
    """Read one such file, of at most ``max_bytes`` unpacked; ``class_names`` is None where it names none.

    Raises:
        MissingDataError: If the file is absent.
        FileFormatError: If it is damaged, hostile, or its arrays do not fit each other.
    """
    arrays = _arrays(path, max_bytes)
    features = _matrix(path, arrays, "attr")
    adjacency = _matrix(path, arrays, "adj")
    num_nodes = features.shape[0]
    if adjacency.shape != (num_nodes, num_nodes):
        raise FileFormatError(
            path, f"the adjacency matrix has shape {adjacency.shape}, but {num_nodes} nodes have features"
        )
    labels = arrays["labels"]
    if labels.shape != (num_nodes,) or labels.dtype.kind not in "iu" or num_nodes == 0:
        raise FileFormatError(path, f"labels must be {num_nodes} whole numbers, got {labels.dtype} {labels.shape}")
    # A class with no node at all still takes a weight in every model, so their number is bounded too.
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_nodes:
        raise FileFormatError(path, f"labels run from {labels.min()} to {labels.max()}")
    features.data[features.data > 0] = 1.0
    return CoauthorAmazonArrays(
        edge_index=_both_directions(adjacency),
        features=features,
        labels=labels.astype(np.int64),
        class_names=_class_names(path, arrays.get("class_names"), int(labels.max()) + 1),
    )


def _arrays(path: Path, max_bytes: int) -> dict[str, Array]:
    try:
        with open_arrays(path, max_bytes=max_bytes, max_packed_bytes=_MAX_PACKED_BYTES) as archive:
            arrays = {name: archive.array(name) for name in _REQUIRED}
            if "class_names" in archive.names:
                # Some copies store them as Python objects; nothing depends on them.
                with suppress(NotPlainError):
                    arrays["class_names"] = archive.array("class_names")
            return arrays
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such file") from None


def _matrix(path: Path, arrays: dict[str, Array], name: str) -> sp.csr_array:
    shape = arrays[f"{name}_shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise FileFormatError(path, f"{name}_shape must be two whole numbers, got {shape.dtype} {shape.shape}")
    data, indices, indptr = (arrays[f"{name}_{part}"] for part in _CSR[:3])
    return checked_csr(path, data, indices, indptr, (int(shape[0]), int(shape[1])))


def _both_directions(adjacency: sp.csr_array) -> Array:
    size = adjacency.shape[0]
    row, col = (index.astype(np.int64) for index in adjacency.tocoo().coords)
    keep = row != col
    row, col = row[keep], col[keep]
    order = np.unique(np.concatenate([row * size + col, col * size + row]))
    return np.stack([order // size, order % size])


def _class_names(path: Path, names: Array | None, num_classes: int) -> tuple[str, ...] | None:
    if names is None or names.dtype.kind != "U":
        return None
    named = tuple(str(name) for name in names.ravel())
    for name in named:
        if not name.isprintable():
            raise FileFormatError(path, "a class name is not printable", text=name)
    if len(named) < num_classes:
        raise FileFormatError(path, f"names {len(named)} classes, but labels run to {num_classes - 1}")
    return named
