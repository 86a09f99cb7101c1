"""``gnnkit evaluate``: the scores of a trained run, computed again from its weights."""

from pathlib import Path
from typing import Annotated

import typer

from gnnkit.cli.command import JsonOption, command
from gnnkit.cli.printing import show, show_json, show_rows
from gnnkit.storage.text import printable


@command
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    data_root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the data sets lie now, if not where they were.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score a trained model on its test nodes: accuracy, macro F1, confusion.

    Of several runs it is the one with the lowest validation loss.
    """
    from gnnkit.jobs.trained import load_nodes as load
    from gnnkit.training.metrics import confusion_matrix, macro_f1

    trained = load(run)
    data = trained.data(None if data_root is None else str(data_root))
    predicted = trained.predict(data).classes[data.test_mask]
    labels = data.y[data.test_mask]
    confusion = confusion_matrix(predicted, labels, data.num_classes)
    count = int(labels.numel())
    accuracy = int(confusion.diagonal().sum()) / count if count else float("nan")
    if json:
        show_json(
            {
                "dataset": data.name,
                "model": trained.job.model,
                "seed": trained.seed,
                "test_nodes": count,
                "test_accuracy": accuracy,
                "test_macro_f1": macro_f1(confusion),
                "confusion": confusion.tolist(),
            }
        )
        return
    show(f"{trained.job.model} on {printable(data.name)}, seed {trained.seed}")
    show_rows(
        [
            ("test nodes", str(count)),
            ("test accuracy", f"{100 * accuracy:.2f} %"),
            ("test macro F1", f"{100 * macro_f1(confusion):.2f} %"),
        ]
    )
    show("\nconfusion (rows: true class, columns: predicted)")
    names = [printable(name) for name in data.class_names or map(str, range(data.num_classes))]
    width = max(len(cell) for cell in [*names, str(count)]) + 2
    show(" " * width + "".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, confusion.tolist(), strict=True):
        show(f"{name:<{width}}" + "".join(f"{value:>{width}}" for value in row))
