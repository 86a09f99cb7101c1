"""The campaign of faults in short: a few of everything that `make torture` does in full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = ROOT / "torture" / "faults.py"

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts calls through /proc")


def quick(tmp_path, *parts):
    words = [word for part in parts for word in ("--part", part)]
    command = [sys.executable, str(CAMPAIGN), "--quick", *words, "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads((tmp_path / f"{part}.json").read_text()) for part in parts]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_runs_end_with_the_bits_of_whole_ones(tmp_path):
    kills, repeats = quick(tmp_path, "kills", "repeats")
    assert (kills["kills"], kills["finds"]) == (3, [])
    assert (repeats["repeats"], repeats["finds"]) == (3, [])


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_failed_writes_and_signals_leave_whole_files_and_say_how_to_go_on(tmp_path):
    writes, interruptions, memory, divergence = quick(tmp_path, "writes", "interruptions", "memory", "divergence")
    assert [each["finds"] for each in (writes, interruptions, memory, divergence)] == [[]] * 4
    assert writes["failures"] > 0
    assert interruptions["signals"] == 4
    assert memory["stopped"] > 0


@pytest.fixture
def program(monkeypatch):
    """The names of all commands."""
    monkeypatch.syspath_prepend(str(CAMPAIGN.parent))
    import typer

    from gnnkit.cli.main import app

    def names(command, path=()):
        for name, inner in getattr(command, "commands", {}).items():
            yield from names(inner, (*path, name))
        if not hasattr(command, "commands"):
            yield " ".join(path)

    return set(names(typer.main.get_command(app)))


def test_every_command_that_writes_is_in_the_campaign(program):
    """A new command must be tried too, or it must be said where its writing is tried."""
    import failing_writes

    known = {*failing_writes.SILENT, *failing_writes.ELSEWHERE}
    tried = [each.words for each in failing_writes.COMMANDS]
    assert {name for name in program - known if not any(words.startswith(f"{name} ") for words in tried)} == set()


def test_every_command_is_interrupted(program):
    import interruptions

    tried = [f"{each.words} " for each in interruptions.COMMANDS]
    assert {name for name in program if not any(words.startswith(f"{name} ") for words in tried)} == set(
        interruptions.ELSEWHERE
    )
