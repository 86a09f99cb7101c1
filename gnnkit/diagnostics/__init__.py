"""What a model does with a graph: how smooth its features become."""

from gnnkit.diagnostics.smoothness import Smoothness, dirichlet_energy, smoothness

__all__ = ["Smoothness", "dirichlet_energy", "smoothness"]
