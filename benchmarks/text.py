"""Character language models against their bounds: training throughput, and the cost of a generated character.

Training: 2 x 128 LSTM, batch 64, windows of 30 characters, Adam, clipped: our whole loop (streams, metrics and
session included) and a bare loop around ``torch.nn.LSTM`` on the same one-hot windows. Generation: CPU time of
1,000 and 10,000 characters, and of 1,000 characters when the prefix is read anew for each.

CPU time; ours and theirs alternate, so that a busy machine disturbs both alike.

    $ python -P benchmarks/text.py
    $ python -P benchmarks/text.py --quick
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
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.generation import GenerationConfig, generate
from recurrent.models import CharLM
from recurrent.text import TextParts, Vocabulary, pydoc_corpus

HIDDEN, BATCH, LENGTH = 128, 64, 30


def cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


class BareModel(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.lstm = nn.LSTM(vocab_size, HIDDEN, num_layers=2, batch_first=True)
        self.head = nn.Linear(HIDDEN, vocab_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(one_hot(tokens, self.vocab_size).float())[0])


def bare_loop(model: BareModel, tokens: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """What one would write in a notebook: no metrics but the loss and the accuracy."""
    offsets = torch.arange(LENGTH + 1)
    for _ in range(steps):
        windows = tokens[torch.randint(len(tokens) - LENGTH, (BATCH, 1)) + offsets]
        logits = model(windows[:, :-1]).flatten(0, 1)
        targets = windows[:, 1:].flatten()
        loss = cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        loss.item()
        (logits.argmax(-1) == targets).float().mean().item()


def training(steps: int, repeats: int) -> dict[str, object]:
    corpus = pydoc_corpus()
    vocabulary = Vocabulary.from_text(corpus.text)
    tokens = vocabulary.encode(corpus.text)
    parts = TextParts(tokens, tokens[:0], tokens[:0])
    settings = Optimization("adam", 0.002, clip=5.0)
    results: dict[str, list[float]] = {"bare": [], "random": [], "stateful": []}
    bare = BareModel(len(vocabulary))
    optimizer = torch.optim.Adam(bare.parameters(), 0.002, fused=True)
    works: dict[str, Callable[[], object]] = {"bare": lambda: bare_loop(bare, tokens, optimizer, steps)}
    for batches in ("random", "stateful"):
        model = CharLM(len(vocabulary), HIDDEN)
        config = TextConfig(
            steps=steps,
            batch_size=BATCH,
            seq_length=LENGTH,
            batches=batches,
            optimization=settings,
            sample_every=10**9,
            sample_length=1,
        )
        works[batches] = lambda model=model, config=config: fit_text(model, parts, vocabulary, config)
    for repeat in range(repeats + 1):
        for name in sorted(works, reverse=bool(repeat % 2)):
            seconds = cpu_seconds(works[name])
            if repeat:  # the first warms up
                results[name].append(1e3 * seconds / steps)
    report: dict[str, object] = {f"{name}_ms_per_step": statistics.median(each) for name, each in results.items()}
    for name in ("random", "stateful"):
        ratios = [ours / theirs for ours, theirs in zip(results[name], results["bare"], strict=True)]
        report[f"{name}_to_bare"] = statistics.median(ratios)
        report[f"{name}_to_bare_range"] = [min(ratios), max(ratios)]
    return report


def generation(short: int, repeats: int) -> dict[str, object]:
    vocabulary = Vocabulary.from_text("abcdefghijklmnopqrstuvwxyz .,\n")
    torch.manual_seed(0)
    model = CharLM(len(vocabulary), HIDDEN).eval()

    def write(length: int) -> None:
        generate(model, vocabulary, "the ", GenerationConfig(length=length))

    @torch.no_grad()
    def write_anew(length: int) -> None:
        tokens = vocabulary.encode("the ").unsqueeze(0)
        for _ in range(length):
            logits, _ = model(tokens)  # the whole prefix, through the fused kernel
            tokens = torch.cat([tokens, torch.multinomial(logits[:, -1].softmax(-1), 1)], dim=1)

    write(100)
    shorts = [cpu_seconds(lambda: write(short)) for _ in range(repeats)]
    longs = [cpu_seconds(lambda: write(10 * short)) for _ in range(max(1, repeats // 2))]
    anew = cpu_seconds(lambda: write_anew(short))
    return {
        "characters": short,
        "seconds": statistics.median(shorts),
        "seconds_for_10_times_as_many": statistics.median(longs),
        "growth": statistics.median(longs) / statistics.median(shorts),
        "seconds_recomputing_the_prefix": anew,
        "recomputing_to_carried": anew / statistics.median(shorts),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60, help="training steps of a repeat")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="10 steps, 2 repeats, 100 characters")
    parser.add_argument("--out", type=Path, help="also write the results to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps, repeats = (10, 2) if arguments.quick else (arguments.steps, arguments.repeats)
    trained = training(steps, repeats)
    print(f"training, CPU ms a step: bare torch.nn.LSTM loop {trained['bare_ms_per_step']:.1f}")
    for name in ("random", "stateful"):
        low, high = trained[f"{name}_to_bare_range"]
        ratio = trained[f"{name}_to_bare"]
        print(f"  {name} windows {trained[f'{name}_ms_per_step']:.1f}, {ratio:.3f} of it [{low:.3f}, {high:.3f}]")
    written = generation(100 if arguments.quick else 1000, 3)
    print(
        f"generation: {written['characters']} characters {written['seconds']:.2f} s, ten times as many "
        f"{written['growth']:.2f} times as long; reading the prefix anew {written['recomputing_to_carried']:.1f} times"
    )
    if arguments.out:
        report = {
            "benchmark": "text",
            "settings": {"hidden_size": HIDDEN, "layers": 2, "batch_size": BATCH, "seq_length": LENGTH},
            "threads": arguments.threads,
            "machine": {"processor": cpu_name(), "cores": os.cpu_count()},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "training": trained,
            "generation": written,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
