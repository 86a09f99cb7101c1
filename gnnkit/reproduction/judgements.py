"""What each row's result says of what the reports claim: from a result file's content to checks."""

from __future__ import annotations

from gnnkit.reproduction.cases import Content, Judge, mean
from gnnkit.reproduction.judgements_beyond import row_31, row_32
from gnnkit.reproduction.judgements_of_sequences import (
    batches,
    row_1,
    row_2,
    row_3,
    row_4,
    row_10,
    row_13,
    row_14,
    row_15,
    row_16,
    row_17,
    row_20,
    row_23,
    row_24,
    row_33,
)
from gnnkit.reproduction.verdict import Check, near, reproduced


def row_5(content: Content) -> list[Check]:
    """Training accuracy on Grimm."""
    return [
        near(f"T = {name.rpartition('T')[2]}: .64 after 5000 steps (± .03)", run["train_accuracy_last_100"], 0.64, 0.03)
        for name, run in content["runs"].items()
    ]


def tables(content: Content) -> list[Check]:
    """Rows of samples: what was asked for is there."""
    steps = sorted({rung["step"] for run in content["runs"].values() for rung in run["ladder"] if rung["sample"]})
    shown = f"{len(content['texts'])} texts" + (f", samples at steps {', '.join(map(str, steps))}" if steps else "")
    return [Check("tables of texts, no figure", shown, "reproduced", "the texts are below")]


def row_7(content: Content) -> list[Check]:
    """Beam search."""
    by_width = {text["beam_width"]: text["log_probability"] for text in reversed(content["texts"])}
    greedy, widest = by_width[None], by_width[max(width for width in by_width if width)]
    shown = f"log-probability: greedy {greedy:.1f}, one beam {by_width[1]:.1f}, widest {widest:.1f}"
    return [Check("asked, left empty", shown, "added", "one beam is greedy search; a wider one finds likelier text")]


def row_11(content: Content) -> list[Check]:
    """The large model."""
    theirs = {"bartleby": 0.8422, "tutorial": 0.7484}
    why = "the report's figure is of its last batch; ours is the mean of the last 100"
    return [
        near(f"{name}: {100 * theirs[name]:.2f} % (± 3)", run["train_accuracy_last_100"], theirs[name], 0.03, why)
        for name, run in content["runs"].items()
    ]


def row_18(content: Content) -> list[Check]:
    """Clean samples, and what a temperature in training does."""
    last = {name: run["train_accuracy_last_100"] for name, run in content["runs"].items()}
    at_500 = [
        rung["train_accuracy"] for run in content["runs"].values() for rung in run["ladder"] if rung["step"] == 500
    ]
    checks = []
    if at_500:
        claim = "clean samples from step 500 (training accuracy ≥ .75 there, and see them)"
        shown = ", ".join(f"{value:.2f}" for value in at_500)
        checks.append(Check(claim, shown, reproduced(max(at_500) >= 0.75)))
    shown = ", ".join(f"{name.rpartition('-')[2]}: {value:.3f}" for name, value in last.items())
    why = "training undoes the temperature: it changes the rate at which logits grow, not what is sampled"
    return [*checks, Check("a temperature inside training changes the samples", f"accuracy at {shown}", "wrong", why)]


def row_19(content: Content) -> list[Check]:
    """Prompts, to the end of a sentence."""
    long = [text for text in content["texts"] if len(text["prompt"]) > 1]
    shown = ", ".join(f"{len(text['text'])} characters{'' if text['finished'] else ' (no end found)'}" for text in long)
    every = all(text["finished"] and len(text["text"]) >= 210 for text in long)
    claim = "two sentence prompts, 210 characters and on to the end of the sentence"
    return [*tables(content), Check(claim, shown, reproduced(every))]


def row_21(content: Content) -> list[Check]:
    """The ladder of accuracy."""
    theirs = {1000: 0.42, 5000: 0.61, 10_000: 0.66, 25_000: 0.71, 50_000: 0.74, 100_000: 0.77}
    (run,) = content["runs"].values()
    why = "another text: theirs is private"
    return [
        near(
            f"step {rung['step']:,}: {theirs[rung['step']]:g} (± .06)",
            rung["train_accuracy"],
            theirs[rung["step"]],
            0.06,
            why,
        )
        for rung in run["ladder"]
        if rung["step"] in theirs
    ]


