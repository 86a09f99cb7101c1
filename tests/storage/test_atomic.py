import errno
import os
import stat

import pytest

from gnnkit.storage.atomic import atomic_write, remove_temporary_files, sync_folder

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


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP], ids=lambda code: errno.errorcode[code])
def test_a_file_system_that_cannot_sync_folders_still_takes_files(tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    sync_folder(tmp_path)


def test_a_folder_that_fails_to_reach_the_disk_is_an_error(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)
