"""The README does what it says: its commands print what stands below them, and its code runs."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
SESSIONS = [text for kind, text in BLOCKS if not kind and text.startswith("$ gnnkit")]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda text: text.splitlines()[0][2:])
def test_commands_print_what_stands_below_them(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    command, *expected = session.splitlines()
    result = CliRunner().invoke(app, shlex.split(command.removeprefix("$ gnnkit ")))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == expected


def test_the_code_runs_and_prints_what_its_comments_say(capsys):
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "[0, 1, 2]" in printed
    assert "tensor([0, 1])" in printed
    assert 0.5 < float(printed.split()[-1]) <= 1.0  # the last digit may depend on the processor


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert "://" in target or (ROOT / target).exists(), target


def test_the_first_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
