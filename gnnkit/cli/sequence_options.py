"""The settings that all commands which train sequence models share."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args, get_type_hints

import typer

from gnnkit.cli.command import BadUsageError, options_checked
from gnnkit.cli.device import checked_device

if TYPE_CHECKING:
    from gnnkit.jobs.sequence_job import SequenceJob

_TASK, _MODEL, _TRAINING = "Task", "Model", "Training"

# Spelt out once more here: importing them from gnnkit.jobs would load torch for --help.
TaskArgument = Literal["palindrome", "combinations", "binary-palindrome", "baum-sweet", "copy-memory", "adding"]
CellOption = Literal["rnn", "lstm", "gru", "phased-lstm", "min-gru", "orthogonal-rnn"]
CELLS = ", ".join(get_args(CellOption))  # for options that may be repeated, which typer takes as text only
InitOption = Literal["torch", "xavier", "kaiming", "normal", "orthogonal", "identity", "latch"]

_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", re.ASCII)
_NOT_SETTINGS = {"resume", "jobs", "json", "quiet", "verbose", "debug"}


def _option(text: str, panel: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=settings.pop("shown", False), **settings)


def _settings(
    encoding: Annotated[
        Literal["one-hot", "scalar", "token"] | None,
        _option("one-hot (default), scalar (digits as numbers) or token (ids, embedded).", _TASK),
    ] = None,
    hidden: Annotated[int, _option("Units of a cell.", _MODEL, min=1, shown=True)] = 128,
    layers: Annotated[int, _option("Layers.", _MODEL, min=1, shown=True)] = 1,
    dropout: Annotated[float, _option("Dropout between layers.", _MODEL, min=0, max=1)] = 0.0,
    bidirectional: Annotated[bool, _option("Read from both ends.", _MODEL, "--bidirectional")] = False,
    embedding: Annotated[int | None, _option("Embed tokens in so many dimensions.", _MODEL, min=1)] = None,
    nonlinearity: Annotated[Literal["tanh", "relu"] | None, _option("Of the RNN.", _MODEL)] = None,
    init: Annotated[InitOption, _option("How matrices start.", _MODEL, shown=True)] = "torch",
    forget_bias: Annotated[float | None, _option("Start of the LSTM's forget bias.", _MODEL)] = None,
    chrono: Annotated[
        int | None, _option("Start gates with forgetting times up to so many steps.", _MODEL, metavar="STEPS", min=3)
    ] = None,
    open_ratio: Annotated[float | None, _option("Phased LSTM: start of r_on.", _MODEL)] = None,
    leak: Annotated[float | None, _option("Phased LSTM: slope of a closed gate in training.", _MODEL)] = None,
    tau_low: Annotated[float | None, _option("Phased LSTM: shortest period at the start.", _MODEL)] = None,
    tau_high: Annotated[float | None, _option("Phased LSTM: longest period at the start.", _MODEL)] = None,
    hidden_from: Annotated[
        Literal["candidate", "gated"] | None, _option("Phased LSTM: the paper's h or the course sheet's.", _MODEL)
    ] = None,
    steps: Annotated[int, _option("Batches at most.", _TRAINING, min=1, shown=True)] = 10_000,
    batch_size: Annotated[int, _option("Sequences in a batch.", _TRAINING, min=1, shown=True)] = 128,
    optimizer: Annotated[
        Literal["sgd", "rmsprop", "adam", "adamw"], _option("Which optimiser.", _TRAINING, shown=True)
    ] = "rmsprop",
    lr: Annotated[float, _option("Learning rate; a schedule's highest.", _TRAINING, shown=True)] = 1e-3,
    weight_decay: Annotated[float, _option("Weight decay.", _TRAINING)] = 0.0,
    momentum: Annotated[float, _option("Of sgd and rmsprop.", _TRAINING)] = 0.0,
    schedule: Annotated[
        Literal["constant", "exponential", "cosine", "one-cycle"],
        _option("Of the learning rate.", _TRAINING, shown=True),
    ] = "constant",
    warmup: Annotated[int, _option("Steps of rise to the learning rate.", _TRAINING, min=0)] = 0,
    decay: Annotated[float | None, _option("Factor of the exponential schedule.", _TRAINING)] = None,
    decay_every: Annotated[int, _option("Steps between its factors.", _TRAINING, min=1)] = 1,
    clip: Annotated[
        float, _option("Largest gradient norm; 0 clips nothing.", _TRAINING, metavar="NORM", min=0, shown=True)
    ] = 10.0,
    eval_every: Annotated[int, _option("Batches between evaluations.", _TRAINING, min=1, shown=True)] = 100,
    eval_size: Annotated[int, _option("Held-out samples in one.", _TRAINING, min=1, shown=True)] = 1024,
    stop_after: Annotated[
        int | None, _option("Stop after so many solved evaluations in a row.", _TRAINING, metavar="COUNT", min=1)
    ] = None,
    solved_loss: Annotated[
        float | None, _option("Solved is a loss of at most this, instead of 100 % accuracy.", _TRAINING)
    ] = None,
    record_gradient: Annotated[bool, _option("Record the norm of dL/dW_hh.", _TRAINING, "--record-gradient")] = False,
    flush_denormal: Annotated[
        bool, _option("Round the tiniest numbers to 0: faster.", _TRAINING, "--flush-denormal/--keep-denormal")
    ] = True,
    seed: Annotated[int, _option("Seed of the first run.", _TRAINING, min=0, shown=True)] = 0,
    runs: Annotated[int, _option("Runs, with seeds from --seed on.", _TRAINING, min=1, shown=True)] = 1,
    threads: Annotated[
        int | None, _option("Threads of a single run; all cores by default.", _TRAINING, min=1, max=1024)
    ] = None,
    device: Annotated[str, _option("cpu or cuda.", _TRAINING, shown=True)] = "cpu",
) -> None:
    """Never called: its parameters are the options."""


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options above; it gets them together as ``settings``."""
    options = inspect.signature(_settings).parameters
    hints = get_type_hints(_settings, include_extras=True)

    @functools.wraps(function)
    def run(**given: Any) -> None:
        settings = {name: given.pop(name) for name in options}
        function(settings=settings, **given)

    own = [each for each in inspect.signature(function).parameters.values() if each.name != "settings"]
    place = next((at for at, each in enumerate(own) if each.name == "jobs"), len(own))
    merged = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own[:place], *options.values(), *own[place:])
    ]
    run.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]
    annotations = {name: hint for name, hint in function.__annotations__.items() if name != "settings"}
    run.__annotations__ = annotations | {name: hints[name] for name in options}
    return run


