"""How much should a node listen to itself? GCN with self-loops of weight lambda, A + lambda I.

A student report of 2020 proposed weighting the self-loops and did not try it. Here lambda is fixed at
several values, then learned, on Zachary's karate club: mean accuracy over seeds on the 30 members
whose side is not given.

    $ python examples/graphs/self_loops.py
    seeds 0..9, 200 epochs, test accuracy in percent (mean +- standard deviation)
    lambda 0.0      59.0 +- 3.2
    lambda 0.5      62.3 +- 3.2
    lambda 1.0      73.3 +- 4.2
    lambda 2.0      77.7 +- 2.2
    lambda 4.0      84.0 +- 1.4
    lambda learned  71.0 +- 6.7  (last seed, by layer: 1.41, 0.71)

Four labels train both, so more self keeps a club member's own name apart from the crowd's: lambda
matters here by 25 points, and learning it from four labels does not find the best value.
"""

import argparse

import torch

from gnnkit import TrainConfig, fit, load_dataset
from gnnkit.models import GCN
from gnnkit.runs import spread


def accuracy_over_seeds(seeds: int, epochs: int, **conv: object) -> tuple[list[float], GCN]:
    data = load_dataset("karate")
    model = GCN(data.num_features, 16, 2, data.num_classes, **conv)
    return [100 * fit(model, data, TrainConfig(epochs=epochs, seed=seed)).test_accuracy for seed in range(seeds)], model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one seed and few epochs: does it run?")
    smoke = parser.parse_args().smoke
    seeds, epochs = (2, 20) if smoke else (10, 200)
    torch.set_num_threads(1)
    print(f"seeds 0..{seeds - 1}, {epochs} epochs, test accuracy in percent (mean +- standard deviation)")
    for weight in (0.0, 0.5, 1.0, 2.0, 4.0):
        values, _ = accuracy_over_seeds(seeds, epochs, self_loop_weight=weight)
        print(f"lambda {weight:<8} {spread(values).mean:.1f} +- {spread(values).std:.1f}")
    values, model = accuracy_over_seeds(seeds, epochs, learn_self_loop=True)
    learned = ", ".join(f"{conv.self_loop_weight.item():.2f}" for conv in model.convs)
    print(f"lambda learned  {spread(values).mean:.1f} +- {spread(values).std:.1f}  (last seed, by layer: {learned})")


if __name__ == "__main__":
    main()
