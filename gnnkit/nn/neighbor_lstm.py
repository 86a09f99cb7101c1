r"""An LSTM whose memory is its neighbours': a forget gate for each of them, and a schedule of who goes first.

.. code-block:: text

    s_j     = Σ_k h_k                                      over the neighbours k that j hears
    i, o, g = σ, σ, tanh(W x_j + U s_j + V h_j + b)
    f_jk    = σ(W_f x_j + U_f h_k + b_f)                   a gate per neighbour
    f_j     = σ(W_f x_j + V_f h_j + b_f)
    c_j'    = Σ_k f_jk * c_k + f_j * c_j + i * g
    h_j'    = o * tanh(c_j')

Who hears which states is the schedule's to say. *Topological*: children before parents, all states are new,
and there is no old one (no V, no f_j): the Child-Sum Tree-LSTM; with an arity U has a block per child and
per gate: the N-ary Tree-LSTM. *Confidence*: one node after another, the most confident first; who has been
visited gives its new state, the others their old one: the Graph LSTM, there with means for sums.
*Synchronous*: all at once from the old states. On a chain the first is the LSTM of ``recurrent``.

References: Tai, Socher & Manning, "Improved Semantic Representations From Tree-Structured Long Short-Term
Memory Networks", ACL 2015, https://arxiv.org/abs/1503.00075, eqs. 2-14; Liang et al., "Semantic Object Parsing
with Graph LSTM", ECCV 2016, https://arxiv.org/abs/1603.07063, eqs. 1-3 (whose output is tanh(o * c), and whose
neighbours' forget gates see old states always; here they see the state that is given).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_edge_index
from gnnkit.nn.neighbor_kernels import run_levels
from gnnkit.nn.neighbor_plan import SCHEDULES, NeighborPlan, Schedule, unweighted_edges
from recurrent.cells import LSTMState


class NeighborLSTM(nn.Module):
    r"""Features to states, ``(*, N, F) -> (hidden, cell)`` each ``(*, N, H)``, level by level.

    Child-Sum Tree-LSTM: the defaults. N-ary Tree-LSTM: ``arity=N``. Graph LSTM of Liang et al.:
    ``schedule="confidence", aggregate="mean"``; a second layer starts from the state of the first.

    Parameters are ``torch.nn.LSTMCell``'s, gates in the order i, f, g, o; with an arity K ``weight_hh`` has
    rows i, f_1, ..., f_K, g, o and a block of columns per position. ``weight_own`` is V.

    Args:
        in_channels: Features per node.
        hidden_size: Units per node.
        schedule: ``"topological"``, ``"confidence"`` or ``"synchronous"``; see `NeighborPlan.of`.
        arity: The most neighbours a node may hear, where each position has weights of its own; neighbours
            share their weights where None.
        aggregate: Whether sums over neighbours are divided by how many there are.
        num_steps: Passes over the graph with the same weights, each from the states of the one before.

    Shapes:
        - **x:** :math:`(*, |\mathcal{V}|, in\_channels)`
        - **output:** ``(hidden, cell)``, each :math:`(*, |\mathcal{V}|, hidden\_size)`

    Raises:
        ValueError: If a size is not positive or options do not go together.

    Example:
        >>> tree = torch.tensor([[0, 1, 2, 3], [2, 2, 4, 4]])  # child to parent; 4 is the root
        >>> hidden, cell = NeighborLSTM(3, 5)(torch.rand(5, 3), tree)
        >>> hidden[4].shape
        torch.Size([5])
    """

    weight_own: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        hidden_size: int,
        *,
        schedule: Schedule = "topological",
        arity: int | None = None,
        aggregate: Literal["sum", "mean"] = "sum",
        num_steps: int = 1,
    ) -> None:
        super().__init__()
        _check_options(in_channels, hidden_size, schedule, arity, aggregate, num_steps)
        self.in_channels, self.hidden_size = in_channels, hidden_size
        self.schedule, self.arity, self.aggregate, self.num_steps = schedule, arity, aggregate, num_steps
        rows, columns = (4, 1) if arity is None else (3 + arity, arity)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, in_channels))
        self.weight_hh = nn.Parameter(torch.empty(rows * hidden_size, columns * hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))
        own = None if schedule == "topological" else nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.register_parameter("weight_own", own)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Uniform on ±1/√hidden_size, as ``torch.nn``'s cells."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(
        self,
        x: Tensor,
        graph: Adjacency | Tensor | NeighborPlan,
        state: LSTMState | None = None,
        *,
        confidence: Tensor | None = None,
        position: Tensor | None = None,
    ) -> LSTMState:
        """Every node's new state.

        Args:
            x: Features; leading dimensions are copies of the graph.
            graph: Edges from the one that is heard to the one that hears, or a plan of them made before,
                which saves finding the levels again (an `Adjacency` keeps its own).
            state: The old states, zeros when omitted; the topological schedule has none.
            confidence: ``(*, N)``, for that schedule; no gradient flows to it.
            position: Which neighbour each edge's source is, with an arity; see `NeighborPlan.of`.

        Raises:
            ValueError: If a shape does not fit, or the graph does not fit the schedule.
            TypeError: If dtypes differ.
        """
        batch = self._checked_features(x)
        plan = self._plan(graph, x, confidence, position)
        if state is not None:
            shape = (*batch, x.size(-2), self.hidden_size)
            if self.schedule == "topological":
                raise ValueError("the topological schedule hears new states only, so it takes no state; leave it out")
            if state[0].shape != shape or state[1].shape != shape:
                shapes = tuple(state[0].shape), tuple(state[1].shape)
                raise ValueError(f"hidden and cell state must have shape {shape}, got {shapes[0]} and {shapes[1]}")
            state = LSTMState(state[0].flatten(0, -2), state[1].flatten(0, -2))
        with torch.autocast(x.device.type, enabled=False):
            # What is remembered adds up over many nodes: mixed precision keeps it in the weights' dtype.
            new = self.run(self.project(x.flatten(0, -2).to(self.weight_ih.dtype)), plan, state)
        return LSTMState(*(each.view(*batch, -1, self.hidden_size) for each in new))

    def project(self, x: Tensor) -> Tensor:
        """The input's share of the gates, biases included, ``(*, F) -> (*, 4H)``: the first half of `forward`.

        Gates are stacked as f, i, o, g, what `run` reads.
        """
        return linear(x, self._turned(self.weight_ih), self.input_bias())

    def input_bias(self) -> Tensor:
        """What `project` gives a node without features."""
        return self._turned(self.bias_ih + self.bias_hh)

    def run(self, gates: Tensor, plan: NeighborPlan, state: LSTMState | None = None) -> LSTMState:
        """The second half of `forward`, from projected inputs ``(N, 4H)``: all passes over the graph."""
        if gates.shape != (plan.num_nodes, 4 * self.hidden_size):
            expected = (plan.num_nodes, 4 * self.hidden_size)
            raise ValueError(f"gates must have shape {expected} for this plan, got {tuple(gates.shape)}")
        if plan.order is not None:
            gates = gates.index_select(0, plan.order)
            if state is not None:
                state = LSTMState(*(each.index_select(0, plan.order) for each in state))
        scale = None
        if self.aggregate == "mean":
            scale = plan.in_degree.clamp(min=1).to(gates.dtype).reciprocal().unsqueeze(1)
        weight = self._neighbor_weight()
        for step in range(self.num_steps):
            whole, cell = (gates, None) if state is None else self._with_old(gates, plan, state, weight, scale)
            last = step == self.num_steps - 1
            state = LSTMState(*run_levels(plan, whole, cell, weight, scale, by_place=not last))
        assert state is not None, "there is at least one pass"
        return state

    def _with_old(
        self, gates: Tensor, plan: NeighborPlan, state: LSTMState, weight: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Gates and cell with all that the old states give: each node's own, and its stale neighbours'."""
        assert self.weight_own is not None, "a state is refused where there is no V"
        h, source, target = self.hidden_size, plan.stale_source, plan.stale_target
        own = gates + linear(state.hidden, self._turned(self.weight_own))
        kept = own[:, :h].sigmoid() * state.cell
        heard = torch.zeros_like(state.hidden).index_add(0, target, state.hidden.index_select(0, source))
        forget = linear(state.hidden, weight[:h]).index_select(0, source) + gates[:, :h].index_select(0, target)
        arriving = forget.sigmoid() * state.cell.index_select(0, source)
        remembered = torch.zeros_like(state.cell).index_add(0, target, arriving)
        if scale is not None:
            heard, remembered = heard * scale, remembered * scale
        # The neighbours' forget gates see no old state of the node itself.
        whole = torch.cat([gates[:, :h], own[:, h:] + linear(heard, weight[h:])], dim=1)
        return whole, kept + remembered

    def _turned(self, rows: Tensor) -> Tensor:
        """Rows i, f, g, o as f, i, o, g."""
        i, f, g, o = rows.chunk(4)
        return torch.cat([f, i, o, g])

    def _neighbor_weight(self) -> Tensor:
        if self.arity is None:
            return self._turned(self.weight_hh)
        h = self.hidden_size
        i, f, g, o = torch.split(self.weight_hh, [h, self.arity * h, h, h])
        return torch.cat([f, i, o, g])

    def _plan(
        self, graph: Adjacency | Tensor | NeighborPlan, x: Tensor, confidence: Tensor | None, position: Tensor | None
    ) -> NeighborPlan:
        copies, num_nodes = math.prod(x.shape[:-2]), x.size(-2)
        if isinstance(graph, NeighborPlan):
            return self._checked_plan(graph, copies * num_nodes, confidence, position)
        if isinstance(graph, Adjacency) and graph.num_nodes != num_nodes:
            raise ValueError(f"the graph has {graph.num_nodes} nodes but the features have {num_nodes} rows")
        if confidence is not None and confidence.shape != x.shape[:-1]:
            raise ValueError(f"confidence must have shape {tuple(x.shape[:-1])}, got {tuple(confidence.shape)}")

        def compute() -> NeighborPlan:
            edges, where = graph, position
            if x.dim() > 2:
                edges = _copies(graph, copies, num_nodes)
                where = None if position is None else position.repeat(copies)
            sure = None if confidence is None else confidence.flatten()
            return NeighborPlan.of(
                edges, self.schedule, num_nodes=copies * num_nodes, confidence=sure, arity=self.arity, position=where
            )

        if isinstance(graph, Adjacency) and confidence is None and position is None:
            return graph._keep(("neighbor plan", self.schedule, self.arity, copies), compute)
        return compute()

    def _checked_plan(
        self, plan: NeighborPlan, num_nodes: int, confidence: Tensor | None, position: Tensor | None
    ) -> NeighborPlan:
        if confidence is not None or position is not None:
            raise ValueError("confidence and positions are in the plan already; leave them out")
        if plan.num_nodes != num_nodes:
            raise ValueError(f"the plan is of {plan.num_nodes} nodes, the features of {num_nodes}")
        arity = None if plan.slots is None else plan.slots.size(1)
        if (plan.schedule, arity) != (self.schedule, self.arity):
            raise ValueError(
                f"the plan has schedule={plan.schedule!r} and arity={arity}, "
                f"the layer schedule={self.schedule!r} and arity={self.arity}"
            )
        return plan

    def _checked_features(self, x: Tensor) -> torch.Size:
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a torch.Tensor, got {type(x).__name__}")
        if x.dim() < 2 or x.size(-1) != self.in_channels:
            raise ValueError(f"x must have shape (*, num_nodes, {self.in_channels}), got {tuple(x.shape)}")
        if x.dtype != self.weight_ih.dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(f"x is {x.dtype} and the weights {self.weight_ih.dtype}; convert one of them")
        return x.shape[:-2]

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        options = f"schedule={self.schedule!r}, arity={self.arity}, aggregate={self.aggregate!r}"
        return f"{self.in_channels}, {self.hidden_size}, {options}, num_steps={self.num_steps}"


