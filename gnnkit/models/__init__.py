"""Layers stacked into models."""

from gnnkit.models.forecaster import Forecaster, IdentityMLP
from gnnkit.models.gat import GAT
from gnnkit.models.gcn import GCN
from gnnkit.models.gcnii import GCNII
from gnnkit.models.link_predictor import LinkPredictor
from gnnkit.models.sequence_graph import SequenceGraph
from gnnkit.models.tree_classifier import TreeClassifier

__all__ = ["GAT", "GCN", "GCNII", "Forecaster", "IdentityMLP", "LinkPredictor", "SequenceGraph", "TreeClassifier"]
