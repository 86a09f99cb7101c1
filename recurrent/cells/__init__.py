"""One time step each, ``(input, state) -> (output, state)``, equal to ``torch.nn``'s cells where it has them."""

from recurrent.cells.cell import (
    Cell,
    HiddenState,
    PreparedCell,
    StateT,
    TimedCell,
    WholeSequenceCell,
    map_state,
)
from recurrent.cells.gru import GRUCell, GRUGates, gru_gates, gru_update
from recurrent.cells.lstm import LSTMCell, LSTMGates, LSTMState, lstm_gates, lstm_update
from recurrent.cells.min_gru import MinGRUCell, MinGRUGates
from recurrent.cells.orthogonal_rnn import OrthogonalRNNCell
from recurrent.cells.parameters import layer_state_dict
from recurrent.cells.phased_lstm import (
    PhasedLSTMCell,
    PhasedLSTMGates,
    PhasedLSTMState,
    temporal_gate,
)
from recurrent.cells.rnn import RNNActivations, RNNCell

__all__ = [
    "Cell",
    "GRUCell",
    "GRUGates",
    "HiddenState",
    "LSTMCell",
    "LSTMGates",
    "LSTMState",
    "MinGRUCell",
    "MinGRUGates",
    "OrthogonalRNNCell",
    "PhasedLSTMCell",
    "PhasedLSTMGates",
    "PhasedLSTMState",
    "PreparedCell",
    "RNNActivations",
    "RNNCell",
    "StateT",
    "TimedCell",
    "WholeSequenceCell",
    "gru_gates",
    "gru_update",
    "layer_state_dict",
    "lstm_gates",
    "lstm_update",
    "map_state",
    "temporal_gate",
]
