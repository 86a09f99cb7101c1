import os

import pytest

from gnnkit.errors import FileFormatError
from gnnkit.storage.reading import read_regular


def test_reading_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_regular(tmp_path / "pipe")


def test_the_limit_is_the_last_size_that_is_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"four")
    assert read_regular(path, limit=4) == b"four"
    with pytest.raises(FileFormatError, match=r"f: is larger than 3 bytes"):
        read_regular(path, limit=3)


def test_a_folder_is_no_file_and_an_absent_one_is_named(tmp_path):
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_regular(tmp_path / "absent")
