"""Bits per character on a held-out tenth of a text: the reports' recipe, an improved one, each ingredient's share.

All recipes have 2 LSTM layers' worth of parameters (within 1 % of the reports' model), 64 windows of 30
characters a step, and the same number of steps; each row adds one ingredient to the row above.

    $ python benchmarks/text_recipes.py grimm.txt                      # every row, 5000 steps each
    $ python benchmarks/text_recipes.py grimm.txt --only reports improved --out results.json
    $ python benchmarks/text_recipes.py grimm.txt --quick              # 150 steps, a minute or two in all
"""

import argparse
import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gnnkit.runs import Progress, use_threads
from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, TextResult, fit_text
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
    return {
        "reports": Recipe("report 000's settings", one_hot, None, report),
        "stateful": Recipe("contiguous batches, state carried", one_hot, None, stateful),
        "one-cycle": Recipe("AdamW, one-cycle rate", one_hot, None, cycled),
        "embedding": Recipe("learnt embedding for one-hot", embedded, None, cycled),
        "forget-bias": Recipe("forget bias 1", embedded, 1.0, cycled),
        "wide": Recipe("one wide layer for two", wide, 1.0, cycled),
        "decay": Recipe("weight decay .1", wide, 1.0, regular),
        "improved": Recipe("dropout .2 before the output map", {**wide, "output_dropout": 0.2}, 1.0, regular),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a UTF-8 text, such as Grimms' Fairy Tales")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="these rows alone")
    parser.add_argument("--quick", action="store_true", help="150 steps")
    parser.add_argument("--out", type=Path, help="add the results to this JSON file")
    arguments = parser.parse_args()
    steps = 150 if arguments.quick else arguments.steps
    table = recipes(steps, arguments.seed)
    if unknown := set(arguments.only or ()) - set(table):
        parser.error(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(table)}")
    corpus = read_corpus(arguments.text)
    done = json.loads(arguments.out.read_text()) if arguments.out and arguments.out.exists() else {"rows": []}
    for name in arguments.only or table:
        recipe = table[name]
        with use_threads(arguments.threads):
            result, parameters = train(recipe, corpus.text, name)
        assert result.test is not None, "a tenth of the text is held out"
        row = {
            "recipe": name,
            "adds": recipe.adds,
            "steps": steps,
            "seed": arguments.seed,
            "parameters": parameters,
            "test_bits_per_character": result.test.bits_per_character,
            "test_accuracy": result.test.accuracy,
            "train_accuracy_last_100": result.train_accuracy_last_100,
            "train_bits_per_character": result.history["train_bits_per_character"][-1],
            "selected_step": result.selected_step,
            "seconds": result.seconds,
            "sample": result.samples[-1].text,
        }
        done["rows"] = [
            each
            for each in done["rows"]
            if (each["recipe"], each["steps"], each["seed"]) != (name, steps, arguments.seed)
        ] + [row]
        print(
            f"{name:12} {recipe.adds:36} {parameters:8} parameters  test {row['test_bits_per_character']:.4f} bits/char"
            f"  train accuracy {row['train_accuracy_last_100']:.3f}  step {result.selected_step}",
            flush=True,
        )
        if arguments.out:
            done |= {
                "benchmark": "text_recipes",
                "text": corpus.name,
                "notes": list(corpus.notes),
                "machine": {"processor": cpu_name(), "cores": os.cpu_count(), "threads": arguments.threads},
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
            }
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(done, indent=2) + "\n")


if __name__ == "__main__":
    main()
