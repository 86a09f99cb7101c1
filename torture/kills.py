"""`kill -9` at random moments of every kind of training, again and again until it ends: the same bits, nothing lost."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path
from typing import Any

from fault_children import Finds, Running, run
from fault_jobs import JOBS, RUN, Job, differences, write_inputs

from gnnkit.runs import load_checkpoint

_KILLS_PER_RUN = 5
_LEAST = 0.05  # of a command's usual time: before that it has begun nothing
_QUICK = ("nodes, GCN", "text", "many runs")


def campaign(work: Path, *, kills: int, seed: int, quick: bool = False) -> dict[str, Any]:
    """Kill so many commands in all, the same number of each kind of job, and compare every end with a whole run's."""
    chance = random.Random(f"kills/{seed}")
    names = _QUICK if quick else tuple(JOBS)
    whole = {name: _whole(work / "whole" / _plain(name), JOBS[name]) for name in names}
    by_job = {name: {"kills": 0, "ends": 0} for name in names}
    finds = Finds()
    done = number = 0
    while done < kills:
        name = names[number % len(names)]
        reference, seconds = whole[name]
        wanted = min(1 if quick else _KILLS_PER_RUN, kills - done)
        killed, problems = _killed_often(work / f"killed-{number}", JOBS[name], reference, seconds, wanted, chance)
        finds += [f"{name}, run {number} of seed {seed}: {problem}" for problem in problems]
        by_job[name]["kills"] += killed
        by_job[name]["ends"] += 1
        done += killed
        number += 1
        if number > 10 * kills:
            raise SystemExit(f"{number} runs ended before they could be killed: {by_job}")
    return {
        "kills": done,
        "runs": number,
        "lost_checkpoints": sum("lost" in find for find in finds),
        "differing_ends": sum("differ" in find or "one folder only" in find for find in finds),
        "by_job": by_job,
        "finds": finds,
    }


def _whole(folder: Path, job: Job) -> tuple[Path, float]:
    """An uninterrupted run and its time."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    ended = run(job.start(), folder)
    if ended.code != 0:
        raise SystemExit(f"{job.name} fails without being killed: {ended.said}")
    return folder / RUN, ended.seconds


def _killed_often(
    folder: Path, job: Job, reference: Path, usual: float, wanted: int, chance: random.Random
) -> tuple[int, list[str]]:
    """A run killed ``wanted`` times, or until it ended by itself; how often it was, and what was not as promised."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    killed, problems = 0, []
    steps: dict[str, int] = {}
    for attempt in range(3 * wanted):
        if killed == wanted:
            break
        command = job.go_on() if (folder / RUN / "config.toml").exists() else job.start()
        running = Running(command, folder)
        if running.sleep(usual * chance.uniform(_LEAST, 1.0) * 0.8**attempt):
            # The whole group, as a machine's end is; or the first process alone, as the kernel's choice may be.
            running.kill(signal.SIGKILL, group=chance.random() < 0.5)
            running.wait()
            killed += 1
            problems += _lost(folder / RUN, steps)
            continue
        ended = running.wait()
        if ended.code != 0:
            problems.append(f"{' '.join(command)} after {killed} kills ended with {ended.code}: {ended.said}")
        break
    command = job.go_on() if (folder / RUN / "config.toml").exists() else job.start()
    ended = run(command, folder)
    if ended.code != 0:
        problems.append(f"{' '.join(command)} after {killed} kills ended with {ended.code}: {ended.said}")
    else:
        problems += differences(reference, folder / RUN)
    if not problems:
        shutil.rmtree(folder)
    return killed, problems


def _lost(folder: Path, steps: dict[str, int]) -> list[str]:
    """Checkpoints that cannot be read, or stand before where they stood; ``steps`` is brought up to date."""
    problems = []
    for name in {*steps, *(str(path.relative_to(folder)) for path in folder.rglob("checkpoint.pt"))}:
        try:
            step = int(load_checkpoint(folder / name)["step"])
        except (OSError, ValueError) as error:
            problems.append(f"lost checkpoint: {error}")
            continue
        if step < steps.get(name, 0):
            problems.append(f"lost checkpoint: {name} stood at {steps[name]}, now at {step}")
        steps[name] = step
    return problems


def _plain(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
