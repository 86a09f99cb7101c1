"""Recurrent layers on graphs from their equations: dense matrices, one step and one sequence at a time."""

import torch
from torch import Tensor


def inverse(degrees: Tensor, power: float) -> Tensor:
    return torch.tensor([0.0 if d == 0 else float(d) ** power for d in degrees], dtype=degrees.dtype)


def operator_terms(dense: Tensor, operator: str, hops: int) -> list[Tensor]:
    """The matrices I, S_1, ..., each so that S x is what nodes hear; ``dense[s, t]`` weighs s -> t."""
    one = torch.eye(len(dense), dtype=dense.dtype)
    if operator == "gcn":
        looped = dense + torch.diag((torch.diagonal(dense) == 0).to(dense.dtype))
        scale = torch.diag(inverse(looped.sum(0), -0.5))
        return powers((scale @ looped @ scale).T, one, hops)
    if operator == "chebyshev":
        loopless = dense - torch.diag(torch.diagonal(dense))
        scale = torch.diag(inverse(loopless.sum(1), -0.5))
        s = -(scale @ loopless @ scale).T
        terms = [one, s]
        while len(terms) <= hops:
            terms.append(2 * s @ terms[-1] - terms[-2])
        return terms[: hops + 1]
    forward = torch.diag(inverse(dense.sum(1), -1)) @ dense
    backward = torch.diag(inverse(dense.sum(0), -1)) @ dense.T
    return [*powers(forward, one, hops), *powers(backward, one, hops)[1:]]


def powers(s: Tensor, one: Tensor, hops: int) -> list[Tensor]:
    found = [one]
    for _ in range(hops):
        found.append(s @ found[-1])
    return found


def without(dense: Tensor, present: Tensor) -> Tensor:
    """The graph without the absent nodes' edges."""
    mask = present.to(dense.dtype)
    return dense * mask.unsqueeze(0) * mask.unsqueeze(1)


def filled(x: Tensor, observed: Tensor) -> Tensor:
    """``(T, N, F)``, the last observed value carried, entry by entry."""
    result = torch.zeros_like(x)
    for node in range(x.size(1)):
        for feature in range(x.size(2)):
            last = 0.0
            for step in range(x.size(0)):
                if observed[step, node, feature]:
                    last = float(x[step, node, feature])
                result[step, node, feature] = last
    return result


def lstm_on_graph(
    weights: dict[str, Tensor],
    x: Tensor,
    matrices: list[list[Tensor]],
    hidden: Tensor,
    cell: Tensor,
    present: Tensor | None = None,
    openness: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One sequence ``(T, N, F)``; ``matrices[t]`` are the terms of step t."""
    size = hidden.size(1)
    outputs = []
    for step, terms in enumerate(matrices):
        heard_x = torch.cat([s @ x[step] for s in terms], dim=-1)
        heard_h = torch.cat([s @ hidden for s in terms], dim=-1)
        gates = heard_x @ weights["weight_ih"].T + weights["bias_ih"]
        gates = gates + heard_h @ weights["weight_hh"].T + weights["bias_hh"]
        i, f, g, o = (gates[:, gate * size : (gate + 1) * size] for gate in range(4))
        see = weights.get("peephole", torch.zeros(3, size, dtype=x.dtype))
        i, f = torch.sigmoid(i + see[0] * cell), torch.sigmoid(f + see[1] * cell)
        new_cell = f * cell + i * torch.tanh(g)
        new_hidden = torch.sigmoid(o + see[2] * new_cell) * torch.tanh(new_cell)
        if openness is not None:
            k = openness[step]
            new_cell, new_hidden = k * new_cell + (1 - k) * cell, k * new_hidden + (1 - k) * hidden
        if present is not None:
            there = present[step].unsqueeze(-1)
            new_cell, new_hidden = torch.where(there, new_cell, cell), torch.where(there, new_hidden, hidden)
        hidden, cell = new_hidden, new_cell
        outputs.append(hidden)
    return torch.stack(outputs), hidden, cell


def gru_on_graph(
    weights: dict[str, Tensor], x: Tensor, terms: list[Tensor], hidden: Tensor, reset: str
) -> tuple[Tensor, Tensor]:
    """One sequence ``(T, N, F)`` on one graph."""

    def heard(values: Tensor) -> Tensor:
        return torch.cat([s @ values for s in terms], dim=-1)

    outputs = []
    w_r, w_z, w_n = weights["weight_hh"].chunk(3)
    b_r, b_z, b_n = weights["bias_hh"].chunk(3)
    for step in x:
        x_r, x_z, x_n = (heard(step) @ weights["weight_ih"].T + weights["bias_ih"]).chunk(3, dim=-1)
        r = torch.sigmoid(x_r + heard(hidden) @ w_r.T + b_r)
        z = torch.sigmoid(x_z + heard(hidden) @ w_z.T + b_z)
        if reset == "after":
            n = torch.tanh(x_n + r * (heard(hidden) @ w_n.T + b_n))
        else:
            n = torch.tanh(x_n + heard(r * hidden) @ w_n.T + b_n)
        hidden = (1 - z) * n + z * hidden
        outputs.append(hidden)
    return torch.stack(outputs), hidden
