import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from gnnkit.errors import FileFormatError, RunError
from gnnkit.runs import (
    MetricsLog,
    RunFolder,
    environment,
    random_state,
    restore_random_state,
)


def test_fresh_folders_are_numbered_above_the_highest(tmp_path):
    names = []
    for _ in range(3):
        with RunFolder.create(root=tmp_path, name="gcn cora/../x", kind="nodes") as run:
            names.append(run.path.name)
    assert names == ["gcn-cora-..-x-001", "gcn-cora-..-x-002", "gcn-cora-..-x-003"]
    (tmp_path / "run-041").mkdir()
    (tmp_path / "run-forty").mkdir()
    with RunFolder.create(root=tmp_path, kind="nodes") as run:
        assert run.path == tmp_path / "run-042"


def test_many_at_once_get_different_folders(tmp_path):
    def create(_):
        with RunFolder.create(root=tmp_path, kind="nodes") as run:
            return run.path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(create, range(40)))
    assert len(set(paths)) == 40


def test_nothing_is_ever_overwritten(tmp_path):
    path = tmp_path / "mine"
    path.mkdir()
    (path / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match=r"mine exists and is not empty.*--resume.*--out"):
        RunFolder.create(path, kind="nodes")
    assert [entry.name for entry in path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match=r"thesis.txt is a file"):
        RunFolder.create(path / "thesis.txt", kind="nodes")
    RunFolder.create(tmp_path / "run", kind="nodes").close()
    with pytest.raises(RunError, match="not empty"):
        RunFolder.create(tmp_path / "run", kind="nodes")


