import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from gnnkit.errors import FileFormatError
from gnnkit.storage.archives import NotPlainError, open_arrays

RNG = np.random.default_rng(0)
PLAIN = {
    "0-d integer": np.array(7, np.int32),
    "0-d word": np.array(b"csr"),
    "no entries": np.zeros((0, 3)),
    "booleans": np.array([True, False]),
    "bytes": np.arange(5, dtype=np.uint8),
    "other byte order": np.arange(5, dtype=">i8"),
    "half": RNG.normal(size=4).astype(np.float16),
    "matrix": RNG.normal(size=(4, 3)),
    "Fortran order": np.asfortranarray(RNG.normal(size=(4, 3)).astype(np.float32)),
    "complex": np.array([1j, 2]),
    "text": np.array(["猫", "", "Łódź"]),
    "latin text": np.array([b"a", b"bc"]),
}


def write(path, compressed=False, **arrays):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_plain_arrays_are_numpys(tmp_path, compressed):
    path = write(tmp_path / "a.npz", compressed, **PLAIN)
    with np.load(path) as expected, open_arrays(path) as archive:
        assert archive.names == set(PLAIN)
        for name in PLAIN:
            array = archive.array(name)
            assert array.dtype == expected[name].dtype
            assert array.shape == expected[name].shape
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(tmp_path, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, PLAIN["matrix"], version=version)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as opened:
        opened.writestr("x.npy", stream.getvalue())
    with open_arrays(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive.array("x"), PLAIN["matrix"])


@pytest.mark.parametrize(
    "array",
    [
        np.array([None], object),
        np.zeros(2, [("a", "<i4")]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([1], "timedelta64[s]"),
        np.zeros(2, "V4"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_anything_but_numbers_and_text_is_refused_by_itself(tmp_path, array):
    with open_arrays(write(tmp_path / "a.npz", bad=array, good=np.ones(2))) as archive:
        with pytest.raises(NotPlainError, match="'bad' is not an array of plain numbers or text"):
            archive.array("bad")
        np.testing.assert_array_equal(archive.array("good"), np.ones(2))


def test_three_axes_are_refused(tmp_path):
    with (
        open_arrays(write(tmp_path / "a.npz", x=np.ones((2, 2, 2)))) as archive,
        pytest.raises(FileFormatError, match=r"a\.npz: 'x': the array shape \(2, 2, 2\) is not that of a vector"),
    ):
        archive.array("x")


def test_text_that_is_no_characters_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", x=np.frombuffer(b"\xff\xff\xff\x7f", "<U1"))
    with open_arrays(path) as archive, pytest.raises(FileFormatError, match="'x' is not text"):
        archive.array("x")


def test_an_absent_array_lists_those_that_are_there(tmp_path):
    path = write(tmp_path / "a.npz", y=np.ones(1), x=np.ones(1))
    with open_arrays(path) as archive, pytest.raises(FileFormatError, match=r"has no array 'z'; there are x, y$"):
        archive.array("z")


def test_all_that_is_read_counts_and_nothing_else(tmp_path):
    path = write(tmp_path / "a.npz", x=np.ones(100), y=np.ones(100), huge=np.ones(100_000))
    with open_arrays(path, max_bytes=1500) as archive:
        archive.array("x")
        with pytest.raises(FileFormatError, match=r"unpacks to 18\d\d bytes, more than 1500, as decompression bombs"):
            archive.array("y")


def test_a_member_that_unpacks_to_more_than_it_declares_is_cut_off(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("x.npy", bytes(300_000_000))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with open_arrays(path) as archive, pytest.raises(FileFormatError, match=r"'x' is damaged \(Bad CRC-32"):
            archive.array("x")
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_a_directory_of_very_many_members_is_not_read(tmp_path):
    path = tmp_path / "a.npz"
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 5) + bytes(16) + b"x.npy"
    directory = entry * 400_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(directory), 0, 0)
    path.write_bytes(directory + end)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"not an intact npz archive \(a directory of 20\d{6} bytes\)"):
            open_arrays(path).__enter__()
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["../x.npy", "/x.npy", "a\\x.npy", "C:x.npy", "\x1b[2J.npy", "x", "x.txt", "y" * 65 + ".npy"]
)
def test_members_that_are_not_named_like_arrays(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as opened:
        opened.writestr(name, b"")
    with pytest.raises(FileFormatError, match="a member is not named like an array") as caught:
        open_arrays(tmp_path / "a.npz").__enter__()
    assert str(caught.value).isprintable()


def test_a_large_file_and_other_packing_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", x=np.ones(100))
    with pytest.raises(FileFormatError, match="is larger than 500 bytes"):
        open_arrays(path, max_packed_bytes=500).__enter__()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as opened:
        opened.writestr("x.npy", b"")
    with pytest.raises(FileFormatError, match="'x' is packed with method 14, not deflate"):
        open_arrays(path).__enter__()


def test_the_file_is_closed_whatever_happens(tmp_path):
    # Warnings are errors here, so a file left open would fail this test.
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(FileFormatError, match="not an intact npz archive"), open_arrays(tmp_path / "a.npz"):
        pass
    with pytest.raises(FileNotFoundError), open_arrays(tmp_path / "absent.npz"):
        pass
