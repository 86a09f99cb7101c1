"""Matrix Market files, ``.mtx``: entry i j is the edge from node i - 1 to node j - 1.

Reference: Boisvert, Pozo & Remington, "The Matrix Market Exchange Formats: Initial Design",
NISTIR 5935, 1996.
"""

import io
from pathlib import Path

import numpy as np

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_table import EdgeTable, too_many_nodes
from gnnkit.graph.text_lines import MAX_LINE_BYTES, decoded, open_unpacked

_FORMATS = ("coordinate", "array")
_FIELDS = ("real", "double", "integer", "pattern")
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")


def read_matrix_market(path: Path) -> EdgeTable:
    """Read a square matrix of any symmetry; repeated entries are summed, as scipy does; nodes have no names.

    Raises:
        FileFormatError: If it is damaged, complex, not square, holds NaN or infinity, or declares
            more than its bytes can hold (found before any memory is spent on it).
    """
    with open_unpacked(path) as stream:
        content = stream.read()
    num_nodes = _checked_size(path, content)
    from scipy.io import mmread
    from scipy.sparse import coo_array

    try:
        matrix = coo_array(mmread(io.BytesIO(content), spmatrix=False))
    except (ValueError, OverflowError) as error:
        raise FileFormatError(path, f"not a Matrix Market file ({error})") from error
    if not np.isfinite(matrix.data).all():
        worst = int(np.flatnonzero(~np.isfinite(matrix.data))[0])
        place = f"row {matrix.row[worst] + 1}, column {matrix.col[worst] + 1}"
        raise FileFormatError(path, f"the entry at {place} is {matrix.data[worst]}, not a finite number")
    matrix.sum_duplicates()
    return EdgeTable(
        source=matrix.row.astype(np.int64),
        target=matrix.col.astype(np.int64),
        weight=matrix.data.astype(np.float64),
        num_nodes=num_nodes,
        node_names=None,
    )


def _checked_size(path: Path, content: bytes) -> int:
    """The number of nodes that the first lines declare, once they are known to be possible."""
    stream = io.BytesIO(content)
    banner = decoded(path, stream.readline(MAX_LINE_BYTES), 1)
    words = banner.lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        problem = "the first line must read '%%MatrixMarket matrix <format> <field> <symmetry>'"
        raise FileFormatError(path, problem, line=1, text=banner.rstrip())
    for word, known in zip(words[2:], (_FORMATS, _FIELDS, _SYMMETRIES), strict=True):
        if word not in known:
            raise FileFormatError(path, f"{word[:80]!r} is none of {', '.join(known)}", line=1)
    line = 1
    while raw := stream.readline(MAX_LINE_BYTES):
        line += 1
        text = decoded(path, raw, line).strip()
        if text and not text.startswith("%"):
            break
    else:
        raise FileFormatError(path, "ends before the line with the matrix's size")
    is_coordinate = words[2] == "coordinate"
    cells = text.split()
    if len(cells) != 2 + is_coordinate or not all(cell.isascii() and cell.isdigit() for cell in cells):
        problem = "the size must be rows and columns" + " and entries" * is_coordinate
        raise FileFormatError(path, problem + ", whole numbers", line=line, text=text)
    if max(map(len, cells)) > 18:
        raise FileFormatError(path, "a size that no file can have", line=line, text=text)
    rows, columns, *declared = map(int, cells)
    if rows != columns:
        raise FileFormatError(path, f"{rows} x {columns} is not square, so no adjacency matrix", line=line)
    # Each entry takes at least "1 1\n" (or "1\n" where every entry of the matrix is listed).
    triangle = rows * (rows - 1) // 2
    entries, shortest = (declared[0], 4) if is_coordinate else (triangle, 2)
    left = len(content) - stream.tell()
    if entries * shortest > left + 1:
        problem = f"declares {entries} entries or more, but only {left} bytes follow"
        raise FileFormatError(path, problem, line=line, text=text)
    problem_of_size = too_many_nodes(rows, entries)
    if problem_of_size is not None:
        raise FileFormatError(path, problem_of_size, line=line)
    return rows
