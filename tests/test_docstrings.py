"""Every public name says what it is, and the surface that one meets first is small."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import gnnkit
import recurrent

ROOT = Path(gnnkit.__file__).parent.parent
MODULES = sorted(
    module.name
    for package in (gnnkit, recurrent)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if module.ispkg
)


@pytest.mark.parametrize("name", ["gnnkit", "recurrent", *MODULES])
def test_every_name_that_a_package_hands_on_is_described(name):
    module = importlib.import_module(name)
    for each in getattr(module, "__all__", ()):
        found = getattr(module, each)
        if inspect.isclass(found) or inspect.isroutine(found):
            described = inspect.getdoc(found)
            # A dataclass or NamedTuple without a docstring gets one made of its fields.
            assert described, f"{name}.{each}"
            assert not described.startswith(f"{each}("), f"{name}.{each}"


def public_definitions(tree):
    """Public classes and functions of a module, and the methods of its public classes, with their docstrings."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and not _aside(node):
            yield node.name, ast.get_docstring(node)
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_") and not _aside(inner):
                    yield f"{node.name}.{inner.name}", ast.get_docstring(inner)


def _aside(node):
    """Whether another definition of the same name holds the docstring."""
    decorators = [ast.unparse(each) for each in node.decorator_list]
    return any(each in ("overload", "override") or each.endswith(".setter") for each in decorators)


def test_no_public_definition_of_either_package_lacks_a_docstring():
    missing = []
    for package in ("gnnkit", "recurrent"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            where = path.relative_to(ROOT).as_posix()
            missing += [f"{where}: {name}" for name, said in public_definitions(tree) if not said]
            if not ast.get_docstring(tree):
                missing.append(where)
    assert not missing


def test_what_tab_shows_is_small_and_described():
    shown = dir(gnnkit)
    assert len(shown) < 25
    assert set(gnnkit.__all__) < set(shown)
    assert not [name for name in shown if name.startswith("_")]
    for name in shown:
        assert inspect.getdoc(getattr(gnnkit, name)), name
