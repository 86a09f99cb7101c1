"""Dropout from 16-bit lanes: its probability, its independence, its scale."""

import math
import os

import pytest
import scipy.stats
import torch
from scipy.special import ndtri

from gnnkit.graph.sparse import SparseMatrix
from gnnkit.nn.dropout import dropout, keeping_all

LANES = 1 << 16
# The chance that a right implementation fails one of these tests, per test.
ALPHA = 1e-6


def kept(num_draws: int, p: float, *, chunk: int = 1 << 22) -> torch.Tensor:
    """How many survive in each of the four lanes, ``(4)``, and how many were drawn."""
    survivors, left = torch.zeros(4, dtype=torch.int64), num_draws
    ones = torch.ones(chunk)
    while left > 0:
        survivors += (dropout(ones, p) != 0).view(-1, 4).sum(0)
        left -= chunk
    return survivors


def check_probability(p: float, num_draws: int) -> None:
    chunk = 1 << 22
    num_draws = math.ceil(num_draws / chunk) * chunk
    survivors = kept(num_draws, p, chunk=chunk)
    realised = 1 - round(p * LANES) / LANES
    assert abs(realised - (1 - p)) <= 2**-17 + 1e-15
    # The interval of the whole, and that of each lane: the last one holds the sign bit.
    for count, draws in [(int(survivors.sum()), num_draws), *((int(lane), num_draws // 4) for lane in survivors)]:
        margin = float(-ndtri(ALPHA / 10)) * math.sqrt(realised * (1 - realised) / draws)
        assert abs(count / draws - realised) <= margin
        assert abs(count / draws - (1 - p)) <= margin + 2**-16


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6, 0.9])
def test_the_probability_is_the_one_asked_for(p):
    torch.manual_seed(0)
    check_probability(p, 1 << 24)


@pytest.mark.parametrize("p", [2**-16, 1 - 2**-16])
def test_the_smallest_step_is_realised(p):
    torch.manual_seed(0)
    check_probability(p, 1 << 24)


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "thorough", reason="long; HYPOTHESIS_PROFILE=thorough runs it"
)
@pytest.mark.parametrize("p", [0.5, 0.6])
def test_the_probability_over_a_billion_draws(p):
    torch.manual_seed(0)
    check_probability(p, 10**9)


@pytest.mark.parametrize("p", [0.25, 0.5, 0.6])
def test_lanes_and_neighbours_are_independent(p):
    torch.manual_seed(0)
    words = (dropout(torch.ones(1 << 23), p) != 0).view(-1, 4)
    keep = 1 - round(p * LANES) / LANES
    # All 16 patterns of a word's four lanes.
    patterns = (words.long() * torch.tensor([1, 2, 4, 8])).sum(1)
    counts = torch.bincount(patterns, minlength=16).double()
    bits = torch.tensor([bin(pattern).count("1") for pattern in range(16)])
    expected = words.size(0) * keep**bits * (1 - keep) ** (4 - bits)
    assert scipy.stats.chisquare(counts.numpy(), expected.double().numpy(), sum_check=False).pvalue > ALPHA
    # Each number with the one before it, and with the one a word before.
    flat = words.view(-1).long()
    for lag in (1, 4):
        # Pairs that do not overlap, so that they are independent of each other.
        first = torch.arange(flat.numel() - lag).view(-1)
        first = first[(first // lag) % 2 == 0]
        pairs = torch.bincount(flat[first] * 2 + flat[first + lag], minlength=4).double()
        table = torch.tensor([(1 - keep) ** 2, keep * (1 - keep), keep * (1 - keep), keep**2]).double() * first.numel()
        statistic = scipy.stats.chisquare(pairs.numpy(), table.numpy(), sum_check=False)
        assert statistic.pvalue > ALPHA


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.6, 0.99])
def test_survivors_are_scaled_so_that_the_mean_stays(p):
    torch.manual_seed(0)
    x = torch.rand(1000, 7, dtype=torch.float64) + 1
    out = dropout(x, p)
    keep = 1 - round(p * LANES) / LANES
    scale = (out / x)[out != 0]
    torch.testing.assert_close(scale, torch.full_like(scale, 1 / keep), rtol=1e-15, atol=0)
    assert keep * (1 / keep) == pytest.approx(1, rel=1e-15)  # the realised probability, so no bias is left
    assert out.shape == x.shape


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 0), (7, 3), (2, 3, 5), ()])
def test_takes_any_shape(shape):
    x = torch.ones(shape)
    assert dropout(x, 0.5).shape == shape
    assert not dropout(x, 1.0).any()
    assert dropout(x, 0.0) is x
    assert dropout(x, 0.5, training=False) is x
    assert set(dropout(x, 0.5).view(-1).tolist()) <= {0.0, 2.0}


