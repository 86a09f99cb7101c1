"""Fill docs/benchmarks.md from benchmarks/results: every table with the command that made its numbers.

    $ python docs/list_benchmarks.py          # after a benchmark has written new results

What has not been run is left out of the page, never guessed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS, PAGE, PICTURES = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "pictures"

HEAD = """# Benchmarks

Every figure states both sides and the command that repeats it. Results lie in `benchmarks/results`, with machine and
versions. Peers run in their best configuration (compiled, tuned by hand with the same tricks), in turn with ours in one
process; a ratio is the median over rounds of the peer's time over ours. Machines differ, so trust ratios, not
milliseconds. This page is written from the results by `docs/list_benchmarks.py`.
"""


def read(name: str) -> Any:
    """A result, or None where it has not been run."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def picture(name: str, words: str) -> str:
    """A picture of the results, copied beside the page."""
    if not (RESULTS / name).exists():
        return ""
    shutil.copyfile(RESULTS / name, PICTURES / f"benchmark_{name}")
    return f"![{words}](pictures/benchmark_{name})\n"


def training() -> Iterator[str]:
    """Epochs of GCN and GAT."""
    found = read("training.json")
    if found is None:
        return
    yield "## Training on citation graphs\n"
    yield (
        "Milliseconds an epoch (a training step and an evaluation of the validation nodes), two threads, and how many "
        "times ours PyG takes: *tuned* has our tricks done by hand, and is the claim to lead with; the others are what "
        "a user gains who does not know them. `python benchmarks/training.py --data-root DATA --out "
        "benchmarks/results/training.json`\n"
    )
    ways = ("PyG tuned", "PyG tuned and compiled", "PyG compiled", "PyG cached", "PyG eager")
    tables = {title: rows for title, rows in found["tables"].items() if not title.startswith("waterfall")}
    rows = [
        [title.removesuffix(", 2 threads"), f"{each['gnnkit']['wall_ms']:.1f}"]
        + [f"{each[way]['ratio']:.1f}" if way in each else "" for way in ways]
        for title, each in tables.items()
    ]
    yield table(["", "ours, ms", *(way.removeprefix("PyG ") for way in ways)], rows)
    falls = {title: rows for title, rows in found["tables"].items() if title.startswith("waterfall")}
    if falls:
        steps = list(next(iter(falls.values())))
        yield "Where it comes from, one trick more in each column (ms of a GCN epoch):\n"
        names = [title.removeprefix("waterfall of gcn on ").removesuffix(", 2 threads") for title in falls]
        rows = [
            [name, *(f"{fall[step]['wall_ms']:.1f}" for step in steps)]
            for name, fall in zip(names, falls.values(), strict=True)
        ]
        yield table(["", *steps], rows)
    many = read("many_runs.json")
    if many is not None:
        yield (
            f"{many['runs']} trainings of a GCN on {many['dataset']} of {many['epochs']} epochs, by the command, its "
            f"start included: **{many['seconds']:.0f} s** on two cores. PyG's epochs take so many times as long "
            "(imports and compiling left out): `python benchmarks/many_runs.py --data-root DATA`\n"
        )
        ways = list(many["two_processes"])
        kinds = {
            "one run after another, two threads": many["one_after_another"],
            "two processes, one thread each": many["two_processes"],
        }
        rows = [
            [kind, *(f"{times[way] / many['seconds']:.0f} ({times[way]:.0f} s)" for way in ways)]
            for kind, times in kinds.items()
        ]
        yield table(["", *ways], rows)


