"""Where the program ``gnnkit`` begins: it listens to ctrl-C before it loads anything."""

from gnnkit.cli.signals import listen


def main() -> None:
    """Run the program; the entry point of the package."""
    listen()
    from gnnkit.cli.main import app

    app(prog_name="gnnkit")
