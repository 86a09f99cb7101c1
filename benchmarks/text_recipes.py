"""Bits per character on a held-out tenth of a text: the reports' recipe, an improved one, each ingredient's share.

All recipes have 2 LSTM layers' worth of parameters (within 1 % of the reports' model), 64 windows of 30
characters a step, and the same number of steps; each row adds one ingredient to the row above.

    $ python -P benchmarks/text_recipes.py grimm.txt                      # every row, 5000 steps each
    $ python -P benchmarks/text_recipes.py grimm.txt --only reports improved --seeds 0 1 2 --out results.json
    $ python -P benchmarks/text_recipes.py grimm.txt --quick              # 150 steps, a minute or two in all
"""

import argparse
import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gnnkit.runs import Progress, keep_freed_memory, spread, use_threads
from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, TextResult, fit_text
from recurrent import GRUCell
from recurrent.models import CharLM
from recurrent.text import Vocabulary, read_corpus, split_contiguous


@dataclass(frozen=True)
class Recipe:
    """One row: what it adds, the model's arguments and the training."""

    adds: str
    model: dict[str, object]
    forget_bias: float | None
    training: TextConfig


def one_cycle(steps: int, lr: float, weight_decay: float = 0.01) -> Optimization:
    return Optimization("adamw", lr, weight_decay=weight_decay, schedule="one-cycle", warmup=steps // 10, clip=1.0)


def recipes(steps: int, seed: int) -> dict[str, Recipe]:
    report = TextConfig(steps=steps, batches="random", optimization=Optimization("adam", 0.01, clip=5.0), seed=seed)
    one_hot = {"hidden_size": 128, "input": "one-hot"}
    embedded = {"hidden_size": 128, "input": "embedding", "embedding_dim": 69}
    stateful = replace(report, batches="stateful")
    cycled = replace(stateful, optimization=one_cycle(steps, 0.01))
    regular = replace(stateful, optimization=one_cycle(steps, 0.01, weight_decay=0.1))
    wide = {"hidden_size": 208, "input": "embedding", "embedding_dim": 64, "num_layers": 1}
    gru = {**wide, "hidden_size": 240, "embedding_dim": 70, "output_dropout": 0.2, "cell_type": GRUCell}
    return {
        "reports": Recipe("report 000's settings", one_hot, None, report),
        "stateful": Recipe("contiguous batches, state carried", one_hot, None, stateful),
        "one-cycle": Recipe("AdamW, one-cycle rate", one_hot, None, cycled),
        "embedding": Recipe("learnt embedding for one-hot", embedded, None, cycled),
        "forget-bias": Recipe("forget bias 1", embedded, 1.0, cycled),
        "wide": Recipe("one wide layer for two", wide, 1.0, cycled),
        "decay": Recipe("weight decay .1", wide, 1.0, regular),
        "dropout": Recipe("dropout .2 before the output map", {**wide, "output_dropout": 0.2}, 1.0, regular),
        "improved": Recipe("a GRU for the LSTM", gru, None, regular),  # `gnnkit text train --recipe improved`
    }


def train(recipe: Recipe, text: str, name: str) -> tuple[TextResult, int]:
    vocabulary = Vocabulary.from_text(text)
    torch.manual_seed(recipe.training.seed)
    model = CharLM(len(vocabulary), **recipe.model)
    if recipe.forget_bias is not None:
        model.forget_bias_(recipe.forget_bias)
    parts = split_contiguous(vocabulary.encode(text))
    with Progress(recipe.training.steps, name, interval=30) as bar:
        result = fit_text(model, parts, vocabulary, recipe.training, progress=bar)
    return result, sum(each.numel() for each in model.parameters())


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def row(name: str, recipe: Recipe, text: str) -> dict[str, object]:
    result, parameters = train(recipe, text, name)
    assert result.test is not None, "a tenth of the text is held out"
    assert result.val is not None, "and a twentieth chooses the step"
    return {
        "recipe": name,
        "adds": recipe.adds,
        "steps": recipe.training.steps,
        "seed": recipe.training.seed,
        "parameters": parameters,
        "test_bits_per_character": result.test.bits_per_character,
        "test_accuracy": result.test.accuracy,
        "validation_bits_per_character": result.val.bits_per_character,
        "train_accuracy_last_100": result.train_accuracy_last_100,
        "selected_step": result.selected_step,
        "seconds": result.seconds,
        "sample": result.samples[-1].text,
    }


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["recipe"], row["steps"], row["seed"]


def table(rows: list[dict[str, object]], steps: int) -> str:
    """Mean and deviation over seeds, in the recipes' order."""
    lines = [f"{'recipe':12} {'adds':36} {'parameters':>10}  {'test bits/char':18} {'train accuracy':>14}"]
    for name, recipe in recipes(steps, 0).items():
        own = [each for each in rows if each["recipe"] == name and each["steps"] == steps]
        if not own:
            continue
        bits = spread([each["test_bits_per_character"] for each in own])
        accuracy = spread([each["train_accuracy_last_100"] for each in own])
        shown = f"{bits.mean:.4f}" + (f" +- {bits.std:.4f}" if bits.n > 1 else "")
        lines.append(
            f"{name:12} {recipe.adds:36} {own[0]['parameters']:>10}  {shown:18} {accuracy.mean:14.3f}  seeds {bits.n}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a UTF-8 text, such as Grimms' Fairy Tales")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="these rows alone")
    parser.add_argument("--quick", action="store_true", help="150 steps")
    parser.add_argument("--out", type=Path, help="add the results to this JSON file")
    arguments = parser.parse_args()
    steps = 150 if arguments.quick else arguments.steps
    known = recipes(steps, 0)
    if unknown := set(arguments.only or ()) - set(known):
        parser.error(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    keep_freed_memory()
    corpus = read_corpus(arguments.text)
    done = {
        "benchmark": "text_recipes",
        "text": corpus.name,
        "notes": list(corpus.notes),
        "machine": {"processor": cpu_name(), "cores": os.cpu_count(), "threads": arguments.threads},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "rows": [],
    }
    if arguments.out and arguments.out.exists():
        done["rows"] = json.loads(arguments.out.read_text())["rows"]
    for seed in arguments.seeds:
        for name in arguments.only or known:
            with use_threads(arguments.threads):
                new = row(name, recipes(steps, seed)[name], corpus.text)
            done["rows"] = [each for each in done["rows"] if key(each) != key(new)] + [new]
            if arguments.out:
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(done, indent=2) + "\n")
    print(table(done["rows"], steps))


if __name__ == "__main__":
    main()
