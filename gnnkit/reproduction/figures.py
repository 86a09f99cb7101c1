"""The figure of each row, redrawn from its result file as the reports describe it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from gnnkit.jobs.sequence_diagnostics import gate_lines, report_003_gates
from gnnkit.reproduction.markup import Html, element, joined, table
from gnnkit.reproduction.svg import Line, dot_chart, graph_picture, line_chart

Content = Mapping[str, Any]
Draw = Callable[[Content], list[Html]]

_SHOWN_CURVES = 7  # more lines than colours could not be told apart
_LONG_TEXT = 320


def figures(number: int, content: Content) -> list[Html]:
    """Everything to look at in a row: charts, then tables of texts."""
    drawn = DRAW[number](content) if number in DRAW else []
    if "runs" in content:
        drawn = [*drawn, *_text_curves(content), *_ladders(content), *_texts(content)]
    return drawn


def _curves(content: Content) -> list[Html]:
    """Training accuracy against steps, a line with its band per case, in as many charts as colours demand."""
    cases = [case for case in content["cases"] if "curves" in case]
    charts = []
    for start in range(0, len(cases), _SHOWN_CURVES):
        lines = []
        for case in cases[start : start + _SHOWN_CURVES]:
            curve = case["curves"]["train_accuracy"]
            mean, low, high = (_numbers(curve[name]) for name in ("mean", "low", "high"))
            lines.append(Line(_short(case["label"]), curve["step"], mean, low, high))
        charts.append(
            line_chart(
                lines,
                title=f"Training accuracy against steps, row {content['row']}",
                description="The mean over the seeds; the band runs from the lowest seed to the highest. "
                + _ends(lines),
                x_label="step",
                y_label="accuracy",
                y_limits=(0, 1),
            )
        )
    return charts


def _by_length(content: Content) -> list[Html]:
    """Both of the reports' summaries against length, a line per setting."""
    names = {"mean_train_accuracy": "over all steps", "mean_train_accuracy_last_1000": "over the last 1000 steps"}
    charts = []
    for score, said in names.items():
        lines = []
        by_label: dict[str, list[Any]] = {}
        for case in content["cases"]:
            by_label.setdefault(case["label"].rpartition(", ")[0], []).append(case)
        for label, cases in by_label.items():
            cases = sorted(cases, key=lambda case: case["settings"]["task"]["length"])
            rows = [_numbers(case["results"][score]) for case in cases]
            lengths = [case["settings"]["task"]["length"] for case in cases]
            means = [math.fsum(row) / len(row) for row in rows]
            lines.append(
                Line(label, lengths, means, [min(row) for row in rows], [max(row) for row in rows], marked=True)
            )
        charts.append(
            line_chart(
                lines,
                title=f"Mean training accuracy {said} against T, row {content['row']}",
                description="The mean over the seeds; the band runs from the lowest seed to the highest. "
                + _ends(lines),
                x_label="T, digits read",
                y_label="accuracy",
                y_limits=(0, 1),
            )
        )
    return charts


def _gradients_before_training(content: Content) -> list[Html]:
    lines = []
    for case in content["cases"]:
        norms = [_numbers(row) for row in case["results"]["norm_by_distance"]]
        steps = list(range(len(norms[0])))
        means = [math.fsum(column) / len(column) for column in zip(*norms, strict=True)]
        low = [min(column) for column in zip(*norms, strict=True)]
        high = [max(column) for column in zip(*norms, strict=True)]
        lines.append(Line(case["label"].upper(), steps, means, low, high))
    return [
        line_chart(
            lines,
            title="Gradient of the loss for each state before training, T = 100",
            description="The norm of dL/dh against the number of steps back, on a logarithmic axis. " + _ends(lines),
            x_label="steps back from the loss",
            y_label="norm of dL/dh",
            log_y=True,
        )
    ]


