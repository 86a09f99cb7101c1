"""Does a network that follows the tree understand expressions deeper than any it has seen?

Expressions such as "(true xor false) and not true", every part labelled with its truth value. The same layer reads
them three ways: from the leaves up with weights per place (N-ary Tree-LSTM), from the leaves up with children
summed (Child-Sum Tree-LSTM), and word after word in postfix order, which is an LSTM: a chain is a tree, too. All
learn from expressions at most 4 operators deep. Trees carry over to deeper ones; the chain, whose memory would have
to be a stack, less and less. On sentences: gnnkit trees train sst.

    $ python examples/combined/tree_lstm.py
    accuracy at the root, by depth of the expression (learned: up to 4)
                     4      6      8
    n-ary        100.0  100.0   99.6
    child-sum    100.0  100.0   99.6
    chain         88.4   79.8   76.8
"""

import argparse

import torch
from torch.nn.functional import cross_entropy

from gnnkit.data.trees import EncodedTrees, TreeBatch, WordList, boolean_trees
from gnnkit.models import TreeClassifier


def along_a_chain(batch: TreeBatch) -> TreeBatch:
    """Each tree's words one after another in the nodes' order: children first, a root last."""
    follows = torch.ones(len(batch.words), dtype=torch.bool)
    follows[batch.roots] = False
    source = torch.nonzero(follows).view(-1)
    return batch._replace(edge_index=torch.stack([source, source + 1]))


def accuracy(model: TreeClassifier, trees: EncodedTrees, chain: bool) -> float:
    """Percent of the roots that are right."""
    batch = trees.batch(torch.arange(len(trees)))
    batch = along_a_chain(batch) if chain else batch
    with torch.no_grad():
        predicted = model.eval()(batch.words, batch.edge_index).argmax(dim=1)
    return 100 * float((predicted == batch.labels)[batch.roots].float().mean())


def train(trees: EncodedTrees, num_words: int, arity: int | None, chain: bool, epochs: int) -> TreeClassifier:
    """Learn the label of every node."""
    torch.manual_seed(0)
    model = TreeClassifier(num_words, 2, embedding_dim=16, hidden_size=32, arity=arity, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(trees)), 50):
            batch = along_a_chain(trees.batch(part)) if chain else trees.batch(part)
            loss = cross_entropy(model(batch.words, batch.edge_index), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="fewer expressions and epochs")
    smoke = parser.parse_args().smoke
    seen = boolean_trees(200 if smoke else 2000, depth=4)
    words = WordList.of(seen)
    depths = {depth: words.encode(boolean_trees(50 if smoke else 500, depth=depth, seed=depth)) for depth in (4, 6, 8)}
    print("accuracy at the root, by depth of the expression (learned: up to 4)")
    print(" " * 10 + "".join(f"{depth:>7}" for depth in depths))
    for name, arity, chain in (("n-ary", 2, False), ("child-sum", None, False), ("chain", None, True)):
        model = train(words.encode(seen), len(words), arity, chain, epochs=2 if smoke else 12)
        scores = [accuracy(model, trees, chain) for trees in depths.values()]
        print(f"{name:<10}" + "".join(f"{score:>7.1f}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
