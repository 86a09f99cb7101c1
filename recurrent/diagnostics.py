"""How far a gradient reaches through time, and what the gates do meanwhile."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from recurrent.adjoint import gradients_of_states
from recurrent.cells.cell import Cell, StateT, map_state
from recurrent.unroll import checked_state, unroll_states


class InspectableCell(Cell[StateT], Protocol[StateT]):
    """A cell that names what its gates did in a step."""

    def gates(self, input: Tensor, state: StateT) -> NamedTuple:
        """Activations of one step, or of many along leading axes, as named fields."""
        ...


def state_gradients(
    cell: Cell[StateT],
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    state: StateT | None = None,
    *,
    times: Tensor | None = None,
) -> Tensor:
    r"""dL/dh_t for every step t, through everything that follows: outputs and later states.

    Args:
        cell: Any cell whose output is its hidden state.
        inputs: Sequences.
        loss: From the stacked hidden states ``[B, T, hidden_size]`` to a scalar; it may hold the rest of
            a model: ``lambda hidden: cross_entropy(head(hidden[:, -1]), targets)``.
        state: State before the first step.
        times: As in :func:`recurrent.unroll`.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **output:** :math:`(B, T, hidden\_size)`; zeros for a step that the loss does not see

    Raises:
        ValueError: If the loss is not a scalar that depends on the states; else as :func:`recurrent.unroll`.
    """
    return torch.stack(gradients_of_states(cell, inputs, loss, state, times), dim=1)


def gradient_by_step(
    cell: Cell[StateT],
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    state: StateT | None = None,
    *,
    times: Tensor | None = None,
) -> Tensor:
    r"""The Euclidean norm of dL/dh_t, over batch and units, for every step t.

    Arguments and errors are those of :func:`state_gradients`, which gives the gradients themselves. A
    flat curve means that the loss still hears the first step; a straight fall on a logarithmic axis, that
    each step back costs a constant factor. Where gradients underflow, ``torch.set_flush_denormal(True)``
    makes this several times faster.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **output:** :math:`(T)`

    Example:
        >>> from recurrent import RNNCell
        >>> from recurrent.initialization import identity_
        >>> cell = identity_(RNNCell(1, 2), scale=0.5)
        >>> norms = gradient_by_step(cell, torch.zeros(1, 3, 1), lambda hidden: hidden[:, -1].sum())
        >>> norms / norms[-1]
        tensor([0.2500, 0.5000, 1.0000])
    """
    return torch.stack([gradient.norm() for gradient in gradients_of_states(cell, inputs, loss, state, times)])


def recurrent_gradient_norms(module: nn.Module) -> dict[str, float]:
    """The norm of dL/dW_hh for each cell inside a module, by parameter name: call it after ``backward``.

    Recorded at every step of a training, it tells a run that is stuck from one that learns.

    Raises:
        ValueError: If the module has no ``weight_hh``, or one without a gradient.

    Example:
        >>> from recurrent import RNNCell, unroll
        >>> cell = RNNCell(1, 2)
        >>> unroll(cell, torch.ones(1, 3, 1))[0].sum().backward()
        >>> list(recurrent_gradient_norms(cell))
        ['weight_hh']
    """
    weights = {
        name: parameter for name, parameter in module.named_parameters() if name.rsplit(".", 1)[-1] == "weight_hh"
    }
    missing = [name for name, parameter in weights.items() if parameter.grad is None]
    if not weights or missing:
        raise ValueError(
            f"{type(module).__name__} has no weight_hh"
            if not weights
            else f"no gradient for {', '.join(missing)}; call backward() first"
        )
    return {name: float(p.grad.norm()) for name, p in weights.items() if p.grad is not None}


@torch.no_grad()
def gate_activations(
    cell: InspectableCell[StateT], inputs: Tensor, state: StateT | None = None, *, times: Tensor | None = None
) -> dict[str, Tensor]:
    r"""What every gate of a cell did at every step, under the names of the equations.

    ``i, f, g, o`` for an LSTM, ``k`` too for a Phased LSTM; ``r, z, n`` for a GRU; ``z, h`` for a minGRU;
    ``h`` for an RNN.

    Arguments and errors are those of :func:`recurrent.unroll`.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **output**, each: :math:`(B, T, hidden\_size)`

    Example:
        >>> from recurrent import LSTMCell
        >>> gates = gate_activations(LSTMCell(3, 4), torch.zeros(2, 5, 3))
        >>> {name: tuple(values.shape) for name, values in gates.items()}
        {'i': (2, 5, 4), 'f': (2, 5, 4), 'g': (2, 5, 4), 'o': (2, 5, 4)}
    """
    state = checked_state(cell, inputs, state)
    states = [state, *unroll_states(cell, inputs, state, times=times)[:-1]]
    before = map_state(lambda *fields: torch.stack(fields, dim=1), states[0], *states[1:])
    if times is not None:
        # Stamps need not follow each other by 1, as the clock in the states would have it.
        before = before._replace(time=times.expand(inputs.shape[:2]))  # type: ignore[attr-defined]
    activations: dict[str, Any] = cell.gates(inputs, before)._asdict()
    return activations
