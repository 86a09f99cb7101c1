"""Ways to start a recurrent cell, each with its source.

Every function changes the cell in place, returns it, and draws from ``generator`` (torch's
global one when omitted). ``orthogonal_`` and ``xavier_`` set matrices and zero the biases;
``chrono_`` and ``forget_bias_`` set biases only, so they follow one of the others.
"""

import math
from typing import Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from recurrent.cells.gru import GRUCell
from recurrent.cells.lstm import LSTMCell
from recurrent.cells.min_gru import MinGRUCell
from recurrent.cells.phased_lstm import PhasedLSTMCell
from recurrent.cells.rnn import RNNCell


class GatedModule(Protocol):
    """A cell whose parameters stack one block of ``hidden_size`` rows per gate."""

    input_size: int
    hidden_size: int
    gate_names: tuple[str, ...]

    def get_parameter(self, target: str) -> nn.Parameter:
        """The parameter of that name."""
        ...


CellT = TypeVar("CellT", bound=nn.Module)


def gate_rows(cell: nn.Module, parameter: str, gate: str) -> Tensor:
    """The rows of ``weight_ih``, ``weight_hh``, ``bias_ih`` or ``bias_hh`` that belong to one gate: a view.

    Raises:
        ValueError: If the cell has no such gate.
    """
    names = cast(GatedModule, cell).gate_names
    if gate not in names:
        raise ValueError(f"{type(cell).__name__} has the gates {', '.join(names)}, got {gate!r}")
    parameters = [name for name, _ in cell.named_parameters(recurse=False)]
    if parameter not in parameters:
        raise ValueError(f"{type(cell).__name__} has the parameters {', '.join(parameters)}, got {parameter!r}")
    return cell.get_parameter(parameter).chunk(len(names))[names.index(gate)]


@torch.no_grad()
def xavier_(cell: CellT, *, generator: torch.Generator | None = None) -> CellT:
    """Xavier (Glorot) uniform for the matrix of every gate, biases 0.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """
    for parameter, gate in _matrices(cell):
        nn.init.xavier_uniform_(gate_rows(cell, parameter, gate), generator=generator)
    return _zero_biases(cell)


@torch.no_grad()
def kaiming_(cell: CellT, *, generator: torch.Generator | None = None) -> CellT:
    """N(0, 1 / fan_in) for the matrix of every gate, biases 0: what enters a unit has the inputs' scale.

    Reference: He et al., "Delving Deep into Rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852,
    without their factor of 2, which is for relu; LeCun et al., "Efficient BackProp", 1998.
    """
    for parameter, gate in _matrices(cell):
        nn.init.kaiming_normal_(gate_rows(cell, parameter, gate), nonlinearity="linear", generator=generator)
    return _zero_biases(cell)


@torch.no_grad()
def standard_normal_(cell: CellT, *, generator: torch.Generator | None = None) -> CellT:
    """N(0, 1) for every matrix, biases 0: units saturate from the first step (report 000's counterexample)."""
    for parameter, gate in _matrices(cell):
        gate_rows(cell, parameter, gate).normal_(generator=generator)
    return _zero_biases(cell)


@torch.no_grad()
def orthogonal_(cell: CellT, *, gain: float = 1.0, generator: torch.Generator | None = None) -> CellT:
    """An orthogonal recurrent matrix for every gate, Xavier for the inputs, biases 0.

    The gradient through W_hh alone then keeps its norm (times ``gain``) at every step.

    Reference: Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", ICLR 2014, https://arxiv.org/abs/1312.6120.
    """
    _require_recurrent_matrix(cell, "orthogonal_")
    xavier_(cell, generator=generator)
    for gate in cast(GatedModule, cell).gate_names:
        nn.init.orthogonal_(gate_rows(cell, "weight_hh", gate), gain, generator=generator)
    return cell


@torch.no_grad()
def identity_(
    cell: RNNCell, *, scale: float = 1.0, input_std: float = 0.001, generator: torch.Generator | None = None
) -> RNNCell:
    """The IRNN: W_hh = ``scale`` I, input weights N(0, ``input_std``²), biases 0; meant for relu units.

    Reference: Le, Jaitly & Hinton, "A Simple Way to Initialize Recurrent Networks of Rectified Linear
    Units", 2015, https://arxiv.org/abs/1504.00941.

    Raises:
        TypeError: If the cell is not an RNNCell: the gates of the others are no linear memory.
    """
    if not isinstance(cell, RNNCell):
        raise TypeError(f"identity_ starts an RNNCell, got {type(cell).__name__}; use orthogonal_ or chrono_")
    cell.weight_hh.copy_(scale * torch.eye(cell.hidden_size))
    cell.weight_ih.normal_(std=input_std, generator=generator)
    return _zero_biases(cell)


