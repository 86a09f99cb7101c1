"""``gnnkit text score`` and ``gnnkit text chart``: how well a model knows a text, as a number and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.printing import note, show_json, show_rows
from gnnkit.storage.text import printable

if TYPE_CHECKING:
    from gnnkit.jobs.text_trained import TrainedText

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
UnknownOption = Annotated[
    Literal["error", "skip", "replace"], typer.Option(help="What to do with characters the model does not know.")
]
KeepLicenceOption = Annotated[
    bool, typer.Option("--keep-licence", help="Leave Project Gutenberg's header and licence in the text.")
]


@command
def score(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A UTF-8 text.", show_default=False)],
    unknown: UnknownOption = "error",
    keep_licence: KeepLicenceOption = False,
    json: JsonOption = False,
) -> None:
    """Bits per character and accuracy of a trained model on a text."""
    from gnnkit.jobs.text_trained import load_text
    from recurrent.text import UnknownCharacterError, read_corpus

    trained = load_text(run)
    corpus = read_corpus(file, keep_licence=keep_licence)
    for each in corpus.notes:
        note(f"{corpus.name}: {each}")
    try:
        found = trained.score(corpus.text, unknown=unknown)
    except UnknownCharacterError as error:
        message = str(error).replace('unknown="', "--unknown ").replace('"', "")
        raise BadUsageError(f"{file}: {message}") from error
    skipped = len(corpus.text) - found.characters - 1
    if json:
        show_json(
            {
                "text": corpus.name,
                "notes": list(corpus.notes),
                "bits_per_character": found.bits_per_character,
                "accuracy": found.accuracy,
                "characters": found.characters,
                "skipped_characters": skipped,
            }
        )
        return
    show_rows(
        [
            ("bits per character", f"{found.bits_per_character:.4f}"),
            ("accuracy", f"{100 * found.accuracy:.2f} %"),
            ("characters", f"{found.characters:,}" + (f" ({skipped:,} skipped)" if skipped else "")),
        ]
    )


@command
def chart(
    run: RunArgument,
    passage: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What to colour; else FILE, else held-out text.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Colour the start of this text.", show_default=False)
    ] = None,
    characters: Annotated[int, typer.Option(help="How many characters of a text to colour.", min=2, max=4000)] = 720,
    unknown: UnknownOption = "error",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to put the pictures; the run folder if omitted.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw curves.png, and surprise.png: a passage with every character coloured by its surprise in bits."""
    import math

    import torch

    from gnnkit.jobs import text_report
    from gnnkit.jobs.text_trained import load_text
    from gnnkit.plots.style import save_figure
    from gnnkit.plots.surprise import surprise_map
    from gnnkit.runs import RunFolder, read_metrics
    from recurrent.text import UnknownCharacterError, read_corpus

    if passage is not None and file is not None:
        raise BadUsageError("--passage and --file both name what to colour; give one of them")
    trained = load_text(run)
    folder = RunFolder.open(run)
    where = folder.path if out is None else out
    where.mkdir(parents=True, exist_ok=True)
    if passage is not None:
        text, title = passage, "a passage"
    elif file is not None:
        text, title = read_corpus(file).text[:characters], printable(file.name)
    else:
        text, title = _held_out(trained, characters), f"held-out text of {printable(trained.job.source.path)}"
    if len(text) < 2:
        raise BadUsageError(f"a passage has at least 2 characters, got {len(text)}")
    try:
        read, bits = trained.surprise(text, unknown=unknown)
    except UnknownCharacterError as error:
        message = str(error).replace('unknown="', "--unknown ").replace('"', "")
        raise BadUsageError(message) from error
    values = torch.cat([torch.full((1,), math.nan), bits.cpu()])  # nothing comes before the first
    save_figure(surprise_map(read, values, title=f"{trained.job.model.label}, {title}:"), where / "surprise.png")
    history = read_metrics(folder.metrics_path)
    summary = folder.read_summary()
    text_report.draw(folder, trained.job, history, None if summary is None else summary["selected_step"], where)
    pictures = [where / "curves.png", where / "surprise.png"]
    if json:
        content = {"pictures": [str(each) for each in pictures], "mean_surprise_bits": float(bits.mean())}
        show_json({**content, "characters": len(read)})
        return
    show_rows(
        [
            ("pictures", printable(", ".join(map(str, pictures)))),
            ("mean surprise", f"{float(bits.mean()):.3f} bits per character"),
        ]
    )


def _held_out(trained: "TrainedText", characters: int) -> str:
    """The start of the run's test part, or of its text where there is none."""
    corpus = trained.job.source.load()
    parts = trained.job.source.parts(corpus, trained.vocabulary)
    part = parts.test if len(parts.test) > 1 else parts.train
    return trained.vocabulary.decode(part[:characters])
