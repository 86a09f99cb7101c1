import errno
import json
import math
import os
import stat

import numpy as np
import pytest

from gnnkit.errors import FileFormatError
from gnnkit.runs import atomic_write, read_json, read_regular, write_json
from gnnkit.runs.files import remove_temporary_files

# Every call to the system that a write makes; each is made to fail once.
CALLS = ["open", "write", "fsync", "replace"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO], ids=lambda code: errno.errorcode[code])
def test_a_failing_call_leaves_the_older_file_and_no_temporary(tmp_path, monkeypatch, call, code):
    path = tmp_path / "kept.txt"
    path.write_text("older")

    def fail(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=r"cannot write the file \(.*\): '.*kept\.txt'") as caught:
        atomic_write(path, "newer")
    monkeypatch.undo()
    assert caught.value.errno == code
    assert path.read_text() == "older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    atomic_write(tmp_path / "f", b"0123456789")
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_a_write_that_takes_nothing_is_an_error_not_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda descriptor, data: 0)
    with pytest.raises(OSError, match="takes no more bytes"):
        atomic_write(tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_no_temporary(tmp_path, monkeypatch):
    def stop(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_reach_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    order = []
    for call in ("fsync", "replace"):
        original = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, call=call, original=original: (order.append(call), original(*a))[1])
    atomic_write(tmp_path / "f", "text")
    assert order == ["fsync", "replace", "fsync"]  # the file, the name, the folder


def test_follows_a_link_and_respects_the_umask(tmp_path):
    real = tmp_path / "real"
    real.write_text("older")
    (tmp_path / "link").symlink_to(real)
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "link", "newer")
    finally:
        os.umask(before)
    assert (tmp_path / "link").is_symlink()
    assert real.read_text() == "newer"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_missing_folder_and_a_device_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        atomic_write(tmp_path / "nowhere" / "f", "x")
    with pytest.raises(OSError, match=r"not a regular file\): '/dev/null'"):
        atomic_write("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="not a regular file"):
        atomic_write(tmp_path, "x")


def test_leftovers_of_a_killed_write_are_removed_and_nothing_else(tmp_path):
    for name in (".f.0123456789ab.tmp", ".hidden.tmp", "f.tmp", "f"):
        (tmp_path / name).write_text("")
    remove_temporary_files(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".hidden.tmp", "f", "f.tmp"]


def test_json_is_strict_and_plain(tmp_path):
    write_json(tmp_path / "s.json", {"a": np.float64(0.5), "b": math.nan, "c": (np.int64(3), [math.inf]), 4: "é"})
    text = (tmp_path / "s.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": 0.5, "b": None, "c": [3, [None]], "4": "é"}
    assert read_json(tmp_path / "s.json")["c"] == [3, [None]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe\xfa", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
        (b"[1]", "should hold a JSON object, holds a list"),
        (b" " * (16 * 2**20 + 1), "is larger than"),
    ],
)
def test_broken_json_is_one_kind_of_error(tmp_path, content, message):
    (tmp_path / "f.json").write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"f\.json: .*{message}|f\.json: {message}"):
        read_json(tmp_path / "f.json")


def test_reading_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_regular(tmp_path / "pipe")
