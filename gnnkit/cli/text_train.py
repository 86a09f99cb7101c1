"""``gnnkit text train``: a character language model, from a file to a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command, options_checked
from gnnkit.cli.device import checked_device
from gnnkit.cli.printing import note, show, show_json, show_rows, verbosity
from gnnkit.cli.sequence_options import CellOption
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.text_job import TextJob, TextModel
    from gnnkit.training.text import TextConfig

_TEXT, _MODEL, _TRAINING, _SAMPLES = "Text", "Model", "Training", "Samples"
_OPTIMIZATION = ("optimizer", "lr", "weight_decay", "schedule", "warmup", "decay", "decay_every", "clip")
_SOURCE = ("keep_licence", "validation", "test")
_MODEL_OPTIONS = {
    "cell": "cell",
    "hidden": "hidden_size",
    "layers": "num_layers",
    "dropout": "dropout",
    "output_dropout": "output_dropout",
    "input": "input",
    "embedding_dim": "embedding_dim",
    "forget_bias": "forget_bias",
}
_RUN_OPTIONS = {"recipe", "threads", "out", "resume", "json", "source", "context"}


def _option(text: str, panel: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **settings)


@command
def train(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|pydoc]",
            help="A UTF-8 text; pydoc, the default, is the language reference inside Python.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Where settings left out come from: improved, or report-000, -001, -003, -004.",
            rich_help_panel=_TRAINING,
        ),
    ] = "improved",
    keep_licence: Annotated[bool, _option("Leave Project Gutenberg's header and licence in the text.", _TEXT)] = False,
    validation: Annotated[
        float | None, _option("Share of the text to select by; .05 if omitted.", _TEXT, min=0, max=1)
    ] = None,
    test: Annotated[float | None, _option("Share held out at its end; .1 if omitted.", _TEXT, min=0, max=1)] = None,
    cell: Annotated[CellOption | None, _option("Cell.", _MODEL)] = None,
    hidden: Annotated[int | None, _option("Units of a layer.", _MODEL, min=1)] = None,
    layers: Annotated[int | None, _option("Layers.", _MODEL, min=1)] = None,
    dropout: Annotated[float | None, _option("Dropout between layers.", _MODEL, min=0, max=1)] = None,
    output_dropout: Annotated[float | None, _option("Dropout before the output map.", _MODEL, min=0, max=1)] = None,
    input: Annotated[Literal["one-hot", "embedding", "tied"] | None, _option("How a character enters.", _MODEL)] = None,
    embedding_dim: Annotated[int | None, _option("Size of a learnt embedding.", _MODEL, min=1)] = None,
    forget_bias: Annotated[float | None, _option("Where an LSTM's forget gates start.", _MODEL)] = None,
    steps: Annotated[int | None, _option("Batches.", _TRAINING, min=1)] = None,
    batch_size: Annotated[int | None, _option("Windows in a batch.", _TRAINING, min=1)] = None,
    seq_length: Annotated[int | None, _option("Characters of a window.", _TRAINING, min=1)] = None,
    batches: Annotated[
        Literal["stateful", "random"] | None,
        _option("stateful: contiguous, the state carried on; random: from anywhere, the state empty.", _TRAINING),
    ] = None,
    optimizer: Annotated[Literal["sgd", "rmsprop", "adam", "adamw"] | None, _option("Optimiser.", _TRAINING)] = None,
    lr: Annotated[float | None, _option("Learning rate; a schedule's highest.", _TRAINING)] = None,
    weight_decay: Annotated[float | None, _option("Weight decay.", _TRAINING)] = None,
    schedule: Annotated[
        Literal["constant", "exponential", "cosine", "one-cycle"] | None, _option("Of the rate.", _TRAINING)
    ] = None,
    warmup: Annotated[int | None, _option("Steps of its rise; a tenth with one-cycle.", _TRAINING, min=0)] = None,
    decay: Annotated[float | None, _option("Factor of the exponential schedule.", _TRAINING)] = None,
    decay_every: Annotated[int | None, _option("Steps between its factors.", _TRAINING, min=1)] = None,
    clip: Annotated[float | None, _option("Largest norm of the gradient.", _TRAINING)] = None,
    loss_temperature: Annotated[
        float | None, _option("Divide the logits in the training loss (report 003).", _TRAINING)
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, _option("bfloat16: forward pass under autocast.", _TRAINING)
    ] = None,
    eval_every: Annotated[int | None, _option("Steps between evaluations.", _TRAINING, min=1)] = None,
    seed: Annotated[int | None, _option("Of weights, batches and dropout; 0 if omitted.", _TRAINING, min=0)] = None,
    threads: Annotated[int | None, _option("Threads; all cores by default.", _TRAINING, min=1, max=1024)] = None,
    device: Annotated[str | None, _option("cpu or cuda; cpu if omitted.", _TRAINING)] = None,
    sample_every: Annotated[int | None, _option("Steps between samples.", _SAMPLES, min=1)] = None,
    sample_length: Annotated[int | None, _option("Their characters.", _SAMPLES, min=1)] = None,
    sample_prompt: Annotated[str | None, _option("What they go on from.", _SAMPLES)] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; a fresh one in runs/ if omitted.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Continue the run in this folder; its own settings hold.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a character language model; report bits per character on the held-out end of the text."""
    from gnnkit.jobs.text_report import rows
    from gnnkit.jobs.text_train import resume_text_job, run_text_job

    progress: Literal["auto", "quiet"] = "quiet" if verbosity() == "quiet" else "auto"
    if resume is not None:
        if given := _given(context, allowed={"resume", "json", "quiet", "verbose", "debug"}):
            raise BadUsageError(f"--resume continues with the run's own settings; leave out {', '.join(given)}")
        summary = resume_text_job(resume, progress=progress, warn=note)
    else:
        options = {name: value for name, value in context.params.items() if name not in _RUN_OPTIONS}
        summary = run_text_job(_job(source or "pydoc", recipe, options, threads), out, progress=progress, say=note)
    if json:
        show_json({**summary.content, "folder": str(summary.folder)})
        return
    show(f"{summary.content['model']} on {printable(summary.content['text'])}")
    show_rows(rows(summary.content))
    last = summary.content["samples"][-1]
    show_rows(
        [
            ("last sample", printable((last["prompt"] + last["text"]).replace("\n", " "))),
            ("run folder", printable(summary.folder)),
        ]
    )


