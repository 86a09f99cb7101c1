"""What a node hears: the terms of each operator against dense matrices."""

import pytest
import torch

from gnnkit.nn.operators import terms_of
from tests.graphs import GRAPHS, random_case
from tests.reference import graph_recurrent as reference

OPERATORS = ("gcn", "chebyshev", "diffusion")
# A dense matrix cannot tell a self-loop of weight 0 from none; the tests of GCN's self-loops do.
CASES = {name: case for name, case in GRAPHS.items() if case.num_nodes and name != "a self-loop of weight 0"}
CASES["random, 70 nodes: beyond the dense product"] = random_case(70, 200)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_terms_match_dense_matrices(case, operator):
    graph = case.adjacency()
    torch.manual_seed(0)
    x = torch.randn(case.num_nodes, 2, 3, dtype=torch.float64)
    for hops in range(4):
        expected = [torch.einsum("ts,scf->tcf", s, x) for s in reference.operator_terms(case.dense(), operator, hops)]
        found = terms_of(graph, operator, hops)(x)
        assert len(found) == len(expected)
        for each, other in zip(found, expected, strict=True):
            torch.testing.assert_close(each, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_diffusion_is_two_random_walks(case):
    dense = case.dense()
    ones = torch.ones(case.num_nodes, 1, 1, dtype=torch.float64)
    _, forward, backward = (term.flatten() for term in terms_of(case.adjacency(), "diffusion", 1)(ones))
    # Rows sum to 1 where there is an edge, and to 0 elsewhere.
    torch.testing.assert_close(forward, (dense.sum(1) > 0).double())
    torch.testing.assert_close(backward, (dense.sum(0) > 0).double())
