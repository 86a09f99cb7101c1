"""Recurrent networks on plain sequences, on torch alone: cells that are one time step each, and the loop over them."""

from recurrent.cells import (
    GRUCell,
    HiddenState,
    LSTMCell,
    LSTMState,
    MinGRUCell,
    OrthogonalRNNCell,
    PhasedLSTMCell,
    PhasedLSTMState,
    RNNCell,
    lstm_update,
)
from recurrent.sequences import Sequences
from recurrent.unroll import unroll, unroll_states

__all__ = [
    "GRUCell",
    "HiddenState",
    "LSTMCell",
    "LSTMState",
    "MinGRUCell",
    "OrthogonalRNNCell",
    "PhasedLSTMCell",
    "PhasedLSTMState",
    "RNNCell",
    "Sequences",
    "lstm_update",
    "unroll",
    "unroll_states",
]