@torch.no_grad()
def forget_bias_(cell: CellT, value: float = 1.0) -> CellT:
    """Start with the memory kept: every LSTM forget gate's biases add up to ``value``.

    Reference: Gers, Schmidhuber & Cummins, 2000; Jozefowicz, Zaremba & Sutskever, "An Empirical
    Exploration of Recurrent Network Architectures", ICML 2015.

    Raises:
        TypeError: If the cell has no forget gate.
        ValueError: If ``value`` is not finite.
    """
    if not isinstance(cell, LSTMCell | PhasedLSTMCell):
        raise TypeError(f"forget_bias_ starts an LSTM or Phased LSTM, got {type(cell).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"a forget bias must be a finite number, got {value}")
    _set_bias(cell, "f", torch.full((cell.hidden_size,), value))
    return cell


@torch.no_grad()
def chrono_(cell: CellT, max_length: int, *, generator: torch.Generator | None = None) -> CellT:
    """Gate biases whose forgetting times, 1 + exp(b_f), are spread uniformly over 2 to ``max_length`` steps.

    b_f = log U(1, max_length - 1) and b_i = -b_f in the LSTM; the bias of z, which keeps the state, in
    the GRU; minus that in the minGRU, whose z overwrites it.

    Reference: Tallec & Ollivier, "Can recurrent neural networks warp time?", ICLR 2018,
    https://arxiv.org/abs/1804.11188.

    Raises:
        ValueError: If ``max_length`` < 3, when there is no range to spread over, or beyond 2^31 steps.
        TypeError: If the cell has no gates.
    """
    if not 3 <= max_length <= 2**31:
        raise ValueError(f"max_length must be at least 3 and at most 2**31, got {max_length}")
    if not isinstance(cell, LSTMCell | PhasedLSTMCell | GRUCell | MinGRUCell):
        raise TypeError(f"chrono_ sets the biases of gates, which {type(cell).__name__} has not")
    bias = torch.empty(cell.hidden_size).uniform_(1, max_length - 1, generator=generator).log()
    if isinstance(cell, GRUCell):
        _set_bias(cell, "z", bias)
    elif isinstance(cell, MinGRUCell):
        _set_bias(cell, "z", -bias)
    else:
        _set_bias(cell, "f", bias)
        _set_bias(cell, "i", -bias)
    return cell


@torch.no_grad()
def latch_(cell: CellT, *, gain: float | None = None) -> CellT:
    """Make every unit bistable, so that it holds a sign for ever: it knows the task, never a headline.

    The candidate's recurrent matrix becomes ``gain`` I with gain > 1, so h = tanh(gain h) has two stable
    fixed points. RNN: gain 2 by default. LSTM: gain 4, with b_f = 1 and b_o = 2. GRU: gain 4; there it must
    be above 2, since its reset gate, at first half open, halves it.

    Reference: Bengio, Simard & Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", IEEE Trans. Neural Networks 5(2), 1994; Vecoven, Ernst & Drion, "A bio-inspired bistable
    recurrent cell allows for long-lasting memory", 2021, https://arxiv.org/abs/2006.05252.

    Raises:
        ValueError: If ``gain`` is too low for two stable states, or the units are relu's, which have none.
        TypeError: If the cell has no recurrent matrix.
    """
    _require_recurrent_matrix(cell, "latch_")
    if gain is None:
        gain = 2.0 if isinstance(cell, RNNCell) else 4.0
    least = 2 if isinstance(cell, GRUCell) else 1
    if not least < gain < math.inf:
        raise ValueError(f"gain must be above {least}, where two states are stable, got {gain}")
    if isinstance(cell, RNNCell) and cell.nonlinearity != "tanh":
        raise ValueError(f"a latch needs tanh units, which have two stable states, got {cell.nonlinearity!r}")
    hidden_size = cast(GatedModule, cell).hidden_size
    if isinstance(cell, LSTMCell | PhasedLSTMCell):
        candidate = "g"
        _set_bias(cell, "f", torch.full((hidden_size,), 1.0))
        _set_bias(cell, "o", torch.full((hidden_size,), 2.0))
    else:
        candidate = cast(GatedModule, cell).gate_names[-1]
    gate_rows(cell, "weight_hh", candidate).copy_(gain * torch.eye(hidden_size))
    return cell


def _matrices(cell: nn.Module) -> list[tuple[str, str]]:
    own = [name for name, _ in cell.named_parameters(recurse=False) if name in ("weight_ih", "weight_hh")]
    if not own or not hasattr(cell, "gate_names"):
        raise TypeError(
            f"what is started is a cell of this package, with its own weights, got {type(cell).__name__}; "
            "of a model start each of model.stack.cells"
        )
    return [(parameter, gate) for parameter in own for gate in cast(GatedModule, cell).gate_names]


def _zero_biases(cell: CellT) -> CellT:
    for name, parameter in cell.named_parameters():
        if name in ("bias_ih", "bias_hh"):
            parameter.zero_()
    return cell


def _set_bias(cell: nn.Module, gate: str, value: Tensor) -> None:
    """The gate's two biases add up to ``value``; a cell without ``bias_hh`` has one."""
    gate_rows(cell, "bias_ih", gate).copy_(value)
    if not isinstance(cell, MinGRUCell):
        gate_rows(cell, "bias_hh", gate).zero_()


def _require_recurrent_matrix(cell: nn.Module, name: str) -> None:
    if not isinstance(cell, RNNCell | LSTMCell | PhasedLSTMCell | GRUCell):
        raise TypeError(f"{name} sets W_hh, which {type(cell).__name__} has not")
