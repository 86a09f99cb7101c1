"""Every write of every command, failed once at each call to the system that it makes.

The exit code must not be 0, the message must name the file, what was there before must be there still (or, of
several files, be the new version, whole), nothing half-written may be left; and a training must go on from there
to the bits of an undisturbed one.
"""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from failing_calls import FAULTS, Calls
from fault_children import Ended, Finds, run
from fault_jobs import RUN, content_of, differences, equal, write_inputs

from gnnkit.errors import FileFormatError
from gnnkit.runs import CheckpointTimer, load_checkpoint, read_metrics

_SWEEP = "--hidden 4 --batch-size 4 --eval-size 8 --eval-every 2 --steps 4"
_SEQUENCE = f"--length 3 {_SWEEP}"
_TEXT = "--cell gru --hidden 4 --layers 1 --batch-size 2 --seq-length 5 --sample-length 5"
_FORECAST = "forecast --values values.csv --edges edges.txt --length 4 --horizon 2 --hidden 4 --hops 1 --jobs 1"


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: What is said.
        resume: How a training is gone on with; empty if it is none.
        prepare: Commands that make what it reads.
        older: Files it overwrites, put there beforehand.
    """

    words: str
    resume: str = ""
    prepare: tuple[str, ...] = ()
    older: tuple[str, ...] = field(default=())


_NODES = f"train karate --epochs 3 --threads 1 --out {RUN}"
_TRAINED = (_NODES,)
_READ = f"sequence train palindrome {_SEQUENCE} --threads 1 --out {RUN}"
_WRITTEN = f"text train text.txt {_TEXT} --steps 4 --threads 1 --out {RUN}"

COMMANDS = (
    Command(_NODES, "train"),
    Command(f"train karate --epochs 2 --runs 2 --out {RUN}", "train"),
    Command(f"train karate --batch-size 8 --fanout 5,5 --epochs 3 --threads 1 --out {RUN}", "train"),
    Command(f"trees train trees.txt --embedding 4 --hidden 4 --epochs 2 --out {RUN}", "trees train"),
    Command(_READ, "sequence train"),
    Command(f"sequence sweep palindrome --lengths 2,3 {_SWEEP} --out {RUN}", "sequence sweep"),
    Command(_WRITTEN, "text train"),
    Command(f"{_FORECAST} --epochs 2 --out {RUN}", "forecast --jobs 1"),
    Command("sequence row 17 --quick", older=("rows/row-17-quick.json", "rows/row-17-quick.png")),
    Command("sequence gates run --plot p.png", prepare=(_READ,), older=("p.png",)),
    Command(f"sequence gradients {RUN} --samples 8 --plot p.png", prepare=(_READ,), older=("p.png",)),
    Command("sequence temporal-gate --plot p.png", older=("p.png",)),
    Command(f"text chart {RUN}", prepare=(_WRITTEN,), older=(f"{RUN}/surprise.png",)),
    Command("hops edges.txt --out h.npy", older=("h.npy",)),
    Command("hops edges.txt --out h.npz", older=("h.npz",)),
    Command("hops edges.txt --out h.csv --plot p.png", older=("h.csv", "p.png")),
    Command("adjacency edges.txt --out a.npz --plot p.svg", older=("a.npz", "p.svg")),
    Command("adjacency edges.txt --out a.mtx", older=("a.mtx",)),
    Command("adjacency edges.txt --out a.csv", older=("a.csv",)),
    Command(f"predict {RUN} --out p.csv", prepare=_TRAINED, older=("p.csv",)),
    Command(f"flow {RUN} --samples 4 --plot p.pdf", prepare=_TRAINED, older=("p.pdf",)),
    Command(f"compare {RUN} {RUN}2 --plot p.png", prepare=(_NODES, _NODES + "2 --seed 1"), older=("p.png",)),
    Command("neighborhood-function edges.txt --out n.csv", older=("n.csv",)),
    Command("convert edges.txt --out graph"),
)  # fmt: skip
# Commands that write nothing, and those whose writing is tried elsewhere, and where.
SILENT = (
    "info", "evaluate", "verdict", "data list", "data verify", "sequence params", "text generate", "text score",
    "trees evaluate", "trees predict",
)  # fmt: skip
ELSEWHERE = {
    "text row": "trains as `text train` does and writes as `sequence row` does",
    "reproduce": "runs the rows of `sequence row` and `text row`",
    "trees download": "tests/data",
    "data download": "tests/data/test_download.py, against a server of its own",
    "export": "writes its one file as `predict` does; needs the extra `onnx`",
}
_QUICK = (0, 13, 19)


def campaign(work: Path, *, seed: int, quick: bool = False) -> dict[str, Any]:
    """Fail every call of every command in a way that the seed chooses, or in short one of each kind of a few."""
    chance = random.Random(f"writes/{seed}")
    by_command: dict[str, dict[str, int]] = {}
    finds = Finds()
    for command in [COMMANDS[index] for index in _QUICK] if quick else COMMANDS:
        bench = _Bench(command, work)
        cases = [(number, chance.choice(FAULTS[kind])) for number, (kind, _) in enumerate(bench.calls)]
        if quick:
            cases = [(number, fault) for number, (kind, _) in enumerate(bench.calls) for fault in FAULTS[kind]]
            one_each = {
                (bench.calls[number][0], fault): (number, fault) for number, fault in chance.sample(cases, len(cases))
            }
            cases = chance.sample(sorted(one_each.values()), 3)
        for number, fault in cases:
            kind, name = bench.calls[number]
            found = bench.failed(number, fault)
            finds += [f"{command.words}: {fault} at call {number}, {kind} {name}: {each}" for each in found]
        by_command[command.words] = {"calls": len(bench.calls), "failures": len(cases)}
        print(f"  {command.words}: {len(bench.calls)} calls, failed {len(cases)} times", flush=True)
    failures = sum(each["failures"] for each in by_command.values())
    calls = sum(each["calls"] for each in by_command.values())
    damaged = sum("damaged" in find for find in finds)
    return {
        "commands": len(by_command),
        "calls": calls,
        "failures": failures,
        "damaged_files": damaged,
        "by_command": by_command,
        "finds": finds,
    }


class _Bench:
    """One command: how it goes undisturbed, then with one call failed at a time."""

    def __init__(self, command: Command, work: Path) -> None:
        self._command, self._work = command, work / "case"
        self._start = work / "start"
        shutil.rmtree(self._start, ignore_errors=True)
        self._start.mkdir(parents=True)
        write_inputs(self._start)
        for words in command.prepare:
            if (ended := run(words.split(), self._start)).code:
                raise SystemExit(f"{words} fails undisturbed: {ended.said}")
        for name in command.older:
            (self._start / name).parent.mkdir(exist_ok=True)
            (self._start / name).write_bytes(b"the older version")
        ended = self._run(-1, "")
        if ended.code:
            raise SystemExit(f"{command.words} fails undisturbed: {ended.said}")
        self.calls = self._made()
        self._whole = work / "whole"
        shutil.rmtree(self._whole, ignore_errors=True)
        self._work.rename(self._whole)

    def _run(self, number: int, fault: str) -> Ended:
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._start, self._work)
        calls = Calls(self._work, self._work.parent / "calls.log", number, fault)
        return run(self._command.words.split(), self._work, before=lambda: _begin(calls))

    def _made(self) -> list[tuple[str, str]]:
        """The kind and the file of every call of the last time; what a message must name, as ``a|b`` one of two."""
        made: list[tuple[str, str]] = []
        for line in (self._work.parent / "calls.log").read_text().splitlines():
            kind, _, path = line.partition(" ")
            # A folder is brought to the disk for the sake of what was renamed just before: either may be named.
            made.append((kind, f"{made[-1][1]}|{_named(path)}" if path.endswith("/") else _named(path)))
        return made

    def failed(self, number: int, fault: str) -> list[str]:
        """What is not as promised when this call fails in this way."""
        ended = self._run(number, fault)
        if self._made()[number] != self.calls[number]:
            raise SystemExit(
                f"{self._command.words}: call {number} is {self._made()[number]}, was {self.calls[number]}"
            )
        problems = []
        if not fault.startswith("KILL"):
            name = self.calls[number][1]
            if ended.code <= 0:
                problems.append(f"exit code {ended.code}")
            if not any(each in ended.err for each in name.split("|")):
                problems.append(f"{name!r} is not named: {ended.said}")
            if ended.err.count("\n") > 1 and "Traceback" in ended.err:
                problems.append(f"a traceback: {ended.said}")
            problems += [f"{path.name} is left" for path in self._work.rglob("*.tmp")]
        problems += self._damaged()
        if self._command.resume:
            problems += self._gone_on_with()
        return problems

    def _damaged(self) -> list[str]:
        """Files that are neither what they were nor what they should become."""
        found = []
        for older in self._start.rglob("*"):
            now = self._work / older.relative_to(self._start)
            if older.is_file() and not (now.is_file() and now.read_bytes() == older.read_bytes()):
                new = self._whole / older.relative_to(self._start)
                if not (now.is_file() and equal(content_of(now), content_of(new))):
                    found.append(f"damaged: {now.name}")
        for now in self._work.rglob("*"):
            try:
                if now.name == "checkpoint.pt":
                    load_checkpoint(now)
                elif now.name == "metrics.csv":
                    read_metrics(now)
            except FileFormatError as error:
                found.append(f"damaged: {error}")
        return found

    def _gone_on_with(self) -> list[str]:
        begun = (self._work / RUN / "config.toml").exists()
        words = [*self._command.resume.split(), "--resume", RUN] if begun else self._command.words.split()
        ended = run(words, self._work)
        if ended.code:
            return [f"{' '.join(words)} ends with {ended.code}: {ended.said}"]
        return [f"after {' '.join(words)}: {each}" for each in differences(self._whole / RUN, self._work / RUN)]


def _begin(calls: Calls) -> None:
    """In the child: save after every step rather than by the clock, so that call by call it is the same each time."""
    CheckpointTimer.__init__.__defaults__ = (0.0,)  # type: ignore[attr-defined]
    calls.install()


def _named(path: str) -> str:
    """What a message about a call on this path must name: of a temporary file, the one it was to become."""
    name = Path(path).name
    temporary = re.fullmatch(r"\.(.+)\.[0-9a-f]{12}\.tmp", name)
    return name if temporary is None else temporary[1]
