"""Graph neural network layers, one per file."""

from gnnkit.nn.gcn import GCNConv

__all__ = ["GCNConv"]
