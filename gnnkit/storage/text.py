"""Text from elsewhere: shown without harm, read as numbers without surprises."""

from __future__ import annotations

import math
import re
import unicodedata

# Possessive: a cell of many digits is read once, not once for every way to cut it.
_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)


def printable(text: object) -> str:
    r"""``text`` in one line, with everything a terminal could obey (escape codes, direction marks) as escapes.

    Example:
        >>> print(printable("karate\x1b[2J, Łódź"))
        karate\x1b[2J, Łódź
    """
    # C: control, format (bidirectional overrides), surrogate, private, unassigned; the two are line breaks, too.
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" else char
        for char in str(text)
    )


def printable_text(text: object) -> str:
    r"""Text of several lines for a terminal: line breaks and tabs as they are, the rest as :func:`printable` has it.

    Example:
        >>> printable_text("one\n\x1b[2Jtwo")
        'one\n\\x1b[2Jtwo'
    """
    return "".join(char if char in "\n\t" else printable(char) for char in str(text))


def shown(value: object, limit: int = 100) -> str:
    """``value`` as a message quotes it: its `repr`, cut short, whatever it is.

    Example:
        >>> shown("x" * 200, limit=10), shown(None)
        ("'xxxxxxxx…", 'None')
    """
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested beyond reason; a number of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_number(text: str) -> bool:
    """Whether ``text`` spells a decimal number, of any size; float() also takes ``nan``, ``1_0`` and other digits.

    Example:
        >>> is_number("-1.5e3"), is_number("1e999"), is_number("1_0"), is_number(" 1")
        (True, True, False, False)
    """
    return _NUMBER.fullmatch(text) is not None


def finite_number(text: str) -> float | None:
    """The decimal number that a cell holds, or ``None``; ``nan``, ``inf``, ``1_0`` and ``1e999`` are none.

    Example:
        >>> finite_number(" -1.5e3 "), finite_number("nan"), finite_number("0,5")
        (-1500.0, None, None)
    """
    text = text.strip()
    return number if is_number(text) and math.isfinite(number := float(text)) else None
