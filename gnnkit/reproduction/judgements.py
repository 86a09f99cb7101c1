"""What each row's result says of what the reports claim: from a result file's content to checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gnnkit.reproduction.cases import END, Content, length_of, mean
from gnnkit.reproduction.judgements_beyond import row_31, row_32
from gnnkit.reproduction.verdict import Check, Reported, bound, compare, near, reproduced, seeds

Judge = Callable[[Content], list[Check]]


def _by_length(content: Content, label: str, score: str = END) -> dict[int, list[float]]:
    return {length_of(case): case["results"][score] for case in content["cases"] if case["label"].startswith(label)}


def _bounds(
    found: Mapping[int, list[float]], name: str, said: Callable[[int], tuple[str, float, float] | None]
) -> list[Check]:
    checks = []
    for length, values in sorted(found.items()):
        claim = said(length)
        if claim is not None:
            words, low, high = claim
            checks.append(bound(f"{name}, T = {length}: {words}", values, at_least=low, at_most=high))
    return checks


def row_1(content: Content) -> list[Check]:
    """RNN, two initialisations."""
    xavier = _by_length(content, "rnn, xavier")
    checks = _bounds(xavier, "Xavier", lambda length: ("~1.0 (≥ .97)", 0.97, 1.0) if length <= 10 else None)
    if 12 in xavier:
        stuck = sum(value < 0.9 for value in xavier[12])
        checks.append(
            Check(
                "Xavier, T = 12: one run of three is stuck",
                f"{stuck} of {len(xavier[12])} below .9",
                reproduced(stuck > 0),
                "" if stuck else "no run is stuck: which ones are is chance",
            )
        )
    checks += _bounds(
        xavier, "Xavier", lambda length: ("noisy, .2 to .9 (mean .15 to .95)", 0.15, 0.95) if length == 20 else None
    )
    normal = _by_length(content, "rnn, normal")
    return checks + _bounds(normal, "N(0, 1)", lambda _: ("barely learns (≤ .5)", 0.0, 0.5))


def row_2(content: Content) -> list[Check]:
    """LSTM, three runs each."""
    theirs = {20: [1.0, 0.95, 0.75], 40: [1.0, 0.6, 0.1]}
    checks = []
    for case in content["cases"]:
        length, values = length_of(case), case["results"][END]
        if length not in theirs:
            checks.append(bound(f"T = {length}: learned (≥ .97)", values, at_least=0.97))
            continue
        reported = mean(theirs[length])
        deviation = (sum((value - reported) ** 2 for value in theirs[length]) / 2) ** 0.5
        claim = f"T = {length}: " + " / ".join(f"{value:g}" for value in theirs[length])
        checks.append(
            compare(
                claim,
                values,
                Reported(reported, deviation),
                lower_is_better=False,
                seconds=mean(case["results"]["seconds"]),
            )
        )
    return checks


def row_3(content: Content) -> list[Check]:
    """Gradients before training."""
    checks = []
    for case in content["cases"]:
        factors = case["results"]["factor_per_step"]
        if case["label"] == "rnn":
            checks.append(bound("RNN: falls by × 0.71 a step (.6 to .82)", factors, at_least=0.6, at_most=0.82))
        else:
            first = case["results"]["factor_last_10_steps"]
            flat = mean(first) > 0.95
            checks.append(
                Check(
                    "LSTM: flat at first (≥ .95 a step over ten steps), then falls",
                    f"× {mean(first):.2f} over ten steps, × {mean(factors):.2f} over all ({seeds(len(first))})",
                    reproduced(flat),
                    ""
                    if flat
                    else "with Xavier weights and forget biases of 0 half of the cell is forgotten at each step; "
                    "a forget bias makes it flat (examples/recurrent/gradient_reach.py)",
                )
            )
    return checks


def row_4(content: Content) -> list[Check]:
    """The gradient of a stuck run."""
    checks = []
    for case in content["cases"]:
        ends, norms = case["results"]["eval_accuracy"], case["results"]["mean_weight_hh_gradient_norm"]
        runs = sorted(zip(ends, norms, strict=True))
        shown = ", ".join(f"{end:.2f}: {norm:.3g}" for end, norm in runs)
        claim = f"T = {length_of(case)}: a run stuck at ~.1 has a lower gradient than the others (accuracy: mean norm)"
        stuck = [norm for end, norm in runs if end <= 0.3]
        others = [norm for end, norm in runs if end > 0.3]
        if stuck and others:
            checks.append(Check(claim, shown, reproduced(max(stuck) < min(others))))
        else:
            why = f"{'every' if stuck else 'no'} run is stuck, so there is none to compare with"
            checks.append(Check(claim, shown, "inconclusive", why))
    return checks


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


def batches(*, improvement: bool = False) -> Judge:
    """Rows 8, 9 and 30: batches until three evaluations in a row are all right."""

    def judge(content: Content) -> list[Check]:
        checks = []
        for case in content["cases"]:
            length, both, results = length_of(case), case["settings"]["model"]["bidirectional"], case["results"]
            reported, deviation = (_BILSTM if both else _LSTM)[length]
            claim = f"{'BiLSTM' if both else 'LSTM'}, N = {length}: {reported:g} ± {deviation:g} batches, accuracy 1.0"
            if (solved := sum(results["solved"])) < len(results["solved"]):
                measured = f"{solved:.0f} of {len(results['solved'])} runs solved"
                checks.append(Check(claim, measured, "not reached", f"in {max(results['steps']):.0f} batches"))
                continue
            checks.append(
                compare(
                    claim,
                    results["steps"],
                    Reported(reported, deviation),
                    lower_is_better=True,
                    seconds=mean(results["seconds"]),
                    improvement=improvement,
                )
            )
        return checks

    return judge


def row_10(content: Content) -> list[Check]:
    """Embedding of dimension 1: how much longer than rows 8 and 9's reported batches."""
    checks = []
    for case in content["cases"]:
        steps, solved = case["results"]["steps"], sum(case["results"]["solved"])
        length = length_of(case)
        usual = {5: 25.0, 10: 124.7, 15: 544.7}[length]
        hard = solved < len(steps) or mean(steps) > 2 * usual
        shown = f"{solved:.0f} of {len(steps)} solved, {mean(steps):.0f} batches"
        claim = (
            f"{case['label'].split(',')[0]}, N = {length}: hard to converge (over twice {usual:g} batches, or never)"
        )
        checks.append(Check(claim, shown, reproduced(hard)))
    return checks


