"""How many GCN layers before node 0 influences node 3 of a chain?

Each layer mixes one hop, so the answer is the hop distance, 3. The gradient of node 3's output with
respect to node 0's input confirms it: exactly zero before, not after.

    $ python examples/graphs/gcn_receptive_field.py
    layers needed: 3
    1 layer(s): 2 of 6 nodes seen, gradient 0.0000
    2 layer(s): 3 of 6 nodes seen, gradient 0.0000
    3 layer(s): 4 of 6 nodes seen, gradient 0.0625
    4 layer(s): 5 of 6 nodes seen, gradient 0.0833
"""

import torch

from gnnkit.graph import Adjacency, layers_needed, receptive_field

SOURCE, TARGET, NUM_NODES = 0, 3, 6


def main() -> None:
    steps = torch.tensor([[node, node + 1] for node in range(NUM_NODES - 1)]).t()
    chain = Adjacency.from_edge_index(torch.cat([steps, steps.flip(0)], dim=1), num_nodes=NUM_NODES)
    print("layers needed:", layers_needed(chain, SOURCE, TARGET))
    operator = chain.with_self_loops().normalized("sym")
    for num_layers in (1, 2, 3, 4):
        seen = receptive_field(chain, torch.tensor([TARGET]), num_layers).nodes
        x = torch.ones(NUM_NODES, 1, requires_grad=True)
        hidden = x
        for _ in range(num_layers):  # a GCN of weights 1, without bias or ReLU: what is left is how far it reaches
            hidden = operator.propagate(hidden)
        (gradient,) = torch.autograd.grad(hidden[TARGET].sum(), x)
        print(f"{num_layers} layer(s): {len(seen)} of {NUM_NODES} nodes seen, gradient {float(gradient[SOURCE]):.4f}")


if __name__ == "__main__":
    main()