def row_25(content: Content) -> list[Check]:
    """Hops."""
    checks = []
    for case in content["cases"]:
        hops, expected = int(case["results"]["hops_from_C_to_E"][0]), int(case["reported"][0])
        before, after = case["results"]["influence_one_layer_less"][0], case["results"]["influence"][0]
        shown = f"{hops} hops ({case['settings']['path']}); E hears {before:g} of C a layer earlier, {after:.3f} then"
        kind = reproduced(hops == expected and before == 0 < after)
        checks.append(Check(f"{case['label']}: {case['reported']}", shown, kind))
    why = "figure A has no path of two edges; the reports that disagree drew two figures"
    return [*checks, Check("002: from C to E passes two edges", "3 in figure A", "wrong", why)]


def row_26(content: Content) -> list[Check]:
    """Self-loops."""
    means = {case["label"]: mean(case["results"]["test_accuracy"]) for case in content["cases"]}
    best = max((label for label in means if "learned" not in label), key=lambda label: means[label])
    named = {best: means[best], "lambda 1": means["lambda 1"], "learned": means["lambda learned"]}
    shown = "; ".join(f"{name}: {100 * value:.1f} %" for name, value in named.items())
    why = "on the karate club, with four labels; it need not hold elsewhere"
    return [Check("weighted self-loops A + λI: proposed, not tried", shown, "added", why)]


def row_27(content: Content) -> list[Check]:
    """Attention."""
    equation = max(content["cases"][0]["results"]["largest_relative_error"])
    means = {case["label"]: mean(case["results"]["test_accuracy"]) for case in content["cases"][1:]}
    shown = "; ".join(f"{label} {100 * value:.1f} %" for label, value in means.items())
    kind = reproduced(equation < 1e-10)
    return [
        Check("eq. (4), described: the layer is the equation (< 1e-10)", f"{equation:.0e} from dense loops", kind),
        Check("graph attention: described, not tried", shown, "added", "karate club, four labels"),
    ]


def row_28(content: Content) -> list[Check]:
    """Link prediction; what is only cited is said so."""
    means = {case["label"]: mean(case["results"]["area_under_roc"]) for case in content["cases"]}
    shown = "; ".join(f"{label}: area under the ROC curve {value:.3f}" for label, value in means.items())
    return [
        Check("polypharmacy as link prediction: cited", shown, "added", "a made-up graph: the idea, not the medicine"),
        Check("documents as a graph (TextGCN): cited", "examples/text/documents_as_a_graph.py", "added"),
        Check("re-identification; the decision TSP: cited", "explained below, not run", "not reached"),
    ]


def row_29(content: Content) -> list[Check]:
    """Recurrent layers on graphs."""
    means = {case["label"]: mean(case["results"]["mean_squared_error"]) for case in content["cases"]}
    shown = "; ".join(f"{label} {value:.2f}" for label, value in means.items())
    return [
        Check("graphs that change over time: proposed", f"one-step squared error: {shown}", "added"),
        Check(
            "text nodes in a citation network; Graph LSTM; Tree-LSTM: proposed or cited",
            "text_in_a_network.py, segmentation.py, tree_lstm.py in examples/combined",
            "added",
        ),
    ]


JUDGES: dict[int, Judge] = {
    1: row_1,
    2: row_2,
    3: row_3,
    4: row_4,
    5: row_5,
    6: tables,
    7: row_7,
    8: batches(),
    9: batches(),
    10: row_10,
    11: row_11,
    12: tables,
    13: row_13,
    14: row_14,
    15: row_15,
    16: row_16,
    17: row_17,
    18: row_18,
    19: row_19,
    20: row_20,
    21: row_21,
    22: tables,
    23: row_23,
    24: row_24,
    25: row_25,
    26: row_26,
    27: row_27,
    28: row_28,
    29: row_29,
    30: batches(improvement=True),
    31: row_31,
    32: row_32,
    33: row_33,
}
# These train nothing, or nothing that their quick form leaves out: they are judged in either form.
SAME_WHEN_QUICK = frozenset({3, 17, 23, 24, 25})


def judge(number: int, content: Content) -> list[Check]:
    """The checks of a row."""
    return JUDGES[number](content)
