"""Running the rows: skip what is done and unchanged, go on where it stopped, say what was not reached."""

import json

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.jobs import sequence_rows
from gnnkit.jobs.row_fingerprint import code_digest, fingerprint
from gnnkit.jobs.sequence_row_cases import TRAINING_ROWS
from gnnkit.jobs.sequence_rows import row_trainings
from gnnkit.jobs.sequence_rows_beyond import BEYOND_ROWS
from gnnkit.reproduction import campaign as campaigns
from gnnkit.reproduction.campaign import Campaign, is_current, result_path, row_numbers, run_rows, sharing
from gnnkit.reproduction.graph_rows import run_graph_row
from gnnkit.runs import Interrupted


@pytest.fixture
def campaign(tmp_path):
    return Campaign(tmp_path / "out", tmp_path / "text", quick=True)


def test_every_row_of_the_reports_can_be_run():
    assert set(range(1, 30)) <= set(row_numbers())


def test_what_is_done_and_unchanged_is_skipped(campaign, monkeypatch):
    said = []
    first = run_rows([23, 24], campaign, say=said.append)
    assert [(each.number, each.status) for each in first] == [(23, "done"), (24, "done")]
    path = result_path(campaign.out, 24, quick=True)
    before = path.stat().st_mtime_ns
    again = run_rows([23, 24, 17], campaign, say=said.append)
    assert [(each.number, each.status) for each in again] == [(17, "done"), (23, "unchanged"), (24, "unchanged")]
    assert path.stat().st_mtime_ns == before
    assert "row 24: done before, unchanged" in said

    changed = json.loads(path.read_text())
    changed["fingerprint"] = "0" * 16
    path.write_text(json.dumps(changed))
    assert not is_current(24, campaign)
    assert [each.status for each in run_rows([24], campaign, say=said.append)] == ["done"]
    path.write_text("{ damaged")
    assert [each.status for each in run_rows([24], campaign, say=said.append)] == ["done"]


def test_a_full_result_does_not_stand_for_a_quick_one(campaign):
    run_rows([23], campaign, say=lambda _: None)
    assert not is_current(23, Campaign(campaign.out, campaign.texts, quick=False))


def test_a_missing_text_is_not_reached_and_tried_again(campaign):
    (outcome,) = run_rows([19], campaign, say=lambda _: None)
    assert outcome.status == "not reached"
    assert "us_bill_of_rights.txt" in outcome.problem
    path = result_path(campaign.out, 19, quick=True)
    assert json.loads(path.read_text())["not_reached"] == outcome.problem
    assert not is_current(19, campaign)
    # An older result is not overwritten by the news that it cannot be repeated.
    path.write_text(json.dumps({"row": 19, "quick": True, "old": 1}))
    run_rows([19], campaign, say=lambda _: None)
    assert json.loads(path.read_text())["old"] == 1


def test_a_stop_keeps_what_is_done_and_the_same_command_goes_on(campaign, monkeypatch):
    compute = campaigns._compute

    def stopping(number, campaign):
        if number == 24:
            raise Interrupted("stopped")
        compute(number, campaign)

    monkeypatch.setattr(campaigns, "_compute", stopping)
    with pytest.raises(Interrupted, match="stopped with 1 of 2 rows done; run the same command again"):
        run_rows([23, 24], campaign, say=lambda _: None)
    monkeypatch.setattr(campaigns, "_compute", compute)
    assert [each.status for each in run_rows([23, 24], campaign, say=lambda _: None)] == ["unchanged", "done"]


def test_rows_that_share_trainings_are_never_side_by_side():
    for quick in (True, False):
        groups = sharing(row_numbers(), quick=quick)
        assert sorted(number for group in groups for number in group) == row_numbers()
        place = {number: index for index, group in enumerate(groups) for number in group}
        assert len({place[14], place[15], place[16]}) == 1
        assert place[6] == place[7]
        assert place[11] == place[12]
    # One name, one training: what is recorded along the way is part of it.
    assert not row_trainings(2) & row_trainings(15)
    jobs = {}
    for row in (*TRAINING_ROWS.values(), *BEYOND_ROWS.values()):
        for quick in (True, False):
            for case in row.cases(quick, 1 if quick else row.runs):
                name = sequence_rows._folder_name(case.job)
                assert jobs.setdefault(name, case.job) == case.job, name


def test_fingerprints_change_with_settings_and_code(monkeypatch):
    assert fingerprint({"a": 1}, ["recurrent"]) == fingerprint({"a": 1}, ["recurrent"])
    assert fingerprint({"a": 1}, ["recurrent"]) != fingerprint({"a": 2}, ["recurrent"])
    assert fingerprint({"a": 1}, ["recurrent"]) != fingerprint({"a": 1}, ["gnnkit.errors"])
    with pytest.raises(ValueError, match=r"no module 'gnnkit\.absent'"):
        code_digest("gnnkit.absent")
    with pytest.raises(TypeError, match="got set"):
        fingerprint({1, 2}, [])


def test_graph_rows_have_the_form_of_the_others(tmp_path):
    content = run_graph_row(25, tmp_path).content
    assert [case["results"]["hops_from_C_to_E"] for case in content["cases"]] == [[3], [4]]
    assert content["cases"][0]["summary"]["layers_needed"]["mean"] == 3
    assert content["command"] == "gnnkit reproduce 25"
    with pytest.raises(ValueError, match="there is no graph row 1: there are 25, 26"):
        run_graph_row(1, tmp_path)


@pytest.mark.slow
def test_graph_rows_that_train_run_quickly(tmp_path):
    for number, score in (
        (26, "test_accuracy"),
        (27, "test_accuracy"),
        (28, "area_under_roc"),
        (29, "mean_squared_error"),
    ):
        content = run_graph_row(number, tmp_path, quick=True, runs=1).content
        assert all(len(values) == 1 for case in content["cases"] for values in case["results"].values())
        assert content["cases"][-1]["summary"][score]["mean"] > 0


def test_the_command_runs_rows_and_writes_the_page(tmp_path):
    def gnnkit(*arguments):
        return CliRunner().invoke(app, ["reproduce", *map(str, arguments)], env={"COLUMNS": "200"})

    out = tmp_path / "out"
    done = gnnkit(23, 24, "--quick", "--jobs", 1, "--out", out, "-q")
    assert done.exit_code == 0, done.output
    assert " 24  the report was wrong" in done.stdout
    assert (out / "reproduction.html").is_file()
    built = gnnkit("--page-only", "--out", out, "--page", tmp_path / "docs" / "page.html", "--json")
    assert built.exit_code == 0, built.output
    verdicts = {row["row"]: row["verdict"] for row in json.loads(built.stdout)["rows"]}
    assert verdicts[23] == "the report was wrong"
    assert verdicts[1] == "not reached"
    assert (tmp_path / "docs" / "page.html").is_file()
    missing = gnnkit(19, "--quick", "--out", out, "--data-root", tmp_path, "-q")
    assert missing.exit_code == 1
    assert gnnkit(99).exit_code == 2
    assert "there is no row 99" in gnnkit(99).stderr
    assert gnnkit("--page-only", "--quick").exit_code == 2
    assert "there is no folder" in gnnkit("--page-only", "--out", tmp_path / "absent").stderr
