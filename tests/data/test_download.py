import hashlib
import http.server
import os
import re
import threading
from dataclasses import replace

import pytest

from gnnkit.data import DownloadError, download_dataset, load_dataset, registry, verify_dataset
from gnnkit.data.registry import RemoteFile

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes, none of which repeats at the distance of a block


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by name; the behaviour is set by attributes and every request is kept."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests = {}, []
        self.supports_range, self.etag, self.cuts, self.cut_after = True, '"one"', 0, 100_000
        self.status, self.redirect, self.says_length, self.range_offset = 200, None, True, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        content = server.files.get(self.path.rsplit("/", 1)[-1])
        if server.redirect:
            self.answer(302, {"Location": server.redirect})
            return
        if server.status != 200 or content is None:
            self.answer(server.status if content is not None else 404, {"Content-Length": "0"})
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.supports_range else 0
        if wanted and self.headers.get("If-Range", server.etag) != server.etag:
            start = 0
        if start and start >= len(content):
            self.answer(416, {"Content-Length": "0"})
            return
        body = content[start:]
        headers = {"ETag": server.etag} if server.etag else {}
        if server.says_length:
            headers["Content-Length"] = str(len(body))
        if start:
            headers["Content-Range"] = f"bytes {start + server.range_offset}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, headers)
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut_after]
        self.wfile.write(body)

    def answer(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def photo(monkeypatch, server):
    """Register `photo` as one file of CONTENT, with its checksum or without."""
    server.files["photo.npz"] = CONTENT

    def register(sha256):
        info = registry.DATASETS["photo"]
        file = RemoteFile("photo.npz", "https://example.invalid/photo.npz", sha256)
        monkeypatch.setitem(registry.DATASETS, "photo", replace(info, files=(file,)))

    register(hashlib.sha256(CONTENT).hexdigest())
    return register


def files_in(root):
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_arrives_with_progress_and_is_not_fetched_twice(server, photo, tmp_path):
    seen = []
    paths = download_dataset("photo", tmp_path, base_url=server.url, progress=lambda *args: seen.append(args))
    assert paths == [tmp_path / "amazon/Photo/raw/photo.npz"]
    assert files_in(tmp_path) == {"photo.npz": CONTENT}
    assert seen[-1] == ("photo.npz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert download_dataset("photo", tmp_path, base_url=server.url) == paths
    assert server.requests == [("/data/photo.npz", None)]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_broken_transfer_goes_on_where_it_stopped(server, photo, tmp_path, pinned):
    if not pinned:
        photo(None)
    server.cuts = 2
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_sends_all_again(server, photo, tmp_path):
    server.cuts, server.supports_range = 1, False
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}


def test_without_checksum_and_etag_nothing_is_continued(server, photo, tmp_path):
    photo(None)
    server.cuts, server.etag = 1, None
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_a_file_that_changes_in_between_is_begun_again(server, photo, tmp_path):
    photo(None)
    server.cuts = 1
    newer = CONTENT[::-1]

    def change(name, done, total):
        if server.files["photo.npz"] is CONTENT:
            server.files["photo.npz"], server.etag = newer, '"two"'

    download_dataset("photo", tmp_path, base_url=server.url, progress=change)
    assert files_in(tmp_path) == {"photo.npz": newer}


def test_a_server_that_sends_another_range_is_not_believed(server, photo, tmp_path):
    server.cuts, server.range_offset = 1, 7
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}


def test_what_an_earlier_process_left_is_continued(server, photo, tmp_path):
    server.cuts = 3
    with pytest.raises(DownloadError, match=r"broke off .300000 of 512000 bytes came"):
        download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {".photo.npz.part": CONTENT[:300_000]}
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}
    assert server.requests[-1][1] == "bytes=300000-"


LEFT_BEHIND = {"rubbish": b"rubbish", "as long as the file": bytes(len(CONTENT)), "longer": bytes(600_000), "whole": CONTENT, "empty": b""}  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("left", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_whatever_an_earlier_process_left(server, photo, tmp_path, left, pinned):
    if not pinned:
        photo(None)
    folder = tmp_path / "amazon/Photo/raw"
    folder.mkdir(parents=True)
    (folder / ".photo.npz.part").write_bytes(left)
    download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": CONTENT}


def test_wrong_bytes_are_not_kept(server, photo, tmp_path):
    server.files["photo.npz"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"has SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}; it was not kept"):
        download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_too_large_is_refused(server, photo, tmp_path, says_length):
    server.says_length = says_length
    with pytest.raises(DownloadError, match="above the limit of 200000"):
        download_dataset("photo", tmp_path, base_url=server.url, max_bytes=200_000)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (500, 3), (503, 3)])
