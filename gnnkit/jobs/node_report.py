"""What a node-classification run leaves to look at: curves, embedding, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gnnkit.data.node_data import NodeData
from gnnkit.jobs.job_run import settings_section
from gnnkit.jobs.node_job import NodeJob
from gnnkit.models.registry import recipe_of
from gnnkit.nn.gat import GATConv
from gnnkit.runs import RunFolder
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.text import printable
from gnnkit.training.layerwise import LayeredModel
from gnnkit.training.minibatch import layerwise_of
from gnnkit.training.nodes import NodeResult
from gnnkit.training.view import features_of
from recurrent.sequences import Sequences

_PICTURES = {
    "curves.png": "Loss and accuracy by epoch",
    "embedding.png": "Node embeddings in two dimensions",
    "attention.png": "Attention of the first layer, head by head",
}
_DRAWN_NODES = 20_000
_NAMED_POINTS = 60  # more names than this would cover one another


def draw(folder: RunFolder, job: NodeJob, data: NodeData, model: nn.Module, results: list[NodeResult]) -> None:
    """Draw ``curves.png``, with bands over several runs, ``embedding.png``, and on a small graph ``attention.png``."""
    title = f"{job.model} on {data.name}"
    draw_curves(folder, title, results, measured=bool(data.val_mask.any()))
    names = data.node_names if data.node_names and data.num_nodes <= _NAMED_POINTS else None
    if names is None and data.num_nodes <= _NAMED_POINTS:
        names = tuple(str(node) for node in range(data.num_nodes))
    if job.training.batch_size is None:
        draw_embedding(folder, title, _embedding(model, data), data.y, data.class_names, names)
    else:
        nodes = _some_nodes(data.num_nodes)
        vectors = layerwise_of(data).embedding(cast(LayeredModel, model), nodes)
        draw_embedding(folder, title, vectors, data.y[nodes], data.class_names, names)
    _draw_attention(folder, data, model, title)


def draw_curves(folder: RunFolder, title: str, results: list[NodeResult], *, measured: bool) -> None:
    """Draw ``curves.png``, of training and, where it was ``measured``, validation."""
    from gnnkit.plots import curves, save_figure

    measured = measured or any(result.val_loss == result.val_loss for result in results)
    parts = ("train", "val") if measured else ("train",)
    panels = {score: [f"{part}_{score}" for part in parts] for score in ("loss", "accuracy")}
    selected = [result.test.epoch for result in results]
    figure = curves([result.history for result in results], panels, selected=selected, title=title)
    save_figure(figure, folder.path / "curves.png")


def draw_embedding(
    folder: RunFolder,
    title: str,
    vectors: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...] | None = None,
    names: tuple[str, ...] | None = None,
) -> None:
    """Draw ``embedding.png``: nodes in the plane, by class."""
    from gnnkit.plots import embedding, save_figure

    title = f"{title}: node embeddings by true class"
    figure = embedding(vectors.numpy(), labels.numpy(), class_names=class_names, names=names, title=title)
    save_figure(figure, folder.path / "embedding.png")


def _draw_attention(folder: RunFolder, data: NodeData, model: nn.Module, title: str) -> None:
    """What each node listens to in the first layer, head by head, where the graph is small enough to see it."""
    from gnnkit.plots import attention_figure, save_figure
    from gnnkit.plots.style import colour

    layer = next((each for each in model.modules() if isinstance(each, GATConv)), None)
    features = features_of(data)
    if layer is None or isinstance(features, Sequences) or data.num_nodes > _NAMED_POINTS:
        return
    with torch.no_grad():
        edge_index, alpha, _ = layer.attention(features, data.adjacency)
    figure = attention_figure(
        edge_index,
        alpha,
        num_nodes=data.num_nodes,
        node_names=data.node_names,
        node_color=[colour(int(label)) for label in data.y.tolist()],
        title=f"{title}: attention of the first layer",
    )
    save_figure(figure, folder.path / "attention.png")


def _some_nodes(num_nodes: int) -> Tensor:
    """The nodes drawn of what was trained in batches, and may be too large to draw: all, or some thousands."""
    if num_nodes <= _DRAWN_NODES:
        return torch.arange(num_nodes)
    drawn: Tensor = torch.randint(num_nodes, (_DRAWN_NODES,), generator=torch.Generator().manual_seed(0))
    return torch.sort(drawn).values


@torch.no_grad()
def _embedding(model: nn.Module, data: NodeData) -> Tensor:
    """What the last layer but one gives, or the output of a model of a single layer."""
    layers = getattr(model, "layers", None)
    if not callable(layers):
        out: Tensor = model(features_of(data), data.adjacency)
        return out
    outputs: list[Tensor] = layers(features_of(data), data.adjacency)
    return outputs[-2] if len(outputs) > 1 else outputs[-1]


def pictures_of(folder: Path) -> list[Path]:
    """The pictures that a run folder holds."""
    return [folder / name for name in _PICTURES if (folder / name).exists()]


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What a summary says, a line each: measured, and how the epoch was chosen."""

    def score(name: str) -> str:
        mean, std = summary[f"{name}_mean"], summary[f"{name}_std"]
        if mean is None or mean != mean:
            return "-"
        return f"{100 * mean:.2f} %" + (f" +- {100 * std:.2f}" if summary["runs"] > 1 else "")

    chosen = "lowest validation loss" if score("val_accuracy") != "-" else "last epoch: no validation nodes"
    return [
        ("test accuracy", f"{score('test_accuracy')}  ({chosen})"),
        ("test macro F1", score("test_macro_f1")),
        ("validation accuracy", score("val_accuracy")),
        ("test accuracy at the best validation accuracy", score("test_accuracy_at_best_val_accuracy")),
        ("test accuracy at the last epoch", score("test_accuracy_at_last_epoch")),
        ("runs", _count(summary)),
        *_processes(summary),
        ("selected epoch", _range(summary["selected_epochs"])),
        ("seconds", f"{summary['seconds']:.1f}"),
    ]


