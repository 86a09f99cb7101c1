"""``gnnkit data``: thin over gnnkit.data, so what is tested is what is shown and the exit code."""

import hashlib
import json
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.data.registry import DATASETS


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_every_data_set(tmp_path):
    result = invoke("data", "list", "--data-root", tmp_path)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(DATASETS)
    assert str(tmp_path) in result.stderr
    listed = json.loads(invoke("data", "list", "--data-root", tmp_path, "--json").stdout)
    states = {entry["name"]: entry["files"] for entry in listed["datasets"]}
    assert states.pop("karate") == "embedded"
    assert set(states.values()) == {"absent"}


def test_verify_reports_what_is_missing_and_fails(tmp_path):
    result = invoke("data", "verify", "cora", "--data-root", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.count("missing") == 8
    document = json.loads(invoke("data", "verify", "cora", "--data-root", tmp_path, "--json").stdout)
    assert {file["state"] for file in document["files"]} == {"missing"}


def test_karate_needs_no_files():
    for name in ("download", "verify"):
        result = invoke("data", name, "karate")
        assert result.exit_code == 0
        assert result.stdout.startswith("karate is part of gnnkit")


def test_a_missing_data_set_says_where_it_was_looked_for(tmp_path):
    result = invoke("info", "cora", "--data-root", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
    assert "gnnkit data download cora" in result.stderr
    assert result.stderr.count("\n") == 1


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_download_fetches_and_a_wrong_file_fails(tmp_path, mirror):
    folder, url = mirror
    (folder / "amazon_electronics_photo.npz").write_bytes(b"not the archive, but its SHA-256 is not known")
    root = tmp_path / "root"
    result = invoke("data", "download", "photo", "--data-root", root, "--mirror", url)
    assert result.exit_code == 0, result.output
    assert "photo: 1 of 1 files fetched" in result.stdout
    assert "fetching amazon_electronics_photo.npz" in result.stderr
    assert invoke("data", "verify", "photo", "--data-root", root).exit_code == 1

    (folder / "ind.cora.x").write_bytes(b"hostile")
    failed = invoke("data", "download", "cora", "--data-root", root, "--mirror", url)
    assert failed.exit_code == 1
    assert "SHA-256" in failed.stderr
    assert not list(root.rglob("ind.cora.x"))


@pytest.mark.data
@pytest.mark.skipif("GNNKIT_DATA" not in os.environ, reason="GNNKIT_DATA does not say where the real data lie")
def test_real_cora():
    document = json.loads(invoke("data", "verify", "cora", "--json").stdout)
    assert {file["state"] for file in document["files"]} <= {"intact", "readable"}
    for file in document["files"]:
        with open(file["path"], "rb") as stream:
            assert hashlib.file_digest(stream, "sha256").digest()
    info = json.loads(invoke("info", "cora", "--json").stdout)
    assert (info["num_nodes"], info["num_edges"], info["num_isolated_nodes"]) == (2708, 10556, 0)
    assert info["edge_homophily"] == pytest.approx(0.81, abs=0.005)