def test_a_server_that_refuses(server, photo, tmp_path, status, attempts):
    server.status = status
    with pytest.raises(
        DownloadError, match=f"photo: photo.npz could not be fetched from http://127.*answers {status}"
    ) as caught:
        download_dataset("photo", tmp_path, base_url=server.url)
    assert f"gnnkit data download photo --data-root {tmp_path}" in str(caught.value)
    assert str(tmp_path / "amazon/Photo/raw/photo.npz") in str(caught.value)
    assert len(server.requests) == attempts


@pytest.mark.parametrize("target", ["http://example.invalid/x", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_away_from_tls_is_not_followed(server, photo, tmp_path, target):
    server.redirect = target
    with pytest.raises(DownloadError, match=r"must begin with https://|is not allowed"):
        download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("url", ["http://example.invalid", "file:///tmp", "ftp://127.0.0.1", "example.org", "http://127.0.0.1.evil.invalid"])  # fmt: skip  # noqa: E501
def test_only_https_or_this_machine(photo, tmp_path, url):
    with pytest.raises(ValueError, match=f"got '{re.escape(url)}'"):
        download_dataset("photo", tmp_path, base_url=url)


def test_nobody_answers(server, photo, tmp_path):
    free = Server()
    free.server_close()
    with pytest.raises(DownloadError, match="refused"):
        download_dataset("photo", tmp_path, base_url=free.url)


def test_another_file_of_that_name_is_left_alone(server, photo, tmp_path):
    folder = tmp_path / "amazon/Photo/raw"
    folder.mkdir(parents=True)
    (folder / "photo.npz").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="left as it is"):
        download_dataset("photo", tmp_path, base_url=server.url)
    assert files_in(tmp_path) == {"photo.npz": b"mine"}
    assert server.requests == []


def test_a_disk_that_is_full(server, photo, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DownloadError, match=r"\.photo\.npz\.part cannot be written .*No space left"):
        download_dataset("photo", tmp_path, base_url=server.url)
    assert "photo.npz" not in files_in(tmp_path)


def test_an_embedded_data_set_needs_no_files(tmp_path):
    assert download_dataset("karate", tmp_path) == []
    assert verify_dataset("karate", tmp_path) == []


def test_verify_tells_missing_and_damaged_files(tmp_path, build):
    assert {status.state for status in verify_dataset("cora", tmp_path)} == {"missing"}
    build.write_planetoid(tmp_path / "Cora/raw", "cora")
    (tmp_path / "Cora/raw/ind.cora.x").unlink()
    states = {status.path.name: status.state for status in verify_dataset("cora", tmp_path)}
    assert states["ind.cora.x"] == "missing"
    assert states["ind.cora.ty"] == "damaged"


def test_verify_reads_what_has_no_checksum(tmp_path):
    (tmp_path / "CS/raw").mkdir(parents=True)
    (tmp_path / "CS/raw/ms_academic_cs.npz").write_bytes(b"rubbish")
    (status,) = verify_dataset("cs", tmp_path)
    assert status.state == "damaged"
    assert "not an intact npz" in status.detail


@pytest.mark.data
def test_real_files_from_a_mirror_and_back(server, tmp_path, data_folder):
    server.files = {path.name: path.read_bytes() for path in (data_folder / "planetoid/Cora/raw").iterdir()}
    download_dataset("cora", tmp_path, base_url=server.url + "/")
    assert {status.state for status in verify_dataset("cora", tmp_path)} == {"intact"}
    assert repr(load_dataset("cora", tmp_path)) == repr(load_dataset("cora", data_folder))
    path = tmp_path / "planetoid/Cora/raw/ind.cora.ty"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    states = {status.path.name: status.state for status in verify_dataset("cora", tmp_path)}
    assert states.pop("ind.cora.ty") == "damaged"
    assert set(states.values()) == {"intact"}


@pytest.mark.data
@pytest.mark.parametrize(("name", "expected"), [("pubmed", {"intact", "readable"}), ("photo", {"readable"})])
def test_verify_real_files(data_folder, name, expected):
    assert {status.state for status in verify_dataset(name, data_folder)} == expected
