"""Transforms of PyG's ``Data``, for ``torch_geometric.transforms.Compose`` and ``pre_transform``."""

from gnnkit.transforms.hops import AddHopDistance, AddHopEncoding

__all__ = ["AddHopDistance", "AddHopEncoding"]