def test_draws_anew_each_time_and_the_same_from_one_seed():
    x = torch.ones(64)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_gradients_pass_where_numbers_do():
    x = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.4)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), out.detach())
    assert (x.grad == 0).any()
    transposed = torch.ones(6, 4).T
    assert dropout(transposed, 0.5).shape == (4, 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_the_dtype(dtype):
    out = dropout(torch.ones(100, dtype=dtype), 0.5)
    assert out.dtype == dtype
    assert set(out.tolist()) == {0.0, 2.0}


def test_sparse_matrices_keep_their_pattern():
    torch.manual_seed(0)
    matrix = SparseMatrix.from_tensor((torch.rand(40, 30) < 0.2).float().to_sparse_csr())
    out = dropout(matrix, 0.5)
    assert out.pattern is matrix.pattern
    assert set(out.values.tolist()) == {0.0, 2.0}
    assert dropout(matrix, 0.5, training=False) is matrix
    weight = torch.randn(30, 4, requires_grad=True)
    torch.testing.assert_close(out.matmul(weight), out.to_dense() @ weight)
    (gradient,) = torch.autograd.grad(out.matmul(weight).sum(), weight)
    torch.testing.assert_close(gradient, out.to_dense().sum(0).unsqueeze(1).expand(30, 4))


def test_mapped_elements_draw_for_themselves():
    x = torch.ones(4, 64)
    out = torch.vmap(lambda x: dropout(x, 0.5), randomness="different")(x)
    assert set(out.view(-1).tolist()) == {0.0, 2.0}
    assert len({tuple(row.tolist()) for row in out}) == 4
    same = torch.vmap(lambda x: dropout(x, 0.5), randomness="same")(x)
    assert len({tuple(row.tolist()) for row in same}) == 1


@pytest.mark.slow
def test_compiles_whole():
    out = torch.compile(lambda x: dropout(x, 0.5), fullgraph=True, backend="aot_eager")(torch.ones(1000))
    assert set(out.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
def test_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=rf"must lie in 0..1, got {p}"):
        dropout(torch.ones(3), p)
    with pytest.raises(ValueError, match=rf"got {p}"):
        dropout(torch.ones(3), p, training=False)


def test_nothing_is_dropped_or_drawn_where_all_is_kept():
    x, state = torch.rand(9, 5) + 1, torch.get_rng_state()
    with keeping_all():
        for drop in (torch.nn.Dropout(0.5), torch.nn.Dropout1d(0.5), torch.nn.AlphaDropout(0.5)):
            assert torch.equal(drop(x), x)
            assert drop(x) is not x  # as a dropout's output is another tensor
        assert torch.nn.Dropout(0.5).eval()(x) is x
        assert torch.equal(torch.nn.functional.dropout(input=x), x)
        torch.testing.assert_close(dropout(x, 0.5), 2 * x)
        assert torch.equal(torch.get_rng_state(), state)
    assert bool((dropout(x, 0.5) == 0).any())
    assert bool((torch.nn.Dropout(0.5)(x) == 0).any())
