import io
import os
import pickle
import random
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from gnnkit.errors import FileFormatError
from gnnkit.runs import CheckpointTimer, load_checkpoint, random_state, restore_random_state, save_checkpoint


def trained():
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimiser.step()
    return {"epoch": 3, "model": model.state_dict(), "optimiser": optimiser.state_dict(), "best": None, "x": (1, [2.5])}


def test_round_trip_of_model_and_optimiser(tmp_path):
    state = trained()
    save_checkpoint(tmp_path / "c.pt", state)
    back = load_checkpoint(tmp_path / "c.pt")
    assert back["epoch"] == 3
    assert back["best"] is None
    assert back["x"] == (1, [2.5])
    assert isinstance(back["model"], OrderedDict)
    torch.testing.assert_close(back["model"], state["model"], rtol=0, atol=0)
    torch.optim.Adam(torch.nn.Linear(3, 2).parameters()).load_state_dict(back["optimiser"])
    moments = state["optimiser"]["state"][0]["exp_avg"]
    torch.testing.assert_close(back["optimiser"]["state"][0]["exp_avg"], moments, rtol=0, atol=0)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.complex64]
)
def test_every_dtype_comes_back(tmp_path, dtype):
    tensor = torch.arange(5).to(dtype)
    save_checkpoint(tmp_path / "c.pt", {"tensor": tensor, "parameter": torch.nn.Parameter(torch.ones(2))})
    back = load_checkpoint(tmp_path / "c.pt")
    assert back["tensor"].dtype == dtype
    assert torch.equal(back["tensor"], tensor)
    assert isinstance(back["parameter"], torch.nn.Parameter)


class Unknown:
    pass


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [0, Unknown()]}}, r"state\['a'\]\['b'\]\[1\] is a .*Unknown"),
        ({"loss": np.float64(1)}, r"state\['loss'\] is a numpy.float64.*\.item\(\)"),
        ({"a": {(1, 2): 3}}, r"state\['a'\] has the key \(1, 2\)"),
        ({"a": torch.eye(2).to_sparse()}, r"state\['a'\] is a torch.Tensor"),
    ],
)
def test_what_could_not_be_read_back_is_refused_before_writing(tmp_path, state, message):
    save_checkpoint(tmp_path / "c.pt", {"epoch": 1})
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "c.pt", state)
    assert load_checkpoint(tmp_path / "c.pt") == {"epoch": 1}


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


class Bomb:
    def __reduce__(self):
        return (bytearray, (10**10,))


def bomb_archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**7)
    return buffer.getvalue()


def flipped(raw, value):
    """One bit of a stored weight changed: torch itself would load it."""
    at = raw.index(torch.tensor([value]).numpy().tobytes())
    return raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]


GOOD = {"format": "gnnkit checkpoint", "version": 1, "state": {"w": torch.arange(100.0)}}
BROKEN = {
    "empty": (lambda witness: b"", "is not a checkpoint: cut short"),
    "cut short": (lambda witness: saved(GOOD)[:-30], "is not a checkpoint: cut short"),
    "text": (lambda witness: b"epoch 3", "another kind of file"),
    "a bare pickle": (lambda witness: pickle.dumps(Command(witness)), "such as a pickle"),
    "torch's older format": (lambda witness: pickle.dumps(119547037146038801333356), "such as a pickle"),
    "a command inside": (lambda witness: saved({**GOOD, "state": Command(witness)}), "names more than tensors"),
    "a memory bomb": (lambda witness: saved({**GOOD, "state": Bomb()}), "names more than tensors"),
    "a compressed bomb": (lambda witness: bomb_archive(), "compressed parts"),
    "a flipped bit": (lambda witness: flipped(saved(GOOD), 77.0), "wrong checksum"),
    "another archive": (lambda witness: saved(GOOD).replace(b"data.pkl", b"data.pkm"), "another kind"),
    "a plain state_dict": (
        lambda witness: saved(torch.nn.Linear(1, 1).state_dict()),
        "is not a checkpoint of a gnnkit run",
    ),
    "a tensor": (lambda witness: saved(torch.ones(3)), "is not a checkpoint of a gnnkit run"),
    "a later version": (lambda witness: saved({**GOOD, "version": 2}), "format 2; this gnnkit reads format 1: use the"),
    "no state": (lambda witness: saved({**GOOD, "state": 3}), "without a state"),
}


