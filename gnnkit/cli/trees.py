"""``gnnkit trees``: classes of the nodes of trees; every command by name."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.graph_argument import DataRootOption
from gnnkit.cli.printing import detail, note, show, show_json, show_rows, verbosity
from gnnkit.cli.sequence_options import refuse_settings
from gnnkit.storage.text import printable

trees = typer.Typer(help="Train Tree-LSTMs on labelled trees, and score them.", no_args_is_help=True)

_MODEL, _TRAINING = "Model", "Training"


def _option(text: str, panel: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **settings)


@trees.command()
@command
def train(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="[TREES]", help="boolean (generated), sst, or a file with a tree a line."),
    ] = "boolean",
    data_root: DataRootOption = None,
    classes: Annotated[int | None, _option("As the trees have it if omitted; 2 drops neutral.", "Data", min=2)] = None,
    kind: Annotated[
        Literal["n-ary", "child-sum"],
        typer.Option(help="Weights per child's place, or the same for all.", rich_help_panel=_MODEL),
    ] = "n-ary",
    embedding: Annotated[int, typer.Option(help="Features of a word.", rich_help_panel=_MODEL, min=1)] = 300,
    hidden: Annotated[int, typer.Option(help="Units per node.", rich_help_panel=_MODEL, min=1)] = 150,
    dropout: Annotated[float, typer.Option(help="Of a node's units.", rich_help_panel=_MODEL)] = 0.5,
    embedding_dropout: Annotated[float, typer.Option(help="Of a word's features.", rich_help_panel=_MODEL)] = 0.2,
    epochs: Annotated[int, typer.Option(help="Passes over the training trees.", rich_help_panel=_TRAINING, min=1)] = 5,
    batch_size: Annotated[int, typer.Option(help="Trees in a batch.", rich_help_panel=_TRAINING, min=1)] = 25,
    lr: Annotated[float, typer.Option(help="Learning rate of Adagrad.", rich_help_panel=_TRAINING)] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the first run.", rich_help_panel=_TRAINING, min=0)] = 0,
    runs: Annotated[int, typer.Option(help="Seeds.", rich_help_panel=_TRAINING, min=1)] = 1,
    jobs: Annotated[
        int, typer.Option(help="Seeds side by side, one thread each.", rich_help_panel=_TRAINING, min=1)
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; a fresh one in runs/ if omitted.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Continue the run in this folder; its own settings hold.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Learn the label of every node; report the accuracy of the roots on the test part."""
    from gnnkit.jobs.train_trees import resume_tree_job, run_tree_job, table

    progress: Literal["auto", "quiet"] = "quiet" if verbosity() == "quiet" else "auto"
    if resume is not None:
        refuse_settings(context)
        summary = resume_tree_job(resume, jobs=jobs, progress=progress, warn=note)
    else:
        if runs == 1:
            refuse(context, ("jobs",), "is for several seeds; add --runs, or leave it out")
        if source != "sst":
            refuse(context, ("data_root",), f"says where sst lies, and {source} is not that; leave it out")
        model = {
            "kind": kind,
            "embedding_dim": embedding,
            "hidden_size": hidden,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
        }
        training = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        job = _job(source, data_root, classes, model, training, lr, runs)
        summary = run_tree_job(job, out, jobs=jobs, progress=progress)
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(printable(summary.content["title"]))
    show_rows(table(summary.content))
    show_rows([("run folder", printable(summary.folder)), ("picture", printable(summary.folder / "curves.png"))])


@trees.command()
@command
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    data_root: DataRootOption = None,
    json: JsonOption = False,
) -> None:
    """Score a trained job's test trees again, from its weights."""
    from dataclasses import asdict

    from gnnkit.jobs.train_trees import evaluate_tree_run

    scores = evaluate_tree_run(run, data_root=None if data_root is None else str(data_root))
    if json:
        show_json({"seeds": {str(seed): asdict(each) for seed, each in scores.items()}})
        return
    for seed, each in scores.items():
        roots, nodes = 100 * each.accuracy, 100 * each.node_accuracy
        show(f"seed {seed}: roots {roots:.2f} %, all nodes {nodes:.2f} %, loss {each.loss:.4f}")


@trees.command()
@command
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tree a line; ? for labels.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Say the class of trees that are not labelled, and how probable it is."""
    from gnnkit.data.trees import read_trees
    from gnnkit.jobs.trained_trees import load_trees

    unlabelled = read_trees(file)
    found = load_trees(run).predict(unlabelled)
    classes = found.classes[unlabelled.roots].tolist()
    probabilities = found.probabilities[unlabelled.roots]
    if json:
        show_json({"classes": classes, "probabilities": probabilities.tolist()})
        return
    for tree, (label, row) in enumerate(zip(classes, probabilities, strict=True)):
        show(f"{label}  {100 * float(row[label]):5.1f} %  {printable(unlabelled.sentence(tree))[:80]}")


@trees.command()
@command
def download(
    data_root: DataRootOption = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="An https address that has the archive under its own name.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch the Stanford Sentiment Treebank from its authors, unless it is there."""
    from gnnkit.data.treebanks import download_sst

    def tell(file: str, done: int, total: int | None) -> None:
        detail(f"{file}: {done} of {total or 'unknown'} bytes")

    paths = download_sst(data_root, base_url=mirror, progress=tell)
    if json:
        show_json({"dataset": "sst", "files": [str(path) for path in paths]})
        return
    show(f"sst: {len(paths)} files in {printable(paths[0].parent)}")


def _job(
    source: str,
    data_root: Path | None,
    classes: int | None,
    model: dict[str, Any],
    training: dict[str, Any],
    lr: float,
    runs: int,
) -> Any:
    from dataclasses import replace

    from gnnkit.data.treebanks import TREEBANKS
    from gnnkit.jobs.tree_job import TreeJob, TreeOptions, TreeSource
    from gnnkit.training.trees import TreeConfig

    is_file = source not in TREEBANKS
    if is_file and not Path(source).exists():
        raise BadUsageError(f"{source!r} is neither a file nor a treebank; there are {', '.join(TREEBANKS)}")
    root = None if data_root is None else str(data_root)
    where = TreeSource("", root, source, classes) if is_file else TreeSource(source, root, None, classes)
    for name in ("dropout", "embedding_dropout"):
        if not 0 <= model[name] < 1:
            raise BadUsageError(f"--{name.replace('_', '-')} must be from 0 to below 1, got {model[name]}")
    try:
        config = TreeConfig(**training)
        config = replace(config, optimization=replace(config.optimization, lr=lr))
        return TreeJob(where, TreeOptions(**model), config, runs)
    except ValueError as error:
        raise BadUsageError(str(error)) from error
