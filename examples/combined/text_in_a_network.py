"""Text in a citation network: what do a recurrent network, a graph network, and both of them see?

A made-up library. Every paper is a short text of one of two topics, and somewhere in it "although" and "therefore"
come in either order: that is its stance, which a bag of words cannot tell. A paper cites four others, all of one
topic, whatever its own. Its class is its stance and the topic it cites: four classes, equally frequent.

So a paper's own text tells half of its class, and the words of the papers it cites the other half. A recurrent
network alone has no neighbours, and a graph network on bags of words has no order: each is right half of the time.
A SequenceGraph reads every text and then listens to the citations.

    $ python examples/combined/text_in_a_network.py          # half a minute, three seeds
    $ python examples/combined/text_in_a_network.py --smoke  # five epochs, to see that it runs
    majority class                       27.4 % +- 1.0
    RNN alone (LSTM on the own text)     51.4 % +- 4.5
    GNN alone (GCN on bags of words)     46.4 % +- 6.3
    both (SequenceGraph: LSTM, then GCN) 100.0 % +- 0.0
"""

import argparse

import torch

from gnnkit import Adjacency, NodeData, TrainConfig, fit
from gnnkit.data import stratified_split
from gnnkit.models import GCN, SequenceGraph
from gnnkit.runs import spread
from recurrent import LSTMCell, Sequences

PAPERS, CITES, WORDS = 600, 4, 20  # words 0 and 1: although, therefore; 2-7 and 8-13: topics; the others: filling


def library(seed: int) -> NodeData:
    """Texts, citations and classes; messages flow from the cited to the citing."""
    draw = torch.Generator().manual_seed(seed)
    topic, stance, cited_topic = torch.randint(2, (3, PAPERS), generator=draw)
    texts = []
    for paper in range(PAPERS):
        length = int(torch.randint(6, 15, (1,), generator=draw))
        about = 2 + 6 * topic[paper] + torch.randint(6, (length,), generator=draw)
        filling = torch.randint(14, WORDS, (length,), generator=draw)
        text = torch.where(torch.rand(length, generator=draw) < 0.5, about, filling)
        first, second = torch.randperm(length, generator=draw)[:2].sort().values
        text[first], text[second] = int(stance[paper]), 1 - int(stance[paper])
        texts.append(text)
    source = []
    for paper in range(PAPERS):
        found = torch.nonzero(topic == cited_topic[paper]).view(-1)
        found = found[found != paper]
        source.append(found[torch.randperm(len(found), generator=draw)[:CITES]])
    target = torch.arange(PAPERS).repeat_interleave(CITES)
    graph = Adjacency.from_edge_index(torch.stack([torch.cat(source), target]), num_nodes=PAPERS)
    y = 2 * stance + cited_topic
    return NodeData(graph, Sequences.from_list(texts), y, *stratified_split(y, seed=seed), name="library")


def bags(texts: Sequences) -> torch.Tensor:
    """How often each word comes in each text."""
    counts = torch.zeros(len(texts), WORDS)
    owner = torch.repeat_interleave(torch.arange(len(texts)), texts.lengths)
    return counts.index_put_((owner, texts.values), torch.ones(len(owner)), accumulate=True)


def accuracies(seed: int, epochs: int) -> dict[str, float]:
    data = library(seed)
    assert isinstance(data.x, Sequences)
    words = NodeData(data.adjacency, bags(data.x), data.y, data.train_mask, data.val_mask, data.test_mask)
    config = TrainConfig(epochs=epochs, lr=0.01, weight_decay=1e-4, seed=seed)
    sequences = {"embedding_dim": 8, "dropout": 0.2, "hidden_channels": 16}
    alone = SequenceGraph(LSTMCell, WORDS, 16, 4, num_layers=0, **sequences)
    both = SequenceGraph(LSTMCell, WORDS, 16, 4, num_layers=1, **sequences)
    return {
        "majority class": float((data.y[data.test_mask] == data.y[data.train_mask].mode().values).float().mean()),
        "RNN alone (LSTM on the own text)": fit(alone, data, config).test_accuracy,
        "GNN alone (GCN on bags of words)": fit(GCN(WORDS, 16, 2, 4, 0.2), words, config).test_accuracy,
        "both (SequenceGraph: LSTM, then GCN)": fit(both, data, config).test_accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one seed, five epochs: does it run?")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(1)  # small products: more threads only wait for each other
    runs = [accuracies(seed, 5 if smoke else 150) for seed in range(1 if smoke else 3)]
    for name in runs[0]:
        found = spread([100 * run[name] for run in runs])
        print(f"{name:<36} {found.mean:.1f} %{'' if smoke else f' +- {found.std:.1f}'}")


if __name__ == "__main__":
    main()
