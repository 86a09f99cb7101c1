"""``gnnkit train --task links``: a link predictor, from a graph to a run folder."""

from typing import TYPE_CHECKING, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, options_checked
from gnnkit.cli.device import checked_device
from gnnkit.cli.given import refuse
from gnnkit.cli.printing import show, show_json, show_rows, verbosity
from gnnkit.distributed.launch import under_torchrun
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.job_run import JobSummary
    from gnnkit.jobs.node_job import DataSource

_OF_NODES = ("labels", "split", "prune", "batch_size", "fanout", "workers", "distributed")


def new_run(context: typer.Context, source: "DataSource", options: dict[str, Any]) -> "JobSummary":
    """Train as the command line says.

    Args:
        context: The command's; its parameters are those of ``gnnkit train``.
        source: The data.
        options: Of the encoder.

    Raises:
        BadUsageError: If an option is given that is for node classifiers, or a value cannot be.
    """
    import torch

    from gnnkit.jobs.link_job import LinkJob, link_options
    from gnnkit.jobs.train_links import run_link_job
    from gnnkit.models.registry import ModelOptions
    from gnnkit.training.link_prediction import LinkTraining

    refuse(context, _OF_NODES, "is for classifying nodes; leave it out with --task links")
    if under_torchrun():
        raise BadUsageError("--task links trains in one process; start it without torchrun")
    given = context.params
    if given["threads"] is not None and given["runs"] > 1:
        raise BadUsageError("--threads is for a single run; several use one thread each, side by side with --jobs")
    checked_device(given["device"])
    names = ("epochs", "lr", "weight_decay", "eval_every", "patience", "seed", "device")
    training = {name: given[name] for name in names if given[name] is not None}
    with options_checked():
        job = LinkJob(
            source,
            given["model"],
            link_options(given["model"], ModelOptions(**options)),
            training=LinkTraining(**training),
            split_seed=given["split_seed"],
            runs=given["runs"],
            threads=given["threads"] or torch.get_num_threads(),
            **({} if given["embedding"] is None else {"embedding": given["embedding"]}),
        )
    return run_link_job(job, given["out"], jobs=given["jobs"], progress=_progress())


def report(summary: "JobSummary", json: bool) -> None:
    """Print what became of the job."""
    from gnnkit.jobs.train_links import table

    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(f"links of {printable(summary.content['dataset'])}, {summary.content['model']}")
    show_rows(table(summary.content))
    show_rows([("run folder", printable(summary.folder)), ("pictures", printable(summary.folder / "curves.png"))])


def _progress() -> Literal["auto", "quiet"]:
    return "quiet" if verbosity() == "quiet" else "auto"
