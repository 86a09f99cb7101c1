"""The one sparse product: against dense matrices, differentiated, mapped, in half precision, compiled."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from gnnkit.graph import Adjacency
from gnnkit.graph.pattern import Pattern
from gnnkit.graph.sparse import SparseMatrix
from gnnkit.graph.sparse_product import sampled_product, sparse_product
from tests.graphs import GRAPHS, Case, cases, random_case
from tests.reference import dense as reference

each_graph = pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
SOME = ["no edges", "directed, weighted, unsorted", "undirected, weighted", "duplicates", "one node with a self-loop"]
some_graphs = pytest.mark.parametrize("case", [GRAPHS[name] for name in SOME], ids=SOME)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


def features(case: Case, *batch: int, width: int = 3, **options) -> torch.Tensor:
    return torch.randn(*batch, case.num_nodes, width, dtype=torch.float64, **options)


def rectangle(num_rows: int = 4, num_cols: int = 6, num_entries: int = 9) -> SparseMatrix:
    """Rows with several entries, with none, and entries that repeat."""
    row = torch.randint(num_rows, (num_entries,)).sort().values
    crow = torch.zeros(num_rows + 1, dtype=torch.long)
    crow[1:] = torch.bincount(row, minlength=num_rows).cumsum(0)
    pattern = Pattern(crow, torch.randint(num_cols, (num_entries,)), num_cols)
    return SparseMatrix(pattern, torch.randn(num_entries, dtype=torch.float64))


# ---- values --------------------------------------------------------------------------------------


@each_graph
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
def test_equals_the_dense_product_in_both_directions(case: Case, batch):
    graph, x = case.adjacency(), features(case, *batch)
    close(graph @ x, case.dense() @ x)
    close(graph.propagate(x), case.dense().T @ x)


@each_graph
def test_messages_follow_the_edges(case: Case):
    x = features(case)
    close(case.adjacency().propagate(x), reference.propagate(case.entries, x))


@each_graph
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_takes_no_features(case: Case, shape):
    *batch, width = shape
    x = features(case, *batch, width=width, requires_grad=True)
    out = case.adjacency().propagate(x)
    assert out.shape == x.shape
    out.sum().backward()
    assert x.grad.shape == x.shape


@some_graphs
def test_takes_any_memory_layout(case: Case):
    graph, dense = case.adjacency(), case.dense()
    transposed = torch.randn(3, case.num_nodes, dtype=torch.float64).T
    expanded = torch.randn(1, 3, dtype=torch.float64).expand(case.num_nodes, 3)
    strided = torch.randn(2 * case.num_nodes, 6, dtype=torch.float64)[::2, ::2]
    nodes_last = torch.randn(case.num_nodes, 2, 3, dtype=torch.float64).movedim(0, -2)
    for x in (transposed, expanded, strided, nodes_last):
        close(graph @ x, dense @ x)
        close(graph.propagate(x), dense.T @ x)


@some_graphs
def test_takes_sparse_features(case: Case):
    graph, x = case.adjacency(), features(case).relu()
    for sparse in (x.to_sparse(), x.to_sparse_csr(), x.to_sparse_csc()):
        out = graph.propagate(sparse)
        assert out.layout == torch.strided
        close(out, case.dense().T @ x)


@given(cases(), st.integers(0, 3))
def test_is_linear_and_adjoint(case: Case, width):
    graph = case.adjacency()
    x, y = features(case, width=width), features(case, width=width)
    torch.testing.assert_close(graph @ (x + 2 * y), graph @ x + 2 * (graph @ y), rtol=1e-9, atol=1e-9)
    # <A x, y> = <x, A^T y>
    torch.testing.assert_close((graph @ x * y).sum(), (x * graph.propagate(y)).sum(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(graph.T @ x, graph.propagate(x), rtol=1e-12, atol=1e-12)


def test_what_no_edge_carries_does_not_arrive():
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
    x = torch.tensor([[1.0], [2.0], [float("nan")], [float("inf")]], requires_grad=True)
    out = graph.propagate(x)
    assert out.view(-1).tolist() == [0.0, 1.0, 2.0, 0.0]
    out.sum().backward()
    assert x.grad.view(-1).tolist() == [1.0, 1.0, 0.0, 0.0]


BAD_FEATURES = {
    "a list": ([[1.0]], TypeError, "got list"),
    "one dimension": (torch.ones(3), ValueError, r"shape \(\*, 3, F\), one row per node, got \(3,\)"),
    "too many rows": (torch.ones(4, 3), ValueError, r"got \(4, 3\)"),
    "nodes and features swapped": (torch.ones(3, 4, 2), ValueError, r"got \(3, 4, 2\)"),
    "another float": (torch.ones(3, 1).double(), TypeError, "torch.float64 and the graph's weights torch.float32"),
    "integers": (torch.ones(3, 1).long(), TypeError, r"features are torch.int64, .*with x.to\(torch.float32\)"),
    "complex": (torch.ones(3, 1).cfloat(), TypeError, r"features are torch.complex64, .*take x.real or x.abs\(\)"),
}


@pytest.mark.parametrize(("x", "error", "message"), BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_refuses_what_are_no_features(x, error, message):
    graph = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    for product in (graph.propagate, graph.__matmul__):
        with pytest.raises(error, match=message):
            product(x)


# ---- derivatives ---------------------------------------------------------------------------------


@some_graphs
@pytest.mark.parametrize("wanted", ["features", "values", "both"])
def test_first_and_second_derivatives(case: Case, wanted):
    edge_index, weight = case.adjacency().to_edge_index()
    weight.requires_grad_(wanted != "features")
    x = features(case, 2, width=2, requires_grad=wanted != "values")

    def run(weight, x):
        graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=case.num_nodes)
        return graph.propagate(x), graph @ x

    assert gradcheck(run, (weight, x))
    assert gradgradcheck(run, (weight, x))


def test_derivatives_of_a_rectangle_that_holds_entries_twice():
    matrix = rectangle()
    values = matrix.values.clone().requires_grad_()
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    y = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    close(matrix.matmul(x), matrix.to_dense() @ x)
    close(matrix.t_matmul(y), matrix.to_dense().T @ y)
    close(matrix.transposed.matmul(y), matrix.to_dense().T @ y)
    assert gradcheck(lambda v, x: matrix.with_values(v).matmul(x), (values, x))
    assert gradgradcheck(lambda v, x: matrix.with_values(v).matmul(x), (values, x))
    assert gradcheck(lambda v, y: matrix.with_values(v).t_matmul(y), (values, y))
    assert gradgradcheck(lambda v, y: matrix.with_values(v).t_matmul(y), (values, y))
    assert gradcheck(matrix.matmul, (x,))
    assert gradgradcheck(matrix.t_matmul, (y,))


def test_derivatives_without_the_transpose_at_hand():
    crow, col = rectangle().pattern.crow, rectangle().pattern.col
    crow, col = torch.tensor([0, 2, 2, 5]), torch.tensor([1, 3, 0, 0, 2])
    values = torch.randn(5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v, x: sparse_product(v, x, crow, col), (values, x))
    assert gradgradcheck(lambda v, x: sparse_product(v, x, crow, col), (values, x))
    left, right = torch.randn(3, 2, dtype=torch.float64, requires_grad=True), x
    assert gradcheck(lambda a, b: sampled_product(a, b, crow, col), (left, right))
    assert gradgradcheck(lambda a, b: sampled_product(a, b, crow, col), (left, right))


@some_graphs
def test_gradients_that_change_afterwards_are_new(case: Case):
    """A training loop: the graph outlives many backward passes."""
    graph, dense = case.adjacency(), case.dense()
    for _ in range(3):
        x = features(case, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        graph.propagate(x).square().sum().backward()
        (dense.T @ y).square().sum().backward()
        close(x.grad, y.grad)


# ---- torch.func ----------------------------------------------------------------------------------


@some_graphs
def test_mapped_features_equal_a_loop(case: Case):
    graph = case.adjacency()
    x = torch.randn(case.num_nodes, 4, 3, dtype=torch.float64)
    for dim in (0, 1, 2):
        stack = x.movedim(1, dim)
        expected = torch.stack([graph.propagate(x[:, i]) for i in range(4)])
        close(torch.vmap(graph.propagate, in_dims=dim)(stack), expected)
    close(torch.vmap(torch.vmap(graph.propagate))(x.unsqueeze(0).movedim(2, 1)), expected.unsqueeze(0))
    gradient = torch.vmap(torch.func.grad(lambda x: graph.propagate(x).square().sum()))(x.movedim(1, 0))
    close(gradient, torch.stack([2 * (graph @ graph.propagate(x[:, i])) for i in range(4)]))


def test_mapped_empty_features():
    graph = GRAPHS["directed"].adjacency()
    assert torch.vmap(graph.propagate)(torch.zeros(2, 4, 0, dtype=torch.float64)).shape == (2, 4, 0)


@some_graphs
def test_mapped_values_equal_a_loop(case: Case):
    matrix = case.adjacency()._matrix
    values = torch.randn(3, matrix.num_entries, dtype=torch.float64)
    x = torch.randn(3, case.num_nodes, 2, dtype=torch.float64)
    for product in ("matmul", "t_matmul"):

        def run(values, x, product=product):
            return getattr(matrix.with_values(values), product)(x)

        close(torch.vmap(run)(values, x), torch.stack([run(v, y) for v, y in zip(values, x, strict=True)]))
        close(torch.vmap(run, in_dims=(0, None))(values, x[0]), torch.stack([run(v, x[0]) for v in values]))
        gradients = torch.vmap(torch.func.grad(lambda v, y, run=run: run(v, y).square().sum(), argnums=(0, 1)))
        mapped = gradients(values, x)
        for index in range(3):
            v, y = values[index].clone().requires_grad_(), x[index].clone().requires_grad_()
            expected = torch.autograd.grad(run(v, y).square().sum(), (v, y))
            close(mapped[0][index], expected[0])
            close(mapped[1][index], expected[1])


@some_graphs
def test_mapped_edge_weights_equal_a_loop(case: Case):
    edge_index, _ = case.adjacency().to_edge_index()
    x = features(case)

    def run(weight):
        graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=case.num_nodes)
        return graph.with_self_loops().normalized().propagate(x)

    weights = torch.rand(3, edge_index.size(1), dtype=torch.float64)
    close(torch.vmap(run)(weights), torch.stack([run(weight) for weight in weights]))


def test_mapped_edge_weights_are_checked_too():
    def run(weight):
        return Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), weight, num_nodes=2).normalized().to_dense()

    with pytest.raises(ValueError, match=r"edge_weight\[1\] is nan"):
        torch.vmap(run)(torch.tensor([[1.0, 1.0], [1.0, float("nan")]]))
    with pytest.raises(ValueError, match="smallest is -2"):
        torch.vmap(run)(torch.tensor([[1.0, 1.0], [-2.0, 1.0]]))


def test_jacobians_and_hessians():
    case = GRAPHS["directed, weighted, unsorted"]
    graph, x = case.adjacency(), features(case, width=2)
    jacobian = torch.func.jacrev(graph.propagate)(x)
    expected = torch.einsum("ts,fg->tfsg", case.dense().T, torch.eye(2, dtype=torch.float64))
    close(jacobian, expected)
    close(torch.func.jacrev(graph.propagate, chunk_size=3)(x), expected)

    def energy(x):
        return graph.propagate(x.tanh()).square().sum()

    hessian = torch.func.jacrev(torch.func.jacrev(energy))(x)
    close(hessian, torch.autograd.functional.hessian(energy, x))
    close(torch.func.grad(energy)(x), torch.autograd.functional.jacobian(energy, x))


# ---- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_dtypes_accumulate_in_float32(dtype):
    # Summed in bfloat16, ones stop growing at 256; in float16, at 2048.
    neighbours = 6016  # a number that both dtypes hold
    edges = torch.stack([torch.arange(1, neighbours + 1), torch.zeros(neighbours, dtype=torch.long)])
    weight = torch.ones(neighbours, dtype=dtype, requires_grad=True)
    graph = Adjacency.from_edge_index(edges, weight, num_nodes=neighbours + 1)
    x = torch.ones(neighbours + 1, 2, dtype=dtype, requires_grad=True)
    out = graph.propagate(x)
    assert out.dtype == dtype
    assert out[0].tolist() == [neighbours] * 2
    assert graph.in_degree(weighted=True)[0] == neighbours
    back = graph @ x
    assert back.dtype == dtype
    back.sum().backward()
    assert x.grad[0].tolist() == [neighbours] * 2
    wide = torch.ones(neighbours + 1, neighbours, dtype=dtype)
    pair = Adjacency.from_edge_index(edges[:, :1], weight[:1], num_nodes=neighbours + 1)
    (gradient,) = torch.autograd.grad(pair.propagate(wide).sum(), weight)
    assert gradient[0] == neighbours  # the sampled product


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_dtypes_are_as_near_as_rounding_allows(dtype):
    case = random_case(50, 400)
    graph, x = case.adjacency(dtype), torch.randn(50, 8).to(dtype)
    exact = graph.to_dense().double().T @ x.double()
    torch.testing.assert_close(graph.propagate(x), exact.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_keeps_sums_in_float32(dtype):
    graph = random_case(30, 200).adjacency(torch.float32)
    x = torch.randn(30, 4)
    with torch.autocast("cpu", dtype=dtype):
        full, half = graph.propagate(x), graph.propagate(x.to(dtype))
    assert full.dtype == half.dtype == torch.float32
    torch.testing.assert_close(full, graph.propagate(x))
    torch.testing.assert_close(half, graph.propagate(x.to(dtype).float()))
    wide = graph.to(dtype=torch.float64)
    with torch.autocast("cpu", dtype=dtype):
        out = wide.propagate(x.double())
    assert out.dtype == torch.float64
    assert torch.equal(out, wide.propagate(x.double()))


# ---- the rectangle -------------------------------------------------------------------------------


def test_reads_every_sparse_layout_and_sums_what_occurs_twice():
    dense = torch.randn(4, 6, dtype=torch.float64) * (torch.rand(4, 6) < 0.4)
    for sparse in (dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc()):
        close(SparseMatrix.from_tensor(sparse).to_dense(), dense)
    twice = torch.sparse_coo_tensor(
        [[1, 1, 0], [2, 2, 5]], torch.tensor([1.0, 2.0, 4.0]), (4, 6), check_invariants=True
    )
    matrix = SparseMatrix.from_tensor(twice)
    assert matrix.num_entries == 2
    assert torch.equal(matrix.to_dense(), twice.to_dense())


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(4).to_sparse_bsr((2, 2)), torch.ones(2, 2, 2).to_sparse(), torch.ones(2, 2).to_sparse(1), torch.eye(2)],
    ids=["blocks", "three dimensions", "hybrid", "dense"],
)
def test_refuses_other_layouts(tensor):
    with pytest.raises(ValueError, match=r"two-dimensional CSR, CSC or COO tensor of numbers, got torch\.\w+ of shape"):
        SparseMatrix.from_tensor(tensor)


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
def test_gradients_reach_the_dense_origin_of_a_sparse_tensor(layout):
    dense = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, dtype=torch.float64)
    SparseMatrix.from_tensor(getattr(dense, layout)()).matmul(weight).sum().backward()
    close(dense.grad, weight.sum(1).expand(4, 3))


def test_selects_rows_in_any_order_and_twice():
    matrix = rectangle(5, 4, 8)
    for rows in ([3, 0, 3], [], [4], [0, 1, 2, 3, 4]):
        chosen = matrix.select_rows(torch.tensor(rows, dtype=torch.long))
        assert torch.equal(chosen.to_dense(), matrix.to_dense()[rows])


@some_graphs
def test_knows_its_symmetry(case: Case):
    matrix = case.adjacency()._matrix
    assert matrix.symmetric == torch.equal(matrix.to_dense(), matrix.to_dense().T)
    assert not rectangle().symmetric


# ---- the operators -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_operators_are_what_torch_expects(dtype):
    crow, col = torch.tensor([0, 2, 2, 5]), torch.tensor([1, 3, 0, 1, 2])
    ops = torch.ops.gnnkit
    torch.library.opcheck(ops.csr_product.default, (crow, col, torch.rand(5).to(dtype), torch.rand(4, 2).to(dtype)))
    left, right = torch.rand(3, 2).to(dtype), torch.rand(4, 2).to(dtype)
    torch.library.opcheck(ops.csr_sampled_product.default, (crow, col, left, right))


@pytest.mark.slow
@some_graphs
def test_compiles_whole(case: Case):
    graph = case.adjacency()
    # The compiler takes the method, but no operator @ between an object and a tensor.
    product = graph.__matmul__
    compiled = torch.compile(lambda x: graph.propagate(x).tanh() + product(x), fullgraph=True, backend="aot_eager")
    x = features(case, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    out = compiled(x)
    expected = graph.propagate(y).tanh() + graph @ y
    close(out, expected)
    out.square().sum().backward()
    expected.square().sum().backward()
    close(x.grad, y.grad)
