"""``gnnkit train``: a node classifier or a link predictor, from a data set's name or files to a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli import train_links
from gnnkit.cli.command import BadUsageError, JsonOption, command, options_checked
from gnnkit.cli.device import checked_device
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.cli.torchrun import one_voice
from gnnkit.distributed.launch import under_torchrun
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs import DataSource, JobSummary, NodeJob

_DATA, _MODEL, _TRAINING = "Data", "Model", "Training"


def _option(text: str, panel: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **settings)


@command
@one_voice()
def train(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATASET]", help="A data set's name, or a graph file; karate if omitted.", show_default=False
        ),
    ] = None,
    task: Annotated[
        Literal["nodes", "links"],
        typer.Option(help="nodes: their classes; links: which pairs of nodes are joined.", rich_help_panel=_DATA),
    ] = "nodes",
    edges: Annotated[Path | None, _option("A graph file, instead of DATASET.", _DATA, metavar="FILE")] = None,
    features: Annotated[Path | None, _option("Table of the nodes' features.", _DATA, metavar="FILE")] = None,
    labels: Annotated[Path | None, _option("Table of the nodes' classes.", _DATA, metavar="FILE")] = None,
    nodes: Annotated[Path | None, _option("Names of nodes, one a line.", _DATA, metavar="FILE")] = None,
    directed: Annotated[bool, _option("Each line of an edge list is one directed edge.", _DATA)] = False,
    data_root: DataRootOption = None,
    split: Annotated[
        Literal["public", "random", "stratified"] | None,
        _option("public, random (20 training nodes per class) or stratified (60/20/20 %).", _DATA),
    ] = None,
    split_seed: Annotated[
        int | None, _option("One random split for all runs; by default each run draws its own.", _DATA, min=0)
    ] = None,
    model: Annotated[str, typer.Option(help="gcn, gat or gcnii.", rich_help_panel=_MODEL)] = "gcn",
    hidden: Annotated[int | None, _option("Width of hidden layers.", _MODEL, min=1)] = None,
    layers: Annotated[int | None, _option("How many layers: how many hops a node sees.", _MODEL, min=1)] = None,
    dropout: Annotated[float | None, _option("Dropout probability.", _MODEL, min=0, max=1)] = None,
    normalize: Annotated[Literal["sym", "row"] | None, _option("Normalisation of the graph.", _MODEL)] = None,
    self_loops: Annotated[
        float | None, _option("Weight lambda of the self-loops in A + lambda I.", _MODEL, metavar="WEIGHT")
    ] = None,
    learn_self_loops: Annotated[bool | None, _option("Learn lambda, starting there.", _MODEL)] = None,
    heads: Annotated[int | None, _option("Attention heads (gat).", _MODEL, min=1)] = None,
    out_heads: Annotated[int | None, _option("Heads of the output layer, averaged (gat).", _MODEL, min=1)] = None,
    gat_version: Annotated[
        Literal["1", "2"] | None, _option("1: Velickovic 2018; 2: Brody 2022 (gat).", _MODEL)
    ] = None,
    alpha: Annotated[
        float | None, _option("Share of the first layer in every later one (gcnii).", _MODEL, min=0, max=1)
    ] = None,
    theta: Annotated[float | None, _option("Strength of the layers' own weights (gcnii).", _MODEL, min=0)] = None,
    embedding: Annotated[
        int | None, _option("Numbers that stand for a node (links); 16 if omitted.", _MODEL, min=1)
    ] = None,
    epochs: Annotated[int | None, _option("Passes over the labelled nodes, or the links.", _TRAINING, min=1)] = None,
    lr: Annotated[float | None, _option("Learning rate.", _TRAINING)] = None,
    weight_decay: Annotated[float | None, _option("L2 penalty.", _TRAINING)] = None,
    patience: Annotated[
        int | None, _option("Stop after so many evaluations without a better one.", _TRAINING, min=1)
    ] = None,
    eval_every: Annotated[int | None, _option("Epochs between evaluations.", _TRAINING, min=1)] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune/--no-prune", rich_help_panel=_TRAINING, help="Compute only what the loss depends on; same numbers."
        ),
    ] = True,
    batch_size: Annotated[
        int | None,
        _option("Training nodes per step, with sampled neighbours; all at once if omitted.", _TRAINING, min=1),
    ] = None,
    fanout: Annotated[
        str | None,
        _option("Neighbours sampled per node, by layer from the last: 10,10; -1 for all.", _TRAINING, metavar="K,K"),
    ] = None,
    workers: Annotated[int | None, _option("Processes that prepare batches.", _TRAINING, min=0)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first run.", rich_help_panel=_TRAINING, min=0)] = 0,
    runs: Annotated[int, typer.Option(help="Runs, with seeds from --seed on.", rich_help_panel=_TRAINING, min=1)] = 1,
    jobs: Annotated[int, typer.Option(help="Runs side by side.", rich_help_panel=_TRAINING, min=1)] = 1,
    threads: Annotated[
        int | None, _option("Threads of a single run; all cores by default.", _TRAINING, min=1, max=1024)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.", rich_help_panel=_TRAINING)] = "cpu",
    distributed: Annotated[
        Literal["partition", "minibatch"] | None,
        _option("Under torchrun: what processes share, the graph (the default there) or every batch.", _TRAINING),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; a fresh one in runs/ if omitted.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Continue the run in this folder; its own settings hold.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a node classifier; report test accuracy at the epoch of lowest validation loss.

    With --task links, learn which links were held out; report the area under the ROC curve.
    """
    from gnnkit.jobs.node_report import pictures_of, rows

    progress: Literal["auto", "quiet"] = "quiet" if verbosity() == "quiet" else "auto"
    if resume is not None:
        given = _settings_given(context)
        if given:
            raise BadUsageError(f"--resume continues with the run's own settings; leave out {', '.join(given)}")
        if _holds_links(resume):
            from gnnkit.jobs.train_links import resume_link_job

            train_links.report(resume_link_job(resume, jobs=jobs, progress=progress, warn=note), json)
            return
        summary = _resume(resume, jobs, progress)
    else:
        if runs == 1:
            refuse(context, ("jobs",), "is for several runs; add --runs, or leave it out")
        if batch_size is not None:
            refuse(context, ("prune",), "is for training on the whole graph; batches hold sampled neighbours alone")
        links = task == "links"
        source = _source(dataset, edges, features, labels, nodes, directed, data_root, split, split_seed, links)
        options = {
            "hidden_channels": hidden,
            "num_layers": layers,
            "dropout": dropout,
            "normalize": normalize,
            "self_loop_weight": self_loops,
            "learn_self_loop": learn_self_loops,
            "heads": heads,
            "out_heads": out_heads,
            "version": None if gat_version is None else int(gat_version),
            "alpha": alpha,
            "theta": theta,
        }
        if links:
            train_links.report(train_links.new_run(context, source, options), json)
            return
        refuse(context, ("embedding",), "is for --task links; leave it out")
        training = {
            "epochs": epochs,
            "lr": lr,
            "weight_decay": weight_decay,
            "patience": patience,
            "eval_every": eval_every,
            "prune": prune,
            "seed": seed,
            "device": device,
            "batch_size": batch_size,
            "fanout": None if fanout is None else _fanout(fanout),
            "workers": workers,
        }
        job = _job(source, model, options, training, runs, threads, distributed)
        summary = _run(job, out, jobs, progress)
    if summary is None:
        return  # the first process reports
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(f"{summary.content['model']} on {printable(summary.content['dataset'])}")
    show_rows(rows(summary.content))
    pictures = ", ".join(map(str, pictures_of(summary.folder)))
    show_rows([("run folder", printable(summary.folder)), ("pictures", printable(pictures))])


