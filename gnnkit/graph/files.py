"""Graphs from files and into files; the ending of the name says which kind.

====================================== =============================================================
``.txt .edges .edgelist .csv .tsv``    edge lists, one edge per line: ``source target [weight]``
``.graphml``                           GraphML, weights from the key named ``weight``
``.mtx``                               Matrix Market
``.npz``                               scipy's sparse matrices, or ``edge_index`` with ``num_nodes``
a folder                               what ``gnnkit convert`` made, memory-mapped
====================================== =============================================================

All but ``.npz`` may be gzipped (``.txt.gz``). No reader runs code from a file, fetches anything, or
spends memory on what a header merely claims.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch

from gnnkit.errors import FileFormatError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.edge_list import EdgeListFormat, edge_table, read_edge_rows, read_node_names
from gnnkit.graph.edge_table import EdgeTable
from gnnkit.graph.integer_edge_list import read_integer_edge_rows

DEFAULT_COMMENTS = ("#", "%")
_DELIMITER_OF_ENDING = {".txt": None, ".edges": None, ".edgelist": None, ".csv": ",", ".tsv": "\t"}
READABLE_ENDINGS = (*_DELIMITER_OF_ENDING, ".graphml", ".mtx", ".npz")


class GraphFile(NamedTuple):
    """A graph read from a file; ``node_names[i]`` is row i's name, ``None`` where the file has none."""

    adjacency: Adjacency
    node_names: tuple[str, ...] | None


def file_ending(path: Path) -> str:
    """The ending that says what a file holds, in lower case and without ``.gz``.

    Example:
        >>> file_ending(Path("roads.CSV.gz"))
        '.csv'
    """
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_graph(
    path: str | Path,
    *,
    directed: bool = False,
    nodes: str | Path | None = None,
    num_nodes: int | None = None,
    delimiter: str | None = None,
    comments: str | Sequence[str] = DEFAULT_COMMENTS,
    header: bool | None = None,
    weighted: bool | None = None,
) -> GraphFile:
    r"""Read a graph from an edge list, GraphML, Matrix Market, or ``.npz``.

    An edge list is undirected unless ``directed``: the line ``a b`` makes the edges a -> b and b -> a,
    a self-loop ``a a`` one edge. An edge that stands there again (in either direction, if undirected)
    counts once; again with another weight, it is an error. Its tokens are the nodes' names; nodes are
    sorted as numbers where all names are whole numbers, else by code point. ``01`` and ``1`` are two
    nodes. The other formats say themselves which edges are directed: GraphML in ``edgedefault``
    (its nodes stay in their order), a matrix by its entries, entry i, j being the edge i -> j
    (repeated entries are summed, as scipy does; nodes have no names).

    Args:
        path: The file; its ending chooses the reader, see this module's table.
        directed: Read each line of an edge list as one directed edge.
        nodes: A file with one node name per line: nodes that may have no edge. Edge lists only.
        num_nodes: Take tokens for row numbers 0 ... ``num_nodes`` - 1, not names. Edge lists only.
        delimiter: What separates the columns of an edge list; a comma for ``.csv``, a tab for ``.tsv``,
            else any white space. Delimited cells may be quoted as CSV is.
        comments: Lines of an edge list that begin with one of these are passed over.
        header: Whether an edge list's first line holds column titles; by default it does if it begins
            source target, src dst, from to, or head tail.
        weighted: Whether a third column holds weights; by default it does if there is one.
            ``False`` reads the first two columns only, whatever follows.

    Raises:
        FileFormatError: If the file is not what its ending says; the message names the line.
        FileNotFoundError: If there is no such file.
        ValueError: If the ending is unknown, or an option is given that this kind of file has no use for.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "triangle.txt")
        ...     _ = path.write_text("A B\nB C\nA C\n")
        ...     adjacency, names = read_graph(path)
        >>> names, adjacency.num_edges
        (('A', 'B', 'C'), 6)
    """
    path, ending = Path(path), file_ending(Path(path))
    if (path / "graph.json").is_file():
        return _folder(path, directed, nodes=nodes, num_nodes=num_nodes, delimiter=delimiter, header=header)
    form = edge_list_format(path, delimiter, comments, header, weighted)
    if form is not None:
        return _graph_file(path, _edge_list(path, form, directed, nodes, num_nodes))
    for name, value in {"nodes": None if nodes is None else str(nodes), "num_nodes": num_nodes}.items():
        if value is not None:
            raise ValueError(f"{name}={value!r} is for edge lists, but {path} ends with {ending or 'nothing'!r}")
    if ending == ".graphml":
        from gnnkit.graph.graphml import read_graphml

        table, file_is_directed = read_graphml(path)
        if directed and not file_is_directed:
            raise FileFormatError(path, "says that its edges are undirected; read it without directed=True")
        return _graph_file(path, table)
    if ending == ".mtx":
        from gnnkit.graph.matrix_market import read_matrix_market

        return _graph_file(path, read_matrix_market(path))
    if ending == ".npz":
        from gnnkit.graph.array_archive import read_array_archive

        return _graph_file(path, read_array_archive(path))
    raise ValueError(
        f"the name {path.name!r} has an unknown ending; known are {', '.join(READABLE_ENDINGS)}, "
        "and all but .npz may be followed by .gz"
    )


