# ruff: noqa: E501 (tables of bytes and long conditions read best in one line)
"""Does any file, however damaged or hostile, crash, hang, fill the memory or run code?

Mutants of healthy files of every kind are given to every reader of the project, in child processes with a
limit on memory and processor time, watched by Python's own audit of what a process does. Each must be read,
to a result that keeps its promises, or refused with an error of the project's own words. Any other end is a
find: it is written down with the mutant, and becomes a regression case once it is mended.

    $ python torture/hostile.py --mutants 100000 --seed 0 --out benchmarks/results/torture/hostile.json

The same seed and number make the same mutants, and the digest at the end covers them and their outcomes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import platform
import random
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT)]

import audit  # noqa: E402 (found beside this file)
import pickle_mutators  # noqa: E402
import torch  # noqa: E402
from hostile_runs import make_runs  # noqa: E402
from hostile_targets import Target, all_targets  # noqa: E402

from gnnkit.errors import DivergedError, FileFormatError, MissingDataError, RunError  # noqa: E402

BATCH = 200
MEMORY = 1 << 30  # address space that a batch may take beyond what the parent has
BROKEN = 99  # the exit status of a child whose fault was not the reader's
SECONDS = 20  # of processor time or waiting for one mutant; healthy files take milliseconds

# What became of a mutant. The first two are what was promised.
READ, REFUSED, LEAKED, WRONG, MEMORY_OUT, EXECUTED, CRASHED, HUNG, PENDING = b"reXWMECH."
NAMES = {
    READ: "read", REFUSED: "refused", LEAKED: "foreign errors", WRONG: "broken promises", MEMORY_OUT: "out of memory",
    EXECUTED: "executions", CRASHED: "crashes", HUNG: "hangs",
}  # fmt: skip


@dataclass
class Find:
    """A mutant that ended otherwise than promised."""

    target: str
    index: int
    outcome: str
    what: str
    file: str = ""


@dataclass
class Tally:
    """What a target's mutants came to."""

    outcomes: Counter[int] = field(default_factory=Counter)
    peak_bytes: int = 0
    slowest: float = 0.0
    digest: Any = field(default_factory=hashlib.sha256)


