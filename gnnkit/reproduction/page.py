"""The page: every row, what the reports claim of it, what was measured, the verdict and the figure; one HTML file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from gnnkit.reproduction.campaign import read_result, result_path
from gnnkit.reproduction.correction import Correction
from gnnkit.reproduction.corrections import corrections
from gnnkit.reproduction.figures import figures
from gnnkit.reproduction.judgements import SAME_WHEN_QUICK, judge
from gnnkit.reproduction.markup import Html, element, table
from gnnkit.reproduction.questions import GROUPS, QUESTIONS, Question
from gnnkit.reproduction.verdict import SAID, Check, overall
from gnnkit.storage.atomic import atomic_write

Content = Mapping[str, Any]
_NO_NETWORK = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_SAID_OF_ROWS = {"in part": "reproduced in part", "quick": "ran (quick form, not judged)"} | {
    str(kind): said for kind, said in SAID.items()
}
_TITLE = "Five student reports, run again"


@dataclass(frozen=True)
class RowOnPage:
    """A row with what is known of it.

    Attributes:
        number: Of the row.
        question: What was asked.
        content: Its result file's; None where there is none.
        checks: Of its claims; none where it was not run, or in a quick form that shows only that it runs.
        verdict: A key of the style sheet: the overall kind, or ``"quick"``.
        problem: Why it was not reached.
    """

    number: int
    question: Question
    content: Content | None
    checks: list[Check]
    verdict: str
    problem: str = ""

    @property
    def said(self) -> str:
        """The verdict in words."""
        return _SAID_OF_ROWS[self.verdict]


def write_page(results: str | os.PathLike[str], path: str | os.PathLike[str]) -> list[RowOnPage]:
    """Write the page of the results in a folder, full where there are full ones, else quick.

    Returns:
        The rows as they stand on it, 1 to 29 and those beyond.
    """
    rows = [row_on_page(number, Path(results)) for number in sorted(QUESTIONS)]
    recipes = read_result(Path(results) / "text_recipes.json")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, page(rows, corrections(), recipes) + "\n")
    return rows


def row_on_page(number: int, results: Path) -> RowOnPage:
    """A row with its result, if there is one."""
    question, problem = QUESTIONS[number], "it has not been run"
    for quick in (False, True):
        content = read_result(result_path(results, number, quick=quick))
        if content is None:
            continue
        if "not_reached" in content:
            problem = str(content["not_reached"])
            continue
        if quick and number not in SAME_WHEN_QUICK:
            return RowOnPage(number, question, content, [], "quick")
        checks = _as_far_as_it_got(number, content) if content.get("unfinished") else judge(number, content)
        return RowOnPage(number, question, content, checks, overall(checks))
    return RowOnPage(number, question, None, [], "not reached", problem)


def _as_far_as_it_got(number: int, content: Content) -> list[Check]:
    """Of a row that was interrupted: verdicts on the trainings that had ended, and what the others had come to."""
    ended = {name: run for name, run in content["runs"].items() if "steps_asked" not in run}
    checks = [
        Check(
            f"{name}: {content['claim']}",
            f"{run['train_accuracy_last_100']:.3f}",
            "not reached",
            f"after {run['steps']:,} of {run['steps_asked']:,} steps",
        )
        for name, run in content["runs"].items()
        if name not in ended
    ]
    return [*judge(number, {**content, "runs": ended}), *checks] if ended else checks


def page(rows: Sequence[RowOnPage], wrong: Sequence[Correction], recipes: Content | None = None) -> str:
    """The whole document."""
    here = files("gnnkit.reproduction")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_NO_NETWORK}">'),
        Html('<link rel="icon" href="data:,">'),
        element("title", _TITLE),
        element("style", Html(style)),
    )
    by_number = {row.number: row for row in rows}
    groups = {
        name: [by_number[number] for number in numbers if number in by_number] for name, numbers in GROUPS.items()
    }
    body = element(
        "body",
        element("a", "Skip to the rows", href="#overview", class_="skip"),
        _header(rows),
        element(
            "main",
            _contents(groups),
            _overview(rows),
            *(_group(name, members) for name, members in groups.items()),
            "" if recipes is None else _recipes(recipes),
            _corrections(wrong),
        ),
        element(
            "footer", element("p", "Made by ", element("code", "gnnkit reproduce"), "; nothing on this page is loaded.")
        ),
        element("script", Html(script)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en")


def _header(rows: Sequence[RowOnPage]) -> Html:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.said] = counts.get(row.said, 0) + 1
    tally = ", ".join(f"{count} {said}" for said, count in sorted(counts.items(), key=lambda item: -item[1]))
    return element(
        "header",
        element("button", "Dark theme", type="button", class_="theme", hidden="hidden"),
        element("h1", _TITLE),
        element(
            "p",
            "Five reports on the recurrent-and-graph practical of a deep learning course (000 of November 2019, 001 of "
            "November 2020, 002 of November 2019, 003 of the fall of 2018, 004 of April 2019), each experiment run "
            "with its own settings. Every figure here is drawn from a result file of this program.",
        ),
        element("p", f"{len(rows)} rows: {tally}."),
        element(
            "p",
            "“Beaten” needs 95 % intervals that do not overlap and at least 10 seeds where a run takes less than a "
            "minute, 3 elsewhere, with settings of our own; “matched”: intervals overlap, or ours is better with the "
            "report's settings. A claim without numbers is turned into a bound, printed in brackets.",
            class_="note",
        ),
    )


def _contents(groups: Mapping[str, Sequence[RowOnPage]]) -> Html:
    items = []
    for name, rows in groups.items():
        items.append(element("li", element("a", name, href=f"#{_anchor(name)}"), class_="group"))
        items += [
            element("li", element("a", f"{row.number} · {row.question.title}", href=f"#row-{row.number}"))
            for row in rows
        ]
    items.append(element("li", element("a", "Where the reports are wrong", href="#corrections"), class_="group"))
    return element(
        "nav",
        element("details", element("summary", "Contents"), element("ol", *items), open="open"),
        aria_label="Contents",
    )


def _overview(rows: Sequence[RowOnPage]) -> Html:
    cells = [
        [
            (element("a", str(row.number), href=f"#row-{row.number}"), row.number),
            row.question.title,
            ", ".join(dict.fromkeys(report for report, _ in row.question.claims)),
            (_tag(row), row.said),
            (str(_seeds(row.content)) if row.content else "–", _seeds(row.content)),
            (_duration(_seconds(row.content)) if row.content else "–", _seconds(row.content)),
        ]
        for row in rows
    ]
    titles = ["Row", "What", "Report", "Verdict", "Seeds", "Time"]
    return element(
        "section",
        element("h2", "Overview", id="overview"),
        table(titles, cells, caption="All rows; press a title to sort by it"),
    )


def _group(name: str, rows: Sequence[RowOnPage]) -> Html:
    return element("section", element("h2", name, id=_anchor(name)), *(_article(row) for row in rows))


def _source(report: str) -> str:
    """Who claims it: a report by its number, all of them, or a paper by its name."""
    if report == "all":
        return "All reports"
    return f"Report {report}" if report[0].isdigit() else report


def _article(row: RowOnPage) -> Html:
    heading = element("h3", f"Row {row.number}. {row.question.title}", id=f"heading-{row.number}")
    claims = element(
        "ul",
        *(element("li", element("b", _source(report)), f": {claim}") for report, claim in row.question.claims),
        class_="claims",
    )
    parts = [
        element("header", heading, _tag(row)),
        element("p", row.question.question, class_="question"),
        claims,
        element("p", row.question.note, class_="note") if row.question.note else "",
    ]
    if row.content is None:
        parts.append(element("p", element("b", "Not reached: "), row.problem))
    else:
        parts += [_checks(row), _facts(row.content), _measured(row), _figures(row)]
    return element("article", *parts, id=f"row-{row.number}", aria_labelledby=f"heading-{row.number}")


def _tag(row: RowOnPage) -> Html:
    return element("span", row.said, class_=f"verdict {row.verdict.replace(' ', '-')}")


def _checks(row: RowOnPage) -> Html:
    if not row.checks:
        note = (
            "The quick form: fewer lengths, steps and seeds. It shows that the row runs; its figures are not the row's."
        )
        return element("p", note, class_="note")
    explained = any(check.why for check in row.checks)
    cells: list[list[object]] = []
    for check in row.checks:
        tag = element("span", SAID[check.kind], class_=f"verdict {check.kind.replace(' ', '-')}")
        cells.append([check.claim, (tag, SAID[check.kind]), check.measured, *[check.why] * explained])
    titles = ["Claim", "Verdict", "Measured", *["Why"] * explained]
    return table(titles, cells, caption=f"Row {row.number}: claims and verdicts", kind="checks")


def _facts(content: Content) -> Html:
    where = content["environment"]
    versions = where["versions"]
    facts = {
        "Command": element("code", content["command"]),
        "Seeds": str(_seeds(content)),
        "Time": f"{_duration(_seconds(content))}, all runs together",
        "Machine": f"{where['device_name']}, {where['machine']}, {where['device']}, {where['threads']} thread"
        + ("s" if where["threads"] != 1 else ""),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Date": content["date"],
    }
    pairs = [part for name, value in facts.items() for part in (element("dt", name), element("dd", value))]
    return element("dl", *pairs, class_="facts")


def _measured(row: RowOnPage) -> Html:
    """Every case: mean and deviation of each score."""
    assert row.content is not None
    cases = row.content.get("cases", [])
    if not cases:
        return _measured_texts(row.content)
    names = list(dict.fromkeys(name for case in cases for name in case["summary"]))
    cells = []
    for case in cases:
        line: list[object] = [case["label"], case["reported"] or "–"]
        for name in names:
            found = case["summary"].get(name)
            line.append("–" if found is None else (_mean_and_deviation(found), found["mean"]))
        cells.append([*line, (str(len(case["seeds"])), len(case["seeds"]))])
    titles = ["Setting", "Reported", *(name.replace("_", " ") for name in names), "Seeds"]
    return table(
        titles, cells, caption=f"Row {row.number}: measured, mean ± sample deviation over seeds", kind="measured"
    )


def _measured_texts(content: Content) -> Html:
    cells = [
        [
            name,
            f"{run['model']} on {run['text']}",
            (f"{run['steps']:,}", run["steps"]),
            (f"{run['train_accuracy_last_100']:.3f}", run["train_accuracy_last_100"]),
            _optional(run["test_bits_per_character"]),
            _optional(run["test_accuracy"]),
            (_duration(run["seconds"]), run["seconds"]),
        ]
        for name, run in content["runs"].items()
    ]
    titles = [
        "Run",
        "Model and text",
        "Steps",
        "Training accuracy",
        "Held-out bits per character",
        "Held-out accuracy",
        "Time",
    ]
    caption = f"Row {content['row']}: measured, one seed; training accuracy is the mean of the last 100 batches"
    return table(titles, cells, caption=caption, kind="measured")


def _figures(row: RowOnPage) -> Html:
    assert row.content is not None
    return element("div", *figures(row.number, row.content), class_="figures")


def _recipes(recipes: Content) -> Html:
    cells = [
        [
            each["recipe"],
            each["adds"],
            (f"{each['steps']:,}", each["steps"]),
            (f"{each['test_bits_per_character']:.3f}", each["test_bits_per_character"]),
            (f"{each['train_accuracy_last_100']:.3f}", each["train_accuracy_last_100"]),
        ]
        for each in recipes["rows"]
    ]
    titles = ["Recipe", "Adds", "Steps", "Held-out bits per character", "Training accuracy"]
    return element(
        "section",
        element("h2", "A better recipe for texts", id="recipes"),
        element(
            "p",
            "Grimm, the licence stripped, the last tenth held out, equally many parameters. One seed each: "
            "“beaten” would need three. ",
            element("code", "python -P benchmarks/text_recipes.py BOOK"),
        ),
        table(titles, cells, caption="Recipes, report 000's settings first"),
    )


def _corrections(wrong: Sequence[Correction]) -> Html:
    parts = []
    for place, each in enumerate(wrong, start=1):
        found = [
            [
                finding.what,
                finding.value,
                element(
                    "span", "holds" if finding.holds else "does not hold", class_="holds" if finding.holds else "fails"
                ),
            ]
            for finding in each.findings
        ]
        parts.append(
            element(
                "article",
                element("h3", f"{place}. Report {each.reports}"),
                element("p", element("b", "Says: "), each.says, ". ", element("b", "Right: "), each.right, "."),
                element("p", each.because, class_="note"),
                table(
                    ["Checked", "Value", ""],
                    found,
                    caption=f"Correction {place}, computed for this page",
                    sortable=False,
                ),
                class_="correction",
                id=f"correction-{place}",
            )
        )
    return element(
        "section",
        element("h2", "Where the reports are wrong", id="corrections"),
        element("p", "Each with the right form and numbers in float64, computed when this page was made."),
        *parts,
    )


def _seconds(content: Content | None) -> float:
    if content is None:
        return 0.0
    if "seconds" in content:
        return float(content["seconds"])
    return float(sum(run["seconds"] for run in content["runs"].values()))


def _seeds(content: Content | None) -> int:
    if content is None:
        return 0
    return max((len(case["seeds"]) for case in content.get("cases", [])), default=1)


def _duration(seconds: float) -> str:
    """``"41 s"``, ``"12 min"``, ``"2.5 h"``."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _mean_and_deviation(found: Mapping[str, Any]) -> str:
    mean, std = found["mean"], found["std"]
    if std is None or math.isnan(std) or std == 0:
        return _shown(mean)
    return f"{_shown(mean)} ± {std:.2g}" if std < 100 else f"{_shown(mean)} ± {std:.0f}"


def _shown(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _optional(value: float | None) -> object:
    return "–" if value is None else (f"{value:.3f}", value)


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
