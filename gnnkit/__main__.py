"""``python -m gnnkit``."""

from gnnkit.cli.main import main

if __name__ == "__main__":
    main()
