"""``python -m gnnkit``."""

from gnnkit.cli.main import main

main()
