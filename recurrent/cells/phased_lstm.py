r"""The Phased LSTM: an LSTM whose units update only while their clock's gate is open.

.. code-block:: text

    φ = ((t - s) mod τ) / τ                           where unit's cycle stands at time t
    k = 2φ / r_on            for φ < r_on / 2         opening
        2 - 2φ / r_on        for r_on / 2 <= φ < r_on closing
        α φ                  otherwise                closed; the leak α is 0 in evaluation
    c~, o = as in the LSTM
    c_t = k c~ + (1 - k) c_{t-1}
    h_t = k tanh(c~) o + (1 - k) h_{t-1}

Reference: Neil, Pfeiffer & Liu, "Phased LSTM: Accelerating Recurrent Network Training for
Long or Event-based Sequences", NIPS 2016, https://arxiv.org/abs/1610.09513, eqs. 2-10,
without its peephole weights, so that ``torch.nn.LSTMCell``'s weights copy across.
"""

import math
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recurrent.cells.lstm import LSTMState, lstm_gates, lstm_update
from recurrent.cells.parameters import add_parameters, torch_default_
from recurrent.checks import check_step


class PhasedLSTMState(NamedTuple):
    """What a Phased LSTM carries: the LSTM's state and its clock, the time of the next step."""

    hidden: Tensor
    cell: Tensor
    time: Tensor


class PhasedLSTMGates(NamedTuple):
    """Activations of the LSTM's gates, and how far the temporal gate k is open."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    k: Tensor


class DenseStep(NamedTuple):
    """A prepared step that computes every unit."""

    projected: Tensor  # [B, 4H]
    openness: Tensor  # [B or 1, H]
    next_time: Tensor  # [B]


class OpenUnitsStep(NamedTuple):
    """A prepared step that computes only the units whose gate is open."""

    input: Tensor  # [B, input_size]
    openness: Tensor  # [B or 1, len(units)]
    next_time: Tensor  # [B]
    units: Tensor  # ids of the open units


def temporal_gate(times: Tensor, tau: Tensor, s: Tensor, r_on: Tensor, leak: float = 0.0) -> Tensor:
    r"""How far a gate of period ``tau``, shift ``s`` and open ratio ``r_on`` is open at ``times``.

    Linear up to 1 at half the open phase, down to 0 at its end, then ``leak`` times the
    phase. k is continuous with kinks (but for the leak's jumps at both ends of the closed
    phase); almost everywhere dφ/dτ = -(t - s) / τ² and dφ/ds = -1/τ. Without a leak a
    closed gate passes no gradient.

    Args:
        times: When to look.
        tau: Period, positive.
        s: Shift: the time at which a cycle begins.
        r_on: Share of the period during which the gate is open, 0 < r_on <= 1.
        leak: Slope α of the closed phase.

    Shapes:
        - All arguments broadcast against each other; **output:** their common shape.

    Raises:
        TypeError: If one of them is complex or a mask.
        ValueError: If they do not broadcast.

    Example:
        >>> gate = temporal_gate(torch.arange(5.0), torch.tensor(4.0), torch.tensor(0.0), torch.tensor(1.0))
        >>> gate
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    _check_broadcast(times=times, tau=tau, s=s, r_on=r_on)
    cycles = (times - s) / tau
    phase = cycles - cycles.floor()
    ramp = 2 * phase / r_on
    return torch.where(phase < 0.5 * r_on, ramp, torch.where(phase < r_on, 2 - ramp, leak * phase))


def _finite_logit(ratio: Tensor) -> Tensor:
    """The logit of ratios up to 1, whose own is infinite: for that one, a logit whose sigmoid rounds to 1."""
    return ratio.logit().clamp(max=-math.log(torch.finfo(ratio.dtype).eps / 8))


def _check_broadcast(**tensors: Tensor) -> None:
    longest = max(each.dim() for each in tensors.values())
    for name, each in tensors.items():
        if each.is_complex() or each.dtype == torch.bool:
            raise TypeError(f"{name} must be numbers on a line, got {each.dtype}")
    for axis in range(1, longest + 1):
        if len({each.size(-axis) for each in tensors.values() if each.dim() >= axis} - {1}) > 1:
            shapes = ", ".join(f"{name} {tuple(each.shape)}" for name, each in tensors.items())
            raise ValueError(f"times and the gate's parameters must broadcast, got {shapes}")


