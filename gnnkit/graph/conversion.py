"""From an edge list of any size to a graph folder, in bounded memory, going on where it was killed.

The edges are read in parts, each sorted into a run of keys (source, target); the runs are merged into the
edges that leave every node, and these, sorted by target in the same way, into those that enter it. After
every step `state.json` says what is safe on the disk; whatever lies beyond it is written again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import EdgeListFormat, read_node_names, sorted_names
from gnnkit.graph.edge_stream import EdgePart, EdgeStream, NotNumbersError, Position
from gnnkit.graph.files import DEFAULT_COMMENTS, edge_list_format, is_edge_list, read_graph
from gnnkit.graph.graph_folder import GraphFolder, NodeNames, is_graph_folder, write_manifest
from gnnkit.graph.orientation import Orientation, merge_entering, merge_leaving, sort_entering, sort_leaving
from gnnkit.storage.array_files import ArrayWriter, map_array
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.json_files import read_json, write_json

WORK = "unfinished"
EDGES_AT_ONCE = 1 << 24
LARGEST_NODE_COUNT = 2**32

Tell = Callable[[str, int, int | None], None]


class Attach(Protocol):
    """Puts what nodes have beside the graph: called with the folder, the number of nodes, and their names."""

    def __call__(self, folder: Path, num_nodes: int, names: NodeNames | None) -> dict[str, Any]:
        """Write arrays; return what the manifest shall say."""


def convert_graph(
    edges: str | Path,
    out: str | Path,
    *,
    directed: bool | None = None,
    nodes: str | Path | None = None,
    num_nodes: int | None = None,
    delimiter: str | None = None,
    comments: str | Sequence[str] = DEFAULT_COMMENTS,
    header: bool | None = None,
    weighted: bool | None = None,
    at_once: int = EDGES_AT_ONCE,
    attach: Attach | None = None,
    tell: Tell | None = None,
) -> GraphFolder:
    """Convert an edge list, or any file that `read_graph` reads, to a graph folder.

    An edge list is read as `read_graph` reads it: undirected unless ``directed``, a repeated edge counted
    once, names sorted. An array of numpy (``.npy``), ``(2, E)`` as PyG's ``edge_index`` or ``(E, 2)``, holds
    an edge a column (row) as it stands, unless ``directed=False``, when its reverse is added. Edge lists
    and arrays may be larger than memory; the other formats are read whole.

    A conversion that was interrupted goes on when it is asked for again, with the same settings.

    Args:
        edges: The file.
        out: The folder; made if it is not there.
        directed: Take each edge as one directed edge. When omitted, as the kind of file says.
        nodes: A file with one node name per line: nodes that may have no edge.
        num_nodes: Take what stands in the file for node numbers 0 ... ``num_nodes`` - 1, not names.
        delimiter: See `read_graph`; so are ``comments``, ``header`` and ``weighted``.
        comments: Edge lists only.
        header: Edge lists only.
        weighted: Edge lists only.
        at_once: How many lines to hold in memory; each takes up to 250 bytes.
        attach: What to put beside the graph before it counts as finished.
        tell: Hears the step, how far it is and of how much (None: unknown).

    Raises:
        FileFormatError: If the file is not what its ending says.
        ValueError: If ``out`` holds something else, or an option does not go with the file.
    """
    edges, out = Path(edges), Path(out)
    form = edge_list_format(edges, delimiter, comments, header, weighted)
    settings: dict[str, Any] = {
        "edges": str(edges.resolve()),
        "bytes": edges.stat().st_size,
        "modified": edges.stat().st_mtime_ns,
        "directed": directed,
        "nodes": None if nodes is None else str(Path(nodes).resolve()),
        "num_nodes": num_nodes,
        "form": None if form is None else [form.delimiter, list(form.comments), form.header, form.weighted],
        "at_once": at_once,
    }
    if at_once < 1:
        raise ValueError(f"at_once must be 1 or more, got {at_once}")
    if num_nodes is not None and not 0 <= num_nodes <= LARGEST_NODE_COUNT:
        raise ValueError(f"num_nodes must be from 0 to {LARGEST_NODE_COUNT}, got {num_nodes}")
    if nodes is not None and num_nodes is not None:
        raise ValueError(f"nodes={str(nodes)!r} and num_nodes={num_nodes} cannot both be given")
    with _Work(out, settings) as work:
        conversion = _Conversion(work, edges, form, directed, None if nodes is None else Path(nodes), num_nodes, tell)
        conversion.run(at_once, attach)
    return GraphFolder(out)


class _Work:
    """The folder of an unfinished conversion: one process at a time, and what is safe on its disk."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        if is_graph_folder(out):
            raise ValueError(f"{out} holds a graph already; name another folder or delete it")
        self.out, self.folder = out, out / WORK
        if out.exists() and not self.folder.is_dir() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"{out} is there already and is no unfinished graph; name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ValueError(f"another process is converting a graph into {out}; wait for it to end") from None
        self._path = self.folder / "state.json"
        self.state: dict[str, Any] = read_json(self._path) if self._path.is_file() else {"settings": settings}
        if self.state["settings"] != settings:
            os.close(self._lock)
            raise ValueError(
                f"{out} holds an unfinished conversion of other edges or with other settings; "
                f"delete {self.folder} to begin anew"
            )

    def save(self, **changes: Any) -> None:
        """Note what is safe on the disk."""
        self.state |= changes
        write_json(self._path, self.state)

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Bad input that was found before anything was done leaves nothing to go on with.
        nothing_done = kind is not None and issubclass(kind, ValueError) and self.state.keys() == {"settings"}
        if is_graph_folder(self.out) or nothing_done:
            shutil.rmtree(self.folder, ignore_errors=True)
        if nothing_done and not any(self.out.iterdir()):
            self.out.rmdir()
        os.close(self._lock)


