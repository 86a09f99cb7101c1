"""Does a recurrent layer need the graph to forecast what is carried along it?

On a directed ring with chords each node's next value is made of its upstream neighbour's, so a node's
own past says next to nothing. The best possible error is known; the layer with the graph comes near it,
and the same layer with no hops is blind.

    $ python examples/combined/when_the_graph_matters.py          # ten seconds, seed 0
    $ python examples/combined/when_the_graph_matters.py --smoke  # one epoch, to see that it runs

Expected: one-step mean squared error 1.00 at best, about 1.01 with the graph, about 4.2 without.
"""

import argparse

import torch

from gnnkit.data.temporal import diffusion_process
from gnnkit.models import Forecaster
from gnnkit.training.forecasts import ForecastConfig, fit_forecaster
from gnnkit.training.windows import Windows, last_value, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one epoch")
    torch.set_num_threads(1)  # small products: more threads only wait for each other
    smoke = parser.parse_args().smoke
    data = diffusion_process(num_steps=300 if smoke else 1200)
    windows = Windows.of(data, length=6, horizon=1)
    targets, observed = windows.targets(windows.test)
    assert data.best_mse is not None
    print(f"best possible     mse {data.best_mse[0]:.3f}")
    print(f"last value        mse {scores(last_value(windows, windows.test), targets, observed).mse[0]:.3f}")
    for hops, name in ((1, "with the graph"), (0, "without the graph")):
        torch.manual_seed(0)
        model = Forecaster(data.num_nodes, horizon=1, hops=hops)
        result = fit_forecaster(model, windows, data.adjacency, ForecastConfig(epochs=1 if smoke else 6))
        print(f"{name:17} mse {scores(result.forecasts, targets, observed).mse[0]:.3f}", flush=True)


if __name__ == "__main__":
    main()
