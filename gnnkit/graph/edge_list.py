"""Edge lists: one edge per line, ``source target [weight]``, with names for nodes.

Two readers give one result. :mod:`~gnnkit.graph.integer_edge_list` reads at numpy's speed the
files that hold nothing unusual; whatever it declines comes here, line by line, where every fault
is named with its line.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_table import EdgeTable, both_directions, distinct_edges, too_many_nodes
from gnnkit.storage.text import finite_number
from gnnkit.storage.text_lines import numbered_lines

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,100}", re.ASCII)
# Only pairs that nobody calls two nodes: a first line "u v" may well be an edge.
_HEADERS = {("source", "target"), ("src", "dst"), ("from", "to"), ("head", "tail")}


class EdgeListFormat(NamedTuple):
    """How an edge list is written; see :func:`gnnkit.graph.files.read_graph` for what each field means."""

    delimiter: str | None
    comments: tuple[str, ...]
    header: bool | None
    weighted: bool | None


class EdgeRows(NamedTuple):
    """The rows of an edge list as they stand; ``node_names`` are sorted, ``line`` counts from 1."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64] | None
    line: NDArray[np.int64]
    node_names: tuple[str, ...]


def sorted_names(names: Iterable[str]) -> list[str]:
    """Names in the order of their nodes: as numbers where all are whole numbers, else by code point.

    Example:
        >>> sorted_names(["10", "9", "-1"]), sorted_names(["10", "9", "b"])
        (['-1', '9', '10'], ['10', '9', 'b'])
    """
    names = list(names)
    if all(_WHOLE_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))  # "01" and "1" are two names
    return sorted(names)


def is_header(cells: Sequence[str]) -> bool:
    """Whether these cells can only be column titles: source, target and, if there, a titled weight."""
    pair = tuple(cell.strip().lower() for cell in cells[:2])
    return pair in _HEADERS and all(finite_number(cell) is None for cell in cells[2:])


def split_cells(text: str, delimiter: str | None) -> list[str]:
    """Split a line; only a delimited line may quote, ``"Smith, J"`` being one cell of a CSV file.

    Raises:
        csv.Error: If a quote is never closed.
    """
    if delimiter is None:
        return text.split()
    if '"' in text and len(delimiter) == 1:
        return next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    return [cell.strip() for cell in text.split(delimiter)]


class EdgeListReader:
    """Reads an edge list line by line and names the line of whatever is wrong."""

    def __init__(self, path: Path, form: EdgeListFormat) -> None:
        self.path, self.form = path, form
        self.number_of: dict[str, int] = {}
        self.source: list[int] = []
        self.target: list[int] = []
        self.weight: list[float] = []
        self.line: list[int] = []
        self.columns: int | None = None
        self.header_may_come = form.header is not False

    def read(self) -> EdgeRows:
        """Read the whole file."""
        for line, text in numbered_lines(self.path):
            self.take(line, text)
        self.refuse_possible_header()
        names = sorted_names(self.number_of)
        row_of = np.empty(len(names), dtype=np.int64)
        row_of[[self.number_of[name] for name in names]] = np.arange(len(names))
        return EdgeRows(
            source=row_of[np.asarray(self.source, dtype=np.int64)],
            target=row_of[np.asarray(self.target, dtype=np.int64)],
            weight=np.asarray(self.weight, dtype=np.float64) if self.columns == 3 else None,
            line=np.asarray(self.line, dtype=np.int64),
            node_names=tuple(names),
        )

    def take(self, line: int, text: str) -> None:
        """Read one line: an edge, or what is passed over."""
        if not text.strip() or text.lstrip().startswith(self.form.comments):
            return
        try:
            cells = split_cells(text, self.form.delimiter)
        except csv.Error as error:
            raise FileFormatError(self.path, f"broken quotes ({error})", line=line, text=text) from error
        is_title = self.header_may_come and (self.form.header or is_header(cells))
        self.header_may_come = False
        if not is_title:
            self._add(cells, line, text)

    def _add(self, cells: list[str], line: int, text: str) -> None:
        if len(cells) != self.columns:
            self._check_columns(cells, line, text)
        source, target = cells[0], cells[1]
        if not source or not target:
            raise FileFormatError(self.path, "a node without a name", line=line, text=text)
        if self.columns == 3:
            self.weight.append(self._parsed_weight(cells[2], line, text))
        for name in (source, target):
            if name not in self.number_of:
                if self.form.delimiter is None and name[-1] in ",;":
                    problem = f"{name!r} ends with {name[-1]!r}; if that separates columns, pass it as delimiter"
                    raise FileFormatError(self.path, problem, line=line, text=text)
                self.number_of[name] = len(self.number_of)
        self.source.append(self.number_of[source])
        self.target.append(self.number_of[target])
        self.line.append(line)

    def _check_columns(self, cells: list[str], line: int, text: str) -> None:
        """Settle the number of columns at the first edge, and hold every other edge to it."""
        weighted, found = self.form.weighted, len(cells)
        problem = None
        if found < 2:
            between = "spaces or tabs" if self.form.delimiter is None else repr(self.form.delimiter)
            problem = (
                f"an edge needs two names, got {found} column(s) between {between}; "
                "pass delimiter= if something else separates them"
            )
        elif weighted is False:
            self.columns = 2
            return
        elif self.columns is not None:
            problem = f"{found} columns where the first edge has {self.columns}"
        elif found > 3:
            problem = (
                f"{found} columns where an edge has 2, or 3 with a weight; "
                "pass weighted=False to read the first two only"
            )
        elif weighted and found == 2:
            problem = "no weight: 2 columns where weighted=True needs 3"
        if problem is not None:
            raise FileFormatError(self.path, problem, line=line, text=text)
        self.columns = found

    def _parsed_weight(self, cell: str, line: int, text: str) -> float:
        weight = finite_number(cell)
        if weight is None:
            problem = f"the weight {cell[:80]!r} is not a finite number"
            if not self.line:
                problem += "; if this line is a header, pass header=True"
            raise FileFormatError(self.path, problem, line=line, text=text)
        return weight

    def refuse_possible_header(self) -> None:
        """Stop at two words above whole numbers: column titles read as nodes would be two nodes too many."""
        if self.form.header is not None or len(self.line) < 2:
            return
        words = [name for name in self.number_of if _WHOLE_NUMBER.fullmatch(name) is None]
        if (
            words
            and set(words) == set(list(self.number_of)[:2])
            and not ({self.source[0], self.target[0]} & {*self.source[1:], *self.target[1:]})
        ):
            problem = (
                f"{words[0]!r} and {words[-1]!r} stand above whole numbers only; "
                "pass header=True if they are column titles, header=False if they are nodes"
            )
            raise FileFormatError(self.path, problem, line=self.line[0])


