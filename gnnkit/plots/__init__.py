"""Pictures: each function returns a matplotlib Figure; `save_figure` writes it."""

from gnnkit.plots.adjacency import adjacency_figure
from gnnkit.plots.curves import curves
from gnnkit.plots.embedding import embedding, principal_components
from gnnkit.plots.graph import graph_figure
from gnnkit.plots.style import save_figure

__all__ = ["adjacency_figure", "curves", "embedding", "graph_figure", "principal_components", "save_figure"]
