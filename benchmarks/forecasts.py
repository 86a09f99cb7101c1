"""Forecasts by the protocol: every data set, all rows, several seeds, graph minus no graph with its interval.

Each data set is a ``gnnkit forecast`` with its recipe, chosen on validation; an interrupted campaign goes on where it
stopped. What the results hold: errors by row and by steps ahead, intervals, the command, versions, and the aims.

    nice -n 10 python benchmarks/forecasts.py --runs 10 --out benchmarks/results/forecasts
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gnnkit.jobs.forecast_job import ForecastJob, TemporalSource
from gnnkit.jobs.job_run import JobSummary
from gnnkit.jobs.train_forecasts import resume_forecast_job, run_forecast_job
from gnnkit.runs import environment

# What is asked of the model on the graph: error, steps ahead, at most.
AIMS = {
    "chickenpox": [("mse", 1, 0.80)],
    "metr-la": [("mae", 3, 2.95), ("mae", 6, 3.50), ("mae", 12, 4.35)],
}


def trained(dataset: str, runs: int, jobs: int, folder: Path) -> JobSummary:
    """The job's summary: what is there already is gone on with."""
    if (folder / "config.toml").exists():
        return resume_forecast_job(folder, jobs=jobs)
    return run_forecast_job(ForecastJob(TemporalSource(dataset), runs=runs), folder, jobs=jobs)


def aims_of(dataset: str, content: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for error, step, most in AIMS.get(dataset, []):
        value = content["rows"]["graph"][f"{error}_by_horizon"][step - 1]
        found.append({"error": error, "steps_ahead": step, "at_most": most, "reached": value, "met": value <= most})
    if content["mse_over_best"] is not None:
        found.append(
            {"mse_over_best": content["mse_over_best"], "at_most": 1.1, "met": content["mse_over_best"] <= 1.1}
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["diffusion", "chickenpox", "metr-la"])
    parser.add_argument("--runs", type=int, default=10, help="seeds of every trained row")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side, one thread each")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where the run folders go")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/forecasts"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        folder = options.work / f"forecasts-{dataset}-{options.runs}"
        content = trained(dataset, options.runs, options.jobs, folder).content
        document = {
            "command": f"gnnkit forecast {dataset} --runs {options.runs}",
            **content,
            "aims": aims_of(dataset, content),
            "environment": environment(device="cpu", threads=1),
        }
        path = options.out / f"{dataset}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"{content['title']}\n  graph minus no graph {content['graph_minus_no_graph']}")
        for aim in document["aims"]:
            print(f"  {aim}")


if __name__ == "__main__":
    main()
