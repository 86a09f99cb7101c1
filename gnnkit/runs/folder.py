"""A run folder: everything one training job leaves behind, and what resuming it needs.

runs/gcn-cora-001/
run.json        what this folder is: format version, kind of job, environment
config.toml     every setting, resolved
metrics.csv     one row per evaluation
checkpoint.pt   model, optimiser and random state
summary.json    the result
report.md, *.png
seed-0/ ...     for several runs: one such folder each, below one summary.json
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gnnkit.errors import FileFormatError, RunError
from gnnkit.runs.checkpoint import load_checkpoint, save_checkpoint
from gnnkit.runs.config import read_config, write_config
from gnnkit.runs.lock import LOCK_NAME, FolderLock
from gnnkit.storage.atomic import atomic_write, is_temporary, remove_temporary_files
from gnnkit.storage.json_files import read_json, write_json
from gnnkit.storage.text import shown

RECORD_NAME, CONFIG_NAME = "run.json", "config.toml"
FORMAT = "gnnkit run"
FORMAT_VERSION = 1

ConfigT = TypeVar("ConfigT")

_locked: list[Path] = []  # the folders that this process is at work in, outermost first
_outermost: Path | None = None


def outermost_folder() -> Path | None:
    """The run folder of the job that this process is at, or was at last: what ctrl-C's ``--resume`` names."""
    return _outermost


def _note_locked(path: Path) -> None:
    global _outermost
    if not _locked:
        _outermost = path
    _locked.append(path)


