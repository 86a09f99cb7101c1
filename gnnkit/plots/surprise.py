"""A passage as a reader of limited knowledge meets it: every character coloured by its surprise in bits."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from gnnkit.plots.style import INK, as_array, label, new_figure

_FONT = "DejaVu Sans Mono"  # comes with matplotlib
_SHOWN = {"\n": "↵", "\t": "→", " ": ""}
MAX_CHARACTERS = 4000


def surprise_map(text: str, bits: Any, *, width: int = 72, title: str = "") -> Figure:
    """The characters of ``text`` in lines of ``width``, dark where the model was surprised.

    Args:
        text: The passage.
        bits: -log2 p of each of its characters; NaN where there is none (the first), which is left white.
        width: Characters a line.
        title: Above the figure.

    Raises:
        ValueError: If there is not one number per character, or more characters than a page holds.

    Example:
        >>> figure = surprise_map("the tea", [float("nan"), 2, 1, 0.5, 3, 0.1, 6])
        >>> len(figure.axes)  # the passage and the scale
        2
    """
    values = as_array(bits).astype(np.float64)
    if values.shape != (len(text),):
        raise ValueError(f"there must be one number per character, got {values.shape} for {len(text)} characters")
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise ValueError(f"a page holds 1 to {MAX_CHARACTERS} characters, got {len(text)}; choose a shorter passage")
    if width < 1:
        raise ValueError(f"width must be 1 or more, got {width}")
    lines = -(-len(text) // width)
    grid = np.full(lines * width, np.nan)
    grid[: len(text)] = values
    figure, [axes] = new_figure(width=0.13 * width + 1.2, height=0.24 * lines + 0.9)
    image = axes.imshow(grid.reshape(lines, width), cmap="OrRd", vmin=0, vmax=_top(values), aspect="auto")
    font = FontProperties(family=_FONT)
    known = get_font(findfont(font))
    for place, char in enumerate(text):
        glyph = _SHOWN.get(char, char)
        if glyph and not (glyph.isprintable() and known.get_char_index(ord(glyph))):
            glyph = "·"
        if glyph:
            dark = values[place] > 0.6 * _top(values)
            axes.text(
                place % width,
                place // width,
                glyph,
                ha="center",
                va="center",
                fontsize=9,
                fontproperties=font,
                color="white" if dark else INK,
                parse_math=False,
            )
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    known_bits = values[np.isfinite(values)]
    mean = f"mean {known_bits.mean():.2f} bits per character" if known_bits.size else ""
    label(axes, title="\n".join(textwrap.wrap(f"{title}  {mean}".strip(), max(width, 40))))
    figure.colorbar(image, ax=axes, label="surprise, bits", fraction=0.03, pad=0.01)
    return figure


def _top(values: np.ndarray[Any, Any]) -> float:
    """The end of the scale: the 98th percentile, so that one typing error does not pale all the rest."""
    finite = values[np.isfinite(values)]
    return max(1.0, float(np.percentile(finite, 98))) if finite.size else 1.0
