r"""LSTM and GRU on the nodes of a graph, mixed with their neighbours at every step.

.. code-block:: text

    gates_t = Z(X_t) W_x + Z(H_{t-1}) W_h + b,  Z(H) = [H, S_1 H, ..., S_M H]

The published models are settings of these two: GConvLSTM and GConvGRU (``operator="chebyshev"``),
DCRNN (``GraphGRU(operator="diffusion", reset="before")``), T-GCN (``GraphGRU(operator="gcn", K=1,
reset="before")``).

References: Seo et al., 2016, https://arxiv.org/abs/1612.07659; Li et al., ICLR 2018,
https://arxiv.org/abs/1707.01926; Zhao et al., "T-GCN", IEEE T-ITS 2020, https://arxiv.org/abs/1811.05320.
"""

from __future__ import annotations

from torch import Tensor, nn

from gnnkit.nn.graph_cells import GraphGRUCell, GraphLSTMCell, Reset
from gnnkit.nn.graph_recurrent import GraphRecurrent, Graphs
from gnnkit.nn.operators import Operator
from recurrent.cells import HiddenState, LSTMState


class GraphLSTM(GraphRecurrent):
    r"""An LSTM on every node whose gates see the neighbourhood; called as ``nn.LSTM``.

    Args:
        in_channels: Features per node and step.
        hidden_size: Units per node.
        operator: What a node hears: ``"chebyshev"``, ``"gcn"`` or ``"diffusion"``, see `gnnkit.nn.operators`; or
            ``"attention"``, as a GAT attends to the inputs and to the states, see `gnnkit.nn.attention_terms`.
        K: Hops: the highest power of S. PyG's ``ChebConv(K)`` counts terms and is our K - 1. With 0 the
            graph plays no part, and the weights are those of ``nn.LSTMCell``.
        num_layers: Layers; each reads what the one below puts out.
        bidirectional: Two cells a layer; one reads from the end.
        peephole: i and f see c_{t-1}, o sees c_t, as in Seo et al.
        missing_indicator: Append to the inputs a flag for each that is missing.
        phased: Every unit has a clock and updates while it is open; needs ``times``.
        state_hops: Hops that states travel in a step; K where None. With 0 only inputs are mixed, as in T-GCN.
        checkpoint_every: Keep the states of every so many steps only, and compute the others again in the
            backward pass: for long sequences. None keeps all.

    Shapes:
        - **x:** :math:`(B, T, N, F)` or :math:`(T, N, F)`
        - **output:** :math:`(B, T, N, H \cdot directions)` or without B
        - **state:** ``(hidden, cell)``, each :math:`(layers \cdot directions, B, N, H)` or without B

    Example:
        >>> import torch
        >>> from gnnkit.graph import Adjacency
        >>> graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> out, state = GraphLSTM(2, 4)(torch.rand(5, 3, 2), graph)
        >>> out.shape, state.hidden.shape
        (torch.Size([5, 3, 4]), torch.Size([1, 3, 4]))
    """

    _state_type = LSTMState

    def __init__(
        self,
        in_channels: int,
        hidden_size: int,
        *,
        operator: Operator = "chebyshev",
        K: int = 2,
        num_layers: int = 1,
        bidirectional: bool = False,
        peephole: bool = False,
        missing_indicator: bool = False,
        phased: bool = False,
        state_hops: int | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        self._peephole = peephole
        super().__init__(
            in_channels,
            hidden_size,
            operator=operator,
            K=K,
            num_layers=num_layers,
            bidirectional=bidirectional,
            missing_indicator=missing_indicator,
            phased=phased,
            state_hops=state_hops,
            checkpoint_every=checkpoint_every,
        )

    def _cell(self, in_channels: int) -> nn.Module:
        sizes = in_channels, self.hidden_size, self.input_terms, self.state_terms
        return GraphLSTMCell(*sizes, peephole=self._peephole)

    def forward(
        self,
        x: Tensor,
        graph: Graphs,
        state: LSTMState | None = None,
        *,
        observed: Tensor | None = None,
        times: Tensor | None = None,
        present: Tensor | None = None,
    ) -> tuple[Tensor, LSTMState]:
        """Whole sequences: every output and the last state.

        Args:
            x: Features of every node at every step.
            graph: One graph, or a sequence of T of them, each step's own.
            state: What to start from; zeros when omitted.
            observed: Which features were observed, booleans of x's shape: the last observed value is
                carried on, 0 before the first. What is not observed is not read.
            times: When each step happens, ``(B, T)``, or at each node, ``(B, T, N)``; for ``phased``.
            present: Which nodes are there, ``(B, T, N)``: an absent one sends nothing, its state waits and
                its output stays, and degrees are those of the graph without it.

        Raises:
            ValueError: If a shape does not fit, or a weight of the graph is negative.
            TypeError: If dtypes differ, a mask is not boolean, or the state is of another kind.
        """
        out, last = self.run(x, graph, state, observed, times, present)
        return out, last


class GraphGRU(GraphRecurrent):
    r"""A GRU on every node whose gates see the neighbourhood; called as ``nn.GRU``.

    Arguments, shapes and errors are those of `GraphLSTM`; the state is ``(hidden,)``.

    Args:
        in_channels: Features per node and step.
        hidden_size: Units per node.
        operator: What a node hears.
        K: Hops.
        num_layers: Layers.
        bidirectional: Two cells a layer; one reads from the end.
        reset: ``"after"``: r scales what the neighbourhood's states give, as ``torch.nn.GRU`` has it, one
            product a step. ``"before"``: r scales the states themselves, as the papers have it, two products.
        missing_indicator: Append to the inputs a flag for each that is missing.
        phased: Every unit has a clock and updates while it is open; needs ``times``.
        state_hops: Hops that states travel in a step; K where None. With 0 only inputs are mixed, as in T-GCN.
        checkpoint_every: Keep the states of every so many steps only.
    """

    _state_type = HiddenState

    def __init__(
        self,
        in_channels: int,
        hidden_size: int,
        *,
        operator: Operator = "chebyshev",
        K: int = 2,
        num_layers: int = 1,
        bidirectional: bool = False,
        reset: Reset = "after",
        missing_indicator: bool = False,
        phased: bool = False,
        state_hops: int | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        self._reset: Reset = reset
        super().__init__(
            in_channels,
            hidden_size,
            operator=operator,
            K=K,
            num_layers=num_layers,
            bidirectional=bidirectional,
            missing_indicator=missing_indicator,
            phased=phased,
            state_hops=state_hops,
            checkpoint_every=checkpoint_every,
        )

    def _cell(self, in_channels: int) -> nn.Module:
        sizes = in_channels, self.hidden_size, self.input_terms, self.state_terms
        return GraphGRUCell(*sizes, reset=self._reset)

    def forward(
        self,
        x: Tensor,
        graph: Graphs,
        state: HiddenState | None = None,
        *,
        observed: Tensor | None = None,
        times: Tensor | None = None,
        present: Tensor | None = None,
    ) -> tuple[Tensor, HiddenState]:
        """Whole sequences: every output and the last state; see `GraphLSTM.forward`."""
        out, last = self.run(x, graph, state, observed, times, present)
        return out, last
