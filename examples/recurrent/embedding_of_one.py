"""What if each number is embedded as a single number? Batches until an LSTM finds the missing one of five.

Report 001 (2020) embeds N numbers in 2N dimensions (25.0 +- 2.2 batches for N = 5) and found one dimension hard to
converge: numbers on a line are told apart by size alone, and their order means nothing here.

    $ python examples/recurrent/embedding_of_one.py
    N = 5, hidden 128, batches to 3 x 100 % on 4096 samples, 500 at most
    embedding of  1: 84, 265, 143
    embedding of  2: 84, 84, 160
    embedding of 10: 29, 50, 30

`gnnkit sequence row 10` does the same for N = 5, 10, 15 and a BiLSTM.
"""

import argparse

import torch

from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import LSTMCell
from recurrent.initialization import kaiming_
from recurrent.models import SequenceClassifier
from recurrent.tasks import RandomCombinations

LENGTH, MOST = 5, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one seed, two sizes: does it run?")
    smoke = parser.parse_args().smoke
    seeds, sizes = (range(1), (10,)) if smoke else (range(3), (1, 2, 10))
    torch.set_num_threads(1)
    print(f"N = {LENGTH}, hidden 128, batches to 3 x 100 % on 4096 samples, {MOST} at most")
    task = RandomCombinations(LENGTH, encoding="token")
    for size in sizes:
        steps = []
        for seed in seeds:
            torch.manual_seed(seed)
            model = SequenceClassifier(LSTMCell, LENGTH, 128, LENGTH, embedding_dim=size)
            for cell in model.stack.cells:
                kaiming_(cell)
            config = SequenceConfig(
                steps=MOST,
                optimization=Optimization("adam", 1e-3),
                eval_every=1,
                eval_size=4096,
                stop_after=3,
                seed=seed,
            )
            result = fit_sequence(model, task, config)
            steps.append(str(result.steps) if result.solved_at is not None else f"not in {MOST}")
        print(f"embedding of {size:2}: {', '.join(steps)}")


if __name__ == "__main__":
    main()