@dataclass
class _Conversion:
    work: _Work
    edges: Path
    form: EdgeListFormat | None
    directed: bool | None
    nodes: Path | None
    num_nodes: int | None
    tell: Tell | None

    def say(self, step: str, done: int, total: int | None = None) -> None:
        if self.tell is not None:
            self.tell(step, done, total)

    def run(self, at_once: int, attach: Attach | None) -> None:
        work = self.work
        both = is_edge_list(self.edges) if self.directed is None else not self.directed
        if "leaving" not in work.state:
            self._sort_and_merge(at_once, both=both)
        for path in work.folder.glob("part-*"):
            path.unlink()
        num_nodes = work.state["num_nodes"]
        orientation = self._orientation(at_once)
        sort_entering(orientation)
        facts = merge_entering(orientation, undirected=both)
        names = _written_names(work.out)
        for path in work.out.glob("*.npy"):  # what an attachment that failed has left
            if not path.name.startswith(("out_", "in_", "node_", "name_")):
                path.unlink()
        if attach is not None:
            facts |= attach(work.out, num_nodes, names)
        content = {"name": self.edges.name.split(".")[0], "num_nodes": num_nodes, **facts}
        write_manifest(work.out, content, lambda name, done, size: self.say(f"check {name}", done, size))

    def _orientation(self, at_once: int) -> Orientation:
        work = self.work
        return Orientation(work.out, work.folder, work.state["num_nodes"], at_once, work.state, work.save, self.say)

    def _sort_and_merge(self, at_once: int, *, both: bool) -> None:
        """All up to the edges that leave every node."""
        work = self.work
        parts = self._parts(at_once)
        row_of = self._number_nodes(parts)
        orientation = self._orientation(at_once)
        for number in range(work.state.get("sorted", 0), len(parts)):
            part = parts[number]
            ends = row_of(part.source), row_of(part.target)
            sort_leaving(orientation, number, *ends, part.weight, both=both, say_edge=self._edge)
            work.save(sorted=number + 1, has_weight=part.weight is not None)
            self.say("sort", number + 1, len(parts))
        has_weight = work.state.get("has_weight", False)
        merge_leaving(orientation, len(parts), has_weight=has_weight, say_edge=self._edge)

    # ---- reading -----------------------------------------------------------------------------------

    def _parts(self, at_once: int) -> _Parts:
        if self.edges.suffix.lower() == ".npy":
            return _array_parts(self.edges, at_once)
        if not is_edge_list(self.edges):
            return self._whole_file()
        spool = _Spool(self.work)
        if not spool.done:
            assert self.form is not None
            try:
                self._read(spool, EdgeStream(self.edges, self.form, at_once, *spool.position()))
            except NotNumbersError:
                spool.begin_with_names()
                self._read(spool, EdgeStream(self.edges, self.form, at_once))
        return spool

    def _read(self, spool: _Spool, stream: EdgeStream) -> None:
        for part in stream.named() if spool.has_names else stream.numbers():
            spool.append(part, stream)
            self.say("read", stream.position.lines)
        spool.finish()

    def _whole_file(self) -> _Parts:
        adjacency, names = read_graph(self.edges, directed=bool(self.directed), nodes=self.nodes)
        (source, target), weight = (part.numpy() for part in adjacency.to_edge_index())
        self.num_nodes = adjacency.num_nodes
        if names is not None:
            _write_names(self.work.out, list(names))
        return _Parts([EdgePart(source, target, weight if adjacency.is_weighted else None)])

    # ---- numbering ---------------------------------------------------------------------------------

    def _number_nodes(self, parts: _Parts) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
        """What takes the ids of the parts to the rows of their nodes; names go to the folder."""
        known = parts.names()
        if self.num_nodes is not None:
            self.work.save(num_nodes=self.num_nodes)
            return lambda ids: self._checked(ids if known is None else _as_numbers(known, self.edges)[ids])
        extra = [] if self.nodes is None else read_node_names(self.nodes, DEFAULT_COMMENTS)
        numbers = None if known is not None else _unique_ids(parts)
        if numbers is not None and not extra:
            if not numbers.size:
                raise FileFormatError(self.edges, "no edges; a graph without any needs nodes= or num_nodes=")
            _write_array(self.work.out / "node_id.npy", numbers)
            self.work.save(num_nodes=numbers.size)
            if numbers[0] == 0 and numbers[-1] == numbers.size - 1:
                return lambda ids: ids
            found = numbers
            return lambda ids: np.searchsorted(found, ids)
        tokens = list(map(str, numbers.tolist())) if numbers is not None else known or []
        names = sorted_names({*tokens, *extra})
        row_of_name = {name: row for row, name in enumerate(names)}
        rows = np.array([row_of_name[name] for name in tokens], dtype=np.int64)
        _write_names(self.work.out, names)
        self.work.save(num_nodes=len(names))
        if numbers is not None:
            return lambda ids: rows[np.searchsorted(numbers, ids)]
        return lambda ids: rows[ids]

    def _checked(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self.num_nodes is not None
        if ids.size and not 0 <= ids.min() <= ids.max() < self.num_nodes:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise FileFormatError(self.edges, f"{wrong} is not a row number from 0 to {self.num_nodes - 1}")
        return ids

    def _edge(self, source: int, target: int, weights: tuple[float, float]) -> FileFormatError:
        names = _written_names(self.work.out)
        ends = " ".join(str(node) if names is None else names[node] for node in (source, target))
        problem = f"the edge {ends} has weight {weights[0]:g} in one place and {weights[1]:g} in another"
        return FileFormatError(self.edges, f"{problem}; add the weights up first, or read it as directed")


class _Parts:
    """The edges of a file, some at a time."""

    def __init__(self, parts: Sequence[EdgePart]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> EdgePart:
        return self._parts[number]

    def names(self) -> list[str] | None:
        """The names that the ids are places in; None where ids are what stands in the file."""
        return None


def _array_parts(path: Path, at_once: int) -> _Parts:
    array = map_array(path, kinds="iu", dimensions=2)
    if array.shape[0] != 2:
        array = array.T
    if array.shape[0] != 2:
        raise FileFormatError(path, f"must have the shape (2, E) or (E, 2), got {array.T.shape}")

    class Slices(_Parts):
        def __len__(self) -> int:
            count: int = -(-array.shape[1] // at_once)
            return count

        def __getitem__(self, number: int) -> EdgePart:
            ends = array[:, number * at_once : (number + 1) * at_once].astype(np.int64)
            return EdgePart(ends[0], ends[1], None)

    return Slices([])


class _Spool(_Parts):
    """The parts of an edge list as they were read, on the disk."""

    def __init__(self, work: _Work) -> None:
        self._work, self._folder = work, work.folder
        self._state: dict[str, Any] = work.state.get("read", {"parts": 0, "done": False, "names": None})

    @property
    def done(self) -> bool:
        """Whether the whole file has been read."""
        return bool(self._state["done"])

    @property
    def has_names(self) -> bool:
        """Whether it is a file of names."""
        return self._state["names"] is not None

    def position(self) -> tuple[Position, dict[str, int]]:
        """Behind the last part, and the names read so far."""
        names = self.names() or []
        return Position(**self._state.get("position", {})), {name: number for number, name in enumerate(names)}

    def begin_with_names(self) -> None:
        """Forget all that was read as numbers."""
        self._state = {"parts": 0, "done": False, "names": 0}
        self._work.save(read=self._state)

    def append(self, part: EdgePart, stream: EdgeStream) -> None:
        """Bring a part to the disk, and with it the position behind it."""
        number, state = self._state["parts"], self._state
        for column, values in part._asdict().items():
            if values is not None:
                _write_array(self._path(number, column), values)
        if self.has_names:
            fresh = list(stream.names)[state["names"] :]
            atomic_write(self._folder / f"part-{number:06d}-names.txt", "".join(f"{name}\n" for name in fresh))
            state = state | {"names": len(stream.names)}
        self._state = state | {"parts": number + 1, "position": asdict(stream.position)}
        self._work.save(read=self._state)

    def finish(self) -> None:
        """Note that the whole file has been read."""
        self._state = self._state | {"done": True}
        self._work.save(read=self._state)

    def __len__(self) -> int:
        count: int = self._state["parts"]
        return count

    def __getitem__(self, number: int) -> EdgePart:
        source, target = (np.asarray(map_array(self._path(number, end))) for end in ("source", "target"))
        has_weight = self._path(number, "weight").is_file() and source.size
        weight = np.asarray(map_array(self._path(number, "weight"))) if has_weight else None
        return EdgePart(source, target, weight)

    def names(self) -> list[str] | None:
        if not self.has_names:
            return None
        paths = [self._folder / f"part-{number:06d}-names.txt" for number in range(len(self))]
        return [name for path in paths for name in path.read_text("utf-8").split("\n")[:-1]]

    def _path(self, number: int, column: str) -> Path:
        return self._folder / f"part-{number:06d}-{column}.npy"


def _unique_ids(parts: _Parts) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    for number in range(len(parts)):
        part = parts[number]
        found = np.unique(np.concatenate([found, part.source, part.target]))
    return found


def _as_numbers(names: Sequence[str], path: Path) -> NDArray[np.int64]:
    for name in names:
        if not (name.removeprefix("-").isascii() and name.removeprefix("-").isdigit() and len(name) < 19):
            raise FileFormatError(path, f"{name[:80]!r} is not a row number")
    return np.array([int(name) for name in names], dtype=np.int64)


def _write_array(path: Path, values: NDArray[Any]) -> None:
    writer = ArrayWriter(path, values.dtype)
    writer.append(values)
    writer.finish()


def _write_names(out: Path, names: Sequence[str]) -> None:
    encoded = [name.encode() for name in names]
    start = np.zeros(len(names) + 1, dtype=np.int64)
    np.cumsum([len(name) for name in encoded], out=start[1:])
    _write_array(out / "name_start.npy", start)
    _write_array(out / "name_text.npy", np.frombuffer(b"".join(encoded), dtype=np.uint8))


def _written_names(out: Path) -> NodeNames | None:
    if (out / "node_id.npy").is_file():
        return NodeNames(map_array(out / "node_id.npy"), None)
    if (out / "name_start.npy").is_file():
        return NodeNames(map_array(out / "name_start.npy"), map_array(out / "name_text.npy", kinds="u"))
    return None