class PhasedLSTMCell(nn.Module):
    r"""One step ``(input, PhasedLSTMState) -> (output, PhasedLSTMState)``; the output is the hidden state.

    The period τ, shift s and open ratio r_on of each unit are learnt; τ > 0 is kept by its
    logarithm (``log_tau``), 0 < r_on <= 1 by its logit (``logit_r_on``).

    Args:
        input_size: Features of one step's input.
        hidden_size: Units.
        r_on: Initial share of the period during which a gate is open (the paper's 0.05); from 1 it learns nothing,
            since the sigmoid is flat there.
        leak: Slope α of the closed gate in training (the paper's 0.001); evaluation uses 0.
        tau_range: Initial periods are log-uniform on this range (the paper's exp(1) to exp(6)).
        hidden_from: What h_t is made of: ``"candidate"``, k tanh(c~) o + (1 - k) h_{t-1}, as in the
            paper, or ``"gated"``, tanh(c_t) in the place of tanh(c~), as in the course's sheet.
        generator: Source of the initial weights; torch's global one when omitted.

    Shapes:
        - **input:** :math:`(*, input\_size)`
        - **output**, **hidden** and **cell:** :math:`(*, hidden\_size)`; **time:** :math:`(*)`

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> cell = PhasedLSTMCell(3, 4)
        >>> output, state = cell(torch.zeros(2, 3), cell.initial_state(2))
        >>> state.time
        tensor([1., 1.])
    """

    gate_names: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias_ih: nn.Parameter
    bias_hh: nn.Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        r_on: float = 0.05,
        leak: float = 0.001,
        tau_range: tuple[float, float] = (math.e, math.e**6),
        hidden_from: Literal["candidate", "gated"] = "candidate",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(tau_range) != 2:
            raise ValueError(f"tau_range must be two numbers, the least and the most, got {tau_range}")
        if not 0 < r_on <= 1:
            raise ValueError(f"r_on must be in (0, 1], got {r_on}")
        if not 0 <= leak < math.inf:
            raise ValueError(f"leak must be a number from 0, got {leak}")
        longest = torch.finfo(torch.get_default_dtype()).max
        if not 0 < tau_range[0] <= tau_range[1] <= longest:
            raise ValueError(f"tau_range must be 0 < low <= high <= {longest:.3g}, got {tau_range}")
        if hidden_from not in ("candidate", "gated"):
            raise ValueError(f"hidden_from must be 'candidate' or 'gated', got {hidden_from!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.leak = leak
        self.hidden_from = hidden_from
        add_parameters(self, 4, input_size, hidden_size)
        torch_default_(self, generator)
        log_tau = torch.empty(hidden_size).uniform_(*map(math.log, tau_range), generator=generator)
        # A shift uniform on one period: the units start at every phase of their cycles.
        self.s = nn.Parameter(torch.empty(hidden_size).uniform_(generator=generator) * log_tau.exp())
        self.log_tau = nn.Parameter(log_tau)
        self.logit_r_on = nn.Parameter(_finite_logit(torch.full((hidden_size,), r_on)))

    @property
    def tau(self) -> Tensor:
        """Period of each unit."""
        return self.log_tau.exp()

    @property
    def r_on(self) -> Tensor:
        """Open ratio of each unit."""
        return self.logit_r_on.sigmoid()

    @torch.no_grad()
    def set_clock(
        self,
        *,
        tau: Tensor | float | None = None,
        s: Tensor | float | None = None,
        r_on: Tensor | float | None = None,
    ) -> None:
        """Give every unit (or one value per unit) this period, shift or open ratio.

        Raises:
            ValueError: If a period is not positive or an open ratio outside (0, 1].
        """
        if tau is not None:
            period = torch.as_tensor(tau, dtype=self.log_tau.dtype)
            if not bool((period > 0).all()):
                raise ValueError(f"tau must be positive, got {tau}")
            self.log_tau.copy_(period.log())
        if s is not None:
            self.s.copy_(torch.as_tensor(s, dtype=self.s.dtype))
        if r_on is not None:
            ratio = torch.as_tensor(r_on, dtype=self.logit_r_on.dtype)
            if not bool(((ratio > 0) & (ratio <= 1)).all()):
                raise ValueError(f"r_on must be in (0, 1], got {r_on}")
            self.logit_r_on.copy_(_finite_logit(ratio))

    def initial_state(self, *batch_size: int) -> PhasedLSTMState:
        """Zeros of shape ``[*batch_size, hidden_size]``, the clock at 0."""
        zeros = self.weight_hh.new_zeros(*batch_size, self.hidden_size)
        # A clock of half precision would stand still from step 256 (bfloat16) or 2048 on.
        exact = torch.promote_types(zeros.dtype, torch.float32)
        return PhasedLSTMState(zeros, zeros.clone(), zeros.new_zeros(batch_size, dtype=exact))

    def openness(self, times: Tensor) -> Tensor:
        """The temporal gate k of each unit, ``[*] -> [*, hidden_size]``, in the dtype of the weights.

        Times may have a wider dtype than the weights: the phase is computed in the wider one.
        """
        leak = self.leak if self.training else 0.0
        return temporal_gate(times.unsqueeze(-1), self.tau, self.s, self.r_on, leak).to(self.s.dtype)

    def forward(
        self, input: Tensor, state: PhasedLSTMState, time: Tensor | None = None
    ) -> tuple[Tensor, PhasedLSTMState]:
        """One step at ``time``, by default at the state's own clock, which then moves on by 1."""
        check_step(self, input, state)
        now = state.time if time is None else time
        gates = linear(input, self.weight_ih, self.bias_ih) + linear(state.hidden, self.weight_hh, self.bias_hh)
        return self._update(gates, self.openness(now), (now + 1).to(state.time.dtype), state)

    def prepare(
        self, inputs: Tensor, state: PhasedLSTMState, times: Tensor | None = None
    ) -> Iterable[DenseStep | OpenUnitsStep]:
        """Gate openness, and the projections of all steps or the units that each must compute.

        Args:
            inputs: ``[T, B, input_size]``.
            state: State before the first step; its clock counts when there are no times.
            times: ``[T]``, ``[B, T]``, or None.
        """
        if times is None:
            clock = state.time
            # The compiler can follow no look at values; it has no need to, either.
            if not torch.compiler.is_compiling() and clock.numel() and bool((clock == clock[0]).all()):
                clock = clock[:1]  # one clock for the batch: its gates are computed once
            steps = torch.arange(inputs.size(0), dtype=clock.dtype, device=clock.device)
            times = clock + steps.unsqueeze(-1)
        else:
            times = times.unsqueeze(-1) if times.dim() == 1 else times.t()
        openness = self.openness(times)  # [T, B or 1, H]
        next_times = (times + 1).to(state.time.dtype).expand(-1, inputs.size(1)).unbind(0)
        # With the leak at 0, a closed unit keeps its state; a gradient would still need all of them.
        if not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()):
            is_open = (openness > 0).any(dim=1)
            counts = is_open.sum(dim=1)
            if float(counts.sum()) < 0.5 * is_open.numel():
                units = torch.split(is_open.nonzero()[:, 1], counts.tolist())
                chosen = (gate[:, unit] for gate, unit in zip(openness.unbind(0), units, strict=True))
                return map(OpenUnitsStep, inputs.unbind(0), chosen, next_times, units)
        projected = linear(inputs, self.weight_ih, self.bias_ih + self.bias_hh).unbind(0)
        return map(DenseStep, projected, openness.unbind(0), next_times)

    def step(self, prepared: DenseStep | OpenUnitsStep, state: PhasedLSTMState) -> tuple[Tensor, PhasedLSTMState]:
        """One step from a prepared item."""
        if isinstance(prepared, OpenUnitsStep):
            return self._step_open_units(prepared, state)
        gates = torch.addmm(prepared.projected, state.hidden, self.weight_hh.t())
        return self._update(gates, prepared.openness, prepared.next_time, state)

    def _update(
        self, gates: Tensor, openness: Tensor, next_time: Tensor, state: PhasedLSTMState
    ) -> tuple[Tensor, PhasedLSTMState]:
        hidden, cell = self._gated_update(gates, LSTMState(state.hidden, state.cell), openness)
        return hidden, PhasedLSTMState(hidden, cell, next_time.expand_as(state.time))

    def _gated_update(self, gates: Tensor, state: LSTMState, k: Tensor) -> LSTMState:
        if self.hidden_from == "candidate":
            candidate = lstm_update(gates, state.cell)
            return LSTMState(torch.lerp(state.hidden, candidate.hidden, k), torch.lerp(state.cell, candidate.cell, k))
        i, f, g, o = lstm_gates(gates)
        cell = torch.lerp(state.cell, torch.addcmul(i * g, f, state.cell), k)
        return LSTMState(torch.lerp(state.hidden, o * cell.tanh(), k), cell)

    def _step_open_units(self, prepared: OpenUnitsStep, state: PhasedLSTMState) -> tuple[Tensor, PhasedLSTMState]:
        units = prepared.units
        if not len(units):
            return state.hidden, state._replace(time=prepared.next_time)
        # The rows of the open units in each of the four gates.
        rows = (units + self.hidden_size * torch.arange(4, device=units.device).unsqueeze(-1)).flatten()
        gates = linear(prepared.input, self.weight_ih[rows], self.bias_ih[rows] + self.bias_hh[rows])
        gates = torch.addmm(gates, state.hidden, self.weight_hh[rows].t())
        before = LSTMState(state.hidden[:, units], state.cell[:, units])
        after = self._gated_update(gates, before, prepared.openness)
        hidden = state.hidden.index_copy(1, units, after.hidden)
        cell = state.cell.index_copy(1, units, after.cell)
        return hidden, PhasedLSTMState(hidden, cell, prepared.next_time)

    def gates(self, input: Tensor, state: PhasedLSTMState) -> PhasedLSTMGates:
        """The gates of one step at the state's clock, or of many along leading axes."""
        projected = linear(input, self.weight_ih, self.bias_ih)
        activations = lstm_gates(projected + linear(state.hidden, self.weight_hh, self.bias_hh))
        return PhasedLSTMGates(*activations, self.openness(state.time))

    def extra_repr(self) -> str:
        """The arguments, as ``print`` shows them."""
        return f"{self.input_size}, {self.hidden_size}, leak={self.leak}, hidden_from={self.hidden_from!r}"
