"""Does reading from both ends help? Batches until an LSTM and a BiLSTM find the missing number.

N - 1 of the numbers 0 .. N - 1 come in random order; which one is missing? Counted are the batches until
three evaluations in a row, one after each batch, are right on 4096 fresh samples. Report 001 (2020), over
three seeds: LSTM 25.0 +- 2.2 and 124.7 +- 15.1 batches for N = 5 and 10, BiLSTM 18.3 +- .5 and 80.7 +- 12.4.

    $ python examples/recurrent/combinations.py
    seeds 0..2, hidden 128, batches to 3 x 100 % (mean +- standard deviation)
    N = 5   LSTM      36.3 +- 11.8
    N = 5   BiLSTM    20.0 +- 2.0
    N = 10  LSTM     118.7 +- 5.5
    N = 10  BiLSTM    79.0 +- 6.9

`gnnkit sequence row 8` and `row 9` add N = 15.
"""

import argparse

import torch

from gnnkit.runs import spread
from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import LSTMCell
from recurrent.initialization import kaiming_
from recurrent.models import SequenceClassifier
from recurrent.tasks import RandomCombinations


def batches(length: int, bidirectional: bool, seed: int) -> int:
    task = RandomCombinations(length, encoding="token")
    torch.manual_seed(seed)
    model = SequenceClassifier(LSTMCell, length, 128, length, bidirectional=bidirectional, embedding_dim=2 * length)
    for cell in model.stack.cells:
        kaiming_(cell)
    config = SequenceConfig(
        steps=1000,
        optimization=Optimization("adam", 1e-3),
        eval_every=1,
        eval_size=4096,
        stop_after=3,
        seed=seed,
    )
    return fit_sequence(model, task, config).steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="two seeds, N = 5: does it run?")
    smoke = parser.parse_args().smoke
    seeds, lengths = (range(2), (5,)) if smoke else (range(3), (5, 10))
    torch.set_num_threads(1)
    print(f"seeds 0..{len(seeds) - 1}, hidden 128, batches to 3 x 100 % (mean +- standard deviation)")
    for length in lengths:
        for name, bidirectional in (("LSTM", False), ("BiLSTM", True)):
            found = spread([batches(length, bidirectional, seed) for seed in seeds])
            print(f"N = {length:<3} {name:7} {found.mean:6.1f} +- {found.std:.1f}")


if __name__ == "__main__":
    main()
