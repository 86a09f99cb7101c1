"""Collections of trees with a training, a development and a test part: by name, or a user's file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from gnnkit.data.download import Progress, fetch_file
from gnnkit.data.registry import RemoteFile, data_root
from gnnkit.data.trees import Trees, as_binary, boolean_trees, read_trees
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.reading import open_regular

TREEBANKS = ("boolean", "sst")
PARTS = ("train", "dev", "test")
_ARCHIVE = RemoteFile(
    "trainDevTestTrees_PTB.zip", "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip", sha256=None
)
_MAX_ARCHIVE_BYTES, _MAX_PART_BYTES = 2**24, 2**25
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True)
class Treebank:
    """Trees in three parts.

    Attributes:
        name: Short, for folders.
        title: For reports.
        train: Learned from.
        dev: Chosen by.
        test: Scored once.
        num_classes: Labels run from 0 to one less.
    """

    name: str
    title: str
    train: Trees
    dev: Trees
    test: Trees
    num_classes: int

    @property
    def max_children(self) -> int:
        """Of any node in any part, at least 1."""
        return max(1, *(part.max_children for part in (self.train, self.dev, self.test)))


def load_treebank(
    name: str = "boolean", root: str | os.PathLike[str] | None = None, *, num_classes: int | None = None
) -> Treebank:
    """A treebank by name.

    Args:
        name: ``"boolean"``: 2000 generated expressions to learn their truth value from, 400 to test.
            ``"sst"``: the Stanford Sentiment Treebank.
        root: Where data sets lie.
        num_classes: 5 or 2 for ``"sst"``; the two leave out what is neutral.

    Raises:
        ValueError: If there is none of that name, or not with so many classes.
        MissingDataError: If its files are absent.
        FileFormatError: If they are not what they should be.
    """
    if name == "boolean":
        if num_classes not in (None, 2):
            raise ValueError(f"boolean expressions have 2 classes, got {num_classes}")
        sizes = {"train": 2000, "dev": 400, "test": 400}
        parts = {part: boolean_trees(size, seed=seed) for seed, (part, size) in enumerate(sizes.items())}
        return Treebank(name, "boolean expressions, generated", **parts, num_classes=2)
    if name != "sst":
        raise ValueError(f"no treebank is called {name!r}; there are {', '.join(TREEBANKS)}")
    if num_classes not in (None, 2, 5):
        raise ValueError(f"sst has 5 classes or 2, got {num_classes}")
    folder = sst_folder(root)
    if absent := [part for part in PARTS if not (folder / f"{part}.txt").is_file()]:
        raise MissingDataError(f"{folder / absent[0]}.txt is absent; fetch it with: gnnkit trees download")
    parts = {part: read_trees(folder / f"{part}.txt") for part in PARTS}
    for part, trees in parts.items():
        if int(trees.labels.max()) > 4:
            raise FileFormatError(folder / f"{part}.txt", f"has label {int(trees.labels.max())}, but sst has 0 to 4")
    if num_classes == 2:
        parts = {part: as_binary(trees) for part, trees in parts.items()}
    title = "Stanford Sentiment Treebank, 2 classes" if num_classes == 2 else "Stanford Sentiment Treebank, 5 classes"
    return Treebank("sst", title, **parts, num_classes=num_classes or 5)


def read_treebank(path: str | os.PathLike[str], *, num_classes: int | None = None, split_seed: int = 0) -> Treebank:
    """A user's file, its trees dealt at random: 80 % to learn from, 10 % to choose by, 10 % to test.

    Args:
        path: A tree a line.
        num_classes: As many as there are labels where None; 2 makes two of five, as `as_binary` does.
        split_seed: Of the dealing.

    Raises:
        ValueError: If there are fewer than 10 trees, or no labels, or one that does not fit the classes.
        FileFormatError: If it is not such a file.
    """
    trees = read_trees(path)
    highest = int(trees.labels.max())
    if num_classes == 2 and highest > 1:
        trees, highest = as_binary(trees), 1
    if highest < 0:
        raise ValueError(f"{path} has no label to learn; write numbers from 0 for some of the ?")
    if num_classes is not None and highest >= num_classes:
        raise ValueError(f"{path} has label {highest}, which is none of {num_classes} classes from 0")
    if len(trees) < 10:
        raise ValueError(f"{path} has {len(trees)} trees to learn from; 10 is the least for three parts")
    order = torch.randperm(len(trees), generator=torch.Generator().manual_seed(split_seed))
    tenth = len(trees) // 10
    pieces = torch.split(order, [len(trees) - 2 * tenth, tenth, tenth])
    train, dev, test = (trees.select(piece) for piece in pieces)
    name = Path(path).name.split(".")[0]
    return Treebank(name, Path(path).name, train, dev, test, num_classes or max(2, highest + 1))


def sst_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Where the three files of the Stanford Sentiment Treebank lie or will lie."""
    return data_root(root) / "sst" / "trees"


def download_sst(
    root: str | os.PathLike[str] | None = None,
    *,
    base_url: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> list[Path]:
    """Fetch the Stanford Sentiment Treebank from its authors and unpack its three files; what is there stays.

    Args:
        root: Where data sets lie.
        base_url: A mirror that has the archive under its own name: ``https``, or ``http`` on this machine.
        progress: Called with file name, bytes so far, and bytes in all where known.
        timeout: Seconds without a byte before an attempt counts as broken off.

    Raises:
        DownloadError: If the archive cannot be fetched or is too large.
        FileFormatError: If it is not the archive.
    """
    folder = sst_folder(root)
    paths = [folder / f"{part}.txt" for part in PARTS]
    if all(path.is_file() for path in paths):
        return paths
    archive = folder.parent / _ARCHIVE.name
    if not archive.is_file():
        fetch_file(
            "sst",
            _ARCHIVE,
            archive,
            base_url=base_url,
            command="gnnkit trees download",
            progress=progress,
            timeout=timeout,
            max_bytes=_MAX_ARCHIVE_BYTES,
        )
    for path in paths:
        if not path.is_file():
            content = _member(archive, f"trees/{path.name}")
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path, content)
    return paths


def _member(archive: Path, name: str) -> bytes:
    """One file of the archive, of bounded size."""
    with open_regular(archive, limit=_MAX_ARCHIVE_BYTES) as file:
        try:
            with zipfile.ZipFile(file) as opened:
                size = opened.getinfo(name).file_size
                if size > _MAX_PART_BYTES:
                    raise ValueError(f"{name} unpacks to {size} bytes, more than {_MAX_PART_BYTES}")
                with opened.open(name) as stream:
                    return stream.read(size)
        except KeyError as error:
            raise FileFormatError(archive, f"has no file {name}") from error
        except _DAMAGED as error:
            raise FileFormatError(
                archive, f"is not the treebank's archive ({error}); remove it and try again"
            ) from error
