"""Numbers from files, checked before anything is built on them.

What a file declares (shapes, types, lengths) is compared with the bytes that are there, so that a small
file cannot ask for much memory, and a matrix is only handed to scipy or torch once its indices are known
to lie inside it: their sparse products do not look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.storage.reading import read_regular

Array = npt.NDArray[Any]

# Far above any data set here (Coauthor Physics has 8,415 features), far below what exhausts memory
# when a model allocates a weight per feature.
MAX_FEATURES = 1_000_000

_NUMBERS = frozenset({"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file of at most ``max_bytes`` bytes.

    Raises:
        MissingDataError: If nothing is there.
        FileFormatError: If it is no regular file (reading a pipe could wait forever) or too large.
    """
    try:
        return read_regular(path, limit=max_bytes)
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such file") from None


def number_type(code: str, order: str = "|") -> np.dtype[Any]:
    """The numpy type of an ``i4``-like code and a byte order; only plain numbers are known.

    Raises:
        ValueError: For objects, strings, records and whatever else is not a number.
    """
    if code not in _NUMBERS or order not in ("<", ">", "|", "="):
        raise ValueError(f"the element type {order + code!r} is not a plain number type")
    return np.dtype(order + code)


def checked_csr(path: Path, data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> sp.csr_array:
    """A canonical float32 CSR matrix: columns sorted, duplicates summed as scipy's ``todense`` sums them.

    Raises:
        FileFormatError: If the three arrays are no CSR matrix of this shape, or a value is negative or not finite.
    """
    rows, columns = shape
    for name, array in (("data", data), ("indices", indices), ("indptr", indptr)):
        if array.ndim != 1:
            raise FileFormatError(path, f"the matrix's {name} must be a vector, got shape {array.shape}")
    for name, array in (("indices", indices), ("indptr", indptr)):
        if array.dtype.kind != "i":
            raise FileFormatError(path, f"the matrix's {name} must be signed integers, got {array.dtype}")
    if data.dtype.kind not in "biuf":
        raise FileFormatError(path, f"the matrix's values must be numbers, got {data.dtype}")
    if rows < 0 or not 0 <= columns <= MAX_FEATURES:
        raise FileFormatError(path, f"a matrix of shape {shape} is not plausible")
    if len(indptr) != rows + 1 or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise FileFormatError(path, f"the matrix's indptr must rise from 0 in {rows + 1} entries")
    if not indptr[-1] == len(indices) == len(data):
        raise FileFormatError(
            path, f"the matrix has {indptr[-1]} entries, but {len(indices)} indices and {len(data)} values"
        )
    if len(indices) and (indices.min() < 0 or indices.max() >= columns):
        worst = indices.min() if indices.min() < 0 else indices.max()
        raise FileFormatError(path, f"the column index {worst} is outside 0..{columns - 1}")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, and is then refused by name
        values = data.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        raise FileFormatError(path, f"entry {int(finite.argmin())} of the matrix is {data[finite.argmin()]}")
    if len(values) and values.min() < 0:
        raise FileFormatError(path, f"entry {int(values.argmin())} of the matrix is negative: {values.min()}")
    matrix = sp.csr_array((values, indices.astype(np.int64), indptr.astype(np.int64)), shape=shape)
    matrix.sum_duplicates()
    return matrix


def csr_tensor(matrix: sp.csr_array) -> Tensor:
    """The same matrix as a torch tensor of layout ``torch.sparse_csr`` that shares no memory with it."""
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data.astype(np.float32)),
        size=matrix.shape,
        check_invariants=False,  # said explicitly: the first CSR tensor of a process warns otherwise
    )


def identity_features(num_nodes: int) -> Tensor:
    """One feature per node, 1 for itself, for graphs without features; sparse CSR of shape ``(N, N)``."""
    if not 0 <= num_nodes < 2**31:
        raise ValueError(f"num_nodes must be from 0 to 2**31 - 1, got {num_nodes}")
    return csr_tensor(sp.csr_array(sp.eye_array(num_nodes, dtype=np.float32, format="csr")))


def row_normalized(x: Tensor) -> Tensor:
    """Each row divided by its sum, as Kipf & Welling prepare their features; a row of zeros stays.

    Equals PyG's ``NormalizeFeatures`` on features that are not negative and whose rows sum to 0 or at
    least 1, as those of the data sets here do.

    Shapes:
        - **x:** :math:`(N, F)`, dense or sparse CSR; the output has the same layout

    Raises:
        ValueError: If a feature is negative: a row could then sum to 0 and the quotient explode.

    Example:
        >>> row_normalized(torch.tensor([[1.0, 3.0], [0.0, 0.0]])).tolist()
        [[0.25, 0.75], [0.0, 0.0]]
    """
    values = x.values() if x.layout == torch.sparse_csr else x
    if not values.is_floating_point():
        raise TypeError(f"features must be floating-point to be divided, got {values.dtype}; convert with .float()")
    if values.numel() and values.min() < 0:
        raise ValueError(f"features divided by their row's sum must not be negative, got {values.min():g}")
    if x.layout != torch.sparse_csr:
        sums = x.sum(dim=-1, keepdim=True)
        return torch.where(sums > 0, x / sums.where(sums > 0, 1.0), x)
    crow, col = x.crow_indices(), x.col_indices()
    row = torch.repeat_interleave(torch.arange(x.size(0), device=x.device), crow.diff())
    sums = torch.zeros(x.size(0), dtype=x.dtype, device=x.device).index_add_(0, row, values)
    scaled = values / sums.where(sums > 0, 1.0)[row]
    return torch.sparse_csr_tensor(crow.clone(), col.clone(), scaled, size=x.shape, check_invariants=False)
