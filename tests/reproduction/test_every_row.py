"""Every row, made tiny: each runs, is judged as if it were full, is drawn, and stands on a valid page."""

from dataclasses import replace

import pytest

from gnnkit.jobs import sequence_row_cases, sequence_rows, text_row_cases, text_rows
from gnnkit.reproduction.campaign import Campaign, row_numbers, run_rows
from gnnkit.reproduction.figures import figures
from gnnkit.reproduction.judgements import judge
from gnnkit.reproduction.page import write_page
from gnnkit.runs import read_json, write_json
from recurrent.text import pydoc_corpus


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(sequence_row_cases, "QUICK_STEPS", 3)
    monkeypatch.setattr(text_rows, "_QUICK_STEPS", {128: 2, 256: 2, 1024: 1})
    for number, row in list(sequence_rows.ROWS.items()):
        if hasattr(row, "cases"):
            monkeypatch.setitem(sequence_rows.ROWS, number, replace(row, cases=shortened(row.cases)))
    (tmp_path / "text").mkdir()
    # So that the stand-in for each text has every character of every prompt.
    known = "".join(passage.prompt for row in text_row_cases.ROWS.values() for passage in row.passages)
    for number, row in list(text_row_cases.ROWS.items()):
        passages = tuple(
            replace(each, config=replace(each.config, length=min(each.config.length, 8), min_length=0))
            for each in row.passages
        )
        monkeypatch.setitem(text_row_cases.ROWS, number, replace(row, passages=passages))
        for run in row.runs.values():
            (tmp_path / "text" / run.file).write_text(known + pydoc_corpus().text[:4000])
    return Campaign(tmp_path / "out", tmp_path / "text", quick=True)


def shortened(cases):
    def few(quick, runs):
        return [
            replace(case, job=replace(case.job, training=replace(training, steps=min(training.steps, 3), eval_size=32)))
            for case in cases(quick, runs)
            for training in [case.job.training]
        ]

    return few


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_row_runs_is_judged_and_drawn(tiny):
    outcomes = run_rows(row_numbers(), tiny, say=lambda _: None)
    assert [(each.number, each.status, each.problem) for each in outcomes] == [
        (number, "done", "") for number in row_numbers()
    ]
    full = tiny.out / "full"
    full.mkdir()
    for number in row_numbers():
        content = read_json(tiny.out / f"row-{number:02}-quick.json")
        assert content["fingerprint"]
        assert content["quick"] is True
        assert content["command"].endswith("--quick")
        judge(number, content)
        drawn = "".join(figures(number, content))
        assert drawn or number in (23, 24)
        assert "nan" not in drawn.lower().replace("finance", "")
        write_json(full / f"row-{number:02}.json", {**content, "quick": False})
    rows = write_page(full, full / "page.html")
    assert [row.number for row in rows] == row_numbers()
    assert all(row.content is not None for row in rows)
    assert (full / "page.html").stat().st_size < 3_000_000
    assert all(each.status == "unchanged" for each in run_rows(row_numbers(), tiny, say=lambda _: None))
