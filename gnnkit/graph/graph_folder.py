"""A graph in a folder, memory-mapped: larger than memory, open at once, shared by processes.

Both orientations lie on the disk, the edges that leave every node and those that enter it, so that neither
a search nor a layer nor a sampler sorts anything.

=========================== =====================================================================
``graph.json``              sizes, what is known of the graph, and the SHA-256 of every file
``out_start``, ``out_target``  the edges leaving node i: entries ``out_start[i]`` to ``out_start[i + 1]``
``out_weight``              their weights, where one is not 1
``in_start``, ``in_source`` the edges entering every node; left out where every edge has its reverse
``in_edge``                 the entry of ``out_target`` that each of them is
``in_weight``               their weights, where the graph is not symmetric
``node_id``                 the number by which each node was called, ascending; or
``name_start``, ``name_text``  the names, in UTF-8
``x``, ``y``, ``*_mask``    features, labels and split of the nodes, see `gnnkit.data.read_folder`
=========================== =====================================================================

All are arrays of numpy (``.npy``); what their numbers lie in follows from the sizes: int32 where that
holds them, else int64.
"""

from __future__ import annotations

import os
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.errors import FileFormatError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.pattern import Pattern, Transpose
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.storage.array_files import map_array, sha256_of
from gnnkit.storage.json_files import read_json, write_json

MANIFEST = "graph.json"
FORMAT, VERSION = "gnnkit graph", 1
_FACTS = {"is_undirected": bool, "is_symmetric": bool, "is_weighted": bool, "has_negative_weights": bool}
_COUNTS = ("num_nodes", "num_edges", "num_self_loops")


