"""Matrix Market files, ``.mtx``: entry i j is the edge from node i - 1 to node j - 1.

scipy's own reader crashes the interpreter on some damaged files, so the lines are parsed here.

Reference: Boisvert, Pozo & Remington, "The Matrix Market Exchange Formats: Initial Design",
NISTIR 5935, 1996.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import EdgeListFormat
from gnnkit.graph.edge_table import EdgeTable, too_many_nodes
from gnnkit.graph.integer_edge_list import NumberColumns, read_number_columns
from gnnkit.storage.text import finite_number
from gnnkit.storage.text_lines import numbered_lines, open_unpacked

_FORMATS = ("coordinate", "array")
_FIELDS = ("real", "double", "integer", "pattern")
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")
_Lines = Iterator[tuple[int, str]]


class _Header(NamedTuple):
    """What the first lines declare; ``line`` is that of the size."""

    is_coordinate: bool
    is_pattern: bool
    symmetry: str
    num_nodes: int
    num_entries: int
    line: int


def read_matrix_market(path: Path) -> EdgeTable:
    """Read a square matrix of any symmetry; repeated entries are left to be summed; nodes have no names.

    Raises:
        FileFormatError: If it is damaged, complex, not square, holds NaN or infinity, or declares
            another number of entries than it has.
    """
    lines = numbered_lines(path)
    header = _read_header(path, lines)
    if header.is_coordinate:
        columns = _fast_entries(path, header)
        if columns is None:
            columns = _entries(path, header, lines)
    else:
        columns = _listed_matrix(path, header, lines)
    problem = too_many_nodes(header.num_nodes, columns.line.size)
    if problem is not None:
        raise FileFormatError(path, problem, line=header.line)
    return _mirrored(path, header, columns)


def _read_header(path: Path, lines: _Lines) -> _Header:
    line, banner = next(lines, (1, ""))
    words = banner.lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        problem = "the first line must read '%%MatrixMarket matrix <format> <field> <symmetry>'"
        raise FileFormatError(path, problem, line=line, text=banner)
    for word, known in zip(words[2:], (_FORMATS, _FIELDS, _SYMMETRIES), strict=True):
        if word not in known:
            raise FileFormatError(path, f"{word[:80]!r} is none of {', '.join(known)}", line=line)
    is_coordinate, is_pattern = words[2] == "coordinate", words[3] == "pattern"
    if is_pattern and not is_coordinate:
        raise FileFormatError(path, "an array of every entry cannot be a pattern", line=line)
    for line, text in _without_comments(lines):
        cells = text.split()
        if len(cells) != 2 + is_coordinate or not all(_is_size(cell) for cell in cells):
            problem = "the size must be rows and columns" + " and entries" * is_coordinate
            raise FileFormatError(path, problem + ", whole numbers", line=line, text=text)
        rows, columns, *declared = map(int, cells)
        if rows != columns:
            raise FileFormatError(path, f"{rows} x {columns} is not square, so no adjacency matrix", line=line)
        in_array = {
            "general": rows * rows,
            "symmetric": rows * (rows + 1) // 2,
            "skew-symmetric": rows * (rows - 1) // 2,
        }
        entries = declared[0] if is_coordinate else in_array[words[4]]
        return _Header(is_coordinate, is_pattern, words[4], rows, entries, line)
    raise FileFormatError(path, "ends before the line with the matrix's size")


def _without_comments(lines: _Lines) -> _Lines:
    return ((line, text) for line, text in lines if text.strip() and not text.lstrip().startswith("%"))


def _is_size(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) <= 18


def _fast_entries(path: Path, header: _Header) -> NumberColumns | None:
    """The entries at numpy's speed, or ``None`` if some line needs a closer look."""
    form = EdgeListFormat(delimiter=None, comments=(), header=False, weighted=not header.is_pattern)
    try:
        with open_unpacked(path) as stream:
            for _ in range(header.line):
                stream.readline()
            columns = read_number_columns(stream, b"", form, header.line)
    except FileFormatError:
        return None
    if columns is None or columns.line.size != header.num_entries:
        return None
    for ids in (columns.first, columns.second):
        if ids.min() < 1 or ids.max() > header.num_nodes:
            return None
    return columns._replace(first=columns.first - 1, second=columns.second - 1)


