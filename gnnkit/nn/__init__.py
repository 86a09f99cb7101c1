"""Graph neural network layers, one per file."""

from gnnkit.nn.gat import Attention, GATConv
from gnnkit.nn.gcn import GCNConv

__all__ = ["Attention", "GATConv", "GCNConv"]
