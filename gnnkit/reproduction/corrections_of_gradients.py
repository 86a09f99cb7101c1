"""Corrections of derivatives and of optimisers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.reproduction.correction import Correction, Finding, agrees, disagrees
from recurrent import RNNCell, unroll
from recurrent.analytic_gradients import RNNGradients, rnn_gradients
from recurrent.cells import temporal_gate
from recurrent.tasks import Palindromes


def softmax() -> Correction:
    """The derivative of softmax."""
    torch.manual_seed(0)
    p = torch.randn(6, dtype=torch.float64)
    y = p.softmax(0)
    autograd = torch.autograd.functional.jacobian(lambda logits: logits.softmax(0), p)  # type: ignore[no-untyped-call]
    right = torch.diag(y) - torch.outer(y, y)
    swapped = torch.diag(-y * y) + (1 - torch.eye(6, dtype=torch.float64)) * (y * (1 - y))[:, None]
    return Correction(
        "000, eq. 11",
        "∂ŷ_i/∂p_k has the cases k = i and k ≠ i swapped",
        "ŷ_i(1 − ŷ_i) for k = i, else −ŷ_k ŷ_i",
        "d(e^a/s) = e^a/s − e^a e^a/s² for the entry itself; only −e^a e^b/s² for another.",
        (
            agrees("six classes, largest relative difference from autograd: right", right, autograd),
            disagrees("… as the report has it", swapped, autograd),
        ),
    )


def _rnn() -> tuple[RNNCell, nn.Linear, Tensor, Tensor, RNNGradients, Tensor, Tensor, Tensor]:
    """A small RNN at T = 20 with its gradients by formula and by autograd, and its states."""
    torch.manual_seed(0)
    task = Palindromes(20)
    cell, head = RNNCell(task.input_size, 32).double(), nn.Linear(32, task.num_outputs).double()
    inputs, targets = task.sample(64, torch.Generator().manual_seed(0))
    inputs = inputs.double()
    hidden, _ = unroll(cell, inputs)
    cross_entropy(head(hidden[:, -1]), targets).backward()  # type: ignore[no-untyped-call]
    assert head.weight.grad is not None
    assert cell.weight_hh.grad is not None
    by_hand = rnn_gradients(cell, head, inputs, targets)
    return cell, head, inputs, targets, by_hand, hidden.detach(), head.weight.grad, cell.weight_hh.grad


def sign() -> Correction:
    """The sign of dL/dp."""
    *_, by_hand, _, weight_ph, _ = _rnn()
    return Correction(
        "000, eq. 13 and 15; 002; 004",
        "∂L/∂p = y − ŷ",
        "∂L/∂p = ŷ − y, so ∂L/∂W_ph = (ŷ − y) hᵀ",
        "∂L/∂p_k = −Σ_i (y_i/ŷ_i) ∂ŷ_i/∂p_k = −y_k + ŷ_k Σ_i y_i. With the sign turned round, training climbs.",
        (
            agrees(
                "∂L/∂W_ph, T = 20, hidden 32, relative difference from autograd: (ŷ − y) hᵀ",
                by_hand.weight_ph,
                weight_ph,
            ),
            disagrees("… with (y − ŷ) hᵀ", -by_hand.weight_ph, weight_ph),
        ),
    )


def jacobians() -> Correction:
    """Full Jacobians, not element by element."""
    cell, *_, by_hand, hidden, _, weight_hh = _rnn()
    return Correction(
        "000, 003, 004",
        "∂h_t/∂W_hh by a recursion taken element by element",
        "full Jacobians: Σ_k [Π_{j=k+1..T} diag(1 − h_j²) W_hh] times the immediate derivative at k",
        "Every unit hears every other: ∂h_j/∂h_{j−1} = diag(1 − h_j²) W_hh is a matrix, and its product with the "
        "next is a matrix product.",
        (
            agrees(
                "∂L/∂W_hh, T = 20, hidden 32, relative difference from autograd: Jacobians",
                by_hand.weight_hh,
                weight_hh,
            ),
            disagrees("… element by element", element_by_element(cell, hidden, by_hand.hidden[:, -1]), weight_hh),
        ),
    )


@torch.no_grad()
def element_by_element(cell: RNNCell, hidden: Tensor, gradient: Tensor) -> Tensor:
    """dL/dW_hh as the reports have it: each unit hears only itself, through the diagonal of W_hh."""
    before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
    total = torch.zeros_like(cell.weight_hh)
    for step in range(hidden.size(1) - 1, -1, -1):
        local = (1 - hidden[:, step].square()) * gradient
        total += local.t() @ before[:, step]
        gradient = local * cell.weight_hh.diagonal()
    return total


def what_multiplies() -> Correction:
    """What multiplies along time."""
    cell, *_, by_hand, hidden, _, _ = _rnn()
    with torch.no_grad():
        gradient = by_hand.hidden[0, -1]
        for step in range(hidden.size(1) - 1, 0, -1):
            gradient = ((1 - hidden[0, step].square()) * gradient) @ cell.weight_hh
        by_outputs = by_hand.hidden[0, -1] * hidden[0, 1:].prod(0)
    first = by_hand.hidden[0, 0]
    return Correction(
        "004",
        "tanh outputs multiply along time",
        "W_hh and 1 − h² multiply",
        "The derivative of tanh(a) is 1 − tanh(a)², at most 1; it meets W_hh at every step.",
        (
            agrees("∂L/∂h_1 over 20 steps, difference from the exact one: diag(1 − h²) W_hh", gradient, first),
            disagrees("… products of tanh outputs", by_outputs, first),
        ),
    )


def mean_absolute() -> Correction:
    """A norm and a mean."""
    torch.manual_seed(0)
    gradient = torch.randn(128, 128, dtype=torch.float64)
    norm, mean = float(gradient.abs().sum()), float(gradient.abs().mean())
    return Correction(
        "000, fig. 10",
        "the figure shows the “L1 norm” of the gradient",
        "it plots the mean absolute value",
        "The norm is the sum; they differ by the number of entries, which moves the axis and no curve's shape.",
        (
            Finding("128 × 128 normal entries: sum of absolute values", f"{norm:.0f}", True),
            Finding("… mean absolute value", f"{mean:.3f}", True),
            Finding("… their ratio, the number of entries", f"{norm / mean:.0f}", abs(norm / mean - 128**2) < 1e-6),
        ),
    )


def rmsprop() -> Correction:
    """What RMSProp does."""
    torch.manual_seed(0)
    gradients = torch.randn(20, 5, dtype=torch.float64) * torch.tensor([1e-3, 0.1, 1.0, 10.0, 1e3], dtype=torch.float64)
    parameter = nn.Parameter(torch.zeros(5, dtype=torch.float64))
    optimizer = torch.optim.RMSprop([parameter], lr=0.01, alpha=0.99, eps=1e-8)
    by_hand, second = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        second = 0.99 * second + 0.01 * gradient.square()
        by_hand = by_hand - 0.01 * gradient / (second.sqrt() + 1e-8)
    momentum = optimizer.defaults["momentum"]
    first = 0.01 / (0.01**0.5)
    return Correction(
        "000, 002",
        "RMSProp uses momentum; an adaptive rate is a schedule",
        "each parameter's step is scaled by a running second moment, v ← αv + (1 − α)g², step lr·g/(√v + ε); no "
        "momentum unless asked for, and no schedule",
        "The scale follows the gradients that came, not the clock: gradients a million times larger take equal steps.",
        (
            agrees(
                "20 steps by that formula, relative difference from torch.optim.RMSprop", by_hand, parameter.detach()
            ),
            Finding("momentum of torch.optim.RMSprop by default", f"{momentum:g}", momentum == 0),
            Finding("size of the first step for any gradient (lr .01)", f"{first:g}", first > 0),
        ),
    )


def adam() -> Correction:
    """Adam's correction."""
    torch.manual_seed(0)
    gradients = torch.randn(5, 4, dtype=torch.float64)
    parameter = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = torch.optim.Adam([parameter], lr=0.001)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    right, wrong = (_adam_by_hand(gradients, by_power) for by_power in (True, False))
    return Correction(
        "003",
        "Adam's averages are corrected by 1 − β",
        "by 1 − β^t, with the number of the step",
        "An average that starts at 0 holds, after t steps, weights that add up to 1 − β^t.",
        (
            agrees("5 steps, relative difference from torch.optim.Adam: 1 − β^t", right, parameter.detach()),
            disagrees("… 1 − β", wrong, parameter.detach()),
        ),
    )


