"""Can news be sorted by a graph of documents and words?

R8 is 7,674 articles in eight classes. Every article and every word becomes a node: an article is joined to its
words by tf-idf, words to words that they occur with more often than by chance. A GCN of two layers on that graph,
without any other features, is TextGCN (Yao, Mao & Luo, AAAI 2019, whose settings these are). Beside it: what a
linear model makes of the same tf-idf weights, without the graph. Needs $GNNKIT_DATA with text_gcn/R8.txt and
R8.clean.txt.gz.

    $ python examples/text/documents_as_a_graph.py          # some minutes, seed 0
    $ python examples/text/documents_as_a_graph.py --smoke  # a tenth of the articles, 16 units, five epochs

    test accuracy         here   paper
    majority class       49.47
    linear on tf-idf     94.02   93.74
    TextGCN              97.03   97.07
    after 189 epochs, the weights of epoch 179
"""

import argparse

import torch

from gnnkit import NodeData, TrainConfig, fit
from gnnkit.data import Documents, document_graph, load_r8
from gnnkit.data.arrays import csr_tensor
from gnnkit.data.documents import tf_idf
from gnnkit.errors import MissingDataError
from gnnkit.graph import Adjacency
from gnnkit.models import GCN


def linear(documents: Documents, epochs: int) -> float:
    """Test accuracy of a linear classifier on tf-idf: the same trainer, on a graph without edges."""
    weights = tf_idf(documents.texts, len(documents.words))
    weights = weights.multiply(1 / weights.power(2).sum(axis=1).clip(min=1e-12).reshape(-1, 1) ** 0.5).tocsr()
    lone = Adjacency.from_edge_index(torch.empty(2, 0, dtype=torch.long), num_nodes=len(documents))
    data = NodeData(lone, csr_tensor(weights), documents.y, *documents.parts())
    config = TrainConfig(epochs=epochs, lr=0.05, weight_decay=0.0, patience=10)
    return fit(GCN(data.num_features, 0, 1, data.num_classes, 0.0), data, config).test_accuracy


class Shown:
    """Prints a line now and then: an epoch takes about a second."""

    def update(self, completed: int, **fields: float | str) -> None:
        if completed % 20 == 0:
            print(f"  epoch {completed:3}  validation accuracy {100 * float(fields['val_accuracy']):.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few articles, few epochs: does it run?")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, dropout and validation articles")
    options = parser.parse_args()
    try:
        documents = load_r8()
    except MissingDataError as error:
        print(f"left out: {error}")
        return
    if options.smoke:
        rows = torch.arange(0, len(documents), 10)
        documents = Documents(
            documents.texts.select_rows(rows),
            documents.words,
            documents.y[rows],
            documents.class_names,
            documents.train[rows],
        )
    data = document_graph(documents, seed=options.seed)
    print(data)
    majority = documents.y[documents.train].mode().values
    found = {
        "majority class": float((documents.y[~documents.train] == majority).float().mean()),
        "linear on tf-idf": linear(documents, 20 if options.smoke else 300),
    }
    hidden, epochs = (16, 5) if options.smoke else (200, 200)
    model = GCN(data.num_features, hidden, 2, data.num_classes, 0.5)
    config = TrainConfig(epochs=epochs, lr=0.02, weight_decay=0.0, patience=10, seed=options.seed)
    result = fit(model, data, config, progress=Shown())
    found["TextGCN"] = result.test_accuracy
    print(f"\n{'test accuracy':<18}{'here':>8}{'paper':>8}")
    for name, paper in (("majority class", ""), ("linear on tf-idf", "93.74"), ("TextGCN", "97.07")):
        print(f"{name:<18}{100 * found[name]:8.2f}{paper:>8}")
    print(f"after {result.epochs} epochs, the weights of epoch {result.test.epoch}")


if __name__ == "__main__":
    main()
