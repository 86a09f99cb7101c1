"""How far information travels: the exact influence of inputs on outputs, by distance.

On a graph the distance is counted in hops, in a sequence in steps back. The influence of an input is the
norm of the Jacobian of an output with respect to it.

References: Xu et al., "Representation Learning on Graphs with Jumping Knowledge Networks", ICML 2018,
https://arxiv.org/abs/1806.03536, definition 3.1; Liang et al., "Towards Quantifying Long-Range Interactions in
Graph Machine Learning", ICLR 2026, https://arxiv.org/abs/2503.09008; Bamberger et al., "On Measuring
Long-Range Interactions in Graph Neural Networks", ICML 2025, https://arxiv.org/abs/2506.05971.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from gnnkit.diagnostics.cone_flow import influence_by_hop_and_step
from gnnkit.diagnostics.hop_flow import Problem, ProgressSink, checked_features, influence_by_hop
from gnnkit.diagnostics.influence import Flow
from gnnkit.diagnostics.jacobian import Norm
from gnnkit.diagnostics.step_flow import Of, influence_by_step
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_node_ids
from gnnkit.nn.pruned import Edges

By = Literal["hop", "step"] | tuple[Literal["hop"], Literal["step"]]
_MEMORY = 1 << 26  # more is no faster


def flow(
    model: nn.Module,
    x: Any,
    graph: Any = None,
    nodes: Tensor | Sequence[int] | None = None,
    *,
    by: By = "hop",
    norm: Norm = "l1",
    of: Of = "input",
    dtype: torch.dtype | None = None,
    edge_attr: Tensor | None = None,
    memory: int = _MEMORY,
    progress: ProgressSink | None = None,
) -> Flow:
    r"""How strongly inputs h hops away, or s steps ago, move a model's output: exact, in evaluation mode.

    Models of gnnkit and those of PyG that :func:`gnnkit.prune` takes run on the receptive fields of many
    nodes side by side, with the full graph's degrees; any other model on the whole graph.

    Args:
        model: For ``by="hop"`` called as ``model(x, graph)``, PyG's as ``model(x, edge_index)``; for
            ``by="step"`` a model or cell of ``recurrent``, or another module from ``(B, T, F)`` to outputs; for
            both a model of sequences on nodes, as :class:`gnnkit.nn.GraphLSTM`, called as ``model(x, graph)``, or a
            :class:`gnnkit.models.SequenceGraph`, whose sequences may differ in length: steps then count back from
            the end of each.
        x: Node features, dense or sparse; or sequences, or token ids, whose embeddings then are the input.
        graph: An :class:`~gnnkit.graph.Adjacency` or a PyG ``Data``; none for ``by="step"``.
        nodes: Distinct node ids, or a boolean mask; all when omitted. With ``by="step"``: which sequences.
        by: ``"hop"``, ``"step"``, or ``("hop", "step")`` for both at once.
        norm: Of a Jacobian block, outputs x inputs: ``"l1"``, the sum of absolute values, or ``"l2"``, the
            Frobenius norm.
        of: ``by="step"`` only: influence of the ``"input"`` at every step, or of the top layer's hidden ``"state"``.
        dtype: Compute in this dtype, ``torch.float64`` say; the model itself stays as it is.
        edge_attr: Features of the edges, for models that take them.
        memory: Bytes that a batch may take; a single node's field is computed whatever it takes.
        progress: Told how many nodes are done.

    Shapes:
        - **x:** :math:`(|\mathcal{V}|, F)`; by step :math:`(B, T, F)` or ids :math:`(B, T)`; by both
          :math:`(T, |\mathcal{V}|, F)`, or :class:`recurrent.Sequences` of features or token ids
        - **influence:** :math:`(S, L + 1)` by hop, zeros beyond reach; :math:`(S, T)` by step, the last step first;
          :math:`(S, H + 1, T)` by both, H the farthest hop with influence

    Raises:
        TypeError: If the model does not give one row per node, or the graph is none.
        ValueError: If a shape or an id does not fit, or an option does not go with ``by``.

    Example:
        >>> from gnnkit.models import GCN
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> found = flow(GCN(1, 4, 2, 1), torch.ones(4, 1), chain, nodes=[3])
        >>> found
        Flow(1 x 3, by hop, l1)
    """
    if norm not in get_args(Norm):
        raise ValueError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}")
    if memory < 1:
        raise ValueError(f"memory must be a positive number of bytes, got {memory}")
    if by == "step":
        if graph is not None or edge_attr is not None:
            raise ValueError('by="step" measures sequences, which have no graph; leave graph and edge_attr out')
        rows = None if nodes is None else checked_node_ids(nodes, len(x), name="nodes")
        influence, rows = influence_by_step(model, x, rows, norm, of, dtype, memory, progress)
        return Flow(influence, ("step",), norm, rows, influence.new_zeros(rows.numel()))
    if by not in ("hop", ("hop", "step")):
        raise ValueError(f'by must be "hop", "step" or ("hop", "step"), got {by!r}')
    if of != "input":
        raise ValueError(f'of={of!r} belongs to by="step"; by hop the influence is that of the input')
    adjacency, edges = _graph(graph, edge_attr)
    chosen = torch.arange(adjacency.num_nodes) if nodes is None else checked_node_ids(nodes, adjacency.num_nodes)
    chosen = chosen.to(adjacency.device)
    if int(torch.bincount(chosen, minlength=1).max()) > 1:
        raise ValueError(f"nodes holds an id twice ({chosen.numel()} ids, fewer distinct); pass nodes.unique()")
    if by == ("hop", "step"):
        if edge_attr is not None:
            raise ValueError("models of sequences on nodes take no features of edges; leave edge_attr out")
        influence, elsewhere = influence_by_hop_and_step(model, x, adjacency, chosen, norm, dtype, progress)
        return Flow(influence, ("hop", "step"), norm, chosen, elsewhere)
    features = checked_features(x, adjacency.num_nodes)
    problem = Problem(model, features, adjacency, edges, dtype, memory)
    influence, elsewhere = influence_by_hop(problem, chosen, norm, memory, progress)
    return Flow(influence, ("hop",), norm, chosen, elsewhere)


def _graph(graph: Any, edge_attr: Tensor | None) -> tuple[Adjacency, Edges]:
    """The graph to count hops on, and the edges as PyG's layers take them, repeated ones apart."""
    if isinstance(graph, Adjacency):
        adjacency, edges = graph, Edges.of(graph, edge_attr)
    elif isinstance(getattr(graph, "edge_index", None), Tensor):
        weight = getattr(graph, "edge_weight", None)
        edges = Edges(graph.edge_index, None if weight is None else weight.view(-1), edge_attr)
        adjacency = Adjacency.from_edge_index(edges.edge_index, edges.edge_weight, num_nodes=int(graph.num_nodes))
    else:
        raise TypeError(
            f"graph must be an Adjacency or a PyG Data with edge_index, got {type(graph).__name__}; "
            "make one with Adjacency.from_edge_index(edge_index, num_nodes=...)"
        )
    if edge_attr is not None and edge_attr.size(0) != edges.edge_index.size(1):
        raise ValueError(
            f"edge_attr must have a row for each of {edges.edge_index.size(1)} edges, got {tuple(edge_attr.shape)}"
        )
    return adjacency, edges
