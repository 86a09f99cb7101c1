"""Pictures: each function returns a matplotlib Figure; `save_figure` writes it."""

from gnnkit.plots.adjacency import adjacency_figure
from gnnkit.plots.attention import attention_figure
from gnnkit.plots.curves import curves
from gnnkit.plots.embedding import embedding, principal_components
from gnnkit.plots.gates import gate_activations, temporal_gates
from gnnkit.plots.graph import graph_figure
from gnnkit.plots.influence import influence_by_distance
from gnnkit.plots.lengths import accuracy_by_length
from gnnkit.plots.style import save_figure

__all__ = [
    "accuracy_by_length",
    "adjacency_figure",
    "attention_figure",
    "curves",
    "embedding",
    "gate_activations",
    "graph_figure",
    "influence_by_distance",
    "principal_components",
    "save_figure",
    "temporal_gates",
]
