"""The experiments of five student reports, run again: rows, verdicts, corrections, and the page that shows them."""

from gnnkit.reproduction.campaign import Campaign, RowOutcome, run_rows
from gnnkit.reproduction.corrections import corrections
from gnnkit.reproduction.page import write_page

__all__ = ["Campaign", "RowOutcome", "corrections", "run_rows", "write_page"]
