r"""Docstrings as the site shows them: doctests as code, PyG's dialect of roles and formulas as plain text.

PyG writes ``:math:`(S, |\mathcal{V}|)``` and ``:class:`~gnnkit.graph.Adjacency```, and so do we; Markdown knows
neither, and a site without network loads no typesetter of formulas.
"""

import re
from typing import Any

import griffe

_SYMBOLS = {
    r"\mathcal{V}": "V",
    r"\mathcal{E}": "E",
    r"\times": "×",
    r"\ldots": "…",
    r"\sum": "Σ",
    r"\frac12": "½",
    r"\hat A": "Â",
    r"\top": "T",
    r"\left": "",
    r"\right": "",
    r"\|": "‖",
    r"\ ": " ",
    r"\,": " ",
}


class PlainDocstrings(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of what was just read."""
        if obj.docstring is None:
            return
        text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
        text = re.sub(r":math:`([^`]*)`", lambda found: f"`{_plain(found[1])}`", text)
        text = re.sub(r"^( *)\.\. math::\n((?:\1 +.*\n?|\s*\n)+)", _formula, text, flags=re.MULTILINE)
        obj.docstring.value = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)


def _plain(formula: str) -> str:
    for symbol, plain in _SYMBOLS.items():
        formula = formula.replace(symbol, plain)
    formula = re.sub(r"\\(?:mathrm|text|operatorname)\{([^}]*)\}", r"\1", formula)
    formula = re.sub(r"\\sqrt\{([^}]*)\}", r"√(\1)", formula)
    return re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1) / (\2)", formula)


def _formula(found: re.Match[str]) -> str:
    indent, body = found[1], " ".join(found[2].split())
    return f"{indent}`{_plain(body)}`\n"