def _gradient_of_runs(content: Content) -> list[Html]:
    charts = _curves(content)
    for case in content["cases"]:
        curves = case.get("curves", {}).get("weight_hh_gradient_norm")
        if curves is None:
            continue
        ends = case["results"]["eval_accuracy"]
        lines = [
            Line(f"seed {seed}, ends at {end:.2f}", curves["step"][: len(run)], _numbers(run))
            for seed, end, run in zip(case["seeds"], ends, curves["runs"], strict=True)
        ]
        charts.append(
            line_chart(
                lines,
                title=f"Norm of dL/dW_hh during training, LSTM at T = {case['settings']['task']['length']}, by run",
                description="On a logarithmic axis, one line per seed, named by the accuracy it ended with.",
                x_label="step",
                y_label="norm of dL/dW_hh",
                log_y=True,
            )
        )
    return charts


def _temporal_gates(content: Content) -> list[Html]:
    times = torch.linspace(0, 60, 241, dtype=torch.float64)
    charts = []
    for title, lines in gate_lines(report_003_gates(), times).items():
        drawn = [Line(name, times.tolist(), k.tolist()) for name, k in lines.items()]
        charts.append(
            line_chart(
                drawn,
                title=f"Temporal gate k(t): {title}",
                description="k rises to 1 and falls to 0 within the open share of each period, then stays closed.",
                x_label="time",
                y_label="k, openness",
                y_limits=(0, 1.05),
            )
        )
    return charts


def _figures_a_and_b(content: Content) -> list[Html]:
    drawn: list[Html] = []
    for case in content["cases"]:
        settings = case["settings"]
        matrix = settings["adjacency"]
        names = "ABCDEF"
        edges = [(i, j) for i in range(6) for j in range(i + 1, 6) if matrix[i][j]]
        hops = _hops_from(matrix, names.index("C"))
        drawn.append(
            graph_picture(
                names,
                edges,
                hops,
                title=f"Figure {settings['figure']}: each node with its hops from C",
                description=f"Edges {settings['edges']}. From C to E: {settings['path']}.",
            )
        )
        for name, said in (("with_self_loops", "Ã = A + I"), ("normalized", "Â = D̃^−½ (A + I) D̃^−½")):
            rows = [[names[i], *(f"{value:g}" for value in row)] for i, row in enumerate(settings[name])]
            caption = f"Figure {settings['figure']}: {said}"
            drawn.append(table(["", *names], rows, caption=caption, sortable=False))
    return drawn


def _hops_from(matrix: Sequence[Sequence[int]], source: int) -> list[int]:
    from gnnkit.graph import Adjacency, hop_distance

    graph = Adjacency.from_dense(torch.tensor(matrix, dtype=torch.float32))
    return [int(hop) for hop in hop_distance(graph, torch.tensor([source]))[0].tolist()]


def _dots(score: str, said: str, *, scale: float = 1.0, log_x: bool = False) -> Draw:
    def draw(content: Content) -> list[Html]:
        values = {
            case["label"]: [scale * value for value in _numbers(case["results"][score])]
            for case in content["cases"]
            if score in case["results"]
        }
        means = "; ".join(f"{name} {math.fsum(row) / len(row):.3g}" for name, row in values.items())
        return [
            dot_chart(
                values,
                title=f"{said.capitalize()}, one dot per seed, row {content['row']}",
                description=f"The bar across is the mean: {means}.",
                x_label=said,
                log_x=log_x,
            )
        ]

    return draw


def _attention(content: Content) -> list[Html]:
    names = "ABCDEF"
    rows = [
        [
            names[i],
            *(
                (element("span", f"{value:.2f}" if value else "·", class_="heat", style=f"--heat:{value:.2f}"), value)
                for value in row
            ),
        ]
        for i, row in enumerate(content["cases"][0]["settings"]["attention"])
    ]
    caption = "Whom each node of figure A listens to (row: listener), random weights: rows add up to 1"
    return [
        table(["", *names], rows, caption=caption, sortable=False),
        *_dots("test_accuracy", "test accuracy")(content),
    ]


