"""A rank killed mid-run costs time and no bit: torchrun starts all anew, and they continue."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distributed.launched import FREQUENT, final_weights, same_bits, torchrun, workers

COMMAND = ["train", "karate", "--dropout", "0.5", "--epochs", "400"]


def until(condition: Callable[[], bool], launcher: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert launcher.poll() is None, f"ended before it could be killed: {log.read_text()}"
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def restarted(launcher: subprocess.Popen[bytes], before: list[int]) -> list[int]:
    """The processes, once both are others than before."""
    found = workers(launcher)
    return found if len(found) == 2 and not set(found) & set(before) else []


def saved(checkpoint: Path, times: int) -> Callable[[], bool]:
    """Whether the checkpoint has been written so often from now on."""
    seen = {checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0}

    def look() -> bool:
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime_ns)
        return len(seen) > times

    return look


def kill_five_times(launcher: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
    start, checkpoint = time.monotonic(), folder / "checkpoint.pt"
    moments: list[tuple[int, Callable[[], Callable[[], bool]]]] = [
        (0, lambda: lambda: time.monotonic() > start + 3),  # while it imports
        (1, lambda: (folder / "partition" / "partition.json").exists),  # before the first checkpoint
        (0, lambda: saved(checkpoint, 1)),
        (1, lambda: saved(checkpoint, 2)),
        (0, lambda: saved(checkpoint, 3)),
    ]
    alive: list[int] = []
    for rank, moment in moments:
        before = alive
        until(lambda before=before: bool(restarted(launcher, before)), launcher, log)  # type: ignore[misc]
        alive = workers(launcher)
        until(moment(), launcher, log)
        os.kill(alive[rank], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(290)
def test_five_kills_at_different_moments_change_no_bit(tmp_path: Path) -> None:
    with torchrun(2, [*COMMAND, "--out", str(tmp_path / "a")], program=FREQUENT, log=tmp_path / "a.log") as undisturbed:
        assert undisturbed.wait(timeout=120) == 0, (tmp_path / "a.log").read_text()
    folder, log = tmp_path / "b", tmp_path / "b.log"
    arguments, options = [*COMMAND, "--out", str(folder)], ["--max-restarts=5"]
    with torchrun(2, arguments, options=options, program=FREQUENT, log=log) as launcher:
        kill_five_times(launcher, folder, log)
        assert launcher.wait(timeout=120) == 0, log.read_text()
    assert same_bits(final_weights(tmp_path / "a"), final_weights(folder))
    assert (folder / "metrics.csv").read_text() == (tmp_path / "a" / "metrics.csv").read_text()