def row_11(content: Content) -> list[Check]:
    """The large model."""
    theirs = {"bartleby": 0.8422, "tutorial": 0.7484}
    why = "the report's 84.22 % is its last batch; ours is the mean of the last 100"
    return [
        near(f"{name}: {100 * theirs[name]:.2f} % (± 3)", run["train_accuracy_last_100"], theirs[name], 0.03, why)
        for name, run in content["runs"].items()
    ]


def row_13(content: Content) -> list[Check]:
    """RNN to 13, LSTM to 20."""
    said = ("1.0 (≥ .97)", 0.97, 1.0)
    return [
        check
        for label in ("rnn", "lstm")
        for check in _bounds(_by_length(content, label), label.upper(), lambda _: said)
    ]


def row_14(content: Content) -> list[Check]:
    """RNN by length."""
    return _bounds(_by_length(content, "rnn"), "RNN", _rnn_of_003)


def row_15(content: Content) -> list[Check]:
    """LSTM by length and rate."""
    usual = _bounds(_by_length(content, "lstm, lr 0.001"), "lr 1e-3", _lstm_of_003)
    high = _by_length(content, "lstm, lr 0.01")
    return usual + _bounds(high, "lr 1e-2", lambda length: ("100 % (≥ .97)", 0.97, 1.0) if length == 75 else None)


