"""Fetches data sets, and checks what is there.

A file arrives under another name and takes its own only when it is whole and its SHA-256, where known, is
right; so a file that has its name can be trusted, and an interruption costs nothing but time.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any, Literal

from gnnkit.data.datasets import load_dataset
from gnnkit.data.registry import DatasetInfo, RemoteFile, data_root, dataset_info, download_command
from gnnkit.errors import MissingDataError
from gnnkit.storage.atomic import sync_folder

MAX_DOWNLOAD_BYTES = 256 * 2**20

_ATTEMPTS = 3
_BLOCK = 1 << 16
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Progress = Callable[[str, int, int | None], None]


class DownloadError(MissingDataError):
    """A file could not be fetched, or what came is not the file; nothing on disk was changed."""


class _Interrupted(Exception):
    """The transfer broke off; what has arrived may be continued."""


@dataclass(frozen=True)
class FileStatus:
    """What `verify_dataset` found of one file: ``state`` and, in words, why.

    ``"intact"``: its SHA-256 is the upstream one. ``"readable"``: no SHA-256 is known, but the data set
    was read whole and has the size it must have. ``"damaged"``, ``"missing"``.
    """

    path: Path
    state: Literal["intact", "readable", "damaged", "missing"]
    detail: str = ""


def download_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    base_url: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
) -> list[Path]:
    """Fetch the files of a data set that are not there yet; return where all of them are.

    A file that is there is kept; if it is known to be another, that is an error, and it stays too.
    A transfer that breaks off is continued where it stopped if the server can, and begun again if not;
    also in a later call, for files whose SHA-256 is known.

    Args:
        name: Which data set.
        root: Where to, as in `load_dataset`.
        base_url: A mirror that has the files under their own names: ``https``, or ``http`` on this machine.
        progress: Called with file name, bytes so far, and bytes in all where known.
        timeout: Seconds without a byte before an attempt counts as broken off.
        max_bytes: Larger files are refused.

    Raises:
        ValueError: If the name is unknown or ``base_url`` is neither of those.
        DownloadError: If a file cannot be fetched, is too large, or has a wrong SHA-256.
    """
    info = dataset_info(name)
    if not info.files:
        return []
    base_url = None if base_url is None else _checked_url(base_url)
    folder = info.folder_in(data_root(root))
    command = download_command(info, data_root(root))
    paths = []
    for file in info.files:
        path = folder / file.name
        if path.exists():
            _check_present(file, path, command)
        else:
            url = file.url if base_url is None else f"{base_url.rstrip('/')}/{file.name}"
            _Download(info.name, file, path, url, command, progress, timeout, max_bytes).run()
        paths.append(path)
    return paths


def fetch_file(
    name: str,
    file: RemoteFile,
    path: Path,
    *,
    command: str,
    base_url: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
) -> None:
    """Fetch one file to ``path``, whole or not at all; ``command`` is what a message says to try again.

    Raises:
        ValueError: If ``base_url`` is neither https nor this machine.
        DownloadError: If it cannot be fetched, is too large, or has a wrong SHA-256.
    """
    url = file.url if base_url is None else f"{_checked_url(base_url).rstrip('/')}/{file.name}"
    _Download(name, file, path, url, command, progress, timeout, max_bytes).run()


def verify_dataset(name: str, root: str | os.PathLike[str] | None = None) -> list[FileStatus]:
    """Check every file of a data set; an embedded one has none.

    Raises:
        ValueError: If the name is unknown.
    """
    info = dataset_info(name)
    if not info.files:
        return []
    folder = info.folder_in(data_root(root))
    problem = _problem_when_read(info, data_root(root))
    statuses = []
    for file in info.files:
        path = folder / file.name
        if not path.exists():
            statuses.append(FileStatus(path, "missing"))
        elif file.sha256 is not None and (actual := sha256_of(path)) != file.sha256:
            detail = f"SHA-256 {actual[:16]}..., not {file.sha256[:16]}..."
            statuses.append(FileStatus(path, "damaged", detail))
        elif file.sha256 is not None:
            statuses.append(FileStatus(path, "intact"))
        elif problem:
            statuses.append(FileStatus(path, "damaged", problem))
        else:
            statuses.append(FileStatus(path, "readable", "its SHA-256 is not known"))
    return statuses


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _problem_when_read(info: DatasetInfo, root: Path) -> str:
    """Why the data set cannot be what it should be, or nothing."""
    try:
        data = load_dataset(info.name, root)
    except (MissingDataError, ValueError) as error:
        return str(error)
    sizes = (data.num_nodes, data.adjacency.num_edges, data.num_features, data.num_classes)
    expected = (info.num_nodes, info.num_edges, info.num_features, info.num_classes)
    if sizes != expected:
        return f"has {sizes} nodes, edges, features and classes, not {expected}"
    return ""


def _check_present(file: RemoteFile, path: Path, command: str) -> None:
    if file.sha256 is not None and sha256_of(path) != file.sha256:
        raise DownloadError(
            f"{path} is there but is not the upstream file (its SHA-256 differs); it was left as it is. "
            f"Move it away and run again: {command}"
        )


def _checked_url(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ValueError(f"the address must begin with https:// (or http://127.0.0.1), got {url!r}")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects stay on verified TLS: an answer cannot lead to http, ftp or a file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _checked_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [
        _CheckedRedirects(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy would look for it on another machine
    return urllib.request.build_opener(*handlers)


class _Download:
    """One file on its way: ``.<name>.part`` beside its place until it is whole and right."""

    def __init__(
        self,
        name: str,
        file: RemoteFile,
        path: Path,
        url: str,
        command: str,
        progress: Progress | None,
        timeout: float,
        max_bytes: int,
    ) -> None:
        self.name, self.file, self.path, self.url, self.command = name, file, path, url, command
        self.progress, self.timeout, self.max_bytes = progress, timeout, max_bytes
        self.part = path.with_name(f".{path.name}.part")
        self.etag: str | None = None
        self.opener = _opener(url)

    def run(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Without a checksum, what an earlier process left cannot be told from another version's beginning.
        if self.file.sha256 is None:
            self.part.unlink(missing_ok=True)
        resumed = self.part.exists()
        if not (resumed and self._is_right()):
            self._fetch_with_retries()
        if resumed and not self._is_right():  # its beginning may have been another file's
            self.part.unlink()
            self._fetch_with_retries()
        if not self._is_right():
            actual = sha256_of(self.part)
            self.part.unlink()
            raise self._failed(f"what came has SHA-256 {actual}, not {self.file.sha256}; it was not kept")
        os.replace(self.part, self.path)
        sync_folder(self.path.parent)

    def _is_right(self) -> bool:
        return self.file.sha256 is None or sha256_of(self.part) == self.file.sha256

    def _fetch_with_retries(self) -> None:
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._fetch()
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 416:  # there is nothing behind what we have: it is not that file
                        self.part.unlink(missing_ok=True)
                    problem = f"the server answers {error.code} {error.reason}"
                    if error.code < 500 and error.code not in (408, 416, 429):
                        break
            except urllib.error.URLError as error:
                problem = str(error.reason)
                if isinstance(error.reason, ssl.SSLError):
                    break
            except (_Interrupted, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                problem = f"the transfer broke off ({error or type(error).__name__})"
            except ValueError as error:  # a redirect away from TLS
                problem = str(error)
                break
        raise self._failed(problem)

    def _fetch(self) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        if self.file.sha256 is None and self.etag is None:
            have = 0  # nothing would tell a continuation of this version from one of the next
        request = urllib.request.Request(self.url, headers={"User-Agent": "gnnkit", "Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
            if self.etag is not None:
                request.add_header("If-Range", self.etag)
        with self.opener.open(request, timeout=self.timeout) as response:
            if response.status == 206 and _range_start(response.headers) != have:
                self.part.unlink(missing_ok=True)
                raise _Interrupted("the server sent another part than was asked for")
            if response.status != 206:
                have = 0
            self.etag = response.headers.get("ETag")
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdecimal() else None
            if total is not None and total > self.max_bytes:
                raise self._too_large(total)
            self._receive(response, have, total)

    def _receive(self, response: Any, have: int, total: int | None) -> None:
        with self.part.open("ab" if have else "wb") as stream:
            while block := response.read(_BLOCK):
                have += len(block)
                if have > self.max_bytes:
                    raise self._too_large(have)
                self._write(stream, block)
                if self.progress is not None:
                    self.progress(self.file.name, have, total)
            self._write(stream, b"")
        if total is not None and have != total:
            raise _Interrupted(f"{have} of {total} bytes came")

    def _write(self, stream: IO[bytes], block: bytes) -> None:
        """Write a block; an empty one brings all to the disk."""
        try:
            stream.write(block)
            if not block:
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._failed(f"{self.part} cannot be written ({error})") from error

    def _too_large(self, size: int) -> DownloadError:
        self.part.unlink(missing_ok=True)
        return self._failed(f"it has {size} bytes or more, above the limit of {self.max_bytes}")

    def _failed(self, problem: str) -> DownloadError:
        return DownloadError(
            f"{self.name}: {self.file.name} could not be fetched from {self.url}: {problem}. "
            f"Try again: {self.command}\nor put the file at {self.path} yourself"
        )


def _range_start(headers: Message) -> int | None:
    unit, _, rest = headers.get("Content-Range", "").partition(" ")
    start = rest.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdecimal() else None
