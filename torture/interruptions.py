"""Ctrl-C and SIGTERM at any moment of any command: one line that says how to go on, and it is true.

Moments are drawn over the whole of a command's life: its imports (in processes of their own, not forks),
loading, the making of the folder, training, evaluation, pictures, the summary.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_children import Ended, Finds, Running, run
from fault_jobs import JOBS, RUN, differences, write_inputs

_TWICE = 0.1  # of the times the signal is sent twice, as by an impatient user


@dataclass(frozen=True)
class Command:
    """A command to interrupt.

    Attributes:
        words: What is said.
        resume: How it is gone on with; empty where the same command is to be run again.
        prepare: Commands that make what it reads.
    """

    words: str
    resume: str = ""
    prepare: tuple[str, ...] = ()


_TRAIN = f"train karate --epochs 20 --threads 1 --out {RUN}"
_SEQUENCE = f"sequence train palindrome --length 3 --hidden 4 --steps 4 --eval-every 2 --threads 1 --out {RUN}"
_TEXT = f"text train text.txt --cell gru --hidden 4 --layers 1 --seq-length 5 --steps 4 --threads 1 --out {RUN}"
_TREES = f"trees train trees.txt --embedding 4 --hidden 4 --epochs 2 --out {RUN}"
COMMANDS = (
    # What torchrun itself says and does of signals is tried with it, in tests/distributed.
    *(Command(" ".join(job.start()), " ".join(job.go_on())) for job in JOBS.values() if not job.is_shared),
    Command(f"train --resume {RUN}", f"train --resume {RUN}", (_TRAIN,)),
    Command("verdict karate --splits 3 --epochs 20"),
    Command("verdict karate --splits 3 --epochs 20 --jobs 2"),
    Command("sequence row 17 --quick"),
    Command("sequence row 24 --quick --runs 20"),
    Command(f"compare {RUN} {RUN}2 --plot p.png", prepare=(_TRAIN, _TRAIN + "2 --seed 1")),
    Command(f"evaluate {RUN}", prepare=(_TRAIN,)),
    Command(f"predict {RUN} --out p.csv", prepare=(_TRAIN,)),
    Command(f"flow {RUN} --samples 20 --plot p.png", prepare=(_TRAIN,)),
    Command("hops edges.txt --out h.csv --plot p.png"),
    Command("adjacency edges.txt --out a.csv --plot p.png"),
    Command("info edges.txt"),
    Command("neighborhood-function edges.txt --out n.csv"),
    Command("convert edges.txt --out graph"),
    Command(f"export {RUN} --out m.pt2", prepare=(_TRAIN,)),
    Command(f"sequence gates {RUN} --plot p.png", prepare=(_SEQUENCE,)),
    Command(f"sequence gradients {RUN} --samples 16", prepare=(_SEQUENCE,)),
    Command("sequence temporal-gate --plot p.png"),
    Command("sequence params"),
    Command(f"text generate {RUN} --prompt th --length 400", prepare=(_TEXT,)),
    Command(f"text score {RUN} text.txt", prepare=(_TEXT,)),
    Command(f"text chart {RUN} --characters 60", prepare=(_TEXT,)),
    Command(f"trees evaluate {RUN}", prepare=(_TREES,)),
    Command(f"trees predict {RUN} trees.txt", prepare=(_TREES,)),
    Command("data list"),
    Command("data verify karate"),
)
# Commands that are others in other words, or wait for an address.
ELSEWHERE = {
    "reproduce": "runs the rows of `sequence row` and `text row`",
    "text row": "trains as `text train` does, and goes on as `sequence row` does",
    "data download": "tests/data/test_download.py: a transfer that breaks is continued",
    "trees download": "downloads as `data download` does",
}
_QUICK = (0, 15)


def campaign(work: Path, *, signals: int, seed: int, quick: bool = False) -> dict[str, Any]:
    """Interrupt commands so many times in all; a tenth of them in processes that still have all to import."""
    chance = random.Random(f"interruptions/{seed}")
    commands = [COMMANDS[index] for index in _QUICK] if quick else COMMANDS
    benches = [_Bench(command, work / str(number)) for number, command in enumerate(commands)]
    finds = Finds()
    sent = early = answered = 0
    while sent < signals:
        bench = benches[sent % len(benches)]
        number = chance.choice((signal.SIGINT, signal.SIGTERM))
        fork = chance.random() > 0.1
        heard, problems = bench.interrupted(number, chance.random(), fork, chance.random() < _TWICE)
        case = f"{bench.command.words}, {signal.Signals(number).name}, moment {sent} of seed {seed}"
        finds += [f"{case}: {each}" for each in problems]
        sent, early, answered = sent + 1, early + (not fork), answered + heard
    return {"signals": sent, "answered": answered, "whole_processes": early, "commands": len(benches), "finds": finds}


class _Bench:
    """One command: how it goes undisturbed, then interrupted at some moment."""

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self._start = command, folder / "start"
        self._case, self._whole = folder / "case", folder / "whole"
        self._start.mkdir(parents=True)
        write_inputs(self._start)
        for words in command.prepare:
            if (ended := run(words.split(), self._start)).code:
                raise SystemExit(f"{words} fails undisturbed: {ended.said}")
        shutil.copytree(self._start, self._whole)
        if (ended := run(command.words.split(), self._whole)).code:
            raise SystemExit(f"{command.words} fails undisturbed: {ended.said}")
        self._seconds = {True: ended.seconds}

    def _copy(self) -> Path:
        shutil.rmtree(self._case, ignore_errors=True)
        shutil.copytree(self._start, self._case)
        return self._case

    def interrupted(self, number: int, moment: float, fork: bool, twice: bool) -> tuple[bool, list[str]]:
        """Whether the command was stopped by the signal, and what was not as promised."""
        folder = self._copy()
        if fork not in self._seconds:
            self._seconds[fork] = run(self.command.words.split(), folder, fork=fork).seconds
            folder = self._copy()
        running = Running(self.command.words.split(), folder, fork=fork)
        # A process of its own listens when its first line has run: some hundredths of a second after its start.
        least = 0.02 if fork else 0.15
        running.sleep(max(least, moment * self._seconds[fork]))
        running.kill(number, group=number == signal.SIGINT)  # as a terminal, and as a scheduler
        if twice:
            running.sleep(0.2)
            running.kill(number, group=number == signal.SIGINT)
        ended = running.wait()
        if ended.code == 0:
            return False, self._compared(folder)
        if ended.code != 130:
            return True, [f"exit code {ended.code}: {ended.said}"]
        return True, self._line_is_true(ended, folder)

    def _line_is_true(self, ended: Ended, folder: Path) -> list[str]:
        """One line said how to go on: done so, the command comes to what it comes to undisturbed."""
        lines = [line for line in ended.err.splitlines() if line.startswith("gnnkit: ")]
        if len(lines) != 1 or "Traceback" in ended.err or "Exception ignored" in ended.err:
            return [f"{len(lines)} lines: {ended.said}"]
        resumed = re.search(r"--resume (\S+)$", lines[0])
        if resumed is None and "run the same command again" not in lines[0]:
            return [f"the line does not say how to go on: {lines[0]}"]
        if resumed is not None and resumed[1] != RUN:
            return [f"the line names another folder: {lines[0]}"]
        left = [path.name for path in folder.rglob(".*.tmp")]
        again = run((self.command.resume if resumed else self.command.words).split(), folder)
        problems = [f"{name} is left" for name in left]
        if again.code:
            return [*problems, f"after {lines[0]!r}: {again.said}"]
        return problems + [f"after {lines[0]!r}: {each}" for each in self._compared(folder)]

    def _compared(self, folder: Path) -> list[str]:
        return differences(self._whole, folder)