def _entries(path: Path, header: _Header, lines: _Lines) -> NumberColumns:
    first: list[int] = []
    second: list[int] = []
    weight: list[float] = []
    places: list[int] = []
    expected = 2 if header.is_pattern else 3
    for line, text in _without_comments(lines):
        if len(places) == header.num_entries:
            raise FileFormatError(path, f"an entry beyond the {header.num_entries} declared", line=line, text=text)
        cells = text.split()
        if len(cells) != expected:
            kind = "a row and a column" + ("" if header.is_pattern else " and a value")
            raise FileFormatError(path, f"an entry must be {kind}", line=line, text=text)
        for cell, ids in zip(cells, (first, second), strict=False):
            if not _is_size(cell) or not 1 <= int(cell) <= header.num_nodes:
                problem = f"{cell[:80]!r} is not a row or column from 1 to {header.num_nodes}"
                raise FileFormatError(path, problem, line=line, text=text)
            ids.append(int(cell) - 1)
        if not header.is_pattern:
            weight.append(_value(path, cells[2], line, text))
        places.append(line)
    _check_number(path, header, len(places))
    return NumberColumns(
        np.asarray(first, dtype=np.int64),
        np.asarray(second, dtype=np.int64),
        None if header.is_pattern else np.asarray(weight, dtype=np.float64),
        np.asarray(places, dtype=np.int64),
    )


def _listed_matrix(path: Path, header: _Header, lines: _Lines) -> NumberColumns:
    """A matrix listed column by column, of which the entries that are not zero are kept."""
    values: list[float] = []
    places: list[int] = []
    for line, text in _without_comments(lines):
        if len(values) == header.num_entries:
            raise FileFormatError(path, f"an entry beyond the {header.num_entries} declared", line=line, text=text)
        values.append(_value(path, text, line, text))
        places.append(line)
    _check_number(path, header, len(values))
    # Column by column is row by row of the transpose; a symmetric file lists the lower triangle.
    if header.symmetry == "general":
        column, row = (ids.ravel() for ids in np.indices((header.num_nodes, header.num_nodes)))
    else:
        column, row = np.triu_indices(header.num_nodes, k=int(header.symmetry == "skew-symmetric"))
    weight, at = np.asarray(values, dtype=np.float64), np.asarray(places, dtype=np.int64)
    kept = np.flatnonzero(weight)
    return NumberColumns(row[kept], column[kept], weight[kept], at[kept])


def _value(path: Path, cell: str, line: int, text: str) -> float:
    value = finite_number(cell)
    if value is None:
        raise FileFormatError(path, f"the value {cell[:80]!r} is not a finite number", line=line, text=text)
    return value


def _check_number(path: Path, header: _Header, found: int) -> None:
    if found != header.num_entries:
        problem = f"declares {header.num_entries} entries, but {found} follow"
        raise FileFormatError(path, problem, line=header.line)


def _mirrored(path: Path, header: _Header, columns: NumberColumns) -> EdgeTable:
    """The whole matrix, of which a symmetric file gives one triangle."""
    source, target, weight, line = columns
    if header.symmetry != "general":
        _check_triangle(path, header, columns)
        off = np.flatnonzero(source != target)
        source, target = np.concatenate([source, target[off]]), np.concatenate([target, source[off]])
        if weight is not None:
            weight = np.concatenate([weight, -weight[off] if header.symmetry == "skew-symmetric" else weight[off]])
        elif header.symmetry == "skew-symmetric":
            weight = np.repeat([1.0, -1.0], [line.size, off.size])
    return EdgeTable(source, target, weight, header.num_nodes, None)


def _check_triangle(path: Path, header: _Header, columns: NumberColumns) -> None:
    source, target, _, line = columns
    diagonal: NDArray[np.int64] = np.flatnonzero(source == target)
    if header.symmetry == "skew-symmetric" and diagonal.size:
        problem = "an entry on the diagonal, which is zero in a skew-symmetric matrix"
        raise FileFormatError(path, problem, line=int(line[diagonal[0]]))
    key = np.minimum(source, target) * header.num_nodes + np.maximum(source, target)
    both = np.flatnonzero((source < target) & np.isin(key, key[source > target]))
    if both.size:
        problem = f"a {header.symmetry} matrix gives an entry and its mirror image, of which one says all"
        raise FileFormatError(path, problem, line=int(line[both[0]]))
