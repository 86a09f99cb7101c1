"""Tables as plain text: columns aligned, numbers to the right."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    r"""One line per row; the columns ``right`` are aligned to the right, the last is not padded.

    Example:
        >>> print("\n".join(aligned([["cell", "runs"], ["lstm", "3"]], right=[1])))
        cell  runs
        lstm     3
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
