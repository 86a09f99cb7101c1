"""Write the figures of the last campaigns into docs/reliability.md, from their JSON files.

$ python torture/figures.py            # rewrite what stands between the marks
$ python torture/figures.py --check    # fail if that would change anything
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "torture", ROOT / "docs" / "reliability.md"
_BEGIN, _END = "<!-- figures: {} -->", "<!-- end of figures -->"


def _kills(report: dict[str, Any]) -> tuple[str, str]:
    did = f"{report['kills']} kills in {report['runs']} runs of {len(report['by_job'])} jobs"
    return did, f"{report['lost_checkpoints']} lost checkpoints, {report['differing_ends']} differing ends"


def _writes(report: dict[str, Any]) -> tuple[str, str]:
    did = f"{report['failures']} failures: each of {report['calls']} calls of {report['commands']} commands"
    return did, f"{report['damaged_files']} damaged files"


def _memory(report: dict[str, Any]) -> tuple[str, str]:
    return f"{report['cases']} limits, {report['stopped']} of them reached", _lost(report)


def _interruptions(report: dict[str, Any]) -> tuple[str, str]:
    did = f"{report['signals']} signals to {report['commands']} commands, {report['whole_processes']} with all imports"
    return did, f"{report['answered']} stopped by them, the others ended first"


def _divergence(report: dict[str, Any]) -> tuple[str, str]:
    return f"{report['cases']} inputs, weights, losses and rates", _lost(report)


def _repeats(report: dict[str, Any]) -> tuple[str, str]:
    return f"{report['repeats']} times {report['jobs']} jobs", f"{report['differing']} differing"


def _laws(report: dict[str, Any]) -> tuple[str, str]:
    did = f"{report['laws']} laws, {report['examples']} examples, of each {report['fewest_examples']} or more"
    return did, report["outcome"].strip("= ")


def _lost(report: dict[str, Any]) -> str:
    return f"{sum('lost checkpoint' in find for find in report['finds'])} lost checkpoints"


_ROWS: dict[str, tuple[str, Callable[[dict[str, Any]], tuple[str, str]]]] = {
    "kills": ("`kill -9` at random moments", _kills),
    "writes": ("every write failed once", _writes),
    "memory": ("memory that ends", _memory),
    "interruptions": ("ctrl-C and SIGTERM at random moments", _interruptions),
    "divergence": ("NaN, infinity, huge rates", _divergence),
    "repeats": ("the same seed again", _repeats),
    "laws": ("laws of the design", _laws),
}


def faults_table() -> str:
    """A row per campaign that has a file of results."""
    lines = ["| Campaign | What was done | What came of it | Finds | Processor time |", "|---|---|---|---|---|"]
    place = ""
    for part, (title, describe) in _ROWS.items():
        path = RESULTS / f"{part}.json"
        if not path.exists():
            lines.append(f"| {title} | not run yet | | | |")
            continue
        report = json.loads(path.read_text(encoding="utf-8"))
        did, came = describe(report)
        minutes = f"{report['cpu_seconds'] / 60:.0f} min"
        lines.append(f"| {title} | {did} | {came} | {len(report['finds'])} | {minutes} |")
        found = report["environment"]
        place = f"{report['date']}, {found['device_name']}, torch {found['versions']['torch']}"
    return "\n".join([*lines, "", f"Last run: {place or 'none yet'}."])


def with_figures(page: str) -> str:
    """The page with the tables of today between its marks."""
    before, found, rest = page.partition(_BEGIN.format("faults"))
    _, end, after = rest.partition(_END)
    if not (found and end):
        raise ValueError(f"{PAGE} lacks the marks {_BEGIN.format('faults')} and {_END}")
    return f"{before}{found}\n{faults_table()}\n{end}{after}"


def main() -> int:
    """Rewrite the page, or look whether it is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if the page is not up to date")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    new = with_figures(page)
    if options.check:
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
