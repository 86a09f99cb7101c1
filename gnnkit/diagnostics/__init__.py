"""What a model does with a graph: how far information travels, how smooth features become."""

from gnnkit.diagnostics.flow import flow
from gnnkit.diagnostics.influence import Flow
from gnnkit.diagnostics.smoothness import Smoothness, dirichlet_energy, smoothness

__all__ = ["Flow", "Smoothness", "dirichlet_energy", "flow", "smoothness"]