def accuracy() -> Iterator[str]:
    """Against the papers and PyG."""
    reached = [
        row for name in ("gcn", "gat", "gcnii") for row in (read(f"published_{name}.json") or {"rows": []})["rows"]
    ]
    if reached:
        yield "## Accuracy\n"
        yield (
            "On the public splits with the papers' settings, test accuracy in percent, mean and standard deviation "
            "over seeds: `python benchmarks/published.py --data-root DATA`\n"
        )
        rows = [
            [
                row["model"],
                row["dataset"],
                str(row["runs"]),
                f"{row['mean']:.2f} +- {row['std']:.2f}",
                f"{row['published']:.1f}",
                "{mean:.2f} +- {std:.2f} ({runs} runs)".format(**row["pyg"]) if "pyg" in row else "",
            ]
            for row in reached
        ]
        heads = ["model", "data set", "runs", "ours", "published", "where that is missed: PyG's layers, the same way"]
        yield table(heads, rows)
    drawn = read("published_splits.json")
    if drawn is not None:
        yield (
            "On random splits (20 of each class, 500, 1000), one per seed and the same for each model; against GCN by "
            "the corrected resampled t-test, p values adjusted by Holm's rule. Its correction for splits that overlap "
            "grows with the test part over the training part, 1000 over 60 to 140 here: its intervals are wide, and no "
            "model is said to be ahead: `python benchmarks/published.py --splits --models gcn gat`, and for GCNII, "
            "against GCN on the same 20 splits, `--models gcn gcnii --datasets cora --runs 20`\n"
        )
        against = {(row["model"], row["dataset"]): row for row in drawn.get("against_gcn", [])}
        rows = []
        for row in drawn["rows"]:
            low, high = row["interval_95"]
            test = against.get((row["model"], row["dataset"]))
            rows.append(
                [
                    row["model"],
                    row["dataset"],
                    str(row["runs"]),
                    f"{row['mean']:.2f} +- {row['std']:.2f}",
                    f"{low:.2f} to {high:.2f}",
                    ""
                    if test is None
                    else f"{test['points']:+.2f} [{test['interval_95'][0]:+.2f}, {test['interval_95'][1]:+.2f}]",
                    "" if test is None else f"{test['p']:.2g}",
                ]
            )
        yield table(["model", "data set", "splits", "accuracy", "of the mean, 95 %", "minus GCN", "p"], rows)
    splits = read("accuracy_splits.json")
    if splits is not None:
        yield (
            "Beside PyG's own layer on random splits, one per seed, trained by the same rule; the "
            "interval (90 %) of the "
            "paired difference lies within half a point where the two are equivalent (TOST): "
            f"`python benchmarks/accuracy.py --runs {splits['runs']} --splits`\n"
        )
        rows = [
            [
                name,
                f"{row['gnnkit']['mean']:.2f}",
                f"{row['pyg']['mean']:.2f}",
                f"{row['difference']:+.2f}",
                f"{row['interval_90'][0]:+.2f} to {row['interval_90'][1]:+.2f}",
                "yes" if row["within_half_a_point"] else "no",
            ]
            for name, row in splits["rows"].items()
        ]
        yield table(["data set", "ours", "PyG", "difference", "interval", "equivalent"], rows)
    depth = read("depth.json")
    if depth is not None:
        yield f"How deep: {depth['what']}. `{depth['command']} --out benchmarks/results/depth.json`\n"
        yield picture("depth.png", "Accuracy of GCN and GCNII against depth, 2 to 64 layers")
        yield picture("depth_smoothness.png", "Relative Dirichlet energy by layer of GCN and GCNII of 32 layers")


def attention() -> Iterator[str]:
    """A GAT layer."""
    found = [(name, read(f"attention_{name}_1_threads.json")) for name in ("v1", "v1_dropout", "v2", "v1_large")]
    found = [(name, result) for name, result in found if result is not None]
    if not found:
        return
    yield "## One graph attention layer\n"
    yield (
        "Forward and backward, CPU time and memory of a step, one thread: `python benchmarks/attention.py`, `--large`\n"
    )
    rows = []
    for _, result in found:
        ours = result["results"]["gnnkit"]
        row = [result["layer"], result["graph"], f"{ours['cpu_ms']['median']:.0f} ms, {ours['step_mb']:.0f} MB"]
        for peer in ("pyg", "pyg compiled"):
            other = result["results"].get(peer)
            if other is None:
                row.append("")
                continue
            time = other["cpu_ms"]["median"] / ours["cpu_ms"]["median"]
            row.append(f"{time:.1f} x the time, {other['step_mb'] / ours['step_mb']:.1f} x the memory")
        rows.append(row)
    yield table(["layer", "graph", "ours", "PyG eager", "PyG compiled"], rows)


