"""One process per run folder, whatever the lock's file says and however its owner died."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gnnkit.errors import RunError
from gnnkit.runs import RunFolder
from gnnkit.runs.lock import LOCK_NAME, FolderLock

HOLD = """
import os, sys, time
from gnnkit.runs import RunFolder
run = RunFolder.resume(sys.argv[1])
{then}
print("held", flush=True)
time.sleep(60)
"""


def held(path, then="pass"):
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(then=then), str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.fixture
def run(tmp_path):
    RunFolder.create(tmp_path / "run", kind="nodes").close()
    return tmp_path / "run"


OWNERS = {
    "a living process of another program": lambda: {"pid": os.getppid(), "host": "here", "started": "2020-01-01"},
    "this very process, its number used anew": lambda: {"pid": os.getpid(), "host": "here", "started": "2020-01-01"},
    "process 1": lambda: {"pid": 1, "host": "here", "started": "2020-01-01"},
    "nobody": dict,
}


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_a_file_that_nobody_locks_holds_nobody_up(run, owner):
    (run / LOCK_NAME).write_text(json.dumps(owner()))
    with RunFolder.resume(run):
        assert json.loads((run / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert not (run / LOCK_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"\x00\xff{", b"[1]", b"x" * 10_000, b'{"pid": "\x1b[2J"}'])
def test_the_refusal_stands_whatever_the_file_says(run, content):
    with RunFolder.resume(run):
        (run / LOCK_NAME).write_bytes(content)
        with pytest.raises(RunError, match="in use by") as caught:
            RunFolder.resume(run)
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_lock_ends_with_its_process_however_that_dies(run, number):
    with held(run) as first:
        with pytest.raises(RunError, match=f"in use by process {first.pid} on '.*', at work since '20"):
            RunFolder.resume(run)
        with pytest.raises(RunError, match="exists and is not empty"):
            RunFolder.create(run, kind="nodes")
        first.send_signal(number)
        first.wait()
        RunFolder.resume(run).close()


def test_a_stopped_process_still_holds_it(run):
    with held(run) as first:
        first.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(RunError, match=f"process {first.pid} "):
                RunFolder.resume(run)
        finally:
            first.kill()


def test_a_program_that_its_owner_started_does_not_hold_it(run):
    """The descriptor is not inherited by what the owner executes."""
    then = "import subprocess; child = subprocess.Popen(['sleep', '30'])\n"
    then += "print(child.pid, file=open(sys.argv[1] + '/pid', 'w'), flush=True)"
    with held(run, then) as first:
        first.kill()
        first.wait()
        child = int((run / "pid").read_text())
        try:
            RunFolder.resume(run).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_the_folder_may_be_named_in_two_ways(run, monkeypatch):
    link = run.parent / "link"
    link.symlink_to(run)
    monkeypatch.chdir(run.parent)
    with RunFolder.resume("run"):
        for name in (link, run / ".." / "run"):
            with pytest.raises(RunError, match="in use by"):
                RunFolder.resume(name)


def test_a_lock_whose_file_is_deleted_under_it_still_lets_only_one_in(run):
    first = FolderLock(run)
    (run / LOCK_NAME).unlink()  # by hand, against all advice: what follows must at least not fail
    second = FolderLock(run)
    first.release()
    second.release()
    RunFolder.resume(run).close()


@pytest.mark.slow
def test_the_command_refuses_the_second_and_takes_over_from_the_dead(tmp_path):
    """Words and exit codes as a user meets them."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}

    def words(*arguments):
        return [sys.executable, "-m", "gnnkit", "train", *arguments]

    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
    begin = words("karate", "--epochs", "1000000", "--threads", "1", "--out", "run")
    with subprocess.Popen(begin, stdout=subprocess.DEVNULL, **options) as first:
        assert "train gcn-karate" in first.stderr.readline()
        second = subprocess.run(words("--resume", "run"), check=False, **options)
        third = subprocess.run(words("karate", "--out", "run"), check=False, **options)
        first.kill()
        first.wait()
    assert (second.returncode, third.returncode) == (1, 1)
    assert f"gnnkit: the run folder run is in use by process {first.pid} on" in second.stderr
    assert "wait for it to end or stop it" in second.stderr
    assert "the folder run exists and is not empty" in third.stderr
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1000000", "epochs = 5"))
    after = subprocess.run(words("--resume", "run"), check=False, stdout=subprocess.PIPE, **options)
    assert after.returncode == 0, after.stderr
    assert "test accuracy" in after.stdout
