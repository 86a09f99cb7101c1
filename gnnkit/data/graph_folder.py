"""Node data in a graph folder: features, labels and split beside the graph, memory-mapped like it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.data.arrays import identity_features
from gnnkit.data.node_data import NodeData
from gnnkit.data.tables import read_features, read_labels, row_of_each_name
from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import read_node_names
from gnnkit.graph.files import DEFAULT_COMMENTS
from gnnkit.graph.graph_folder import GraphFolder, NodeNames, mapped_tensor
from gnnkit.storage.array_files import ArrayWriter, map_array

_MASKS = ("train_mask", "val_mask", "test_mask")
_ROWS_AT_ONCE = 1 << 14


def read_folder(path: str | os.PathLike[str]) -> NodeData:
    """The graph, features, labels and split of a folder that ``gnnkit convert`` has written.

    Everything is memory-mapped. Without features each node is its own; without labels none is known;
    without a split no node trains, validates or tests yet (see `NodeData.with_split`).

    Raises:
        FileFormatError: If it is no such folder, or a file of it is missing or damaged.
    """
    folder = GraphFolder(path)
    size = folder.content["num_nodes"]
    x = identity_features(size)
    if "x" in folder:
        x = mapped_tensor(folder.array("x", kinds="f", dimensions=2, size=size))
    y = mapped_tensor(folder.array("y", size=size)) if "y" in folder else torch.full((size,), -1)
    masks: dict[str, Tensor] = {}
    for mask in _MASKS:
        found = mapped_tensor(folder.array(mask, kinds="b", size=size)) if mask in folder else None
        masks[mask] = torch.zeros(size, dtype=torch.bool) if found is None else found
    class_names = folder.content.get("class_names")
    return NodeData(
        adjacency=folder.adjacency(),
        x=x,
        y=y,
        **masks,
        name=str(folder.content.get("name", folder.path.name)),
        class_names=None if class_names is None else tuple(map(str, class_names)),
        # A sequence that reads names when they are asked for, where a tuple would hold all of them.
        node_names=cast("tuple[str, ...] | None", folder.node_names),
    )


@dataclass(frozen=True)
class Attachments:
    """What to put beside a graph while it is converted; called by `gnnkit.graph.conversion.convert_graph`.

    Attributes:
        features: A table as `gnnkit.data.read_node_data` takes it, or an array ``(N, F)`` of numpy (``.npy``),
            which may be larger than memory.
        labels: A table of labels, or an array ``(N)`` of class numbers, -1 where unknown.
        train: The nodes that train: names, one a line; or an array, a mask or node numbers.
        val: The nodes that validate.
        test: The nodes that test.
    """

    features: Path | None = None
    labels: Path | None = None
    train: Path | None = None
    val: Path | None = None
    test: Path | None = None

    def __call__(self, folder: Path, num_nodes: int, names: NodeNames | None) -> dict[str, Any]:
        """Write the arrays; returns what the manifest shall say.

        Raises:
            FileFormatError: If a file does not fit the graph.
        """
        said: dict[str, Any] = {}
        if self.features is not None:
            _write_features(self.features, folder / "x.npy", num_nodes, names)
        if self.labels is not None:
            y, class_names = _labels(self.labels, num_nodes, names)
            _write(folder / "y.npy", y)
            said["class_names"] = class_names
        for mask, path in zip(_MASKS, (self.train, self.val, self.test), strict=True):
            if path is not None:
                _write(folder / f"{mask}.npy", _mask(path, num_nodes, names))
        return said


def _write_features(path: Path, out: Path, num_nodes: int, names: NodeNames | None) -> None:
    if path.suffix.lower() == ".npy":
        array = map_array(path, kinds="iufb", dimensions=2)
        row_of = None
    else:
        table = read_features(path)
        by_name = names is not None and table.has_names(set(names))
        array = table.rest if by_name else table.values()
        row_of = _rows_by_name(path, table.first, table.lines, names) if by_name and names is not None else None
    if row_of is None and array.shape[0] != num_nodes:
        raise FileFormatError(path, f"has {array.shape[0]} rows, the graph {num_nodes} nodes")
    writer = ArrayWriter(out, np.dtype(np.float32))
    for begin, part in _parts(array, num_nodes, row_of):
        values = part.astype(np.float32)
        if not np.isfinite(values).all():
            row = begin + int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise FileFormatError(path, f"the features of node {row} are not all finite numbers of float32")
        writer.append(values.ravel())
    writer.finish(columns=array.shape[1])


def _parts(array: NDArray[Any], num_nodes: int, row_of: NDArray[np.int64] | None) -> Iterator[tuple[int, NDArray[Any]]]:
    for begin in range(0, num_nodes, _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        yield begin, np.asarray(array[rows] if row_of is None else array[row_of[rows]])


def _rows_by_name(path: Path, first: list[str], lines: list[int], names: NodeNames) -> NDArray[np.int64]:
    """The table's row of each node."""
    row_of = row_of_each_name(path, first, lines)
    absent = next((name for name in names if name not in row_of), None)
    if absent is not None:
        raise FileFormatError(path, f"has no row for the node {absent[:80]!r}")
    if len(row_of) > len(names):
        known = set(names)
        extra = next(name for name in row_of if name not in known)
        raise FileFormatError(path, f"names {extra[:80]!r}, which has no edge; name it in the nodes file too")
    return np.array([row_of[name] for name in names], dtype=np.int64)


