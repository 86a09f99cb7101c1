"""What all commands share: quick help, exit codes, one-line errors, harmless names, JSON alone on stdout."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gnnkit.cli.command import BadUsageError, command
from gnnkit.cli.main import app
from gnnkit.cli.printing import note, set_verbosity
from gnnkit.errors import FileFormatError

ROOT = Path(__file__).parents[2]
FIGURE_A = str(ROOT / "examples" / "data" / "figure_a.txt")
RUNNER = CliRunner()


def gnnkit(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "gnnkit", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def modules_loaded_by(*arguments: str) -> set[str]:
    command_line = [sys.executable, "-X", "importtime", "-m", "gnnkit", *arguments]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.fixture
def figure_a(tmp_path):
    path = tmp_path / "figure_a.txt"
    path.write_text("A B\nA E\nA F\nB C\nB D\nC D\nD F\nE F\n")
    return str(path)


@pytest.mark.parametrize("arguments", [["--help"], ["adjacency", "--help"], ["data", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    loaded = modules_loaded_by(*arguments)
    assert "typer" in loaded
    assert not loaded & {"torch", "torch_geometric", "numpy", "scipy", "networkx", "matplotlib"}


@pytest.mark.parametrize("name", ["info", "adjacency", "hops"])
def test_commands_on_a_file_load_neither_pyg_nor_networkx(name, figure_a):
    loaded = modules_loaded_by(name, figure_a)
    assert "torch" in loaded
    assert not loaded & {"torch_geometric", "networkx", "matplotlib"}


def test_every_command_has_the_common_options_and_a_help_text():
    for arguments in (["info"], ["adjacency"], ["data", "list"], ["data", "download"], ["data", "verify"]):
        shown = RUNNER.invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"}).output
        for option in ("--quiet", "--verbose", "--debug", "--json"):
            assert option in shown, (arguments, option)


def program_raising(error: BaseException) -> typer.Typer:
    one = typer.Typer(pretty_exceptions_enable=False)

    @one.command()
    @command
    def fail(graph: str = "x") -> None:
        raise error

    return one


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BadUsageError("there is no such thing"), 2, "gnnkit: there is no such thing"),
        (ValueError("got 3"), 1, "gnnkit: got 3"),
        (FileFormatError("a.txt", "broken", line=3, text="\x1b[2J"), 1, r"gnnkit: a.txt, line 3: broken: '\x1b[2J'"),
        (PermissionError(13, "Permission denied", "out.csv"), 1, "gnnkit: out.csv: Permission denied"),
        (MemoryError(), 1, "gnnkit: out of memory (no size given)"),
        (ValueError("two\nlines \x1b[31m"), 1, r"gnnkit: two lines \x1b[31m"),
        (KeyError("odd"), 1, "gnnkit: unexpected KeyError: 'odd' (--debug shows where)"),
        (KeyboardInterrupt(), 130, "gnnkit: interrupted"),
        (KeyboardInterrupt("stopped; continue with --resume"), 130, "gnnkit: stopped; continue with --resume"),
        (typer.Exit(5), 5, ""),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, BaseException) else "",
)
def test_errors_are_one_line_and_an_exit_code(error, code, message):
    result = RUNNER.invoke(program_raising(error), [])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == (1 if message else 0)
    assert "Traceback" not in result.stderr


def test_debug_shows_the_error_itself():
    result = RUNNER.invoke(program_raising(ValueError("got 3")), ["--debug"])
    assert isinstance(result.exception, ValueError)


def test_debug_prints_a_traceback(tmp_path):
    broken = tmp_path / "e.txt"
    broken.write_text("lonely\n")
    shown = gnnkit("info", str(broken), "--debug")
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    plain = gnnkit("info", str(broken))
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr == (
        f"gnnkit: {broken}, line 1: an edge needs two names, got 1 column(s) between spaces or tabs; "
        "pass delimiter= if something else separates them: 'lonely'\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["info"],
        ["info", "--nonsense", FIGURE_A],
        ["adjacency", FIGURE_A, "--self-loops", "many"],
        ["adjacency", FIGURE_A, "--self-loops", "nan"],
        ["adjacency", FIGURE_A, "--normalize", "both"],
        ["adjacency", FIGURE_A, "--out", "a.xls"],
        ["adjacency", FIGURE_A, "--plot", "a.gif"],
        ["adjacency", "no-such-graph"],
        ["adjacency", "cora", "--directed"],
        ["adjacency", "karate", "--header"],
        ["adjacency", str(ROOT)],
        ["info", str(ROOT / "pyproject.toml")],
        ["info", FIGURE_A, "-q", "-v"],
        ["info", FIGURE_A, "--labels", "l.csv", "--delimiter", ","],
        ["info", "karate", "--labels", "l.csv"],
        ["data", "download", "no-such-data"],
        ["data", "verify", "no-such-data"],
    ],
)
def test_bad_usage_is_exit_code_2(arguments):
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_unknown_name_lists_files_and_data_sets():
    result = RUNNER.invoke(app, ["info", "cara"])
    assert result.stderr.startswith("gnnkit: there is no file 'cara', and there is no data set 'cara'")
    assert "cora" in result.stderr


def test_names_with_escapes_are_printed_harmlessly(tmp_path):
    path = tmp_path / "evil\x1b[2J.csv"
    path.write_text("a\x1b[31m,\u202eb\na\x1b[31m,[bold]c[/bold]\n")
    damaged = tmp_path / "\x1b[2J\u2028.csv"
    damaged.write_text("a,b\na,b,\x1b[31m\u202e\n")
    for arguments in (
        ["info", str(path)],
        ["adjacency", str(path)],
        ["info", str(path), "--json"],
        ["info", str(path) + "x"],
        ["info", str(damaged)],
    ):
        result = RUNNER.invoke(app, arguments)
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
        assert "\u2028" not in result.output
    assert RUNNER.invoke(app, ["info", str(damaged)]).exit_code == 1
    assert r"a\x1b[31m" in RUNNER.invoke(app, ["adjacency", str(path)]).output
    assert "[bold]c[/bo…" in RUNNER.invoke(app, ["adjacency", str(path)]).output


def test_names_survive_a_terminal_without_their_letters(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text("é 猫\n", encoding="utf-8")
    shown = gnnkit(
        "adjacency", str(path), env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}, encoding="latin-1"
    )
    assert shown.returncode == 0, shown.stderr
    assert r"\u732b" in shown.stdout


def test_json_is_alone_on_stdout_and_quiet_silences_notes(figure_a, tmp_path):
    out = str(tmp_path / "a.csv")
    loud = RUNNER.invoke(app, ["adjacency", figure_a, "--json", "--out", out, "-v"])
    assert json.loads(loud.stdout)["num_nodes"] == 6
    assert f"wrote {out}" in loud.stderr
    assert "read 6 nodes" in loud.stderr
    quiet = RUNNER.invoke(app, ["adjacency", figure_a, "--json", "--out", out, "-q"])
    assert quiet.stdout == loud.stdout
    assert quiet.stderr == ""


def test_a_closed_pipe_is_no_error_message(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text("".join(f"{i} {i + 1}\n" for i in range(50_000)))
    line = f"{sys.executable} -m gnnkit adjacency {path} --json | head -1"
    shown = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=True)
    assert shown.stdout == "{\n"
    assert shown.stderr == ""


@pytest.mark.slow
def test_control_c_is_one_line_and_130():
    script = (
        "import time\n"
        "def sleep(*a, **k):\n print('ready', flush=True); time.sleep(60)\n"
        "import gnnkit.cli.info as i; i.open_graph = sleep\n"
        "import sys; sys.argv = ['gnnkit', 'info', 'x']\n"
        "from gnnkit.cli.main import main; main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "gnnkit: interrupted; run the same command again\n")


def test_notes_are_harmless(capsys):
    set_verbosity("normal")
    note("wrote \x1b[2J")
    assert capsys.readouterr().err == "wrote \\x1b[2J\n"
