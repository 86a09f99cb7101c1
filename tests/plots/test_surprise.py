import math

import numpy as np
import pytest

from gnnkit.plots import save_figure
from gnnkit.plots.surprise import surprise_map


def test_every_character_is_drawn_in_its_place(tmp_path):
    text = "ab\tc\n $x$ \x07\U0001f642漢"
    figure = surprise_map(text, [math.nan, *np.linspace(0, 9, len(text) - 1)], width=5, title="a passage:")
    axes = figure.axes[0]
    drawn = {tuple(map(int, each.get_position())): each.get_text() for each in axes.texts}
    assert drawn[(0, 0)] == "a"
    assert drawn[(2, 0)] == "→"
    assert drawn[(4, 0)] == "↵"
    assert (0, 1) not in drawn  # a space is an empty cell
    assert drawn[(1, 1)] == "$"
    assert "·" in drawn.values()  # what no font has
    values = axes.images[0].get_array()
    assert values.shape == (3, 5)
    assert np.ma.getmaskarray(values)[0, 0] or math.isnan(values[0, 0])
    save_figure(figure, tmp_path / "surprise.png")
    assert (tmp_path / "surprise.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "bits", "options", "message"),
    [
        ("abc", [1, 2], {}, r"got \(2,\) for 3"),
        ("", [], {}, "got 0"),
        ("a" * 4001, [0] * 4001, {}, "got 4001"),
        ("ab", [1, 2], {"width": 0}, "width .* got 0"),
    ],
)
def test_bad_passages_are_refused(text, bits, options, message):
    with pytest.raises(ValueError, match=message):
        surprise_map(text, bits, **options)
