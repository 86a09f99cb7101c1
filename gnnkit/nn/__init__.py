"""Graph neural network layers, one per file."""

from gnnkit.nn.gat import Attention, GATConv
from gnnkit.nn.gcn import GCNConv
from gnnkit.nn.gcn2 import GCN2Conv

__all__ = ["Attention", "GATConv", "GCN2Conv", "GCNConv"]
