"""The time loop, the only one: a cell over a batch of sequences.

What needs no state is done for all steps at once (``prepare``), and a cell that has a form
for whole sequences (``run``: a library kernel, a scan) is not looped over at all. Both give
the step-by-step result.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recurrent.cells.cell import Cell, PreparedCell, StateT, TimedCell, WholeSequenceCell, map_state
from recurrent.checks import check_integers, check_like_weights

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def unroll(
    cell: Cell[StateT],
    inputs: Tensor,
    state: StateT | None = None,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    times: Tensor | None = None,
) -> tuple[Tensor, StateT]:
    r"""Run a cell over whole sequences; return every output and the last state.

    Args:
        cell: Any cell: only ``(input, state) -> (output, state)`` and ``initial_state`` are needed.
        inputs: Sequences, batch first.
        state: State before the first step; ``cell.initial_state(B)`` when omitted.
        lengths: Steps of each sequence, 0 to T; T when omitted. What lies beyond is not read (it may
            be NaN), outputs there are 0, and the state is the one after the last step that counts.
        reverse: Read each sequence from its last step to its first. Outputs stay where their inputs
            are, so ``outputs[:, 0]`` has seen the whole sequence.
        times: When each step happens, for a cell with a clock (Phased LSTM). When omitted its clock
            counts the steps in the order they are read, from ``state.time``, at first 0.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **lengths:** :math:`(B)`
        - **times:** :math:`(T)` or :math:`(B, T)`
        - **outputs:** :math:`(B, T, hidden\_size)`; the state's fields start with :math:`B`

    Raises:
        ValueError: If a shape does not fit, a length is out of range, or the cell has no clock for times.
        TypeError: If the state is not of the cell's kind, or lengths are not integers.

    Example:
        >>> from recurrent import LSTMCell
        >>> outputs, state = unroll(LSTMCell(3, 4), torch.randn(2, 5, 3))
        >>> outputs.shape, torch.equal(outputs[:, -1], state.hidden)
        (torch.Size([2, 5, 4]), True)
    """
    state = checked_state(cell, inputs, state)
    _check_lengths(lengths, inputs)
    lengths = None if lengths is None else lengths.long()  # of a small unsigned type, 0 - 1 would wrap
    _check_times(times, inputs, cell)
    if lengths is not None:
        lengths = lengths.to(inputs.device)
    if reverse:
        inputs = _reversed(inputs, lengths)
        if times is not None:
            times = times.flip(-1) if lengths is None else _reversed(times.expand(inputs.shape[:2]), lengths)
    if isinstance(cell, WholeSequenceCell) and _is_current(cell, "run") and not _has_hooks(cell):
        outputs, state = cell.run(inputs, state, lengths)
    else:
        outputs, state = _loop(cell, inputs, state, lengths, times)
    return (_reversed(outputs, lengths) if reverse else outputs), state


def unroll_states(
    cell: Cell[StateT], inputs: Tensor, state: StateT | None = None, *, times: Tensor | None = None
) -> list[StateT]:
    r"""The state after every step, each a node of the autograd graph: what diagnostics look at.

    Args and errors are those of :func:`unroll`.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **output:** T states whose fields start with :math:`B`
    """
    state = checked_state(cell, inputs, state)
    _check_times(times, inputs, cell)
    return [state for _, state in _steps(cell, inputs, state, times)]


def _steps(cell: Cell[StateT], inputs: Tensor, state: StateT, times: Tensor | None) -> Iterator[tuple[Tensor, StateT]]:
    time_major = inputs.transpose(0, 1).contiguous()  # one product for all steps, and rows that lie together
    stamps: tuple[Any, ...] = (times,) if isinstance(cell, TimedCell) else ()
    if isinstance(cell, PreparedCell) and _is_current(cell, "step") and not _has_hooks(cell):
        for item in cell.prepare(time_major, state, *stamps):
            output, state = cell.step(item, state)
            yield output, state
        return
    # Only a cell with a clock gets times; it takes a step's as its third argument.
    # unbind, not indexing: the backward of inputs[t] fills a tensor of all T steps, for every t.
    moments = () if times is None else (times.unbind(-1),)
    for input, *moment in zip(time_major.unbind(0), *moments, strict=True):
        output, state = cell(input, state, *moment)
        yield output, state


def _loop(
    cell: Cell[StateT], inputs: Tensor, state: StateT, lengths: Tensor | None, times: Tensor | None
) -> tuple[Tensor, StateT]:
    if lengths is None:
        outputs, last = [], state
        for output, following in _steps(cell, inputs, state, times):
            outputs.append(output)
            last = following
        return torch.stack(outputs, dim=1), last
    running = torch.arange(inputs.size(1), device=inputs.device) < lengths.unsqueeze(-1)  # [B, T]
    # Zeros, so that a NaN in the padding cannot reach a gradient as 0 * NaN.
    inputs = inputs.masked_fill(~running.unsqueeze(-1), 0)
    if times is not None:
        times = times.expand(running.shape).masked_fill(~running, 0)
    steps = list(_steps(cell, inputs, state, times))
    padded = torch.stack([output for output, _ in steps], dim=1)
    after = _states_at([state, *(state for _, state in steps)], lengths)
    return padded.masked_fill(~running.unsqueeze(-1), 0), after


def _is_current(cell: object, form: str) -> bool:
    """Whether a faster form of a cell still says what the cell does.

    A subclass that redefines ``forward`` or ``step`` alone would be ignored by the ``run`` (and ``step``)
    that it inherits: the class that last defined any of them must have defined this one too.
    """
    deciding = {"run", "step", "forward", "__call__"} | ({"prepare"} if form == "run" else set())
    for base in type(cell).__mro__:
        if deciding & vars(base).keys():
            return form in vars(base)
    return False


def _has_hooks(cell: object) -> bool:
    """Whether something waits for calls of the cell, as pruning and normalising of weights do: then it is called."""
    return isinstance(cell, nn.Module) and any(getattr(cell, hooks) for hooks in _HOOKS)


def _states_at(states: list[StateT], lengths: Tensor) -> StateT:
    """For each sequence the state after its own number of steps: padding is read, then ignored."""

    def pick(*fields: Tensor) -> Tensor:
        stacked = torch.stack(fields)  # [T + 1, B, ...]
        return stacked[lengths, torch.arange(len(lengths), device=lengths.device)]

    return map_state(pick, states[0], *states[1:])


def _reversed(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence's own steps in reverse order, its padding left in place; ``[B, T, *]``."""
    if lengths is None:
        return values.flip(1)
    steps = torch.arange(values.size(1), device=values.device)
    order = torch.where(steps < lengths.unsqueeze(-1), lengths.unsqueeze(-1) - 1 - steps, steps)
    return values[torch.arange(len(values), device=values.device).unsqueeze(-1), order]


