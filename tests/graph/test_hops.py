"""Hop distances against scipy and networkx, through every search the library may choose."""

import contextlib

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path as scipy_shortest_path

from gnnkit.graph import Adjacency, bfs, bit_parallel, bit_planes, many_sources, sweeps
from gnnkit.graph.hops import hop_count, hop_distance, iter_hop_distance, shortest_path
from tests.effort import at_least

# Which search is quickest depends on the graph's size, so that small graphs would only ever see one of them.
SEARCHES = {
    "as chosen": {},
    "queue": {(many_sources, "_FEW_SOURCES"): 10**9, (bfs, "_SMALL_GRAPH_ARCS"): 10**9},
    "sweeps": {
        (many_sources, "_FEW_SOURCES"): 10**9,
        (many_sources, "_SWEPT_SOURCES"): 1,
        (many_sources, "_SWEPT_WIDTH"): 0,
        (many_sources, "_MAX_SWEPT_SOURCES"): 40,
        (sweeps, "_MANY_NEIGHBORS"): 3,
    },
    "levels": {
        (many_sources, "_FEW_SOURCES"): 10**9,
        (bfs, "_SMALL_GRAPH_ARCS"): 0,
        (bfs, "_PULL_ROUNDS"): 1,
    },
    "rows of bits": {
        (many_sources, "_FEW_SOURCES"): 0,
        (bit_parallel, "_JAGGED_FROM_WORDS"): 10**9,
        (bit_parallel, "_CHUNK_WORDS"): 4,
    },
    "jagged bits": {
        (many_sources, "_FEW_SOURCES"): 0,
        (bit_parallel, "_JAGGED_FROM_WORDS"): 0,
        (bit_parallel, "_JAGGED_COLUMNS"): 2,
        (bit_planes, "_CHUNK_WORDS"): 64,
    },
}


@contextlib.contextmanager
def search(name):
    with pytest.MonkeyPatch.context() as patch:
        for (module, constant), value in SEARCHES[name].items():
            patch.setattr(module, constant, value)
        yield


