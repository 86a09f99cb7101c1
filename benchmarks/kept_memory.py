"""What does a training step over a long sequence gain when its process keeps the memory that it frees?

LSTM, batch 128, hidden 128, T = 20, 100, 300, one thread; with and without `gnnkit.runs.keep_freed_memory`, which
`gnnkit sequence` calls. Each measurement is a process of its own, the two ways in turns: CPU time of a step and the
pages that the system had to clear for it.

    $ python benchmarks/kept_memory.py --out benchmarks/results/kept_memory.json
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LENGTHS = (20, 100, 300)


def measure(way: str, length: int, steps: int) -> dict[str, float]:
    """Of one step, in this process."""
    import torch

    from gnnkit.runs import keep_freed_memory
    from recurrent import LSTMCell, unroll

    if way == "kept" and not keep_freed_memory():
        sys.exit("the C library of this machine is not one that keep_freed_memory knows")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    cell, inputs = LSTMCell(1, 128), torch.rand(128, length, 1)
    for step in range(3 + steps):
        if step == 3:  # before it, sizes settle
            pages, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        cell.zero_grad()
        unroll(cell, inputs)[0][:, -1].square().mean().backward()
    return {
        "cpu_ms": 1e3 * (time.process_time() - seconds) / steps,
        "pages": (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages) / steps,
    }


def in_a_process(way: str, length: int, steps: int) -> dict[str, float]:
    """The same, apart."""
    command = [sys.executable, __file__, "--measure", way, "--length", str(length), "--steps", str(steps)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", choices=("kept", "given back"), help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure, asked.length, asked.steps)))
        return
    rows = []
    for length in LENGTHS:
        pairs = [
            [in_a_process(way, length, asked.steps) for way in ("kept", "given back")] for _ in range(asked.rounds)
        ]
        kept, given_back = (
            {key: statistics.median(p[side][key] for p in pairs) for key in p0} for side, p0 in enumerate(pairs[0])
        )
        ratio = statistics.median(theirs["cpu_ms"] / ours["cpu_ms"] for ours, theirs in pairs)
        rows.append({"length": length, "kept": kept, "given_back": given_back, "ratio": ratio})
        print(
            f"T = {length:3}   kept {kept['cpu_ms']:6.1f} ms, {kept['pages']:6.0f} pages   "
            f"given back {given_back['cpu_ms']:6.1f} ms, {given_back['pages']:6.0f} pages   ratio {ratio:.2f}",
            flush=True,
        )
    if asked.out is not None:
        content = {
            "benchmark": "kept_memory",
            "settings": {
                "rounds": asked.rounds,
                "steps": asked.steps,
                "batch_size": 128,
                "hidden_size": 128,
                "threads": 1,
            },
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "libc": " ".join(platform.libc_ver())},
            "rows": rows,
        }
        asked.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
