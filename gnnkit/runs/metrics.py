"""``metrics.csv``: one row per evaluation, exact, and after a resume as if nothing had happened."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gnnkit.errors import FileFormatError
from gnnkit.storage.atomic import atomic_write, write_all
from gnnkit.storage.reading import read_regular

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LIMIT = 2**30


class MetricsLog:
    """Rows wait in memory until `flush`; call that before each checkpoint is saved.

    So the file never lags behind the checkpoint, and `resume` cuts off what the interrupted process
    wrote beyond it: an interrupted and resumed run ends with the bytes of an uninterrupted one, as
    long as no column holds wall time.

    Args:
        path: The file; a new one gets its header at once.
        columns: Names, the first being the step (``"epoch"``, ``"step"``).

    Raises:
        ValueError: If columns repeat.
        OSError: Naming the file.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self._set(path, columns)
        atomic_write(path, _csv_line(self.columns))

    def _set(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        if not columns or len(set(columns)) != len(columns):
            raise ValueError(f"columns must be given and all different, got {list(columns)}")
        self.path = Path(path)
        self.columns = tuple(columns)
        self._pending: list[str] = []

    @classmethod
    def resume(cls, path: str | os.PathLike[str], columns: Sequence[str], *, last_step: int) -> MetricsLog:
        """Go on after ``last_step``, the checkpoint's: later rows are cut off, also one half-written.

        Raises:
            FileFormatError: If the file has other columns, or a row's step is not a number.
            OSError: If it cannot be read or written.
        """
        log = cls.__new__(cls)
        log._set(path, columns)
        lines = _text(log.path).splitlines(keepends=True)
        header = _csv_line(log.columns)
        if not lines or lines[0] != header:
            first = lines[0].strip() if lines else ""
            raise FileFormatError(path, f"should begin with {header.strip()!r}", line=1, text=first)
        kept = [header]
        for number, line in enumerate(lines[1:], start=2):
            if not line.endswith("\n"):  # the last one, cut short by a kill
                break
            if _step(log.path, number, line) > last_step:
                break
            kept.append(line)
        if len(kept) < len(lines):
            atomic_write(path, "".join(kept))
        return log

    def append(self, step: int, values: Mapping[str, float | int | None]) -> None:
        """Add a row; a column without a value, or with None, stays empty.

        Raises:
            ValueError: If ``values`` has a name that is not a column.
        """
        if unknown := values.keys() - set(self.columns[1:]):
            raise ValueError(f"{sorted(unknown)} are not among the columns {list(self.columns)}")
        cells = [_cell(values.get(name)) for name in self.columns[1:]]
        self._pending.append(_csv_line([str(int(step)), *cells]))

    def flush(self) -> None:
        """Bring all rows to the disk.

        Raises:
            OSError: Naming the file; the rows written before are intact, those waiting still wait.
        """
        if not self._pending:
            return
        raw = "".join(self._pending).encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    write_all(descriptor, raw)
                    os.fsync(descriptor)
                except BaseException:
                    os.ftruncate(descriptor, size)  # no half row, and none twice when flushed again
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OSError(error.errno, f"cannot write the file ({error.strerror})", str(self.path)) from error
        self._pending.clear()


def read_metrics(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Every column of a metrics file, by name, empty cells as NaN; a last row cut short is left out.

    Raises:
        FileFormatError: If a row has too few or too many cells or one is not a number.
        OSError: If the file cannot be opened.
    """
    import numpy as np

    path = Path(path)
    text = _text(path)
    whole = text[: text.rfind("\n") + 1]
    try:
        rows = list(csv.reader(io.StringIO(whole), strict=True))
    except csv.Error as error:
        raise FileFormatError(path, f"is not CSV ({error})") from error
    if not rows or not rows[0] or len(set(rows[0])) != len(rows[0]):
        raise FileFormatError(path, "has no header of distinct names", line=1)
    values = np.empty((len(rows) - 1, len(rows[0])))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise FileFormatError(path, f"{len(row)} cells below {len(rows[0])} names", line=number)
        for column, cell in enumerate(row):
            try:
                values[number - 2, column] = float(cell) if cell else math.nan
            except ValueError:
                raise FileFormatError(path, "not a number", line=number, text=cell) from None
    return dict(zip(rows[0], values.T, strict=True))


def _text(path: Path) -> str:
    raw = read_regular(path, limit=_LIMIT)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"is not UTF-8 text ({error})") from error


def _step(path: Path, number: int, line: str) -> int:
    try:
        return int(line.split(",", 1)[0])
    except ValueError:
        raise FileFormatError(path, "does not begin with a whole number", line=number, text=line.strip()) from None


def _cell(value: float | int | None) -> str:
    # repr() of a float reads back as the same float; float() first turns numpy's into Python's.
    return "" if value is None else str(value) if type(value) is int else repr(float(value))


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
