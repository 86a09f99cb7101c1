"""Mini-batches of a graph: some nodes at a time, with the neighbours drawn for them.

`NeighborLoader` gives what PyG's loader of that name gives, without pyg-lib and torch-sparse;
`BlockLoader` gives blocks, on which the models of gnnkit run. A batch is determined by the seed, the
epoch and its place, so the number of worker processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gnnkit.data.node_data import NodeData
from gnnkit.graph.sampled_block import BlockSampler, SampledBlock
from gnnkit.graph.sampling import Backend, EnteringRows, NeighborSampler, Sample
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.validation import checked_node_ids, checked_seed
from gnnkit.graph.walk import IntArray, ranges

if TYPE_CHECKING:
    from torch_geometric.data import Data

SubgraphType = Literal["directional", "bidirectional", "induced"]
_MASKS = ("train_mask", "val_mask", "test_mask")


class Place(NamedTuple):
    """Which batch: its epoch, its place in it, and the positions of its nodes among the input nodes."""

    epoch: int
    number: int
    positions: IntArray


class SeedOrder(Sampler[Place]):
    """The input nodes of every batch of an epoch, in the order of its own shuffle; or one process's share of them.

    Of ``share`` (r, n), the r-th of n processes gets the r-th of n nearly equal pieces of every batch, and passes
    over a batch of which its piece is empty.

    Attributes:
        epoch: The epoch that the next iteration is of; every iteration begins a new one.
    """

    def __init__(
        self,
        num_inputs: int,
        batch_size: int,
        *,
        shuffle: bool,
        drop_last: bool,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
        if len(share) != 2 or not 0 <= share[0] < share[1]:
            raise ValueError(f"share must be a process's rank, from 0, and how many there are, got {share}")
        checked_seed(seed)
        self.num_inputs, self.batch_size, self.shuffle, self.drop_last = num_inputs, batch_size, shuffle, drop_last
        self.seed, self.epoch, self.share = seed, 0, share

    def __len__(self) -> int:
        return self.num_inputs // self.batch_size if self.drop_last else -(-self.num_inputs // self.batch_size)

    def __iter__(self) -> Iterator[Place]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        order: IntArray = np.arange(self.num_inputs)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        rank, size = self.share
        for number in range(len(self)):
            begin = number * self.batch_size
            positions = np.array_split(order[begin : begin + self.batch_size], size)[rank]
            if positions.size:
                yield Place(epoch, number * size + rank, positions)  # a number, so neighbours, of its own

    def sizes(self, number: int) -> tuple[int, int]:
        """How many nodes a batch has, and how many of them this process's share."""
        rank, size = self.share
        nodes = min(self.batch_size, self.num_inputs - number * self.batch_size)
        return nodes, nodes // size + (rank < nodes % size)


