"""How long do a hundred trainings take? Ours by the command, against PyG's layers in the same epochs.

Ours is the whole command, imports and files included, the first run of a folder of its own. PyG's side are
two processes of one thread each, every way of it (eager, cached, compiled), a few runs each: what a hundred
take is worked out from the time of one, imports and compiling left out, so the ratio is a low one.

    $ python benchmarks/many_runs.py --data-root DATA --out benchmarks/results/many_runs.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from timing import machine, threads

WAYS = ("eager", "cached", "compiled")


def ours(options: argparse.Namespace) -> float:
    """Seconds that ``gnnkit train`` takes for all runs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gnnkit", "train", options.dataset, "--model", "gcn", "--quiet"]
        command += ["--runs", str(options.runs), "--jobs", "2", "--epochs", str(options.epochs)]
        command += ["--out", str(Path(folder) / "runs")]
        if options.data_root:
            command += ["--data-root", options.data_root]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - started


def one_of_two(options: argparse.Namespace) -> None:
    """Prints the seconds of one run of every way: what each of the two processes does."""
    from pyg_models import epoch_of

    from gnnkit.data import load_dataset

    warnings.filterwarnings("ignore")
    threads(1)
    data = load_dataset(options.dataset, options.data_root, split="public")
    found: dict[str, float] = {}
    for way in WAYS:
        epoch = epoch_of("gcn", way, data)
        for _ in range(3):
            epoch()
        started = time.perf_counter()
        for _ in range(options.epochs * options.peer_runs):
            epoch()
        found[way] = (time.perf_counter() - started) / options.peer_runs
    print(json.dumps(found))


def peer(options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one-of-two", "--dataset", options.dataset]
    command += ["--epochs", str(options.epochs), "--peer-runs", str(options.peer_runs)]
    if options.data_root:
        command += ["--data-root", options.data_root]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    times = [json.loads(each.communicate()[0]) for each in both]
    per_run = {way: sum(each[way] for each in times) / 2 for way in WAYS}
    best = min(per_run, key=per_run.__getitem__)
    return {
        "way": best,
        "seconds_per_run": per_run[best],
        "all_ways": per_run,
        "runs": 2 * options.peer_runs,
        "seconds": per_run[best] * options.runs / 2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--dataset", default="cora")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--peer-runs", type=int, default=2, help="runs of each of PyG's two processes, a way")
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    parser.add_argument("--one-of-two", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_of_two:
        one_of_two(options)
        return
    about = {"dataset": options.dataset, "runs": options.runs, "epochs": options.epochs, "machine": machine()}
    seconds = ours(options)
    other = peer(options)
    result = about | {"gnnkit": {"seconds": seconds}, "peer": other, "ratio": other["seconds"] / seconds}
    print(f"gnnkit {seconds:.1f} s, PyG {other['way']} {other['seconds']:.0f} s: {result['ratio']:.1f} x")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