def _text_curves(content: Content) -> list[Html]:
    lines = [
        Line(name, run["curve"]["step"], _numbers(run["curve"]["train_accuracy"]))
        for name, run in content["runs"].items()
        if "curve" in run
    ]
    if not lines:  # recorded before curves were: the ladder's few points
        lines = [
            Line(
                name,
                [rung["step"] for rung in run["ladder"]],
                [rung["train_accuracy"] for rung in run["ladder"]],
                marked=True,
            )
            for name, run in content["runs"].items()
            if len(run["ladder"]) > 1
        ]
    if not lines:
        return []
    longest = max(max(line.x) for line in lines)
    return [
        line_chart(
            lines,
            title=f"Training accuracy against steps, row {content['row']}",
            description="Means over windows of steps. " + _ends(lines),
            x_label="step",
            y_label="accuracy",
            log_x=longest > 20_000,
            y_limits=(0, 1),
        )
    ]


def _ladders(content: Content) -> list[Html]:
    rows = [
        [
            name,
            (f"{rung['step']:,}", rung["step"]),
            (f"{rung['train_accuracy']:.3f}", rung["train_accuracy"]),
            _passage(rung["sample"] or "–"),
        ]
        for name, run in content["runs"].items()
        for rung in run["ladder"]
    ]
    titles = ["model", "step", "training accuracy", "greedy sample"]
    return [table(titles, rows, caption=f"Samples by step, row {content['row']}")] if rows else []


def _texts(content: Content) -> list[Html]:
    rows = []
    for written in content["texts"]:
        how = f"temperature {written['temperature']:g}" if written["temperature"] else str(written["strategy"])
        how += f", {written['beam_width']} beams" if written["beam_width"] else ""
        passage = joined([element("b", written["prompt"]), _passage(written["text"])])
        rows.append([written["run"], how, passage, (f"{written['log_probability']:.1f}", written["log_probability"])])
    if not rows:
        return []
    titles = ["model", "how", "prompt and text", "log-probability"]
    return [table(titles, rows, caption=f"Texts written by the models of row {content['row']}")]


def _passage(written: str) -> Html:
    """A text as it stands, line ends and all; a long one folds."""
    if len(written) <= _LONG_TEXT:
        return element("span", written, class_="passage")
    rest = element("details", element("summary", "more"), element("span", written[_LONG_TEXT:], class_="passage"))
    return joined([element("span", written[:_LONG_TEXT], class_="passage"), rest])


def _short(label: str) -> str:
    return label.replace("palindrome ", "T = ").replace("combinations ", "N = ")


def _ends(lines: Sequence[Line]) -> str:
    """Where each line ends: what a reader without the picture needs most."""
    ends = [f"{line.name} ends at {line.y[-1]:.2g}" for line in lines if len(line.y) and math.isfinite(line.y[-1])]
    return "; ".join(ends) + "." if ends else ""


def _numbers(values: Sequence[Any]) -> list[float]:
    """Numbers of a JSON file, where NaN is null."""
    return [math.nan if value is None else float(value) for value in values]


DRAW: dict[int, Draw] = {
    **dict.fromkeys((1, 2), lambda content: _curves(content) or _by_length(content)),
    **dict.fromkeys(
        (8, 9, 10, 30, 31), lambda content: _curves(content) + _dots("steps", "batches", log_x=True)(content)
    ),
    32: _curves,
    **dict.fromkeys((13, 14, 15, 16, 20, 33), _by_length),
    3: _gradients_before_training,
    4: _gradient_of_runs,
    17: _temporal_gates,
    25: _figures_a_and_b,
    26: _dots("test_accuracy", "test accuracy in percent", scale=100),
    27: _attention,
    28: _dots("area_under_roc", "area under the ROC curve"),
    29: _dots("mean_squared_error", "one-step squared error"),
}
