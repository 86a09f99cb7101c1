"""A made-up graph of drugs and proteins, on which drug pairs have side effects: for link prediction.

Proteins work in modules and bind within them; a drug targets a few proteins of one or two modules. A side effect
belongs to two modules: a pair of drugs mostly has it if one of them targets the first and the other the second. So
which pairs have it can be told from the drugs' targets, and a drug's module from its targets' neighbours. Built as
the data of Zitnik, Agrawal & Leskovec 2018 is (proteins that bind, drugs that target, pairs of drugs with side
effects), none of it is medicine.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency


@dataclass(frozen=True)
class Interactions:
    """Drugs are the nodes 0 to ``num_drugs - 1``, proteins those that follow.

    Attributes:
        num_drugs: How many.
        num_nodes: Drugs and proteins.
        binds: Which proteins bind which, both directions.
        targets: Which drugs target which proteins, both directions.
        side_effects: For each side effect its drug pairs, ``(2, P)``, each pair once, smaller id first.
    """

    num_drugs: int
    num_nodes: int
    binds: Adjacency
    targets: Adjacency
    side_effects: dict[str, Tensor]


def made_up_interactions(
    num_drugs: int = 150, num_proteins: int = 240, num_modules: int = 8, num_effects: int = 4, *, seed: int = 0
) -> Interactions:
    """Draw such a graph.

    Raises:
        ValueError: If there are fewer than two modules, or fewer proteins than 4 per module.

    Example:
        >>> graph = made_up_interactions()
        >>> graph.num_nodes, sorted(graph.side_effects)
        (390, ['effect 1', 'effect 2', 'effect 3', 'effect 4'])
    """
    if num_modules < 2:
        raise ValueError(f"there must be two modules or more, got {num_modules}")
    if num_proteins < 4 * num_modules:
        raise ValueError(f"{num_modules} modules need {4 * num_modules} proteins or more, got {num_proteins}")
    generator = torch.Generator().manual_seed(seed)
    module = torch.arange(num_proteins) % num_modules

    # Bonds: about six per protein within its module, one across.
    within = (module[:, None] == module[None, :]).double()
    chance = within * 6 / (num_proteins / num_modules) + (1 - within) / num_proteins
    bonds = torch.rand(num_proteins, num_proteins, generator=generator).double().lt(chance).triu(1).nonzero().t()

    hits = torch.zeros(num_drugs, num_modules, dtype=torch.bool)
    aimed: list[Tensor] = []
    for drug in range(num_drugs):
        chosen = torch.randperm(num_modules, generator=generator)[: 1 + drug % 2]
        hits[drug, chosen] = True
        for each in chosen.tolist():
            members = (module == each).nonzero().view(-1)
            proteins = members[torch.randperm(len(members), generator=generator)[:2]]
            aimed.append(torch.stack([torch.full_like(proteins, drug), proteins + num_drugs]))

    effects = {}
    for effect in range(num_effects):
        first, second = torch.randperm(num_modules, generator=generator)[:2].tolist()
        both = hits[:, first, None] & hits[None, :, second]
        chance = torch.where(both | both.t(), 0.7, 0.01)
        drawn = torch.rand(num_drugs, num_drugs, generator=generator) < chance
        effects[f"effect {effect + 1}"] = drawn.triu(1).nonzero().t().contiguous()
    num_nodes = num_drugs + num_proteins
    return Interactions(
        num_drugs,
        num_nodes,
        _both_ways(bonds + num_drugs, num_nodes),
        _both_ways(torch.cat(aimed, dim=1), num_nodes),
        effects,
    )


def _both_ways(pairs: Tensor, num_nodes: int) -> Adjacency:
    edges = torch.cat([pairs, pairs.flip(0)], dim=1)
    return Adjacency.from_edge_index(edges, num_nodes=num_nodes, coalesce="max")
