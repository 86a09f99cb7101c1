"""How the recipes of `gnnkit forecast` are chosen: validation losses of the model on the graph, no test target read.

Every line of a data set's grid changes one thing about its recipe (the first changes nothing). The lowest mean
validation loss over the seeds is the choice, or a cheaper line that is no farther from it than seeds are from each
other. It then serves all rows: it goes into `gnnkit.jobs.forecast_job.RECIPES` before benchmarks/forecasts.py is run.

    nice -n 10 python benchmarks/forecast_choice.py chickenpox --runs 5 --out benchmarks/results/forecasts
    nice -n 10 python benchmarks/forecast_choice.py metr-la --runs 2 --out benchmarks/results/forecasts
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from gnnkit.jobs.forecast_job import RECIPES, ForecastJob, ForecastRecipe, TemporalSource
from gnnkit.runs import environment
from gnnkit.training.forecasts import fit_forecaster
from gnnkit.training.windows import Windows

GRID: dict[str, list[dict[str, Any]]] = {
    "diffusion": [{}, {"lr": 1e-2}, {"hidden_size": 16}, {"cell": "gru"}, {"epochs": 12}],
    "chickenpox": [
        {},
        {"lr": 2.5e-3},
        {"lr": 1e-2},
        {"hops": 1},
        {"cell": "lstm"},
        {"length": 4},
        {"length": 16},
        {"hidden_size": 64},
        {"operator": "chebyshev"},
        {"operator": "gcn"},
        {"epochs": 60},
        {"start": "last"},
    ],
    "metr-la": [
        {},
        {"lr": 2e-3},
        {"lr": 1e-2},
        {"hops": 1},
        {"cell": "gru"},
        {"hidden_size": 64},
        {"epochs": 8},
        {"epochs": 24},
    ],
}


def validated(dataset: str, recipe: ForecastRecipe, seed: int) -> tuple[float, int]:
    """The lowest validation loss, scaled, and its epoch."""
    source = TemporalSource(dataset)
    job = ForecastJob(
        source,
        length=recipe.length,
        horizon=recipe.horizon,
        cell=recipe.cell,
        hidden_size=recipe.hidden_size,
        operator=recipe.operator,
        hops=recipe.hops,
        start=recipe.start,
        training=recipe.training(),
    )
    data = source.load()
    model, graph = job.build("graph", data, seed)
    windows = Windows.of(data, recipe.length, recipe.horizon)
    result = fit_forecaster(model, windows, graph, replace(recipe.training(), seed=seed))
    return result.val_loss, result.selected_epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=list(GRID))
    parser.add_argument("--runs", type=int, default=3, help="seeds of every line")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/forecasts"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe, lines = RECIPES[options.dataset], []
    for change in GRID[options.dataset]:
        started = time.process_time()
        found = [validated(options.dataset, replace(recipe, **change), seed) for seed in range(options.runs)]
        losses = [loss for loss, _ in found]
        mean = sum(losses) / len(losses)
        lines.append({"change": change, "mean": mean, "losses": losses, "epochs": [epoch for _, epoch in found]})
        print(f"{mean:.5f}  {change or 'the recipe'}  ({time.process_time() - started:.0f} CPU seconds)", flush=True)
    document = {
        "command": f"python benchmarks/forecast_choice.py {options.dataset} --runs {options.runs}",
        "recipe": asdict(recipe),
        "validation": lines,
        "environment": environment(device="cpu", threads=1),
    }
    path = options.out / f"choice_{options.dataset}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