@pytest.mark.parametrize(("build", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_and_hostile_files(tmp_path, build, message):
    path, witness = tmp_path / "c.pt", tmp_path / "witness"
    path.write_bytes(build(witness))
    with pytest.raises(FileFormatError, match=rf"c\.pt: .*{message}"):
        load_checkpoint(path)
    assert not witness.exists()


def test_mutants_are_refused_or_read_as_they_were(tmp_path):
    """Any change of the stored parts is noticed; the rest (an archive's padding) does not matter."""
    path, raw, draw = tmp_path / "c.pt", saved(GOOD), random.Random(0)
    refused = 0
    for _ in range(400):
        mutant = bytearray(raw)
        for _ in range(draw.choice([1, 1, 3, 10])):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        if draw.random() < 0.2:
            del mutant[draw.randrange(len(mutant)) :]
        path.write_bytes(mutant)
        try:
            state = load_checkpoint(path)
        except FileFormatError:
            refused += 1
        else:
            assert torch.equal(state["w"], GOOD["state"]["w"])
    assert refused > 100


def test_a_pipe_does_not_hang_and_a_missing_file_is_missing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        load_checkpoint(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "absent.pt")


def test_a_full_disk_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"epoch": 1})

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"No space left on device\): '.*c\.pt'"):
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path) == {"epoch": 1}


# One process imports torch and forks the writers, so that 20 real kills take seconds. Each writer
# does nothing but write checkpoints, so nearly every kill falls into one; what it leaves behind, a
# temporary file, shows that it did.
KILLS = """
import os, random, signal, sys, time
import torch
from gnnkit.runs import load_checkpoint, save_checkpoint
folder, draw = sys.argv[1], random.Random(0)
path = os.path.join(folder, "c.pt")
torch.set_num_threads(1)
save_checkpoint(path, {"step": 0, "w": torch.zeros(50_000)})
last = 0
for kill in range(20):
    child = os.fork()
    if child == 0:
        step = last
        while True:
            step += 1
            save_checkpoint(path, {"step": step, "w": torch.full((50_000,), float(step))})
    time.sleep(draw.uniform(0.02, 0.15))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    state = load_checkpoint(path)
    assert state["step"] >= last and (state["w"] == state["step"]).all(), state["step"]
    last = state["step"]
left = sum(name.endswith(".tmp") for name in os.listdir(folder))
print(last, left)
"""


def test_kill_minus_nine_twenty_times_always_leaves_a_readable_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLS, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    steps, in_the_middle = map(int, done.stdout.split())
    assert steps > 20
    assert in_the_middle > 0, "no kill fell into a write, so the test showed nothing"


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_random_state_survives_a_checkpoint(tmp_path, kind):
    generators = {"torch": torch.Generator().manual_seed(1), "numpy": np.random.Generator(kind(2))}

    def draw():
        return (
            random.random(),
            random.gauss(0, 1),
            np.random.rand(),  # noqa: NPY002
            np.random.normal(),  # noqa: NPY002
            torch.rand(3).tolist(),
            torch.randn(17, generator=generators["torch"]).tolist(),
            generators["numpy"].normal(size=3).tolist(),
        )

    draw()
    save_checkpoint(tmp_path / "c.pt", {"random": random_state(generators)})
    expected = draw()
    assert draw() != expected
    restore_random_state(load_checkpoint(tmp_path / "c.pt")["random"], generators)
    assert draw() == expected


def test_random_state_of_other_generators_is_refused():
    state = random_state({"dropout": torch.Generator()})
    with pytest.raises(ValueError, match=r"has the generators \['dropout'\], got \[\]"):
        restore_random_state(state)
    with pytest.raises(ValueError, match="'dropout' is a Generator, the saved one was of another kind"):
        restore_random_state(state, {"dropout": np.random.default_rng()})


def test_timer_counts_from_the_end_of_the_last_write():
    now = 0.0
    timer = CheckpointTimer(10, clock=lambda: now)
    now = 9.9
    assert not timer.due()
    now = 10.0
    assert timer.due()
    now = 25.0  # a slow disk
    timer.restart()
    now = 34.0
    assert not timer.due()
    now = 35.0
    assert timer.due()
