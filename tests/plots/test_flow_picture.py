"""The pictures of influence: what is drawn where, and what cannot be drawn."""

import numpy as np
import pytest

from gnnkit.plots.flow import flow_figure, light_cone
from gnnkit.plots.style import save_figure


def test_shares_ranges_and_distances_without_influence(tmp_path):
    shares = np.array([[0.5, 0.25, 0.0, 0.25], [0.7, 0.3, 0.0, 0.0], [np.nan] * 4])
    figure = flow_figure({"one": shares, "two": [[1.0, 0.0]]}, title="$a$")
    (axes,) = figure.axes
    line, cross, triangle = axes.lines[:3]
    np.testing.assert_allclose(line.get_ydata(), [0.6, 0.275, np.nan, 0.125])
    assert cross.get_xdata().tolist() == [2]
    assert triangle.get_xdata()[0] == pytest.approx(0.275 + 3 * 0.125)
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    save_figure(figure, tmp_path / "flow.png")
    save_figure(flow_figure({"nothing": [[np.nan, np.nan]]}), tmp_path / "nothing.png")


def test_a_light_cone_is_white_where_nothing_comes_from(tmp_path):
    figure = light_cone([[0.5, 0.2, 0.0], [0.0, 0.2, 0.1]])
    image = figure.axes[0].images[0]
    assert image.get_array().shape == (3, 2)
    assert image.get_array().mask.tolist() == [[False, True], [False, False], [True, False]]
    save_figure(figure, tmp_path / "cone.png")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: flow_figure({}), "no series"),
        (lambda: flow_figure({"a": [1.0]}), r"got \(1,\)"),
        (lambda: flow_figure({"a": [[-1.0, 2.0]]}), "below 0"),
        (lambda: light_cone([1.0]), r"got shape \(1,\)"),
        (lambda: light_cone([[0.0]]), r"got shape \(1, 1\)"),
    ],
)
def test_mistakes_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