def _job(source: str, recipe: str, options: dict[str, Any], threads: int | None) -> "TextJob":
    import torch

    from gnnkit.jobs.text_job import PYDOC, TextJob, TextSource
    from gnnkit.jobs.text_job import recipe as recipe_of

    given = {name: value for name, value in options.items() if value is not None}
    if source != PYDOC and not Path(source).exists():
        raise BadUsageError(f"there is no file {source!r}; name a text, or say {PYDOC}")
    if source == PYDOC and given.get("keep_licence"):
        raise BadUsageError("--keep-licence is for books; pydoc has none of Project Gutenberg's")
    checked_device(given.get("device", "cpu"))
    with options_checked():
        model, training = recipe_of(recipe)
        model = _model(model, {field: given[name] for name, field in _MODEL_OPTIONS.items() if name in given})
        training = _training(training, given)
        text = TextSource(source, **{name: given[name] for name in _SOURCE if name in given})
        model.build(2)  # what does not go together is told before the text is read
    return TextJob(text, model, training, threads or torch.get_num_threads())


def _model(base: "TextModel", given: dict[str, Any]) -> "TextModel":
    """The recipe's model with what was given; what belongs only to the recipe's own choice goes with it."""
    if given.get("input", base.input) != base.input:
        given = {"embedding_dim": None, **given}
    if given.get("cell", base.cell) != base.cell:
        given = {"forget_bias": None, **given}
    return replace(base, **given)


def _training(base: "TextConfig", given: dict[str, Any]) -> "TextConfig":
    optimization = {name: given[name] for name in _OPTIMIZATION if name in given}
    if optimization.get("schedule", base.optimization.schedule) != base.optimization.schedule:
        optimization = {"warmup": 0, "decay": None, "decay_every": 1, **optimization}
    own = {"steps", "batch_size", "seq_length", "batches", "eval_every", "sample_every", "sample_length"}
    own |= {"sample_prompt", "loss_temperature", "precision", "seed", "device"}
    settings = {name: given[name] for name in own if name in given}
    chosen = replace(base.optimization, **optimization)
    if chosen.schedule == "one-cycle" and "warmup" not in given:
        chosen = replace(chosen, warmup=settings.get("steps", base.steps) // 10)
    return replace(base, optimization=chosen, **settings)


def _given(context: typer.Context, allowed: set[str]) -> list[str]:
    """Options on the command line that a resumed run would ignore."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return [each.opts[0] for each in context.command.params if each.name in given - allowed]
