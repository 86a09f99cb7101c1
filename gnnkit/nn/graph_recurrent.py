"""Layers, directions and the time loop of recurrent layers on graphs; see `gnnkit.nn.graph_lstm`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block
from gnnkit.nn.attention_terms import AttentionTerms, EdgeAttention
from gnnkit.nn.graph_cells import TemporalGate
from gnnkit.nn.graph_fused import is_fused, run_fused
from gnnkit.nn.graph_kernels import ROWS_AT_ONCE
from gnnkit.nn.inputs import as_graph, check_channels
from gnnkit.nn.missing import carry_forward
from gnnkit.nn.operators import Operator, Terms, checked_operator, num_terms, terms_of
from recurrent.cells import HiddenState, LSTMState, map_state

Graphs = Adjacency | Tensor | Sequence[Adjacency]
Hearing = Terms | AttentionTerms
State = TypeVar("State", LSTMState, HiddenState)


class _Steps(NamedTuple):
    """What the steps of one layer and direction read, in the order they are read.

    Rows are (node, sequence) pairs, node by node, so that the product with the graph is one of
    ``(N, B x H)`` and needs no transpose.
    """

    heard: Tensor  # Z(X_t), (T, N B, terms x channels)
    terms: list[Hearing]  # Z of the states at every step, T of them
    openness: Tensor | None  # (T, N B or fewer, H)
    present: Tensor | None  # (T, N B, 1)

    def between(self, start: int, stop: int) -> _Steps:
        """Some of the steps."""
        parts = (None if each is None else each[start:stop] for each in (self.openness, self.present))
        return _Steps(self.heard[start:stop], self.terms[start:stop], *parts)

    def reversed(self) -> _Steps:
        """The steps from the last to the first."""
        parts = (None if each is None else each.flip(0) for each in (self.openness, self.present))
        return _Steps(self.heard.flip(0), self.terms[::-1], *parts)


class _Given(NamedTuple):
    """What a call was given, sequences first: see `GraphLSTM.forward`."""

    x: Tensor
    state: Any
    observed: Tensor | None
    times: Tensor | None
    present: Tensor | None


class GraphRecurrent(nn.Module):
    """Layers and directions of graph cells, and their time loop; see `GraphLSTM`."""

    _state_type: type[Any]

    def __init__(
        self,
        in_channels: int,
        hidden_size: int,
        *,
        operator: Operator,
        K: int,
        num_layers: int,
        bidirectional: bool,
        missing_indicator: bool,
        phased: bool,
        state_hops: int | None,
        checkpoint_every: int | None,
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, hidden_size=hidden_size)
        self.operator, self.K = checked_operator(operator, K), K
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        if checkpoint_every is not None and checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1 step, got {checkpoint_every}")
        self.in_channels, self.hidden_size, self.num_layers = in_channels, hidden_size, num_layers
        self.num_directions = 2 if bidirectional else 1
        self.missing_indicator, self.checkpoint_every = missing_indicator, checkpoint_every
        self.state_hops = K if state_hops is None else state_hops
        checked_operator(operator, self.state_hops)
        self.input_terms, self.state_terms = num_terms(operator, K), num_terms(operator, self.state_hops)
        below = in_channels * (2 if missing_indicator else 1)
        sizes = [below] + [self.output_size] * (num_layers - 1)
        self.cells = nn.ModuleList(self._cell(size) for size in sizes for _ in range(self.num_directions))
        self.input_attention: nn.ModuleList | None = None
        self.state_attention: nn.ModuleList | None = None
        if operator == "attention" and K:
            self.input_attention = nn.ModuleList(EdgeAttention(cast(int, cell.in_channels)) for cell in self.cells)
        if operator == "attention" and self.state_hops:
            self.state_attention = nn.ModuleList(EdgeAttention(hidden_size) for _ in self.cells)
        self.clocks = nn.ModuleList(TemporalGate(hidden_size) for _ in self.cells) if phased else None

    def _cell(self, in_channels: int) -> nn.Module:
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """Features per node that come out: ``hidden_size`` times directions."""
        return self.num_directions * self.hidden_size

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        attention = *(self.input_attention or ()), *(self.state_attention or ())
        for module in (*self.cells, *attention, *(self.clocks or ())):
            module.reset_parameters()

    def run(
        self,
        x: Tensor,
        graph: Graphs,
        state: Any,
        observed: Tensor | None,
        times: Tensor | None,
        present: Tensor | None,
    ) -> tuple[Tensor, Any]:
        """Whole sequences: outputs and last state, as `GraphLSTM.forward` gives them."""
        self._check(x, observed, times, present)
        graphs = self._graphs(graph, x.size(-3), x.size(-2), x.dtype)
        state = None if state is None else self._typed(state)
        batched = x.dim() == 4
        if not batched:
            x = x.unsqueeze(0)
            masks = (None if each is None else each.unsqueeze(0) for each in (observed, times, present))
            observed, times, present = masks
            state = None if state is None else map_state(lambda field: field.unsqueeze(1), state)
        self._check_state(state, x.size(0), x.size(2))
        parts = _parts(_Given(x, state, observed, times, present))
        found = [self._run(part, graphs) for part in parts]
        out, last = found[0]
        if len(found) > 1:
            out = torch.cat([each for each, _ in found])
            last = map_state(lambda *fields: torch.cat(fields, dim=1), *(each for _, each in found))
        return (out, last) if batched else (out[0], map_state(lambda field: field[:, 0], last))

    def _run(self, given: _Given, graphs: list[Adjacency]) -> tuple[Tensor, Any]:
        """Bring the arguments to time-major, node-major form, and the results back."""
        x, state, observed, times, present = given
        size = (x.size(2), x.size(0))  # nodes, sequences
        states = self._states(state, size)
        inputs = self._inputs(x, observed)
        there = None if present is None else present.permute(1, 2, 0)  # (T, N, B)
        of_inputs = of_states = self._hearing(self.input_attention, graphs, self.K, there, x.dtype)
        if self.state_hops != self.K or self.state_attention is not None:
            of_states = self._hearing(self.state_attention, graphs, self.state_hops, there, x.dtype)
        if times is not None:
            times = times.permute(1, 2, 0) if times.dim() == 3 else times.t().unsqueeze(1)  # (T, N or 1, B)
        after = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.num_directions):
                place = layer * self.num_directions + direction
                if direction == 0 or self.input_attention is not None:
                    heard = _heard(inputs, of_inputs(place))
                opened = None if times is None else self._openness(place, times, size[0])
                mask = None if there is None else there.reshape(len(inputs), -1, 1)
                steps = _Steps(heard, of_states(place), opened, mask)
                read, last = self._unroll(place, steps if direction == 0 else steps.reversed(), states[place], size)
                outputs.append(read if direction == 0 else read.flip(0))
                after.append(last)
            joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            inputs = joined.view(len(inputs), *size, joined.size(-1))
        out = inputs.permute(2, 0, 1, 3)
        stacked = map_state(lambda *fields: torch.stack(fields).view(len(fields), *size, self.hidden_size), *after)
        return out, map_state(lambda field: field.transpose(1, 2), stacked)

    def _inputs(self, x: Tensor, observed: Tensor | None) -> Tensor:
        """Carried values, and flags of what is missing, ``(T, N, B, channels)``."""
        inputs = x.permute(1, 2, 0, 3)
        if observed is not None:
            seen = observed.permute(1, 2, 0, 3)
            inputs = carry_forward(inputs, seen)
        if self.missing_indicator:
            flags = torch.zeros_like(inputs) if observed is None else (~seen).to(x.dtype)
            inputs = torch.cat([inputs, flags], dim=-1)
        return inputs.contiguous()

    def _graphs(self, graph: Graphs, num_steps: int, num_nodes: int, dtype: torch.dtype) -> list[Adjacency]:
        """Every step's graph."""
        given: list[Any] = [graph] if isinstance(graph, Adjacency | Block | Tensor) else list(graph)
        if isinstance(graph, Sequence) and len(given) != num_steps:
            raise ValueError(f"a graph per step is {num_steps} graphs, got {len(given)}")
        graphs = []
        for each in given:
            found = as_graph(each, None, num_nodes=num_nodes, dtype=dtype)
            if not isinstance(found, Adjacency):
                raise TypeError(
                    f"a recurrent layer needs the whole graph, got a {type(found).__name__}; pass the Adjacency"
                )
            if found.dtype != dtype and not torch.is_autocast_enabled(found.device.type):
                raise TypeError(f"x is {dtype} and the graph's weights {found.dtype}; use graph.to(dtype={dtype})")
            graphs.append(found)
        return graphs if isinstance(graph, Sequence) else graphs * num_steps

    def _hearing(
        self,
        attention: nn.ModuleList | None,
        graphs: list[Adjacency],
        hops: int,
        present: Tensor | None,
        dtype: torch.dtype,
    ) -> Callable[[int], list[Hearing]]:
        """From a cell's place to its Z at every step: all cells' own, but for attention."""
        if attention is None:
            found = self._terms(graphs, hops, present, dtype)
            return lambda _: cast("list[Hearing]", found)
        distinct = {id(graph): graph for graph in graphs}

        def attended(place: int) -> list[Hearing]:
            own = cast(EdgeAttention, attention[place])
            if present is not None:
                masks = present.to(dtype).unbind(0)
                return [own.on(graph, hops, mask) for graph, mask in zip(graphs, masks, strict=True)]
            once = {key: own.on(graph, hops) for key, graph in distinct.items()}
            return [once[id(graph)] for graph in graphs]

        return attended

    def _terms(self, graphs: list[Adjacency], hops: int, present: Tensor | None, dtype: torch.dtype) -> list[Terms]:
        """Z at every step."""
        if present is not None:
            masks = present.to(dtype).unbind(0)
            return [terms_of(graph, self.operator, hops, mask) for graph, mask in zip(graphs, masks, strict=True)]
        found = {id(graph): terms_of(graph, self.operator, hops) for graph in {id(g): g for g in graphs}.values()}
        return [found[id(graph)] for graph in graphs]

    def _openness(self, place: int, times: Tensor, num_nodes: int) -> Tensor:
        assert self.clocks is not None, "checked with the arguments"
        opened: Tensor = self.clocks[place](times)  # (T, N or 1, B, H)
        return opened.expand(-1, num_nodes, -1, -1).flatten(1, 2)

    def _unroll(self, place: int, steps: _Steps, state: State, size: tuple[int, int]) -> tuple[Tensor, State]:
        """One layer and direction: ``(T, N B, H)`` and the last state."""
        if self.checkpoint_every is None or not torch.is_grad_enabled():
            return self._read(place, steps, state, size)
        outputs = []
        for start in range(0, len(steps.heard), self.checkpoint_every):
            part = steps.between(start, start + self.checkpoint_every)
            read, state = checkpoint(self._read, place, part, state, size, use_reentrant=False)
            outputs.append(read)
        return torch.cat(outputs), state

    def _read(self, place: int, steps: _Steps, state: State, size: tuple[int, int]) -> tuple[Tensor, State]:
        cell: Any = self.cells[place]
        if steps.openness is None and steps.present is None and is_fused(cell, steps.terms, state):
            return run_fused(cell, steps.heard, cast("list[Terms]", steps.terms), state, size)
        weights = cell.recurrent_weights()
        outputs = []
        # unbind, not indexing: the backward of an index fills a tensor of all T steps, for every t.
        for step, projected in enumerate(cell.project(steps.heard).unbind(0)):
            listen = partial(_listened, steps.terms[step], size)
            new = cell.step(projected, state, listen, weights)
            if steps.openness is not None:
                new = map_state(partial(_opened, steps.openness[step]), state, new)
            if steps.present is not None:
                new = map_state(partial(_where, steps.present[step]), new, state)
            state = new
            outputs.append(state.hidden)
        return torch.stack(outputs), state

    def _states(self, state: Any, size: tuple[int, int]) -> list[Any]:
        """The state of every layer and direction, rows node by node."""
        nodes, sequences = size
        if state is None:
            return [cell.initial_state(nodes * sequences) for cell in self.cells]  # type: ignore[operator]
        places = range(len(self.cells))
        return [map_state(lambda field, at=at: field[at].transpose(0, 1).flatten(0, 1), state) for at in places]

    def _check_state(self, state: Any, sequences: int, nodes: int) -> None:
        expected = (len(self.cells), sequences, nodes, self.hidden_size)
        for name, field in () if state is None else zip(state._fields, state, strict=True):
            if tuple(field.shape) != expected:
                raise ValueError(
                    f"the state's {name} must have shape {expected}, (layers x directions, sequences, nodes, "
                    f"hidden_size), got {tuple(field.shape)}"
                )

    def _typed(self, state: Any) -> Any:
        """The state as a NamedTuple; a plain tuple of its fields serves too, as in ``torch.nn``."""
        names = self._state_type._fields
        if not isinstance(state, tuple) or len(state) != len(names):
            raise TypeError(
                f"the state is a {self._state_type.__name__}({', '.join(names)}), got {type(state).__name__}"
            )
        return self._state_type(*state)

    def _check(self, x: Tensor, observed: Tensor | None, times: Tensor | None, present: Tensor | None) -> None:
        shape = tuple(x.shape)
        if x.dim() not in (3, 4) or shape[-1] != self.in_channels or shape[-3] == 0:
            raise ValueError(
                f"x must have shape (B, T, N, {self.in_channels}) or (T, N, {self.in_channels}), T at least 1, "
                f"got {shape}"
            )
        weight = next(self.parameters())
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(f"x is {x.dtype} and the layer's weights {weight.dtype}; convert one of them")
        for name, mask, expected in (("observed", observed, shape), ("present", present, shape[:-1])):
            if mask is None:
                continue
            if mask.dtype != torch.bool:
                raise TypeError(f"{name} must be boolean, got {mask.dtype}; compare with 0: {name} != 0")
            if tuple(mask.shape) != expected:
                raise ValueError(f"{name} must have shape {expected}, got {tuple(mask.shape)}")
        if (times is None) != (self.clocks is None):
            raise ValueError(
                "phased=True needs the times of the steps: pass times="
                if times is None
                else "times are for gates with a clock; make the layer with phased=True, or leave them out"
            )
        if times is not None and tuple(times.shape) not in (shape[:-1], shape[:-2]):
            raise ValueError(f"times must have shape {shape[:-2]} or {shape[:-1]}, got {tuple(times.shape)}")

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.in_channels}, {self.hidden_size}, operator={self.operator!r}, K={self.K}"