class RunFolder:
    """One run's folder; made by `create`, `resume`, `create_or_resume` (locked) or `open` (to read).

    Use it as a context manager, or call `close`: that releases the lock.

    Attributes:
        path: The folder.
        kind: The kind of job (``"nodes"``, ``"sequence"``, ...), as its creator named it.
        environment: Versions, threads, device, machine, as recorded at creation.
    """

    def __init__(self, path: Path, record: Mapping[str, Any], lock: FolderLock | None) -> None:
        self.path = path
        self.kind = str(record["kind"])
        self.environment: dict[str, Any] = dict(record["environment"])
        self._lock = lock
        if lock is not None:
            _note_locked(path)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        kind: str,
        name: str = "run",
        root: str | os.PathLike[str] = "runs",
        environment: Mapping[str, Any] | None = None,
        config: Any = None,
        files: Mapping[str, str] | None = None,
    ) -> RunFolder:
        """A new run folder, locked: ``path``, or ``root/name-001`` and onwards when that is None.

        It is made whole, so that it can be resumed, or not at all: after an error or ctrl-C nothing is left of
        it. What `kill -9` leaves of one, the next creation in that place takes over.

        Args:
            path: Where; None for a fresh number.
            kind: Of job.
            name: Of a numbered folder.
            root: Of numbered folders.
            environment: `gnnkit.runs.environment`'s record.
            config: A dataclass for ``config.toml``; None where the folder above has it.
            files: Names and texts of further files that resuming needs.

        Raises:
            RunError: If ``path`` holds anything already (nothing is ever overwritten), or another
                process is just creating it.
            OSError: If the folder cannot be made.
        """
        existed = path is not None and Path(path).is_dir()
        unfinished = frozenset() if config is None else frozenset({RECORD_NAME, *(files or {})})
        folder = _numbered_folder(Path(root), name) if path is None else _named_folder(Path(path), unfinished)
        record = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "kind": kind,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "environment": dict(environment or {}),
        }
        with _removed_on_error(*([] if existed else [folder])):
            lock = FolderLock(folder)
            try:
                _refuse_unless_empty(folder, unfinished)  # again, now that nobody else can fill it
                with _removed_on_error(folder / RECORD_NAME, *(folder / each for each in files or {})):
                    remove_temporary_files(folder)
                    write_json(folder / RECORD_NAME, record)
                    for each, text in (files or {}).items():
                        atomic_write(folder / each, text)
                    with _removed_on_error(folder / CONFIG_NAME):
                        if config is not None:
                            write_config(folder / CONFIG_NAME, config)  # last: now the folder can be resumed
                        return cls(folder, record, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run folder, to read from: not locked, so a run in progress can be looked at.

        Raises:
            RunError: If it is not a run folder, or its format is not known here.
        """
        folder = Path(path)
        return cls(folder, _read_record(folder), lock=None)

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run folder, locked, to go on writing; what a killed process left half-written is removed.

        Raises:
            RunError: As `open`; also if another process is at work in it.
        """
        folder = Path(path)
        _read_record(folder)
        lock = FolderLock(folder)
        try:
            remove_temporary_files(folder)
            return cls(folder, _read_record(folder), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def create_or_resume(
        cls, path: str | os.PathLike[str], *, kind: str, environment: Mapping[str, Any] | None = None
    ) -> RunFolder:
        """`resume` where there is a run, else `create`: for the seeds of a run of many that was interrupted."""
        if (Path(path) / RECORD_NAME).exists():
            return cls.resume(path)
        return cls.create(path, kind=kind, environment=environment)

    def close(self) -> None:
        """Release the lock, if this folder holds one."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            _locked.remove(self.path)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r}, kind={self.kind!r})"

    # Where things are.

    @property
    def metrics_path(self) -> Path:
        """``metrics.csv``, for `MetricsLog` and `read_metrics`."""
        return self.path / "metrics.csv"

    @property
    def checkpoint_path(self) -> Path:
        """``checkpoint.pt``."""
        return self.path / "checkpoint.pt"

    def seed_path(self, seed: int) -> Path:
        """The folder of one seed below this one."""
        return self.path / f"seed-{seed}"

    def seed_paths(self) -> list[Path]:
        """The folders of the seeds begun so far, by number; empty for a single run."""
        found = {
            int(match[1]): entry
            for entry in self.path.iterdir()
            if (match := re.fullmatch(r"seed-([0-9]{1,18})", entry.name)) and (entry / RECORD_NAME).is_file()
        }
        return [found[seed] for seed in sorted(found)]

    # What it holds.

    def write_config(self, config: Any) -> None:
        """Write a configuration dataclass as ``config.toml``."""
        write_config(self.path / CONFIG_NAME, config)

    def read_config(self, cls: type[ConfigT]) -> ConfigT:
        """``config.toml`` as a ``cls``. Raises FileFormatError, or RunError where it is missing."""
        path = self.path / CONFIG_NAME
        if not path.exists():
            raise RunError(
                f"the run folder {self.path} has no config.toml: it ended before training began; train into it anew"
            )
        return read_config(path, cls)

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replace ``checkpoint.pt``, atomically; see `gnnkit.runs.save_checkpoint`."""
        save_checkpoint(self.checkpoint_path, state)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The state last saved, or None if the run ended before its first checkpoint."""
        try:
            return load_checkpoint(self.checkpoint_path)
        except FileNotFoundError:
            return None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json`` (NaN becomes null)."""
        write_json(self.path / "summary.json", dict(summary))

    def read_summary(self) -> dict[str, Any] | None:
        """``summary.json``, or None if the run has not finished."""
        try:
            return read_json(self.path / "summary.json")
        except FileNotFoundError:
            return None


def _numbered_folder(root: Path, name: str) -> Path:
    """Make and return ``root/name-NNN``, one above the highest number there."""
    # A name may come from a data set's path: what is not plain becomes a dash.
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "run"
    root.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(plain) + r"-([0-9]{3,9})")
    taken = [int(match[1]) for entry in root.iterdir() if (match := pattern.fullmatch(entry.name))]
    number = max(taken, default=0)
    while True:
        number += 1
        folder = root / f"{plain}-{number:03d}"
        try:
            folder.mkdir()  # fails for all but one of two processes asking at once
        except FileExistsError:
            continue
        return folder


def _named_folder(path: Path, unfinished: frozenset[str]) -> Path:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file, so it cannot be a run folder; choose another folder with --out")
    path.mkdir(parents=True, exist_ok=True)
    _refuse_unless_empty(path, unfinished)
    return path


def _refuse_unless_empty(folder: Path, unfinished: frozenset[str]) -> None:
    # What a process killed during creation leaves is not content: its lock, a temporary file, and a record of
    # ours (it is the first file) without the configuration, which is the last.
    content = {entry.name for entry in folder.iterdir() if entry.name != LOCK_NAME and not is_temporary(entry)}
    if content and not (RECORD_NAME in content and content <= unfinished and _is_record_of_ours(folder)):
        raise RunError(
            f"the folder {folder} exists and is not empty, and a run never overwrites one; "
            "continue that run with --resume, or choose another folder with --out"
        )


def _is_record_of_ours(folder: Path) -> bool:
    try:
        _read_record(folder)
    except RunError:
        return False
    return True


@contextmanager
def _removed_on_error(*paths: Path) -> Iterator[None]:
    """Delete these files, and folders if they are empty, when the block raises."""
    try:
        yield
    except BaseException:
        for path in paths:
            with suppress(OSError):  # the error that brought us here matters more
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD_NAME
    try:
        record = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        why = "it has no run.json" if folder.is_dir() else "there is no such folder"
        raise RunError(f"{folder} is not a run folder ({why}); give the folder that a training run printed") from None
    except FileFormatError as error:
        raise RunError(f"the run folder {folder} is damaged: {error}") from error
    if record.get("format") != FORMAT:
        raise RunError(f"{path} says format {shown(record.get('format'))}, not {FORMAT!r}: not a run folder of gnnkit")
    if record.get("version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} has run format {shown(record.get('version'))}; this gnnkit reads format {FORMAT_VERSION}: "
            "use the gnnkit that wrote it (run.json names its version), or train again into another folder"
        )
    kind = record.get("kind")
    named = isinstance(kind, str) and kind.isprintable() and len(kind) <= 100
    if not named or not isinstance(record.get("environment"), dict):
        raise RunError(f"the run folder {folder} is damaged: {path} lacks the kind of run or its environment")
    return record
