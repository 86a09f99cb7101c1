"""Can a run that is stuck be told by its gradient? The norm of dL/dW_hh of LSTMs that learn and that do not.

Report 000 (2019) trained an LSTM three times on palindromes of T = 40: the run stuck at .1 accuracy had the lowest
gradient. Here four learning rates stand for luck: too low, low, right, too high.

    $ python examples/recurrent/stuck_run.py
    seed 0, LSTM on palindromes of T = 12, 600 steps; means of the last tenth of the steps
    rate    accuracy    loss  norm of dL/dW_hh
    1e-05       0.09    2.31            0.0103
    0.001       0.59    0.89            0.4581
    0.01        1.00    0.00            0.0001
    0.3         0.48    2.05            0.0006

A small gradient says little by itself: a run that is done has one too. Stuck is: small, at a high loss.
`gnnkit sequence row 4` is the report's own experiment.
"""

import argparse

import torch

from gnnkit.training import Optimization, SequenceConfig, fit_sequence
from recurrent import LSTMCell
from recurrent.initialization import xavier_
from recurrent.models import SequenceClassifier
from recurrent.tasks import Palindromes

LENGTH = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few steps: does it run?")
    smoke = parser.parse_args().smoke
    steps, rates = (30, (1e-2,)) if smoke else (600, (1e-5, 1e-3, 1e-2, 0.3))
    torch.set_num_threads(1)
    print(f"seed 0, LSTM on palindromes of T = {LENGTH}, {steps} steps; means of the last tenth of the steps")
    print("rate    accuracy    loss  norm of dL/dW_hh")
    for rate in rates:
        task = Palindromes(LENGTH)
        torch.manual_seed(0)
        model = SequenceClassifier(LSTMCell, task.input_size, 64, task.num_outputs)
        for cell in model.stack.cells:
            xavier_(cell)
        config = SequenceConfig(
            steps=steps,
            optimization=Optimization("rmsprop", rate),
            eval_every=steps,
            record_recurrent_gradient=True,
        )
        history = fit_sequence(model, task, config).history
        last = slice(-steps // 10, None)
        means = [
            sum(history[name][last]) / len(history[name][last])
            for name in ("train_accuracy", "train_loss", "weight_hh_gradient_norm")
        ]
        print(f"{rate:<6g}  {means[0]:8.2f}  {means[1]:6.2f}  {means[2]:16.4f}")


if __name__ == "__main__":
    main()
