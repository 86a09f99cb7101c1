"""How deep can a graph network be? GCN and GCNII at 2 to 64 layers, on the public split.

Report 000 asks how far nodes can be reached "by adding more layers". A plain GCN does reach farther with
every layer, and learns less: neighbours become alike (the Dirichlet energy falls layer by layer) and the
gradient dies. GCNII (Chen et al., 2020) keeps a share of the first layer in every later one.

    $ python benchmarks/depth.py --data-root DATA --jobs 2 --out benchmarks/results/depth.json

Two pictures are written beside the JSON: accuracy against depth, and the energy by layer of the 32-layer
models, before and after training. Both models have 64 hidden units here, so that depth alone differs; the
rest is their papers'. Runs lie in --runs-folder and are not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from published import trained
from timing import machine

from gnnkit.data import load_dataset
from gnnkit.diagnostics import smoothness
from gnnkit.jobs import DataSource, NodeJob, load
from gnnkit.models.registry import ModelOptions, build_model, recipe_of, resolve_options
from gnnkit.plots import save_figure
from gnnkit.plots.smoothness import smoothness_curves
from gnnkit.plots.style import colour, label, legend, new_figure
from gnnkit.runs import spread
from gnnkit.training import TrainConfig
from gnnkit.training.view import features_of

DEPTHS = (2, 4, 8, 16, 32, 64)
SHOWN = 32  # layers whose energy is drawn
NAMES = {"gcn": "GCN", "gcnii": "GCNII"}


def job_of(model: str, layers: int, options: argparse.Namespace) -> NodeJob:
    training = TrainConfig(**recipe_of(model).training | {"epochs": options.epochs, "patience": 100})
    source = DataSource(options.dataset, options.data_root, split="public")
    return NodeJob(source, model, ModelOptions(num_layers=layers, hidden_channels=64), training, options.runs)


def energies(folder: Path, model: str, layers: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Relative Dirichlet energy after every layer, of a trained run and of one drawn anew."""
    data = load_dataset(options.dataset, options.data_root, split="public")
    settings = resolve_options(model, ModelOptions(num_layers=layers, hidden_channels=64), options.dataset)
    torch.manual_seed(0)
    fresh = build_model(model, settings, data.num_features, data.num_classes).eval()
    done = load(folder).model.eval()  # of the seed with the lowest validation loss
    measured = {"untrained": fresh, "trained": done}
    return {
        f"{NAMES[model]}, {name}": list(smoothness(each, features_of(data), data.adjacency).relative)
        for name, each in measured.items()
    }


def draw(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    figure, (axes,) = new_figure()
    for index, model in enumerate(NAMES):
        mine = [row for row in rows if row["model"] == model]
        depth, mean = [row["layers"] for row in mine], [row["mean"] for row in mine]
        low, high = ([row["interval_95"][end] for row in mine] for end in (0, 1))
        axes.fill_between(depth, low, high, color=colour(index), alpha=0.2, linewidth=0)
        axes.plot(depth, mean, color=colour(index), marker="o", markersize=4, linewidth=1.6, label=NAMES[model])
    axes.set_xscale("log", base=2)
    axes.set_xticks(DEPTHS, [str(depth) for depth in DEPTHS])
    label(axes, title=title, x="layers", y="test accuracy, %")
    legend(axes)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--dataset", default="cora")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=400, help="at most; patience is 100")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs-folder", type=Path, default=Path("runs/depth"))
    parser.add_argument("--out", type=Path, required=True, help="write the result here as JSON, pictures beside it")
    options = parser.parse_args()
    rows, energy = [], {}
    for model in NAMES:
        for layers in DEPTHS:
            folder = options.runs_folder / f"{model}-{options.dataset}-{layers}"
            summary = trained(job_of(model, layers, options), folder, options.jobs)
            values = [100 * value for value in summary["per_run"]["test_accuracy"]]
            found = spread(values)
            interval = [found.interval.low, found.interval.high]
            seconds = summary["seconds"]
            row = {"model": model, "layers": layers, "mean": found.mean, "std": found.std, "interval_95": interval}
            rows.append(row | {"values": values, "seconds": seconds})
            print(f"{NAMES[model]:6} {layers:3} layers   {found.mean:.1f} +- {found.std:.1f}", flush=True)
            if layers == SHOWN:
                energy |= energies(folder, model, layers, options)
    about = {
        "what": f"test accuracy in percent on {options.dataset}, public split, {options.runs} seeds",
        "command": f"python benchmarks/depth.py --dataset {options.dataset} --runs {options.runs}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }
    result = about | {"rows": rows, f"relative_energy_{SHOWN}_layers": energy}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    draw(rows, options.out.with_suffix(".png"), f"{options.dataset}: accuracy against depth, {options.runs} seeds")
    figure = smoothness_curves(energy, title=f"{SHOWN} layers on {options.dataset}: neighbours become alike")
    save_figure(figure, options.out.with_name(f"{options.out.stem}_smoothness.png"))


if __name__ == "__main__":
    main()
