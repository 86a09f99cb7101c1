"""What the rows that train recurrent networks say of what the reports claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gnnkit.reproduction.cases import END, Content, Judge, length_of, mean
from gnnkit.reproduction.verdict import Check, Reported, ahead, bound, compare, reproduced, seeds

# What report 003 plots, beside the mean over all steps.
LAST_STEPS = "mean_train_accuracy_last_1000"

_LSTM = {5: (25.0, 2.2), 10: (124.7, 15.1), 15: (544.7, 71.0)}
_BILSTM = {5: (18.3, 0.5), 10: (80.7, 12.4), 15: (298.3, 21.5)}


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


def row_13(content: Content) -> list[Check]:
    """RNN to 13, LSTM to 20."""
    said = ("1.0 (≥ .97)", 0.97, 1.0)
    return [
        check
        for label in ("rnn", "lstm")
        for check in _bounds(_by_length(content, label), label.upper(), lambda _: said)
    ]


def row_14(content: Content) -> list[Check]:
    """RNN by length, by the mean training accuracy over the last 1000 steps, as the report has it."""
    return _bounds(_by_length(content, "rnn", LAST_STEPS), "RNN", _rnn_of_003)


def row_15(content: Content) -> list[Check]:
    """LSTM by length and rate, by the mean training accuracy over the last 1000 steps, as the report has it."""
    usual = _bounds(_by_length(content, "lstm, lr 0.001", LAST_STEPS), "lr 1e-3", _lstm_of_003)
    return usual + _bounds(_by_length(content, "lstm, lr 0.01", LAST_STEPS), "lr 1e-2", _faster_lstm_of_003)


def row_16(content: Content) -> list[Check]:
    """RNN beside LSTM, by the mean training accuracy over all steps."""
    score = "mean_train_accuracy"
    return _lstm_ahead(_by_length(content, "rnn", score), _by_length(content, "lstm", score))


def _lstm_ahead(rnn: Mapping[int, list[float]], lstm: Mapping[int, list[float]]) -> list[Check]:
    """At each length but the shortest."""
    checks = []
    for length in sorted(rnn)[1:]:
        claim = f"T = {length}: the LSTM is ahead (mean accuracy over all steps)"
        checks.append(ahead(claim, {"LSTM": lstm[length], "RNN": rnn[length]}))
    return checks


def _rnn_of_003(length: int) -> tuple[str, float, float]:
    return ("≥ 90 % in the last 1000 steps", 0.9, 1.0) if length <= 25 else ("≤ 30 % there", 0.0, 0.3)


def _lstm_of_003(length: int) -> tuple[str, float, float]:
    return ("≥ 90 % in the last 1000 steps", 0.9, 1.0) if length <= 50 else ("fails (≤ 30 %) there", 0.0, 0.3)


def _faster_lstm_of_003(length: int) -> tuple[str, float, float] | None:
    return ("100 % (≥ .97) there", 0.97, 1.0) if length == 75 else None


def row_17(content: Content) -> list[Check]:
    """The temporal gate."""
    checks = []
    for case in content["cases"]:
        ratio, open_share = case["settings"]["open_ratio"], case["results"]["share_of_time_open"][0]
        kind = reproduced(abs(open_share - ratio) < 0.03)
        checks.append(Check(f"{case['label']}: open for r_on = {ratio:g} of the time", f"{open_share:.3f}", kind))
    return checks


def row_20(content: Content) -> list[Check]:
    """RNN and LSTM of report 004."""
    checks = _bounds(_by_length(content, "rnn"), "RNN", lambda n: ("good (≥ .9)", 0.9, 1.0) if n <= 20 else None)
    usual, low = _by_length(content, "lstm, lr 0.001"), _by_length(content, "lstm, lr 0.0001")
    checks += _bounds(usual, "LSTM, lr 1e-3", lambda n: ("good (≥ .9)", 0.9, 1.0) if n <= 10 else None)
    return checks + _bounds(low, "LSTM, lr 1e-4", lambda n: ("above chance (≥ .15)", 0.15, 1.0) if n >= 30 else None)


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


def row_33(content: Content) -> list[Check]:
    """Rows 15 and 16 with a forget bias of 1."""
    started = "lstm, forget bias 1"
    checks = _bounds(_by_length(content, started, LAST_STEPS), "forget bias 1", _lstm_of_003)
    faster = _by_length(content, "lstm, lr 0.01", LAST_STEPS)
    checks += _bounds(faster, "forget bias 1, lr 1e-2", _faster_lstm_of_003)
    score = "mean_train_accuracy"
    return checks + _lstm_ahead(_by_length(content, "rnn", score), _by_length(content, started, score))
