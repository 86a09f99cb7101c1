"""Tables of features and labels: one node a row, its name first or, without names, in the nodes' order.

Commas separate the columns of ``.csv``, tabs those of ``.tsv``, white space those of any other file;
each may be gzipped. Blank lines and lines that begin with ``#`` or ``%`` are passed over.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import sorted_names, split_cells
from gnnkit.graph.files import DEFAULT_COMMENTS, file_ending
from gnnkit.storage.text import finite_number, is_number
from gnnkit.storage.text_lines import numbered_lines

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_WHOLE_NUMBER = re.compile(r"\d{1,100}", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
_NODE_TITLES = {"node", "nodes", "name", "id", "node_id", "nodeid", "index"}
_LABEL_TITLES = {"label", "labels", "class", "target", "y"}
UNKNOWN = {"", "?", "na", "nan", "null"}  # of a cell in lower case: what is not known


class FeatureTable(NamedTuple):
    """``first`` is each row's first cell, a name or a number; ``rest`` the other columns, ``(rows, F)``.

    ``lines`` are the lines the rows stand in. ``counts`` says that the first row numbers the columns, from 0 or
    from 1: it is the node's, as far as the table can tell, but may be titles.
    """

    path: Path
    first: list[str]
    rest: npt.NDArray[np.float32]
    lines: list[int]
    counts: bool

    def has_names(self, node_names: set[str]) -> bool:
        """Whether the first column names nodes rather than being a feature.

        It does if a cell is no number, or if all are different whole numbers and at least half of the
        graph's nodes are among them; a feature hardly ever looks like that. Half, so that a table that
        leaves out a node is told so, rather than its names being taken for a feature.
        """
        if self.rest.shape[1] == 0:
            return False
        if not all(map(is_number, self.first)):
            return True
        distinct = set(self.first)
        return (
            len(distinct) == len(self.first)
            and all(map(_WHOLE_NUMBER.fullmatch, self.first))
            and 2 * len(node_names & distinct) >= len(node_names)
        )

    def values(self) -> npt.NDArray[np.float32]:
        """Every column as a feature, for a table without names."""
        column = [_number(self.path, cell, line) for cell, line in zip(self.first, self.lines, strict=True)]
        return np.concatenate([np.array(column, np.float32)[:, None], self.rest], axis=1)


class LabelTable(NamedTuple):
    """The label of each row, -1 where unknown; ``names`` is None for a table without names.

    ``counts`` says that such a table begins with 0, without titles in words: 0 may be the column's number.
    """

    path: Path
    names: list[str] | None
    y: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    lines: list[int]
    counts: bool


def read_features(path: Path) -> FeatureTable:
    """Read a table of numbers.

    The first line holds titles if there is no number behind its first cell, or that cell is ``node`` or the like.
    It does, too, if it numbers the columns as pandas does those of an array: ``,0,1`` behind an index, or ``0,1``
    (``1,2``) where no number below is written without a point.

    Raises:
        FileFormatError: At a cell that is not a finite number or a row of another length than the first.
    """
    first: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    lines: list[int] = []
    beginning, counts, whole_below = True, False, False
    for line, cells, text in _rows(path):
        if beginning:
            beginning, counts = False, _counts(cells)
            if _titles_features(cells):
                continue
        elif counts:
            whole_below = whole_below or any(map(_is_whole, cells[1:]))
        first.append(cells[0])
        rows.append(_numbers(path, cells[1:], line, text))
        lines.append(line)
    if not rows:
        raise FileFormatError(path, "no row of features")
    # A column of whole numbers below may be the nodes' names, and the first row a node's, unless it names one of them.
    names_apart = first[0] not in first[1:] and any(map(_is_whole, first[1:]))
    if counts and len(rows) > 1 and rows[0].size and not whole_below and not names_apart:
        first, rows, lines, counts = first[1:], rows[1:], lines[1:], False
    return FeatureTable(path, first, np.stack(rows), lines, counts)


def read_labels(path: Path) -> LabelTable:
    """Read a table of one label per node: ``name label``, or a label per line in the nodes' order.

    Labels are whole numbers or words; classes are numbered in their sorted order. An empty cell, ``?``, ``na``,
    ``nan`` or ``null`` is a label that is not known. Titles such as ``node,label`` are passed over.

    Raises:
        FileFormatError: At a row with more than two columns, or with another number than the first.
    """
    names: list[str] = []
    labels: list[str] = []
    lines: list[int] = []
    columns, titled = 1, False
    for line, cells, text in _rows(path):
        columns = len(cells)
        if columns > 2:
            problem = f"{columns} columns where a label has 1, or 2 with its node's name"
            raise FileFormatError(path, problem, line=line, text=text)
        if not labels and _is_title(cells):
            titled = True
            continue
        names.append(cells[0])
        labels.append(cells[-1])
        lines.append(line)
    if not labels:
        raise FileFormatError(path, "no row of labels")
    class_names = tuple(sorted_names({label for label in labels if label.lower() not in UNKNOWN}))
    number_of = {label: number for number, label in enumerate(class_names)}
    y = np.array([number_of.get(label, -1) for label in labels], dtype=np.int64)
    counts = columns == 1 and not titled and labels[0] == "0"
    return LabelTable(path, names if columns == 2 else None, y, class_names, lines, counts)


def row_of_each_name(path: Path, names: list[str], lines: list[int]) -> dict[str, int]:
    """The row that each name stands in.

    Raises:
        FileFormatError: At a name that is empty or stands there twice.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        if not name:
            raise FileFormatError(path, "a node without a name", line=lines[row])
        if name in rows:
            problem = f"the node of line {lines[rows[name]]} again"
            raise FileFormatError(path, problem, line=lines[row], text=name)
        rows[name] = row
    return rows


