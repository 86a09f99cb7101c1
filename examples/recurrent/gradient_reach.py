"""How far back does a recurrent cell hear its loss before any training?

The loss stands at the last of 100 steps; dL/dh_t says how much of it reaches step t. Each step back
multiplies the gradient by a factor. Report 000 (2019) saw about 0.71 for the RNN, and an LSTM that is
flat first. Then two LSTMs told to remember, forget bias 1, and forgetting times spread up to 100 steps
(chrono), and an RNN whose recurrent matrix is orthogonal, so that nothing on the way back fades.

    $ python examples/recurrent/gradient_reach.py
    seed 0, norm of dL/dh_t by steps back
                         0        10        50        99   factor per step
    RNN                   5.0e-02   2.0e-03   1.2e-08   1.8e-14              0.75
    LSTM                  4.9e-02   4.3e-04   4.5e-08   7.9e-13              0.78
    LSTM, forget bias 1   4.9e-02   1.7e-03   3.0e-05   3.2e-07              0.89
    LSTM, chrono          4.9e-02   4.8e-04   1.7e-04   1.0e-04              0.94
    orthogonal RNN        5.4e-02   5.4e-02   5.4e-02   5.4e-02              1.00
"""

import torch
from torch.nn.functional import cross_entropy

from recurrent import LSTMCell, OrthogonalRNNCell, RNNCell
from recurrent.diagnostics import gradient_by_step
from recurrent.initialization import chrono_, forget_bias_, xavier_
from recurrent.tasks import Palindromes

LENGTH, HIDDEN = 100, 128


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = Palindromes(LENGTH, encoding="scalar")
    inputs, targets = task.sample(128, torch.Generator().manual_seed(0))
    head = torch.nn.Linear(HIDDEN, task.num_outputs)
    cells = {
        "RNN": xavier_(RNNCell(1, HIDDEN)),
        "LSTM": xavier_(LSTMCell(1, HIDDEN)),
        "LSTM, forget bias 1": forget_bias_(xavier_(LSTMCell(1, HIDDEN)), 1.0),
        "LSTM, chrono": chrono_(xavier_(LSTMCell(1, HIDDEN)), LENGTH),
        "orthogonal RNN": OrthogonalRNNCell(1, HIDDEN),
    }
    print("seed 0, norm of dL/dh_t by steps back\n" + " " * 21 + "0        10        50        99   factor per step")
    for name, cell in cells.items():
        norms = gradient_by_step(cell, inputs, lambda hidden: cross_entropy(head(hidden[:, -1]), targets)).flip(0)
        factor = float(norms[-1] / norms[0]) ** (1 / (LENGTH - 1))
        print(f"{name:19}" + "".join(f"{float(norms[back]):10.1e}" for back in (0, 10, 50, 99)) + f"{factor:18.2f}")


if __name__ == "__main__":
    main()
