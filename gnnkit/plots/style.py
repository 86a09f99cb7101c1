"""One look for every picture, set on the figure alone: no pyplot, no global settings, no display.

Colours are Okabe & Ito's, which readers with any common colour blindness tell apart
(https://jfly.uni-koeln.de/color/), without their yellow, too faint on white.
"""

from __future__ import annotations

import io
import os
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter, LogLocator, NullLocator

from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.text import printable_text

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#4D4D4D")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
INK = "#262626"
FAINT = "#B0B0B0"

_MARGIN = 0.8  # inches beside axes, for names and numbers
_CHARACTER = 0.077  # inches that one takes in a title, on average
_FORMATS = ("png", "svg", "pdf")


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 5.2, height: float = 3.6
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row; ``width`` and ``height`` of one of them, in inches."""
    figure = Figure(figsize=(width * columns, height * rows), dpi=150, layout="constrained", facecolor="white")
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
    for each in axes:
        plain_axes(each)
    return figure, axes


def plain_axes(axes: Axes) -> None:
    """Two thin spines, light horizontal lines, small ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.grid(axis="y", color=FAINT, alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9, width=0.6, color=FAINT)


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Title and axis names; whatever stands in them is shown as it is, never read as a formula. Long titles wrap."""
    axes.set_title(_wrapped(title, axes), fontsize=11, color=INK, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=10, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=10, color=INK, parse_math=False)


def _wrapped(title: str, axes: Axes) -> str:
    """The title in lines as long as the axes are wide, as far as that is known before the figure is laid out."""
    place, figure = axes.get_subplotspec(), axes.get_figure(root=True)
    if place is None or figure is None:
        return title
    inches = figure.get_figwidth() / place.get_gridspec().ncols - _MARGIN
    characters = max(int(inches / _CHARACTER), 20)
    return "\n".join(textwrap.fill(line, characters, break_long_words=False) for line in title.split("\n"))


def legend(axes: Axes, **placement: Any) -> None:
    """A legend on a pale ground, so that lines below it stay faint; its names shown as they are."""
    drawn = axes.legend(fontsize=9, facecolor="white", edgecolor="none", framealpha=0.85, labelcolor=INK, **placement)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def logarithmic(axes: Axes) -> None:
    """A logarithmic vertical axis whose ticks are plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def colour(index: int) -> str:
    """The palette's colour for a series, from the start again when it is used up."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """The marker for a class: it changes when the colours begin again, so 56 classes stay apart."""
    return MARKERS[index // len(PALETTE) % len(MARKERS)]


def as_array(values: Any) -> npt.NDArray[Any]:
    """A numpy array of an array, a list, or a tensor on any device, with or without gradient."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, SVG or PDF, by the name's ending; atomically, the same bytes each time.

    Raises:
        ValueError: If the ending is another.
        OSError: Naming the file, if it cannot be written.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        raise ValueError(f"pictures are written as .png, .svg or .pdf, got {str(path)!r}")
    # Neither program version nor date inside: equal runs give equal files.
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    buffer = io.BytesIO()
    # The salt of an SVG's element ids, drawn at random otherwise, can be set in no other way.
    _spell_out_controls(figure)
    with mpl.rc_context({"svg.hashsalt": "gnnkit"}), warnings.catch_warnings():
        # Of a name in letters that the font has not: they are drawn as boxes, and that is all there is to say.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format=kind, metadata=metadata)
    atomic_write(path, buffer.getvalue())


def _spell_out_controls(figure: Figure) -> None:
    """Names from files stand in pictures, too, and no letter of a font draws a control character."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (harmless := printable_text(text.get_text())) != text.get_text():
            text.set_text(harmless)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):  # whose labels are made when they are drawn
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter):
                formatter.seq = [printable_text(each) for each in formatter.seq]


def shorten(text: str, limit: int = 28) -> str:
    """``text`` cut to ``limit`` characters, for legends."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def check_lengths(**sizes: Sequence[Any] | npt.NDArray[Any]) -> None:
    """Raise ValueError unless all have the same length, naming each."""
    if len({len(each) for each in sizes.values()}) > 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} {len(each)}" for name, each in sizes.items()))
