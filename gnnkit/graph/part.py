"""``Part``: the rows of a graph that one of several processes computes.

Every process holds the edges that enter its own nodes, and fetches the rows of the other processes'
nodes that these edges come from. With ``D`` the diagonal of in-degrees, ``D^-1/2 (A + L) D^-1/2 x`` is
computed as ``D^-1/2 (A + L) (D^-1/2 x)``: a process scales its rows before it sends them, so that no
degree of a foreign node is ever needed and no normalised weight is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from gnnkit.graph.normalization import _power, checked_kind
from gnnkit.graph.pattern import expand_rows, off_tape
from gnnkit.graph.self_loops import checked_loop_weight
from gnnkit.graph.sparse_product import over_nodes, sparse_product
from gnnkit.graph.validation import check_dtype

Kept = TypeVar("Kept")


class Fetch(Protocol):
    """How the rows of other processes' nodes come: ``(own, F) -> (own + foreign, F)``, own rows first."""

    def __call__(self, x: Tensor) -> Tensor:
        """The rows of every source; gradients flow back to where the rows came from."""


class Part:
    """The edges entering one process's nodes; layers take it in place of an ``Adjacency``.

    A layer is given the rows of the process's own nodes and gives rows of the same nodes. Every process
    must call the same layers in the same order: each call is an exchange.

    Args:
        crow: Row pointers, ``(own + 1)``.
        col: The source of every entering edge: 0 .. own - 1 are own nodes, the rest foreign ones, in the
            order in which ``fetch`` gives them.
        values: The edges' weights; ones where omitted.
        num_sources: Own and foreign nodes together.
        fetch: Brings the foreign rows.
        dtype: Of weights that are omitted.
    """

    def __init__(
        self,
        crow: Tensor,
        col: Tensor,
        values: Tensor | None,
        num_sources: int,
        fetch: Fetch,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._entries = _Entries(crow, col, values, num_sources, dtype)
        self.fetch = fetch
        self._loops: Tensor | None = None  # (own, 1): what is added to the diagonal
        self._kind: str | None = None
        self._kept: dict[object, Any] = {}

    @property
    def num_nodes(self) -> int:
        """How many nodes the process owns: rows that go in and come out."""
        return self._entries.num_rows

    @property
    def num_sources(self) -> int:
        """Own nodes and the foreign ones that an edge comes from."""
        return self._entries.num_sources

    @property
    def num_edges(self) -> int:
        """How many edges enter the process's nodes."""
        return self._entries.col.numel()

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self._entries.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self._entries.values.device

    def with_self_loops(self, weight: float | Tensor = 1.0) -> Part:
        """A self-loop of ``weight`` on every node that has none, as :meth:`Adjacency.with_self_loops`.

        Raises:
            ValueError: If lambda is no finite number that the weights' dtype holds.
        """
        missing = ~self._entries.has_loop
        loops = missing.to(self.dtype) * checked_loop_weight(weight, self.dtype)
        return self._derived(loops.unsqueeze(1), self._kind)

    def normalized(self, kind: Literal["sym", "row"] = "sym") -> Part:
        """The graph with normalised weights, as :meth:`Adjacency.normalized`.

        Raises:
            ValueError: If it is ``"column"``, whose sums lie in other processes, or a weight is negative.
        """
        checked_kind(kind)
        if kind not in ("sym", "row"):
            raise ValueError(f"a part of a graph can be normalised by 'sym' or 'row', got {kind!r}")
        if self._entries.lowest < 0:
            raise ValueError(
                f"{kind} normalisation needs non-negative weights, but the smallest is {self._entries.lowest:g}; take "
                "their absolute value, or pass normalize=False to use the weights as they are"
            )
        return self._derived(self._loops, kind)

    def propagate(self, x: Tensor) -> Tensor:
        """Message passing as :meth:`Adjacency.propagate`, of the own rows ``(*, own, F)``.

        Raises:
            ValueError: If there is not one row per own node.
            TypeError: If the dtypes of ``x`` and the weights differ.
        """
        if x.size(-2) != self.num_nodes:
            raise ValueError(f"this part has {self.num_nodes} nodes but the features have {x.size(-2)} rows")
        check_dtype(x, self.dtype)
        return over_nodes(self._propagated, x)

    def _propagated(self, x: Tensor) -> Tensor:
        scale = self._scale
        sent = x if scale is None or self._kind == "row" else scale * x
        out = self._entries.matmul(self.fetch(sent))
        if self._loops is not None:
            out = torch.addcmul(out, self._loops, sent)
        return out if scale is None else scale * out

    @property
    def _scale(self) -> Tensor | None:
        if self._kind is None:
            return None
        degree = self._entries.degree
        if self._loops is not None:
            degree = degree + self._loops
        return _power(degree, -0.5 if self._kind == "sym" else -1.0)

    def _derived(self, loops: Tensor | None, kind: str | None) -> Part:
        part = Part.__new__(Part)
        part._entries, part.fetch, part._loops, part._kind, part._kept = self._entries, self.fetch, loops, kind, {}
        return part

    def entering(self) -> Tensor:
        """The edges as positions of sources and own targets, ``(2, E)`` int64, by target."""
        entries = self._entries
        return torch.stack([entries.col.long(), expand_rows(entries.crow.long(), entries.col.numel())])

    def _keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        """What ``compute`` makes of the structure, kept with the part."""
        if key not in self._kept:
            self._kept[key] = off_tape(compute)
        return cast(Kept, self._kept[key])

    def __repr__(self) -> str:
        return (
            f"Part({self.num_nodes} own and {self.num_sources - self.num_nodes} foreign nodes, {self.num_edges} edges)"
        )


class _Entries:
    """The rectangular matrix of the entering edges and its transpose, in 16 bytes an edge."""

    def __init__(self, crow: Tensor, col: Tensor, values: Tensor | None, num_sources: int, dtype: torch.dtype) -> None:
        self.num_rows, self.num_sources = crow.numel() - 1, num_sources
        device = crow.device
        narrow = torch.int32 if max(col.numel(), num_sources) < 2**31 else torch.int64
        self.crow, self.col = crow.to(narrow), col.to(narrow)
        # scipy transposes by counting, without the sort and the int64 order of torch's way.
        content = np.ones(col.numel(), np.int8) if values is None else values.cpu().numpy()
        matrix = csr_array((content, self.col.cpu().numpy(), self.crow.cpu().numpy()), (self.num_rows, num_sources))
        transpose = matrix.tocsc()
        self.t_crow, self.t_col = (
            torch.from_numpy(np.ascontiguousarray(index)).to(device, narrow)
            for index in (transpose.indptr, transpose.indices)
        )
        self.values = torch.ones(col.numel(), dtype=dtype, device=device) if values is None else values
        # Without weights both orders hold the same ones.
        self.t_values = self.values if values is None else torch.from_numpy(transpose.data).to(device)
        self.lowest = float(self.values.min()) if values is not None and values.numel() else 0.0

    @cached_property
    def has_loop(self) -> Tensor:
        """Whether a node has a self-loop, ``(own)``."""

        def compute() -> Tensor:
            row = expand_rows(self.crow, self.col.numel())
            found = torch.zeros(self.num_rows, dtype=torch.bool, device=row.device)
            found[row[row == self.col]] = True
            return found

        return off_tape(compute)

    @cached_property
    def degree(self) -> Tensor:
        """The sum of the weights entering every node, ``(own, 1)``."""
        return off_tape(lambda: self.matmul(self.values.new_ones(self.num_sources, 1)))

    def matmul(self, x: Tensor) -> Tensor:
        return sparse_product(self.values, x, self.crow, self.col, self.t_crow, self.t_col, self.t_values)
