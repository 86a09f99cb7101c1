"""What do an RNN's first weights decide? Palindromes from Xavier, N(0, 1) and orthogonal weights.

Report 000 (2019) saw Xavier learn T <= 10 and N(0, 1) barely learn: of 128 units with weights of size 1 each
sums to about 11, so that tanh is at its ends, where its derivative is nothing. An orthogonal matrix keeps
lengths, forwards and backwards.

    $ python examples/recurrent/initialization.py
    seed 0, 300 steps, accuracy in percent on held-out palindromes (guessing: 10)
    T                  5      10      20
    Xavier         100.0   100.0    71.5
    N(0, 1)        100.0    83.7    14.1
    orthogonal     100.0   100.0   100.0

`gnnkit sequence row 1` is the report's own comparison, with raw digits and 10,000 steps.
"""

import argparse

import torch

from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import RNNCell
from recurrent.initialization import orthogonal_, standard_normal_, xavier_
from recurrent.models import SequenceClassifier
from recurrent.tasks import Palindromes

STARTS = {"Xavier": xavier_, "N(0, 1)": standard_normal_, "orthogonal": orthogonal_}


def accuracy(start: str, length: int, steps: int) -> float:
    task = Palindromes(length)
    torch.manual_seed(0)
    model = SequenceClassifier(RNNCell, task.input_size, 128, task.num_outputs)
    for cell in model.stack.cells:
        STARTS[start](cell)
    config = SequenceConfig(steps=steps, optimization=Optimization("rmsprop", 1e-3), eval_every=steps)
    return fit_sequence(model, task, config).test_accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few steps: does it run?")
    smoke = parser.parse_args().smoke
    steps, lengths = (10, (5,)) if smoke else (300, (5, 10, 20))
    torch.set_num_threads(1)
    print(f"seed 0, {steps} steps, accuracy in percent on held-out palindromes (guessing: 10)")
    print("T           " + "".join(f"{length:8}" for length in lengths))
    for start in STARTS:
        print(f"{start:12}" + "".join(f"{100 * accuracy(start, length, steps):8.1f}" for length in lengths))


if __name__ == "__main__":
    main()
