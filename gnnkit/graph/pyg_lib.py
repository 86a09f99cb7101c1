"""Neighbour sampling by pyg-lib, PyG's compiled library, where it is installed.

It is no dependency: for most versions of torch the package index has no build of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gnnkit.graph.sampling import EnteringRows, Sample
from gnnkit.graph.walk import IntArray


def sample_by_pyg_lib(
    rows: EnteringRows, seeds: IntArray, fanouts: Sequence[int], key: Sequence[int], *, replace: bool, disjoint: bool
) -> Sample:
    """As `gnnkit.graph.sampling.sample_neighbors`; chance comes from torch's generator, seeded by ``key``."""
    from pyg_lib.sampler import neighbor_sample

    index = torch.int32 if rows.indptr.dtype == rows.source.dtype == np.int32 else torch.int64
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        row, col, node, entry, num_nodes, num_edges = neighbor_sample(
            torch.from_numpy(rows.indptr).to(index),
            torch.from_numpy(rows.source).to(index),
            torch.from_numpy(seeds).to(index),
            list(fanouts),
            csc=True,  # the rows are those of targets
            replace=replace,
            directed=True,
            disjoint=disjoint,
            return_edge_id=True,
        )
    tree, nodes = (part.long().numpy() for part in node.t().contiguous()) if disjoint else (None, node.long().numpy())
    source, target, drawn = (part.long().numpy() for part in (row, col, entry))
    if (target[1:] < target[:-1]).any():
        order = np.argsort(target, kind="stable")
        source, target, drawn = source[order], target[order], drawn[order]
    return Sample(nodes, source, target, drawn, list(num_nodes), list(num_edges), tree)
