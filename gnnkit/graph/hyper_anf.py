"""HyperANF in numpy: a HyperLogLog sketch per node, of the nodes within t hops, joined with its neighbours' hop by hop.

References: Boldi, Rosa & Vigna, "HyperANF", WWW 2011, https://arxiv.org/abs/1011.5599; the estimate from a sketch is
algorithm 6 of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017,
https://arxiv.org/abs/1702.01284, which needs no table of biases.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gnnkit.graph.walk import IntArray, Walk

_Registers = NDArray[np.uint8]
_BLOCK_BYTES = 1 << 24
# Neighbours are joined one rank at a time over many nodes; from a node with more than this, its rest at once.
_RANKS = 48


def hyper_anf(walk: Walk, *, max_hops: int | None, lg_registers: int, seed: int) -> tuple[list[float], bool]:
    """Estimated pairs of nodes within 0, 1, 2, ... hops, and whether the count ended of itself.

    Raises:
        ValueError: If ``lg_registers`` is not a whole number from 4 to 16.
    """
    if isinstance(lg_registers, bool) or not isinstance(lg_registers, int) or not 4 <= lg_registers <= 16:
        raise ValueError(f"lg_registers must be a whole number from 4 to 16, got {lg_registers!r}")
    if not walk.num_nodes:
        return [], True
    sketches = _first_sketches(walk.num_nodes, lg_registers, seed)
    sizes = np.ones(walk.num_nodes)
    changed = np.ones(walk.num_nodes, dtype=bool)
    pairs = [float(walk.num_nodes)]
    following = np.empty_like(sketches)
    while max_hops is None or len(pairs) <= max_hops:
        changed = _hear(walk, sketches, changed, following)
        if not changed.any():
            return pairs, True
        sketches, following = following, sketches
        rows = np.flatnonzero(changed)
        for begin in range(0, rows.size, step := max(1, _BLOCK_BYTES >> lg_registers)):
            block = rows[begin : begin + step]
            sizes[block] = estimates(sketches[block])
        pairs.append(float(sizes.sum()))
    return pairs, not _hear(walk, sketches, changed, following).any()


def estimates(sketches: _Registers) -> NDArray[np.float64]:
    r"""How many distinct things each sketch has seen.

    Shapes:
        - **sketches:** :math:`(N, 2^b)`
        - **output:** :math:`(N)`
    """
    registers = sketches.shape[1]
    weight = np.exp2(-np.arange(66.0))
    weight[0] = 0.0
    empty = (sketches == 0).sum(axis=1, dtype=np.int64) / registers
    harmonic = weight[sketches].sum(axis=1) + registers * _sigma(empty)
    with np.errstate(divide="ignore"):  # an empty sketch: sigma is infinite and the estimate 0
        return np.asarray(registers**2 / (2 * math.log(2)) / harmonic)


def _sigma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ertl's x + sum over k >= 1 of x^(2^k) 2^(k-1): what the registers that are still empty stand for."""
    total, power, factor = x.copy(), x.copy(), 1.0
    for _ in range(64):
        power = power * power
        term = factor * power
        total += term
        factor *= 2
        if not (term > total * 1e-16).any():
            break
    return np.where(x == 1, np.inf, total)


def _first_sketches(num_nodes: int, lg_registers: int, seed: int) -> _Registers:
    """A sketch per node that has seen that node alone."""
    hashes = _hashes(num_nodes, seed)
    register = (hashes & np.uint64((1 << lg_registers) - 1)).astype(np.int64)
    # The rest of the hash, under a bit that bounds the count of its trailing zeros.
    rest = (hashes >> np.uint64(lg_registers)) | np.uint64(1 << (64 - lg_registers))
    lowest = rest & (~rest + np.uint64(1))
    sketches = np.zeros((num_nodes, 1 << lg_registers), dtype=np.uint8)
    sketches[np.arange(num_nodes), register] = np.frexp(lowest.astype(np.float64))[1]  # log2 + 1, exact: a power of two
    return sketches


def _hashes(count: int, seed: int) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea & Flood 2014) of 0 ... ``count`` - 1, from a start that the seed chooses."""
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        z = start + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _hear(walk: Walk, sketches: _Registers, changed: NDArray[np.bool_], out: _Registers) -> NDArray[np.bool_]:
    """Join each node's sketch with those of the nodes one hop ahead; which sketches that changed.

    Only nodes ahead that changed in the last step bring news.
    """
    np.copyto(out, sketches)
    degrees = np.diff(walk.ahead.indptr).astype(np.int64)
    if changed.all():
        told = degrees > 0
    else:
        told = np.zeros(walk.num_nodes, dtype=bool)
        told[walk.behind.neighbors(np.flatnonzero(changed))] = True
    rows = np.flatnonzero(told)
    rows = rows[np.argsort(-degrees[rows], kind="stable")]  # so that those with another neighbour are always first
    news = np.zeros(walk.num_nodes, dtype=bool)
    step = max(1, _BLOCK_BYTES // sketches.shape[1])
    for begin in range(0, rows.size, step):
        block = rows[begin : begin + step]
        joined = _joined(walk, sketches, block, degrees[block])
        news[block] = (joined != sketches[block]).any(axis=1)
        out[block] = joined
    return news


def _joined(walk: Walk, sketches: _Registers, rows: IntArray, degrees: NDArray[np.int64]) -> _Registers:
    """The union of each row's sketch and its neighbours'; rows by falling degree."""
    joined: _Registers = sketches[rows]
    starts, indices = walk.ahead.indptr[rows], walk.ahead.indices
    for rank in range(min(int(degrees[0]), _RANKS)):
        count = int(np.searchsorted(-degrees, -rank, side="left"))  # rows with more neighbours than this rank
        np.maximum(joined[:count], sketches[indices[starts[:count] + rank]], out=joined[:count])
    piece = max(1, _BLOCK_BYTES // sketches.shape[1])
    for row in range(int(np.searchsorted(-degrees, -_RANKS, side="left"))):
        end = int(starts[row]) + int(degrees[row])
        for begin in range(int(starts[row]) + _RANKS, end, piece):
            heard = sketches[indices[begin : min(begin + piece, end)]].max(axis=0)
            np.maximum(joined[row], heard, out=joined[row])
    return joined
