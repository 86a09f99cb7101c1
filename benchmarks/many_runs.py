"""How long do a hundred trainings take? Ours by the command, against PyG's layers in the same epochs.

Ours is the whole command, imports and files included. PyG's side is the time of a run, imports and compiling left
out, times their number, so the ratios are low ones; in each of its ways (eager, cached, compiled), one run after
another on two threads, as most people would, and in two processes of one thread, as our command does.

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


def run_peer(options: argparse.Namespace) -> None:
    """Prints the seconds of one run of every way: what a process of the peer's does."""
    from pyg_models import epoch_of

    from gnnkit.data import load_dataset

    warnings.filterwarnings("ignore")
    threads(options.peer_threads)
    data = load_dataset(options.dataset, options.data_root, split="public")
    found: dict[str, float] = {}
    for way in WAYS:
        epoch = epoch_of("gcn", way, data)
        for _ in range(3):
            epoch()
        started = time.perf_counter()
        for _ in range(options.epochs):
            epoch()
        found[way] = time.perf_counter() - started
    print(json.dumps(found))


def peer(options: argparse.Namespace, processes: int) -> dict[str, float]:
    """Seconds for all runs, by way, in so many processes."""
    command = [sys.executable, __file__, "--peer-threads", str(2 // processes), "--dataset", options.dataset]
    command += ["--epochs", str(options.epochs)]
    if options.data_root:
        command += ["--data-root", options.data_root]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    times = [json.loads(each.communicate()[0]) for each in started]
    return {way: sum(each[way] for each in times) / processes**2 * options.runs for way in WAYS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--dataset", default="cora")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    parser.add_argument("--peer-threads", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer_threads:
        run_peer(options)
        return
    about = {"dataset": options.dataset, "runs": options.runs, "epochs": options.epochs, "machine": machine()}
    seconds = ours(options)
    alone, both = peer(options, 1), peer(options, 2)
    result = about | {"seconds": seconds, "one_after_another": alone, "two_processes": both}
    print(f"gnnkit {seconds:.1f} s")
    for name, times in (("one after another", alone), ("two processes", both)):
        print(f"PyG, {name}: " + ", ".join(f"{way} {t:.0f} s ({t / seconds:.1f} x)" for way, t in times.items()))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
