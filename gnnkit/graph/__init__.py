"""Graphs: the adjacency matrix, its normalised forms, hop distances, files."""

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.receptive_field import Block, ReceptiveField, layers_needed, receptive_field

__all__ = ["Adjacency", "Block", "ReceptiveField", "layers_needed", "receptive_field"]