def test_an_empty_folder_and_what_a_killed_creation_left_are_no_obstacle(tmp_path):
    for name in ("run.lock", ".run.json.0123456789ab.tmp"):
        (tmp_path / name).write_text("")
    with RunFolder.create(tmp_path, kind="nodes") as run:
        assert sorted(entry.name for entry in run.path.iterdir()) == ["run.json", "run.lock"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_what_was_written_is_read_back(tmp_path):
    @dataclass(frozen=True)
    class Config:
        epochs: int = 3

    record = environment()
    with RunFolder.create(tmp_path / "run", kind="nodes", environment=record) as run:
        assert run.load_checkpoint() is None
        assert run.read_summary() is None
        run.write_config(Config(5))
        run.save_checkpoint({"epoch": 5})
        run.write_summary({"test_accuracy_mean": float("nan"), "runs": 1})
    back = RunFolder.open(tmp_path / "run")
    assert back.kind == "nodes"
    assert back.environment == record
    assert back.read_config(Config) == Config(5)
    assert back.load_checkpoint() == {"epoch": 5}
    assert back.read_summary() == {"test_accuracy_mean": None, "runs": 1}


def test_a_run_that_ended_at_once_says_so(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="nodes") as run, pytest.raises(RunError, match="no config"):
        run.read_config(object)


BROKEN = {
    "no folder": (None, "there is no such folder"),
    "no record": ("", "it has no run.json"),
    "no JSON": ("{", "is damaged: .*is not JSON"),
    "of another program": ('{"format": "keras"}', "says format 'keras'"),
    "of a later version": (
        '{"format": "gnnkit run", "version": 2}',
        "run format 2; this gnnkit reads format 1",
    ),
    "of no version": ('{"format": "gnnkit run"}', "run format None"),
    "incomplete": ('{"format": "gnnkit run", "version": 1}', "lacks the kind"),
}


@pytest.mark.parametrize(("record", "message"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("enter", [RunFolder.open, RunFolder.resume])
def test_other_folders_are_refused_and_left_as_they_were(tmp_path, enter, record, message):
    folder = tmp_path / "run"
    if record is not None:
        folder.mkdir()
        if record:
            (folder / "run.json").write_text(record)
    with pytest.raises(RunError, match=message):
        enter(folder)
    if record is not None:
        assert [entry.name for entry in folder.iterdir()] == (["run.json"] if record else [])


def test_seeds_lie_below_the_top_in_order(tmp_path):
    with RunFolder.create(tmp_path / "top", kind="nodes") as top:
        for seed in (10, 2, 0):
            with RunFolder.create_or_resume(top.seed_path(seed), kind="nodes") as run:
                run.save_checkpoint({"seed": seed})
        top.seed_path(7).mkdir()  # begun, but killed before its record was written
        assert [path.name for path in top.seed_paths()] == ["seed-0", "seed-2", "seed-10"]
        with RunFolder.create_or_resume(top.seed_path(2), kind="nodes") as run:
            assert run.load_checkpoint() == {"seed": 2}
        RunFolder.create_or_resume(top.seed_path(7), kind="nodes").close()


def test_a_folder_at_work_is_refused_but_can_be_read(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="nodes"):
        with pytest.raises(RunError, match=rf"in use by process {os.getpid()} on '.*', at work since '20.*--out"):
            RunFolder.resume(tmp_path / "run")
        assert RunFolder.open(tmp_path / "run").kind == "nodes"
    RunFolder.resume(tmp_path / "run").close()


HOLD = """
import sys, time
from gnnkit.runs import RunFolder
run = RunFolder.resume(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    RunFolder.create(tmp_path / "run", kind="nodes").close()
    (tmp_path / "run" / ".checkpoint.pt.0123456789ab.tmp").write_text("half")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"held\n"
            with pytest.raises(RunError, match=f"in use by process {first.pid} "):
                RunFolder.resume(tmp_path / "run")
        finally:
            first.send_signal(signal.SIGKILL)
    assert (tmp_path / "run" / "run.lock").exists()  # stale now, and taken over
    with RunFolder.resume(tmp_path / "run") as run:
        assert json.loads((run.path / "run.lock").read_text())["pid"] == os.getpid()
        assert not list(run.path.glob("*.tmp")) + list(run.path.glob(".*.tmp"))
    assert not (tmp_path / "run" / "run.lock").exists()


CONTEND = """
import sys
from gnnkit.errors import RunError
from gnnkit.runs import RunFolder
taken = 0
while taken < 50:
    try:
        run = RunFolder.resume(sys.argv[1])
    except RunError:
        continue
    counter = run.path / "count"
    counter.write_text(str(int(counter.read_text()) + 1))
    run.close()
    taken += 1
"""


def test_the_lock_admits_one_at_a_time(tmp_path):
    """Three processes take and release it over and over; the count is short if two ever hold it."""
    RunFolder.create(tmp_path / "run", kind="nodes").close()
    (tmp_path / "run" / "count").write_text("0")
    crowd = [subprocess.Popen([sys.executable, "-c", CONTEND, str(tmp_path / "run")]) for _ in range(3)]
    assert [each.wait(60) for each in crowd] == [0, 0, 0]
    assert (tmp_path / "run" / "count").read_text() == "150"


class PulledPlug(Exception):
    pass


def train(run, *, epochs, save_every, crash_at=None):
    """A job in small: what the training loops do with a run folder."""
    noise = torch.Generator()
    weight = torch.zeros(4)
    columns = ["epoch", "loss", "extra"]
    state = run.load_checkpoint()
    if state is None:
        noise.manual_seed(3)
        torch.manual_seed(4)
        first, log = 1, MetricsLog(run.metrics_path, columns)
    else:
        weight = state["weight"]
        restore_random_state(state["random"], {"noise": noise})
        first, log = state["epoch"] + 1, MetricsLog.resume(run.metrics_path, columns, last_step=state["epoch"])
    for epoch in range(first, epochs + 1):
        weight = 0.9 * weight + torch.randn(4) + torch.randn(4, generator=noise)
        log.append(epoch, {"loss": weight.norm().item(), "extra": None if epoch % 3 else epoch})
        log.flush()  # before the crash too: rows beyond the checkpoint must vanish on resume
        if epoch == crash_at:
            raise PulledPlug
        if epoch % save_every == 0 or epoch == epochs:
            run.save_checkpoint({"epoch": epoch, "weight": weight, "random": random_state({"noise": noise})})
    return weight


def test_an_interrupted_and_resumed_run_ends_with_the_same_bits(tmp_path):
    with RunFolder.create(tmp_path / "whole", kind="test") as run:
        expected = train(run, epochs=30, save_every=7)
    with RunFolder.create(tmp_path / "broken", kind="test") as run, pytest.raises(PulledPlug):
        train(run, epochs=30, save_every=7, crash_at=3)  # before the first checkpoint
    for crash_at in (8, 14, 20, 29):
        with RunFolder.resume(tmp_path / "broken") as run:
            with (run.metrics_path).open("a") as file:
                file.write("19,0.1")  # a row that a kill cut short
            with pytest.raises(PulledPlug):
                train(run, epochs=30, save_every=7, crash_at=crash_at)
    with RunFolder.resume(tmp_path / "broken") as run:
        assert torch.equal(train(run, epochs=30, save_every=7), expected)
    for name in ("metrics.csv", "checkpoint.pt"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_damaged_checkpoint_is_an_error_not_a_fresh_start(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="nodes") as run:
        run.checkpoint_path.write_bytes(b"")
        with pytest.raises(FileFormatError, match=r"checkpoint\.pt"):
            run.load_checkpoint()


@dataclass(frozen=True)
class Settings:
    epochs: int = 3


@pytest.mark.parametrize("existed", [False, True], ids=["new", "empty before"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-C"])
def test_a_folder_is_made_whole_or_not_at_all(tmp_path, monkeypatch, error, call, existed):
    """Each call to the system that a creation makes is made to fail once."""
    original, path = getattr(os, call), tmp_path / "run"
    for number in range(100):
        if existed:
            path.mkdir()
        calls = iter(range(1000))

        def fail(*arguments, number=number, calls=calls, **keywords):
            if next(calls) == number:
                raise error
            return original(*arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                RunFolder.create(path, kind="nodes", config=Settings(), files={"more.txt": "x"}).close()
            except type(error):
                left = [entry.name for entry in path.iterdir()] if path.exists() else None
                # The lock's own file is a lock's to keep: another process may hold it by now.
                assert left in ([[], ["run.lock"]] if existed else [None, ["run.lock"]]), (number, left)
                continue
            finally:
                patch.undo()
                kept = path / "run.json"
                whole = kept.exists()
                if path.exists() and not whole:
                    (path / "run.lock").unlink(missing_ok=True)
                    path.rmdir()
        assert number > 1
        break
    assert RunFolder.open(path).read_config(Settings) == Settings()


def test_what_kill_9_left_of_a_creation_is_taken_over_and_no_other_folder_is(tmp_path):
    def create(**options):
        RunFolder.create(tmp_path / "run", kind="nodes", config=Settings(), **options).close()

    create(files={"vocabulary.json": "{}"})
    (tmp_path / "run" / "config.toml").unlink()  # the last file of a creation
    with pytest.raises(RunError, match=r"has no config.toml.*train into it anew"):
        RunFolder.open(tmp_path / "run").read_config(Settings)
    with pytest.raises(RunError, match="not empty"):
        create()  # this kind of job writes no vocabulary, so it is somebody else's
    create(files={"vocabulary.json": "{1}"})
    assert (tmp_path / "run" / "vocabulary.json").read_text() == "{1}"
    with pytest.raises(RunError, match="not empty"):
        create(files={"vocabulary.json": "{}"})
    (tmp_path / "run" / "config.toml").unlink()
    (tmp_path / "run" / "run.json").write_text('{"format": "keras"}')
    with pytest.raises(RunError, match="not empty"):
        create(files={"vocabulary.json": "{}"})
