"""Arrays written piece by piece: whatever call of the system fails, the error says on which file."""

import errno
import os

import numpy as np
import pytest

from gnnkit.storage.array_files import ArrayWriter, map_array


def test_pieces_become_one_array_that_numpy_opens(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.dtype(np.int64))
    writer.append(np.arange(3))
    assert writer.flush() == 3
    writer.append(np.arange(3, 5))
    writer.finish()
    assert np.load(tmp_path / "a.npy").tolist() == [0, 1, 2, 3, 4]
    assert map_array(tmp_path / "a.npy").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("call", ["write", "pwrite", "fsync", "ftruncate"])
def test_a_failing_call_names_the_file(call, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of an open file the system names no path

    path = tmp_path / "part.npy"

    def write():
        writer = ArrayWriter(path, np.dtype(np.int64))
        writer.append(np.arange(3))
        writer.finish()

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="cannot write the file") as failed:
        write()
    monkeypatch.undo()
    assert (failed.value.errno, failed.value.filename) == (errno.ENOSPC, str(path))
