"""Is our GCN as accurate as one of PyG's GCNConv, trained the same way?

Both are trained on the public split with the settings of Kipf & Welling (2 layers, 16 hidden units,
dropout .5, Adam .01, weight decay 5e-4 on the first layer, 200 epochs), over the same seeds; the epoch
of lowest validation loss is selected, the earlier on ties, and test labels are read once, after that.
PyG's layers get the sparse features (dropout on the non-zeros, the same distribution), since their
dense form takes ten times as long and no other number of the result changes.

    $ python benchmarks/accuracy.py --data-root DATA --runs 20
    $ python benchmarks/accuracy.py --data-root DATA --runs 100 --splits   # a random split per run

With --splits every run draws a split (20 per class, 500, 1000) and the paired equivalence test (TOST,
margin .5 points, alpha .05) is valid; on one split seeds measure initialisation only.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.data import NodeData, load_dataset, random_split
from gnnkit.models import GCN
from gnnkit.runs import paired_equivalence, run_many, seed_everything, spread, versions
from gnnkit.training import TrainConfig, fit

PUBLISHED = {"cora": 81.5, "citeseer": 70.3, "pubmed": 79.0}
EPOCHS = 200


class PyGGCN(nn.Module):
    """Two GCNConv of PyG with its cache on, and dropout before each, as in the paper."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.first = GCNConv(in_channels, 16, cached=True)
        self.second = GCNConv(16, out_channels, cached=True)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        values = nn.functional.dropout(x.values(), 0.5, self.training)
        x = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
        hidden = self.first(x, edge_index).relu()
        return self.second(nn.functional.dropout(hidden, 0.5, self.training), edge_index)


def pyg_accuracy(data: NodeData, seed: int) -> float:
    seed_everything(seed)
    model = PyGGCN(data.num_features, data.num_classes)
    first = list(model.first.parameters())
    groups = [{"params": first, "weight_decay": 5e-4}, {"params": list(model.second.parameters())}]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    edge_index, _ = data.adjacency.to_edge_index()
    best, weights = float("inf"), {}
    for _ in range(EPOCHS):
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(data.x, edge_index)[data.train_mask], data.y[data.train_mask]).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            loss = cross_entropy(model(data.x, edge_index)[data.val_mask], data.y[data.val_mask]).item()
        if loss < best:
            best, weights = loss, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    with torch.no_grad():
        predicted = model(data.x, edge_index).argmax(dim=1)
    return float((predicted == data.y)[data.test_mask].double().mean())


def our_accuracy(data: NodeData, seed: int) -> float:
    model = GCN(data.num_features, 16, 2, data.num_classes)
    return fit(model, data, TrainConfig(epochs=EPOCHS, seed=seed)).test_accuracy


def both(shared: tuple[NodeData, bool], seed: int) -> tuple[float, float]:
    data, splits = shared
    if splits:
        data = data.with_split(random_split(data.y, seed=seed))
    return our_accuracy(data, seed), pyg_accuracy(data, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", help="folder of the data sets; GNNKIT_DATA by default")
    parser.add_argument("--datasets", nargs="+", default=list(PUBLISHED))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--splits", action="store_true", help="draw a random split per run")
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    options = parser.parse_args()
    rows = {}
    for name in options.datasets:
        data = load_dataset(name, options.data_root)
        outcomes = run_many(both, range(options.runs), shared=(data, options.splits), jobs=options.jobs)
        pairs = [outcome.value for outcome in outcomes if outcome.value is not None]
        if len(pairs) < options.runs:
            raise SystemExit(f"{name}: {next(each.error for each in outcomes if each.error)}")
        ours, pyg = ([100 * value for value in side] for side in zip(*pairs, strict=True))
        test = paired_equivalence(ours, pyg, margin=0.5)
        rows[name] = {
            "gnnkit": {"mean": spread(ours).mean, "std": spread(ours).std, "values": ours},
            "pyg": {"mean": spread(pyg).mean, "std": spread(pyg).std, "values": pyg},
            "difference": test.difference,
            "interval_90": [test.interval.low, test.interval.high],
            "within_half_a_point": test.equivalent,
            "published": None if options.splits else PUBLISHED.get(name),
        }
        print(
            f"{name:9} gnnkit {spread(ours).mean:.2f} +- {spread(ours).std:.2f}   PyG {spread(pyg).mean:.2f} +- "
            f"{spread(pyg).std:.2f}   difference {test.difference:+.2f} [{test.interval.low:+.2f}, "
            f"{test.interval.high:+.2f}]   {'equivalent' if test.equivalent else 'not shown equivalent'}",
            flush=True,
        )
        if options.out:  # after every data set: the whole takes long
            result = {
                "what": "test accuracy in percent at the epoch of lowest validation loss",
                "split": "random, one per run" if options.splits else "public",
                "runs": options.runs,
                "rows": rows,
                "versions": versions(),
                "machine": f"{platform.system()} {platform.machine()}, {options.jobs} processes of one thread",
            }
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
