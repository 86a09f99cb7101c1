"""Corrections of what models are: counts, gates, operators, hops, temperature."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.graph import Adjacency, hop_distance, shortest_path
from gnnkit.reproduction.correction import Correction, Finding, agrees, difference, disagrees
from gnnkit.reproduction.graph_rows import NAMES, figure_graph
from recurrent import LSTMCell, unroll
from recurrent.parameter_count import parameter_count, parameter_formula


def normalised() -> Correction:
    """What the normalised adjacency holds."""
    graph = figure_graph("A")
    operator = graph.with_self_loops().normalized("sym").to_dense().double()
    loops = graph.to_dense().double() + torch.eye(6, dtype=torch.float64)
    scale = loops.sum(0).rsqrt()
    right = scale[:, None] * loops * scale[None, :]
    largest = float(torch.linalg.eigvalsh(right).abs().max())
    return Correction(
        "000, 3.1b",
        "Â has no self-loops and is not normalised",
        "Â = D̃^−½ (A + I) D̃^−½ has both",
        "Kipf and Welling 2017, eq. 2. Its largest eigenvalue is 1, so that layers neither blow up nor lose scale.",
        (
            Finding("figure A: smallest entry on the diagonal of Â", f"{float(operator.diagonal().min()):.3f}", True),
            Finding("… its largest eigenvalue", f"{largest:.6f}", abs(largest - 1) < 1e-9),
            Finding(
                "… its difference from the library's",
                f"{difference(operator, right):.0e}",
                difference(operator, right) < 1e-6,
            ),
        ),
    )


def lstm_count() -> Correction:
    """Parameters of an LSTM."""
    d, n, o = 10, 128, 10
    count = parameter_count(LSTMCell(d, n), nn.Linear(n, o))
    left_out = 4 * (n * d + n) + o * n + o
    torch_holds = sum(each.numel() for module in (nn.LSTM(d, n), nn.Linear(n, o)) for each in module.parameters())
    return Correction(
        "001, 1.2b",
        "the LSTM's count without its recurrent weights",
        "4(nd + n² + n) + on + o",
        "Each of the four gates has a matrix for d inputs, one for n units and a bias. torch keeps a second bias per "
        "gate, 4n more numbers, which only add to the first.",
        (
            Finding("d = 10, n = 128, o = 10: by the formula", f"{count.formula:,}", True),
            Finding("… counted in torch.nn.LSTM and Linear", f"{torch_holds:,}", torch_holds == count.counted),
            Finding("… of which second biases, 4n", f"{count.redundant:,}", torch_holds - count.formula == 4 * n),
            Finding("… without recurrent weights", f"{left_out:,}", left_out != count.formula),
        ),
    )


def average() -> Correction:
    """Averaging and subtracting neighbours."""
    graph = figure_graph("A")
    weights = graph.with_self_loops().normalized("row")
    x = torch.arange(6.0)[:, None]
    out = weights.propagate(x)
    averages = bool(((out >= x.min()) & (out <= x.max())).all())
    flat = weights.propagate(torch.ones(6, 1))
    adjacency = graph.to_dense()
    laplacian = (torch.diag(adjacency.sum(0)) - adjacency) @ torch.ones(6, 1)
    return Correction(
        "001, 3.1a",
        "Â “subtracts neighbours”",
        "Â averages over a node and its neighbours; the Laplacian D − A subtracts",
        "All weights of Â are positive. On a signal that is 1 everywhere an average is 1, a difference 0.",
        (
            Finding(
                "figure A, row-normalised, on all ones",
                f"{float(flat.min()):.3f} to {float(flat.max()):.3f}",
                torch.allclose(flat, torch.ones(6, 1)),
            ),
            Finding("… values 0 to 5 stay within 0 to 5", "yes" if averages else "no", averages),
            Finding(
                "… the Laplacian on all ones", f"{float(laplacian.abs().max()):.0f}", float(laplacian.abs().max()) == 0
            ),
        ),
    )


def rate() -> Correction:
    """The decay of a learning rate."""
    return Correction(
        "001, text model",
        "the learning rate is multiplied by 0.995; 84.22 % is the maximum",
        "its own run used 0.955, and 84.22 % is the last batch",
        "The two are not close: ten such steps lower the rate by 5 or by 37 percent.",
        (
            Finding("0.995 to the tenth power", f"{0.995**10:.3f}", True),
            Finding("0.955 to the tenth power", f"{0.955**10:.3f}", True),
        ),
    )


def temperature() -> Correction:
    """Two definitions of temperature."""
    logits = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    field, sheet = (logits / 0.5).softmax(0), (logits * 0.5).softmax(0)
    same = (logits / 2.0).softmax(0)
    return Correction(
        "001",
        "temperature multiplies the logits (the course sheet's definition)",
        "the field's: softmax(logits / temperature); the sheet's τ is 1 / temperature",
        "Divided by: cold text is the likeliest text, as the name says. Multiplied by: the other way round.",
        (
            Finding(
                "logits 2, 1, 0 at .5, divided", ", ".join(f"{value:.3f}" for value in field), float(field[0]) > 0.8
            ),
            Finding("… multiplied", ", ".join(f"{value:.3f}" for value in sheet), torch.allclose(sheet, same)),
            Finding("… which is the temperature", "2", torch.allclose(sheet, same)),
        ),
    )


def hops() -> Correction:
    """Hops from C to E."""
    findings = []
    for figure, expected in (("A", 3), ("B", 4)):
        graph = figure_graph(figure)
        source, target = NAMES.index("C"), NAMES.index("E")
        hops = int(hop_distance(graph, torch.tensor([source]))[0, target])
        path = "-".join(NAMES[node] for node in shortest_path(graph, source, target))
        powers = [_walks(graph, source, target, length) for length in range(1, hops + 1)]
        findings.append(Finding(f"figure {figure}: hops from C to E", f"{hops} ({path})", hops == expected))
        lengths = ", ".join(f"{length}: {walks}" for length, walks in enumerate(powers, start=1))
        only_last = not any(powers[:-1]) and powers[-1] > 0
        findings.append(Finding("… walks from C to E by length, (A^k)_CE", lengths, only_last))
    return Correction(
        "002 (and the reports among themselves)",
        "from C to E a message passes “two edges”; others say 3, others 4",
        "three in figure A (2019), four in figure B (2020): two figures were drawn",
        "The least k with (A^k)_CE > 0 is the number of hops, and of updates.",
        tuple(findings),
    )


def _walks(graph: Adjacency, source: int, target: int, length: int) -> int:
    return int(torch.linalg.matrix_power(graph.to_dense().double(), length)[source, target])


def candidate() -> Correction:
    """Which gate makes the candidate."""
    torch.manual_seed(0)
    cell = LSTMCell(3, 4).double()
    x = torch.randn(1, 1, 3, dtype=torch.float64)
    with torch.no_grad():
        gates = x[:, 0] @ cell.weight_ih.t() + cell.bias_ih + cell.bias_hh
        i, _, g, o = gates.chunk(4, dim=-1)
        right = o.sigmoid() * (i.sigmoid() * g.tanh()).tanh()
        wrong = (i.sigmoid() * o.sigmoid()).tanh()  # the output gate as the candidate
        found, _ = unroll(cell, x)
        theirs = nn.LSTM(3, 4, batch_first=True).double()
        theirs.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
        expected, _ = theirs(x)
    return Correction(
        "002, 1.5",
        "the output gate makes the candidate",
        "the modulation gate g = tanh(…) makes it; o gates tanh(c)",
        "c_t = g·i + c_{t−1}·f and h_t = tanh(c_t)·o: g is the only one of the four that may be negative.",
        (
            agrees("one step from zero, difference from torch.nn.LSTM: o·tanh(i·g)", right, expected[:, 0]),
            agrees("… the library's cell", found[:, 0], expected[:, 0]),
            disagrees("… with o for the candidate", wrong, expected[:, 0]),
        ),
    )


def output_map() -> Correction:
    """Parameters of the output map."""
    n, o = 128, 10
    counted = sum(each.numel() for each in nn.Linear(n, o).parameters())
    return Correction(
        "003",
        "the output map has o·n + n parameters",
        "o·n + o",
        "There is a bias for every output, none for every unit.",
        (
            Finding("n = 128, o = 10: counted in torch.nn.Linear", f"{counted:,}", counted == o * n + o),
            Finding("… o·n + n", f"{o * n + n:,}", o * n + n != counted),
            Finding("… a whole LSTM with d = 10 by the formula", f"{parameter_formula(LSTMCell, 10, n, o):,}", True),
        ),
    )


def trained_temperature() -> Correction:
    """A temperature trained into a model."""
    torch.manual_seed(0)
    targets = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    learned = []
    for temperature in (0.5, 2.0):
        logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

        def loss(
            logits: Tensor = logits, temperature: float = temperature, optimizer: torch.optim.Optimizer = optimizer
        ) -> Tensor:
            optimizer.zero_grad()
            value = cross_entropy((logits / temperature)[None], targets[None])
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        learned.append(logits.detach())
    same = all(
        abs(float((logits / t).softmax(0)[0]) - 0.6) < 1e-4 for logits, t in zip(learned, (0.5, 2.0), strict=True)
    )
    ratio = float((learned[1][0] - learned[1][2]) / (learned[0][0] - learned[0][2]))
    argmax = all(int(logits.argmax()) == 0 for logits in learned)
    return Correction(
        "003, 3.1",
        "a temperature trained into the model, samples by argmax",
        "then it cannot change the sampling; temperature belongs to sampling",
        "Training undoes it: the logits grow by the factor they are divided by. And argmax is the same at every "
        "temperature.",
        (
            Finding("frequencies .6, .3, .1 learned at temperatures .5 and 2: the same", "yes" if same else "no", same),
            Finding("… the logits at 2 over those at .5", f"{ratio:.2f}", abs(ratio - 4) < 0.01),
            Finding("… the same argmax", "yes" if argmax else "no", argmax),
        ),
    )
