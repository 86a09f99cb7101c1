"""Start ``torchrun`` on the loopback, look at its processes, and read what they left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from gnnkit.runs import load_checkpoint

ROOT = Path(__file__).parents[2]
FREQUENT = str(Path(__file__).with_name("frequent_checkpoints.py"))


@contextmanager
def torchrun(
    processes: int, arguments: Sequence[str], *, options: Sequence[str] = (), log: Path, program: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """``torchrun ... -m gnnkit ARGUMENTS``, what it says going to ``log``; ended with the block at the latest."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    what = ["-m", "gnnkit"] if program is None else [program]
    command = [*launcher, *options, *what, *arguments]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment())
    try:
        yield process
    finally:
        process.terminate()  # which torchrun passes on to those it started
        process.wait(timeout=60)


def environment() -> Mapping[str, str]:
    """This process's, without what a launcher of its own may have set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHELASTIC_", "MASTER_"))}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        kept.pop(name, None)
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(processes: int, arguments: Sequence[str], *, options: Sequence[str] = (), log: Path) -> tuple[int, str]:
    """Exit code and everything said."""
    with torchrun(processes, arguments, options=options, log=log) as launcher:
        code = launcher.wait(timeout=240)
    return code, log.read_text()


def workers(launcher: subprocess.Popen[bytes]) -> list[int]:
    """Ids of the processes that torchrun has started and that live, by rank."""
    found = {}
    for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = [each for each in variables if each.startswith(b"RANK=")]
        if ranks:
            found[int(ranks[0].removeprefix(b"RANK="))] = int(pid)
    return [found[rank] for rank in sorted(found)]


def final_weights(folder: Path) -> dict[str, Tensor]:
    """The model's weights at the end of a run."""
    weights: dict[str, Tensor] = load_checkpoint(folder / "checkpoint.pt")["parts"]["model"]
    return weights


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Whether two models' weights are the same to the last bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