def _labels(path: Path, num_nodes: int, names: NodeNames | None) -> tuple[NDArray[np.int64], list[str] | None]:
    if path.suffix.lower() == ".npy":
        y = np.asarray(map_array(path, kinds="iu")).astype(np.int64)
        if y.size != num_nodes or (y.size and y.min() < -1):
            raise FileFormatError(path, f"must hold {num_nodes} class numbers from 0, -1 where unknown")
        return y, None
    table = read_labels(path)
    class_names = list(table.class_names) or None
    if table.names is None:
        if len(table.y) != num_nodes:
            problem = f"has {len(table.y)} labels for {num_nodes} nodes; write ? where one is not known"
            raise FileFormatError(path, problem)
        return table.y, class_names
    number_of = _number_of(num_nodes, names)
    y = np.full(num_nodes, -1, dtype=np.int64)
    for name, row in row_of_each_name(path, table.names, table.lines).items():
        node = number_of(name)
        if node is None:
            raise FileFormatError(path, "not a node of the graph", line=table.lines[row], text=name)
        y[node] = table.y[row]
    return y, class_names


def _mask(path: Path, num_nodes: int, names: NodeNames | None) -> NDArray[np.bool_]:
    mask = np.zeros(num_nodes, dtype=bool)
    if path.suffix.lower() == ".npy":
        found = np.asarray(map_array(path, kinds="iub"))
        if found.dtype == bool:
            if found.size != num_nodes:
                raise FileFormatError(path, f"is a mask of {found.size} nodes, the graph has {num_nodes}")
            return found
        if found.size and not 0 <= found.min() <= found.max() < num_nodes:
            wrong = found.min() if found.min() < 0 else found.max()
            raise FileFormatError(path, f"{wrong} is not among the nodes 0..{num_nodes - 1}")
        mask[found] = True
        return mask
    number_of = _number_of(num_nodes, names)
    for name in read_node_names(path, DEFAULT_COMMENTS):
        node = number_of(name)
        if node is None:
            raise FileFormatError(path, f"{name[:80]!r} is not a node of the graph")
        mask[node] = True
    return mask


def _number_of(num_nodes: int, names: NodeNames | None) -> Callable[[str], int | None]:
    if names is not None:
        known = {name: number for number, name in enumerate(names)}
        return known.get
    return lambda name: int(name) if name.isdecimal() and len(name) < 19 and int(name) < num_nodes else None


def _write(path: Path, values: NDArray[Any]) -> None:
    writer = ArrayWriter(path, values.dtype)
    writer.append(values)
    writer.finish()
