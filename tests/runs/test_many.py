import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gnnkit.errors import DivergedError, RunError
from gnnkit.runs import Interrupted, check_settled, run_many


@pytest.fixture(autouse=True)
def jobs(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import jobs_of_test_many

    return jobs_of_test_many


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_back_in_order(jobs, processes):
    done = []
    outcomes = run_many(jobs.add, range(7), shared=100, jobs=processes, on_done=done.append)
    assert [outcome.value for outcome in outcomes] == list(range(100, 107))
    assert [outcome.index for outcome in outcomes] == list(range(7))
    assert all(outcome.ok and outcome.seconds > 0 and not outcome.error for outcome in outcomes)
    assert sorted(done, key=lambda outcome: outcome.index) == outcomes


def test_nothing_to_do(jobs):
    assert run_many(jobs.add, [], shared=0, jobs=4) == []


def test_a_failure_costs_no_other_job(jobs):
    work = ["raise", 1, "kill", 2, "exit", "die", "lambda", 3]
    outcomes = run_many(jobs.stumble, work, shared=None, jobs=2)
    assert [outcome.value for outcome in outcomes if outcome.ok] == [1, 2, 3]
    errors = {item: outcome.error for item, outcome in zip(work, outcomes, strict=True) if outcome.status == "failed"}
    assert errors["raise"] == "ValueError: got raise"
    assert errors["kill"] == "its process was killed by SIGKILL (out of memory?)"
    assert errors["exit"] == "SystemExit: 3"
    assert errors["die"] == "its process ended with exit code 7"
    assert "cannot be sent back" in errors["lambda"]
    assert 'raise ValueError(f"got {item}")' in outcomes[0].trace


def test_a_failure_costs_no_other_job_in_one_process(jobs):
    outcomes = run_many(jobs.stumble, [1, "raise", "exit", 2], shared=None)
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "failed", "done"]
    assert outcomes[1].error == "ValueError: got raise"


@pytest.mark.parametrize("processes", [1, 2])
def test_progress_reaches_the_caller(jobs, processes):
    heard = []
    outcomes = run_many(
        jobs.tell, ["a", "b"], shared=None, jobs=processes, on_progress=lambda index, said: heard.append((index, said))
    )
    assert sorted(heard) == [(index, (name, part)) for index, name in enumerate("ab") for part in range(3)]
    assert len({outcome.value for outcome in outcomes} | {os.getpid()}) == (1 if processes == 1 else 3)


def test_side_by_side_gives_the_bits_of_one_after_another(jobs):
    data = torch.randn(3000, 300, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # so that forgetting to use one would show
    try:
        alone = run_many(jobs.train, [0, 1, 2], shared=data)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    together = run_many(jobs.train, [0, 1, 2], shared=data, jobs=2)
    for one, two in zip(alone, together, strict=True):
        assert one.value[0] == two.value[0] == 1
        assert one.value[1] == two.value[1]
        assert torch.equal(one.value[2], two.value[2])
    assert alone[0].value[1] != alone[1].value[1]


def test_what_cannot_be_sent_is_said_before_anything_starts():
    with pytest.raises(ValueError, match=r"cannot be sent to another process.*top of a module"):
        run_many(lambda shared, item: item, [1, 2], shared=None, jobs=2)
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        run_many(print, [1], shared=None, jobs=0)


def test_an_interrupted_job_ends_the_row_in_one_process(jobs):
    def stopped(shared, item):
        if item == 1:
            raise Interrupted("at epoch 3")
        return item

    outcomes = run_many(stopped, [0, 1, 2], shared=None)
    assert [outcome.status for outcome in outcomes] == ["done", "interrupted", "interrupted"]
    assert [outcome.error for outcome in outcomes[1:]] == ["Interrupted: at epoch 3", "not begun"]


MANY = """
import sys
sys.path.insert(0, sys.argv[1])
import jobs_of_test_many as jobs
from gnnkit.runs import run_many

if __name__ == "__main__":
    work = ["quick", "slow0", "slow1", "slow2"]
    for outcome in run_many(getattr(jobs, sys.argv[3]), work, shared=sys.argv[2], jobs=2):
        print(outcome.status, outcome.value, outcome.error, sep=";")
"""


def start(tmp_path, function):
    script = tmp_path / "script.py"
    script.write_text(MANY)
    return subprocess.Popen(
        [sys.executable, str(script), str(Path(__file__).parent), str(tmp_path), function],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives
    )


def await_files(tmp_path, *names):
    end = time.monotonic() + 60
    while not all((tmp_path / name).exists() for name in names):
        assert time.monotonic() < end, f"waited for {names}, have {os.listdir(tmp_path)}"
        time.sleep(0.02)


@pytest.mark.parametrize("whole_group", [True, False], ids=["from the terminal", "to the parent alone"])
def test_ctrl_c_lets_jobs_write_their_checkpoints_and_keeps_what_is_finished(tmp_path, whole_group):
    parent = start(tmp_path, "wait")
    await_files(tmp_path, "slow0.begun", "slow1.begun")
    if whole_group:
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.send_signal(signal.SIGINT)
    out, errors = parent.communicate(timeout=60)
    assert parent.returncode == 0, errors
    assert errors == ""
    assert out.splitlines() == [
        "done;quick;",
        "interrupted;None;Interrupted: continue with --resume",
        "interrupted;None;Interrupted: continue with --resume",
        "interrupted;None;not begun",
    ]
    assert sorted(path.name for path in tmp_path.glob("*.checkpoint")) == ["slow0.checkpoint", "slow1.checkpoint"]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes through /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-C", "kill -9 of the parent"])
def test_no_worker_outlives_its_parent(tmp_path, number):
    parent = start(tmp_path, "deaf")
    await_files(tmp_path, "quick.begun", "slow0.begun")
    time.sleep(0.1)
    workers = [int((tmp_path / f"{name}.begun").read_text()) for name in ("quick", "slow0")]
    assert all(map(alive, workers))
    parent.send_signal(number)
    out, _ = parent.communicate(timeout=60)
    end = time.monotonic() + 20
    while any(map(alive, workers)):
        assert time.monotonic() < end
        time.sleep(0.02)
    if number == signal.SIGINT:
        killed = "interrupted;None;its process was killed by SIGTERM"
        assert out.splitlines() == [killed, killed, *["interrupted;None;not begun"] * 2]


def test_what_the_machine_failed_is_told_from_what_the_job_failed(jobs):
    errors = {
        "disk": OSError(28, "No space left on device", "checkpoint.pt"),
        "memory": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        "lock": RunError("the run folder is in use"),
        "diverged": DivergedError("the training loss became nan"),
        "mistake": ValueError("got 3"),
    }
    outcomes = run_many(jobs.fail_with, list(errors), shared=errors)
    assert {item: outcome.transient for item, outcome in zip(errors, outcomes, strict=True)} == {
        "disk": True,
        "memory": True,
        "lock": True,
        "diverged": False,
        "mistake": False,
    }
    check_settled(outcomes[3:], "continue")
    with pytest.raises(
        RunError, match=r"3 of 5 runs failed, the first with: OSError: .*checkpoint.pt'; 0 are done: go on"
    ):
        check_settled(outcomes, "go on")
    killed = run_many(jobs.stumble, ["kill", "fine"], shared=None, jobs=2)
    with pytest.raises(RunError, match=r"1 of 2 runs failed, .*SIGKILL.*; 1 are done: go on"):
        check_settled(killed, "go on")
