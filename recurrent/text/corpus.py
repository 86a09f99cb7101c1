"""Texts to learn from: any UTF-8 file, or the language reference inside Python itself."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 2**28

# A title may run over a few lines; [^*] keeps a match from swallowing the book.
_START = re.compile(r"^\*{3} ?START OF TH(?:IS|E) PROJECT GUTENBERG EBOOK[^*]{0,400}\*{3}[^\n]*\n", re.M | re.I)
_END = re.compile(r"^\*{3} ?END OF TH(?:IS|E) PROJECT GUTENBERG EBOOK", re.M | re.I)
_LAST_LINE = re.compile(r"\n[ ]*End of (?:the )?Project Gutenberg[^\n]*(?:\n[^\n]+)*\s*$", re.I)


@dataclass(frozen=True)
class Corpus:
    r"""A text, where it is from, and what was done to it.

    Attributes:
        name: A short name.
        text: The characters, line ends as ``\n``.
        notes: What was removed or changed, a sentence each.
    """

    name: str
    text: str
    notes: tuple[str, ...] = ()


def read_corpus(path: str | os.PathLike[str], *, keep_licence: bool = False, max_bytes: int = MAX_BYTES) -> Corpus:
    """A UTF-8 text file as a corpus, without byte order mark, and without Project Gutenberg's header and licence.

    Args:
        path: The file.
        keep_licence: Leave Project Gutenberg's parts in. The held-out end of such a file is its licence.
        max_bytes: The largest file to read.

    Raises:
        ValueError: If it is too large, not a regular file, not UTF-8 (naming the position), binary, or empty.
        OSError: If it cannot be opened.
    """
    if not 0 <= max_bytes < 2**62:
        raise ValueError(f"max_bytes must be from 0 to 2**62 - 1, got {max_bytes}")
    notes: list[str] = []
    text = _decoded(path, _bytes_of(path, max_bytes))
    if text.startswith("\ufeff"):
        text = text[1:]
        notes.append("removed the byte order mark")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        notes.append("changed line ends to \\n")
    if not keep_licence:
        stripped, what = without_licence(text)
        if what:
            text = stripped
            notes.append(what)
    if not text.strip():
        raise ValueError(f"{path}: there is no text in it" + (f" ({'; '.join(notes)})" if notes else ""))
    return Corpus(Path(path).stem, text, tuple(notes))


def pydoc_corpus() -> Corpus:
    """The language reference that ``help()`` shows: about half a million characters, in every Python.

    The text is that of the running Python, so another version gives another corpus.

    Example:
        >>> corpus = pydoc_corpus()
        >>> corpus.name, "assignment" in corpus.text
        ('pydoc', True)
    """
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
    version = ".".join(map(str, sys.version_info[:3]))
    return Corpus("pydoc", text, (f"the language reference of Python {version}",))


def without_licence(text: str) -> tuple[str, str]:
    r"""A Project Gutenberg book without header and licence, and a sentence on what went; "" where nothing did.

    Example:
        >>> book = "Title: X\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nOnce.\n*** END OF THIS PROJECT ..."
        >>> without_licence(book.replace("...", "GUTENBERG EBOOK X ***\nlicence"))
        ('Once.\n', 'removed the Project Gutenberg header and licence, 111 of 117 characters')
    """
    start, end = _START.search(text), _END.search(text)
    if start is not None and end is not None and end.start() < start.end():
        return text, ""  # lines that quote the markers, in another order: not such a book
    parts = [name for name, found in (("header", start), ("licence", end)) if found is not None]
    if not parts:
        return text, ""
    inner = text[start.end() if start else 0 : end.start() if end else len(text)]
    inner = _LAST_LINE.sub("\n", inner) if end else inner
    inner = inner.strip("\n") + "\n"
    removed = len(text) - len(inner)
    return inner, f"removed the Project Gutenberg {' and '.join(parts)}, {removed} of {len(text)} characters"


def _bytes_of(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    # O_NONBLOCK: opening a pipe nobody writes to would otherwise wait for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path}: is not a regular file")
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise ValueError(f"{path}: is larger than {max_bytes:,} bytes; cut it into parts")
    return raw


def _decoded(path: object, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: is not UTF-8 at byte {error.start} (line {line}, 0x{raw[error.start]:02x}); "
            "save the file as UTF-8"
        ) from None
    if "\x00" in text:
        place = text.index("\x00")
        raise ValueError(
            f"{path}: holds a NUL at character {place} (line {text.count(chr(10), 0, place) + 1}), "
            "as binary files and UTF-16 do; save the file as UTF-8 text"
        )
    return text
