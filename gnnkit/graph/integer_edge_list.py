"""Edge lists of whole numbers at numpy's speed; anything unusual is declined, not judged.

The result is :func:`gnnkit.graph.edge_list.read_edge_rows`'s to the last bit, or ``None``: then
that reader takes the file and names what is wrong with it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import EdgeListFormat, EdgeRows, is_header, split_cells
from gnnkit.storage.text_lines import MAX_LINE_BYTES, open_unpacked

_BLOCK_BYTES = 1 << 23
_MAX_DIGITS = 18  # 10^18 - 1 fits an int64
_NEWLINE, _MINUS, _ZERO = 10, 45, 48
_DIGITS = b"0123456789-"
_BLANKS = b" \t\r\n"


class NumberColumns(NamedTuple):
    """Lines of two whole numbers, a third number where there is one, and the line each stands in."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float64] | None
    line: NDArray[np.int64]


def read_integer_edge_rows(path: Path, form: EdgeListFormat) -> EdgeRows | None:
    """Read an edge list whose names are whole numbers in their usual spelling; ``None`` if it is not one."""
    if not reads_numbers(form):
        return None
    try:
        with open_unpacked(path) as stream:
            lines_before, rest = preamble(stream, form)
            columns = read_number_columns(stream, rest, form, lines_before)
    except FileFormatError:
        return None  # the careful reader meets the same fault, and knows its line
    if columns is None:
        return None
    source, target, weight, line = columns
    ids, rows = np.unique(np.concatenate([source, target]), return_inverse=True)
    return EdgeRows(
        source=rows[: source.size],
        target=rows[source.size :],
        weight=weight,
        line=line,
        node_names=tuple(map(str, ids.tolist())),
    )


def reads_numbers(form: EdgeListFormat) -> bool:
    """Whether a file so written can be read here, if it holds numbers."""
    if form.delimiter is not None and form.delimiter not in (",", ";", "\t", " ", "|", ":"):
        return False
    # Else a comment could look like an edge.
    return not any(prefix[:1].encode() in _DIGITS + _BLANKS + b".eE+" for prefix in form.comments)


def read_number_columns(stream: BinaryIO, rest: bytes, form: EdgeListFormat, lines_before: int) -> NumberColumns | None:
    """Read ``rest`` and what follows it in ``stream`` as lines of two whole numbers and perhaps a number.

    ``None`` if there is anything else, comments included, or nothing at all.

    Raises:
        FileFormatError: If the stream is a damaged gzip file or a bomb.
    """
    blocks: list[NumberColumns] = []
    for block in whole_line_blocks(stream, rest):
        columns = parsed_block(block, form, lines_before)
        if columns is None:
            return None
        lines_before += block.count(b"\n")
        if columns.line.size:
            if blocks and (columns.weight is None) != (blocks[0].weight is None):
                return None
            blocks.append(columns)
    if not blocks:
        return None
    weights = [block.weight for block in blocks if block.weight is not None]
    return NumberColumns(
        np.concatenate([block.first for block in blocks]),
        np.concatenate([block.second for block in blocks]),
        np.concatenate(weights) if weights else None,
        np.concatenate([block.line for block in blocks]),
    )


def preamble(stream: BinaryIO, form: EdgeListFormat) -> tuple[int, bytes]:
    """Pass comments and a header; return how many lines went by and the first line that is neither."""
    passed, header_may_come = 0, form.header is not False
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        text = raw.decode("ascii", "replace").rstrip("\r\n")
        blank = not text.strip() or text.lstrip().startswith(form.comments)
        if not blank:
            plain = '"' not in text and raw.isascii() and b"\x00" not in raw
            if not (header_may_come and plain and (form.header or is_header(split_cells(text, form.delimiter)))):
                return passed, raw
            header_may_come = False
        elif not raw.isascii() or b"\x00" in raw or len(raw) > MAX_LINE_BYTES:
            return passed, raw  # a comment to be checked as UTF-8; no digit line, so the block is declined
        passed += 1
    return passed, b""