def job_from(task: str, cell: str, length: int, settings: dict[str, Any]) -> "SequenceJob":
    """The job that a command line describes.

    Raises:
        BadUsageError: If its settings do not go together.
    """
    import torch

    from gnnkit.jobs.sequence_job import CellChoice, PhasedOptions, SequenceJob, TaskChoice
    from gnnkit.training.optimization import Optimization
    from gnnkit.training.sequences import SequenceConfig

    given = dict(settings)
    renamed = {"open_ratio": "r_on", "leak": "leak", "tau_low": "tau_low", "tau_high": "tau_high"}
    phased = {name: given.pop(option) for option, name in (*renamed.items(), ("hidden_from", "hidden_from"))}
    phased = {name: value for name, value in phased.items() if value is not None}
    if given["threads"] is not None and given["runs"] > 1:
        raise BadUsageError("--threads is for a single run; several use one thread each, side by side with --jobs")

    checked_device(given["device"])

    def part(*names: str) -> dict[str, Any]:
        return {name: given[name] for name in names}

    with options_checked():
        rates = part("optimizer", "lr", "weight_decay", "momentum", "schedule", "warmup", "decay", "decay_every")
        training = SequenceConfig(
            optimization=Optimization(**rates, clip=given["clip"] or None),
            record_recurrent_gradient=given["record_gradient"],
            **part("steps", "batch_size", "eval_every", "eval_size", "stop_after", "solved_loss"),
            **part("flush_denormal", "seed", "device"),
        )
        model = CellChoice(
            cell,  # type: ignore[arg-type]
            given["hidden"],
            given["layers"],
            embedding_dim=given["embedding"],
            phased=PhasedOptions(**phased) if phased else None,
            **part("dropout", "bidirectional", "nonlinearity", "init", "forget_bias", "chrono"),
        )
        choice = TaskChoice(task, length, given["encoding"])  # type: ignore[arg-type]
        job = SequenceJob(choice, model, training, given["runs"], given["threads"] or torch.get_num_threads())
        return job.resolved()


def known_cells(names: list[str]) -> tuple[CellOption, ...]:
    """The cells of these names.

    Raises:
        BadUsageError: If there is none of a name, or one is named twice.
    """
    known = get_args(CellOption)
    if unknown := [name for name in names if name not in known]:
        raise BadUsageError(f"unknown cell {unknown[0]!r}: there are {CELLS}")
    if len(set(names)) < len(names):
        raise BadUsageError(f"--cell names one twice, got {', '.join(names)}")
    return cast(tuple[CellOption, ...], tuple(names))


def refuse_settings(context: typer.Context) -> None:
    """Refuse options that a resumed run would ignore.

    Raises:
        BadUsageError: Naming them.
    """
    given = {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    ignored = [each.opts[0] for each in context.command.params if each.name in given - _NOT_SETTINGS]
    if ignored:
        raise BadUsageError(f"--resume continues with the run's own settings; leave out {', '.join(ignored)}")


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers between commas; ``5-50:5`` is 5, 10, ..., 50.

    Raises:
        BadUsageError: If it is something else, or a number comes twice.

    Example:
        >>> numbers("5-20:5,75,100", "--lengths")
        (5, 10, 15, 20, 75, 100)
    """
    found: list[int] = []
    for part in text.split(","):
        if (match := _NUMBERS.fullmatch(part.strip())) is None:
            raise BadUsageError(f"{option} takes numbers as 5,10,20 or 5-50:5, got {text!r}")
        first, last, step = (None if each is None else int(each) for each in match.groups())
        assert first is not None, "the pattern begins with a number"
        last, step = first if last is None else last, step or 1
        if last < first or (last - first) // step >= 1000:
            raise BadUsageError(f"{option} takes up to 1000 rising numbers, got {part.strip()!r}")
        found += range(first, last + 1, step)
    if len(set(found)) < len(found):
        raise BadUsageError(f"{option} names a number twice, got {text!r}")
    return tuple(found)