def is_graph_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder that `gnnkit convert` has finished."""
    return Path(path, MANIFEST).is_file()


class GraphFolder:
    """An open graph folder: what its manifest says, checked, and its arrays by name.

    Args:
        path: The folder.

    Raises:
        FileFormatError: If it is no graph folder, or its manifest is damaged.
        FileNotFoundError: If there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        manifest = self.path / MANIFEST
        if self.path.is_dir() and not manifest.is_file():
            raise FileFormatError(
                self.path, f"is not a graph folder: it has no {MANIFEST}; make one with gnnkit convert"
            )
        self.content = read_json(manifest)
        if self.content.get("format") != FORMAT or self.content.get("version") != VERSION:
            found = f"{self.content.get('format')!r}, version {self.content.get('version')!r}"
            raise FileFormatError(manifest, f"should be a {FORMAT!r}, version {VERSION}, says {found[:80]}")
        for name, kind in (_FACTS | dict.fromkeys(_COUNTS, int)).items():
            value = self.content.get(name)
            if type(value) is not kind or value < 0:
                raise FileFormatError(manifest, f"{name} is {str(value)[:40]!r}; convert the graph again")
        files = self.content.get("files")
        if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
            raise FileFormatError(manifest, "lists no files; convert the graph again")
        self.files: dict[str, dict[str, Any]] = files

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self.files

    def array(self, name: str, *, kinds: str = "i", dimensions: int = 1, size: int | None = None) -> NDArray[Any]:
        """One of the arrays, memory-mapped.

        Raises:
            FileFormatError: If it is missing, damaged, or not as long as the manifest says.
        """
        path = self.path / f"{name}.npy"
        if name not in self or not path.is_file():
            raise FileFormatError(path, "is missing; convert the graph again")
        found = map_array(path, kinds=kinds, dimensions=dimensions)
        if size is not None and found.shape[0] != size:
            raise FileFormatError(path, f"should have {size} rows, has {found.shape[0]}; convert the graph again")
        return found

    def rows(self, direction: str, ends: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Start and end of the edges in one orientation.

        Raises:
            FileFormatError: If they do not fit each other.
        """
        num_edges = self.content["num_edges"]
        start = self.array(f"{direction}_start", size=self.content["num_nodes"] + 1)
        if start[0] != 0 or start[-1] != num_edges:
            raise FileFormatError(self.path / f"{direction}_start.npy", f"should rise from 0 to {num_edges}")
        return start, self.array(f"{direction}_{ends}", size=num_edges)

    def verify(self, tell: Callable[[str, int, int], None] | None = None) -> list[str]:
        """The names of files that are missing or not what was written; ``tell`` hears (file, bytes done, bytes)."""
        wrong = []
        for name, entry in self.files.items():
            path, size = self.path / name, entry.get("bytes")
            if not path.is_file() or path.stat().st_size != size:
                wrong.append(name)
                continue

            def told(done: int, name: str = name, size: int = path.stat().st_size) -> None:
                if tell is not None:
                    tell(name, done, size)

            if sha256_of(path, told) != entry.get("sha256"):
                wrong.append(name)
        return wrong

    @cached_property
    def node_names(self) -> NodeNames | None:
        """What the nodes were called; None where they were numbered as they are here."""
        size = self.content["num_nodes"]
        if "node_id" in self:
            return NodeNames(self.array("node_id", size=size), None)
        if "name_start" in self:
            return NodeNames(self.array("name_start", size=size + 1), self.array("name_text", kinds="u"))
        return None

    def adjacency(self) -> Adjacency:
        """The graph, over memory maps."""
        content, num_edges = self.content, self.content["num_edges"]
        pattern = MappedPattern(self)
        values = transposed = torch.ones(1).expand(num_edges)  # a single number seen everywhere at once
        if content["is_weighted"]:
            values = transposed = mapped_tensor(self.array("out_weight", kinds="f", size=num_edges))
            if not content["is_symmetric"]:
                transposed = mapped_tensor(self.array("in_weight", kinds="f", size=num_edges))
        matrix = SparseMatrix(pattern, values, symmetric=content["is_symmetric"])
        matrix.__dict__["transposed_values"] = transposed
        matrix.facts = {
            "undirected": content["is_undirected"],
            "weighted": content["is_weighted"],
            "negative": content["has_negative_weights"],
            "loops": content["num_self_loops"],
            "folder": self.path,
        }
        return Adjacency(matrix)


def open_adjacency(path: str | os.PathLike[str]) -> Adjacency:
    """The graph in a folder, over memory maps; see `Adjacency.open`."""
    return GraphFolder(path).adjacency()


def write_manifest(folder: Path, content: dict[str, Any], tell: Callable[[str, int, int], None] | None = None) -> None:
    """Write the manifest of a folder whose arrays are all there, with their sizes and SHA-256, last of all."""
    files = {}
    for path in sorted(folder.glob("*.npy")):
        size = path.stat().st_size

        def told(done: int, name: str = path.name, size: int = size) -> None:
            if tell is not None:
                tell(name, done, size)

        files[path.name] = {"bytes": size, "sha256": sha256_of(path, told)}
    write_json(folder / MANIFEST, {"format": FORMAT, "version": VERSION, **content, "files": files})


def mapped_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over a memory map, without a copy; nobody may write to it."""
    if array.dtype.byteorder == ">" or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        # torch says that it cannot keep anyone from writing to it; the map itself does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


class MappedPattern(Pattern):
    """The pattern of a graph folder. Kernels, searches and samplers read its maps; ``col`` is a copy in memory."""

    def __init__(self, folder: GraphFolder) -> None:
        start, target = folder.rows("out", "target")
        self.crow, self.num_rows, self.num_cols = mapped_tensor(start), start.size - 1, start.size - 1
        self._target, self._folder = mapped_tensor(target), folder

    @cached_property
    def col(self) -> Tensor:  # type: ignore[override]
        """The targets as int64, in memory: what few operations need on a graph of this size."""
        return self._target.long()

    @property
    def num_entries(self) -> int:
        """How many entries there are."""
        return self._target.numel()

    @cached_property
    def kernel(self) -> tuple[Tensor, Tensor]:
        """Row pointers and columns, of one dtype where int32 holds both."""
        return _narrow(self.crow, self._target)

    @cached_property
    def entering(self) -> tuple[Tensor, Tensor]:
        """Start and source of the edges that enter every node."""
        if self._folder.content["is_undirected"]:
            return self.crow, self._target
        start, source = self._folder.rows("in", "source")
        return mapped_tensor(start), mapped_tensor(source)

    @cached_property
    def transpose_kernel(self) -> tuple[Tensor, Tensor]:
        """The same of the transpose."""
        return self.kernel if self._folder.content["is_undirected"] else _narrow(*self.entering)

    @cached_property
    def transpose(self) -> Transpose:
        """The pattern by columns, over the maps."""
        return cast(Transpose, MappedTranspose(self))

    def column_counts(self) -> Tensor:
        """How many entries each column has."""
        return self.entering[0].diff()

    @property
    def edge_of_entering(self) -> Tensor:
        """Which entry each of the entering edges is."""
        return mapped_tensor(self._folder.array("in_edge", size=self.num_entries))


class MappedTranspose:
    """A `Transpose` whose tensors are read when they are asked for."""

    def __init__(self, pattern: MappedPattern) -> None:
        self._pattern = pattern

    @property
    def crow(self) -> Tensor:
        """Row pointers."""
        return self._pattern.entering[0]

    @cached_property
    def col(self) -> Tensor:
        """Columns as int64, in memory."""
        return self._pattern.entering[1].long()

    @cached_property
    def order(self) -> Tensor:
        """Entry e of the transpose is entry ``order[e]`` of the original; of the dtype that lies on the disk."""
        return self._pattern.edge_of_entering


def _narrow(start: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    # Kernels want both alike; the pointers are the few.
    return (start.int() if ends.dtype == torch.int32 and ends.numel() < 2**31 else start), ends


class NodeNames(Sequence[str]):
    """Names of nodes, read from the disk one at a time.

    Args:
        numbers: The names as numbers, ascending; or, with ``text``, where each name starts in it.
        text: All names one after the other, in UTF-8.
    """

    def __init__(self, numbers: NDArray[Any], text: NDArray[Any] | None) -> None:
        self._numbers, self._text = numbers, text

    def __len__(self) -> int:
        return self._numbers.size - (self._text is not None)

    @overload
    def __getitem__(self, node: int) -> str: ...

    @overload
    def __getitem__(self, node: slice) -> tuple[str, ...]: ...

    def __getitem__(self, node: int | slice) -> str | tuple[str, ...]:
        if isinstance(node, slice):
            return tuple(self[each] for each in range(*node.indices(len(self))))
        if not -len(self) <= node < len(self):
            raise IndexError(f"there are {len(self)} names, none at {node}")
        node %= len(self)
        if self._text is None:
            return str(self._numbers[node])
        return bytes(self._text[self._numbers[node] : self._numbers[node + 1]]).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return (self[node] for node in range(len(self)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def index(self, name: Any, start: int = 0, stop: int | None = None) -> int:
        """The node of that name.

        Raises:
            ValueError: If there is none.
        """
        found = self._find(name)
        if found is None or not start <= found < (len(self) if stop is None else stop):
            raise ValueError(f"no node is named {name!r}")
        return found

    def _find(self, name: str) -> int | None:
        if self._text is not None:
            # Sorted by code point, unless all are whole numbers in unusual spelling.
            node = bisect_left(self, name)
            if node < len(self) and self[node] == name:
                return node
            return next((node for node, known in enumerate(self) if known == name), None)
        if not name.removeprefix("-").isdecimal() or len(name) > 19:
            return None
        node = int(np.searchsorted(self._numbers, int(name)))
        return node if node < len(self) and self[node] == name else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    def __hash__(self) -> int:
        return hash((len(self), self[0] if len(self) else None))
