"""Good calls of what gnnkit exports: its graph, layers, models, data and training."""

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp

import networkx
import scipy.sparse
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN as PygGCN

import gnnkit
from gnnkit.data import (
    BlockLoader,
    Documents,
    NeighborLoader,
    NodeData,
    data_root,
    dataset_info,
    document_graph,
    identity_features,
    load_dataset,
    random_split,
    read_documents,
    read_node_data,
    row_normalized,
    split_links,
    stratified_split,
    verify_dataset,
)
from gnnkit.diagnostics import dirichlet_energy, flow, smoothness
from gnnkit.graph import (
    Adjacency,
    Block,
    BlockSampler,
    average_distance,
    diameter,
    eccentricity,
    hop_count,
    hop_distance,
    hop_histogram,
    iter_hop_distance,
    layers_needed,
    neighborhood_function,
    read_graph,
    receptive_field,
    shortest_path,
    summarize,
    write_graph,
)
from gnnkit.models import GAT, GCN, GCNII, Forecaster, IdentityMLP, LinkPredictor, SequenceGraph, TreeClassifier
from gnnkit.nn import (
    GATConv,
    GatedGraph,
    GatedReadout,
    GCN2Conv,
    GCNConv,
    GraphGRU,
    GraphLSTM,
    NeighborLSTM,
    NeighborPlan,
    NodeSelection,
)
from gnnkit.training import (
    LinkTraining,
    Optimization,
    SequenceConfig,
    TrainConfig,
    fit,
    fit_link_predictor,
    fit_sequence,
)
from gnnkit.transforms import AddHopDistance, AddHopEncoding
from recurrent import LSTMCell, Sequences
from recurrent.models import SequenceClassifier
from recurrent.tasks import Adding


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


EDGES = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])
GRAPH = Adjacency.from_edge_index(EDGES, num_nodes=5)
RING = Adjacency.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
BOTH_WAYS = Adjacency.from_edge_index(torch.cat([EDGES, EDGES.flip(0)], dim=1), num_nodes=5)
LINKS = split_links(BOTH_WAYS, val=0.2, test=0.4)
TREE = torch.tensor([[0, 1, 2, 3], [2, 2, 4, 4]])
X = rand(5, 3)
STEPS = rand(4, 5, 3)
IDS = torch.tensor([0, 2])
LABELS = torch.arange(60) % 3
MASK = torch.tensor([True, False, False, True, False])
DATA = NodeData(GRAPH, X, torch.tensor([0, 1, 0, 1, 0]), MASK, MASK.roll(1), MASK.roll(2) & ~MASK & ~MASK.roll(1))
PYG = Data(x=X, edge_index=EDGES, num_nodes=5)
WORDS = Sequences.from_list([torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([2])])
TEXTS = Documents(WORDS, ("a", "b", "c"), torch.tensor([0, 1, 1]), ("x", "y"), torch.tensor([True, True, False]))

