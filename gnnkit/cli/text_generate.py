"""``gnnkit text generate``: go on from a prompt, character by character."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gnnkit.cli.command import BadUsageError, JsonOption, command
from gnnkit.cli.given import refuse
from gnnkit.cli.printing import detail, show, show_json
from gnnkit.storage.text import printable_text

if TYPE_CHECKING:
    from gnnkit.jobs.text_trained import TrainedText
    from recurrent.generation import GenerationConfig

_SAMPLING, _BEAM, _ENDING = "Sampling", "Beam search", "Where to stop"


def _option(text: str, panel: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False, **settings)


@command
def generate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    prompt: Annotated[
        str, typer.Option(help="What to go on from; the start of a line if omitted.", show_default=False)
    ] = "",
    strategy: Annotated[
        Literal["sample", "greedy", "beam"], typer.Option(help="Draw; take the likeliest; or search.")
    ] = "sample",
    length: Annotated[int, typer.Option(help="Characters to write, at most.", rich_help_panel=_ENDING)] = 200,
    stop_at_sentence_end: Annotated[
        bool, typer.Option("--stop-at-sentence-end", help="Stop after the first of . ! ?", rich_help_panel=_ENDING)
    ] = False,
    min_length: Annotated[
        int, typer.Option(help="Characters before a sentence's end stops the text.", rich_help_panel=_ENDING)
    ] = 0,
    temperature: Annotated[
        float | None, _option("softmax(logits / temperature); 1 if omitted.", _SAMPLING, metavar="T")
    ] = None,
    top_k: Annotated[int | None, _option("Draw from the K likeliest.", _SAMPLING, metavar="K")] = None,
    top_p: Annotated[
        float | None, _option("Draw from the fewest that have probability P together.", _SAMPLING, metavar="P")
    ] = None,
    min_p: Annotated[
        float | None, _option("Draw from those with this share of the likeliest's probability.", _SAMPLING, metavar="P")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.", rich_help_panel=_SAMPLING)] = 0,
    beam_width: Annotated[int | None, _option("Hypotheses kept; 5 if omitted.", _BEAM, metavar="W")] = None,
    length_penalty: Annotated[
        float | None, _option("Score log-probability / length ** PENALTY; 1 if omitted.", _BEAM, metavar="PENALTY")
    ] = None,
    returns: Annotated[int, typer.Option(help="Texts: seeds SEED, SEED + 1, ..., or the best beams.")] = 1,
    unknown: Annotated[
        Literal["error", "skip", "replace"], typer.Option(help="What to do with characters the model does not know.")
    ] = "error",
    json: JsonOption = False,
) -> None:
    """Continue a prompt; the text appears as it is written. --json adds log-probabilities, -v the score."""
    from gnnkit.jobs.text_trained import load_text
    from recurrent.generation import GenerationConfig
    from recurrent.text import UnknownCharacterError

    if strategy != "sample":
        refuse(context, ("seed",), f"is of --strategy sample, and {strategy} draws nothing; leave it out")
    try:
        config = GenerationConfig(
            length=length,
            strategy=strategy,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            beam_width=beam_width,
            length_penalty=length_penalty,
            num_returns=returns,
            stop_at_sentence_end=stop_at_sentence_end,
            min_length=min_length,
            seed=seed,
            unknown=unknown,
        )
    except ValueError as error:
        raise BadUsageError(_as_options(str(error))) from error
    trained = load_text(run)
    try:
        if json:
            _show_json(trained, prompt, config)
        elif returns == 1:
            _show_stream(trained, prompt, config)
        else:
            for number, each in enumerate(trained.generate(prompt, config), start=1):
                show(f"--- {number}: score {each.score:.3f}")
                show(each.prompt + each.text)
    except UnknownCharacterError as error:
        raise BadUsageError(_as_options(str(error))) from error


def _show_stream(trained: "TrainedText", prompt: str, config: "GenerationConfig") -> None:
    characters = trained.stream(prompt, config)
    # As the model read it: what was skipped or replaced shows.
    read = trained.vocabulary.decode(trained.vocabulary.encode(prompt, unknown=config.unknown))
    sys.stdout.write(printable_text(read))
    total = 0.0
    for char, log_probability in characters:
        sys.stdout.write(printable_text(char))
        sys.stdout.flush()
        total += log_probability
    sys.stdout.write("\n")
    detail(f"log-probability {total:.3f}")


def _show_json(trained: "TrainedText", prompt: str, config: "GenerationConfig") -> None:
    texts = trained.generate(prompt, config)
    show_json(
        {
            "prompt": texts[0].prompt,
            "strategy": config.strategy,
            "seed": config.seed,
            "texts": [
                {
                    "text": each.text,
                    "finished": each.finished,
                    "score": each.score,
                    "log_probability": each.log_probability,
                    "log_probabilities": list(each.log_probabilities),
                }
                for each in texts
            ],
        }
    )


def _as_options(message: str) -> str:
    """The library's words with the names that the command line has for them."""
    for name in ("stop_at_sentence_end", "length_penalty", "beam_width", "min_length", "top_k", "top_p", "min_p"):
        message = message.replace(name, f"--{name.replace('_', '-')}")
    message = message.replace("num_returns", "--returns")
    for name in ("strategy", "unknown"):
        for value in ("sample", "greedy", "beam", "skip", "replace"):
            message = message.replace(f'{name}="{value}"', f"--{name} {value}")
    return message
