"""Graphs: the adjacency matrix, its normalised forms, hop distances, files."""

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.files import GraphFile, read_graph
from gnnkit.graph.receptive_field import Block, ReceptiveField, layers_needed, receptive_field
from gnnkit.graph.summary import GraphSummary, summarize
from gnnkit.graph.write_files import write_graph

__all__ = [
    "Adjacency",
    "Block",
    "GraphFile",
    "GraphSummary",
    "ReceptiveField",
    "layers_needed",
    "read_graph",
    "receptive_field",
    "summarize",
    "write_graph",
]
