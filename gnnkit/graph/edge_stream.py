"""Edge lists of any length, read in pieces: what a conversion takes, and where it goes on after a crash.

Files of whole numbers are parsed at numpy's speed; where a block holds anything else, comments say, it is
read line by line. A name that is no whole number turns the whole file into one of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnkit.errors import FileFormatError
from gnnkit.graph.edge_list import EdgeListFormat, EdgeListReader
from gnnkit.graph.integer_edge_list import parsed_block, preamble, reads_numbers, whole_line_blocks
from gnnkit.storage.text_lines import MAX_LINE_BYTES, decoded, open_unpacked

_USUAL_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)


class NotNumbersError(Exception):
    """A node's name is no whole number in its usual spelling: the file must be read as one of names."""


@dataclass
class Position:
    """How far a file has been read.

    Attributes:
        offset: Bytes, unpacked, from behind a byte order mark.
        lines: Lines.
        columns: Of every edge; 0 before the first.
    """

    offset: int = 0
    lines: int = 0
    columns: int = 0


class EdgePart(NamedTuple):
    """Edges as they stand in the file, by whole number or by the number of their names."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64] | None


@dataclass
class EdgeStream:
    """Reads an edge list from a position on, in parts of about ``at_once`` edges.

    Attributes:
        path: The file.
        form: How it is written.
        at_once: Edges per part; a part has a few more.
        position: Behind the last part that was handed out.
        names: The names of a file of names, in the order in which they first occur; grows while reading.
    """

    path: Path
    form: EdgeListFormat
    at_once: int
    position: Position = field(default_factory=Position)
    names: dict[str, int] = field(default_factory=dict)
    _title_may_come: bool = False

    def numbers(self) -> Iterator[EdgePart]:
        """The parts of a file of whole numbers.

        Raises:
            NotNumbersError: If it is none; nothing may be kept of what came before.
            FileFormatError: If it is no edge list; the message names the line.
        """
        if not reads_numbers(self.form):
            raise NotNumbersError
        found: list[EdgePart] = []
        for lines_before, block in self._blocks():
            columns = parsed_block(block, self.form, lines_before)
            if columns is None:
                part = self._careful_numbers(block, lines_before)
            else:
                part = EdgePart(columns.first, columns.second, columns.weight)
            width = 2 if part.weight is None else 3
            if part.source.size and self.position.columns not in (0, width):
                self._careful_numbers(block, lines_before)  # knows the line where the number of columns changes
            if part.source.size:
                self.position.columns = width
                found.append(part)
            if sum(each.source.size for each in found) >= self.at_once:
                yield _joined(found)
                found = []
        if found:
            yield _joined(found)

    def named(self) -> Iterator[EdgePart]:
        """The parts of a file of names, numbered in the order in which they first occur.

        Raises:
            FileFormatError: If it is no edge list; the message names the line.
        """
        reader = self._reader()
        reader.number_of = self.names
        is_first = self.position.lines == 0
        for lines_before, block in self._blocks():
            self._take(reader, block, lines_before)
            if len(reader.line) >= self.at_once:
                if is_first:
                    reader.refuse_possible_header()
                is_first = False
                yield self._flushed(reader)
        if is_first:
            reader.refuse_possible_header()
        if reader.line:
            yield self._flushed(reader)

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, with the number of lines before; the position is behind them when they have been used."""
        with open_unpacked(self.path) as stream:
            counted, rest = _Counted(stream), b""
            if self.position.offset:
                counted.skip(self.position.offset)
            else:
                # Titles and comments go to the careful reader only where they are not plain.
                self.position.lines, rest = preamble(counted, self.form)  # type: ignore[arg-type]
                self.position.offset = counted.count - len(rest)
                # A plain line is no title: titles that are plain were passed over just now.
                self._title_may_come = b'"' in rest or b"\x00" in rest or not rest.isascii()
            for block in whole_line_blocks(counted, rest):  # type: ignore[arg-type]
                if block == b"\x00":
                    line = self.position.lines + 1
                    raise FileFormatError(self.path, f"longer than {MAX_LINE_BYTES} bytes; no edge list", line=line)
                lines_before = self.position.lines
                self.position.offset += len(block)
                self.position.lines += block.count(b"\n")
                yield lines_before, block

    def _reader(self) -> EdgeListReader:
        reader = EdgeListReader(self.path, self.form)
        reader.columns = self.position.columns or None
        reader.header_may_come = reader.header_may_come and not self.position.columns
        return reader

    def _take(self, reader: EdgeListReader, block: bytes, lines_before: int) -> None:
        reader.header_may_come = reader.header_may_come and self._title_may_come
        for number, raw in enumerate(block.split(b"\n")[:-1], start=lines_before + 1):
            reader.take(number, decoded(self.path, raw, number).rstrip("\r\n"))

    def _careful_numbers(self, block: bytes, lines_before: int) -> EdgePart:
        reader = self._reader()
        self._take(reader, block, lines_before)
        if not all(_USUAL_NUMBER.fullmatch(name) for name in reader.number_of):
            raise NotNumbersError
        number = np.array([int(name) for name in reader.number_of], dtype=np.int64)
        part = self._flushed(reader)
        return part._replace(source=number[part.source], target=number[part.target])

    def _flushed(self, reader: EdgeListReader) -> EdgePart:
        self.position.columns = reader.columns or 0
        weight = np.array(reader.weight) if reader.columns == 3 else None
        part = EdgePart(np.array(reader.source, dtype=np.int64), np.array(reader.target, dtype=np.int64), weight)
        for column in (reader.source, reader.target, reader.weight, reader.line):
            column.clear()
        return part


class _Counted:
    """A stream that knows how many bytes were taken from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.count = stream, 0

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self.count += len(block)
        return block

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(limit)
        self.count += len(line)
        return line

    def skip(self, size: int) -> None:
        while self.count < size and self.read(min(size - self.count, 1 << 22)):
            pass


def _joined(parts: list[EdgePart]) -> EdgePart:
    weights = [part.weight for part in parts if part.weight is not None]
    return EdgePart(
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.target for part in parts]),
        np.concatenate(weights) if weights else None,
    )
