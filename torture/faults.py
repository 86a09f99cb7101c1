"""Does anything get lost when processes are killed, disks fill, memory ends, users lose patience or losses explode?

    $ python torture/faults.py                 # all of it, into benchmarks/results/torture
    $ python torture/faults.py --part kills --kills 200 --seed 1
    $ python torture/faults.py --quick         # what continuous integration runs

The same seed draws the same moments; where in a job they fall depends on the machine. The exit code is 1 if
anything was not as promised.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT)]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TORTURE_CHECKPOINT_SECONDS", "0.05")
# Children are processes of their own when they import: they must find this project, too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

import divergence  # noqa: E402 (found beside this file)
import failing_writes  # noqa: E402
import fault_children  # noqa: E402
import interruptions  # noqa: E402
import kills  # noqa: E402
import memory_limits  # noqa: E402
import repeats  # noqa: E402

PARTS = ("kills", "writes", "memory", "interruptions", "divergence", "repeats")


def main() -> int:
    """Run the campaigns asked for; 1 if there was a find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="one of them; several times for several")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, help="200, or 3 if quick, when omitted")
    parser.add_argument("--signals", type=int, help="250, or 4 if quick, when omitted")
    parser.add_argument("--repeats", type=int, help="20, or 3 if quick, when omitted")
    parser.add_argument("--quick", action="store_true", help="a few of everything")
    parser.add_argument("--out", type=Path, help="folder for a JSON file per part")
    options = parser.parse_args()
    fault_children.load_everything()
    finds = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        for part in options.part or PARTS:
            report = _run(part, options, Path(name).resolve() / part)
            finds += len(report["finds"])
            _show(part, report)
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / f"{part}.json").write_text(json.dumps(report, indent=2) + "\n")
    return 1 if finds else 0


def _run(part: str, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    from gnnkit.runs import environment

    quick, seed = options.quick, options.seed
    campaigns: dict[str, Callable[[], dict[str, Any]]] = {
        "kills": lambda: kills.campaign(work, kills=options.kills or (3 if quick else 200), seed=seed, quick=quick),
        "writes": lambda: failing_writes.campaign(work, seed=seed, quick=quick),
        "memory": lambda: memory_limits.campaign(work, quick=quick),
        "interruptions": lambda: interruptions.campaign(
            work, signals=options.signals or (4 if quick else 250), seed=seed, quick=quick
        ),
        "divergence": lambda: divergence.campaign(work, quick=quick),
        "repeats": lambda: repeats.campaign(work, repeats=options.repeats or (3 if quick else 20), quick=quick),
    }
    work.mkdir(parents=True)
    started, cpu = time.monotonic(), _cpu_seconds()
    report = campaigns[part]()
    given = {"kills": options.kills, "interruptions": options.signals, "repeats": options.repeats}.get(part)
    count = "" if given is None else f" --{'signals' if part == 'interruptions' else part} {given}"
    command = f"python torture/faults.py --part {part}{count} --seed {seed}" + (" --quick" if quick else "")
    return {
        "part": part,
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        **report,
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(_cpu_seconds() - cpu),
        "environment": environment(threads=1),
    }


def _show(part: str, report: dict[str, Any]) -> None:
    counts = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in report.items() if isinstance(value, int))
    print(f"{part}: {counts}, {len(report['finds'])} finds", flush=True)


def _cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    sys.exit(main())
