"""The jobs of the campaigns: every kind of training, small enough to be run a thousand times."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gnnkit.runs import load_checkpoint

RUN = "run"  # the folder that every job trains into

_FILES = "--edges edges.txt --features features.csv --labels labels.csv"
_SWEEP = "--hidden 12 --batch-size 16 --eval-every 40 --eval-size 64 --seed 3"
_SEQUENCE = f"{_SWEEP} --threads 1"
_PHASED = f"sequence train adding --cell phased-lstm --length 12 --steps 120 {_SEQUENCE}"
_LENGTHS = f"sequence sweep palindrome --lengths 3,4 --runs 2 --steps 120 {_SWEEP}"
_TEXT = "--cell gru --hidden 16 --layers 2 --batch-size 8 --seq-length 12 --sample-length 20 --threads 1"
_TEXT = f"{_TEXT} --eval-every 30 --sample-every 40"
_RANDOM = f"text train text.txt {_TEXT} --steps 150 --batches random --dropout .3"
_BATCHES = "train karate --batch-size 8 --fanout 5,5 --eval-every 2 --threads 1"
_TREES = "trees train trees.txt --embedding 6 --hidden 6 --batch-size 8"
_TORCHRUN = "torchrun --nproc-per-node 2 -m gnnkit"
_FORECAST = "forecast --values values.csv --edges edges.txt --length 4 --horizon 2 --hidden 6 --hops 1"


@dataclass(frozen=True)
class Job:
    """A command that trains, and the one that goes on with it.

    Attributes:
        name: For reports.
        command: Without ``--out``.
        resume: The words before ``--resume``.
        jobs: Side by side; above 1 with worker processes.
    """

    name: str
    command: str
    resume: str
    jobs: int | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several processes train one model."""
        return self.command.startswith("torchrun ")

    def start(self) -> list[str]:
        """The words that begin it."""
        return [*self.command.split(), *self._jobs(), "--out", RUN]

    def go_on(self) -> list[str]:
        """The words that continue it."""
        return [*self.resume.split(), *self._jobs(), "--resume", RUN]

    def _jobs(self) -> list[str]:
        return [] if self.jobs is None else ["--jobs", str(self.jobs)]


JOBS = {
    job.name: job
    for job in (
        Job("nodes, GCN", "train karate --epochs 250 --eval-every 2 --threads 1", "train"),
        Job("nodes, GAT", "train karate --model gat --dropout 0.5 --epochs 120 --patience 60 --threads 1", "train"),
        Job("nodes, own files", f"train {_FILES} --epochs 200 --threads 1", "train"),
        Job("sequences, LSTM", f"sequence train palindrome --length 5 --steps 250 {_SEQUENCE}", "sequence train"),
        Job("sequences, phased", _PHASED, "sequence train"),
        Job("text", f"text train text.txt {_TEXT} --steps 200", "text train"),
        Job("text, random windows", _RANDOM, "text train"),
        Job("forecasts", f"{_FORECAST} --epochs 5", "forecast", 1),
        Job("forecasts, two at once", f"{_FORECAST} --epochs 8", "forecast", 2),
        Job("many runs", "train karate --runs 4 --epochs 80", "train", 1),
        Job("many runs, two at once", "train karate --runs 4 --epochs 150", "train", 2),
        Job("nodes, mini-batches", f"{_BATCHES} --epochs 80", "train"),
        Job("nodes, a partition each", f"{_TORCHRUN} train karate --epochs 60 --threads 1", f"{_TORCHRUN} train"),
        Job("trees", f"{_TREES} --epochs 25", "trees train"),
        Job("sweep, two at once", _LENGTHS, "sequence sweep", 2),
    )
}


def write_inputs(folder: Path) -> None:
    """The files that the jobs read."""
    generator = torch.Generator().manual_seed(5)
    words = ["the", "graph", "knows", "how", "far", "a", "word", "may", "go", "and", "who", "hears", "it"]
    chosen = torch.randint(len(words), (700,), generator=generator).tolist()
    (folder / "text.txt").write_text(" ".join(words[each] for each in chosen) + "\n")
    (folder / "edges.txt").write_text("".join(f"{i} {(i + 1) % 12}\n{i} {(i * 5 + 2) % 12}\n" for i in range(12)))
    features = torch.randn(12, 4, generator=generator).tolist()
    rows = [f"{node}," + _cells(row) for node, row in enumerate(features)]
    (folder / "features.csv").write_text("\n".join(["node,a,b,c,d", *rows, ""]))
    (folder / "labels.csv").write_text("node,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(12)))
    trees = [f"({i % 2} ({i % 3 % 2} {words[i % 13]}) ({(i + 1) % 2} {words[i * 7 % 13]}))" for i in range(60)]
    (folder / "trees.txt").write_text("\n".join([*trees, ""]))
    waves = torch.sin(torch.arange(160)[:, None] / 6 + torch.arange(12) / 2)
    values = (waves + 0.1 * torch.randn(160, 12, generator=generator)).tolist()
    (folder / "values.csv").write_text("\n".join([",".join(map(str, range(12))), *map(_cells, values), ""]))


def _cells(row: list[float]) -> str:
    return ",".join(f"{value:.4f}" for value in row)


def differences(first: Path, second: Path) -> list[str]:
    """What two run folders of one job have not in common, but for times and dates; empty if all bits are the same."""
    names = [{str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} for root in (first, second)]
    found = [f"{name} is in one folder only" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        contents = [content_of(root / name) for root in (first, second)]
        if not equal(*contents):
            found.append(f"{name} differs")
    return found


def content_of(path: Path) -> Any:
    """What a file holds but for times and dates: what two runs of one job have in common."""
    if path.name == "checkpoint.pt":
        return _timeless(load_checkpoint(path))
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".md":
        # A sweep's table has its seconds in the last column.
        lines = [line for line in path.read_text().splitlines() if "seconds" not in line]
        return [line.rpartition(" | ")[0] if line.startswith("| ") else line for line in lines]
    return path.read_bytes()


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _timeless(value) for key, value in content.items() if key not in ("seconds", "created", "date")}
    return [_timeless(each) for each in content] if isinstance(content, list) else content


def equal(first: Any, second: Any) -> bool:
    """Whether two contents are the same bits; NaN equals NaN."""
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return (
            isinstance(second, dict) and list(first) == list(second) and all(equal(first[k], second[k]) for k in first)
        )
    if isinstance(first, list | tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, float) and math.isnan(first):
        return isinstance(second, float) and math.isnan(second)
    return type(first) is type(second) and bool(first == second)
