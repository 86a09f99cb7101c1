"""What the time loop asks of a cell, as protocols: no cell inherits from another.

A cell is one time step, ``(input, state) -> (output, state)``. Two optional methods make
a whole sequence faster without changing its result: ``prepare`` hoists what does not
depend on the state out of the loop, ``run`` replaces the loop by one kernel.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor

StateT = TypeVar("StateT", bound=tuple[Tensor, ...])


class HiddenState(NamedTuple):
    """State of the cells that carry one vector: RNN, orthogonal RNN, GRU, minGRU."""

    hidden: Tensor


class Cell(Protocol[StateT]):
    """One time step. Every field of the state has shape ``[*batch_size, ...]``."""

    input_size: int
    hidden_size: int

    def initial_state(self, *batch_size: int) -> StateT:
        """The state before the first step: zeros, on the device and in the dtype of the weights."""
        ...

    def __call__(self, input: Tensor, state: StateT) -> tuple[Tensor, StateT]:
        """``[*batch_size, input_size] -> [*batch_size, hidden_size]``, and the state after the step."""
        ...


@runtime_checkable
class PreparedCell(Protocol[StateT]):
    """A cell that does for all steps at once what needs no state, such as the input projection."""

    def prepare(self, inputs: Tensor, state: StateT) -> Iterable[Any]:
        """Inputs ``[T, B, input_size]`` to T items, each of which :meth:`step` takes in turn."""
        ...

    def step(self, prepared: Any, state: StateT) -> tuple[Tensor, StateT]:
        """One time step from a prepared item."""
        ...


@runtime_checkable
class TimedCell(PreparedCell[StateT], Protocol[StateT]):
    """A :class:`PreparedCell` with a clock: its steps depend on when they happen."""

    def prepare(self, inputs: Tensor, state: StateT, times: Tensor | None = None) -> Iterable[Any]:
        """As :meth:`PreparedCell.prepare`; ``times`` is ``[T]``, ``[B, T]`` or the cell's own clock."""
        ...

    def __call__(self, input: Tensor, state: StateT, time: Tensor | None = None) -> tuple[Tensor, StateT]:
        """As :meth:`Cell.__call__`, at ``time``, ``[]`` or ``[B]``, or at the cell's own clock."""
        ...

    def openness(self, times: Tensor) -> Tensor:
        """``[*] -> [*, hidden_size]``: how far each unit's temporal gate is open."""
        ...


@runtime_checkable
class WholeSequenceCell(Protocol[StateT]):
    """A cell with a form that computes all steps in one call (a library kernel, a scan)."""

    def run(self, inputs: Tensor, state: StateT, lengths: Tensor | None = None) -> tuple[Tensor, StateT]:
        """``[B, T, input_size] -> [B, T, hidden_size]``, zeros after each length, and the last state."""
        ...


def map_state(function: Callable[..., Tensor], state: StateT, *others: StateT) -> StateT:
    """The state whose fields are ``function`` of the fields of the given states.

    Example:
        >>> import torch
        >>> map_state(torch.add, HiddenState(torch.tensor([1.0])), HiddenState(torch.tensor([2.0])))
        HiddenState(hidden=tensor([3.]))
    """
    fields = map(function, state, *others)
    # A NamedTuple takes its fields as arguments, a plain tuple as one iterable.
    return type(state)(*fields) if hasattr(state, "_fields") else type(state)(fields)
