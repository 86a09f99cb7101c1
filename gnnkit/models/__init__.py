"""Layers stacked into models."""

from gnnkit.models.gat import GAT
from gnnkit.models.gcn import GCN
from gnnkit.models.gcnii import GCNII

__all__ = ["GAT", "GCN", "GCNII"]