def read_edge_rows(path: Path, form: EdgeListFormat) -> EdgeRows:
    """Read an edge list line by line: the careful reader.

    Raises:
        FileFormatError: At the first line that is not an edge.
    """
    return EdgeListReader(path, form).read()


def edge_table(
    rows: EdgeRows,
    path: Path,
    *,
    directed: bool,
    extra_names: Sequence[str] = (),
    num_nodes: int | None = None,
) -> EdgeTable:
    """Turn rows into edges: extra nodes joined in, repeated edges counted once, both directions made.

    Args:
        rows: The rows of an edge list.
        path: Named in errors.
        directed: Whether ``a b`` is the edge a -> b only, rather than both directions.
        extra_names: Nodes that may have no edge.
        num_nodes: If given, names are row numbers 0 ... ``num_nodes`` - 1 and no names are kept.

    Raises:
        FileFormatError: If an edge stands there twice with different weights, if there is no edge
            and no node, or if a name is not a row number where ``num_nodes`` is given.
    """
    names: tuple[str, ...] | None = rows.node_names
    if num_nodes is not None:
        new_row = _rows_as_numbered(rows, path, num_nodes)
        names = None
    elif extra_names:
        names = tuple(sorted_names({*rows.node_names, *extra_names}))
        row_of = {name: row for row, name in enumerate(names)}
        new_row = np.asarray([row_of[name] for name in rows.node_names], dtype=np.int64)
    else:
        if not rows.node_names:
            raise FileFormatError(path, "no edges; a graph without any needs nodes= or num_nodes=")
        new_row = np.arange(len(rows.node_names))
    count = num_nodes if num_nodes is not None else len(names or ())
    source, target = new_row[rows.source], new_row[rows.target]
    distinct = distinct_edges(source, target, rows.weight, num_nodes=count, directed=directed)
    if distinct.contradiction is not None and rows.weight is not None:
        earlier, later = distinct.contradiction
        problem = (
            f"the edge {rows.node_names[rows.source[later]]} {rows.node_names[rows.target[later]]} "
            f"has weight {rows.weight[later]} here and {rows.weight[earlier]} in line {rows.line[earlier]}; "
        )
        problem += "add the weights up first" if directed else "add them up first, or read it as directed"
        raise FileFormatError(path, problem, line=int(rows.line[later]))
    kept = distinct.first_rows
    weight = None if rows.weight is None else rows.weight[kept]
    table = EdgeTable(source[kept], target[kept], weight, count, names)
    return table if directed else both_directions(table)


def _rows_as_numbered(rows: EdgeRows, path: Path, num_nodes: int) -> NDArray[np.int64]:
    """The row each name stands for, where names are row numbers."""
    if num_nodes < 0:
        raise ValueError(f"num_nodes must be 0 or more, got {num_nodes}")
    problem = too_many_nodes(num_nodes, len(rows.line))
    if problem is not None:
        raise FileFormatError(path, f"num_nodes={num_nodes} {problem}")
    numbers = np.empty(len(rows.node_names), dtype=np.int64)
    for index, name in enumerate(rows.node_names):
        if _WHOLE_NUMBER.fullmatch(name) is None or not 0 <= int(name) < num_nodes:
            row = int(np.flatnonzero((rows.source == index) | (rows.target == index))[0])
            problem = f"{name!r} is not a row number from 0 to {num_nodes - 1}"
            raise FileFormatError(path, problem, line=int(rows.line[row]))
        numbers[index] = int(name)
    return numbers


def read_node_names(path: Path, comments: tuple[str, ...]) -> list[str]:
    """Read a list of nodes, one name per line; blank lines and comments are passed over.

    Raises:
        FileFormatError: If it is not a text file in UTF-8.
    """
    return [name for _, text in numbered_lines(path) if (name := text.strip()) and not name.startswith(comments)]
