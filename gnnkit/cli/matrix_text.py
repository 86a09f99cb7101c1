"""A small matrix as a textbook prints it: names at the side and on top, columns aligned."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from gnnkit.storage.text import printable

_MAX_NAME_CELLS = 12


def matrix_text(matrix: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Lay out a matrix: whole numbers as such, others with four decimals, zeros as 0.

    Example:
        >>> print(matrix_text([[0, 1], [0.5, 0]], ["a", "bee"]))
                 a     bee
          a      0  1.0000
        bee 0.5000       0
    """
    whole = all(entry == int(entry) for row in matrix for entry in row)
    cells = [[_entry(entry, whole) for entry in row] for row in matrix]
    short = [_shortened(printable(name)) for name in names]
    widths = [max([cell_len(name), *(len(row[column]) for row in cells)]) for column, name in enumerate(short)]
    side = max(map(cell_len, short), default=0)
    lines = [[" " * side, *(_right(name, width) for name, width in zip(short, widths, strict=True))]]
    for name, row in zip(short, cells, strict=True):
        lines.append([_right(name, side), *(_right(cell, width) for cell, width in zip(row, widths, strict=True))])
    return "\n".join(" ".join(line) for line in lines)


def _entry(entry: float, whole: bool) -> str:
    if entry == 0:
        return "0"
    return str(int(entry)) if whole else f"{entry:.4f}"


def _shortened(name: str) -> str:
    return name if cell_len(name) <= _MAX_NAME_CELLS else set_cell_size(name, _MAX_NAME_CELLS - 1) + "…"


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text
