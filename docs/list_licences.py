"""Write ``docs/licences.md``: what each package pinned in ``constraints.txt`` is licensed under, as its metadata says.

$ python docs/list_licences.py
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "licences.md"
_HEAD = """# Licences of what gnnkit builds on

Every package that `constraints.txt` pins, with the licence that its own metadata states, written by
`python docs/list_licences.py`. *core* comes with gnnkit; the others come with an extra only (`pip install
gnnkit[NAME]`) or are tools that build packages, and none is part of this repository.

| Package | Licence | Comes with |
|---|---|---|
"""
_SHORT = {
    "MIT License": "MIT",
    "MIT license": "MIT",
    "The MIT License (MIT)": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "PSF": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def pinned() -> list[str]:
    """The packages of ``constraints.txt``, named as package indexes normalise names."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return sorted(normalized(line.partition("==")[0]) for line in lines if "==" in line and not line.startswith("#"))


def normalized(name: str) -> str:
    """A package's name as indexes compare it.

    Example:
        >>> normalized("Jinja2"), normalized("typing_extensions")
        ('jinja2', 'typing-extensions')
    """
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def licence(name: str) -> str | None:
    """What an installed package says its licence is; None if it is not installed."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    stated = about.get("License-Expression") or ""
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")
    ]
    classified = [name for name in classified if name != "OSI Approved"]
    free = (about.get("License") or "").strip()
    if not stated:
        stated = ", ".join(classified) if classified else free
    if stated == "BSD License" and free and "\n" not in free and len(free) < 40:
        stated = free  # which BSD licence, where the package says
    stated = " ".join(stated.split("\n")[0].split())[:200]
    return _SHORT.get(stated, stated) or "not stated"


def comes_with() -> dict[str, str]:
    """For each package that gnnkit needs, at any remove: ``core``, or the extras it comes with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {"core": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, set[str]] = {}
    for extra, requirements in direct.items():
        reached: set[str] = set()
        waiting = [parsed for requirement in requirements if (parsed := _needed(requirement, extra))]
        while waiting:
            name, wanted = waiting.pop()
            if (name, wanted) in reached:
                continue
            reached.add((name, wanted))
            try:
                below = requires(name) or []
            except PackageNotFoundError:
                continue
            waiting += [parsed for each in below if (parsed := _needed(each, *wanted.split(",")))]
        for name, _ in reached:
            found.setdefault(name, set()).add(extra)
    return {name: "core" if "core" in extras else ", ".join(sorted(extras)) for name, extras in found.items()}


def _needed(requirement: str, *extras: str) -> tuple[str, str] | None:
    """Name and extras of a requirement that holds on this machine, or None."""
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    if parsed.marker is not None and not any(parsed.marker.evaluate({"extra": extra}) for extra in extras or ("",)):
        return None
    return normalized(parsed.name), ",".join(sorted(parsed.extras))


def table(known: dict[str, tuple[str, str]]) -> str:
    """The page; what is not installed keeps the row that ``known``, the page so far, has for it."""
    needed = comes_with()
    rows = []
    for name in pinned():
        stated = licence(name)
        where = needed.get(name, "tools")
        if stated is None:
            stated, where = known.get(name, ("not known here", where))
        rows.append(f"| {name} | {stated} | {where} |\n")
    return _HEAD + "".join(rows)


def known_rows() -> dict[str, tuple[str, str]]:
    """The page's rows as they stand: name to licence and origin."""
    if not TABLE.exists():
        return {}
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TABLE.read_text().splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: (row[1], row[2]) for row in cells if len(row) == 3 and row[0] != "Package"}


if __name__ == "__main__":
    TABLE.write_text(table(known_rows()))
    print(f"wrote {TABLE.relative_to(ROOT)}: {len(known_rows())} packages")
