"""Vectors in the plane: their two principal components, coloured by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnnkit.plots.style import as_array, check_lengths, colour, label, legend, marker, new_figure, shorten

Array = npt.NDArray[np.float64]

_MOST_IN_LEGEND = 40


def principal_components(vectors: Any, count: int = 2) -> tuple[Array, Array]:
    """Coordinates on the ``count`` axes of largest variance, and each axis' share of the variance.

    The sign of an axis is free; here the largest loading is positive, so that equal input gives the
    equal picture. Axes beyond the rank are zeros.

    Shapes:
        - **vectors:** :math:`(N, F)`
        - **output:** :math:`(N, count)` and :math:`(count)`

    Raises:
        ValueError: If ``vectors`` is not a matrix with at least one row and column, or not finite.
    """
    matrix = as_array(vectors).astype(np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"vectors must have shape (N, F), neither zero, got {matrix.shape}")
    if bad := int((~np.isfinite(matrix)).any(axis=1).sum()):
        raise ValueError(f"vectors must be finite, got NaN or infinity in {bad} of {len(matrix)} rows")
    centred = matrix - matrix.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    coordinates, total = left * singular * signs, float((singular**2).sum())
    kept = min(count, coordinates.shape[1])
    scores, shares = np.zeros((len(matrix), count)), np.zeros(count)
    scores[:, :kept] = coordinates[:, :kept]
    if total > 0:
        shares[:kept] = singular[:kept] ** 2 / total
    return scores, shares


def embedding(
    vectors: Any,
    labels: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Vectors, such as a model's node embeddings, projected by `principal_components`.

    Args:
        vectors: ``(N, F)``.
        labels: ``(N)`` class numbers, -1 where unknown (drawn grey, below the rest).
        class_names: By class number; numbers stand in their place when left out.
        names: Written beside the points, for small graphs.
        title: Above the picture.

    Raises:
        ValueError: If lengths do not match, a label is no whole number or lacks a name, or as
            `principal_components`.
    """
    points, shares = principal_components(vectors)
    classes = np.zeros(len(points), dtype=np.int64) if labels is None else as_array(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers of shape (N,), got {classes.dtype} of {classes.shape}")
    check_lengths(vectors=points, labels=classes)
    if class_names is not None and len(classes) and classes.max() >= len(class_names):
        raise ValueError(f"class_names has {len(class_names)} names, but a label is {classes.max()}")
    figure, (axes,) = new_figure(width=6.4, height=5.2)
    # Area per point shrinks with their number, within what can be seen.
    size = float(np.clip(12000 / len(points), 4, 60))
    _scatter(axes, points, classes, size)
    if names is not None:
        check_lengths(vectors=points, names=names)
        for name, (x, y) in zip(names, points, strict=True):
            axes.annotate(shorten(str(name)), (x, y), (3, 3), textcoords="offset points", fontsize=7, parse_math=False)
    present = np.unique(classes)
    if labels is not None and len(present) <= _MOST_IN_LEGEND:
        handles = [_handle(int(each), class_names) for each in present]
        columns = 1 if len(present) <= 20 else 2
        legend(axes, handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns)
    axes.grid(visible=False)
    # No equal scale: the second axis' share is often small, and distances mean little in a projection.
    axes.set_xticks([])
    axes.set_yticks([])
    label(
        axes,
        title=title,
        x=f"first principal component ({shares[0]:.0%} of the variance)",
        y=f"second ({shares[1]:.0%})",
    )
    return figure


def _scatter(axes: Axes, points: Array, classes: npt.NDArray[np.int64], size: float) -> None:
    """Unknown below, the rest in random order: class by class, the last would hide the others."""
    hues = np.array([_hue(int(each)) for each in classes])
    shapes = np.array([_shape(int(each)) for each in classes])
    order = np.random.default_rng(0).permutation(len(points))
    order = order[np.argsort(classes[order] >= 0, kind="stable")]
    for shape in dict.fromkeys(shapes[order]):
        chosen = order[shapes[order] == shape]
        axes.scatter(
            points[chosen, 0],
            points[chosen, 1],
            s=size,
            c=hues[chosen],
            marker=shape,
            alpha=0.9 if len(points) < 1000 else 0.6,
            linewidths=0.4 if size > 10 else 0,
            edgecolors="white",
            rasterized=len(points) > 5000,  # an SVG with every point would not open
        )


def _handle(index: int, class_names: Sequence[str] | None) -> Line2D:
    if index < 0:
        name = "unknown"
    else:
        name = f"class {index}" if class_names is None else shorten(str(class_names[index]))
    return Line2D([], [], linestyle="", marker=_shape(index), color=_hue(index), markersize=6, label=name)


def _hue(index: int) -> str:
    return "#C8C8C8" if index < 0 else colour(index)


def _shape(index: int) -> str:
    return "o" if index < 0 else marker(index)
