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


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_written_terms_and_their_adjoint(case, operator, dtype):
    graph = case.adjacency().to(dtype=dtype)
    torch.manual_seed(0)
    size = case.num_nodes, 2, 3
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 0.1, "atol": 0.1}
    for hops in range(4):
        matrices = reference.operator_terms(case.dense(), operator, hops)
        terms, x, grads = terms_of(graph, operator, hops), torch.randn(size), torch.randn(len(matrices), *size)
        places = torch.full((len(matrices) - 1, *size), torch.nan, dtype=dtype)  # nothing there is read
        terms.write(x.to(dtype), places)
        for place, matrix in zip(places, matrices[1:], strict=True):
            expected = torch.einsum("ts,scf->tcf", matrix, x.double())
            torch.testing.assert_close(place.double(), expected, **tolerance)
        back = sum(torch.einsum("ts,tcf->scf", s, grad.double()) for s, grad in zip(matrices, grads, strict=True))
        torch.testing.assert_close(terms.adjoint(grads.to(dtype)).double(), back, **tolerance)
