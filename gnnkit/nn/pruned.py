"""A PyG model run on the receptive field of the nodes whose rows are wanted, exactly.

What L message-passing layers give at some nodes depends on the nodes within L hops of them alone. The
model runs on those, along every edge that enters a node within L - 1 hops; rows at the rim come out
wrong and are never read. Graph convolutions get weights normalised by the full graph's degrees.

The idea is that of PyG's ``trim_to_layer`` and DGL's full-neighbour sampler; this one needs no
sampler, no extra library and no change to the model.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import receptive_field
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.prunable import NORMALIZED, described, prunable_layers
from gnnkit.nn.rows import check_same_rows


class Edges(NamedTuple):
    """What PyG calls a graph: ``edge_index`` (2, E), its weights (E) if there are any, and its features (E, ...)."""

    edge_index: Tensor
    edge_weight: Tensor | None
    edge_attr: Tensor | None

    @classmethod
    def of(cls, graph: Adjacency, edge_attr: Tensor | None = None) -> Edges:
        """Those of an ``Adjacency``, in the order of its ``to_edge_index``; without weights where all are 1."""
        edge_index, edge_weight = graph.to_edge_index()
        return cls(edge_index, edge_weight if graph.is_weighted else None, edge_attr)


def prune(model: nn.Module, graph: Any, nodes: Tensor | Sequence[int], *, edge_attr: Tensor | None = None) -> Pruned:
    r"""``model`` made to compute the rows of ``nodes`` only: the same numbers and gradients, from fewer nodes.

    The weights are the model's own, so training what is returned trains the model. A layer may run
    once per call. What a model does outside its modules (a mean over all rows, say) cannot be seen
    here: :meth:`Pruned.check` compares with the full graph.

    Args:
        model: Called as ``model(x, edge_index)``, with ``edge_weight=`` where the graph has weights and
            ``edge_attr=`` where that is given.
        graph: An :class:`~gnnkit.graph.Adjacency`, or a PyG ``Data`` (its ``edge_index``, and its
            ``edge_weight`` if it has one, which may be learned), whose repeated edges stay apart.
        nodes: Distinct node ids, or a boolean mask.
        edge_attr: Features of the edges, in the order of the graph's ``edge_index``
            (:meth:`~gnnkit.graph.Adjacency.to_edge_index` for an ``Adjacency``).

    Raises:
        TypeError: If ``model`` is no module, or ``graph`` no graph.
        ValueError: If a module of the model does not qualify, naming it: a message-passing layer that is
            not known to be exact, ``flow="target_to_source"``, a norm over nodes in training mode, global
            pooling, virtual nodes. Also if an id is not a node, ``edge_attr`` has not a row per edge, or the
            model ignores the weights or features of edges that there are.

    Example:
        >>> from torch_geometric.nn import GraphSAGE
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> pruned = prune(GraphSAGE(8, 16, 1, 2), chain, [2])
        >>> pruned
        Pruned(GraphSAGE: 1 row from 2 of 4 nodes, 1 of 3 edges)
        >>> pruned(torch.rand(4, 8)).shape
        torch.Size([1, 2])
    """
    check_module(model)
    layers = prunable_layers(model)
    if isinstance(graph, Adjacency):
        adjacency, edges = graph, Edges.of(graph, edge_attr)
    else:
        edges = _edges_of(graph, edge_attr)
        adjacency = Adjacency.from_edge_index(edges.edge_index, num_nodes=_num_nodes(graph))
    if edge_attr is not None and edge_attr.size(0) != edges.edge_index.size(1):
        raise ValueError(
            f"edge_attr must have a row for each of {edges.edge_index.size(1)} edges, got {tuple(edge_attr.shape)}; "
            "an Adjacency sums repeated edges: pass a Data whose edges repeat"
        )
    check_takes(model, edges)
    field = receptive_field(adjacency, nodes, len(layers))
    return Pruned(model, edges, adjacency.num_nodes, field.targets, field.nodes, field.hops < len(layers))


class Pruned(nn.Module):
    """A model on the receptive field of some nodes; made by :func:`prune`.

    Attributes:
        model: The model itself, not a copy.
        targets: The nodes whose rows come out, ``(S)``.
        nodes: The nodes that go in, ascending, ``(M)``.
    """

    targets: Tensor
    nodes: Tensor
    _rows: Tensor  # of the targets, among the nodes
    _position: Tensor  # of every node of the graph, among the nodes; -1 where it is none of them
    _inner: Tensor  # whether a node lies within L - 1 hops, so that its row is computed
    _kept: Tensor  # the edges entering those
    _edge_index: Tensor
    _edge_attr: Tensor | None
    _full_edge_index: Tensor
    _full_edge_weight: Tensor | None
    _full_edge_attr: Tensor | None

    def __init__(
        self, model: nn.Module, edges: Edges, num_nodes: int, targets: Tensor, nodes: Tensor, entered: Tensor
    ) -> None:
        super().__init__()
        self.model, self.num_nodes = model, num_nodes
        inner = torch.zeros(num_nodes, dtype=torch.bool, device=nodes.device)
        inner[nodes[entered]] = True
        # Ascending, so that the rows of a field of all nodes are those of the graph, and edges keep their order.
        nodes = nodes.sort().values
        position = torch.full((num_nodes,), -1, dtype=torch.int64, device=nodes.device)
        position[nodes] = torch.arange(nodes.numel(), device=nodes.device)
        kept = torch.nonzero(inner[edges.edge_index[1]]).view(-1)
        tensors = {
            "targets": targets,
            "nodes": nodes,
            "_rows": position[targets],
            "_position": position,
            "_inner": inner,
            "_kept": kept,
            "_edge_index": position[edges.edge_index[:, kept]],
            "_edge_attr": None if edges.edge_attr is None else edges.edge_attr[kept],
            "_full_edge_index": edges.edge_index,
            "_full_edge_weight": edges.edge_weight,
            "_full_edge_attr": edges.edge_attr,
        }
        for name, tensor in tensors.items():  # buffers, so that they follow the model to another device
            self.register_buffer(name, tensor, persistent=False)
        self._normalized: dict[Any, tuple[Tensor, Tensor]] = {}

    def select(self, x: Tensor | SparseMatrix) -> Tensor:
        """The rows of ``x`` that go in, ``(N, ...) -> (M, ...)``, dense: once, so that no step pays for it.

        Raises:
            ValueError: If there is not one row per node of the graph.
        """
        if x.shape[0] != self.num_nodes:
            raise ValueError(f"x must have a row for each of {self.num_nodes} nodes, got {tuple(x.shape)}")
        if isinstance(x, Tensor) and x.layout == torch.strided:
            return x[self.nodes]
        matrix = x if isinstance(x, SparseMatrix) else SparseMatrix.from_tensor(x)
        return matrix.select_rows(self.nodes).to_dense()

    def forward(self, x: Tensor) -> Tensor:
        """The model's rows at the targets, ``(S, ...)``, in their order.

        Args:
            x: The features of all nodes, ``(N, ...)``, or those that :meth:`select` gives, ``(M, ...)``.

        Raises:
            ValueError: If a module does not qualify (a norm since put in training mode), runs twice, or
                is given other edges or rows than the graph's, naming it.
            TypeError: If the model does not return one row per node.
        """
        layers = prunable_layers(self.model)
        if x.size(0) != self.nodes.numel():
            x = self.select(x)
        weight = self._full_edge_weight
        weight = None if weight is None else weight[self._kept]
        edges = Edges(self._edge_index, weight, self._edge_attr)
        with self._on_the_field(layers, edges):
            out = call(self.model, x, edges)
        if not isinstance(out, Tensor) or out.dim() == 0 or out.size(0) != x.size(0):
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise TypeError(
                f"{type(self.model).__name__} must return a row for each of the {x.size(0)} nodes it is given, "
                f"got {got}; only such models can be pruned"
            )
        return out[self._rows]

    def check(self, x: Tensor | SparseMatrix) -> None:
        """Compare with the full graph, in evaluation mode and in the mode the model is in, without dropout.

        Costs two forward passes, in training mode four; the model, its buffers and the random state stay as
        they were. A model that draws random numbers beside dropout's cannot be compared in training mode.

        Raises:
            ValueError: As a call does, or if the rows differ by more than rounding, so that the model mixes
                rows outside its message-passing layers.
        """
        every = torch.arange(self.num_nodes, device=self.nodes.device)
        edges = Edges(self._full_edge_index, self._full_edge_weight, self._full_edge_attr)
        whole = Pruned(self.model, edges, self.num_nodes, self.targets, every, torch.ones_like(every, dtype=torch.bool))
        selected, features = self.select(x), whole.select(x)
        check_same_rows(self.model, lambda: self(selected), lambda: whole(features))

    @contextmanager
    def _on_the_field(self, layers: dict[str, nn.Module], edges: Edges) -> Iterator[None]:
        """For one call, look at what every layer is given, and give the graph's own normalised weights."""
        seen: set[str] = set()
        gradients = torch.is_grad_enabled()
        with ExitStack() as stack:
            for name, layer in layers.items():
                normalize = type(layer).__name__ in NORMALIZED and bool(layer.normalize)
                if normalize:
                    stack.callback(setattr, layer, "normalize", True)
                    layer.normalize = False  # type: ignore[assignment]  # so its cache is neither read nor filled
                hook = partial(self._enter, name, normalize, edges, seen, gradients)
                stack.callback(layer.register_forward_pre_hook(hook, with_kwargs=True, prepend=True).remove)
            yield

    def _enter(
        self,
        name: str,
        normalize: bool,
        edges: Edges,
        seen: set[str],
        gradients: bool,
        layer: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        what = described(name, layer)
        if name in seen:
            raise ValueError(
                f"{what} runs twice in one call, so it sees farther than one hop; use the full graph instead"
            )
        seen.add(name)
        bound = inspect.signature(layer.forward).bind(*args, **kwargs)
        given = bound.arguments
        if given["edge_index"] is not edges.edge_index:
            raise ValueError(
                f"{what} is given other edges than the graph's (dropped, added or reversed within the model), and "
                "the receptive field is the graph's; use the full graph instead"
            )
        x = given["x"]
        rows = x.size(cast(int, layer.node_dim)) if isinstance(x, Tensor) else self.nodes.numel()
        if rows != self.nodes.numel():
            raise ValueError(
                f"{what} is given {rows} rows, not those of the {self.nodes.numel()} nodes of the receptive field; "
                "the model must take its rows from x"
            )
        if normalize:
            if gradients and not torch.is_grad_enabled():
                raise ValueError(
                    f"{what} runs without gradients within a call that has them; a reentrant checkpoint would run it "
                    "again, in the backward pass, without the full graph's weights; use the full graph instead"
                )
            weight = given.get("edge_weight")
            if weight is not None and weight is not edges.edge_weight:
                raise ValueError(
                    f"{what} is given weights computed within the model, whose sums over the full graph are not known "
                    "on the receptive field; use the full graph instead"
                )
            given["edge_index"], given["edge_weight"] = self._normalized_for(layer, weight is not None, x.dtype)
        return bound.args, bound.kwargs

    def _normalized_for(self, layer: Any, weighted: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The full graph's normalised edges that enter the inner nodes, as this layer would have made them."""
        improved = bool(getattr(layer, "improved", False))
        key = (improved, bool(layer.add_self_loops), weighted, dtype)
        known = self._normalized.get(key)
        if known is not None:
            return known
        from torch_geometric.nn.conv.gcn_conv import gcn_norm

        full, given = self._full_edge_index, self._full_edge_weight
        learned = weighted and given is not None and given.requires_grad

        def compute() -> tuple[Tensor, Tensor]:
            index, weight = gcn_norm(
                full, given if weighted else None, self.num_nodes, improved, layer.add_self_loops, layer.flow, dtype
            )
            kept = torch.nonzero(self._inner[index[1]]).view(-1)
            return self._position[index[:, kept]], weight[kept]

        if learned:
            return compute()
        with torch.inference_mode(False), torch.no_grad():
            self._normalized[key] = compute()
        return self._normalized[key]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Pruned:
        self._normalized.clear()  # of the device and dtype that the buffers leave
        return cast(Pruned, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        rows, edges = self.targets.numel(), self._full_edge_index.size(1)
        return (
            f"Pruned({type(self.model).__name__}: {rows} row{'' if rows == 1 else 's'} from {self.nodes.numel()} of "
            f"{self.num_nodes} nodes, {self._kept.numel()} of {edges} edges)"
        )


def call(model: nn.Module, x: Tensor, edges: Edges) -> Any:
    """``model(x, edge_index)``, with the weights and features of the edges by name where there are any."""
    named = {"edge_weight": edges.edge_weight, "edge_attr": edges.edge_attr}
    return model(x, edges.edge_index, **{name: value for name, value in named.items() if value is not None})


def check_module(model: object) -> None:
    """Raise TypeError unless ``model`` is a ``torch.nn.Module``."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, such as GCN(...) of gnnkit.models, got {type(model).__name__}"
            f"{': make one of the class first' if isinstance(model, type) else ''}"
        )


def check_takes(model: nn.Module, edges: Edges) -> None:
    """Raise ValueError if the edges have weights or features and the model takes none."""
    parameters = inspect.signature(model.forward).parameters
    any_name = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    unweighted = 'without weights (made with coalesce="max" where they count repeated edges)'
    for name, fix in (("edge_weight", unweighted), ("edge_attr", "without edge_attr=")):
        # PyG's ready models have both arguments, and ignore what their layers do not support.
        takes = (any_name or name in parameters) and getattr(model, f"supports_{name}", True)
        if getattr(edges, name) is not None and not takes:
            raise ValueError(f"the graph has {name}, and {type(model).__name__} takes none; pass the graph {fix}")


def _edges_of(data: Any, edge_attr: Tensor | None) -> Edges:
    if not isinstance(getattr(data, "edge_index", None), Tensor):
        raise TypeError(
            f"graph must be an Adjacency or a PyG Data with edge_index, got {type(data).__name__}; "
            "make one with Adjacency.from_edge_index(edge_index, num_nodes=...)"
        )
    weight = getattr(data, "edge_weight", None)
    return Edges(data.edge_index, None if weight is None else weight.view(-1), edge_attr)


def _num_nodes(data: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyG warns, then guesses the largest id + 1
        try:
            return int(data.num_nodes)
        except UserWarning:
            raise ValueError(
                "this Data has neither num_nodes nor node features, so its nodes cannot be counted; set num_nodes"
            ) from None
