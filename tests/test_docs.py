"""The guide does what it says: its Python runs and prints what stands below it, its commands exist and run.

A page's Python blocks share one namespace, in a folder of their own; a ``text`` block right below one is what it
prints. A comment ``<!-- run first ... -->`` holds what a page takes for granted. Commands in ``console`` blocks run,
with fewer steps where they train; all others, wherever they stand, must at least be commands with those options.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gnnkit.cli.main import app

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
PART = re.compile(r"<!-- run first\n(?P<first>.*?)-->|^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = typer.main.get_command(app)


def parts(page):
    """Kind and text of a page's code, in order."""
    return [
        (match["kind"], match["text"]) if match["first"] is None else ("first", match["first"])
        for match in PART.finditer(page.read_text(encoding="utf-8"))
    ]


def commands_in(text):
    """Every gnnkit command of a text, wherever it stands, without comments and continued lines joined."""
    text = text.replace("\\\n", " ")
    inline = re.findall(r"`(gnnkit [^`\n]*)`", text)
    lines = re.findall(r"^\s*(?:\$ )?(gnnkit .*)$", text, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", each).strip() for each in (*inline, *lines)]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(kind == "python" for kind, _ in parts(page))], ids=lambda p: p.stem
)
def test_python_runs_and_prints_what_stands_below(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    namespace, printed = {"__name__": page.stem}, None
    for kind, text in parts(page):
        if kind in ("python", "first"):
            exec(compile(text, page.name, "exec"), namespace)
            printed = capsys.readouterr().out
        elif kind == "text" and printed is not None:
            assert printed == text
        if kind not in ("python", "first"):
            printed = None


SHORTER = {
    ("train",): ["--epochs", "2"],
    ("sequence", "train"): ["--steps", "3"],
    ("text", "train"): ["--steps", "3"],
    ("forecast",): ["--epochs", "1"],
    ("verdict",): ["--splits", "2", "--epochs", "2"],
}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(kind == "console" for kind, _ in parts(page))], ids=lambda p: p.stem
)
def test_console_sessions_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    prepared(tmp_path)
    for kind, text in parts(page):
        if kind != "console":
            continue
        for session in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            line, *expected = session.rstrip("\n").split("\n")
            arguments = shlex.split(line, comments=True)
            if arguments[0] != "gnnkit" or arguments[1] == "reproduce":  # which has tests of its own
                continue
            names = tuple(arguments[1:3]) if tuple(arguments[1:3]) in SHORTER else tuple(arguments[1:2])
            extra = [] if expected or "--resume" in arguments else SHORTER.get(names, [])
            result = CliRunner().invoke(app, [*arguments[1:], *extra])
            assert result.exit_code == 0, f"{line}\n{result.output}"
            if expected:
                assert result.stdout.rstrip("\n").split("\n") == expected, line


def prepared(folder):
    """The files that the pages' commands take for the reader's own."""
    size = 30
    edges = [(node, (node + step) % size) for node in range(size) for step in (1, 3)]
    (folder / "edges.csv").write_text("source,target\n" + "".join(f"n{s},n{t}\n" for s, t in edges))
    rows = [f"n{node},{node % 3},{node / size}\n" for node in range(size)]
    (folder / "features.csv").write_text("node,a,b\n" + "".join(rows))
    (folder / "labels.csv").write_text("node,class\n" + "".join(f"n{node},{'xyz'[node % 3]}\n" for node in range(size)))
    text = "The quick brown fox jumps over the lazy dog. " * 60
    for name in ("book.txt", "other.txt"):
        (folder / name).write_text(text)


EVERY = sorted(
    {
        (page.name, command)
        for page in (*PAGES, ROOT / "README.md")
        for command in commands_in(page.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize(("page", "command"), EVERY, ids=lambda value: str(value)[:60])
def test_every_command_exists_with_its_options(page, command):
    del page
    words = shlex.split(command)[1:]
    found, path = COMMAND, []
    while words and words[0] in getattr(found, "commands", {}):
        path.append(words[0])
        found = found.commands[words.pop(0)]
    assert path or not words or words[0].startswith("-") or words == ["..."], (
        f"{command}: there is no command {words[0]!r}"
    )
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{command}: there is no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path = target.split("#")[0]
        assert "://" in target or not path or (page.parent / path).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_navigation():
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in listed, page


def test_the_benchmark_page_is_written_from_the_results():
    import importlib.util

    spec = importlib.util.spec_from_file_location("list_benchmarks", ROOT / "docs" / "list_benchmarks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == module.page(), (
        "python docs/list_benchmarks.py"
    )
