"""Does a lower learning rate help the LSTM remember, or a higher one?

Report 003 (2018) divided and multiplied the practical's rate by ten: at T = 75 only the higher one learned. Report
004 (2019) lowered it and got above chance from T = 30. Raw digits, RMSProp, few steps: the small form of both.

    $ python examples/recurrent/learning_rate.py
    seed 0, 500 steps, LSTM of 64 units, accuracy in percent (guessing: 10)
    T                 5      10      15
    rate 0.0001    25.1    10.4    11.1
    rate 0.001    100.0    89.0    28.3
    rate 0.01     100.0   100.0    10.3

`gnnkit sequence row 15` and `row 20` are the reports' own.
"""

import argparse

import torch

from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import LSTMCell
from recurrent.initialization import xavier_
from recurrent.models import SequenceClassifier
from recurrent.tasks import Palindromes


def accuracy(rate: float, length: int, steps: int) -> float:
    task = Palindromes(length, encoding="scalar")
    torch.manual_seed(0)
    model = SequenceClassifier(LSTMCell, task.input_size, 64, task.num_outputs)
    for cell in model.stack.cells:
        xavier_(cell)
    config = SequenceConfig(steps=steps, optimization=Optimization("rmsprop", rate), eval_every=steps)
    return fit_sequence(model, task, config).test_accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few steps: does it run?")
    smoke = parser.parse_args().smoke
    steps, lengths = (10, (5,)) if smoke else (500, (5, 10, 15))
    torch.set_num_threads(1)
    print(f"seed 0, {steps} steps, LSTM of 64 units, accuracy in percent (guessing: 10)")
    print("T          " + "".join(f"{length:8}" for length in lengths))
    for rate in (1e-4, 1e-3, 1e-2):
        print(f"rate {rate:<6g}" + "".join(f"{100 * accuracy(rate, length, steps):8.1f}" for length in lengths))


if __name__ == "__main__":
    main()
