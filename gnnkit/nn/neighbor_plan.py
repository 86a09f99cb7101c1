"""In what order the nodes of a graph are updated when some hear the new states of others: waves of nodes at once.

Every schedule says of each edge whether its target hears the source's *fresh* state, of this pass, or its
*stale* one, of the pass before. Fresh edges make an acyclic graph; a node's level is the longest path of
fresh edges that leads to it. Whoever is updated level by level has then heard exactly what it would
have heard one node at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_edge_index

Schedule = Literal["topological", "confidence", "synchronous"]
SCHEDULES: tuple[Schedule, ...] = ("topological", "confidence", "synchronous")

Ids = NDArray[np.int64]


class Level(NamedTuple):
    """Nodes updated at once, as a range of places, and the fresh edges that enter them."""

    nodes: slice
    edges: slice


@dataclass(frozen=True)
class NeighborPlan:
    """Levels of a graph, or of many as one of several components; made by `of`, used as often as you like.

    A node's *place* is where it stands when nodes are sorted by level. All tensors hold places, not ids.

    Attributes:
        schedule: Which edges are fresh.
        num_nodes: N.
        order: The node at each place, ``(N)``; None where that is the node of the same number.
        place: The place of each node, likewise.
        first: How many nodes hear nothing fresh; they come first.
        levels: The others, in order.
        source: Of every fresh edge, sorted by target.
        target: Of every fresh edge.
        local: Its target's place within the level.
        stale_source: Of every stale edge.
        stale_target: Of every stale edge.
        in_degree: Edges entering each place, ``(N)``.
        slots: The k-th neighbour of each place after the first ones, ``(N - first, arity)``, N where there
            is none; None without an arity.
    """

    schedule: Schedule
    num_nodes: int
    order: Tensor | None
    place: Tensor | None
    first: int
    levels: tuple[Level, ...]
    source: Tensor
    target: Tensor
    local: Tensor
    stale_source: Tensor
    stale_target: Tensor
    in_degree: Tensor
    slots: Tensor | None

    @classmethod
    def of(
        cls,
        graph: Adjacency | Tensor,
        schedule: Schedule = "topological",
        *,
        num_nodes: int | None = None,
        confidence: Tensor | None = None,
        arity: int | None = None,
        position: Tensor | None = None,
    ) -> NeighborPlan:
        r"""The plan of a graph, such as a PyG ``Batch``'s.

        Args:
            graph: Edges lead from the one that is heard to the one that hears: in a tree from child to parent.
            schedule: ``"topological"``: all edges are fresh, so there must be no cycle. ``"confidence"``:
                those from a more confident node to a less confident one; of equals the lower id goes
                first. ``"synchronous"``: none.
            num_nodes: For a raw ``edge_index``.
            confidence: One number per node, for that schedule.
            arity: The most neighbours a node may hear, where each has a place of its own.
            position: Which neighbour of its target each edge's source is, from 0 to ``arity - 1``, in the
                edges' order; by the sources' ids where omitted.

        Shapes:
            - **confidence:** :math:`(|\mathcal{V}|)`
            - **position:** :math:`(|\mathcal{E}|)`

        Raises:
            ValueError: If an argument is missing, or does not go with the others; if there is a cycle,
                which is named; if a node hears more neighbours than ``arity``, or two in one position.

        Example:
            >>> plan = NeighborPlan.of(torch.tensor([[0, 1, 2], [2, 2, 3]]), num_nodes=4)
            >>> plan.first, [level.nodes for level in plan.levels]
            (2, [slice(2, 3, None), slice(3, 4, None)])
        """
        edge_index, num_nodes = _edges(graph, num_nodes)
        _check(schedule, confidence, arity, position, num_nodes, edge_index.size(1))
        source, target = edge_index.cpu().numpy()
        fresh = _fresh(schedule, confidence, source, target, num_nodes)
        plan = _plan(schedule, source, target, fresh, num_nodes)
        if arity is not None:
            given = None if position is None else position.cpu().numpy()
            plan = replace(plan, slots=_slots(plan, source, target, arity, given))
        return plan.to(edge_index.device)

    def to(self, device: torch.device | str) -> NeighborPlan:
        """The plan on another device; itself if it is there already."""
        if self.source.device == torch.device(device):
            return self
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @property
    def num_levels(self) -> int:
        """Waves of a pass, those who hear nothing fresh being the first."""
        return len(self.levels) + 1


def unweighted_edges(graph: Adjacency) -> Tensor:
    """The graph's ``edge_index``.

    Raises:
        ValueError: If a weight is not 1.
    """
    if graph.is_weighted:
        raise ValueError(
            "edges have no weights here: what a neighbour counts is its forget gate's to say; "
            "pass the graph's edge_index without them"
        )
    return graph.to_edge_index()[0]


def _edges(graph: Adjacency | Tensor, num_nodes: int | None) -> tuple[Tensor, int]:
    if isinstance(graph, Adjacency):
        if num_nodes not in (None, graph.num_nodes):
            raise ValueError(f"the graph has {graph.num_nodes} nodes, but num_nodes={num_nodes} was given")
        return unweighted_edges(graph), graph.num_nodes
    if num_nodes is None:
        raise ValueError("a raw edge_index needs num_nodes, as isolated nodes are not in it")
    return checked_edge_index(graph, num_nodes), num_nodes


def _check(
    schedule: str,
    confidence: Tensor | None,
    arity: int | None,
    position: Tensor | None,
    num_nodes: int,
    num_edges: int,
) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if (confidence is not None) != (schedule == "confidence"):
        given = "none" if confidence is None else "some"
        raise ValueError(f"confidence goes with schedule='confidence', got {given} for schedule={schedule!r}")
    if confidence is not None:
        if confidence.shape != (num_nodes,):
            raise ValueError(f"confidence must have shape ({num_nodes},), got {tuple(confidence.shape)}")
        if confidence.is_complex() or confidence.dtype == torch.bool:
            raise TypeError(f"confidence must be numbers on a line, got {confidence.dtype}")
        if bool(confidence.isnan().any()):
            raise ValueError("confidence holds NaN, which has no place in an order")
    if arity is not None and (not 1 <= arity < 2**31 or schedule != "topological"):
        raise ValueError(f"arity must be 1 or more, below 2**31, and topological, got {arity} for {schedule!r}")
    if position is not None and arity is None:
        raise ValueError("position goes with an arity, got none")
    if position is not None and (position.is_floating_point() or position.is_complex() or position.dtype == torch.bool):
        raise TypeError(f"position must hold integers, got {position.dtype}")
    if position is not None and position.shape != (num_edges,):
        raise ValueError(f"position must have shape ({num_edges},), one per edge, got {tuple(position.shape)}")


def _fresh(
    schedule: Schedule, confidence: Tensor | None, source: Ids, target: Ids, num_nodes: int
) -> NDArray[np.bool_]:
    if confidence is None:
        return np.full(len(source), schedule == "topological")
    rank = np.empty(num_nodes, np.int64)
    rank[np.argsort(-confidence.detach().double().cpu().numpy(), kind="stable")] = np.arange(num_nodes)
    return rank[source] < rank[target]


def _plan(schedule: Schedule, source: Ids, target: Ids, fresh: NDArray[np.bool_], num_nodes: int) -> NeighborPlan:
    stale_source, stale_target = source[~fresh], target[~fresh]
    in_degree = np.bincount(target, minlength=num_nodes)
    source, target = source[fresh], target[fresh]
    level = _levels(source, target, num_nodes)
    order = np.argsort(level, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(num_nodes)
    sizes = np.bincount(level, minlength=1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # By target, then by the source's id: the order of neighbours where positions are not given.
    by_target = np.lexsort((source, place[target]))
    source, target = place[source[by_target]], place[target[by_target]]
    edge_starts = np.searchsorted(target, starts)
    level_of_edge = np.repeat(np.arange(len(sizes)), np.diff(edge_starts))
    levels = tuple(
        Level(slice(int(starts[k]), int(starts[k + 1])), slice(int(edge_starts[k]), int(edge_starts[k + 1])))
        for k in range(1, len(sizes))
    )
    sorted_already = bool((order[1:] > order[:-1]).all())
    tensors: dict[str, Any] = {
        "source": source,
        "target": target,
        "local": target - starts[level_of_edge],
        "stale_source": place[stale_source],
        "stale_target": place[stale_target],
        "in_degree": in_degree[order],
    }
    return NeighborPlan(
        schedule=schedule,
        num_nodes=num_nodes,
        order=None if sorted_already else torch.from_numpy(order),
        place=None if sorted_already else torch.from_numpy(place),
        first=int(sizes[0]),
        levels=levels,
        slots=None,
        **{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()},
    )


def _levels(source: Ids, target: Ids, num_nodes: int) -> Ids:
    """The longest path that leads to each node: nodes are taken away once all that they hear are."""
    by_source = np.argsort(source, kind="stable")
    heard_by = target[by_source]
    pointer = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=num_nodes))])
    waiting_for = np.bincount(target, minlength=num_nodes)
    level = np.zeros(num_nodes, np.int64)
    wave, depth, done = np.flatnonzero(waiting_for == 0), 0, 0
    while wave.size:
        level[wave] = depth
        done += wave.size
        counts = pointer[wave + 1] - pointer[wave]
        # Entries count up by one within a node's range and start at its pointer.
        first = np.repeat(pointer[wave] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        reached = heard_by[first + np.arange(first.size)]
        np.subtract.at(waiting_for, reached, 1)
        wave = np.unique(reached[waiting_for[reached] == 0])
        depth += 1
    if done < num_nodes:
        cycle = " -> ".join(map(str, _cycle(source, target, waiting_for)))
        raise ValueError(
            f"a topological schedule needs a graph without cycles, but there is {cycle}; "
            "use schedule='confidence' or 'synchronous'"
        )
    return level


def _cycle(source: Ids, target: Ids, waiting_for: Ids) -> list[int]:
    """A cycle among the nodes that still wait: each of them hears another such node."""
    among = (waiting_for[source] > 0) & (waiting_for[target] > 0)
    heard = dict(zip(target[among].tolist(), source[among].tolist(), strict=True))
    walked: dict[int, int] = {}
    node = next(iter(heard))
    while node not in walked:
        walked[node] = len(walked)
        node = heard[node]
    found = [*list(walked)[walked[node] :], node][::-1]
    start = found.index(min(found[:-1]))
    return [*found[start:-1], *found[:start], found[start]]


def _slots(plan: NeighborPlan, source: Ids, target: Ids, arity: int, position: Ids | None) -> Tensor:
    """The table of neighbours, a row per node that has any."""
    num_inner = plan.num_nodes - plan.first
    place = np.arange(plan.num_nodes) if plan.place is None else plan.place.numpy()
    if position is None:
        source_place, target_place = plan.source.numpy(), plan.target.numpy()
        start = np.searchsorted(target_place, target_place)
        position = np.arange(len(target_place)) - start
    else:
        source_place, target_place = place[source], place[target]
    row = target_place - plan.first
    node_at = np.arange(plan.num_nodes) if plan.order is None else plan.order.numpy()
    if (outside := (position < 0) | (position >= arity)).any():
        node = int(node_at[target_place[outside][0]])
        raise ValueError(
            f"node {node} hears a neighbour in position {int(position[outside][0])}, but arity={arity} "
            f"has positions 0 to {arity - 1}"
        )
    if (twice := np.bincount(row * arity + position, minlength=1) > 1).any():
        entry = int(np.flatnonzero(twice)[0])
        raise ValueError(
            f"node {int(node_at[entry // arity + plan.first])} hears two neighbours in position {entry % arity}"
        )
    slots = np.full((num_inner, arity), plan.num_nodes, np.int64)
    slots[row, position] = source_place
    return torch.from_numpy(slots)