def _holds_links(path: Path) -> bool:
    from gnnkit.jobs.link_job import KIND
    from gnnkit.runs import RunFolder

    return path.is_dir() and RunFolder.open(path).kind == KIND


def _is_folder(path: Path) -> bool:
    from gnnkit.graph.graph_folder import is_graph_folder

    return is_graph_folder(path)


def _fanout(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BadUsageError(f"--fanout takes whole numbers with commas between, such as 10,10; got {text!r}") from None


def _source(
    dataset: str | None,
    edges: Path | None,
    features: Path | None,
    labels: Path | None,
    nodes: Path | None,
    directed: bool,
    data_root: Path | None,
    split: Literal["public", "random", "stratified"] | None,
    split_seed: int | None,
    links: bool,
) -> "DataSource":
    from gnnkit.data.registry import dataset_info
    from gnnkit.jobs import DataSource

    if edges is not None and dataset is not None:
        raise BadUsageError(f"--edges {edges} comes in place of the data set {dataset!r}; give one of them")
    if edges is None and dataset is not None and (Path(dataset).is_file() or _is_folder(Path(dataset))):
        edges = Path(dataset)
    if edges is not None:
        if not links and labels is None and not (_is_folder(edges) and (edges / "y.npy").is_file()):
            raise BadUsageError(f"training on {edges} needs the nodes' classes: name a table with --labels")
        if data_root is not None:
            raise BadUsageError(f"--data-root says where data sets lie, and {edges} is here; leave it out")
        named = {"features": features, "labels": labels, "nodes": nodes}
        files = {name: None if path is None else str(path) for name, path in named.items()}
        drawn = None if links else split_seed  # that of links is not the nodes'
        return DataSource("", None, str(edges), **files, directed=directed, split=split, split_seed=drawn)
    for option, value in {"--features": features, "--labels": labels, "--nodes": nodes, "--directed": directed}.items():
        if value:
            raise BadUsageError(f"{option} is for a graph of your own: name its --edges too")
    try:
        name = dataset_info(dataset or "karate").name
    except ValueError as error:
        raise BadUsageError(f"there is no file {dataset!r}, and {error}") from error
    root = None if data_root is None else str(data_root)
    return DataSource(name, root, split=split, split_seed=None if links else split_seed)


def _job(
    source: "DataSource",
    model: str,
    options: dict[str, Any],
    training: dict[str, Any],
    runs: int,
    threads: int | None,
    distributed: Literal["partition", "minibatch"] | None,
) -> "NodeJob":
    import torch

    from gnnkit.jobs import NodeJob
    from gnnkit.models.registry import ModelOptions, recipe_of, resolve_options
    from gnnkit.training import TrainConfig

    if threads is not None and runs > 1:
        raise BadUsageError("--threads is for a single run; several use one thread each, side by side with --jobs")
    checked_device(training["device"])
    with options_checked():
        chosen = resolve_options(model, ModelOptions(**options), source.dataset)
        given = {name: value for name, value in training.items() if value is not None}
        config = TrainConfig(**{**recipe_of(model).training_for(source.dataset), **given})
        return NodeJob(
            source,
            model,
            chosen,
            config,
            runs,
            threads or torch.get_num_threads(),
            distributed=_shared_how(distributed),
        )


def _shared_how(
    distributed: Literal["partition", "minibatch"] | None,
) -> Literal["partition", "minibatch"] | None:
    if under_torchrun():
        return distributed or "partition"
    if distributed is not None:
        raise BadUsageError(
            f"--distributed {distributed} is for several processes: start them with "
            "torchrun --nproc-per-node 2 -m gnnkit train, and the same options"
        )
    return None


def _run(job: "NodeJob", out: Path | None, jobs: int, progress: Literal["auto", "quiet"]) -> "JobSummary | None":
    if job.distributed is None:
        from gnnkit.jobs import run_node_job

        return run_node_job(job, out, jobs=jobs, progress=progress)
    from gnnkit.jobs.train_distributed import run_distributed_job

    return run_distributed_job(job, out, progress=progress)


def _resume(path: Path, jobs: int, progress: Literal["auto", "quiet"]) -> "JobSummary | None":
    if not under_torchrun():
        from gnnkit.jobs import resume_node_job

        return resume_node_job(path, jobs=jobs, progress=progress, warn=note)
    from gnnkit.jobs.train_distributed import resume_distributed_job

    return resume_distributed_job(path, progress=progress, warn=note)


def _settings_given(context: typer.Context) -> list[str]:
    """Options on the command line that a resumed run would ignore."""
    allowed = {"resume", "jobs", "json", "quiet", "verbose", "debug"}
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return [each.opts[0] for each in context.command.params if each.name in given - allowed]
