"""Strict JSON, which every reader takes: objects, in files that are whole or absent."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from gnnkit.errors import FileFormatError
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.reading import read_regular


def strict(content: Any) -> Any:
    """``content`` as JSON can hold it: NaN and infinity, which it lacks, become None; numpy scalars, numbers.

    Example:
        >>> strict({"loss": float("nan"), 3: (1, 2.5)})
        {'loss': None, '3': [1, 2.5]}
    """
    if isinstance(content, dict):
        return {str(key): strict(item) for key, item in content.items()}
    if isinstance(content, (list, tuple)):
        return [strict(item) for item in content]
    if hasattr(content, "tolist"):  # numpy and torch, without importing either
        return strict(content.tolist())
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write a JSON object atomically, made :func:`strict`."""
    text = json.dumps(strict(content), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, text + "\n")


def read_json(path: str | os.PathLike[str], *, limit: int = 16 * 2**20) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileFormatError: If it is not JSON, not an object, too large or nested beyond reason.
        OSError: If it cannot be opened.
    """
    try:
        content = json.loads(read_regular(path, limit=limit))
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise FileFormatError(path, f"should hold a JSON object, holds a {type(content).__name__}")
    return content