def _parts(given: _Given) -> list[_Given]:
    """Sequences in parts whose gates stay in the processor's cache from one product to the next.

    Sequences know nothing of each other: it is only the order of the work that differs.
    """
    sequences, _, nodes, _ = given.x.shape
    most = max(1, ROWS_AT_ONCE // max(1, nodes))
    if given.x.device.type != "cpu" or torch.compiler.is_compiling() or sequences <= most:
        return [given]
    count = -(-sequences // most)
    lengths = [(sequences + place) // count for place in range(count)]  # as even as can be
    x, state, *masks = given
    cut = ([None] * count if each is None else torch.split(each, lengths) for each in (x, *masks))
    fields = () if state is None else zip(*(torch.split(field, lengths, dim=1) for field in state), strict=True)
    states = [None] * count if state is None else [type(state)(*each) for each in fields]
    xs, *others = cut
    return [_Given(*each) for each in zip(xs, states, *others, strict=True)]


def _heard(inputs: Tensor, terms: list[Hearing]) -> Tensor:
    """Z of the inputs of all steps, ``(T, N, B, F) -> (T, N B, terms x F)``; one product where the graph is one."""
    steps, nodes, sequences, _ = inputs.shape
    if all(each is terms[0] for each in terms):
        columns = inputs.transpose(0, 1).flatten(1, 2)  # (N, T B, F)
        heard = torch.cat(terms[0](columns), dim=-1)
        return heard.view(nodes, steps, sequences, heard.size(-1)).transpose(0, 1).flatten(1, 2)
    each_step = [torch.cat(z(x), dim=-1) for z, x in zip(terms, inputs.unbind(0), strict=True)]
    return torch.stack(each_step).flatten(1, 2)


def _listened(terms: Hearing, size: tuple[int, int], hidden: Tensor) -> list[Tensor]:
    """Z of states whose rows are (node, sequence) pairs."""
    return [term.flatten(0, 1) for term in terms(hidden.view(*size, hidden.size(-1)))]


def _opened(openness: Tensor, before: Tensor, after: Tensor) -> Tensor:
    return torch.lerp(before, after, openness)


def _where(present: Tensor, new: Tensor, before: Tensor) -> Tensor:
    return torch.where(present, new, before)