@st.composite
def edge_lists(draw, max_nodes=90):
    """Directed or not, dense or sparse, with loops, duplicates, isolated nodes, none or one node."""
    num_nodes = draw(st.one_of(st.integers(0, 4), st.integers(2, max_nodes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_edges = int(num_nodes * draw(st.sampled_from([0, 0.3, 0.8, 1.2, 2, 6])))
    used = max(1, int(num_nodes * draw(st.sampled_from([0.6, 1]))))  # the nodes above stay isolated
    edges = rng.integers(0, used, (2, num_edges)) if num_nodes else np.zeros((2, 0), dtype=np.int64)
    if draw(st.booleans()) and num_nodes:  # long: a path through some of the nodes
        path = rng.permutation(num_nodes)[: int(rng.integers(1, num_nodes + 1))]
        edges = np.concatenate([edges, [path[:-1], path[1:]]], axis=1)
    if draw(st.booleans()):
        edges = np.concatenate([edges, edges[::-1]], axis=1)
    return num_nodes, edges


def graph_of(num_nodes, edges):
    return Adjacency.from_edge_index(torch.from_numpy(np.ascontiguousarray(edges)), num_nodes=num_nodes)


def reference(num_nodes, edges, direction, max_hops=None):
    """All pairs by scipy; -1 where unreached."""
    if num_nodes == 0:
        return np.zeros((0, 0), dtype=np.int64)
    sources, targets = edges[::-1] if direction == "in" else edges
    ones = np.ones(len(sources))
    matrix = scipy.sparse.csr_array((ones, (sources, targets)), shape=(num_nodes, num_nodes))
    hops = scipy_shortest_path(matrix, directed=direction != "both", unweighted=True)
    hops = np.where(np.isinf(hops), -1, hops).astype(np.int64)
    return hops if max_hops is None else np.where(hops > max_hops, -1, hops)


def assert_equal(hops, expected):
    np.testing.assert_array_equal(hops.numpy(), expected)


directions = st.sampled_from(["out", "in", "both"])
cutoffs = st.one_of(st.none(), st.integers(0, 6), st.integers(0, 100))


@pytest.mark.parametrize("name", SEARCHES)
@at_least(450)
@given(edges=edge_lists(), direction=directions, max_hops=cutoffs, seed=st.integers(0, 1000))
def test_equal_to_scipy(name, edges, direction, max_hops, seed):
    graph, expected = graph_of(*edges), reference(*edges, direction, max_hops)
    with search(name):
        hops = hop_distance(graph, max_hops=max_hops, direction=direction)
        assert hops.dtype == torch.int8
        assert_equal(hops, expected)
        if graph.num_nodes:  # some sources, in any order, some of them twice
            sources = np.random.default_rng(seed).integers(0, graph.num_nodes, 1 + seed % 80)
            chosen = hop_distance(graph, torch.from_numpy(sources), max_hops=max_hops, direction=direction)
            assert_equal(chosen, expected[sources])


@at_least(150)
@given(edges=edge_lists(max_nodes=40), direction=directions, pair=st.tuples(st.integers(0), st.integers(0)))
def test_paths_equal_networkx(edges, direction, pair):
    num_nodes, arcs = edges
    if num_nodes == 0:
        return
    graph = graph_of(num_nodes, arcs)
    source, target = (node % num_nodes for node in pair)
    other = nx.Graph() if direction == "both" else nx.DiGraph()
    other.add_nodes_from(range(num_nodes))
    other.add_edges_from(zip(*(arcs[::-1] if direction == "in" else arcs), strict=True))
    path = shortest_path(graph, source, target, direction=direction)
    if not nx.has_path(other, source, target):
        assert path == []
        assert hop_count(graph, source, target, direction=direction) == -1
        return
    # networkx lists them all: ours is the first of them
    assert path == min(nx.all_shortest_paths(other, source, target))
    assert hop_count(graph, source, target, direction=direction) == len(path) - 1


@at_least(60)
@given(edges=edge_lists(), direction=directions, max_hops=cutoffs, block_size=st.integers(1, 100))
def test_blocks_equal_the_whole(edges, direction, max_hops, block_size):
    graph = graph_of(*edges)
    whole = hop_distance(graph, max_hops=max_hops, direction=direction)
    blocks = list(iter_hop_distance(graph, block_size=block_size, max_hops=max_hops, direction=direction))
    assert all(block.size(0) == block_size for block in blocks[:-1])
    assert torch.equal(torch.cat([whole[:0], *blocks]), whole)
    default = list(iter_hop_distance(graph, max_hops=max_hops, direction=direction))
    assert torch.equal(torch.cat([whole[:0], *default]), whole)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
@at_least(20)
@given(edges=edge_lists(), direction=directions)
def test_out_is_filled_in_place(dtype, edges, direction):
    graph, expected = graph_of(*edges), reference(*edges, direction)
    expected = np.where(expected < 0, 255, expected) if dtype == torch.uint8 else expected
    for name in ("as chosen", "queue", "jagged bits"):
        wide = torch.full((graph.num_nodes, graph.num_nodes + 3), 77, dtype=dtype)
        out = wide[:, : graph.num_nodes]  # not contiguous
        with search(name):
            returned = hop_distance(graph, direction=direction, out=out)
        assert returned is out
        assert_equal(out, expected)
        assert bool((wide[:, graph.num_nodes :] == 77).all())


def path_graph(num_nodes, directed=False):
    nodes = torch.arange(num_nodes)
    edges = torch.stack([nodes[:-1], nodes[1:]])
    return Adjacency.from_edge_index(edges if directed else torch.cat([edges, edges.flip(0)], 1), num_nodes=num_nodes)


@pytest.mark.parametrize("hops", [126, 127, 128, 200, 252, 253, 254, 255, 300])
def test_int8_is_widened_never_wrapped(hops):
    graph, nodes = path_graph(hops + 1), torch.arange(hops + 1)
    distances = hop_distance(graph)
    assert distances.dtype == (torch.int8 if hops <= 127 else torch.int16)
    assert torch.equal(distances.long(), (nodes[:, None] - nodes).abs())
    # from the middle, the first source looks short: what comes later widens the matrix, or ends the bits
    middle_first = torch.cat([nodes[hops // 2 :], nodes[: hops // 2]])
    for name in ("rows of bits", "jagged bits"):
        with search(name):
            distances = hop_distance(graph, middle_first)
        assert torch.equal(distances.long(), (middle_first[:, None] - nodes).abs())


def test_blocks_that_fit_keep_their_place_when_another_outgrows_int8():
    # 1,000 isolated pairs first, whose blocks are written in int8, then a path of 200 hops
    pairs = torch.arange(2000).view(-1, 2).t()
    nodes = torch.arange(2000, 2201)
    edges = torch.cat([pairs, torch.stack([nodes[:-1], nodes[1:]])], dim=1)
    graph = Adjacency.from_edge_index(edges, num_nodes=2201)
    hops = hop_distance(graph)
    assert hops.dtype == torch.int16
    expected = torch.full((2201, 2201), -1, dtype=torch.int16)
    expected.fill_diagonal_(0)
    expected[pairs[0], pairs[1]] = 1
    ahead = (nodes - nodes[:, None]).to(torch.int16)
    expected[2000:, 2000:] = torch.where(ahead >= 0, ahead, -1)
    assert torch.equal(hops, expected)


def test_a_path_of_20_000_nodes_by_rows():
    graph, nodes = path_graph(20_000), torch.arange(20_000)
    sources = torch.tensor([0, 1, 300, 9_999, 19_999])
    hops = hop_distance(graph, sources)
    assert hops.dtype == torch.int16
    assert torch.equal(hops.long(), (sources[:, None] - nodes).abs())
    assert int(next(iter(iter_hop_distance(graph, block_size=1)))[0, -1]) == 19_999


@pytest.mark.parametrize("directed", [True, False])
def test_a_path_of_70_000_hops(directed):
    graph, nodes = path_graph(70_001, directed), torch.arange(70_001)
    hops = hop_distance(graph, [0, 40_000])
    assert hops.dtype == torch.int32
    assert torch.equal(hops[0].long(), nodes)
    beyond = (nodes - 40_000).clamp(min=-1) if directed else (nodes - 40_000).abs()
    assert torch.equal(hops[1].long(), beyond)
    assert hop_count(graph, 0, 70_000) == 70_000
    assert shortest_path(graph, 100, 40_100) == list(range(100, 40_101))
    with pytest.raises(ValueError, match="70000 hops does not fit int16, which holds 32767"):
        hop_distance(graph, [0], dtype=torch.int16)


def test_levels_hand_over_to_the_queue_on_a_large_long_graph():
    side = 370  # more arcs than _SMALL_GRAPH_ARCS and more levels than _THIN_AFTER_LEVELS
    nodes = torch.arange(side * side).view(side, side)
    edges = torch.cat(
        [
            torch.stack([nodes[:, :-1].flatten(), nodes[:, 1:].flatten()]),
            torch.stack([nodes[:-1].flatten(), nodes[1:].flatten()]),
        ],
        1,
    )
    graph = Adjacency.from_edge_index(torch.cat([edges, edges.flip(0)], 1), num_nodes=side * side)
    hops = hop_distance(graph, [0, side * side // 2 + 7]).view(2, side, side)
    row, column = divmod(side * side // 2 + 7, side)
    i = torch.arange(side)
    assert torch.equal(hops[0].long(), i[:, None] + i)
    assert torch.equal(hops[1].long(), (i[:, None] - row).abs() + (i - column).abs())
    assert hop_count(graph, 0, 5 * side + 5) == 10


def test_sweeps_over_a_long_graph_equal_single_searches():
    # a grid with a hub, holes and a handful of shortcuts: long, but no regular order of levels suits it
    rng = np.random.default_rng(1)
    side = 60
    nodes = np.arange(side * side * 4).reshape(4 * side, side)
    edges = [np.stack([nodes[:, :-1].ravel(), nodes[:, 1:].ravel()]), np.stack([nodes[:-1].ravel(), nodes[1:].ravel()])]
    edges = np.concatenate(edges, axis=1)
    edges = edges[:, rng.random(edges.shape[1]) < 0.8]
    near = rng.integers(0, nodes.size - 100, 20)
    edges = np.concatenate([edges, [near, near + 90], [np.full(30, 5000), 5000 + np.arange(30)]], axis=1)
    graph = graph_of(nodes.size, np.concatenate([edges, edges[::-1]], axis=1))
    sources = torch.from_numpy(rng.integers(0, nodes.size, 100))
    hops = hop_distance(graph, sources)
    assert int(hops.max()) > many_sources._LONG
    assert torch.equal(hops, torch.cat([hop_distance(graph, sources[i : i + 1]) for i in range(100)]))
    cut = hop_distance(graph, sources, max_hops=150)
    assert torch.equal(cut, hops.where(hops <= 150, -1))


def test_sweeps_give_up_on_a_graph_that_does_not_suit_them():
    graph, nodes = path_graph(400), torch.arange(400)
    with search("sweeps"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "_MAX_ROUNDS", 1)
        assert torch.equal(hop_distance(graph).long(), (nodes[:, None] - nodes).abs())


def test_a_large_small_world_equals_scipy():
    rng = np.random.default_rng(3)
    num_nodes = 40_000
    edges = (num_nodes * rng.random((2, 300_000)) ** 3).astype(np.int64)  # hubs at low ids
    graph = graph_of(num_nodes, edges)
    sources = rng.integers(0, num_nodes, 70)
    matrix = graph.to_scipy()
    expected = scipy_shortest_path(matrix, unweighted=True, indices=sources)
    expected = np.where(np.isinf(expected), -1, expected)
    assert_equal(hop_distance(graph, sources[:3].tolist()), expected[:3])  # levels, push and pull
    assert_equal(hop_distance(graph, torch.from_numpy(sources)), expected)  # rows of bits
    more = np.concatenate([sources, rng.integers(0, num_nodes, 500)])
    assert_equal(hop_distance(graph, torch.from_numpy(more))[:70], expected)  # jagged bits


def test_threads_change_nothing():
    rng = np.random.default_rng(5)
    graph = graph_of(3000, rng.integers(0, 3000, (2, 9000)))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = hop_distance(graph)
        torch.set_num_threads(3)
        assert torch.equal(hop_distance(graph), one)
    finally:
        torch.set_num_threads(threads)


CHAIN = [[0, 1, 2], [1, 2, 3]]


def chain():
    return Adjacency.from_edge_index(torch.tensor(CHAIN), num_nodes=4)


def test_uint8_marks_unreached_nodes_with_255_and_refuses_what_it_cannot_hold():
    assert hop_distance(chain(), [1], dtype=torch.uint8).tolist() == [[255, 0, 1, 2]]
    held = hop_distance(path_graph(255, directed=True), dtype=torch.uint8)
    assert held[0].tolist() == list(range(255))
    assert held[1:3, 0].tolist() == [255, 255]
    with pytest.raises(ValueError, match="255 hops does not fit uint8, which holds 254"):
        hop_distance(path_graph(256), dtype=torch.uint8)
    cut = hop_distance(path_graph(300), [0], dtype=torch.uint8, max_hops=200)
    assert cut[0].tolist() == [*range(201), *[255] * 99]


def test_a_mask_chooses_sources_and_weights_are_ignored():
    weighted = Adjacency.from_edge_index(torch.tensor(CHAIN), torch.tensor([5.0, -2.0, 0.0]), num_nodes=4)
    mask = torch.tensor([False, True, False, True])
    assert hop_distance(weighted, mask).tolist() == [[-1, 0, 1, 2], [-1, -1, -1, 0]]


def test_no_sources_and_no_nodes():
    assert hop_distance(chain(), []).shape == (0, 4)
    empty = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=0)
    assert hop_distance(empty).shape == (0, 0)
    assert list(iter_hop_distance(empty)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": [4]}, r"sources holds 4, which is not a node of this graph: ids are 0\.\.3"),
        ({"sources": [0, -1]}, "sources holds -1, which is not a node"),
        ({"max_hops": -1}, "max_hops must be 0 or more, got -1"),
        ({"direction": "up"}, "direction must be 'out', 'in' or 'both', got 'up'"),
        ({"out": torch.empty(4, 3, dtype=torch.int8)}, r"out must have shape \(4, 4\).*got \(4, 3\)"),
        (
            {"out": torch.empty(4, 4, dtype=torch.int8), "dtype": torch.int16},
            r"dtype is torch.int16 but out is torch.int8",
        ),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        hop_distance(chain(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": [0.5]}, "sources must be integers"),
        ({"max_hops": 1.5}, r"max_hops must be a whole number or None, got 1\.5"),
        ({"dtype": torch.float32}, r"must be one of torch.uint8.*got torch.float32"),
        ({"out": torch.empty(4, 4)}, r"got torch.float32"),
    ],
)
def test_wrong_types_are_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        hop_distance(chain(), **arguments)


def test_other_mistakes():
    with pytest.raises(TypeError, match="hops are counted on an Adjacency, got Tensor"):
        hop_distance(torch.tensor(CHAIN))
    with pytest.raises(ValueError, match="block_size must be 1 or more, got 0"):
        iter_hop_distance(chain(), block_size=0)
    with pytest.raises(ValueError, match="source holds -1"):
        hop_count(chain(), -1, 2)
    with pytest.raises(ValueError, match="target holds 4"):
        shortest_path(chain(), 0, 4)