FOLDER = Path(mkdtemp(prefix="interfaces-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
EDGE_FILE, FEATURE_FILE, LABEL_FILE = (FOLDER / name for name in ("edges.txt", "features.csv", "labels.csv"))
EDGE_FILE.write_text("0 1\n1 2\n2 0\n")
FEATURE_FILE.write_text("1,2\n3,4\n5,6\n")
LABEL_FILE.write_text("a\nb\na\n")
TABLE, TEXT_FILE = FOLDER / "texts.tsv", FOLDER / "texts.txt"
TABLE.write_text("one\ttrain\tx\ntwo\ttrain\ty\nthree\ttest\tx\n")
TEXT_FILE.write_text("a b\nb c\nc\n")


def of(build):
    """The call of a layer made by ``build``, by keywords."""
    return lambda **given: build()(**given)


def each_of(build):
    """What ``build`` makes, read to its end."""
    return lambda **given: list(build(**given))


def few_epochs(**given):
    return fit(GCN(3, 2, 2, 2), DATA, TrainConfig(**given))


def few_steps(**given):
    return fit_sequence(SequenceClassifier(LSTMCell, 2, 3, 1), Adding(4), SequenceConfig(steps=2, **given))


def optimized(**given):
    config = SequenceConfig(steps=2, batch_size=2, eval_size=2, eval_every=1, optimization=Optimization(**given))
    return fit_sequence(SequenceClassifier(LSTMCell, 2, 3, 1), Adding(4), config)


SIZES = {"in_channels": 3, "hidden_channels": 2, "num_layers": 2, "out_channels": 2, "dropout": 0.5}
RECURRENT = {"in_channels": 3, "hidden_size": 2, "K": 1, "num_layers": 1}
BLOCKS = receptive_field(GRAPH, IDS, 1).blocks
WINDOW = {"values": rand(2, 4, 5), "observed": torch.ones(2, 4, 5).bool(), "phase": rand(2, 6), "graph": GRAPH}

GRAPHS = {
    "Adjacency.from_edge_index": (
        Adjacency.from_edge_index,
        {"edge_index": EDGES, "edge_weight": torch.rand(5), "num_nodes": 5, "coalesce": "sum"},
    ),
    "Adjacency.from_dense": (Adjacency.from_dense, {"matrix": GRAPH.to_dense()}),
    "Adjacency.from_scipy": (Adjacency.from_scipy, {"matrix": scipy.sparse.csr_array(GRAPH.to_dense().numpy())}),
    "Adjacency.from_networkx": (
        Adjacency.from_networkx, {"graph": networkx.path_graph(3), "weight": "weight"}
    ),
    "Adjacency.from_data": (Adjacency.from_data, {"data": PYG}),
    "Adjacency.batch": (lambda graph: Adjacency.batch([GRAPH, graph]), {"graph": GRAPH}),
    "Adjacency.subgraph": (GRAPH.subgraph, {"nodes": IDS}),
    "Adjacency.subgraph of a list": (GRAPH.subgraph, {"nodes": [0, 2]}),
    "Adjacency.to": (GRAPH.to, {"dtype": torch.float64, "device": "cpu"}),
    "Adjacency.propagate": (GRAPH.propagate, {"x": X}),
    "Adjacency @": (GRAPH.__matmul__, {"x": X}),
    "Adjacency.with_self_loops": (GRAPH.with_self_loops, {"weight": 1.0}),
    "Adjacency.normalized": (GRAPH.normalized, {"kind": "sym"}),
    "Block": (Block, {"graph": GRAPH, "source_ids": torch.tensor([0, 1, 2, 3]), "target_ids": IDS[:1]}),
    "Block.restrict": (BLOCKS[0].restrict, {"full": GRAPH.normalized()}),
    "BlockSampler()": (BlockSampler, {"graph": GRAPH, "fanouts": [2, -1], "backend": "auto"}),
    "BlockSampler.blocks": (
        lambda seeds, key: BlockSampler(GRAPH, [2]).blocks(seeds.numpy(), key=key),
        {"seeds": IDS, "key": [0]},
    ),
    "hop_distance": (
        hop_distance, {"graph": GRAPH, "sources": IDS, "max_hops": 2, "direction": "out", "dtype": torch.int16}
    ),
    "iter_hop_distance": (each_of(iter_hop_distance), {"graph": GRAPH, "sources": IDS, "block_size": 1}),
    "hop_count": (hop_count, {"graph": GRAPH, "source": 0, "target": 2}),
    "hop_histogram": (hop_histogram, {"graph": GRAPH, "sources": [0, 2], "disconnected": "reachable"}),
    "shortest_path": (shortest_path, {"graph": GRAPH, "source": 0, "target": 2}),
    "eccentricity": (eccentricity, {"graph": RING, "nodes": [0]}),
    "diameter": (diameter, {"graph": RING, "direction": "both", "disconnected": "raise"}),
    "average_distance": (average_distance, {"graph": RING}),
    "layers_needed": (layers_needed, {"graph": GRAPH, "source": 0, "target": 2}),
    "neighborhood_function": (
        neighborhood_function, {"graph": GRAPH, "max_hops": 2, "direction": "out", "lg_registers": 5, "seed": 0}
    ),
    "read_graph": (read_graph, {"path": EDGE_FILE, "delimiter": " ", "comments": "#"}),
    "read_graph of numbers": (read_graph, {"path": EDGE_FILE, "num_nodes": 3, "nodes": None}),
    "write_graph": (write_graph, {"graph": RING, "path": FOLDER / "out.mtx"}),
    "write_graph with names": (
        write_graph, {"graph": RING, "path": FOLDER / "out.csv", "node_names": ("a", "b", "c")}
    ),
    "receptive_field": (receptive_field, {"graph": GRAPH, "nodes": IDS, "num_layers": 2}),
    "summarize": (summarize, {"graph": GRAPH, "y": torch.tensor([0, 1, 0, 1, -1])}),
    "AddHopDistance": (lambda **given: AddHopDistance(**given)(PYG.clone()), {"max_hops": 2, "direction": "out"}),
    "AddHopEncoding": (
        lambda **given: AddHopEncoding(**given)(PYG.clone()),
        {"anchors": [0, 2], "max_hops": 2, "direction": "out", "attr_name": "hops"},
    ),
    "AddHopEncoding of ids": (lambda anchors: AddHopEncoding(anchors)(PYG.clone()), {"anchors": IDS}),
    "AddHopEncoding of a graph": (
        lambda edge_index: AddHopEncoding([0])(Data(edge_index=edge_index, num_nodes=5)), {"edge_index": EDGES}
    ),
    "AddHopDistance of a graph": (
        lambda edge_index: AddHopDistance(2)(Data(edge_index=edge_index, num_nodes=5)), {"edge_index": EDGES}
    ),
    "dirichlet_energy": (dirichlet_energy, {"x": X, "graph": GRAPH}),
    "smoothness": (lambda x, graph: smoothness(GCN(3, 2, 2, 2), x, graph), {"x": X, "graph": GRAPH}),
    "flow": (
        lambda **given: flow(GCN(3, 2, 2, 2), **given),
        {"x": X, "graph": GRAPH, "nodes": IDS, "by": "hop", "norm": "l1", "of": "input"},
    ),
    "flow by step": (lambda x: flow(LSTMCell(3, 2), x, by="step"), {"x": rand(2, 4, 3)}),
    "flow by both": (
        lambda **given: flow(GraphLSTM(3, 2, K=1), by=("hop", "step"), **given),
        {"x": STEPS, "graph": GRAPH, "nodes": [0]},
    ),
    "prune": (lambda **given: gnnkit.prune(PygGCN(3, 2, 2, 2).eval(), **given), {"graph": GRAPH, "nodes": IDS}),
    "export": (lambda x, graph: gnnkit.export(GCN(3, 2, 1, 2).eval(), x, graph), {"x": X, "graph": GRAPH}),
}  # fmt: skip

LAYERS = {
    "GCNConv()": (GCNConv, {"in_channels": 3, "out_channels": 2, "self_loop_weight": 1.0}),
    "GATConv()": (
        GATConv, {"in_channels": 3, "out_channels": 2, "heads": 2, "dropout": 0.1, "negative_slope": 0.2, "edge_dim": 2}
    ),
    "GCN2Conv()": (GCN2Conv, {"channels": 3, "alpha": 0.1, "theta": 0.5, "layer": 1}),
    "GraphLSTM()": (GraphLSTM, {**RECURRENT, "operator": "gcn"}),
    "GraphGRU()": (GraphGRU, {**RECURRENT, "operator": "gcn", "reset": "before"}),
    "GatedGraph()": (GatedGraph, {"hidden_size": 4, "num_steps": 2, "num_types": 2}),
    "GatedReadout()": (GatedReadout, {"hidden_size": 4, "in_channels": 3, "out_channels": 2}),
    "NodeSelection()": (NodeSelection, {"hidden_size": 4, "in_channels": 3}),
    "NeighborLSTM()": (
        NeighborLSTM,
        {"in_channels": 3, "hidden_size": 2, "schedule": "synchronous", "aggregate": "sum", "num_steps": 1},
    ),
    "NeighborLSTM() of places": (NeighborLSTM, {"in_channels": 3, "hidden_size": 2, "arity": 2}),
    "NeighborPlan.of": (NeighborPlan.of, {"graph": TREE, "schedule": "topological", "num_nodes": 5}),
    "NeighborPlan.of confidence": (
        lambda **given: NeighborPlan.of(schedule="confidence", **given),
        {"graph": EDGES, "num_nodes": 5, "confidence": rand(5)},
    ),
    "NeighborPlan.of places": (
        NeighborPlan.of, {"graph": TREE, "num_nodes": 5, "arity": 2, "position": torch.tensor([0, 1, 0, 1])}
    ),
    "GCNConv": (of(lambda: GCNConv(3, 2)), {"x": X, "edge_index": EDGES, "edge_weight": rand(5)}),
    "GCNConv of an Adjacency": (of(lambda: GCNConv(3, 2)), {"x": X, "edge_index": GRAPH}),
    "GATConv": (of(lambda: GATConv(3, 2)), {"x": X, "edge_index": EDGES}),
    "GATConv with features": (
        of(lambda: GATConv(3, 2, edge_dim=2)), {"x": X, "edge_index": EDGES, "edge_attr": rand(5, 2)}
    ),
    "GATConv of an Adjacency": (of(lambda: GATConv(3, 2)), {"x": X, "edge_index": GRAPH}),
    "GCN2Conv": (
        of(lambda: GCN2Conv(3, alpha=0.1, theta=0.5, layer=1)), {"x": X, "x_0": X, "edge_index": EDGES}
    ),
    "GraphLSTM": (of(lambda: GraphLSTM(3, 2, K=1)), {"x": STEPS, "graph": GRAPH}),
    "GraphLSTM that misses values": (
        of(lambda: GraphLSTM(3, 2, K=1, missing_indicator=True)),
        {"x": STEPS, "graph": GRAPH, "observed": STEPS > 0.5, "present": STEPS[..., 0] > 0.1},
    ),
    "GraphLSTM at times": (
        of(lambda: GraphLSTM(3, 2, K=1, phased=True)), {"x": STEPS, "graph": EDGES, "times": torch.arange(4.0)}
    ),
    "GraphGRU": (of(lambda: GraphGRU(3, 2, K=1)), {"x": STEPS, "graph": GRAPH}),
    "GraphGRU that misses values": (
        of(lambda: GraphGRU(3, 2, K=1, missing_indicator=True)),
        {"x": STEPS, "graph": GRAPH, "observed": STEPS > 0.5, "present": STEPS[..., 0] > 0.1},
    ),
    "GraphGRU at times": (
        of(lambda: GraphGRU(3, 2, K=1, phased=True)), {"x": STEPS, "graph": EDGES, "times": torch.arange(4.0)}
    ),
    "GatedGraph": (of(lambda: GatedGraph(4, 2)), {"x": X, "edge_index": EDGES}),
    "GatedGraph of types": (
        of(lambda: GatedGraph(4, 2, num_types=2)),
        {"x": X, "edge_index": EDGES, "edge_type": torch.tensor([0, 1, 0, 1, 0])},
    ),
    "GatedReadout": (
        of(lambda: GatedReadout(4, 3, 2)), {"hidden": rand(5, 4), "x": X, "batch": torch.tensor([0, 0, 1, 1, 1])}
    ),
    "NodeSelection": (
        of(lambda: NodeSelection(4, 3)), {"hidden": rand(5, 4), "x": X, "batch": torch.tensor([0, 0, 1, 1, 1])}
    ),
    "NeighborLSTM": (of(lambda: NeighborLSTM(3, 2)), {"x": X, "graph": TREE}),
    "NeighborLSTM of confidence": (
        of(lambda: NeighborLSTM(3, 2, schedule="confidence")), {"x": X, "graph": GRAPH, "confidence": rand(5)}
    ),
    "NeighborLSTM of places": (
        of(lambda: NeighborLSTM(3, 2, arity=2)), {"x": X, "graph": TREE, "position": torch.tensor([0, 1, 0, 1])}
    ),
    "GCN()": (GCN, SIZES),
    "LinkPredictor": (
        lambda **given: LinkPredictor(GCN(3, 4, 2, 2))(**given), {"x": X, "graph": BOTH_WAYS, "pairs": EDGES}
    ),
    "split_links": (split_links, {"graph": BOTH_WAYS, "val": 0.2, "test": 0.4, "seed": 0}),
    "LinkTraining": (LinkTraining, {"epochs": 2, "lr": 0.1, "weight_decay": 0.0, "patience": 2, "seed": 0}),
    "fit_link_predictor": (
        lambda x: fit_link_predictor(LinkPredictor(GCN(3, 4, 2, 2)), x, LINKS, LinkTraining(epochs=2)), {"x": X}
    ),
    "GAT()": (GAT, {**SIZES, "heads": 2, "out_heads": 1}),
    "GCNII()": (GCNII, {**SIZES, "alpha": 0.1, "theta": 0.5}),
    "GCN": (of(lambda: GCN(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    "GAT": (of(lambda: GAT(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    "GCNII": (of(lambda: GCNII(3, 4, 2, 2)), {"x": X, "edge_index": GRAPH}),
    "Forecaster()": (
        Forecaster,
        {"num_nodes": 5, "horizon": 2, "cell": "lstm", "hidden_size": 3, "operator": "gcn", "hops": 1, "num_layers": 1,
         "mode": "direct", "embedding": 2},
    ),
    "Forecaster": (of(lambda: Forecaster(5, 2, hidden_size=3)), WINDOW),
    "Forecaster step by step": (of(lambda: Forecaster(5, 2, hidden_size=3, mode="rollout")), WINDOW),
    "IdentityMLP()": (IdentityMLP, {"num_nodes": 5, "length": 4, "horizon": 2, "hidden_size": 3, "embedding": 2}),
    "IdentityMLP": (of(lambda: IdentityMLP(5, 4, 2, hidden_size=3)), WINDOW),
    "SequenceGraph()": (
        lambda **given: SequenceGraph(LSTMCell, **given),
        {"in_channels": 3, "hidden_size": 2, "out_channels": 2, "hidden_channels": 4, "num_layers": 1, "network": "gcn",
         "dropout": 0.1, "embedding_dim": 2, "encoder_layers": 1, "summary": "last"},
    ),
    "SequenceGraph": (of(lambda: SequenceGraph(LSTMCell, 3, 2, 2)), {"x": STEPS, "edge_index": GRAPH}),
    "SequenceGraph of tokens": (
        of(lambda: SequenceGraph(LSTMCell, 4, 2, 2, embedding_dim=3)),
        {"x": torch.arange(20).view(4, 5) % 4, "edge_index": EDGES},
    ),
    "TreeClassifier()": (
        TreeClassifier,
        {"num_words": 4, "num_classes": 2, "embedding_dim": 3, "hidden_size": 2, "arity": 2, "embedding_dropout": 0.1,
         "dropout": 0.5},
    ),
    "TreeClassifier": (
        of(lambda: TreeClassifier(10, 2, arity=2)), {"words": torch.tensor([4, 7, -1, 1, -1]), "graph": TREE}
    ),
}  # fmt: skip

DATA_AND_TRAINING = {
    "identity_features": (identity_features, {"num_nodes": 5}),
    "row_normalized": (row_normalized, {"x": X}),
    "random_split": (
        random_split,
        {"y": torch.arange(1600) % 3, "seed": 0, "train_per_class": 20, "num_val": 500, "num_test": 1000},
    ),
    "stratified_split": (stratified_split, {"y": LABELS, "seed": 0, "ratios": (0.6, 0.2, 0.2)}),
    "NodeData": (
        NodeData,
        {"adjacency": GRAPH, "x": X, "y": torch.zeros(5).long(), "train_mask": MASK, "val_mask": MASK.roll(1),
         "test_mask": MASK & False, "name": "made", "class_names": ("one",), "node_names": ("a", "b", "c", "d", "e")},
    ),
    "BlockLoader": (
        each_of(BlockLoader),
        {"data": DATA, "num_neighbors": [2, -1], "input_nodes": IDS, "batch_size": 2, "seed": 0, "num_workers": 0,
         "backend": "auto", "share": (0, 1)},
    ),
    "NeighborLoader": (
        each_of(NeighborLoader),
        {"data": DATA, "num_neighbors": [2, -1], "input_nodes": IDS, "batch_size": 2, "seed": 0, "num_workers": 0,
         "subgraph_type": "directional", "backend": "auto"},
    ),
    "NeighborLoader of PyG's data": (
        lambda edge_index: list(NeighborLoader(Data(x=X, edge_index=edge_index), [2], batch_size=5)),
        {"edge_index": EDGES},
    ),
    "Documents": (
        Documents,
        {"texts": WORDS, "words": ("a", "b", "c"), "y": torch.tensor([0, 1, 1]), "class_names": ("x", "y"),
         "train": torch.tensor([True, True, False]), "name": "some"},
    ),
    "document_graph": (document_graph, {"documents": TEXTS, "window": 3, "val_share": 0.5, "seed": 0}),
    "read_documents": (read_documents, {"labels": TABLE, "texts": TEXT_FILE, "name": "some"}),
    "read_node_data": (read_node_data, {"edges": EDGE_FILE, "features": FEATURE_FILE, "labels": LABEL_FILE}),
    "dataset_info": (dataset_info, {"name": "karate"}),
    "load_dataset": (load_dataset, {"name": "karate", "split": "stratified", "seed": 0}),
    "verify_dataset": (verify_dataset, {"name": "karate", "root": FOLDER}),
    "data_root": (data_root, {"root": FOLDER}),
    "TrainConfig()": (
        TrainConfig,
        {"epochs": 2, "lr": 0.01, "weight_decay": 5e-4, "seed": 0, "patience": 2, "eval_every": 1, "device": "cpu",
         "workers": 0},
    ),
    "TrainConfig() of batches": (TrainConfig, {"batch_size": 2, "fanout": (2, -1)}),
    "fit": (few_epochs, {"epochs": 2, "lr": 0.01, "weight_decay": 5e-4, "seed": 0, "eval_every": 1, "device": "cpu"}),
    "fit in batches": (few_epochs, {"epochs": 2, "batch_size": 2, "fanout": (2, -1), "workers": 0}),
    "fit of data": (lambda data: fit(GCN(3, 2, 2, 2), data, TrainConfig(epochs=2)), {"data": DATA}),
    "Optimization": (
        optimized,
        {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.1, "schedule": "cosine", "warmup": 1, "clip": 1.0},
    ),
    "Optimization of sgd": (
        optimized, {"optimizer": "sgd", "momentum": 0.5, "schedule": "exponential", "decay": 0.9, "decay_every": 1}
    ),
    "SequenceConfig": (
        SequenceConfig,
        {"steps": 2, "batch_size": 2, "eval_every": 1, "eval_size": 2, "stop_after": 1, "solved_loss": 0.1, "seed": 0,
         "device": "cpu"},
    ),
    "fit_sequence": (few_steps, {"batch_size": 2, "eval_every": 1, "eval_size": 2, "seed": 0, "device": "cpu"}),
    "verdict": (
        lambda **given: gnnkit.verdict(training=TrainConfig(epochs=2), **given),
        {"data": load_dataset("karate"), "model": "gcn", "splits": 2, "split": "stratified", "seed": 0, "jobs": 1},
    ),
}  # fmt: skip

CALLS = {**GRAPHS, **LAYERS, **DATA_AND_TRAINING}
# Exported, and tried elsewhere with what they need.
ELSEWHERE = {
    "download_dataset": "tests/data/test_download.py, against a server of its own",
    "load": "tests/jobs, on run folders; torture/hostile.py, on damaged ones",
    "load_r8": "reads through read_documents what only the real data's folder has",
    "read_folder": "tests/data/test_graph_folder.py, on folders that convert has written; torture/hostile.py",
    "SampledBlock": "made by BlockSampler.blocks alone, whose arguments are tried; its own are not checked again",
}
