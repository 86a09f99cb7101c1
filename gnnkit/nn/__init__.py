"""Graph neural network layers, one per file."""

from gnnkit.nn.gat import Attention, GATConv
from gnnkit.nn.gated_graph import GatedGraph, GatedReadout, NodeSelection
from gnnkit.nn.gcn import GCNConv
from gnnkit.nn.gcn2 import GCN2Conv
from gnnkit.nn.graph_lstm import GraphGRU, GraphLSTM
from gnnkit.nn.neighbor_lstm import NeighborLSTM
from gnnkit.nn.neighbor_plan import NeighborPlan

__all__ = [
    "Attention",
    "GATConv",
    "GCN2Conv",
    "GCNConv",
    "GatedGraph",
    "GatedReadout",
    "GraphGRU",
    "GraphLSTM",
    "NeighborLSTM",
    "NeighborPlan",
    "NodeSelection",
]
