"""Graphs: the adjacency matrix, its normalised forms, hop distances, files."""

from gnnkit.graph.adjacency import Adjacency

__all__ = ["Adjacency"]
