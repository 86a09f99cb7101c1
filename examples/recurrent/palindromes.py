"""How long does an RNN remember the first digit of a palindrome, and how long an LSTM?

The first T digits are read one by one, one-hot; the last, equal to the first, is asked for. Guessing is
right in 10 % of cases. The reports fed raw digits for 5000 to 10 000 steps and found RNNs good to
T = 10-25 and LSTMs to T = 20-50; this is the small form: 400 steps of Adam.

    $ python examples/recurrent/palindromes.py
    seed 0, 400 steps, accuracy in percent on held-out palindromes (guessing: 10)
    T            5      10      20      30
    RNN      100.0   100.0   100.0    65.0
    LSTM     100.0   100.0   100.0   100.0

`gnnkit sequence row 16` is the full comparison with a report's settings.
"""

import argparse

import torch

from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import LSTMCell, RNNCell
from recurrent.initialization import forget_bias_, orthogonal_
from recurrent.models import SequenceClassifier
from recurrent.tasks import Palindromes


def accuracy(cell_type: type, length: int, steps: int) -> float:
    task = Palindromes(length)
    torch.manual_seed(0)
    model = SequenceClassifier(cell_type, task.input_size, 64, task.num_outputs)
    for cell in model.stack.cells:
        orthogonal_(cell)
        if isinstance(cell, LSTMCell):
            forget_bias_(cell, 2.0)
    config = SequenceConfig(steps=steps, optimization=Optimization("adam", 5e-3, clip=1.0), eval_every=steps // 4)
    return fit_sequence(model, task, config).test_accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few steps: does it run?")
    smoke = parser.parse_args().smoke
    steps, lengths = (20, (5, 10)) if smoke else (400, (5, 10, 20, 30))
    torch.set_num_threads(1)
    print(f"seed 0, {steps} steps, accuracy in percent on held-out palindromes (guessing: 10)")
    print("T     " + "".join(f"{length:8}" for length in lengths))
    for name, cell_type in (("RNN", RNNCell), ("LSTM", LSTMCell)):
        print(f"{name:6}" + "".join(f"{100 * accuracy(cell_type, length, steps):8.1f}" for length in lengths))


if __name__ == "__main__":
    main()
