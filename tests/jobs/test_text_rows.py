"""The reports' text experiments: their settings, one small row run whole, shared trainings."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.errors import MissingDataError, RunError
from gnnkit.jobs import text_rows
from gnnkit.jobs.text_job import TextJob
from gnnkit.jobs.text_row_cases import ROWS, Passage, Run, TextRow
from gnnkit.jobs.text_rows import run_text_row
from gnnkit.runs import Interrupted, Progress, RunFolder
from recurrent.generation import GenerationConfig

TINY = TextRow(
    "000",
    "a small one",
    "nothing",
    {
        "cats": Run(
            "cats.txt", "report-000", {"hidden_size": 128}, {"seq_length": 8, "batch_size": 2, "sample_every": 5}
        )
    },
    (
        Passage("cats", "the ", GenerationConfig(length=12, temperature=0.5, num_returns=2)),
        Passage("cats", "the ?", GenerationConfig(length=5, strategy="beam", beam_width=2)),
    ),
    ladder=(5, 8, 5000),
)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "cats.txt").write_text("the cat sat on the mat. " * 20)
    monkeypatch.setitem(ROWS, 99, TINY)
    monkeypatch.setattr(text_rows, "_QUICK_STEPS", {128: 10})
    return tmp_path


def row(tiny, **options):
    return run_text_row(99, tiny / "text", tiny / "rows", quick=True, progress="quiet", say=lambda _: None, **options)


def test_the_rows_are_those_of_the_reports():
    assert sorted(ROWS) == [5, 6, 7, 11, 12, 18, 19, 21, 22]
    for each in ROWS.values():
        assert {passage.run for passage in each.passages} <= set(each.runs)
        for run in each.runs.values():
            hidden = run.model.get("hidden_size", text_rows.recipe(run.recipe)[0].hidden_size)
            assert hidden in text_rows._QUICK_STEPS
    # Trainings of one name are one training: rows share them.
    by_name = {}
    for each in ROWS.values():
        for name, run in each.runs.items():
            assert by_name.setdefault(name, run) == run, name


def test_a_row_is_one_file_with_a_ladder_and_texts(tiny):
    result = row(tiny)
    assert result.path.name == "row-99-quick.json"
    content = json.loads(result.path.read_text())
    [run] = content["runs"].values()
    assert [rung["step"] for rung in run["ladder"]] == [5, 8, 10]
    assert [rung["sample"] is None for rung in run["ladder"]] == [False, True, False]
    assert run["selected_step"] == 10  # the last, as in the reports
    assert [len(text["text"]) for text in content["texts"]] == [12, 12, 5]
    assert [text["temperature"] for text in content["texts"]] == [0.5, 0.5, None]
    assert content["texts"][2]["prompt"] == "the "  # the unknown character is skipped
    assert content["command"] == "gnnkit text row 99 --quick"


def test_what_is_trained_is_not_trained_again(tiny):
    first = row(tiny)
    checkpoint = tiny / "rows" / "runs" / "cats-quick" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    again = row(tiny)
    assert checkpoint.stat().st_mtime_ns == before
    assert again.content["runs"] == first.content["runs"]
    assert again.content["texts"] == first.content["texts"]
    with pytest.raises(RunError, match="cats-quick holds a training with other settings"):
        row(tiny, precision="bfloat16")
    assert RunFolder.open(checkpoint.parent).read_config(TextJob).training.steps == 10


def test_an_interrupted_row_says_how_far_it_got_and_goes_on(tiny, monkeypatch):
    whole = row(tiny).content
    path = tiny / "rows" / "row-99-quick.json"
    shutil.rmtree(tiny / "rows")
    update = Progress.update

    def interrupted(self, completed, **fields):
        update(self, completed, **fields)
        if completed == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", interrupted)
        with pytest.raises(Interrupted, match="run the same command again"):
            row(tiny)
    found = json.loads(path.read_text())
    run = found["runs"]["cats"]
    assert (found["unfinished"], run["steps"], run["steps_asked"]) == (True, 6, 10)
    assert [rung["step"] for rung in run["ladder"]] == [5, 6]
    assert run["ladder"][0]["train_accuracy"] == whole["runs"]["cats"]["ladder"][0]["train_accuracy"]
    assert run["seconds"] > 0
    assert "fingerprint" not in found  # so that nothing takes it for the row
    again = row(tiny).content
    assert "unfinished" not in again
    assert again["texts"] == whole["texts"]
    assert again["fingerprint"] == whole["fingerprint"]


def test_an_interrupted_row_keeps_what_has_ended(tiny, monkeypatch):
    cats = TINY.runs["cats"]
    both = replace(TINY, runs={"cats": cats, "dogs": replace(cats, file="dogs.txt")})
    (tiny / "text" / "dogs.txt").write_text("the dog sat on the cat. " * 20)
    whole = row(tiny).content
    shutil.rmtree(tiny / "rows")
    monkeypatch.setitem(ROWS, 99, both)
    update = Progress.update

    def interrupted(self, completed, **fields):
        update(self, completed, **fields)
        if completed == 6 and (tiny / "rows" / "runs" / "dogs-quick").exists():
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "update", interrupted)
    with pytest.raises(Interrupted, match="dogs-quick stopped"):
        row(tiny)
    found = json.loads((tiny / "rows" / "row-99-quick.json").read_text())
    assert found["unfinished"]
    assert found["runs"]["dogs"]["steps_asked"] == 10
    ended, alone = found["runs"]["cats"], whole["runs"]["cats"]
    assert {**ended, "seconds": 0} == {**alone, "seconds": 0}
    assert found["texts"] == whole["texts"]


def test_an_interruption_leaves_a_finished_result_alone(tiny, monkeypatch):
    path = row(tiny).path
    before = path.read_bytes()
    shutil.rmtree(tiny / "rows" / "runs")
    monkeypatch.setattr(Progress, "update", lambda self, completed, **_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        row(tiny)
    assert path.read_bytes() == before


def test_missing_texts_and_rows_are_named(tiny):
    with pytest.raises(MissingDataError, match=r"cats\.txt, which is not in .*elsewhere"):
        run_text_row(99, tiny / "elsewhere", tiny / "rows")
    with pytest.raises(ValueError, match="no text row 1: there are 5, 6, 7"):
        run_text_row(1, tiny, tiny)


def test_the_command_prints_figures_beside_the_reports(tiny):
    settings = ["--quick", "-q", "--data-root", str(tiny), "--out", str(tiny / "rows")]
    done = CliRunner().invoke(app, ["text", "row", "99", *settings])
    assert done.exit_code == 0, done.output
    assert "reported: nothing" in done.stdout
    assert "training accuracy" in done.stdout
    assert "cats, beam of 2: the " in done.stdout
    content = json.loads(CliRunner().invoke(app, ["text", "row", "99", *settings, "--json"]).stdout)
    assert content["row"] == 99
    unknown = CliRunner().invoke(app, ["text", "row", "4"])
    assert unknown.exit_code == 2
    assert "no text row 4" in unknown.stderr
