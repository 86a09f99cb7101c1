"""How much sooner is a Tree-LSTM done level by level than by recursion, node by node?

Forward and backward pass of a batch of 25 trees with a class read off every node, one thread, CPU time, all
versions in turn in one process. The recursion is how Tree-LSTMs are usually written: a function of a node that
calls itself for the children; it is given every advantage that does not change that form (inputs projected for
all nodes at once, one product per node for all gates, the loss taken once over all nodes). The time to find the
levels is counted. Trees are the Stanford Sentiment Treebank's where it is there, else generated ones as large.

    $ python benchmarks/trees.py --data-root DATA --out benchmarks/results/trees.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleaved, machine, threads
from torch import Tensor
from torch.nn.functional import cross_entropy

# This folder, first on the path, has a recurrent.py of its own.
sys.path.append(sys.path.pop(0))

from gnnkit.data.treebanks import load_treebank
from gnnkit.data.trees import TreeBatch, WordList, boolean_trees
from gnnkit.errors import MissingDataError
from gnnkit.models import TreeClassifier
from gnnkit.nn import NeighborLSTM


def child_sum(lstm: NeighborLSTM, gates: Tensor, children: list[list[int]], node: int, done: list[Tensor]) -> Tensor:
    """Hidden and cell state of a node, side by side; everyone's hidden state goes to ``done``."""
    h = lstm.hidden_size
    f, rest = gates[node, :h], gates[node, h:]
    weight = lstm.turned
    if children[node]:
        below = torch.stack([child_sum(lstm, gates, children, child, done) for child in children[node]])
        hidden, cell = below.split(h, dim=1)
        rest = torch.addmv(rest, weight[h:], hidden.sum(0))
        kept = ((f + hidden @ weight[:h].t()).sigmoid() * cell).sum(0)
    i, o, g = rest.split(h)
    cell = i.sigmoid() * g.tanh()
    if children[node]:
        cell = cell + kept
    hidden = o.sigmoid() * cell.tanh()
    done[node] = hidden
    return torch.cat([hidden, cell])


def n_ary(lstm: NeighborLSTM, gates: Tensor, children: list[list[int]], node: int, done: list[Tensor]) -> Tensor:
    """The same with weights per place; absent children are zeros."""
    h, arity = lstm.hidden_size, lstm.arity
    f, rest = gates[node, :h], gates[node, h:]
    if children[node]:
        below = [n_ary(lstm, gates, children, child, done) for child in children[node]]
        below += [torch.zeros_like(below[0])] * (arity - len(below))
        hidden, cell = torch.stack(below).split(h, dim=1)
        all_gates = torch.addmv(torch.cat([f.repeat(arity), rest]), lstm.turned, hidden.reshape(-1))
        kept = (all_gates[: arity * h].sigmoid().view(arity, h) * cell).sum(0)
        rest = all_gates[arity * h :]
    i, o, g = rest.split(h)
    cell = i.sigmoid() * g.tanh()
    if children[node]:
        cell = cell + kept
    hidden = o.sigmoid() * cell.tanh()
    done[node] = hidden
    return torch.cat([hidden, cell])


def recursion(model: TreeClassifier, batch: TreeBatch) -> Callable[[], object]:
    lstm = model.lstm
    children: list[list[int]] = [[] for _ in range(len(batch.words))]
    for child, parent in batch.edge_index.t().tolist():
        children[parent].append(child)
    visit = child_sum if lstm.arity is None else n_ary

    def run() -> None:
        model.zero_grad()
        with_word = (batch.words >= 0).nonzero().view(-1)
        projected = lstm.project(model.embedding(batch.words[with_word]))
        gates = lstm.input_bias().expand(len(batch.words), -1).index_copy(0, with_word, projected)
        lstm.turned = lstm._neighbor_weight()
        done: list[Tensor] = [gates] * len(batch.words)
        for root in batch.roots.tolist():
            visit(lstm, gates, children, root, done)
        cross_entropy(model.out(torch.stack(done)), batch.labels).backward()

    return run


def level_by_level(model: TreeClassifier, batch: TreeBatch) -> Callable[[], object]:
    def run() -> None:
        model.zero_grad()
        cross_entropy(model(batch.words, batch.edge_index), batch.labels).backward()

    return run


def batch_of_trees(root: Path | None) -> tuple[str, TreeBatch, int]:
    try:
        treebank = load_treebank("sst", root)
        name, trees, classes = "25 sentences of the Stanford Sentiment Treebank", treebank.dev, 5
    except MissingDataError:
        name, trees, classes = "25 generated expressions", boolean_trees(400, depth=7), 2
    words = WordList.of(trees)
    chosen = torch.randperm(len(trees), generator=torch.Generator().manual_seed(0))[:25]
    return name, words.encode(trees).batch(chosen), classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    threads(1)
    name, batch, classes = batch_of_trees(options.data_root)
    print(f"{name}: {len(batch.words)} nodes")
    found: dict[str, object] = {"trees": name, "nodes": len(batch.words), "machine": machine()}
    for label, arity in (("child-sum", None), ("n-ary", 2)):
        torch.manual_seed(0)
        model = TreeClassifier(int(batch.words.max()) + 1, classes, arity=arity, dropout=0.0)
        versions = {"recursion": recursion(model, batch), "level by level": level_by_level(model, batch)}
        check(model, versions)
        timings = interleaved(versions, repeats=options.repeats, warm_up=1)
        slow, fast = timings["recursion"].median_cpu, timings["level by level"].median_cpu
        print(f"{label:<10} recursion {slow:7.1f} ms   level by level {fast:6.1f} ms   ratio {slow / fast:5.1f}")
        found[label] = {key: timing.as_json() for key, timing in timings.items()} | {"cpu_ratio": slow / fast}
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def check(model: TreeClassifier, versions: dict[str, Callable[[], object]]) -> None:
    """Both give the same gradients, or the times would say nothing."""
    gradients = []
    for version in versions.values():
        version()
        gradients.append(model.lstm.weight_hh.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    main()
