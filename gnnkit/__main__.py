"""``python -m gnnkit``."""

from gnnkit.cli.start import main

if __name__ == "__main__":
    main()
