"""Every law of the design at 1,000 examples: hypothesis under the profile ``torture``, the figures as JSON.

$ python torture/laws.py --out benchmarks/results/torture/laws.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the tests that hypothesis searches; the exit code is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to write the figures, as JSON")
    parser.add_argument("--profile", default="torture", help="torture: 1,000 examples a law; ci: 25")
    options = parser.parse_args()
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "@given" in path.read_text()]
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout=3600", "--hypothesis-show-statistics", *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "HYPOTHESIS_PROFILE": options.profile, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    examples = [int(number) for number in re.findall(r"during generate phase.*?(\d+) passing", run.stdout, re.S)]
    outcome = run.stdout.strip().splitlines()[-1]
    report = {
        "command": f"python torture/laws.py --profile {options.profile}",
        "files": [str(path.relative_to(ROOT)) for path in files],
        "laws": len(examples),
        "examples": sum(examples),
        "fewest_examples": min(examples, default=0),
        "outcome": outcome,
        "wall_seconds": round(time.monotonic() - started),
    }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(run.stdout[-4000:] if run.returncode else outcome)
    print(f"{report['laws']} laws, {report['examples']} examples, {report['wall_seconds']} s")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
