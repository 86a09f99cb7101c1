"""torch's fused recurrent kernels, called for one layer and one direction.

These are what ``torch.nn.RNN``, ``LSTM`` and ``GRU`` call. Ragged batches are packed, so
that padding is neither computed nor seen: it may hold anything, NaN included.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurrent.cells.cell import StateT, map_state

Kernel = Callable[..., Any]


def run_kernel(
    kernel: Kernel, inputs: Tensor, state: StateT, weights: Sequence[Tensor], lengths: Tensor | None
) -> tuple[Tensor, StateT]:
    r"""All steps of one layer in one kernel call.

    Args:
        kernel: ``torch.rnn_tanh``, ``torch.rnn_relu``, ``torch.lstm`` or ``torch.gru``.
        inputs: Padded sequences.
        state: State before the first step.
        weights: ``weight_ih, weight_hh, bias_ih, bias_hh``.
        lengths: Steps of each sequence; all T when omitted. A sequence of length 0 keeps its state.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **output:** :math:`(B, T, hidden\_size)`, zeros after each length, and the last state
    """
    if _half_by_autocast_on_cpu(inputs):
        with torch.autocast("cpu", enabled=False):
            state = map_state(lambda field: field.to(weights[0].dtype), state)
            return run_kernel(kernel, inputs.to(weights[0].dtype), state, weights, lengths)
    if lengths is None or not len(lengths):  # packing knows no empty batch
        with _separate_weights(inputs):
            outputs, *last = kernel(inputs, _kernel_state(state), weights, *_options(), True)
        return outputs, _plain_state(state, last)
    lengths = lengths.cpu()  # where packing wants them
    empty = (lengths == 0).to(inputs.device).unsqueeze(-1) if bool((lengths == 0).any()) else None
    if empty is not None:
        # The kernels know no empty sequence: it reads one step of zeros, which is then taken back.
        inputs = inputs.masked_fill(empty.unsqueeze(-1), 0)
    packed = pack_padded_sequence(inputs, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
    ordered = map_state(lambda field: field.index_select(0, packed.sorted_indices), state)
    with _separate_weights(inputs):
        data, *last = kernel(packed.data, packed.batch_sizes, _kernel_state(ordered), weights, *_options())
    packed = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.size(1))
    final = map_state(lambda field: field.index_select(0, packed.unsorted_indices), _plain_state(state, last))
    if empty is None:
        return outputs, final
    final = map_state(lambda before, after: torch.where(empty, before, after), state, final)
    return outputs.masked_fill(empty.unsqueeze(-1), 0), final


def _options() -> tuple[bool, int, float, bool, bool]:
    """has_biases, num_layers, dropout, train, bidirectional."""
    # cuDNN keeps what the backward needs only under train=True, whatever the module's mode is.
    return True, 1, 0.0, torch.is_grad_enabled(), False


def _half_by_autocast_on_cpu(inputs: Tensor) -> bool:
    """Whether autocast would hand the CPU's kernels float16 beside float32, of which the LSTM's has no form."""
    return (
        inputs.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.float16
    )


@contextmanager
def _separate_weights(inputs: Tensor) -> Iterator[None]:
    """Keep cuDNN from warning at every call that it copies the four parameters next to each other.

    One copy a sequence is small beside the sequence, and a cell whose parameters are views of one buffer
    would break whatever replaces or shares them.
    """
    if not inputs.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")
        yield


def _kernel_state(state: tuple[Tensor, ...]) -> Tensor | list[Tensor]:
    fields = [field.unsqueeze(0).contiguous() for field in state]  # the kernels' layer axis
    return fields[0] if len(fields) == 1 else fields


def _plain_state(state: StateT, fields: Sequence[Tensor]) -> StateT:
    remaining = iter(fields)
    return map_state(lambda _: next(remaining).squeeze(0), state)
