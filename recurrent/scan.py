r"""The linear recurrence h_t = a_t h_{t-1} + b_t for all t at once, by a parallel scan.

Two steps compose into one, (a_2, b_2) after (a_1, b_1) = (a_2 a_1, a_2 b_1 + b_2). So the
steps are merged in pairs, the half-length recurrence is solved the same way, and the
states between follow from their left neighbours: O(T) work in O(log T) sweeps.

Reference: Blelloch, "Prefix Sums and Their Applications", 1990; for recurrent networks
Martin & Cundy, "Parallelizing Linear Recurrent Neural Nets Over Sequence Length", ICLR
2018, https://arxiv.org/abs/1709.04057.
"""

from typing import Any

import torch
from torch import Tensor


def linear_scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    r"""Every h_t = a_t h_{t-1} + b_t, element by element.

    Computed in place of logarithms, so coefficients may be zero or negative. The backward
    is a scan of the reversed steps and stores only ``a`` and the result.

    Args:
        a: Coefficients.
        b: Increments.
        initial: h_0.

    Shapes:
        - **a**, **b** and output: :math:`(T, *)`
        - **initial:** :math:`(*)`

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> linear_scan(torch.full((3, 1), 0.5), torch.ones(3, 1), torch.zeros(1)).flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    if a.shape != b.shape or a.shape[1:] != initial.shape:
        raise ValueError(
            f"a and b must have one shape [T, *] and initial [*], got {tuple(a.shape)}, "
            f"{tuple(b.shape)} and {tuple(initial.shape)}"
        )
    result: Tensor = _LinearScan.apply(a, b, initial)  # type: ignore[no-untyped-call]
    return result


def gated_scan(z: Tensor, candidate: Tensor, initial: Tensor) -> Tensor:
    r"""Every h_t = (1 - z_t) h_{t-1} + z_t h~_t: the linear recurrence of a gate and a candidate.

    On a CPU the steps run one after another, each in the cache, which beats the sweeps of a parallel
    scan through memory; elsewhere this is :func:`linear_scan`.

    Args:
        z: Gates; 1 overwrites the state.
        candidate: h~.
        initial: h_0.

    Shapes:
        - **z**, **candidate** and output: :math:`(T, *)`
        - **initial:** :math:`(*)`

    Example:
        >>> gated_scan(torch.full((3, 1), 0.5), torch.ones(3, 1), torch.zeros(1)).flatten()
        tensor([0.5000, 0.7500, 0.8750])
    """
    if z.device.type != "cpu":
        return linear_scan(1 - z, z * candidate, initial.to(z.dtype))
    result: Tensor = _SequentialScan.apply(z, candidate, initial.to(z.dtype))  # type: ignore[no-untyped-call]
    return result


class _SequentialScan(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, candidate: Tensor, initial: Tensor) -> Tensor:
        states = torch.empty_like(z, memory_format=torch.contiguous_format)
        previous = initial
        for gate, new, state in zip(z.unbind(0), candidate.unbind(0), states.unbind(0), strict=True):
            previous = torch.lerp(previous, new, gate, out=state)
        return states

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, candidate, initial, states = ctx.saved_tensors
        if torch.is_grad_enabled():  # gradients of gradients are wanted: by operations that have them
            delta = _from_the_end(1 - z, grad)
            return delta * (candidate - _before(initial, states)), delta * z, ((1 - z) * delta)[:1].sum(0)
        to_z, to_candidate = torch.empty_like(states), torch.empty_like(states)
        carry = torch.zeros_like(initial)
        for t in range(len(z) - 1, -1, -1):
            delta = grad[t] + carry  # dL/dh_t, whole
            previous = states[t - 1] if t else initial
            torch.mul(delta, candidate[t] - previous, out=to_z[t])
            torch.mul(delta, z[t], out=to_candidate[t])
            carry = delta - to_candidate[t]  # (1 - z) dL/dh_t
        return to_z, to_candidate, carry


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        b = b.clone()
        b[:1].addcmul_(a[:1], initial)  # the first step's state, if there is a step
        return _scan(a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        a, _, initial = inputs
        ctx.save_for_backward(a, initial, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, initial, states = ctx.saved_tensors
        delta = _from_the_end(a, grad)
        return delta * _before(initial, states), delta, (a * delta)[:1].sum(0)


def _from_the_end(a: Tensor, grad: Tensor) -> Tensor:
    """dL/dh_t = grad_t + a_{t+1} dL/dh_{t+1}: the same recurrence, read from the end."""
    following = torch.cat([a[1:], torch.zeros_like(a[:1])]).flip(0)
    return linear_scan(following, grad.flip(0), torch.zeros_like(grad[:1]).sum(0)).flip(0)


def _before(initial: Tensor, states: Tensor) -> Tensor:
    """The state before each step."""
    return torch.cat([initial.unsqueeze(0), states])[: len(states)]


def _scan(a: Tensor, b: Tensor) -> Tensor:
    """The recurrence from h_0 = 0."""
    length = a.size(0)
    if length <= 1:
        return b
    paired = length - length % 2
    a_right, b_right = a[1:paired:2], b[1:paired:2]
    odd = _scan(a_right * a[0:paired:2], torch.addcmul(b_right, a_right, b[0:paired:2]))
    states = torch.empty_like(b)
    states[1::2] = odd
    states[0] = b[0]
    # The states at even places from 2 on, each from its left neighbour.
    torch.addcmul(b[2::2], a[2::2], odd[: (length - 1) // 2], out=states[2::2])
    return states
