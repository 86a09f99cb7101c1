"""Every command of ``gnnkit`` under input that cannot be: a message that says so, an exit code, no harm done.

The table is ``bad_input.txt``: exit code, command line, words of the message.
"""

import re
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.jobs import NodeJob, SequenceJob
from gnnkit.jobs.text_job import TextJob
from gnnkit.runs import RunFolder
from gnnkit.storage.json_files import write_json

CASES = [line.split(" | ", 2) for line in Path(__file__).with_name("bad_input.txt").read_text().splitlines()]
LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
FILES = {
    "e.txt": "a b\nb c\nc a\n",
    "empty.txt": "",
    "word.txt": "lonely\n",
    "bad_weight.txt": "a b 1\nb c x\n",
    "negative.txt": "a b -1\nb c 1\n",
    "escape.txt": "a b\n\x1b[2J\x1b]0;owned\x07\n",
    "bad.graphml": "<graphml><graph>",
    "laughs.graphml": f"{LAUGHS}<graphml><graph edgedefault='directed'>&b;</graph></graphml>",
    "g.graphml": "<graphml><graph edgedefault='directed'><node id='a'/></graph></graphml>",
    "short.mtx": "%%MatrixMarket matrix coordinate real general\n3 3 2\n1 2 1\n",
    "not_zip.npz": "PK, said the file\n",
    "e.xyz": "a b\n",
    "labels.csv": "node,label\na,x\nb,y\nc,x\n",
    "strange_labels.csv": "node,label\na,x\nz,y\n",
    "bad_features.csv": "a,1\nb,much\nc,3\n",
    "f.csv": "a,1\nb,2\nc,3\n",
    "values.csv": "a,b,c\n" + "1,2,3\n" * 40,
    "short_values.csv": "a,b,c\n1,2,3\n",
    "bad_values.csv": "a,b,c\n1,2,much\n",
    "strange_edges.txt": "a b\nb z\n",
    "bad_trees.txt": "(3 (2 It) (4 good)\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files and run folders that are broken, hostile, or merely begun."""
    folder = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "binary.txt").write_bytes(bytes(range(256)))
    (folder / "latin.txt").write_bytes("été\n".encode("latin-1") * 100)
    (folder / "empty").mkdir()
    (folder / "folder").mkdir()
    (folder / "folder" / "kept.txt").write_text("mine")
    jobs = {
        "begun": ("nodes", NodeJob()),
        "begun_sequence": ("sequence", SequenceJob()),
        "begun_text": ("text", TextJob()),
    }
    for name, (kind, job) in jobs.items():
        with RunFolder.create(folder / name, kind=kind) as run:
            run.write_config(job)
    with RunFolder.create(folder / "other", kind="nodes"):
        pass
    with RunFolder.create(folder / "newer", kind="nodes"):
        pass
    write_json(folder / "newer/run.json", {"format": "gnnkit run", "version": 99, "kind": "nodes", "environment": {}})
    with RunFolder.create(folder / "damaged", kind="nodes") as run:
        run.write_config(NodeJob())
        run.checkpoint_path.write_bytes(b"\x80\x02cos\nsystem\n")
    (folder / "damaged/summary.json").write_text("{")
    return folder


@pytest.mark.parametrize(("code", "line", "words"), CASES, ids=[line or "nothing" for _, line, _ in CASES])
def test_bad_input_is_refused_in_words(code, line, words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name, value in {"COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GNNKIT_DATA", raising=False)
    before = listing(folder)
    result = CliRunner().invoke(app, line.split(" "))
    # Boxes are drawn by typer, and pydantic's "Value error" is of some of its versions only.
    said = " ".join(re.sub("[│╭╮╰╯─]+|Value error,", " ", result.output).split())
    assert words in said
    assert result.exit_code == int(code), said
    assert "unexpected" not in said.replace("unexpected extra argument", "")
    assert "Traceback" not in said
    assert "\x1b" not in result.output
    assert listing(folder) == before  # no folder is begun, no file written


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[str]:
    """Every command by its words."""
    if hasattr(command, "commands"):
        return [words for name, each in command.commands.items() for words in commands(each, (*path, name))]
    return [" ".join(path)]


def test_the_table_covers_every_command():
    lines = [line for _, line, _ in CASES]
    assert len(set(lines)) == len(lines) >= 150
    for words in commands(typer.main.get_command(app)):
        assert sum(line == words or line.startswith(f"{words} ") for line in lines) >= 2, words