class _SeededLoader(DataLoader[Any]):
    """A loader whose data set is asked for whole batches by their `Place`."""

    def __init__(self, batches: Dataset[Any], order: SeedOrder, num_workers: int) -> None:
        if not 0 <= num_workers < 2**15:
            raise ValueError(f"num_workers must be from 0 to 2**15 - 1 processes, got {num_workers}")
        self.order = order
        # torch's own default of a base seed per iteration would take from the generator that dropout draws by.
        super().__init__(
            batches,
            sampler=cast("Sampler[Any]", order),
            batch_size=None,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            generator=torch.Generator().manual_seed(order.seed),
        )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is of, as a run that is resumed must."""
        self.order.epoch = epoch


class BlockBatch(NamedTuple):
    """Nodes, and what a model needs for their rows: ``model(batch.x, batch.blocks)``.

    Attributes:
        x: Features of the first block's sources.
        blocks: One per layer.
        y: Labels of the nodes.
        nodes: Their ids.
    """

    x: Tensor | SparseMatrix
    blocks: list[SampledBlock]
    y: Tensor
    nodes: Tensor

    def to(self, device: torch.device | str) -> BlockBatch:
        """The batch on another device."""
        blocks = [block.to(device) for block in self.blocks]
        return BlockBatch(self.x.to(device), blocks, self.y.to(device), self.nodes.to(device))


class BlockLoader(_SeededLoader):
    """Batches of nodes with their sampled neighbours, as one block per layer, for the models of gnnkit.

    Args:
        data: Graph, features and labels, in memory or memory-mapped.
        num_neighbors: Edges drawn per node, by hop; one number per layer, -1 for all.
        input_nodes: Nodes of which each epoch has every one once, ids or a mask; all where None.
        batch_size: Nodes per batch.
        shuffle: Another order every epoch.
        replace: Draw edges with replacement.
        drop_last: Leave out the last batch where it would be smaller.
        seed: Where chance comes from.
        num_workers: Processes that prepare batches; 0 for none but this one.
        backend: See `gnnkit.graph.sampling.NeighborSampler`.
        share: Which process's share of every batch, and of how many; see `SeedOrder`.

    Example:
        >>> from gnnkit.data import load_dataset
        >>> loader = BlockLoader(load_dataset("karate"), [2, 2], batch_size=10)
        >>> batch = next(iter(loader))
        >>> len(loader), batch.blocks[-1].num_targets, batch.y.shape
        (4, 10, torch.Size([10]))
    """

    def __init__(
        self,
        data: NodeData,
        num_neighbors: Sequence[int],
        input_nodes: Tensor | Sequence[int] | None = None,
        *,
        batch_size: int = 1,
        shuffle: bool = False,
        replace: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        backend: Backend = "auto",
        share: tuple[int, int] = (0, 1),
    ) -> None:
        sampler = BlockSampler(data.adjacency, num_neighbors, replace=replace, backend=backend)
        nodes = _input_nodes(input_nodes, data.num_nodes)
        order = SeedOrder(nodes.size, batch_size, shuffle=shuffle, drop_last=drop_last, seed=seed, share=share)
        self.block_sampler, self.features = sampler, plain_features(data.x)
        super().__init__(_BlockBatches(sampler, self.features, data.y, nodes, seed), order, num_workers)


@dataclass
class _BlockBatches(Dataset[BlockBatch]):
    sampler: BlockSampler
    x: Tensor | SparseMatrix
    y: Tensor
    nodes: IntArray
    seed: int

    def __getitem__(self, place: Place) -> BlockBatch:
        seeds = self.nodes[place.positions]
        blocks = self.sampler.blocks(seeds, (self.seed, place.epoch, place.number))
        ids = torch.from_numpy(seeds)
        return BlockBatch(_rows(self.x, blocks[0].source_ids), blocks, self.y[ids], ids)


class NeighborLoader(_SeededLoader):
    """Batches as PyG's ``NeighborLoader`` gives them, for any model of PyG.

    A batch is a ``torch_geometric.data.Data`` with ``x``, ``y`` and every other attribute of a node for the
    nodes ``n_id``, ``edge_index`` by position among those and the attributes of the edges ``e_id``,
    ``batch_size`` and ``input_id``: the input nodes come first, those at ``input_id`` of ``input_nodes``.
    ``num_sampled_nodes`` and, of a directional subgraph, ``num_sampled_edges`` count by hop, for
    ``torch_geometric.utils.trim_to_layer``. Of ``disjoint`` trees, ``batch`` is the tree of each node.

    Args:
        data: A `NodeData`, in memory or memory-mapped, or a ``Data`` of PyG, whose edges may repeat.
        num_neighbors: Edges drawn per node, by hop from the input nodes, -1 for all.
        input_nodes: Nodes of which each epoch has every one once, ids or a mask; all where None.
        batch_size: Nodes per batch.
        shuffle: Another order every epoch.
        replace: Draw edges with replacement.
        subgraph_type: ``"directional"``: the edges drawn; ``"bidirectional"``: they and their reverses, each
            once; ``"induced"``: every edge among the nodes that were found.
        disjoint: Give every input node a subgraph of its own.
        drop_last: Leave out the last batch where it would be smaller.
        seed: Where chance comes from.
        num_workers: Processes that prepare batches; 0 for none but this one.
        backend: See `gnnkit.graph.sampling.NeighborSampler`.

    Raises:
        ValueError: If a fan-out, a node or the subgraph type is unknown, or disjoint subgraphs shall be induced.

    Example:
        >>> from gnnkit.data import load_dataset
        >>> batch = next(iter(NeighborLoader(load_dataset("karate"), [2], input_nodes=[0, 5], batch_size=2)))
        >>> batch.batch_size, batch.n_id[:2].tolist(), batch.edge_index.shape, batch.x.shape[1]
        (2, [0, 5], torch.Size([2, 4]), 34)
    """

    def __init__(
        self,
        data: NodeData | Data,
        num_neighbors: Sequence[int],
        input_nodes: Tensor | Sequence[int] | None = None,
        *,
        batch_size: int = 1,
        shuffle: bool = False,
        replace: bool = False,
        subgraph_type: SubgraphType = "directional",
        disjoint: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        backend: Backend = "auto",
    ) -> None:
        if subgraph_type not in get_args(SubgraphType):
            raise ValueError(f"subgraph_type must be one of {', '.join(get_args(SubgraphType))}, got {subgraph_type!r}")
        if disjoint and subgraph_type == "induced":
            raise ValueError("disjoint trees repeat nodes, so no subgraph is induced by them; choose another type")
        store = _Store.of_node_data(data) if isinstance(data, NodeData) else _Store.of_data(data)
        store.rows.edge_id  # noqa: B018 - found here once, not by every worker process
        sampler = NeighborSampler(store.rows, num_neighbors, replace=replace, disjoint=disjoint, backend=backend)
        nodes = _input_nodes(input_nodes, store.rows.num_nodes)
        order = SeedOrder(nodes.size, batch_size, shuffle=shuffle, drop_last=drop_last, seed=seed)
        super().__init__(_DataBatches(store, sampler, subgraph_type, nodes, seed), order, num_workers)


@dataclass
class _Store:
    """A graph with what its nodes and edges have, by name."""

    rows: EnteringRows
    of_nodes: dict[str, Any]
    of_edges: dict[str, Any]
    others: dict[str, Any]

    @classmethod
    def of_node_data(cls, data: NodeData) -> _Store:
        of_nodes = {"x": plain_features(data.x), "y": data.y} | {mask: getattr(data, mask) for mask in _MASKS}
        return cls(EnteringRows.of_graph(data.adjacency), of_nodes, {}, {})

    @classmethod
    def of_data(cls, data: Data) -> _Store:
        if data.get("edge_index") is None:
            raise ValueError(f"data has no edge_index, only {sorted(data.keys())}; set data.edge_index first")
        rows = EnteringRows.of_edge_index(data.edge_index, data.num_nodes)
        given = {name: value for name, value in data.to_dict().items() if name != "edge_index"}
        of_nodes = {name: value for name, value in given.items() if data.is_node_attr(name)}
        of_edges = {name: value for name, value in given.items() if data.is_edge_attr(name)}
        others = {name: value for name, value in given.items() if name not in of_nodes and name not in of_edges}
        others.pop("num_nodes", None)
        return cls(rows, of_nodes, of_edges, others)


@dataclass
class _DataBatches(Dataset[Any]):
    store: _Store
    sampler: NeighborSampler
    subgraph_type: SubgraphType
    nodes: IntArray
    seed: int

    def __getitem__(self, place: Place) -> Data:
        from torch_geometric.data import Data

        sample = self.sampler.sample(self.nodes[place.positions], (self.seed, place.epoch, place.number))
        source, target, entry = _edges(self.store.rows, sample, self.subgraph_type)
        n_id, e_id = torch.from_numpy(sample.nodes), torch.from_numpy(self.store.rows.edge_id[entry].astype(np.int64))
        batch = Data(x=None, edge_index=torch.from_numpy(np.stack([source, target])), **self.store.others)
        for name, value in self.store.of_nodes.items():
            rows = _rows(value, n_id)
            batch[name] = rows.to_dense() if isinstance(rows, SparseMatrix) else rows
        for name, value in self.store.of_edges.items():
            batch[name] = value[e_id]
        if self.store.rows.weight is not None:
            batch.edge_weight = torch.from_numpy(self.store.rows.weight[entry])
        batch.n_id, batch.e_id, batch.batch_size = n_id, e_id, place.positions.size
        batch.num_nodes = n_id.numel()
        batch.input_id = torch.from_numpy(place.positions.copy())
        batch.num_sampled_nodes = sample.num_nodes
        if self.subgraph_type == "directional":
            batch.num_sampled_edges = sample.num_edges
        if sample.seed is not None:
            batch.batch = torch.from_numpy(sample.seed)
        return batch


def _edges(rows: EnteringRows, sample: Sample, kind: SubgraphType) -> tuple[IntArray, IntArray, IntArray]:
    """The subgraph's edges as ``(source, target, entry)``, by position among the sampled nodes."""
    if kind == "directional":
        return sample.source, sample.target, sample.entry
    if kind == "bidirectional":
        # As in PyG, a reverse that is not an edge of its own bears the id of the edge it reverses.
        source = np.concatenate([sample.source, sample.target])
        target = np.concatenate([sample.target, sample.source])
        _, first = np.unique(target * sample.nodes.size + source, return_index=True)
        return source[first], target[first], np.concatenate([sample.entry, sample.entry])[first]
    count = rows.num_entering(sample.nodes)
    start = rows.indptr[sample.nodes].astype(np.int64)
    entry, target = ranges(start, start + count), np.repeat(np.arange(sample.nodes.size), count)
    order = np.argsort(sample.nodes)
    found = rows.source[entry]
    place = np.minimum(np.searchsorted(sample.nodes, found, sorter=order), order.size - 1)
    inside = sample.nodes[order[place]] == found
    return order[place][inside], target[inside], entry[inside]


def _input_nodes(nodes: Tensor | Sequence[int] | None, num_nodes: int) -> IntArray:
    found = np.arange(num_nodes) if nodes is None else checked_node_ids(nodes, num_nodes, name="input_nodes").numpy()
    if not found.size:
        raise ValueError(f"input_nodes selects no node of {num_nodes}, so there is no batch; set some True")
    return found


def plain_features(x: Any) -> Tensor | SparseMatrix:
    """Features in the form of which rows are taken.

    Raises:
        TypeError: If they are sequences.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"mini-batches take a row of features per node, got {type(x).__name__}")
    return x if x.layout == torch.strided else SparseMatrix.from_tensor(x)


def _rows(values: Any, nodes: Tensor) -> Any:
    if isinstance(values, SparseMatrix):
        return values.select_rows(nodes)
    return values[nodes] if isinstance(values, Tensor) else [values[node] for node in nodes.tolist()]
