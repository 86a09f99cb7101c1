"""The page: valid HTML, everything escaped, every row present, verdicts by the protocol."""

import json
from html.parser import HTMLParser
from itertools import chain

import pytest

from gnnkit.jobs.sequence_rows import run_row
from gnnkit.reproduction.campaign import result_path, row_numbers
from gnnkit.reproduction.figures import DRAW
from gnnkit.reproduction.judgements import JUDGES
from gnnkit.reproduction.markup import Html, element, table, text
from gnnkit.reproduction.page import row_on_page, write_page
from gnnkit.reproduction.questions import GROUPS, QUESTIONS
from gnnkit.reproduction.svg import Line, dot_chart, line_chart
from gnnkit.reproduction.verdict import Check, Reported, ahead, bound, compare, near, overall

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Strict(HTMLParser):
    """Every tag closed in order, no id twice, every link within the page leads somewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.tags = [], set(), set(), []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
            if name == "href" and value.startswith("#"):
                self.links.add(value[1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag


def parsed(path):
    parser = Strict()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    assert parser.links <= parser.ids
    return parser


def text_result(number, *, hostile="<script>alert(1)</script>"):
    run = {
        "text": hostile,
        "model": "lstm 2x128",
        "parameters": 1,
        "steps": 10,
        "selected_step": 10,
        "seconds": 1.0,
        "train_accuracy": 0.5,
        "train_accuracy_last_100": 0.92,
        "train_accuracy_best": 0.95,
        "test_bits_per_character": None,
        "test_accuracy": None,
        "ladder": [{"step": 10, "train_accuracy": 0.5, "sample": f"{hostile}\x00\x1b[0m"}],
        "curve": {"step": [5, 10], "train_accuracy": [0.1, None]},
    }
    written = {
        "run": hostile,
        "strategy": "sample",
        "temperature": 0.5,
        "beam_width": None,
        "prompt": f'"{hostile}',
        "text": hostile * 30,
        "finished": False,
        "log_probability": -1.5,
    }
    environment = {
        "versions": {"python": "3"},
        "threads": 1,
        "device": "cpu",
        "device_name": hostile,
        "machine": "x",
        "cpu_count": 2,
    }
    return {
        "row": number,
        "report": "003",
        "experiment": hostile,
        "claim": hostile,
        "quick": False,
        "command": f"gnnkit {hostile}",
        "runs": {hostile: run},
        "texts": [written, {**written, "prompt": "long one", "text": "x" * 300, "finished": True}],
        "environment": environment,
        "date": "2026-01-01",
    }


def test_questions_judges_and_groups_are_those_of_the_rows():
    assert sorted(QUESTIONS) == row_numbers() == sorted(JUDGES) == sorted(chain(*GROUPS.values()))
    assert set(range(1, 30)) <= set(QUESTIONS)
    assert set(DRAW) <= set(QUESTIONS)


def test_an_empty_folder_gives_a_page_with_every_row_not_reached(tmp_path):
    rows = write_page(tmp_path, tmp_path / "page.html")
    parser = parsed(tmp_path / "page.html")
    assert {f"row-{number}" for number in QUESTIONS} <= parser.ids
    assert {row.verdict for row in rows} == {"not reached"}
    assert not [tag for tag, attrs in parser.tags if "src" in attrs]


def test_a_row_with_figures_is_valid_and_has_alternatives(tmp_path):
    for number in (3, 17, 23, 24):
        run_row(number, tmp_path, quick=True)
    write_page(tmp_path, tmp_path / "page.html")
    parser = parsed(tmp_path / "page.html")
    charts = [attrs for tag, attrs in parser.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(charts) >= 5
    assert all(len(attrs["aria-label"]) > 40 for attrs in charts)


def test_what_others_wrote_is_escaped_everywhere(tmp_path):
    for number in (6, 12, 19, 22):
        result_path(tmp_path, number).write_text(json.dumps(text_result(number)))
    result_path(tmp_path, 5).write_text(json.dumps({"row": 5, "not_reached": "<script>alert(2)</script>"}))
    write_page(tmp_path, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;script&gt;alert(2)" in page
    assert "\x00" not in page
    assert "\x1b" not in page
    parser = parsed(tmp_path / "page.html")
    assert [tag for tag, _ in parser.tags].count("script") == 1


def test_an_unfinished_row_is_shown_as_far_as_it_got(tmp_path):
    content = text_result(11, hostile="bartleby")
    [run] = content["runs"].values()
    run |= {"steps_asked": 7500, "ladder": [{"step": 10, "train_accuracy": 0.5, "sample": None}]}
    result_path(tmp_path, 11).write_text(json.dumps({**content, "unfinished": True, "texts": []}))
    row = row_on_page(11, tmp_path)
    assert row.verdict == "not reached"
    assert [check.why for check in row.checks] == ["after 10 of 7,500 steps"]
    write_page(tmp_path, tmp_path / "page.html")
    parsed(tmp_path / "page.html")
    assert "after 10 of 7,500 steps" in (tmp_path / "page.html").read_text()
    ended = {name: value for name, value in run.items() if name != "steps_asked"}
    content["runs"] = {"bartleby": {**ended, "train_accuracy_last_100": 0.84}, "tutorial": run}
    result_path(tmp_path, 11).write_text(json.dumps({**content, "unfinished": True}))
    row = row_on_page(11, tmp_path)
    assert row.verdict == "in part"
    assert [check.kind for check in row.checks] == ["reproduced", "not reached"]


def test_a_quick_result_is_shown_but_not_judged(tmp_path):
    content = {**text_result(6), "quick": True}
    result_path(tmp_path, 6, quick=True).write_text(json.dumps(content))
    row = row_on_page(6, tmp_path)
    assert (row.verdict, row.checks) == ("quick", [])
    result_path(tmp_path, 6).write_text(json.dumps({**content, "quick": False}))
    assert row_on_page(6, tmp_path).verdict == "reproduced"


def test_the_pieces_escape():
    assert text("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"
    assert element("a", "x<y", href='"><b>') == '<a href="&quot;&gt;&lt;b&gt;">x&lt;y</a>'
    assert element("p", Html("<b>x</b>"), class_="k", data_sort=3) == '<p class="k" data-sort="3"><b>x</b></p>'
    assert text("a\x00b\x7f") == "a\u2400b\u2421"
    assert 'data-sort="3"' in table(["a", "b"], [["<x>", ("three", 3)]], caption="c")


def test_charts_leave_out_what_cannot_be_drawn():
    chart = line_chart(
        [Line("a", [1, 2, 3], [1.0, float("nan"), 0.0], [0.5, 1, 1], [2, 2, 2])],
        title="t",
        description="d",
        x_label="x",
        y_label="y",
        log_y=True,
    )
    assert "nan" not in chart
    assert chart.count("<polyline") == 1
    for nothing in ([], [Line("a", [1], [float("nan")])]):
        with pytest.raises(ValueError, match="t: there is no number to draw"):
            line_chart(nothing, title="t", description="d", x_label="x", y_label="y")
    with pytest.raises(ValueError, match="no number to draw"):
        dot_chart({"a": []}, title="t", description="d", x_label="x")
    one = dot_chart({"<a>": [2.0]}, title="t", description="d", x_label="x")
    assert "&lt;a&gt;" in one


def test_beaten_needs_our_settings_apart_intervals_and_enough_seeds():
    reported = Reported(25.0, 2.2)
    low, high = reported.interval
    assert (low, high) == pytest.approx((25 - 5.465, 25 + 5.465), abs=0.01)
    better = [6.0, 7.0, 6.0]

    def kind(values, **options):
        options = {"lower_is_better": True, "seconds": 100, "improvement": True, **options}
        return compare("c", values, reported, **options).kind

    assert kind(better) == "beaten"
    assert kind(better, improvement=False) == "matched"
    assert kind(better, seconds=5) == "matched"  # a short run needs ten seeds
    assert kind([6.0, 7.0] * 5, seconds=5) == "beaten"
    assert kind(better[:1]) == "inconclusive"
    assert kind([20.0, 30.0, 25.0]) == "matched"
    assert kind([60.0, 61.0, 62.0]) == "differs"
    assert kind([60.0, 61.0, 62.0], lower_is_better=False) == "beaten"


def test_bounds_and_single_runs():
    assert bound("c", [0.98, 1.0], at_least=0.97).kind == "reproduced"
    assert bound("c", [0.5], at_least=0.97).kind == "differs"
    assert bound("c", [0.5, 0.51, 0.49], at_least=0.97).kind == "differs"
    assert bound("c", [0.96, 0.2, 0.13], at_least=0.9).kind == "inconclusive"  # -.71 to 1.57
    assert bound("c", [0.4, 0.41, 0.2], at_most=0.3).kind == "inconclusive"
    assert bound("c", [0.4, 0.41, 0.39], at_most=0.3).kind == "differs"
    assert near("c", 0.62, 0.64, 0.03).kind == "reproduced"
    assert near("c", 0.7, 0.64, 0.03).kind == "matched"
    assert near("c", 0.5, 0.64, 0.03).kind == "differs"


def test_ahead_needs_intervals_apart():
    high, low, noisy = [0.9, 0.91, 0.92], [0.5, 0.51, 0.5], [0.9, 0.1, 0.4]
    assert ahead("c", {"LSTM": high, "RNN": low}).kind == "reproduced"
    assert ahead("c", {"LSTM": low, "RNN": high}).kind == "differs"
    assert ahead("c", {"LSTM": high, "RNN": noisy}).kind == "inconclusive"
    assert ahead("c", {"LSTM": high[:1], "RNN": low[:1]}).kind == "inconclusive"


def test_lengths_of_report_003_are_judged_by_the_mean_over_the_last_steps():
    results = {"test_accuracy": [1.0] * 3, "mean_train_accuracy_last_1000": [0.2, 0.21, 0.2]}
    case = {"label": "rnn", "settings": {"task": {"length": 20}}, "results": results}
    (check,) = JUDGES[14]({"cases": [case]})
    assert check.kind == "differs"
    assert check.measured.startswith("0.203")


def test_row_33_judges_the_lstm_of_forget_bias_1():
    def case(label, length, last, over_all):
        results = {"mean_train_accuracy_last_1000": last, "mean_train_accuracy": over_all}
        return {"label": f"{label}, palindrome {length}", "settings": {"task": {"length": length}}, "results": results}

    guessing, learned = [0.1, 0.1, 0.1], [0.99, 0.98, 0.99]
    cases = [
        case(label, length, scores, scores)
        for length in (10, 50)
        for label, scores in (("rnn", guessing), ("lstm, forget bias 0", guessing), ("lstm, forget bias 1", learned))
    ]
    cases.append(case("lstm, lr 0.01, forget bias 1", 75, guessing, guessing))
    checks = JUDGES[33]({"cases": cases})
    assert [check.kind for check in checks] == ["reproduced", "reproduced", "differs", "reproduced"]
    assert [check.claim.partition(":")[0] for check in checks] == [
        "forget bias 1, T = 10",
        "forget bias 1, T = 50",
        "forget bias 1, lr 1e-2, T = 75",
        "T = 50",
    ]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], "not reached"),
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "matched"], "matched"),
        (["matched", "beaten"], "matched"),
        (["reproduced", "beaten"], "beaten"),
        (["reproduced", "wrong"], "wrong"),
        (["added", "reproduced"], "reproduced"),
        (["differs"], "differs"),
        (["differs", "matched"], "in part"),
        (["not reached"], "not reached"),
    ],
)
def test_one_word_for_a_row(kinds, expected):
    assert overall([Check("c", "m", kind) for kind in kinds]) == expected


def palindromes_solved(runs, seconds, *, solved=1.0):
    results = {
        "test_accuracy": [1.0 if solved else 0.4] * runs,
        "solved": [solved] * runs,
        "steps": [500.0] * runs,
        "seconds": [seconds] * runs,
    }
    case = {"label": "lstm, embedding 64", "settings": {"task": {"length": 100}}, "results": results}
    return JUDGES[31]({"cases": [case]})[0]


def test_a_length_at_which_the_report_fails_is_beaten_only_with_enough_seeds():
    assert palindromes_solved(3, 90.0).kind == "beaten"
    assert palindromes_solved(10, 50.0).kind == "beaten"
    assert palindromes_solved(10, 50.0, solved=0.0).kind == "not reached"
    short = palindromes_solved(3, 50.0)
    assert short.kind == "added"
    assert "needs 10 seeds" in short.why


def gradients_of(*runs):
    results = {
        "eval_accuracy": [end for end, _ in runs],
        "mean_weight_hh_gradient_norm": [norm for _, norm in runs],
    }
    return JUDGES[4]({"cases": [{"label": "lstm", "settings": {"task": {"length": 20}}, "results": results}]})[0].kind


def test_a_stuck_run_is_compared_with_one_that_is_not():
    assert gradients_of((0.1, 0.001), (1.0, 0.2), (0.6, 0.1)) == "reproduced"
    assert gradients_of((0.1, 0.15), (1.0, 0.2), (0.6, 0.1)) == "differs"
    assert gradients_of((0.1, 0.001), (0.11, 0.2)) == "inconclusive"
    assert gradients_of((1.0, 0.001), (0.9, 0.2)) == "inconclusive"


def test_an_interval_that_reaches_0_is_inconclusive():
    wide, narrow = Reported(0.57, 0.45), Reported(0.9, 0.05)
    options = {"lower_is_better": False, "seconds": 100}
    assert compare("c", [0.099, 0.1, 0.101], wide, **options).kind == "inconclusive"
    assert compare("c", [1.0, 0.1, 0.1], narrow, **options).kind == "inconclusive"
    assert compare("c", [0.91, 0.9, 0.88], narrow, **options).kind == "matched"