def _processes(summary: dict[str, Any]) -> list[tuple[str, str]]:
    shared: dict[str, Any] | None = summary.get("distributed")
    if shared is None:
        return []
    line = f"{shared['processes']}, {shared['mode']}"
    if "cut" in shared:
        line += f": {100 * shared['cut']:.1f} % of the edges run between them ({shared['order']})"
    return [("processes", line)]


def _count(summary: dict[str, Any]) -> str:
    failed = summary["failed_runs"]
    return str(summary["runs"]) + (f" ({failed} more failed)" if failed else "")


def _range(epochs: list[int]) -> str:
    return str(epochs[0]) if len(set(epochs)) == 1 else f"{min(epochs)} to {max(epochs)}"


def write(folder: RunFolder, job: NodeJob, summary: dict[str, Any]) -> None:
    """Write ``report.md``."""
    classes = job.sizes.class_names if job.sizes and job.sizes.class_names else None
    count = len(summary["confusion"])
    names = [printable(name).replace("|", "\\|") for name in classes or [str(each) for each in range(count)]]
    lines = [
        f"# {job.model} on {printable(summary['dataset'])}",
        "",
        f"The settings are those of {recipe_of(job.model).paper} unless `config.toml` below says otherwise.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows(summary)),
        "",
        *(line for path in pictures_of(folder.path) for line in (f"![{_PICTURES[path.name]}]({path.name})", "")),
        f"## Confusion on the test nodes (seed {summary['seeds'][0]}; rows are the true classes)",
        "",
        "| | " + " | ".join(names) + " |",
        "|---" * (count + 1) + "|",
        *(
            f"| **{name}** | " + " | ".join(map(str, row)) + " |"
            for name, row in zip(names, summary["confusion"], strict=True)
        ),
        "",
        *settings_section(job),
    ]
    atomic_write(folder.path / "report.md", "\n".join(lines))
