import json
import math

import numpy as np
import pytest

from gnnkit.errors import FileFormatError
from gnnkit.storage.json_files import read_json, write_json


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
