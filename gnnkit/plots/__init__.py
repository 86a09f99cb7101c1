"""Pictures: each function returns a matplotlib Figure; `save_figure` writes it."""

from gnnkit.plots.curves import curves
from gnnkit.plots.embedding import embedding, principal_components
from gnnkit.plots.style import save_figure

__all__ = ["curves", "embedding", "principal_components", "save_figure"]