def main() -> int:
    """Run the campaign; the exit code is 1 if there was a find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    parser.add_argument("--finds", type=Path, help="folder for mutants that were finds")
    parser.add_argument("--only", default="", help="targets whose name has these words")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # a hostile file may well make numpy warn; errors are what counts
    started, cpu = time.monotonic(), _cpu_seconds()
    with tempfile.TemporaryDirectory(
        prefix="hostile-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    ) as name:
        work = Path(name).resolve()
        (work / "runs").mkdir()
        make_runs(work / "runs")
        targets = [target for target in all_targets(work / "runs") if options.only in target.name]
        canary = _canary(work / "canary")
        finds, tallies = _campaign(targets, options.mutants, options.seed, work / "sandbox", options.finds)
    report = _report(options, tallies, finds, canary, time.monotonic() - started, _cpu_seconds() - cpu)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    for line in _lines(report, finds):
        print(line)
    return 1 if finds else 0


def _campaign(
    targets: list[Target], mutants: int, seed: int, sandbox: Path, keep: Path | None
) -> tuple[list[Find], dict[str, Tally]]:
    finds: list[Find] = []
    tallies: dict[str, Tally] = {}
    shares = sum(target.share for target in targets)
    for target in targets:
        shutil.rmtree(sandbox, ignore_errors=True)
        for name, (content, _) in target.files.items():
            (sandbox / name).parent.mkdir(parents=True, exist_ok=True)
            (sandbox / name).write_bytes(content)
        target.check(target.read(sandbox))  # a healthy file is read; what is imported late is imported here
        _put_back(target, sandbox)
        tally = tallies[target.name] = Tally()
        count = max(1, round(mutants * target.share / shares))
        for start in range(0, count, BATCH):
            finds += _batch(target, seed, range(start, min(count, start + BATCH)), sandbox, tally, keep)
    return finds, tallies


def _batch(target: Target, seed: int, indices: range, sandbox: Path, tally: Tally, keep: Path | None) -> list[Find]:
    """Some mutants of one target in child processes: one if all goes well, another after each crash or hang."""
    # Shared with the children, so that nothing is lost with one: outcomes, then index and time of the current mutant.
    board = mmap.mmap(-1, len(indices) + 32)
    board[: len(indices)] = bytes([PENDING]) * len(indices)
    finds: list[Find] = []
    first = 0
    while first < len(indices):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(target, seed, indices, first, sandbox, board, writing)
        os.close(writing)
        told, status = _watch(pid, reading, board, len(indices))
        for line in told.splitlines():
            entry = json.loads(line)
            if "find" in entry:
                finds.append(Find(target.name, *entry["find"]))
            else:
                tally.peak_bytes = max(tally.peak_bytes, entry["peak"])
                tally.slowest = max(tally.slowest, entry["slowest"])
                tally.digest.update(entry["digest"].encode())
        if status == BROKEN:
            raise SystemExit(f"the campaign itself failed at {target.name}")
        pending = board[: len(indices)].find(PENDING)
        if status == 0 and pending < 0:
            break
        _put_back(target, sandbox)
        if pending < 0:
            finds.append(
                Find(target.name, indices[-1], NAMES[CRASHED], f"the process ended with status {status} after its work")
            )
            break
        board[pending] = HUNG if status in (-signal.SIGXCPU, -signal.SIGKILL) else CRASHED
        finds.append(
            Find(target.name, indices[pending], NAMES[board[pending]], f"the process ended with status {status}")
        )
        first = pending + 1
    tally.outcomes.update(board[: len(indices)])
    for find in finds:
        if keep is not None:
            name, content = target.mutant(_chance(seed, target.name, find.index))
            keep.mkdir(parents=True, exist_ok=True)
            path = keep / f"{target.name.replace(' ', '-').replace(',', '')}-{find.index}-{Path(name).name}"
            path.write_bytes(content)
            find.file = str(path)
    board.close()
    return finds


def _watch(pid: int, reading: int, board: mmap.mmap, size: int) -> tuple[bytes, int]:
    """What the child tells until it ends, and how it ended; a mutant beyond its time is ended here."""
    told = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], 1.0)
            if ready:
                block = pipe.read(1 << 16)
                if not block:
                    break
                told += block
            (since,) = struct.unpack_from("<d", board, size)
            if since and time.monotonic() - since > 3 * SECONDS:  # wall time: the machine may be busy
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return told, os.waitstatus_to_exitcode(status)


def _chance(seed: int, target: str, index: int) -> random.Random:
    return random.Random(f"{seed}/{target}/{index}")


def _child(target: Target, seed: int, indices: range, first: int, sandbox: Path, board: mmap.mmap, pipe: int) -> None:
    """Never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(sandbox)
        before, slowest, digest = _peak_bytes(), 0.0, hashlib.sha256()
        guard = audit.Guard(sandbox, ROOT)
        for place in range(first, len(indices)):
            struct.pack_into("<d", board, len(indices), time.monotonic())
            cpu = time.process_time()
            # A limit anew for each mutant: processor time so far, and what one may take.
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + SECONDS, resource.RLIM_INFINITY))
            name, content = target.mutant(_chance(seed, target.name, indices[place]))
            (sandbox / name).write_bytes(content)
            outcome, what = _outcome(target, sandbox, guard)
            board[place] = outcome
            digest.update(hashlib.sha256(content).digest() + bytes([outcome]))
            if outcome not in (READ, REFUSED):
                os.write(pipe, json.dumps({"find": [indices[place], NAMES[outcome], what]}).encode() + b"\n")
            _put_back(target, sandbox, name)
            slowest = max(slowest, time.process_time() - cpu)
        told = {"peak": _peak_bytes() - before, "slowest": slowest, "digest": digest.hexdigest()}
        os.write(pipe, json.dumps(told).encode() + b"\n")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def _outcome(target: Target, sandbox: Path, guard: audit.Guard) -> tuple[int, str]:
    """What became of the file that lies there now."""
    guard.begin()
    try:
        result = target.read(sandbox)
        guard.end()
        if guard.caught:
            return EXECUTED, guard.caught
        target.check(result)
        return READ, ""
    except MemoryError as error:
        return (EXECUTED, guard.caught) if guard.caught else (MEMORY_OUT, _where(error))
    except AssertionError as error:
        return WRONG, _where(error)
    except BaseException as error:
        guard.end()
        if guard.caught:
            return EXECUTED, guard.caught
        problem = _own_words(error)
        return (REFUSED, "") if problem is None else (LEAKED, f"{problem}; {_where(error)}")
    finally:
        guard.end()


