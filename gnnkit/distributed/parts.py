"""A graph on disk in the order of its partition, so that every process reads its own part and no more.

``partition.json`` is written last and says that the rest is whole. Arrays are ``.npy`` files, rows in the
partition's order: entering edges (``crow``, ``col`` and, where there are weights, ``weight``), features (``x``, or
``x_crow``, ``x_col`` and ``x_values`` where they are sparse), ``y``, ``role`` (1 train, 2 val, 3 test), and
``order``, each row's node in the graph as it was given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from gnnkit.data.node_data import NodeData
from gnnkit.distributed.group import Group
from gnnkit.distributed.halo import Halo
from gnnkit.distributed.partition import Entering, Method, Partition, partition
from gnnkit.errors import FileFormatError, RunError
from gnnkit.graph.part import Part
from gnnkit.graph.pattern import Pattern
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.walk import IntArray, ranges
from gnnkit.storage.json_files import read_json, write_json

_FORMAT = "gnnkit partition"
_RECORD = "partition.json"
_ENTRIES_AT_ONCE = 1 << 22
_ROLES = ("train_mask", "val_mask", "test_mask")


@dataclass(frozen=True)
class PartitionRecord:
    """What ``partition.json`` says.

    Attributes:
        bounds: Process r owns rows ``bounds[r]`` to ``bounds[r + 1] - 1``.
        method: Where the order comes from.
        num_edges: Of the graph.
        cut_edges: Edges from a node of one process to a node of another.
        num_features: Columns of ``x``.
        num_classes: Classes.
        sizes: Nodes to train, validate and test on.
    """

    bounds: list[int]
    method: Method
    num_edges: int
    cut_edges: int
    num_features: int
    num_classes: int
    sizes: tuple[int, int, int]

    @property
    def num_nodes(self) -> int:
        """Nodes of the graph."""
        return self.bounds[-1]

    @property
    def cut(self) -> float:
        """The share of the edges that run between processes."""
        return self.cut_edges / max(self.num_edges, 1)


class LocalData(NamedTuple):
    """What one process holds of the data.

    Attributes:
        graph: The edges into its nodes.
        x: Its nodes' features.
        y: Their classes.
        train: Which of its rows train; none, maybe.
        val: Which of them validate.
        test: Which of them test.
        nodes: The whole graph's ids of its own nodes, then of its halo's.
        halo: The exchange with the others.
        record: What is true of all parts.
    """

    graph: Part
    x: Tensor | SparseMatrix
    y: Tensor
    train: Tensor
    val: Tensor
    test: Tensor
    nodes: Tensor
    halo: Halo
    record: PartitionRecord


def write_parts(
    data: NodeData,
    folder: Path,
    parts: int,
    *,
    method: Method | None = None,
    bounds: Sequence[int] | None = None,
) -> PartitionRecord:
    """Order ``data`` for ``parts`` processes and write it to ``folder``, which may hold an unfinished try.

    Args:
        data: The whole graph.
        folder: Made if need be.
        parts: How many processes.
        method: Of the order; METIS or reverse Cuthill-McKee where omitted.
        bounds: Where the blocks of the order end, in place of balanced ones, ``(parts + 1)``.

    Raises:
        ValueError: If there are fewer nodes than parts, bounds do not fit, or nodes have sequences.
        OSError: If a file cannot be written.
    """
    if not isinstance(data.x, Tensor):
        raise ValueError(f"a partition takes a row of features per node, got {data.x}; train it in one process")
    edges = Entering.of(data.adjacency)
    found = partition(edges, parts, method)
    if bounds is not None:
        found = found._replace(bounds=_checked(bounds, parts, data.num_nodes))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _RECORD).unlink(missing_ok=True)
    cut = _write_edges(folder, edges, found)
    _write_features(folder, data.x, found.order)
    role = np.zeros(data.num_nodes, np.uint8)
    for number, mask in enumerate(_ROLES, 1):
        role[getattr(data, mask).numpy()] = number
    np.save(folder / "role.npy", role[found.order])
    np.save(folder / "y.npy", data.y.numpy()[found.order])
    np.save(folder / "order.npy", found.order)
    record = PartitionRecord(
        found.bounds,
        found.method,
        data.adjacency.num_edges,
        cut,
        data.num_features,
        data.num_classes,
        (int((role == 1).sum()), int((role == 2).sum()), int((role == 3).sum())),
    )
    write_json(folder / _RECORD, {"format": _FORMAT, **asdict(record)})
    return record


def read_record(folder: Path) -> PartitionRecord | None:
    """What is known of all parts; None where none were written to the end.

    Raises:
        FileFormatError: If the file is something else.
    """
    try:
        content = read_json(folder / _RECORD)
    except FileNotFoundError:
        return None
    if content.pop("format", None) != _FORMAT:
        raise FileFormatError(folder / _RECORD, "is not the record of a partition")
    try:
        return PartitionRecord(**{**content, "sizes": tuple(content["sizes"])})
    except (TypeError, KeyError) as error:
        raise FileFormatError(folder / _RECORD, f"is not the record of a partition ({error})") from error


def read_part(folder: Path, group: Group, device: torch.device | None = None) -> LocalData:
    """The part of this process; every process of the group reads its own at the same time.

    Raises:
        RunError: If the files are not there, or are for another number of processes.
    """
    record = read_record(folder)
    if record is None:
        raise RunError(
            f"process {group.rank} sees no partition in {folder}; the run folder must lie where every host sees it"
        )
    if len(record.bounds) != group.size + 1:
        raise RunError(f"{folder} is for {len(record.bounds) - 1} processes, and there are {group.size}")
    start, stop = record.bounds[group.rank : group.rank + 2]
    crow = _rows(folder / "crow.npy", start, stop + 1)
    first, last = int(crow[0]), int(crow[-1])
    sources = _rows(folder / "col.npy", first, last)
    halo = Halo(group, record.bounds, sources, device)
    col = torch.from_numpy(halo.positions(sources))
    del sources
    weighted = (folder / "weight.npy").exists()
    weight = torch.from_numpy(_rows(folder / "weight.npy", first, last)).to(device) if weighted else None
    pointers = torch.from_numpy((crow - first).astype(np.int64)).to(device)
    x = _read_features(folder, start, stop, record.num_features, device)
    dtype = x.dtype if isinstance(x, Tensor) else x.values.dtype
    graph = Part(pointers, col.to(device), weight, halo.num_own + halo.num_foreign, halo, dtype=dtype)
    role = torch.from_numpy(_rows(folder / "role.npy", start, stop)).to(device)
    own = torch.from_numpy(_rows(folder / "order.npy", start, stop)).to(device)
    train, val, test = (torch.nonzero(role == number).view(-1) for number in (1, 2, 3))
    return LocalData(
        graph,
        x,
        torch.from_numpy(_rows(folder / "y.npy", start, stop)).to(device),
        train,
        val,
        test,
        halo._forward(own.unsqueeze(1)).view(-1),
        halo,
        record,
    )


def _checked(bounds: Sequence[int], parts: int, num_nodes: int) -> list[int]:
    fits = len(bounds) == parts + 1 and bounds[0] == 0 and bounds[-1] == num_nodes
    if not (fits and all(below < above for below, above in pairwise(bounds))):
        raise ValueError(
            f"bounds of {parts} parts must be {parts + 1} rising numbers from 0 to {num_nodes}, got {list(bounds)}"
        )
    return list(bounds)


def _write_edges(folder: Path, edges: Entering, found: Partition) -> int:
    """Entering edges in the new order, sources by their new numbers; how many are cut."""
    order, size = found.order, found.order.size
    narrow = np.int32 if size < 2**31 else np.int64
    position = np.empty(size, narrow)
    position[order] = np.arange(size, dtype=narrow)
    crow = np.concatenate([[0], np.cumsum(np.diff(edges.crow)[order], dtype=np.int64)])
    np.save(folder / "crow.npy", crow)
    count, cut = int(crow[-1]), 0
    (folder / "weight.npy").unlink(missing_ok=True)
    with ExitStack() as files:
        col = files.enter_context(_array_file(folder / "col.npy", narrow, (count,)))
        weight = None
        if edges.weight is not None:
            weight = files.enter_context(_array_file(folder / "weight.npy", edges.weight.dtype, (count,)))
        for first, last in pairwise(found.bounds):
            for start, stop in _chunks(crow, first, last):
                entry = _entries(edges.crow, order[start:stop])
                source = position[edges.col[entry]]
                cut += int(((source < first) | (source >= last)).sum())
                source.tofile(col)
                if weight is not None and edges.weight is not None:
                    edges.weight[entry].tofile(weight)
    return cut


def _write_features(folder: Path, x: Tensor, order: NDArray[np.int64]) -> None:
    if x.layout == torch.strided:
        rows = x.detach().numpy()
        step = max(1, _ENTRIES_AT_ONCE // max(rows.shape[1], 1))
        with _array_file(folder / "x.npy", rows.dtype, rows.shape) as file:
            for start in range(0, order.size, step):
                np.ascontiguousarray(rows[order[start : start + step]]).tofile(file)
        return
    crow, col, values = (part.numpy() for part in (x.crow_indices(), x.col_indices(), x.values()))
    ordered = np.concatenate([[0], np.cumsum(np.diff(crow)[order], dtype=np.int64)])
    np.save(folder / "x_crow.npy", ordered)
    shape = (int(ordered[-1]),)
    with (
        _array_file(folder / "x_col.npy", col.dtype, shape) as cols,
        _array_file(folder / "x_values.npy", values.dtype, shape) as numbers,
    ):
        for start, stop in _chunks(ordered, 0, order.size):
            entry = _entries(crow, order[start:stop])
            col[entry].tofile(cols)
            values[entry].tofile(numbers)


def _read_features(
    folder: Path, start: int, stop: int, num_features: int, device: torch.device | None
) -> Tensor | SparseMatrix:
    if not (folder / "x_crow.npy").exists():
        return torch.from_numpy(_rows(folder / "x.npy", start, stop)).to(device)
    crow = _rows(folder / "x_crow.npy", start, stop + 1)
    first, last = int(crow[0]), int(crow[-1])
    col, values = (torch.from_numpy(_rows(folder / f"x_{part}.npy", first, last)) for part in ("col", "values"))
    pattern = Pattern(torch.from_numpy(crow - first).to(device), col.long().to(device), num_features)
    return SparseMatrix(pattern, values.to(device))


def _chunks(crow: NDArray[np.int64], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Ranges of the rows ``first`` to ``last - 1``, each of few entries or of one row."""
    while first < last:
        stop = int(np.searchsorted(crow, crow[first] + _ENTRIES_AT_ONCE, side="right")) - 1
        stop = min(max(stop, first + 1), last)
        yield first, stop
        first = stop


def _entries(crow: NDArray[Any], rows: NDArray[np.int64]) -> IntArray:
    """The entries of chosen rows, row by row in the order given."""
    return ranges(crow[rows].astype(np.int64), crow[rows + 1].astype(np.int64))


@contextmanager
def _array_file(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """An ``.npy`` file whose rows are appended one after another."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _rows(path: Path, start: int, stop: int) -> NDArray[Any]:
    """Rows of an ``.npy`` file, read into memory of their own: a mapped file's pages would count as ours, too."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        width = math.prod(shape[1:])
        file.seek(start * width * dtype.itemsize, os.SEEK_CUR)
        found = np.fromfile(file, dtype, (stop - start) * width)
    if found.size != (stop - start) * width:
        raise FileFormatError(path, f"is cut short: rows {start} to {stop - 1} are not all there")
    return found.reshape(stop - start, *shape[1:])