def _adam_by_hand(gradients: Tensor, by_power: bool) -> Tensor:
    x, first, second = (torch.zeros_like(gradients[0]) for _ in range(3))
    for step, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        power = step if by_power else 1
        x = x - 0.001 * (first / (1 - 0.9**power)) / ((second / (1 - 0.999**power)).sqrt() + 1e-8)
    return x


def gate() -> Correction:
    """Derivatives of the temporal gate."""
    setting = {"tau": 15.0, "s": 3.0, "r_on": 0.4}
    findings = []
    for name, formula in (("tau", "−(t − s)/τ²"), ("s", "−1/τ")):
        worst = 0.0
        for time in (4.0, 7.0, 20.0, 40.0, 50.0):
            values = {
                key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in setting.items()
            }
            t = torch.tensor(time, dtype=torch.float64)
            k = temporal_gate(t, values["tau"], values["s"], values["r_on"], 0.1)
            (found,) = torch.autograd.grad(k, values[name])
            phase = ((time - 3.0) % 15.0) / 15.0
            slope = 2 / 0.4 if phase < 0.2 else -2 / 0.4 if phase < 0.4 else 0.1  # dk/dphi, piece by piece
            inner = -(time - 3.0) / 15.0**2 if name == "tau" else -1 / 15.0
            worst = max(worst, abs(float(found) - slope * inner))
        findings.append(
            Finding(
                f"∂φ/∂{'τ' if name == 'tau' else 's'} = {formula}: largest difference from autograd",
                f"{worst:.0e}",
                worst < 1e-10,
            )
        )
    points = (("rises", 0.1), ("falls", 0.3), ("closed, leak .1", 0.7))
    slopes = ", ".join(f"{name} {value:g}" for (name, _), value in zip(points, (5.0, -5.0, 0.1), strict=True))
    findings.append(Finding("∂k/∂φ at r_on = .4, piece by piece", slopes, True))
    return Correction(
        "003, 2.3",
        "“take the derivative of k to be 1”",
        "k is continuous with kinks: 2/r_on, −2/r_on, then the leak; ∂φ/∂τ = −(t − s)/τ², ∂φ/∂s = −1/τ",
        "With a leak of 0 a closed gate passes no gradient at all: hence the leak in training.",
        tuple(findings),
    )
