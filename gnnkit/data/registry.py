"""The data sets that have a name: their files, where those come from, and what must be in them."""

from __future__ import annotations

import difflib
import os
import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from gnnkit.data.planetoid import PLANETOID_PARTS
from gnnkit.storage.text import shown

_PLANETOID_URL = "https://github.com/kimiyoung/planetoid/raw/master/data"
_SHCHUR_URL = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz"


class Kind(Enum):
    """How a data set is stored."""

    EMBEDDED = "embedded"
    PLANETOID = "planetoid"
    COAUTHOR_AMAZON = "coauthor_amazon"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set, its address, and the SHA-256 of its upstream content.

    ``sha256`` is None where no copy known to be the upstream one was at hand to compute it from: the
    ``.npz`` files and PubMed's ``allx``. Such a file is still read with every check of its reader.
    """

    name: str
    url: str
    sha256: str | None


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is read; ``num_edges`` counts both directions of an edge."""

    name: str
    title: str
    kind: Kind
    folder: PurePosixPath
    files: tuple[RemoteFile, ...]
    num_nodes: int
    num_edges: int
    num_features: int
    num_classes: int
    aliases: tuple[str, ...] = ()

    def folders(self, root: Path) -> tuple[Path, Path]:
        """Where the files may lie under ``root``: in this project's layout, and in PyG's own."""
        return root / self.folder, root / PurePosixPath(*self.folder.parts[1:])

    def folder_in(self, root: Path) -> Path:
        """The one of these folders that has most of the files, the first on ties."""
        return min(self.folders(root), key=lambda folder: len(self.missing_from(folder)))

    def missing_from(self, folder: Path) -> list[str]:
        """Names of the files that ``folder`` has not."""
        return [file.name for file in self.files if not (folder / file.name).exists()]


# fmt: off
_PLANETOID_SHA256: dict[str, str | None] = {
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.pubmed.x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.allx": None,
    "ind.pubmed.y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
    "ind.pubmed.ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    "ind.pubmed.ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
    "ind.pubmed.graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
    "ind.pubmed.test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
}
# fmt: on


def _planetoid(title: str, nodes: int, edges: int, features: int, classes: int) -> DatasetInfo:
    name = title.lower()
    files = [f"ind.{name}.{part}" for part in PLANETOID_PARTS]
    return DatasetInfo(
        name=name,
        title=f"{title} citations",
        kind=Kind.PLANETOID,
        folder=PurePosixPath("planetoid", title, "raw"),
        files=tuple(RemoteFile(file, f"{_PLANETOID_URL}/{file}", _PLANETOID_SHA256[file]) for file in files),
        num_nodes=nodes,
        num_edges=edges,
        num_features=features,
        num_classes=classes,
    )


def _shchur(folder: str, title: str, file: str, sizes: tuple[int, int, int, int]) -> DatasetInfo:
    family, name = folder.lower().split("/")
    nodes, edges, features, classes = sizes
    return DatasetInfo(
        name=name,
        title=title,
        kind=Kind.COAUTHOR_AMAZON,
        folder=PurePosixPath(folder, "raw"),
        files=(RemoteFile(file, f"{_SHCHUR_URL}/{file}", None),),
        num_nodes=nodes,
        num_edges=edges,
        num_features=features,
        num_classes=classes,
        aliases=(f"{family}-{name}",),
    )


_ALL = (
    DatasetInfo(
        name="karate",
        title="Zachary's karate club",
        kind=Kind.EMBEDDED,
        folder=PurePosixPath(),
        files=(),
        num_nodes=34,
        num_edges=156,
        num_features=34,
        num_classes=4,
        aliases=("karate-club",),
    ),
    _planetoid("Cora", 2708, 10556, 1433, 7),
    _planetoid("CiteSeer", 3327, 9104, 3703, 6),
    _planetoid("PubMed", 19717, 88648, 500, 3),
    _shchur("amazon/Photo", "Amazon Photo co-purchases", "amazon_electronics_photo.npz", (7650, 238162, 745, 8)),
    _shchur(
        "amazon/Computers",
        "Amazon Computers co-purchases",
        "amazon_electronics_computers.npz",
        (13752, 491722, 767, 10),
    ),
    _shchur("coauthor/CS", "Coauthor computer science", "ms_academic_cs.npz", (18333, 163788, 6805, 15)),
    _shchur("coauthor/Physics", "Coauthor physics", "ms_academic_phy.npz", (34493, 495924, 8415, 5)),
)
DATASETS: dict[str, DatasetInfo] = {info.name: info for info in _ALL}


def dataset_info(name: str) -> DatasetInfo:
    """The entry of that name or alias, whatever its case.

    Raises:
        TypeError: If the name is no string.
        ValueError: If there is none; the message lists the names and the nearest one.

    Example:
        >>> dataset_info("Amazon-Photo").name
        'photo'
    """
    if not isinstance(name, str):
        raise TypeError(f"a data set's name must be a string, got {shown(name)}; there are {', '.join(DATASETS)}")
    wanted = name.strip().lower().replace("_", "-")
    known = {alias: info for info in DATASETS.values() for alias in (info.name, *info.aliases)}
    if wanted in known:
        return known[wanted]
    close = difflib.get_close_matches(wanted, known, n=1)
    meant = f"; did you mean {known[close[0]].name!r}?" if close else ""
    raise ValueError(f"there is no data set {shown(name)}{meant} (there are {', '.join(DATASETS)})")


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """``root`` itself, else the environment variable GNNKIT_DATA, else ``gnnkit`` in the user's cache."""
    if root is not None:
        return Path(root).expanduser()
    if chosen := os.environ.get("GNNKIT_DATA"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gnnkit"


def download_command(info: DatasetInfo, root: Path) -> str:
    """The command line that fetches a data set into ``root``."""
    where = "" if root == data_root() else f" --data-root {shlex.quote(str(root))}"
    return f"gnnkit data download {info.name}{where}"
