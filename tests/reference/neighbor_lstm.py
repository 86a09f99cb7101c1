"""The neighbour LSTM one node at a time, from the papers' equations."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def tree_recursion(
    weights: Mapping[str, Tensor], x: Tensor, children: Mapping[int, Sequence[int]], node: int
) -> tuple[Tensor, Tensor]:
    """Child-Sum Tree-LSTM (Tai et al., eqs. 2-8): the state of ``node``, by recursion on its children."""
    h = x.new_zeros(weights["weight_hh"].size(1))
    below = [tree_recursion(weights, x, children, child) for child in children.get(node, ())]
    w_i, w_f, w_g, w_o = weights["weight_ih"].chunk(4)
    u_i, u_f, u_g, u_o = weights["weight_hh"].chunk(4)
    b_i, b_f, b_g, b_o = (weights["bias_ih"] + weights["bias_hh"]).chunk(4)
    total = sum((hidden for hidden, _ in below), h)
    i = torch.sigmoid(w_i @ x[node] + u_i @ total + b_i)
    o = torch.sigmoid(w_o @ x[node] + u_o @ total + b_o)
    g = torch.tanh(w_g @ x[node] + u_g @ total + b_g)
    c = i * g
    for hidden, cell in below:
        c = c + torch.sigmoid(w_f @ x[node] + u_f @ hidden + b_f) * cell
    return o * torch.tanh(c), c


def nary_recursion(
    weights: Mapping[str, Tensor], x: Tensor, children: Mapping[int, Mapping[int, int]], node: int, arity: int
) -> tuple[Tensor, Tensor]:
    """N-ary Tree-LSTM (eqs. 9-14); ``children[node]`` maps positions to nodes, and some may be absent."""
    units = weights["weight_hh"].size(1) // arity
    zeros = x.new_zeros(units)
    below = {k: nary_recursion(weights, x, children, child, arity) for k, child in children.get(node, {}).items()}
    hidden = torch.cat([below[k][0] if k in below else zeros for k in range(arity)])
    w_i, w_f, w_g, w_o = weights["weight_ih"].chunk(4)
    b_i, b_f, b_g, b_o = (weights["bias_ih"] + weights["bias_hh"]).chunk(4)
    u_i, *u_f, u_g, u_o = weights["weight_hh"].split(units)
    i = torch.sigmoid(w_i @ x[node] + u_i @ hidden + b_i)
    o = torch.sigmoid(w_o @ x[node] + u_o @ hidden + b_o)
    g = torch.tanh(w_g @ x[node] + u_g @ hidden + b_g)
    c = i * g
    for k, (_, cell) in below.items():
        c = c + torch.sigmoid(w_f @ x[node] + u_f[k] @ hidden + b_f) * cell
    return o * torch.tanh(c), c


def one_by_one(
    weights: Mapping[str, Tensor],
    x: Tensor,
    edges: Sequence[tuple[int, int]],
    order: Sequence[int] | None,
    state: tuple[Tensor, Tensor],
    *,
    mean: bool,
) -> tuple[Tensor, Tensor]:
    """One pass of Liang et al.'s Graph LSTM: nodes in ``order``, each hears what its neighbours are by then.

    Without an order all are updated from the old states.
    """
    old_h, old_c = state
    h, c = list(old_h), list(old_c)
    w, b = weights["weight_ih"], weights["bias_ih"] + weights["bias_hh"]
    u, v = weights["weight_hh"].chunk(4), weights["weight_own"].chunk(4)
    for node in range(len(x)) if order is None else order:
        heard = [source for source, target in edges if target == node]
        states = [(old_h[k], old_c[k]) if order is None else (h[k], c[k]) for k in heard]
        share = 1 / max(1, len(heard)) if mean else 1.0
        total = share * sum((hidden for hidden, _ in states), torch.zeros_like(old_h[0]))
        x_i, x_f, x_g, x_o = (w @ x[node] + b).chunk(4)
        i = torch.sigmoid(x_i + u[0] @ total + v[0] @ old_h[node])
        g = torch.tanh(x_g + u[2] @ total + v[2] @ old_h[node])
        o = torch.sigmoid(x_o + u[3] @ total + v[3] @ old_h[node])
        new = i * g + torch.sigmoid(x_f + v[1] @ old_h[node]) * old_c[node]
        for hidden, cell in states:
            new = new + share * torch.sigmoid(x_f + u[1] @ hidden) * cell
        h[node], c[node] = o * torch.tanh(new), new
    return torch.stack(h), torch.stack(c)
