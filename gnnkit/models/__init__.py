"""Layers stacked into models."""

from gnnkit.models.gcn import GCN

__all__ = ["GCN"]
