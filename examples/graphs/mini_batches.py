"""Does training on sampled neighbours cost accuracy?

GCN on PubMed and Coauthor CS, trained on all training nodes at once with every neighbour, and in batches
of which each node hears of ten sampled neighbours a layer. What a node hears is then, on average over the
draws, what it would hear from them all, so the two should end within a point of each other; the batches need
memory for themselves alone.

    $ python examples/graphs/mini_batches.py            # needs the data: gnnkit data download pubmed (and cs)
    pubmed  full batch                        79.60 %   (79.8 79.5 79.5)
    pubmed  batches of 20, fan-out 10,10      79.23 %   (79.1 79.2 79.4)
    pubmed  difference                        -0.37 points
    cs      full batch                        91.43 %   (91.6 91.6 91.1)
    cs      batches of 100, fan-out 10,10     91.37 %   (91.7 90.6 91.8)
    cs      difference                        -0.07 points
    $ python examples/graphs/mini_batches.py --smoke    # karate, a few epochs
"""

import argparse
from dataclasses import replace

from gnnkit.data import load_dataset
from gnnkit.models import GCN
from gnnkit.training import TrainConfig, fit

EPOCHS, BATCH_SIZE = {"pubmed": 200, "cs": 100, "karate": 30}, {"pubmed": 20, "cs": 100, "karate": 2}
FANOUT = (10, 10)


def accuracies(name: str, config: TrainConfig, seeds: int) -> list[float]:
    found = []
    for seed in range(seeds):
        data = load_dataset(name, seed=seed)  # the public split, or one of the random ones
        model = GCN(data.num_features, 16 if name == "pubmed" else 64, 2, data.num_classes)
        found.append(fit(model, data, replace(config, seed=seed)).test_accuracy)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="the karate club and a few epochs")
    options = parser.parse_args()
    for name in ("karate",) if options.smoke else ("pubmed", "cs"):
        full = TrainConfig(epochs=EPOCHS[name])
        batches = replace(full, batch_size=BATCH_SIZE[name], fanout=FANOUT)
        means = {}
        for label, config in {"full batch": full, f"batches of {BATCH_SIZE[name]}, fan-out 10,10": batches}.items():
            found = accuracies(name, config, options.seeds)
            means[label] = 100 * sum(found) / len(found)
            each = " ".join(f"{100 * value:.1f}" for value in found)
            print(f"{name:<7} {label:<33} {means[label]:.2f} %   ({each})", flush=True)
        whole, sampled = means.values()
        print(f"{name:<7} {'difference':<33} {sampled - whole:+.2f} points", flush=True)


if __name__ == "__main__":
    main()
