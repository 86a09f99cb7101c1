"""How right is a Tree-LSTM on the Stanford Sentiment Treebank without pre-trained word vectors?

N-ary Tree-LSTM, all phrases learned, the root scored, the epoch chosen on the development part; the command's
defaults, for 5 classes and for 2. Published (Tai et al., 2015): 43.9 and 82.0 with
random vectors, 51.0 and 88.0 with GloVe's. Interrupted, it goes on where it stopped.

    $ python benchmarks/sst.py --data-root DATA --folder runs/sst --out benchmarks/results/sst.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from timing import machine

from gnnkit.jobs.train_trees import resume_tree_job, run_tree_job, table
from gnnkit.jobs.tree_job import TreeJob, TreeSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for classes in (5, 2):
        folder = options.folder / f"{classes}-classes"
        if folder.exists():
            summary = resume_tree_job(folder, jobs=options.jobs)
        else:
            source = TreeSource("sst", root=options.data_root, classes=classes)
            summary = run_tree_job(TreeJob(source, runs=options.runs), folder, jobs=options.jobs)
        print(f"{classes} classes")
        for name, value in table(summary.content):
            print(f"  {name:<30}{value}")
        found[f"{classes} classes"] = summary.content
    if options.out is not None:
        command = "python benchmarks/sst.py --folder runs/sst"
        options.out.write_text(json.dumps({"command": command, **found, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
