"""Write a graph to a file, whole or not at all."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gnnkit.graph.adjacency import Adjacency
from gnnkit.storage.atomic import atomic_write

WRITABLE_ENDINGS = (".npz", ".csv", ".mtx")
_CSV_SPECIAL = frozenset(',"\t')


def write_graph(graph: Adjacency, path: str | Path, node_names: Sequence[str] | None = None) -> None:
    """Write every stored edge with its weight; the ending chooses the kind of file.

    - ``.npz``: what ``scipy.sparse.load_npz`` reads (CSR), and ``node_names`` beside it.
    - ``.csv``: a line ``source,target,weight`` per directed edge, with names where given, else row
      numbers; nodes without edges do not appear. Read it back with ``directed=True``.
    - ``.mtx``: Matrix Market; nodes have no names there.

    An older file of this name is replaced only by a complete new one.

    Raises:
        TypeError: If the graph is no ``Adjacency``.
        ValueError: If the ending is unknown, or the names do not fit the graph or, in CSV, a line.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    writers: dict[str, Callable[[BinaryIO, Adjacency, Sequence[str] | None], None]] = {
        ".npz": _write_npz,
        ".csv": _write_csv,
        ".mtx": _write_mtx,
    }
    writer = writers.get(path.suffix.lower())
    if not isinstance(graph, Adjacency):
        raise TypeError(f"the graph must be an Adjacency, got {type(graph).__name__}")
    if writer is None:
        raise ValueError(f"cannot write {path.name!r}: its ending is none of {', '.join(WRITABLE_ENDINGS)}")
    if node_names is not None and (len(node_names) != graph.num_nodes or len(set(node_names)) != graph.num_nodes):
        raise ValueError(
            f"node_names must be {graph.num_nodes} different names, got {len(node_names)}, "
            f"{len(set(node_names))} of them different"
        )
    content = io.BytesIO()
    writer(content, graph, node_names)
    atomic_write(path, content.getvalue())


def _write_npz(stream: BinaryIO, graph: Adjacency, node_names: Sequence[str] | None) -> None:
    matrix = graph.to_scipy().tocsr()
    arrays = {
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "format": np.array(b"csr"),
        "shape": np.array(matrix.shape),
        "data": matrix.data,
    }
    if node_names is not None:
        arrays["node_names"] = np.array(list(node_names), dtype=np.str_)
    np.savez_compressed(stream, allow_pickle=False, **arrays)


def _write_csv(stream: BinaryIO, graph: Adjacency, node_names: Sequence[str] | None) -> None:
    names = [_csv_cell(name) for name in node_names] if node_names is not None else None
    edge_index, edge_weight = graph.to_edge_index()
    source, target = edge_index.tolist()
    # numpy prints the shortest digits that give the same float32 back; tolist() would print a double's.
    weights = map(_shortest, edge_weight.detach().cpu().numpy())

    def lines() -> Iterator[str]:
        yield "source,target,weight\n"
        for s, t, weight in zip(source, target, weights, strict=True):
            yield f"{names[s]},{names[t]},{weight}\n" if names is not None else f"{s},{t},{weight}\n"

    stream.writelines(line.encode("utf-8") for line in lines())


def _shortest(weight: np.floating) -> str:
    digits = str(weight)
    return digits.removesuffix(".0")


def _csv_cell(name: str) -> str:
    if not name or "\n" in name or "\r" in name or "\x00" in name:
        raise ValueError(f"the name {name!r} does not fit a line of CSV; write .npz instead")
    if name != name.strip() or name[0] in "#%" or _CSV_SPECIAL & set(name):
        return '"' + name.replace('"', '""') + '"'
    return name


def _write_mtx(stream: BinaryIO, graph: Adjacency, node_names: Sequence[str] | None) -> None:
    from scipy.io import mmwrite

    mmwrite(stream, graph.to_scipy().tocoo(), symmetry="general")
