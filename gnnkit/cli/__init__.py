"""The program ``gnnkit``: one file per command, thin over the library."""