def row_16(content: Content) -> list[Check]:
    """RNN beside LSTM, by the mean training accuracy over all steps."""
    score = "mean_train_accuracy"
    rnn, lstm = _by_length(content, "rnn", score), _by_length(content, "lstm", score)
    checks = []
    for length in sorted(rnn)[1:]:
        ahead = mean(lstm[length]) > mean(rnn[length])
        shown = f"LSTM {mean(lstm[length]):.3f}, RNN {mean(rnn[length]):.3f}"
        kind = reproduced(ahead)
        checks.append(Check(f"T = {length}: the LSTM is ahead (mean accuracy over all steps)", shown, kind))
    return checks


def _rnn_of_003(length: int) -> tuple[str, float, float]:
    return ("≥ 90 %", 0.9, 1.0) if length <= 25 else ("≤ 30 %", 0.0, 0.3)


def _lstm_of_003(length: int) -> tuple[str, float, float]:
    return ("≥ 90 %", 0.9, 1.0) if length <= 50 else ("fails (≤ 30 %)", 0.0, 0.3)


def row_17(content: Content) -> list[Check]:
    """The temporal gate."""
    checks = []
    for case in content["cases"]:
        ratio, open_share = case["settings"]["open_ratio"], case["results"]["share_of_time_open"][0]
        kind = reproduced(abs(open_share - ratio) < 0.03)
        checks.append(Check(f"{case['label']}: open for r_on = {ratio:g} of the time", f"{open_share:.3f}", kind))
    return checks


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


def row_20(content: Content) -> list[Check]:
    """RNN and LSTM of report 004."""
    checks = _bounds(_by_length(content, "rnn"), "RNN", lambda n: ("good (≥ .9)", 0.9, 1.0) if n <= 20 else None)
    usual, low = _by_length(content, "lstm, lr 0.001"), _by_length(content, "lstm, lr 0.0001")
    checks += _bounds(usual, "LSTM, lr 1e-3", lambda n: ("good (≥ .9)", 0.9, 1.0) if n <= 10 else None)
    return checks + _bounds(low, "LSTM, lr 1e-4", lambda n: ("above chance (≥ .15)", 0.15, 1.0) if n >= 30 else None)


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


def row_23(content: Content) -> list[Check]:
    """Parameter counts."""
    checks = []
    for case in content["cases"]:
        formula, counted, second = (
            int(case["results"][name][0]) for name in ("by_formula", "counted", "second_biases")
        )
        shown = f"{formula:,} by formula, {counted:,} counted, {second:,} of them second biases"
        kind = reproduced(counted == formula + second)
        checks.append(Check(f"{case['label']}: {case['settings']['formula']}", shown, kind))
    wrong = "001 leaves the recurrent weights out; 003 gives the output map a bias per unit"
    return [*checks, Check(wrong, "see the corrections", "wrong", "every gate has n² recurrent weights")]


def row_24(content: Content) -> list[Check]:
    """Analytic gradients."""
    (case,) = content["cases"]
    checks = []
    for name, values in case["results"].items():
        kind = reproduced(max(values) < 1e-10)
        checks.append(
            Check(f"dL/d{name}: the formula is autograd's (< 1e-10)", f"{max(values):.0e} ({seeds(len(values))})", kind)
        )
    why = "000, 002 and 004 turn the sign round; 000, 003 and 004 multiply element by element"
    return [*checks, Check("the reports' own derivations", "see the corrections", "wrong", why)]


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


_LSTM = {5: (25.0, 2.2), 10: (124.7, 15.1), 15: (544.7, 71.0)}
_BILSTM = {5: (18.3, 0.5), 10: (80.7, 12.4), 15: (298.3, 21.5)}

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
}
# These train nothing, or nothing that their quick form leaves out: they are judged in either form.
SAME_WHEN_QUICK = frozenset({3, 17, 23, 24, 25})


def judge(number: int, content: Content) -> list[Check]:
    """The checks of a row."""
    return JUDGES[number](content)
