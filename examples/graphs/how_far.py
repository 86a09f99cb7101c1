"""How far does a GCN hear, and is that as far as it could?

A network of L layers sees L hops, but it does not listen evenly. On a 30 x 30 grid the exact influence of
nodes h hops away on the middle, the norm of the Jacobian, is summed hop by hop: the range R is the mean
hop that influence comes from. Twice the depth is about 1.4 times the range, as in a random walk.

    $ python examples/graphs/how_far.py
    untrained GCN, 16 hidden, on a 30 x 30 grid; influence on 36 nodes of the middle, 3 seeds
    layers  range  within 2 hops  from the last hop
         1   0.80        100.00 %           80.000 %
         2   1.29        100.00 %           48.530 %
         4   1.93         71.93 %            9.918 %
         8   2.81         45.67 %            0.288 %
        16   4.01         26.95 %            0.000 %
"""

import argparse

import networkx
import torch

from gnnkit import Adjacency, flow
from gnnkit.models import GCN

SIDE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one seed, few layers: does it run?")
    smoke = parser.parse_args().smoke
    seeds, depths = (1, (1, 2)) if smoke else (3, (1, 2, 4, 8, 16))
    grid = Adjacency.from_networkx(networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(SIDE, SIDE)))
    middle = [SIDE * row + column for row in range(12, 18) for column in range(12, 18)]
    print(
        f"untrained GCN, 16 hidden, on a {SIDE} x {SIDE} grid; influence on {len(middle)} nodes of the middle, "
        f"{seeds} seed{'' if seeds == 1 else 's'}"
    )
    print("layers  range  within 2 hops  from the last hop")
    for layers in depths:
        found = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = GCN(8, 16, layers, 4)
            found.append(flow(model, torch.rand(grid.num_nodes, 8), grid, middle, dtype=torch.float64))
        reach = sum(each.range for each in found) / seeds
        near = 100 * sum(each.within(2) for each in found) / seeds
        last = 100 * sum(float(each.mean[-1]) for each in found) / seeds
        print(f"{layers:6}  {reach:5.2f}  {near:12.2f} %  {last:15.3f} %")


if __name__ == "__main__":
    main()