def _folder(path: Path, directed: bool, **options: object) -> GraphFile:
    from gnnkit.graph.graph_folder import GraphFolder

    for name, value in (options | {"directed": directed or None}).items():
        if value is not None:
            raise ValueError(f"{name}={value!r} is for edge lists; {path} is a graph folder, and knows it")
    folder = GraphFolder(path)
    # A sequence that reads names when they are asked for, where a tuple would hold all of them.
    return GraphFile(folder.adjacency(), cast("tuple[str, ...] | None", folder.node_names))


def is_edge_list(path: Path) -> bool:
    """Whether the ending of a file's name is that of an edge list."""
    return file_ending(path) in _DELIMITER_OF_ENDING


def edge_list_format(
    path: Path, delimiter: str | None, comments: str | Sequence[str], header: bool | None, weighted: bool | None
) -> EdgeListFormat | None:
    """How an edge list is written, by its ending and what was said of it; None for a file of another kind.

    Raises:
        ValueError: If something is said that a file of its kind has no use for.
    """
    ending = file_ending(path)
    if ending in _DELIMITER_OF_ENDING:
        return EdgeListFormat(
            delimiter=_DELIMITER_OF_ENDING[ending] if delimiter is None else _checked_delimiter(delimiter),
            comments=_prefixes(comments),
            header=header,
            weighted=weighted,
        )
    for name, value in {"delimiter": delimiter, "header": header, "weighted": weighted}.items():
        if value is not None:
            raise ValueError(f"{name}={value!r} is for edge lists, but {path} ends with {ending or 'nothing'!r}")
    return None


def _prefixes(comments: str | Sequence[str]) -> tuple[str, ...]:
    found = (comments,) if isinstance(comments, str) else tuple(comments)
    if "" in found:
        raise ValueError(f"every line begins with nothing, so it cannot mark comments, got comments={comments!r}")
    return found


def _checked_delimiter(delimiter: str) -> str:
    if not delimiter or "\n" in delimiter or '"' in delimiter:
        raise ValueError(f'delimiter must be characters other than newline and ", got {delimiter!r}')
    return delimiter


def _edge_list(
    path: Path, form: EdgeListFormat, directed: bool, nodes: str | Path | None, num_nodes: int | None
) -> EdgeTable:
    if nodes is not None and num_nodes is not None:
        raise ValueError(
            f"nodes={str(nodes)!r} and num_nodes={num_nodes} cannot both be given: "
            "tokens are either names or row numbers"
        )
    extra_names = [] if nodes is None else read_node_names(Path(nodes), form.comments)
    rows = read_integer_edge_rows(path, form)
    if rows is None:
        rows = read_edge_rows(path, form)
    return edge_table(rows, path, directed=directed, extra_names=extra_names, num_nodes=num_nodes)


def _graph_file(path: Path, table: EdgeTable) -> GraphFile:
    weight = None
    if table.weight is not None:
        weight = torch.from_numpy(table.weight).to(torch.get_default_dtype())
        if not bool(weight.isfinite().all()):
            worst = float(np.abs(table.weight).max())
            raise FileFormatError(path, f"the weight {worst:g} is too large for {weight.dtype}")
    edge_index = torch.from_numpy(np.stack([table.source, table.target]))
    adjacency = Adjacency.from_edge_index(edge_index, weight, num_nodes=table.num_nodes, coalesce="sum")
    return GraphFile(adjacency, table.node_names)
