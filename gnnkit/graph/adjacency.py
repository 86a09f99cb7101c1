"""``Adjacency``: the sparse N x N matrix of edges that everything else is computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, final

import torch
from torch import Tensor

from gnnkit.graph import normalization, self_loops
from gnnkit.graph.coalesce import coalesced
from gnnkit.graph.combine import block_diagonal, induced
from gnnkit.graph.pattern import Pattern, lasting, may_vary, off_tape, plain
from gnnkit.graph.sparse import SparseMatrix, prepare
from gnnkit.graph.sparse_product import over_nodes
from gnnkit.graph.validation import (
    checked_device,
    checked_edge_index,
    checked_edge_weight,
    checked_features,
    checked_node_ids,
    checked_num_nodes,
)

if TYPE_CHECKING:
    import networkx
    import scipy.sparse

Kept = TypeVar("Kept")

# Normalised forms kept per graph: more than a model uses, few enough for a sweep over lambda.
_MAX_KEPT = 8


@final
class Adjacency:
    """An immutable directed graph: entry [i, j] is the weight of the edge i -> j.

    An undirected graph holds every edge in both directions. ``adjacency @ x`` is that matrix
    product, literally; :meth:`propagate` is message passing, out[t] = sum over s -> t of w_st x_s.
    What derives from the graph (its transpose, degrees, normalised forms) is computed once and kept
    with it, which is safe because nothing here ever changes.

    Make one with :meth:`from_edge_index` or another ``from_...``, with :meth:`batch` or :meth:`open`.

    Example:
        >>> chain = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> chain.to_dense().tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
        >>> chain.propagate(torch.tensor([[1.0], [2.0], [3.0]])).view(-1).tolist()
        [0.0, 1.0, 2.0]
    """

    __slots__ = ("__weakref__", "_kept", "_matrix")
    _matrix: SparseMatrix
    _kept: dict[Any, Any]

    def __init__(self, matrix: SparseMatrix) -> None:
        if not isinstance(matrix, SparseMatrix):
            raise TypeError(
                f"Adjacency(...) takes no {type(matrix).__name__}; use Adjacency.from_edge_index, from_dense, "
                "from_scipy, from_networkx, from_data or batch"
            )
        if matrix.values.is_inference():
            # A graph made in inference mode may be trained on later, which inference tensors forbid.
            matrix = off_tape(matrix.copy)
        object.__setattr__(self, "_matrix", matrix)
        object.__setattr__(self, "_kept", {})

    # ---- making one ------------------------------------------------------------------------------

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        *,
        num_nodes: int,
        coalesce: Literal["sum", "max", "error"] = "sum",
    ) -> Adjacency:
        r"""A graph from PyG's edge list; edges are sorted by source, then target.

        Args:
            edge_index: Row 0 sources, row 1 targets.
            edge_weight: One weight per edge; ones when omitted. Gradients flow through it.
            num_nodes: How many nodes there are; never guessed from the ids.
            coalesce: What to do with several edges from one node to another: add their weights, keep the
                largest, or raise.

        Shapes:
            - **edge_index:** :math:`(2, |\mathcal{E}|)`, int64
            - **edge_weight:** :math:`(|\mathcal{E}|)`

        Raises:
            TypeError: If ids are not integers or weights are not real numbers.
            ValueError: If a shape is wrong, an id is not a node, a weight is NaN or infinite, or
                ``coalesce="error"`` and an edge occurs twice, or summed weights are too large for their dtype.
        """
        num_nodes = checked_num_nodes(num_nodes)
        edge_index = checked_edge_index(edge_index, num_nodes)
        if edge_weight is None:
            edge_weight = torch.ones(edge_index.size(1), device=edge_index.device)
        else:
            edge_weight = checked_edge_weight(edge_weight, edge_index.size(1))
            if edge_weight.device != edge_index.device:
                raise ValueError(
                    f"edge_index is on {edge_index.device} and edge_weight on {edge_weight.device}; "
                    "move both to one device"
                )
        if coalesce not in ("sum", "max", "error"):
            raise ValueError(f"coalesce must be 'sum', 'max' or 'error', got {coalesce!r}")
        return cls(coalesced(edge_index, edge_weight, num_nodes, coalesce))

    @classmethod
    def from_dense(cls, matrix: Tensor | Sequence[Sequence[float]]) -> Adjacency:
        """A graph from a square matrix whose entry [i, j] is the weight of i -> j; zeros are no edges.

        Raises:
            ValueError: If the matrix is not square or holds NaN or infinite numbers.
        """
        matrix = torch.as_tensor(matrix)
        if matrix.layout != torch.strided:
            raise TypeError(f"from_dense takes a dense matrix, got {matrix.layout}; pass matrix.to_dense()")
        if matrix.dim() != 2 or matrix.size(0) != matrix.size(1):
            raise ValueError(f"an adjacency matrix must be square, (N, N), got shape {tuple(matrix.shape)}")
        edge_index = torch.nonzero(matrix).t()
        return cls.from_edge_index(edge_index, matrix[edge_index[0], edge_index[1]], num_nodes=matrix.size(0))

    @classmethod
    def from_scipy(cls, matrix: scipy.sparse.sparray | scipy.sparse.spmatrix) -> Adjacency:
        """A graph from a square scipy sparse matrix or array; entry [i, j] is the weight of i -> j.

        Stored zeros stay edges of weight 0, as scipy keeps them; duplicates are summed.

        Raises:
            TypeError: If it is not a scipy sparse matrix.
            ValueError: If it is not square or holds NaN or infinite numbers.
        """
        from gnnkit.graph.convert import edges_from_scipy

        edge_index, edge_weight, num_nodes = edges_from_scipy(matrix)
        return cls.from_edge_index(edge_index, edge_weight, num_nodes=num_nodes)

    @classmethod
    def from_networkx(cls, graph: networkx.Graph[Any], *, weight: str | None = "weight") -> Adjacency:
        """A graph from networkx; node i is the i-th of ``graph.nodes``.

        An undirected edge becomes two; edges without the attribute ``weight`` weigh 1; several edges
        of a multigraph are summed.
        """
        from gnnkit.graph.convert import edges_from_networkx

        edge_index, edge_weight, num_nodes = edges_from_networkx(graph, weight)
        return cls.from_edge_index(edge_index, edge_weight, num_nodes=num_nodes)

    @classmethod
    def from_data(cls, data: Any) -> Adjacency:
        """A graph from a PyG ``Data``: its ``edge_index``, and ``edge_weight`` or one-dimensional ``edge_attr``.

        Raises:
            TypeError: If it has no ``edge_index``.
            ValueError: If ``edge_attr`` has several columns and there is no ``edge_weight``.
        """
        from gnnkit.graph.convert import edges_from_data

        edge_index, edge_weight, num_nodes = edges_from_data(data)
        return cls.from_edge_index(edge_index, edge_weight, num_nodes=num_nodes)

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Adjacency:
        """The graph in a folder that ``gnnkit convert`` has written, over memory maps.

        Raises:
            FileFormatError: If it is no such folder, or a file of it is missing or damaged.
        """
        from gnnkit.graph.graph_folder import open_adjacency

        return open_adjacency(folder)

    @classmethod
    def batch(cls, graphs: Iterable[Adjacency]) -> Adjacency:
        """Several graphs as one of several components: a block-diagonal matrix.

        Raises:
            TypeError: If one of them is not an ``Adjacency``, or their weights differ in dtype.
            ValueError: If there are none.
        """
        if not isinstance(graphs, Iterable):
            raise TypeError(f"batch takes several graphs, got {type(graphs).__name__}; pass them in a list")
        graphs = list(graphs)
        if not graphs:
            raise ValueError("batch needs at least one graph, got an empty sequence")
        for graph in graphs:
            if not isinstance(graph, Adjacency):
                raise TypeError(f"batch takes Adjacency objects, got {type(graph).__name__}")
            if graph.dtype != graphs[0].dtype:
                raise TypeError(f"graphs of a batch must share a dtype, got {graphs[0].dtype} and {graph.dtype}")
        return cls(block_diagonal([graph._matrix for graph in graphs]))

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def num_nodes(self) -> int:
        """How many nodes there are."""
        return self._matrix.pattern.num_rows

    @property
    def num_edges(self) -> int:
        """How many directed edges are stored; an undirected edge counts twice."""
        return self._matrix.num_entries

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self._matrix.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self._matrix.values.device

    @property
    def is_symmetric(self) -> bool:
        """Whether every edge has its reverse of equal weight; False while the weights require gradients."""
        return self._matrix.symmetric

    @property
    def is_undirected(self) -> bool:
        """Whether every edge has its reverse, whatever the weights."""

        def compute() -> bool:
            transpose = self._matrix.pattern.transpose
            pattern = self._matrix.pattern
            return torch.equal(transpose.crow, pattern.crow) and torch.equal(transpose.col, pattern.col)

        return self.is_symmetric or self._keep("undirected", compute)

    @property
    def is_weighted(self) -> bool:
        """Whether any weight differs from 1."""
        return self._keep("weighted", lambda: bool((plain(self._matrix.values) != 1).any()))

    @property
    def has_negative_weights(self) -> bool:
        """Whether any weight is below 0."""
        return self._keep("negative", lambda: bool((plain(self._matrix.values) < 0).any()))

    @property
    def num_self_loops(self) -> int:
        """How many edges lead from a node to itself."""
        return self._keep("loops", lambda: int(self_loops.self_loop_entries(self._matrix.pattern).sum()))

    def in_degree(self, *, weighted: bool = False) -> Tensor:
        """Edges entering each node ``(N)``, int64; or the sum of their weights."""
        return self._degree(self._matrix.pattern.col) if weighted else self._matrix.pattern.column_counts()

    def out_degree(self, *, weighted: bool = False) -> Tensor:
        """Edges leaving each node ``(N)``, int64; or the sum of their weights."""
        return self._degree(self._matrix.pattern.row) if weighted else self._matrix.pattern.crow.diff()

    def _degree(self, index: Tensor) -> Tensor:
        return normalization.degree(self._matrix.values, index, self.num_nodes).to(self.dtype)

    # ---- what it becomes -------------------------------------------------------------------------

    @property
    def T(self) -> Adjacency:
        """The graph with every edge reversed."""
        return self if self.is_symmetric else self._keep("transposed", lambda: Adjacency(self._matrix.transposed))

    def with_self_loops(self, weight: float | Tensor = 1.0) -> Adjacency:
        r"""A + lambda I: a self-loop of ``weight`` on every node that has none.

        A self-loop that exists keeps its weight (PyG's ``add_remaining_self_loops``).

        Args:
            weight: lambda; a tensor of one number may carry a gradient.

        Raises:
            ValueError: If lambda is NaN, infinite, too large for the weights' dtype, or a tensor of several
                numbers. Of a tensor that a network computes, only its size is looked at.
        """
        checked = self_loops.checked_loop_weight(weight, self.dtype)

        def compute() -> Adjacency:
            return Adjacency(self_loops.with_remaining_self_loops(self._matrix, checked))

        return compute() if isinstance(checked, Tensor) else self._keep(("loops", checked), compute)

    def normalized(self, kind: Literal["sym", "row", "column"] = "sym") -> Adjacency:
        """The graph with normalised weights; self-loops are not added here.

        ``"sym"``: D^-1/2 A D^-1/2 with in-degrees at both ends, as in PyG; ``"row"``: the weights entering
        each node sum to 1 (mean aggregation); ``"column"``: the weights leaving each node sum to 1. A node
        of degree 0 contributes 0.

        Raises:
            ValueError: If there is no such normalisation, or a weight is negative.
        """
        normalization.checked_kind(kind)
        if self.has_negative_weights:
            lowest = float(plain(self._matrix.values).min())
            raise ValueError(
                f"{kind} normalisation needs non-negative weights, but the smallest is {lowest:g}; take their "
                "absolute value, or pass normalize=False to use the weights as they are"
            )
        return self._keep(("normalized", kind), lambda: Adjacency(normalization.normalized(self._matrix, kind)))

    def subgraph(self, nodes: Tensor | Sequence[int]) -> Adjacency:
        """The edges among ``nodes``, renumbered in the order given; weights stay as they are.

        Args:
            nodes: Distinct node ids, or a boolean mask.

        Raises:
            ValueError: If an id is not a node or occurs twice.
        """
        ids = checked_node_ids(nodes, self.num_nodes).to(self.device)
        return Adjacency(induced(self._matrix, ids))

    def to(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Adjacency:
        """The graph on another device, or with weights of another dtype; itself if nothing changes.

        Raises:
            TypeError: If the dtype is not floating-point.
            ValueError: If a weight is too large for it, or torch knows no such device.
        """
        device = None if device is None else checked_device(device)
        pattern, values = self._matrix.pattern, self._matrix.values
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"weights need a floating-point dtype, got {dtype}")
        moved = values.to(device=device, dtype=dtype, non_blocking=non_blocking)
        if moved is values:
            return self
        if moved.dtype != values.dtype and not bool(torch.isfinite(plain(moved)).all()):
            raise ValueError(
                f"a weight of {float(plain(values).abs().max()):g} is too large for {dtype}; scale the weights"
            )
        if moved.device != values.device:
            pattern = pattern.to(moved.device, non_blocking=non_blocking)
        return Adjacency(SparseMatrix(pattern, moved))

    def pin_memory(self) -> Adjacency:
        """A copy in page-locked memory, from which transfers to a GPU are fast."""
        return Adjacency(SparseMatrix(self._matrix.pattern.pin_memory(), self._matrix.values.pin_memory()))

    # ---- the product -----------------------------------------------------------------------------

    def propagate(self, x: Tensor) -> Tensor:
        """Message passing: out[t] = sum over edges s -> t of w_st x[s], that is A^T x.

        Args:
            x: Node features, dense, or a two-dimensional sparse tensor; the result is dense.

        Shapes:
            - **x, output:** :math:`(*, N, F)`

        Raises:
            ValueError: If there is not one row of ``x`` per node.
            TypeError: If the dtypes of ``x`` and the weights differ.
        """
        return self._product(x, self._matrix.t_matmul)

    def __matmul__(self, x: Tensor) -> Tensor:
        """The matrix product A x: out[i] = sum over edges i -> j of w_ij x[j]."""
        return self._product(x, self._matrix.matmul)

    def _product(self, x: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        x = checked_features(x, self.num_nodes, self.dtype)
        if torch.compiler.is_compiling():
            prepare(self._matrix)
        return over_nodes(product, x)

    # ---- as something else -----------------------------------------------------------------------

    def to_edge_index(self) -> tuple[Tensor, Tensor]:
        """PyG's ``(edge_index, edge_weight)``, sorted by source, then target; a copy."""
        pattern = self._matrix.pattern
        return torch.stack([pattern.row, pattern.col]), self._matrix.values.clone()

    def to_dense(self) -> Tensor:
        """The matrix ``(N, N)`` whose entry [i, j] is the weight of i -> j."""
        return self._matrix.to_dense()

    def to_scipy(self) -> scipy.sparse.csr_array:
        """A scipy CSR array with entry [i, j] the weight of i -> j; a copy."""
        from gnnkit.graph.convert import to_scipy

        return to_scipy(self)

    def to_networkx(self) -> networkx.DiGraph[int]:
        """A networkx ``DiGraph`` of nodes 0..N-1 with the attribute ``weight`` on each edge."""
        from gnnkit.graph.convert import to_networkx

        return to_networkx(self)

    # ---- the object ------------------------------------------------------------------------------

    def _keep(self, key: object, compute: Callable[[], Kept]) -> Kept:
        """What ``compute`` gives, kept with this graph unless gradients must flow through the weights."""
        if may_vary(self._matrix.values):
            return compute()
        if key in self._matrix.facts:
            return cast(Kept, self._matrix.facts[key])
        if key not in self._kept:
            while len(self._kept) >= _MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = lasting(compute, self._matrix.values)
        return cast(Kept, self._kept[key])

    def __repr__(self) -> str:
        extra = "" if self.device.type == "cpu" else f", device='{self.device}'"
        extra += "" if self.dtype == torch.float32 else f", dtype={self.dtype}"
        return f"Adjacency(num_nodes={self.num_nodes}, num_edges={self.num_edges}{extra})"

    def __reduce__(self) -> tuple[Any, ...]:
        if "folder" in self._matrix.facts:
            return Adjacency.open, (self._matrix.facts["folder"],)
        # Tensors only: what was derived is computed anew where it is needed.
        pattern = self._matrix.pattern
        return _from_csr, (pattern.crow, pattern.col, self._matrix.values.detach())

    def __copy__(self) -> Adjacency:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Adjacency:
        memo[id(self)] = result = Adjacency(self._matrix.copy())
        return result

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Adjacency never changes, so {name!r} cannot be set; make a new one instead")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Adjacency never changes, so {name!r} cannot be deleted")

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("Adjacency is final; hold one in your class instead of inheriting from it")


def _from_csr(crow: Tensor, col: Tensor, values: Tensor) -> Adjacency:
    return Adjacency(SparseMatrix(Pattern(crow, col, crow.numel() - 1), values))
