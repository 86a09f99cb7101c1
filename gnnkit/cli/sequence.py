"""``gnnkit sequence``: recurrent models on sequences; every command by name."""

import typer

from gnnkit.cli.sequence_look import gates, gradients, params, temporal_gate
from gnnkit.cli.sequence_row import row
from gnnkit.cli.sequence_train import sweep, train

sequence = typer.Typer(help="Train recurrent models on memory tasks, and look into them.", no_args_is_help=True)
sequence.command()(train)
sequence.command()(sweep)
sequence.command()(gradients)
sequence.command()(gates)
sequence.command("temporal-gate")(temporal_gate)
sequence.command()(params)
sequence.command()(row)