def _own_words(error: BaseException) -> str | None:
    """None if this is an error of the project's own, worded at one of its own lines; else what is wrong with it."""
    if not isinstance(error, ValueError | DivergedError | MissingDataError | RunError):
        return f"{type(error).__name__} is no error of the project"
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, DivergedError | FileFormatError | MissingDataError | RunError) and not frames[
        -1
    ].filename.startswith((str(ROOT / "gnnkit"), str(ROOT / "recurrent"))):
        return "raised by a library, in its own words"
    text = str(error)
    if len(text) > 2000:
        return f"a message of {len(text)} characters"
    return None


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if str(ROOT) in frame.filename]
    places = [
        f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}"
        for frame in frames
        if "torture" not in frame.filename
    ]
    return f"{type(error).__name__}: {str(error)[:200]!a} at {' < '.join(reversed(places[-3:]))}"


def _put_back(target: Target, sandbox: Path, only: str | None = None) -> None:
    for name, (content, _) in target.files.items():
        if name == only or only is None or target.writes:
            (sandbox / name).write_bytes(content)
    if target.writes or only is None:
        healthy = {sandbox / name for name in target.files}
        for path in sandbox.rglob("*"):
            if path.is_file() and path not in healthy:
                path.unlink()


def _canary(folder: Path) -> dict[str, int]:
    """How many of the gadgets Python's own unpickler obeys, and how many of those the guard notices."""
    import pickle

    folder.mkdir()
    noticed = 0
    for body in pickle_mutators.GADGETS:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.chdir(folder)
            guard = audit.Guard(folder, ROOT)
            guard.begin()
            with contextlib.suppress(BaseException):  # the guard stops it, or the gadget fails
                pickle.loads(b"\x80\x02" + body + b".", encoding="latin1")
            os.write(writing, b"1" if guard.caught else b"0")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            noticed += pipe.read() == b"1"
        os.waitpid(pid, 0)
    if noticed < len(pickle_mutators.GADGETS):
        raise SystemExit(
            f"the guard noticed {noticed} of {len(pickle_mutators.GADGETS)} gadgets: the campaign would prove nothing"
        )
    return {"gadgets": len(pickle_mutators.GADGETS), "noticed under pickle.loads": noticed}


def _report(
    options: argparse.Namespace,
    tallies: dict[str, Tally],
    finds: list[Find],
    canary: dict[str, int],
    wall: float,
    cpu: float,
) -> dict[str, Any]:
    total: Counter[int] = Counter()
    digest = hashlib.sha256()
    for tally in tallies.values():
        total.update(tally.outcomes)
        digest.update(tally.digest.digest())
    return {
        "command": f"python torture/hostile.py --mutants {options.mutants} --seed {options.seed}",
        "mutants": sum(total.values()),
        "seed": options.seed,
        **{name: total[code] for code, name in NAMES.items()},
        "canary": canary,
        "limits": {"memory_mib": MEMORY >> 20, "seconds": SECONDS},
        "peak_mib": max(tally.peak_bytes for tally in tallies.values()) >> 20,
        "slowest_seconds": round(max(tally.slowest for tally in tallies.values()), 3),
        "targets": {
            name: {
                "mutants": sum(tally.outcomes.values()),
                "read": tally.outcomes[READ],
                "refused": tally.outcomes[REFUSED],
                "peak_mib": tally.peak_bytes >> 20,
                "slowest_seconds": round(tally.slowest, 3),
            }
            for name, tally in tallies.items()
        },
        "finds": [vars(find) for find in finds[:50]],
        "digest": digest.hexdigest(),
        "wall_seconds": round(wall),
        "cpu_seconds": round(cpu),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def _lines(report: dict[str, Any], finds: list[Find]) -> Iterator[str]:
    for name, each in report["targets"].items():
        yield f"{name:<26}{each['mutants']:>7} mutants {each['read']:>6} read {each['refused']:>7} refused {each['slowest_seconds']:>7.2f} s {each['peak_mib']:>5} MiB"
    for find in finds[:200]:
        yield f"{find.outcome}: {find.target} {find.index}: {find.what} {find.file}"
    yield ", ".join(f"{report[name]} {name}" for name in ("mutants", *NAMES.values()))
    yield f"{report['cpu_seconds']} s of processor time, {report['wall_seconds']} s, digest {report['digest'][:16]}"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    sys.exit(main())
