"""How fast is a training step, an evaluation, a gradient by step, against the plain way?

Batch 128, hidden 128, one-hot digits, T = 5, 20, 100. Each row is a pair, run in turns: what
``recurrent`` does, and its baseline. The ratio is baseline time over ours (above 1: ours is faster), of
CPU seconds of all threads; wall time is beside it. Baselines:

- RNN, LSTM, GRU training step: the ``torch.nn`` module with the same weights.
- Phased LSTM training step and evaluation: a plain loop that calls the cell at every step. Evaluation also
  against our own loop with every unit computed (``dense``), which is the part due to skipping closed units.
- gradient_by_step: ``retain_grad`` on every state, ``backward``, a norm per step; on the plain loop, and on
  our own loop with the input projection hoisted, which is the part due to leaving the weights' gradients out.
- minGRU training step: our own loop over the same cell, instead of its scan.

    $ python benchmarks/recurrent_cells.py --threads 1 --out benchmarks/results/recurrent.json
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from recurrent import (
    GRUCell,
    LSTMCell,
    MinGRUCell,
    PhasedLSTMCell,
    RNNCell,
    unroll,
    unroll_states,
)
from recurrent.cells import layer_state_dict
from recurrent.diagnostics import gradient_by_step
from recurrent.tasks import Palindromes

BATCH, HIDDEN, LENGTHS = 128, 128, (5, 20, 100)
Work = Callable[[], object]


def training_step(parameters: list[nn.Parameter], forward: Callable[[], Tensor]) -> Work:
    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        forward()[:, -1].square().mean().backward()

    return step


def plain_loop(cell: nn.Module, inputs: Tensor) -> list[Tensor]:
    state = cell.initial_state(len(inputs))
    outputs = []
    for x in inputs.unbind(1):
        output, state = cell(x, state)
        outputs.append(output)
    return outputs


def stock_pairs(inputs: Tensor) -> dict[str, tuple[Work, Work]]:
    pairs = {}
    for cell_type, module_type in ((RNNCell, nn.RNN), (LSTMCell, nn.LSTM), (GRUCell, nn.GRU)):
        module = module_type(inputs.size(-1), HIDDEN, batch_first=True)
        cell = cell_type(inputs.size(-1), HIDDEN)
        cell.load_state_dict(layer_state_dict(module))
        name = f"{module_type.__name__} training step vs torch.nn"
        pairs[name] = (
            training_step(list(cell.parameters()), lambda cell=cell: unroll(cell, inputs)[0]),
            training_step(list(module.parameters()), lambda module=module: module(inputs)[0]),
        )
    return pairs


def phased_pairs(inputs: Tensor) -> dict[str, tuple[Work, Work]]:
    cell = PhasedLSTMCell(inputs.size(-1), HIDDEN, r_on=0.05)
    evaluated = PhasedLSTMCell(inputs.size(-1), HIDDEN, r_on=0.05).eval()
    parameters = list(cell.parameters())

    def evaluate(function: Callable[[], Tensor]) -> Work:
        def work() -> None:
            with torch.no_grad():
                function()

        return work

    def dense() -> Tensor:
        with torch.enable_grad():  # where gradients could be asked for, every unit is computed
            return unroll(frozen, inputs)[0]

    frozen = PhasedLSTMCell(inputs.size(-1), HIDDEN, r_on=0.05).eval().requires_grad_(False)
    frozen.load_state_dict(evaluated.state_dict())
    ours = evaluate(lambda: unroll(evaluated, inputs)[0])
    return {
        "Phased LSTM training step vs plain loop": (
            training_step(parameters, lambda: unroll(cell, inputs)[0]),
            training_step(parameters, lambda: torch.stack(plain_loop(cell, inputs), dim=1)),
        ),
        "Phased LSTM evaluation, r_on .05, vs plain loop": (
            ours,
            evaluate(lambda: torch.stack(plain_loop(evaluated, inputs), dim=1)),
        ),
        "Phased LSTM evaluation, r_on .05, vs dense": (ours, dense),
    }


def gradient_pairs(inputs: Tensor) -> dict[str, tuple[Work, Work]]:
    def loss(hidden: Tensor) -> Tensor:
        return hidden[:, -1].square().mean()

    def retained(cell: nn.Module, states: Callable[[nn.Module], list[Tensor]]) -> list[Tensor]:
        cell.zero_grad()
        hidden = states(cell)
        for h in hidden:
            h.retain_grad()
        loss(torch.stack(hidden, dim=1)).backward()
        return [h.grad.norm() for h in hidden]

    pairs = {}
    for cell_type in (RNNCell, LSTMCell, GRUCell, PhasedLSTMCell):
        cell = cell_type(inputs.size(-1), HIDDEN)
        baselines = {
            "plain loop": lambda cell: plain_loop(cell, inputs),
            "our loop": lambda cell: [state.hidden for state in unroll_states(cell, inputs)],
        }
        for loop, states in baselines.items():
            pairs[f"gradient_by_step, {cell_type.__name__}, vs retain_grad, {loop}"] = (
                lambda cell=cell: gradient_by_step(cell, inputs, loss),
                lambda cell=cell, states=states: retained(cell, states),
            )
    return pairs


def scan_pairs(inputs: Tensor) -> dict[str, tuple[Work, Work]]:
    cell = MinGRUCell(inputs.size(-1), HIDDEN)
    parameters = list(cell.parameters())

    def looped() -> Tensor:
        return torch.stack([state.hidden for state in unroll_states(cell, inputs)], dim=1)

    return {
        "minGRU training step, scan vs loop": (
            training_step(parameters, lambda: unroll(cell, inputs)[0]),
            training_step(parameters, looped),
        )
    }


def timed(work: Work) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)


def compare(ours: Work, baseline: Work, repeats: int) -> dict[str, object]:
    """Medians in ms, and the median of the pairwise ratios with its quartiles."""
    for work in (ours, baseline, ours, baseline):
        work()
    pairs = []
    for repeat in range(repeats):
        # Alternate who goes first, so that neither always finds the caches warm.
        order = (ours, baseline) if repeat % 2 else (baseline, ours)
        first, second = (timed(work) for work in order)
        pairs.append((first, second) if repeat % 2 else (second, first))
    ratios = [theirs[0] / mine[0] for mine, theirs in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "ours_cpu_ms": statistics.median(mine[0] for mine, _ in pairs),
        "baseline_cpu_ms": statistics.median(theirs[0] for _, theirs in pairs),
        "ours_wall_ms": statistics.median(mine[1] for mine, _ in pairs),
        "baseline_wall_ms": statistics.median(theirs[1] for _, theirs in pairs),
        "ratio": middle,
        "ratio_quartiles": [low, high],
    }


def cpu_name() -> str:
    """The processor as Linux names it, or what Python knows elsewhere."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--out", type=Path, help="also write the results to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # for both sides: vanishing gradients would otherwise be all that is timed

    rows = []
    print(f"{'':62}{'T':>4}{'ours':>10}{'baseline':>10}  ratio [quartiles]   (CPU ms)")
    for length in LENGTHS:
        torch.manual_seed(arguments.seed)
        inputs = Palindromes(length).sample(BATCH, torch.Generator().manual_seed(arguments.seed)).inputs
        pairs = stock_pairs(inputs) | phased_pairs(inputs) | gradient_pairs(inputs) | scan_pairs(inputs)
        for name, (ours, baseline) in pairs.items():
            if arguments.only not in name:
                continue
            row = {"name": name, "length": length, **compare(ours, baseline, arguments.repeats)}
            rows.append(row)
            low, high = row["ratio_quartiles"]
            print(
                f"{name:62}{length:4}{row['ours_cpu_ms']:10.2f}{row['baseline_cpu_ms']:10.2f}"
                f"  {row['ratio']:.2f} [{low:.2f}, {high:.2f}]"
            )
    if arguments.out is not None:
        result = {
            "benchmark": "recurrent",
            "settings": {
                "batch_size": BATCH,
                "hidden_size": HIDDEN,
                "repeats": arguments.repeats,
                "threads": arguments.threads,
                "seed": arguments.seed,
            },
            "machine": {"processor": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "rows": rows,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
