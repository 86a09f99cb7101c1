"""``gnnkit text``: character language models, from a text file to a run folder and back to text."""

from typing import Any

import typer

from gnnkit.cli.text_generate import generate
from gnnkit.cli.text_row import row
from gnnkit.cli.text_score import chart, score
from gnnkit.cli.text_train import train

text = typer.Typer(help="Learn a text character by character; complete, sample, search, score.", no_args_is_help=True)
_commands: list[Any] = [train, generate, score, chart, row]
for _command in _commands:
    text.command()(_command)
