"""How many parameters has an LSTM? 4(nd + n² + n), and torch's layout holds 4n more.

Each of the four gates has a matrix for d inputs, one for n units and a bias; an output map adds
on + o. Report 001 (2020) left the recurrent matrices out, 003 (2018) one bias of the output map.
torch.nn.LSTM keeps two biases per gate, which only ever act as their sum.

    $ python examples/recurrent/parameter_count.py
    d = 10, n = 128, o = 10, output map included
    RNNCell         formula  19082  counted  19210 = + 128
    GRUCell         formula  54794  counted  55050 = + 256
    LSTMCell        formula  72458  counted  72970 = + 512
    PhasedLSTMCell  formula  72842  counted  73354 = + 512
    torch.nn.LSTM                   counted  72970
"""

from torch import nn

from recurrent import GRUCell, LSTMCell, PhasedLSTMCell, RNNCell
from recurrent.parameter_count import parameter_count

INPUTS, HIDDEN, OUTPUTS = 10, 128, 10


def main() -> None:
    print(f"d = {INPUTS}, n = {HIDDEN}, o = {OUTPUTS}, output map included")
    for cell_type in (RNNCell, GRUCell, LSTMCell, PhasedLSTMCell):
        count = parameter_count(cell_type(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS))
        print(f"{cell_type.__name__:15} formula {count.formula:6}  counted {count.counted:6} = + {count.redundant}")
    theirs = nn.ModuleList([nn.LSTM(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS)])
    print(f"{'torch.nn.LSTM':15} {'':14}  counted {sum(each.numel() for each in theirs.parameters()):6}")


if __name__ == "__main__":
    main()
