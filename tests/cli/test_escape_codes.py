r"""Names with terminal escape codes print harmlessly, whatever command meets them, and wherever they come from.

Files, folders, nodes, classes, columns and texts are named so that a terminal would obey; every command then reads
them. No control character but a line break or a tab may come out.
"""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.storage.json_files import read_json, write_json

EVIL = "\x1b]0;owned\x07\x9b2J\x7f\u202e"  # sets a title, clears the screen, turns what follows around
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
NODES = [f"{EVIL}{letter}" for letter in "abcdef"]
EDGES, LABELS, FEATURES, VALUES, TEXT, TREES = (
    f"{EVIL}{name}" for name in ("e.txt", "l.csv", "f.csv", "v.csv", "t.txt", "trees.txt")
)
SEQUENCE = "--length 3 --hidden 4 --batch-size 4 --eval-size 8 --eval-every 2 --steps 4"
TEXTS = "--cell gru --hidden 4 --layers 1 --batch-size 2 --seq-length 5 --sample-length 5 --steps 4"
FORECAST = "--length 4 --horizon 2 --hidden 4 --hops 1 --jobs 1 --epochs 1"
SMALL_TREES = "--embedding 4 --hidden 4 --epochs 1"
# NAME stands for the escape codes; what trains comes before what reads its run.
LINES = f"""
info NAMEe.txt --labels NAMEl.csv
info NAMEg.graphml
info NAMEabsent.txt
info NAME
info e.txt NAMEextra
info --NAME
adjacency NAMEe.txt
adjacency NAMEe.txt --normalize NAME
adjacency NAMEe.txt --json
adjacency NAMEbad.txt
hops NAMEe.txt NAMEa NAMEc
hops NAMEe.txt NAMEa
hops NAMEe.txt NAMEz
hops NAMEe.txt --sources NAMEa,NAMEb -v
hops NAMEe.txt --out NAMEnowhere/h.csv
neighborhood-function NAMEe.txt --out NAMEn.csv
convert NAMEe.txt --out NAMEgraph
convert NAMEgraph --verify
train --edges NAMEe.txt --labels NAMEl.csv --features NAMEf.csv --epochs 2 --threads 1 --out NAMErun
train --edges NAMEe.txt --labels NAMEl.csv --epochs 2 --runs 2 --out NAMEruns
train --resume NAMErun
train --resume NAMEl.csv
evaluate NAMErun
predict NAMErun --out NAMEp.csv
export NAMErun --out NAMEm.pt2
flow NAMErun --samples 2 --plot NAMEp.png
compare NAMErun NAMEruns --plot NAMEp.png
verdict NAMEe.txt --labels NAMEl.csv --features NAMEf.csv --splits 2 --epochs 2
forecast --values NAMEv.csv --edges NAMEe.txt {FORECAST} --out NAMEforecast
reproduce --page-only --out NAMErows
data list --data-root NAME
data verify cora --data-root NAME
data verify NAME
data download cora --mirror NAME --data-root NAME
sequence train palindrome {SEQUENCE} --threads 1 --out NAMEsequence
sequence sweep palindrome --lengths 2 {SEQUENCE.replace("--length 3 ", "")} --out NAMEsweep
sequence gates NAMEsequence
sequence gradients NAMEsequence --samples 4
sequence temporal-gate --plot NAMEnowhere/p.png
sequence params --cell NAME
sequence row 17 --quick --out NAMErows
text train NAMEt.txt {TEXTS} --threads 1 --out NAMEtext
text generate NAMEtext --prompt th --length 20
text generate NAMEtext --prompt NAME
text score NAMEtext NAMEt.txt
text chart NAMEtext --characters 20
text row 5 --data-root NAME --out NAMErows
trees train NAMEtrees.txt {SMALL_TREES} --out NAMEtrees
trees evaluate NAMEtrees
trees predict NAMEtrees NAMEtrees.txt
trees download --mirror NAME --data-root NAME
""".strip().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evil")
    pairs = [(i, (i + 1) % 6) for i in range(6)]
    (folder / EDGES).write_text("".join(f"{NODES[i]} {NODES[j]}\n" for i, j in pairs))
    (folder / "e.txt").write_text("a b\n")
    (folder / f"{EVIL}bad.txt").write_text(f"{NODES[0]} {NODES[1]} {EVIL}\n{NODES[0]}\n")
    (folder / LABELS).write_text("node,label\n" + "".join(f"{name},{EVIL}{i % 2}\n" for i, name in enumerate(NODES)))
    (folder / FEATURES).write_text("node,x,y\n" + "".join(f"{name},{i}.5,1\n" for i, name in enumerate(NODES)))
    rows = ["".join(f"{(i * step) % 7}.5," for i in range(6))[:-1] for step in range(40)]
    (folder / VALUES).write_text("\n".join([",".join(NODES), *rows, ""]))
    (folder / TEXT).write_text(f"the {EVIL} graph\nknows how far a word may go\n" * 12)
    (folder / TREES).write_text(f"(1 (0 {EVIL}good) (1 word))\n(0 (0 {EVIL}bad) (1 {EVIL}word))\n" * 10)
    nodes = "".join(f"<node id='n{i}&#x9b;2J'/>" for i in range(2))
    (folder / f"{EVIL}g.graphml").write_text(f"<graphml><graph edgedefault='directed'>{nodes}</graph></graphml>")
    (folder / f"{EVIL}rows").mkdir()
    return folder


def run(line: str, folder: Path, monkeypatch) -> str:
    monkeypatch.chdir(folder)
    for name, value in {"COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GNNKIT_DATA", raising=False)
    result = CliRunner().invoke(app, [word.replace("NAME", EVIL) for word in line.split(" ")])
    # Some have nothing to read, and say so; none may end in a way that is not foreseen.
    assert "unexpected " not in result.output.replace("unexpected extra argument", ""), result.output
    return result.output


@pytest.mark.parametrize("line", LINES)
def test_no_name_drives_the_terminal(line, folder, monkeypatch):
    said = run(line, folder, monkeypatch)
    assert said.strip()
    assert not CONTROL.search(said), repr(said)


@pytest.mark.parametrize("file", ["summary.json", "run.json"])
def test_what_a_strange_run_folder_says_is_harmless(file, folder, monkeypatch):
    """Every string in it may be somebody else's."""
    [trains] = [line for line in LINES if line.endswith("--out NAMErun")]
    run(trains.replace("NAMErun", f"strange-{file}"), folder, monkeypatch)
    strange = f"strange-{file}"
    path = folder / strange / file

    def evil(content):
        if isinstance(content, dict):
            return {key: value if key in ("format", "kind") else evil(value) for key, value in content.items()}
        if isinstance(content, list):
            return [evil(each) for each in content]
        return content + EVIL if isinstance(content, str) else content

    write_json(path, evil(read_json(path)))
    for line in (f"compare {strange} {strange}", f"evaluate {strange}", f"flow {strange}", f"train --resume {strange}"):
        assert not CONTROL.search(run(line, folder, monkeypatch)), line


def test_a_traceback_is_harmless(capsys):
    from gnnkit.cli.start import _tell

    _tell(ValueError, ValueError(EVIL), None)
    assert capsys.readouterr().err.startswith("ValueError: \\x1b]0;owned")


def test_every_command_meets_such_names():
    def commands(command, path=()):
        for name, each in getattr(command, "commands", {}).items():
            yield from commands(each, (*path, name))
        if not hasattr(command, "commands"):
            yield " ".join(path)

    program = set(commands(typer.main.get_command(app)))
    assert {words for words in program if not any(line.startswith(f"{words} ") for line in LINES)} == set()
