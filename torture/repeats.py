"""The same seed and threads give the same bits: every job run over and over, its folders compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fault_children import Finds, run
from fault_jobs import JOBS, RUN, differences, write_inputs

_QUICK = ("nodes, GCN", "text")


def campaign(work: Path, *, repeats: int, quick: bool = False) -> dict[str, Any]:
    """Run every job ``repeats`` times and compare with the first time; side by side and one after another, too."""
    finds = Finds()
    names = _QUICK if quick else tuple(JOBS)
    for name in names:
        first = work / "first"
        for number in range(repeats):
            folder = work / f"repeat-{number}" if number else first
            folder.mkdir(parents=True)
            write_inputs(folder)
            ended = run(JOBS[name].start(), folder)
            found = [f"ended with {ended.code}: {ended.said}"] if ended.code else differences(first / RUN, folder / RUN)
            finds += [f"{name}, repeat {number}: {each}" for each in found]
            if number:
                shutil.rmtree(folder)
        shutil.rmtree(first)
    return {"jobs": len(names), "repeats": repeats, "differing": len(finds), "finds": finds}
