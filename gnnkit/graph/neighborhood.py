"""How many pairs of nodes lie within t hops of each other, counted exactly or estimated with a stated error.

The neighbourhood function N(t) of a graph is the number of ordered pairs (u, v) with a path of at most t edges from u
to v, each node counted with itself: N(0) is the number of nodes. Its steps are the histogram of hop distances.

Reference: Boldi, Rosa & Vigna, "HyperANF: Approximating the Neighbourhood Function of Very Large Graphs on a Budget",
WWW 2011, https://arxiv.org/abs/1011.5599.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.hop_statistics import hop_histogram
from gnnkit.graph.validation import checked_seed
from gnnkit.graph.walk import Direction, checked_max_hops, walk_along


@dataclass(frozen=True)
class NeighborhoodFunction:
    """Ordered pairs of nodes within 0, 1, 2, ... hops, and what follows from them.

    Attributes:
        pairs: ``pairs[t]`` is the number of pairs at most ``t`` hops apart; ``pairs[0]`` is the number of nodes.
        standard_error: Relative standard error of each number of pairs; 0 where they are counted exactly.
        complete: Whether the last entry holds every pair in reach; False where ``max_hops`` ended the count before.

    Example:
        >>> path = NeighborhoodFunction(pairs=(3, 7, 9), standard_error=0.0, complete=True)
        >>> path.histogram, round(path.average_distance, 3), round(path.effective_diameter(), 3)
        ((3, 4, 2), 1.333, 1.55)
    """

    pairs: tuple[float, ...]
    standard_error: float
    complete: bool

    @property
    def num_nodes(self) -> int:
        """Number of nodes, which is always known exactly."""
        return round(self.pairs[0]) if self.pairs else 0

    @property
    def histogram(self) -> tuple[float, ...]:
        """Pairs exactly 0, 1, 2, ... hops apart."""
        return (*self.pairs[:1], *(after - before for before, after in pairwise(self.pairs)))

    @property
    def average_distance(self) -> float:
        """The mean of the hops between different nodes in reach of each other; 0.0 where there are none."""
        return _average(self.pairs, self.pairs)

    def effective_diameter(self, share: float = 0.9) -> float:
        """Hops within which ``share`` of the pairs in reach lie, interpolated between whole numbers; NaN of no node.

        Raises:
            ValueError: If ``share`` is not above 0 and at most 1.
        """
        _check_share(share)
        return _hops_until(self.pairs, share * self.pairs[-1]) if self.pairs else float("nan")

    def average_distance_range(self, errors: float = 2.0) -> tuple[float, float]:
        """Between what values :attr:`average_distance` lies if no number of pairs is off by more than ``errors``.

        The worst case for each end: as a rule the numbers of pairs err alike, and their quotients by far less.

        Args:
            errors: How far off, in standard errors: 2 for an interval of about 95 %.
        """
        low, high = self._bounds(errors)
        if len(low) < 2:
            return 0.0, 0.0
        fewest_hops = [*(min(value, low[-1]) for value in high[:-1]), low[-1]]
        return _average(fewest_hops, fewest_hops), _average(low, [*low[:-1], high[-1]])

    def effective_diameter_range(self, share: float = 0.9, errors: float = 2.0) -> tuple[float, float]:
        """Between what values :meth:`effective_diameter` lies, in the sense of :meth:`average_distance_range`.

        Where the pairs counted leave the upper end open, it is the last hop at which any were found.
        """
        _check_share(share)
        low, high = self._bounds(errors)
        if not low:
            return float("nan"), float("nan")
        return _hops_until(high, share * low[-1]), _hops_until(low, share * high[-1])

    def _bounds(self, errors: float) -> tuple[list[float], list[float]]:
        """Each number of pairs less and plus its error, within what the number of nodes allows."""
        off, size = errors * self.standard_error, float(self.num_nodes)
        low = [max(size, value / (1 + off)) for value in self.pairs]
        high = [min(size * size, value / (1 - off)) if off < 1 else size * size for value in self.pairs]
        return [size, *low[1:]][: len(low)], [size, *high[1:]][: len(high)]


def neighborhood_function(
    graph: Adjacency,
    *,
    max_hops: int | None = None,
    direction: Direction = "out",
    lg_registers: int | None = None,
    seed: int = 0,
) -> NeighborhoodFunction:
    r"""Count the ordered pairs of nodes within 0, 1, 2, ... hops, or estimate them (HyperANF).

    Counted exactly, the time grows with nodes times edges; estimated, with edges times hops, and the memory is
    :math:`2 |\mathcal{V}| 2^{b}` bytes for ``lg_registers`` :math:`b`.

    Args:
        graph: Directed edges, source to target; weights are ignored.
        max_hops: Pairs farther apart than this are not counted.
        direction: Follow edges ``"out"``, ``"in"`` or ``"both"`` ways.
        lg_registers: Count exactly when omitted; else estimate with sketches of :math:`2^b` registers, 4 to 16. The
            relative standard error of each number of pairs is at most :math:`1.04 / 2^{b/2}`: 3.2 % at 10.
        seed: Another seed, another estimate with an error of its own.

    Raises:
        TypeError: If ``graph`` is not an ``Adjacency``.
        ValueError: If ``max_hops`` is negative or ``lg_registers`` not from 4 to 16, or the seed not
            from 0 to 2**63 - 1.

    Example:
        >>> import torch
        >>> path = Adjacency.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> neighborhood_function(path).pairs
        (3, 7, 9)
        >>> [round(pairs) for pairs in neighborhood_function(path, lg_registers=12).pairs]
        [3, 7, 9]
    """
    max_hops, seed = checked_max_hops(max_hops), checked_seed(seed)
    if lg_registers is not None:
        from gnnkit.graph.hyper_anf import hyper_anf

        walk = walk_along(graph, direction)
        pairs, complete = hyper_anf(walk, max_hops=max_hops, lg_registers=lg_registers, seed=seed)
        return NeighborhoodFunction(tuple(pairs), sketch_error(lg_registers), complete)
    # One hop more than asked for tells whether the count was cut short.
    counts = hop_histogram(graph, max_hops=None if max_hops is None else max_hops + 1, direction=direction).cpu()
    kept = counts.tolist() if max_hops is None else counts[: max_hops + 1].tolist()
    return NeighborhoodFunction(tuple(accumulate(kept)) if graph.num_nodes else (), 0.0, len(kept) == counts.numel())


def sketch_error(lg_registers: int) -> float:
    """Relative standard error of a HyperLogLog sketch of ``2 ** lg_registers`` registers, :math:`1.04 / 2^{b/2}`.

    It bounds the error of a sum of sketches of one hash function, too: their errors are correlated, so they neither
    cancel nor, by the triangle inequality, exceed their sum.

    Example:
        >>> round(sketch_error(10), 4)
        0.0325
    """
    return float(1.03896 / 2 ** (lg_registers / 2))  # sqrt(3 ln 2 - 1), Flajolet et al. 2007


def _average(pairs: list[float] | tuple[float, ...], of: list[float] | tuple[float, ...]) -> float:
    """The mean hops where ``pairs`` are within each hop, ``of[-1]`` in all."""
    if len(pairs) < 2 or of[-1] <= pairs[0]:
        return 0.0
    return sum(of[-1] - value for value in pairs[:-1]) / (of[-1] - pairs[0])


def _hops_until(pairs: list[float] | tuple[float, ...], enough: float) -> float:
    """The first hop, interpolated, within which ``enough`` pairs lie; the last one if there are never so many."""
    for hop, value in enumerate(pairs):
        if value >= enough:
            if hop == 0:
                return 0.0
            before = pairs[hop - 1]
            return hop - 1 + max(0.0, (enough - before) / (value - before))
    return float(len(pairs) - 1)


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
