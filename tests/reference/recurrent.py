"""Recurrent cells from their equations: one sample, one step, one unit at a time, in float64."""

import math

import numpy as np
import scipy.linalg
import torch
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def pre_activations(weights: dict[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
    """W_ih x + b_ih + W_hh h + b_hh of one sample."""
    return weights["weight_ih"] @ x + weights["bias_ih"] + weights["weight_hh"] @ h + weights["bias_hh"]


def rnn_reference(weights: dict[str, Tensor], inputs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """``[B, T, F], [B, H] -> [B, T, H], [B, H]``."""
    outputs = []
    for sample, hidden in zip(inputs, h, strict=True):
        states = []
        for x in sample:
            hidden = torch.tanh(pre_activations(weights, x, hidden))
            states.append(hidden)
        outputs.append(torch.stack(states))
    stacked = torch.stack(outputs)
    return stacked, stacked[:, -1]


def gate_openness(t: float, tau: Tensor, s: Tensor, r_on: Tensor, leak: float) -> Tensor:
    """k of every unit at the time t, case by case."""
    opened = []
    for period, shift, ratio in zip(tau, s, r_on, strict=True):
        cycles = (t - shift) / period
        phase = cycles - math.floor(cycles.item())
        if phase < ratio / 2:
            opened.append(2 * phase / ratio)
        elif phase < ratio:
            opened.append(2 - 2 * phase / ratio)
        else:
            opened.append(leak * phase)
    return torch.stack(opened)


def phased_lstm_reference(
    weights: dict[str, Tensor],
    inputs: Tensor,
    h: Tensor,
    c: Tensor,
    *,
    times: Tensor,
    tau: Tensor,
    s: Tensor,
    r_on: Tensor,
    leak: float,
    hidden_from: str = "candidate",
) -> tuple[Tensor, Tensor, Tensor]:
    """``inputs [B, T, F], times [B, T]`` to outputs and the last hidden and cell state."""
    outputs, last_hidden, last_cell = [], [], []
    size = h.size(-1)
    for sample, stamps, hidden, cell in zip(inputs, times, h, c, strict=True):
        states = []
        for x, t in zip(sample, stamps, strict=True):
            rows = pre_activations(weights, x, hidden)
            i, f = sigmoid(rows[:size]), sigmoid(rows[size : 2 * size])
            g, o = torch.tanh(rows[2 * size : 3 * size]), sigmoid(rows[3 * size :])
            k = gate_openness(t.item(), tau, s, r_on, leak)
            candidate = f * cell + i * g
            cell = k * candidate + (1 - k) * cell
            shown = candidate if hidden_from == "candidate" else cell
            hidden = k * torch.tanh(shown) * o + (1 - k) * hidden
            states.append(hidden)
        outputs.append(torch.stack(states))
        last_hidden.append(hidden)
        last_cell.append(cell)
    return torch.stack(outputs), torch.stack(last_hidden), torch.stack(last_cell)


def min_gru_reference(weights: dict[str, Tensor], inputs: Tensor, h: Tensor) -> Tensor:
    """``[B, T, F], [B, H] -> [B, T, H]``."""
    size = h.size(-1)
    outputs = []
    for sample, hidden in zip(inputs, h, strict=True):
        states = []
        for x in sample:
            rows = weights["weight_ih"] @ x + weights["bias_ih"]
            z = sigmoid(rows[:size])
            hidden = (1 - z) * hidden + z * rows[size:]
            states.append(hidden)
        outputs.append(torch.stack(states))
    return torch.stack(outputs)


def orthogonal_rnn_reference(weights: dict[str, Tensor], inputs: Tensor, h: Tensor) -> Tensor:
    """``[B, T, F], [B, H] -> [B, T, H]``."""
    size = h.size(-1)
    skew, numbers = np.zeros((size, size)), iter(weights["skew"].tolist())
    for i in range(size):
        for j in range(i + 1, size):
            skew[i, j] = next(numbers)
            skew[j, i] = -skew[i, j]
    matrix = torch.from_numpy(scipy.linalg.expm(skew))
    outputs = []
    for sample, hidden in zip(inputs, h, strict=True):
        states = []
        for x in sample:
            rows = weights["weight_ih"] @ x + weights["bias_ih"] + matrix @ hidden
            pairs = zip(rows.tolist(), weights["margin"].tolist(), strict=True)
            hidden = torch.tensor([math.copysign(max(abs(a) + m, 0.0), a) for a, m in pairs], dtype=rows.dtype)
            states.append(hidden)
        outputs.append(torch.stack(states))
    return torch.stack(outputs)


def is_baum_sweet(bits: str) -> bool:
    """No block of consecutive zeros of odd length."""
    return all(len(block) % 2 == 0 for block in bits.split("1"))
