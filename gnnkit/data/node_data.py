"""A graph whose nodes have features, labels, and a part to play: what node classification is done on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.convert import edges_from_data
from recurrent.sequences import Sequences

if TYPE_CHECKING:
    from gnnkit.data.splits import Split

_MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass(frozen=True, eq=False, repr=False)
class NodeData:
    """Nodes, their edges, features and labels, and which of them train, validate and test.

    Checked once, here, so that nothing downstream checks again.

    Attributes:
        adjacency: The graph.
        x: Node features, floating point; dense, or sparse CSR where most are zero. Or a sequence on every
            node, for models that read them (`gnnkit.models.SequenceGraph`).
        y: Class of each node; -1 where it is not known.
        train_mask: Nodes whose labels train.
        val_mask: Nodes whose labels select the epoch; may be all False.
        test_mask: Nodes whose labels are read once, at the end; may be all False.
        name: What to call the data set in reports.
        class_names: One name per class, if they have names.
        node_names: One name per node, if they have names.

    Shapes:
        - **x:** :math:`(N, F)`, or N :class:`recurrent.Sequences`; **y, train_mask, val_mask, test_mask:** :math:`(N)`

    Raises:
        TypeError: If ``x`` is not floating point, ``y`` not int64, or a mask not bool, or one of them no tensor.
        ValueError: If a shape does not fit the graph, a feature is not finite, a node is in two parts,
            or a node in a part has no label.

    Example:
        >>> from gnnkit.data import load_dataset
        >>> load_dataset("karate")
        NodeData(karate: 34 nodes, 156 edges, 34 features, 4 classes, 4/0/30 train/val/test)
    """

    adjacency: Adjacency
    x: Tensor | Sequences
    y: Tensor
    train_mask: Tensor
    val_mask: Tensor
    test_mask: Tensor
    name: str = "graph"
    class_names: tuple[str, ...] | None = None
    node_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.adjacency, Adjacency):
            raise TypeError(f"adjacency must be an Adjacency, got {type(self.adjacency).__name__}")
        _check_features(self.x, self.num_nodes)
        _check_labels(self.y, self.num_nodes)
        for mask in _MASKS:
            _check_mask(mask, getattr(self, mask), self.y)
        _check_disjoint(self.train_mask, self.val_mask, self.test_mask)
        largest = int(self.y.max()) if self.y.numel() else -1
        if self.class_names is not None and len(self.class_names) <= largest:
            raise ValueError(
                f"class_names must name every class, got {len(self.class_names)} names and the label {largest}"
            )
        if self.node_names is not None and len(self.node_names) != self.num_nodes:
            raise ValueError(f"node_names must name {self.num_nodes} nodes, got {len(self.node_names)} names")

    @property
    def num_nodes(self) -> int:
        """How many nodes the graph has."""
        return self.adjacency.num_nodes

    @property
    def num_features(self) -> int:
        """How many features each node has, or each step of its sequence; of token ids, how many there are."""
        return self.x.num_features if isinstance(self.x, Sequences) else self.x.size(1)

    @property
    def num_classes(self) -> int:
        """How many classes there are: as many as have names, else the largest label and one."""
        if self.class_names is not None:
            return len(self.class_names)
        return int(self.y.max()) + 1 if self.y.numel() else 0

    def to(self, device: torch.device | str) -> NodeData:
        """The same data on another device."""
        tensors = {field: getattr(self, field).to(device) for field in ("x", "y", *_MASKS)}
        return replace(self, adjacency=self.adjacency.to(device=device), **tensors)

    def with_split(self, split: Split) -> NodeData:
        """The same data with other nodes to train, validate and test on (see `gnnkit.data.splits`)."""
        return replace(self, **split._asdict())

    def to_data(self) -> Any:
        """The same as a `torch_geometric.data.Data` with the attributes of PyG's own data sets.

        ``x`` is dense, as PyG's loaders expect it; ``edge_weight`` is there only if a weight is not 1.

        Raises:
            ValueError: If there are sequences on the nodes.
        """
        from torch_geometric.data import Data

        if isinstance(self.x, Sequences):
            raise ValueError(f"PyG's Data holds a row of features per node, got {self.x}; pad them: x.padded()")
        edge_index, edge_weight = self.adjacency.to_edge_index()
        data = Data(x=self.x.to_dense(), edge_index=edge_index, y=self.y)
        for mask in _MASKS:
            data[mask] = getattr(self, mask)
        if self.adjacency.is_weighted:
            data.edge_weight = edge_weight
        return data

    @classmethod
    def from_data(
        cls,
        data: Any,
        *,
        name: str = "graph",
        class_names: Sequence[str] | None = None,
        node_names: Sequence[str] | None = None,
    ) -> NodeData:
        """A `torch_geometric.data.Data` with ``x`` and ``edge_index``, and what it has of the rest.

        Args:
            data: Without ``y``, no label is known; without a mask, no node plays that part. Weights are
                taken as `Adjacency.from_data` takes them; absent ones are ones of the features' dtype.
            name: What to call it.
            class_names: Names of the classes.
            node_names: Names of the nodes.

        Raises:
            TypeError, ValueError: As the class does, and if ``x`` or ``edge_index`` is missing.
        """
        for needed in ("x", "edge_index"):
            if data.get(needed) is None:
                raise ValueError(f"data has no {needed}, only {sorted(data.keys())}; set data.{needed} first")
        for field in ("x", "y", *_MASKS):
            if (given := data.get(field)) is not None:
                _check_tensor(f"data.{field}", given)
        x = data.x.to_sparse_csr() if data.x.layout == torch.sparse_coo else data.x
        num_nodes = x.size(0)
        y = torch.full((num_nodes,), -1, device=x.device) if data.get("y") is None else data.y
        masks = {}
        for mask in _MASKS:
            given = data.get(mask)
            if given is not None and given.dim() == 2:
                raise ValueError(
                    f"{mask} has shape {tuple(given.shape)}, a column per split; keep one: data.{mask}[:, 0]"
                )
            masks[mask] = torch.zeros(num_nodes, dtype=torch.bool, device=x.device) if given is None else given
        edge_index, edge_weight, counted = edges_from_data(data)
        if edge_weight is None and x.is_floating_point():
            edge_weight = torch.ones(edge_index.shape[-1:], dtype=x.dtype, device=edge_index.device)
        return cls(
            adjacency=Adjacency.from_edge_index(edge_index, edge_weight, num_nodes=counted),
            x=x,
            y=y.squeeze(1) if y.dim() == 2 and y.size(1) == 1 else y,
            **masks,
            name=name,
            class_names=None if class_names is None else tuple(class_names),
            node_names=None if node_names is None else tuple(node_names),
        )

    def __repr__(self) -> str:
        parts = "/".join(str(int(getattr(self, mask).sum())) for mask in _MASKS)
        return (
            f"NodeData({self.name}: {self.num_nodes} nodes, {self.adjacency.num_edges} edges, "
            f"{self.num_features} features, {self.num_classes} classes, {parts} train/val/test)"
        )


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}; make one with torch.as_tensor")


def _check_features(x: Tensor | Sequences, num_nodes: int) -> None:
    if isinstance(x, Sequences):
        if len(x) != num_nodes:
            raise ValueError(f"x must have a sequence for each of {num_nodes} nodes, got {len(x)}")
        _check_finite(x.values)
        return
    _check_tensor("x", x)
    if not x.dtype.is_floating_point:
        raise TypeError(f"x must be floating point, got {x.dtype}; convert it with x.float()")
    if x.layout not in (torch.strided, torch.sparse_csr):
        raise ValueError(f"x must be dense or sparse CSR, got layout {x.layout}; use x.to_sparse_csr()")
    if x.dim() != 2 or x.size(0) != num_nodes:
        raise ValueError(f"x must have a row for each of {num_nodes} nodes, got shape {tuple(x.shape)}")
    _check_finite(x.values() if x.layout == torch.sparse_csr else x)


def _check_finite(values: Tensor) -> None:
    # A part at a time: what is memory-mapped may be larger than memory.
    count = sum(int((~part.isfinite()).sum()) for part in torch.split(values, 1 << 16)) if values.numel() else 0
    if count:
        raise ValueError(f"x must be finite, got {count} values that are NaN or infinite")


def _check_labels(y: Tensor, num_nodes: int) -> None:
    _check_tensor("y", y)
    if y.dtype != torch.int64:
        raise TypeError(f"y must be int64 class numbers, got {y.dtype}")
    if y.shape != (num_nodes,):
        raise ValueError(f"y must have shape ({num_nodes},), got {tuple(y.shape)}")
    if num_nodes and int(y.min()) < -1:
        raise ValueError(f"y must be class numbers from 0, or -1 where unknown, got {int(y.min())}")


def _check_mask(name: str, mask: Tensor | None, y: Tensor) -> None:
    if mask is None:
        raise TypeError(
            f"{name} must be a torch.Tensor, got None; torch.zeros_like(y, dtype=torch.bool) selects no node"
        )
    _check_tensor(name, mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be bool, got {mask.dtype}")
    if mask.shape != y.shape:
        raise ValueError(f"{name} must have shape {tuple(y.shape)}, got {tuple(mask.shape)}")
    unlabelled = mask & (y < 0)
    if bool(unlabelled.any()):
        raise ValueError(f"{name} has node {int(unlabelled.nonzero()[0])}, whose label is not known (-1)")


def _check_disjoint(train_mask: Tensor, val_mask: Tensor, test_mask: Tensor) -> None:
    twice = (train_mask & val_mask) | (train_mask & test_mask) | (val_mask & test_mask)
    if bool(twice.any()):
        raise ValueError(f"node {int(twice.nonzero()[0])} is in two of train_mask, val_mask and test_mask")
