"""When is a recorded row still what the program would compute? When settings and code that matter are the same."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gnnkit.runs import versions

# What decides a row's figures, by kind: packages (all files below) or modules.
SEQUENCE_CODE = (
    "recurrent",
    "gnnkit.training.optimization",
    "gnnkit.training.sequences",
    "gnnkit.jobs.sequence_diagnostics",
    "gnnkit.jobs.sequence_job",
)
TEXT_CODE = ("recurrent", "gnnkit.training.optimization", "gnnkit.training.text", "gnnkit.jobs.text_job")


def fingerprint(settings: Any, code: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that change with the settings, the versions or the meaning of the code.

    Comments, docstrings and layout of the code do not count.

    Args:
        settings: Dataclasses, dicts, lists, numbers and names.
        code: Packages and modules by name.

    Raises:
        ValueError: If there is no such package or module.
    """
    content = {
        "settings": _plain(settings),
        "versions": {name: number for name, number in versions().items() if name in ("gnnkit", "torch")},
        "code": {name: code_digest(name) for name in sorted(code)},
    }
    return _digest(json.dumps(content, sort_keys=True))


@cache
def code_digest(name: str) -> str:
    """A digest of what a package's or module's source means."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {name!r} whose source could be read")
    path = Path(spec.origin)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return _digest("\n".join(f"{file.name}\n{meaning(file.read_text(encoding='utf-8'))}" for file in files))


def meaning(source: str) -> str:
    """Python source without what does not matter.

    Example:
        >>> meaning('def f(x):  # doubles' + chr(10) + '    return 2*x') == meaning('def f( x ): return 2 * x')
        True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"settings are dataclasses, dicts, lists, numbers and names, got {type(value).__name__}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
