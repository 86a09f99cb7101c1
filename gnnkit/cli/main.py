"""The program ``gnnkit``: every command by name.

Each command's file is light and imports what it works with when it is called, so that this module,
and ``gnnkit --help``, load no torch.
"""

from typing import Annotated

import typer

from gnnkit.cli.adjacency import adjacency
from gnnkit.cli.compare import compare
from gnnkit.cli.convert import convert
from gnnkit.cli.data import data
from gnnkit.cli.evaluate import evaluate
from gnnkit.cli.export import export
from gnnkit.cli.flow import flow
from gnnkit.cli.forecast import forecast
from gnnkit.cli.group import HarmlessGroup
from gnnkit.cli.hops import hops
from gnnkit.cli.info import info
from gnnkit.cli.neighborhood_function import neighborhood_function
from gnnkit.cli.predict import predict
from gnnkit.cli.reproduce import reproduce
from gnnkit.cli.sequence import sequence
from gnnkit.cli.signals import listen
from gnnkit.cli.text import text
from gnnkit.cli.train import train
from gnnkit.cli.trees import trees
from gnnkit.cli.verdict import verdict

app = typer.Typer(
    name="gnnkit",
    cls=HarmlessGroup,
    help="Graph neural networks, and how far information travels in them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # errors are one line, unless --debug asks for Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(info)
app.command()(convert)
app.command()(adjacency)
app.command()(hops)
app.command()(neighborhood_function)
app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(export)
app.command()(compare)
app.command()(flow)
app.command()(verdict)
app.command()(forecast)
app.command()(reproduce)
app.add_typer(data, name="data")
app.add_typer(sequence, name="sequence")
app.add_typer(text, name="text")
app.add_typer(trees, name="trees")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gnnkit {version('gnnkit')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Graph neural networks, and how far information travels in them."""


def main() -> None:
    """Run the program, as `gnnkit.cli.start.main` does where this module is loaded already."""
    listen()
    app(prog_name="gnnkit")
