"""Carrying the last observed value on."""

import torch

from gnnkit.nn.missing import carry_forward
from tests.reference import graph_recurrent as reference


def test_carry_forward_matches_loops():
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(9, 4, 3, generator=generator)
    observed = torch.rand(9, 4, 3, generator=generator) > 0.6
    torch.testing.assert_close(carry_forward(x, observed), reference.filled(x, observed), rtol=0, atol=0)
