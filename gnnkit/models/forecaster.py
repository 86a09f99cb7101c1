"""Forecasts of the values on a graph's nodes: recurrent on the graph, and a perceptron without one.

All see the same: the window of values (the last observed one carried), which of them are missing, the
phase within the period, and who each node is. So what a graph adds is not what identity already gives.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.nn.graph_lstm import GraphGRU, GraphLSTM
from gnnkit.nn.inputs import check_channels
from gnnkit.nn.missing import carry_forward
from gnnkit.nn.operators import Operator

Mode = Literal["direct", "rollout"]
Start = Literal["last", "mean"]


class Forecaster(nn.Module):
    r"""A graph LSTM or GRU over the window, and a linear read-out of what comes.

    Args:
        num_nodes: N; each node has a learned embedding.
        horizon: Steps to forecast.
        cell: ``"lstm"`` or ``"gru"``.
        hidden_size: Units per node.
        operator: What a node hears.
        hops: K; 0 is the same model without the graph.
        num_layers: Layers.
        mode: ``"direct"``: all steps at once from the last state. ``"rollout"``: one step at a time, each
            forecast being the next one's input.
        start: What a forecast corrects: the window's ``"last"`` value, or its ``"mean"``, the better one where a
            week says little of the next.
        embedding: Numbers per node's identity.

    Shapes:
        - **values**, **observed:** :math:`(B, L, N)`; **phase:** :math:`(B, L + horizon)`, from 0 to 1 within the
          period
        - **output:** :math:`(B, horizon, N)`

    Raises:
        ValueError: If a size is not positive, an option unknown, or a shape does not fit.
        TypeError: If a dtype does not fit.
    """

    def __init__(
        self,
        num_nodes: int,
        horizon: int,
        *,
        cell: Literal["lstm", "gru"] = "lstm",
        hidden_size: int = 32,
        operator: Operator = "diffusion",
        hops: int = 2,
        num_layers: int = 1,
        mode: Mode = "direct",
        start: Start = "last",
        embedding: int = 8,
    ) -> None:
        super().__init__()
        if cell not in ("lstm", "gru"):
            raise ValueError(f"cell must be 'lstm' or 'gru', got {cell!r}")
        if mode not in ("direct", "rollout"):
            raise ValueError(f"mode must be 'direct' or 'rollout', got {mode!r}")
        _check_start(start)
        check_channels(num_nodes=num_nodes, horizon=horizon, embedding=embedding)
        self.horizon, self.mode, self.start = horizon, mode, start
        self.identity = nn.Parameter(0.1 * torch.randn(num_nodes, embedding))
        layer = GraphLSTM if cell == "lstm" else GraphGRU
        # Value, missing or not, sine and cosine of the phase, identity.
        self.layer = layer(4 + embedding, hidden_size, operator=operator, K=hops, num_layers=num_layers)
        self.out = nn.Linear(hidden_size, horizon if mode == "direct" else 1)

    def forward(self, values: Tensor, observed: Tensor, phase: Tensor, graph: Adjacency) -> Tensor:
        """The steps after the window."""
        _check_window(values, observed, phase, self.identity, self.horizon)
        length = values.size(1)
        carried = carry_forward(values.transpose(0, 1), observed.transpose(0, 1)).transpose(0, 1)
        inputs = self._inputs(carried, (~observed).to(values.dtype), phase[:, :length])
        states, state = self.layer(inputs, graph)
        start = _start_of(carried, self.start)
        if self.mode == "direct":
            expected: Tensor = start + self.out(states[:, -1]).transpose(1, 2)
            return expected
        found = [start + self.out(states[:, -1]).transpose(1, 2)]
        seen = torch.zeros_like(start)  # a forecast counts as observed
        for step in range(1, self.horizon):
            at = phase[:, length + step - 1 : length + step]
            states, state = self.layer(self._inputs(found[-1], seen, at), graph, state)
            before = found[-1] if self.start == "last" else start
            found.append(before + self.out(states[:, -1]).transpose(1, 2))
        return torch.cat(found, dim=1)

    def _inputs(self, values: Tensor, missing: Tensor, phase: Tensor) -> Tensor:
        """``(B, L, N, channels)``."""
        clock = _clock(phase).unsqueeze(2).expand(*values.shape, 2)
        who = self.identity.expand(*values.shape, -1)
        return torch.cat([values.unsqueeze(-1), missing.unsqueeze(-1), clock, who], dim=-1)


class IdentityMLP(nn.Module):
    r"""A perceptron on each node's window, its identity and the phase, blind to the graph.

    Reference: Shao et al., "Spatial-Temporal Identity: A Simple yet Effective Baseline for Multivariate
    Time Series Forecasting", CIKM 2022, https://arxiv.org/abs/2208.05233.

    Args:
        num_nodes: N.
        length: Steps of the window.
        horizon: Steps to forecast.
        hidden_size: Units of the two hidden layers, each added to what goes in.
        start: As of `Forecaster`.
        embedding: Numbers per node's identity.

    Shapes:
        - as `Forecaster`'s

    Raises:
        ValueError: If a size is not positive, or a shape does not fit.
        TypeError: If a dtype does not fit.
    """

    def __init__(
        self,
        num_nodes: int,
        length: int,
        horizon: int,
        *,
        hidden_size: int = 64,
        start: Start = "last",
        embedding: int = 8,
    ) -> None:
        super().__init__()
        _check_start(start)
        check_channels(num_nodes=num_nodes, length=length, horizon=horizon)
        check_channels(hidden_size=hidden_size, embedding=embedding)
        self.length, self.horizon, self.start = length, horizon, start
        self.identity = nn.Parameter(0.1 * torch.randn(num_nodes, embedding))
        self.enter = nn.Linear(2 * length + 2 + embedding, hidden_size)
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, hidden_size))
            for _ in range(2)
        )
        self.out = nn.Linear(hidden_size, horizon)

    def forward(self, values: Tensor, observed: Tensor, phase: Tensor, graph: Adjacency) -> Tensor:
        """The steps after the window; the graph is not looked at."""
        _check_window(values, observed, phase, self.identity, self.horizon)
        batch, length, nodes = values.shape
        if length != self.length:
            raise ValueError(f"a window must have length={self.length} steps, got {length}")
        carried = carry_forward(values.transpose(0, 1), observed.transpose(0, 1)).transpose(0, 1)
        clock = _clock(phase[:, length - 1]).unsqueeze(1).expand(batch, nodes, 2)
        who = self.identity.expand(batch, nodes, -1)
        windows = [carried.transpose(1, 2), (~observed).to(values.dtype).transpose(1, 2)]
        x = self.enter(torch.cat([*windows, clock, who], dim=-1))
        for layer in self.hidden:
            x = x + layer(x)
        expected: Tensor = _start_of(carried, self.start) + self.out(x).transpose(1, 2)
        return expected


def _check_window(values: Tensor, observed: Tensor, phase: Tensor, identity: Tensor, horizon: int) -> None:
    nodes = identity.size(0)
    if values.dim() != 3 or values.size(1) == 0 or values.size(2) != nodes:
        raise ValueError(f"values must be (B, L, {nodes}), a column per node, got {tuple(values.shape)}")
    if observed.shape != values.shape or observed.dtype != torch.bool:
        raise ValueError(
            f"observed must hold booleans in the values' shape {tuple(values.shape)}, "
            f"got {observed.dtype} in {tuple(observed.shape)}"
        )
    expected = values.size(0), values.size(1) + horizon
    if phase.shape != expected:
        raise ValueError(f"phase must be (B, L + horizon) = {expected}, got {tuple(phase.shape)}")
    for name, each in (("values", values), ("phase", phase)):
        if each.dtype != identity.dtype and not torch.is_autocast_enabled(each.device.type):
            raise TypeError(f"{name} are {each.dtype} and the model's weights {identity.dtype}; convert one of them")


def _check_start(start: str) -> None:
    if start not in ("last", "mean"):
        raise ValueError(f"start must be 'last' or 'mean', got {start!r}")


def _start_of(carried: Tensor, start: Start) -> Tensor:
    """What a forecast corrects, ``(B, 1, N)``."""
    return carried[:, -1:] if start == "last" else carried.mean(dim=1, keepdim=True)


def _clock(phase: Tensor) -> Tensor:
    """A phase from 0 to 1 as a point on the circle."""
    angle = 2 * math.pi * phase
    return torch.stack([angle.sin(), angle.cos()], dim=-1)
