"""Every law of the design at 1,000 examples: hypothesis under the profile ``torture``, the figures as JSON.

$ python torture/laws.py --out benchmarks/results/torture/laws.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> int:
    """Run the tests that hypothesis searches; the exit code is pytest's, or 1 if a law had too few examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    parser.add_argument("--profile", default="torture", help="torture: 1,000 examples a law; ci: 25")
    options = parser.parse_args()
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "@given" in path.read_text()]
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "--timeout=3600", "--hypothesis-show-statistics"]
        + [str(path) for path in files],
        cwd=ROOT,
        env={**os.environ, "HYPOTHESIS_PROFILE": options.profile, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    report = {
        "command": f"python torture/laws.py --profile {options.profile}",
        "date": time.strftime("%Y-%m-%d"),
        "files": [str(path.relative_to(ROOT)) for path in files],
        **_counted(run.stdout),
        "outcome": run.stdout.strip().splitlines()[-1],
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])),
        "environment": _environment(),
    }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(run.stdout[-8000:] if run.returncode else report["outcome"])
    print(f"{report['laws']} laws, {report['examples']} examples, {report['cpu_seconds']} s of processor time")
    return run.returncode or int(options.profile == "torture" and report["fewest_examples"] < 1000)


def _counted(said: str) -> dict[str, Any]:
    """How many examples each law held for, from hypothesis' statistics; those tried in full have no more."""
    passing: list[int] = []
    tried_in_full: list[int] = []
    finds = re.findall(r"^FAILED (\S+)", said, re.M)
    for law in said.split("during generate phase")[1:]:
        passed = int(re.findall(r"(\d+) passing", law)[0])
        (tried_in_full if "nothing left to do" in law else passing).append(passed)
    return {
        "laws": len(passing) + len(tried_in_full),
        "examples": sum(passing) + sum(tried_in_full),
        "fewest_examples": min(passing, default=0),
        "tried_in_full": len(tried_in_full),
        "finds": finds,
    }


def _environment() -> dict[str, Any]:
    from gnnkit.runs import environment

    return environment(threads=1)


if __name__ == "__main__":
    sys.exit(main())