def _copies(graph: Adjacency | Tensor, copies: int, num_nodes: int) -> Tensor:
    """The edges of the graph as often as asked, as components of one."""
    edge_index = unweighted_edges(graph) if isinstance(graph, Adjacency) else checked_edge_index(graph, num_nodes)
    shift = torch.arange(copies, device=edge_index.device).repeat_interleave(edge_index.size(1)) * num_nodes
    return edge_index.repeat(1, copies) + shift


def _check_options(
    in_channels: int, hidden_size: int, schedule: str, arity: int | None, aggregate: str, num_steps: int
) -> None:
    if in_channels < 1 or hidden_size < 1 or num_steps < 1:
        sizes = f"{in_channels}, {hidden_size} and {num_steps}"
        raise ValueError(f"in_channels, hidden_size and num_steps must be 1 or more, got {sizes}")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if aggregate not in ("sum", "mean"):
        raise ValueError(f"aggregate must be 'sum' or 'mean', got {aggregate!r}")
    if schedule == "topological" and num_steps > 1:
        raise ValueError(f"a topological pass leaves nothing to pass on, so num_steps is 1, got {num_steps}")
    if arity is not None and (arity < 1 or schedule != "topological" or aggregate != "sum"):
        given = f"arity={arity}, schedule={schedule!r}, aggregate={aggregate!r}"
        raise ValueError(
            f"an arity is 1 or more, and goes with schedule='topological' and aggregate='sum', got {given}"
        )
