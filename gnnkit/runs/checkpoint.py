"""Checkpoints that are always readable and never run code.

Written with `atomic_write`; read with ``torch.load(weights_only=True)`` after the archive's own
checksums, which torch writes but does not check: a flipped bit would otherwise load as a weight.
"""

from __future__ import annotations

import io
import os
import pickletools
import re
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from gnnkit.errors import FileFormatError
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.reading import read_regular
from gnnkit.storage.text import shown

FORMAT = "gnnkit checkpoint"
FORMAT_VERSION = 1

# All that the pickle inside a checkpoint of ours names.
_HARMLESS = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage|torch\.storage UntypedStorage"
    r"|torch Size|collections OrderedDict"
)


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at ``path`` with ``state``: tensors, numbers, strings, None, and lists,
    tuples and dicts of them.

    Raises:
        TypeError: Naming the entry, if ``state`` holds anything else, which could not be read back.
        OSError: Naming ``path``; the older checkpoint is intact then.
    """
    import torch

    _refuse_unless_plain(state, "state")
    # Through memory: torch turns a full disk into a RuntimeError that does not name the file.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": FORMAT_VERSION, "state": dict(state)}, buffer)
    atomic_write(path, buffer.getvalue())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, its tensors on the CPU.

    Raises:
        FileFormatError: If the file is damaged, of another kind or of an unknown version. Nothing
            in the file is executed.
        OSError: If it cannot be opened.
    """
    # Read once: the writer may replace the file between the check and the loading.
    return checkpoint_from_bytes(read_regular(path), path)


def checkpoint_from_bytes(raw: bytes, path: object) -> dict[str, Any]:
    """The state in the bytes of a checkpoint, which came from ``path``.

    Raises:
        FileFormatError: As `load_checkpoint`.
    """
    import torch

    try:
        _check_archive(path, raw)
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except FileFormatError:
        raise
    except Exception as error:  # a mutated file meets any check of zipfile's and torch's
        first = str(error).partition("\n")[0]
        problem = f"cannot be read as a checkpoint ({type(error).__name__})"
        raise FileFormatError(path, problem, text=first) from error
    if not isinstance(content, dict) or type(content.get("format")) is not str or content["format"] != FORMAT:
        raise FileFormatError(path, "is not a checkpoint of a gnnkit run")
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise FileFormatError(
            path,
            f"has checkpoint format {shown(version)}; this gnnkit reads format {FORMAT_VERSION}: "
            "use the gnnkit that wrote it, or train again",
        )
    state = content.get("state")
    if not isinstance(state, dict):
        raise FileFormatError(path, "is a checkpoint without a state")
    return state


class CheckpointTimer:
    """Says when the next checkpoint is due: epochs take milliseconds, so they are written by the clock.

    Example:
        >>> seconds = iter([0, 4, 11, 12, 15])
        >>> timer = CheckpointTimer(interval=10, clock=lambda: next(seconds))
        >>> timer.due(), timer.due()
        (False, True)
        >>> timer.restart()  # after the checkpoint is written, however long that took
        >>> timer.due()
        False
    """

    def __init__(self, interval: float = 10.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval = interval
        self._clock = clock
        self._last = clock()

    def due(self) -> bool:
        """Whether ``interval`` seconds have passed since the start or the last `restart`."""
        return self._clock() - self._last >= self.interval

    def restart(self) -> None:
        """Count from now."""
        self._last = self._clock()


def _check_archive(path: object, raw: bytes) -> None:
    # Without the signature torch would fall back on its older, pickled format.
    if not raw.startswith(b"PK\x03\x04") or not zipfile.is_zipfile(io.BytesIO(raw)):
        raise FileFormatError(path, "is not a checkpoint: cut short, or another kind of file such as a pickle")
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        entries = archive.infolist()
        # torch stores and never compresses; its reader would inflate a bomb all the same.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise FileFormatError(path, "is not a checkpoint: compressed parts, which torch does not write")
        if sum(entry.file_size for entry in entries) > len(raw):
            raise FileFormatError(path, "is damaged: its parts claim to be larger than the file")
        if (damaged := archive.testzip()) is not None:
            raise FileFormatError(path, "is damaged: wrong checksum of its part", text=damaged)
        pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise FileFormatError(path, "is not a checkpoint: an archive of another kind")
        _refuse_strange_names(path, archive.read(pickles[0]))


def _refuse_strange_names(path: object, pickled: bytes) -> None:
    """Only what tensors and dicts need: torch's own list would let ``bytearray(10**10)`` fill the memory."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4") or (
            opcode.name == "GLOBAL" and _HARMLESS.fullmatch(str(argument)) is None
        ):
            raise FileFormatError(path, "is refused: a pickle that names more than tensors", text=str(argument))


def _refuse_unless_plain(value: Any, where: str) -> None:
    import torch

    if value is None or type(value) in (bool, int, float, str, torch.Size):
        return
    if type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided:
        return
    if type(value) in (list, tuple):
        for index, item in enumerate(value):
            _refuse_unless_plain(item, f"{where}[{index}]")
    elif isinstance(value, Mapping) and (type(value) in (dict, OrderedDict) or where == "state"):
        for key, item in value.items():
            if type(key) not in (bool, int, float, str):
                raise TypeError(f"{where} has the key {key!r}; keys in a checkpoint are strings or numbers")
            _refuse_unless_plain(item, f"{where}[{key!r}]")
    else:
        raise TypeError(
            f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a checkpoint cannot hold "
            "safely; store plain numbers (.item()), strings, tensors, or lists and dicts of them"
        )