def _is_title(cells: list[str]) -> bool:
    titles = [cell.lower() for cell in cells]
    return titles[-1] in _LABEL_TITLES and (len(titles) == 1 or titles[0] in _NODE_TITLES)


def _titles_features(cells: list[str]) -> bool:
    # The only cell of a line is a title, too, if it stands on top and is no number.
    behind = cells[1:] or cells
    of_index = not cells[0] and _counts(cells[1:])  # as pandas titles the columns behind its index
    return of_index or cells[0].lower() in _NODE_TITLES or not any(map(is_number, behind))


def _counts(cells: list[str]) -> bool:
    return cells in ([str(column + start) for column in range(len(cells))] for start in (0, 1))


def _is_whole(cell: str) -> bool:
    return cell.lstrip("+-").isdigit()


def _rows(path: Path) -> Iterator[tuple[int, list[str], str]]:
    """Yield line number, cells and text of each row, all with as many cells as the first."""
    delimiter = _DELIMITERS.get(file_ending(path))
    columns = None
    for line, text in numbered_lines(path):
        if not text.strip() or text.lstrip().startswith(DEFAULT_COMMENTS):
            continue
        try:
            cells = split_cells(text, delimiter)
        except csv.Error as error:
            raise FileFormatError(path, f"broken quotes ({error})", line=line, text=text) from error
        if columns is not None and len(cells) != columns:
            problem = f"{len(cells)} columns where the first row has {columns}"
            raise FileFormatError(path, problem, line=line, text=text)
        columns = len(cells)
        yield line, [cell.strip() for cell in cells], text


def _numbers(path: Path, cells: list[str], line: int, text: str) -> npt.NDArray[np.float32]:
    try:
        # float() also takes "1_000", "nan" and digits of other scripts; such lines go cell by cell.
        plain = text.isascii() and "_" not in text
        row = np.array(list(map(float, cells)) if plain else [], dtype=np.float64)
    except ValueError:
        plain = False
    if not plain or not (np.abs(row) <= _LARGEST).all():
        row = np.array([_number(path, cell, line) for cell in cells], dtype=np.float64)
    return row.astype(np.float32)


def _number(path: Path, cell: str, line: int) -> float:
    value = finite_number(cell)
    if value is None or abs(value) > _LARGEST:
        raise FileFormatError(path, "not a finite number", line=line, text=cell)
    return value