def whole_line_blocks(stream: BinaryIO, rest: bytes) -> Iterator[bytes]:
    """Yield the stream in blocks that end with a line."""
    while block := stream.read(_BLOCK_BYTES):
        block = rest + block
        end = block.rfind(b"\n") + 1
        rest = block[end:]
        if len(rest) > MAX_LINE_BYTES:
            yield b"\x00"  # declined by whoever parses it
            return
        if end:
            yield block[:end]
    if rest:
        yield rest + b"\n"


def parsed_block(block: bytes, form: EdgeListFormat, lines_before: int) -> NumberColumns | None:
    """Parse whole lines into columns; ``None`` where a line is not two whole numbers [and a number]."""
    delimiter = (form.delimiter or "").encode()
    if block.translate(None, _DIGITS + _BLANKS + delimiter + b".eE+"):
        return None
    text = np.frombuffer(block, dtype=np.uint8)
    newline = np.flatnonzero(text == _NEWLINE)
    if np.diff(newline, prepend=-1).max() > MAX_LINE_BYTES:
        return None
    blank = np.isin(text, np.frombuffer(_BLANKS + delimiter, dtype=np.uint8))
    edges_of_tokens = np.flatnonzero(np.diff(blank, prepend=True, append=True))
    start, end = edges_of_tokens[::2], edges_of_tokens[1::2]
    line_of_token = np.searchsorted(newline, start)
    if start.size == 0:
        nothing = np.empty(0, dtype=np.int64)
        return NumberColumns(nothing, nothing, None, nothing)
    per_line = np.bincount(line_of_token)
    per_line = per_line[per_line > 0]
    columns = int(per_line[0])
    if (
        columns not in (2, 3)
        or (per_line != columns).any()
        or (form.weighted is not None and columns != 2 + form.weighted)
    ):
        return None
    if delimiter and not _one_delimiter_between(text == delimiter[0], start, columns):
        return None
    start, end = start.reshape(-1, columns), end.reshape(-1, columns)
    ids = _whole_numbers(text, start[:, :2].ravel(), end[:, :2].ravel())
    weight = _numbers(text, start[:, 2], end[:, 2]) if columns == 3 else None
    if ids is None or (columns == 3 and weight is None):
        return None
    return NumberColumns(ids[::2], ids[1::2], weight, line_of_token[::columns] + (lines_before + 1))


def _one_delimiter_between(is_delimiter: NDArray[np.bool_], start: NDArray[np.int64], columns: int) -> bool:
    """Whether delimiters stand once between the tokens of a line and nowhere else."""
    before = np.cumsum(is_delimiter)[start].reshape(-1, columns)
    expected = np.arange(before.size).reshape(-1, columns) - np.arange(len(before))[:, None]
    return bool((before == expected).all()) and int(is_delimiter.sum()) == len(before) * (columns - 1)


def _whole_numbers(
    text: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The numbers at these places; ``None`` if one is spelled like ``01``, ``+1``, ``-0`` or ``1.0``."""
    negative = text[start] == _MINUS
    first = start + negative
    width = end - first
    leading_zero = (text[np.minimum(first, end - 1)] == _ZERO) & ((width > 1) | negative)
    if (width < 1).any() or (width > _MAX_DIGITS).any() or leading_zero.any():
        return None
    value = np.zeros(start.size, dtype=np.int64)
    for place in range(int(width.max())):
        inside = place < width
        digit = text[np.minimum(first + place, end - 1)].astype(np.int64) - _ZERO
        if ((digit < 0) | (digit > 9))[inside].any():
            return None
        value = np.where(inside, value * 10 + digit, value)
    return np.where(negative, -value, value)


def _numbers(text: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The finite decimal numbers that stand at these places; ``None`` if one is none."""
    width = int((end - start).max())
    if width > 32:
        return None
    places = start[:, None] + np.arange(width)
    inside = places < end[:, None]
    characters = np.where(inside, text[np.minimum(places, end[:, None] - 1)], 0).astype(np.uint8)
    try:
        values = np.ascontiguousarray(characters).view(f"S{width}").ravel().astype(np.float64)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