def seconds(milliseconds: float) -> str:
    """A time to read."""
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds / 1e3:.2f} s"


def large() -> Iterator[str]:
    """Large GCN."""
    found = read("large_gcn.json")
    if found is None:
        return
    yield "## A training step on large graphs\n"
    yield (
        "GCN of 128, 64 and 40 channels, 20 edges a node, every node labelled, so that nothing can be pruned: `python "
        f"benchmarks/large_gcn.py`. Memory bandwidth of the machine: {found['bandwidth_gb_s']:.0f} GB/s.\n"
    )
    rows = [
        [title, way, seconds(each["wall_ms"]), f"{each['ratio']:.2f}", f"{each['peak_mb'] / 1024:.2f} GB"]
        for title, ways in sorted(found["tables"].items(), key=lambda item: int(item[0].split()[0]))
        for way, each in ways.items()
    ]
    yield table(["graph", "", "time", "ratio", "peak of the process"], rows)
    yield picture("large_gcn.png", "Time of a GCN training step against the number of nodes, 1000 to a million")


def hops() -> Iterator[str]:
    """Hop distances."""
    if not (RESULTS / "hops.md").exists():
        return
    yield "## Hop distances\n"
    yield (
        "CPU seconds against each library that counts hops; the whole table is in "
        "`benchmarks/results/hops.md`: `python benchmarks/hops.py`\n"
    )
    yield picture("hops.png", "CPU time of hop distances for each library and graph, on a logarithmic scale")


def recurrent() -> Iterator[str]:
    """Cells, texts, trees, graph cells."""
    found = read("recurrent.json")
    if found is not None:
        yield "## Recurrent networks\n"
        yield (
            "CPU time of the other side over ours, one thread, batch 128, hidden 128: `python "
            "benchmarks/recurrent_cells.py`\n"
        )
        names: dict[str, dict[int, float]] = {}
        for row in found["rows"]:
            names.setdefault(row["name"], {})[row["length"]] = row["ratio"]
        lengths = sorted({length for ratios in names.values() for length in ratios})
        rows = [[name, *(f"{r[t]:.2f}" if t in r else "" for t in lengths)] for name, r in names.items()]
        yield table(["", *(f"T = {length}" for length in lengths)], rows)
    found = read("kept_memory.json")
    if found is not None:
        gains = ", ".join(f"{row['ratio']:.2f} times at T = {row['length']}" for row in found["rows"])
        yield (
            "The commands let their process keep the memory that a training step frees, which glibc would give back "
            f"and fetch again; without it an LSTM's step takes {gains} as long: `python benchmarks/kept_memory.py`\n"
        )
    found = read("text.json")
    if found is not None:
        generation, trained = found["generation"], found["training"]
        yield (
            f"Character models: a training step takes {trained['random_to_bare']:.2f} times a bare "
            "`torch.nn.LSTM` loop's; "
            f"{generation['characters']} characters are generated "
            f"{generation['recomputing_to_carried']:.0f} times sooner "
            f"than by recomputing the prefix, and ten times as many take {generation['growth']:.1f} times as long: "
            "`python benchmarks/text.py`\n"
        )
    found = read("trees.json")
    if found is not None:
        yield (
            f"Tree-LSTMs level by level, against recursion, on {found['trees']}: "
            + ", ".join(f"{kind} {found[kind]['cpu_ratio']:.0f} times" for kind in ("child-sum", "n-ary"))
            + " (CPU time): `python benchmarks/trees.py`\n"
        )
    found = read("sst.json")
    if found is not None:
        scores = " and ".join(
            f"{100 * found[key]['test_accuracy_mean']:.1f} % ({key}, {found[key]['runs']} seeds)"
            for key in ("5 classes", "2 classes")
            if key in found
        )
        yield (
            f"On the Stanford Sentiment Treebank, without word vectors from elsewhere: {scores}: `{found['command']}`\n"
        )


