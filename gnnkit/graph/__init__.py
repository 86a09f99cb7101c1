"""Graphs: the adjacency matrix, its normalised forms, hop distances, files."""

from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.files import GraphFile, read_graph
from gnnkit.graph.hops import (
    average_distance,
    diameter,
    eccentricity,
    hop_count,
    hop_distance,
    hop_histogram,
    iter_hop_distance,
    shortest_path,
)
from gnnkit.graph.neighborhood import NeighborhoodFunction, neighborhood_function
from gnnkit.graph.receptive_field import Block, ReceptiveField, layers_needed, receptive_field
from gnnkit.graph.sampled_block import BlockSampler, SampledBlock
from gnnkit.graph.summary import GraphSummary, summarize
from gnnkit.graph.write_files import write_graph

__all__ = [
    "Adjacency",
    "Block",
    "BlockSampler",
    "GraphFile",
    "GraphSummary",
    "NeighborhoodFunction",
    "ReceptiveField",
    "SampledBlock",
    "average_distance",
    "diameter",
    "eccentricity",
    "hop_count",
    "hop_distance",
    "hop_histogram",
    "iter_hop_distance",
    "layers_needed",
    "neighborhood_function",
    "read_graph",
    "receptive_field",
    "shortest_path",
    "summarize",
    "write_graph",
]
