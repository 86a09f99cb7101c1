import math
import os

import numpy as np
import pytest

from gnnkit.errors import FileFormatError
from gnnkit.runs import MetricsLog, read_metrics


def log_with_rows(path, steps):
    log = MetricsLog(path, ["epoch", "loss", "val, quoted"])
    for step in steps:
        log.append(step, {"loss": 1 / 3 * step})
    log.flush()
    return log


def test_values_are_exact_and_gaps_are_nan(tmp_path):
    log = MetricsLog(tmp_path / "m.csv", ["epoch", "loss", "accuracy"])
    log.append(1, {"loss": 0.1 + 0.2, "accuracy": None})
    log.append(2, {"loss": math.nan, "accuracy": 1})
    log.append(3, {"loss": np.float32(0.1), "accuracy": math.inf})
    assert (tmp_path / "m.csv").read_text() == "epoch,loss,accuracy\n"  # rows wait for the flush
    log.flush()
    log.flush()
    assert (tmp_path / "m.csv").read_text().splitlines()[1:3] == ["1,0.30000000000000004,", "2,nan,1"]
    back = read_metrics(tmp_path / "m.csv")
    np.testing.assert_array_equal(back["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(back["loss"], [0.1 + 0.2, np.nan, float(np.float32(0.1))])
    np.testing.assert_array_equal(back["accuracy"], [np.nan, 1, np.inf])


@pytest.mark.parametrize("tail", ["", "5,0.", "5", "\n", "5,1.0,2.0\n6,"], ids=repr)
def test_resume_cuts_back_to_the_checkpoint(tmp_path, tail):
    columns = log_with_rows(tmp_path / "m.csv", range(1, 8)).columns
    with (tmp_path / "m.csv").open("a") as file:
        file.write(tail)
    log = MetricsLog.resume(tmp_path / "m.csv", columns, last_step=4)
    log.append(5, {"loss": 5 / 3})
    log.flush()
    log_with_rows(tmp_path / "whole.csv", range(1, 5))
    expected = (tmp_path / "whole.csv").read_text() + f"5,{5 / 3!r},\n"
    assert (tmp_path / "m.csv").read_text() == expected


def test_resume_at_the_last_row_changes_nothing(tmp_path):
    log = log_with_rows(tmp_path / "m.csv", range(1, 8))
    before = (tmp_path / "m.csv").read_bytes()
    MetricsLog.resume(tmp_path / "m.csv", log.columns, last_step=7)
    assert (tmp_path / "m.csv").read_bytes() == before


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_failed_flush_keeps_old_rows_and_waits_with_the_new(tmp_path, monkeypatch, call):
    log = log_with_rows(tmp_path / "m.csv", [1, 2])
    before = (tmp_path / "m.csv").read_bytes()
    log.append(3, {"loss": 1.0})
    original, calls = getattr(os, call), []

    def fail(*arguments, **keywords):
        calls.append(arguments)
        if call == "write" and len(calls) == 1:
            return original(arguments[0], arguments[1][:2])  # a short write, then the disk is full
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=r"No space left on device\): '.*m\.csv'"):
        log.flush()
    monkeypatch.undo()
    assert (tmp_path / "m.csv").read_bytes() == before
    log.flush()
    assert (tmp_path / "m.csv").read_bytes() == before + b"3,1.0,\n"


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"all different, got \['a', 'a'\]"):
        MetricsLog(tmp_path / "m.csv", ["a", "a"])
    log = MetricsLog(tmp_path / "m.csv", ["epoch", "loss"])
    with pytest.raises(ValueError, match=r"\['los'\] are not among the columns \['epoch', 'loss'\]"):
        log.append(1, {"los": 1.0})
    with pytest.raises(FileFormatError, match=r"line 1: should begin with 'epoch,accuracy': 'epoch,loss'"):
        MetricsLog.resume(tmp_path / "m.csv", ["epoch", "accuracy"], last_step=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: has no header"),
        (b"a,a\n", "line 1: has no header of distinct names"),
        (b"epoch,loss\n1,2,3\n", "line 2: 3 cells below 2 names"),
        (b"epoch,loss\n1,2\n2,\x1b[2J\n", r"line 3: not a number: '\\x1b\[2J'"),
        (b"epoch,loss\n\xff,2\n", "is not UTF-8"),
        (b'epoch,loss\n"1,2\n', "is not CSV"),
    ],
)
def test_broken_files(tmp_path, content, message):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"m\.csv[:,] {message}"):
        read_metrics(tmp_path / "m.csv")


def test_resume_of_a_broken_file(tmp_path):
    (tmp_path / "m.csv").write_text("epoch,loss\nx,2\n")
    with pytest.raises(FileFormatError, match="line 2: does not begin with a whole number: 'x,2'"):
        MetricsLog.resume(tmp_path / "m.csv", ["epoch", "loss"], last_step=3)


def test_a_file_being_written_can_be_read(tmp_path):
    (tmp_path / "m.csv").write_text("epoch,loss\n1,2\n2,")
    np.testing.assert_array_equal(read_metrics(tmp_path / "m.csv")["loss"], [2])