def graph_lstm() -> Iterator[str]:
    """Recurrent layers on graphs."""
    found = read("graph_lstm.json")
    if found is None:
        return
    yield "## Recurrent layers on graphs\n"
    yield (
        "CPU time of the peers' form (one convolution per gate, in the better of two batchings) over ours, forward and "
        f"backward, one thread, {found['repeats']} rounds in turn; to a matrix: where the peer's layer takes torch's "
        'sparse matrix instead of an edge list. "As it is" is the peer\'s very model, '
        '`reset="before"` for a GRU: `python benchmarks/graph_lstm.py`\n'
    )

    def ratio(each: dict[str, Any], name: str) -> str:
        low, high = each.get(f"{name}_95", (0, 0))
        return f"{each[name]:.1f} [{low:.1f}, {high:.1f}]" if name in each else ""

    rows = [
        [
            title,
            version.removeprefix("gnnkit").lstrip(", ") or "as it is",
            f"{each['cpu_ms']:.0f} ms",
            ratio(each, "ratio"),
            ratio(each, "ratio_to_matrix"),
        ]
        for title, versions in sorted(found["tables"].items(), reverse=True)
        for version, each in versions.items()
        if "ratio" in each
    ]
    yield table(["", "ours", "CPU time", "ratio", "to a matrix"], rows)


def forecasts() -> Iterator[str]:
    """Forecasts by the protocol."""
    found = [each for name in ("diffusion", "chickenpox", "metr-la") if (each := read(f"forecasts/{name}.json"))]
    if found:
        yield "## Forecasts\n"
        yield (
            "Mean error over seeds on the test part, by steps ahead, with the 95 % interval of the mean; "
            "`python benchmarks/forecasts.py` runs them all.\n"
        )
    for each in found:
        error, horizon = each["error"], each["horizon"]
        steps = [3, 6, 12] if horizon == 12 else list(range(1, horizon + 1))
        unit = f" ({each['unit']})" if error == "mae" and each["unit"] else ""
        yield f"**{each['title']}**, {error}{unit}, {each['runs']} seeds: `{each['command']}`\n"
        rows = []
        for name, row in each["rows"].items():
            intervals = row.get(f"{error}_by_horizon_95")
            cells = []
            for step in steps:
                low_high = f" [{intervals[step - 1][0]:.3f}, {intervals[step - 1][1]:.3f}]" if intervals else ""
                cells.append(f"{row[f'{error}_by_horizon'][step - 1]:.3f}{low_high}")
            rows.append([name, *cells])
        if each["best_mse"] is not None:
            rows.append(["best possible", *(f"{each['best_mse'][step - 1]:.3f}" for step in steps)])
        yield table(["", *(f"{step} ahead" for step in steps)], rows)
        gaps = (
            f"{words} {gap['mean']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"
            for words, gap in (
                ("Graph minus no graph", each["graph_minus_no_graph"]),
                ("minus a rewired graph", each["graph_minus_rewired"]),
            )
        )
        yield ", ".join(gaps) + " (bootstrap over blocks of time and seeds).\n"


def flow() -> Iterator[str]:
    """The meter."""
    found = read("flow_2_threads.json") or read("flow_1_threads.json")
    if found is None:
        return
    yield "## How far information travels\n"
    yield (
        f"Milliseconds a node of `flow` and of PyG's `total_influence`, {found['threads']} thread(s): `python "
        f"benchmarks/flow.py --threads {found['threads']}`. On the grid PyG gets `max_hops` = layers + 1, "
        "which makes it "
        "right; on the others it overstates the last hop by the share in the last column.\n"
    )
    rows = []
    for name in ("cora", "pubmed", "grid"):
        row = found[name]
        each, over = row["ms_per_node"], row["pyg_over_gnnkit"][0]
        excess = row.get("pyg_last_hop_over_exact")
        rows.append(
            [name, f"{each['gnnkit']:.2f}", f"{each['PyG']:.2f}", f"{over:.1f}", f"{excess - 1:+.0%}" if excess else ""]
        )
    yield table(["", "ours", "PyG", "ratio", "PyG at the last hop"], rows)


SECTIONS: tuple[Callable[[], Iterator[str]], ...] = (
    training, accuracy, attention, large, hops, recurrent, graph_lstm, forecasts, flow,
)  # fmt: skip


def page() -> str:
    """The page's text."""
    parts = [part for section in SECTIONS for part in section() if part]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