def checked_state(cell: Cell[StateT], inputs: Tensor, state: StateT | None) -> StateT:
    """The state to start from: the given one, if it and the inputs fit the cell, or the initial one."""
    if inputs.dim() != 3 or inputs.size(-1) != cell.input_size or inputs.size(1) == 0:
        raise ValueError(
            f"inputs must be [batch_size, seq_length >= 1, input_size = {cell.input_size}], got {tuple(inputs.shape)}"
        )
    check_like_weights(cell, inputs)
    initial = cell.initial_state(inputs.size(0))
    if state is None:
        return initial
    if type(state) is not type(initial):
        raise TypeError(f"the state of {type(cell).__name__} is a {type(initial).__name__}, got {type(state).__name__}")
    kinds = [field.dtype for field in state]
    if kinds != [field.dtype for field in initial] and not torch.is_autocast_enabled(inputs.device.type):
        raise TypeError(f"the state's fields must be of the cell's dtypes, {[f.dtype for f in initial]}, got {kinds}")
    shapes = [tuple(field.shape) for field in state]
    expected = [tuple(field.shape) for field in initial]
    if shapes != expected:
        raise ValueError(f"the state's fields must have the shapes {expected}, got {shapes}")
    return state


def _check_lengths(lengths: Tensor | None, inputs: Tensor) -> None:
    if lengths is None:
        return
    check_integers(lengths)
    if tuple(lengths.shape) != (inputs.size(0),):
        raise ValueError(f"lengths must be [batch_size = {inputs.size(0)}], got {tuple(lengths.shape)}")
    if len(lengths) and (int(lengths.min()) < 0 or int(lengths.max()) > inputs.size(1)):
        raise ValueError(
            f"lengths must be from 0 to seq_length = {inputs.size(1)}, got {int(lengths.min())} to {int(lengths.max())}"
        )


def _check_times(times: Tensor | None, inputs: Tensor, cell: Cell[StateT]) -> None:
    if times is None:
        return
    if not isinstance(cell, TimedCell) or not _is_current(cell, "step"):
        raise ValueError(f"{type(cell).__name__} has no clock but got times; leave them out")
    if tuple(times.shape) not in (tuple(inputs.shape[:2]), (inputs.size(1),)):
        raise ValueError(
            f"times must be [seq_length] or [batch_size, seq_length] = {tuple(inputs.shape[:2])}, "
            f"got {tuple(times.shape)}"
        )
    if times.is_complex() or times.dtype == torch.bool:
        raise TypeError(f"times must be numbers on a line, got {times.dtype}")
