import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from gnnkit.plots import accuracy_by_length, gate_activations, influence_by_distance, save_figure, temporal_gates


def lines(axes):
    return {each.get_label(): each for each in axes.get_lines()}


def test_influence_is_drawn_on_a_logarithmic_axis_by_distance():
    (axes,) = (figure := influence_by_distance({"rnn": [1.0, 0.5, 0.25], "lstm": [1.0, 1.0]}, title="t")).axes
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "steps back"
    np.testing.assert_allclose(lines(axes)["rnn"].get_xydata(), [[0, 1], [1, 0.5], [2, 0.25]])
    np.testing.assert_allclose(lines(axes)["lstm"].get_xydata(), [[0, 1], [1, 1]])
    assert not [each for each in axes.collections if isinstance(each, PolyCollection)]
    assert figure.axes[0].get_title(loc="left") == "t"


def test_several_runs_are_a_geometric_mean_and_a_band():
    (axes,) = influence_by_distance({"gcn": [[1.0, 0.1], [1.0, 0.001]]}, distance="hops").axes
    np.testing.assert_allclose(lines(axes)["gcn"].get_ydata(), [1, 0.01])
    (band,) = [each for each in axes.collections if isinstance(each, PolyCollection)]
    assert band.get_paths()[0].get_extents().ymin == pytest.approx(0.001)
    assert axes.get_xlabel() == "hops"


def test_an_influence_of_exactly_zero_is_a_cross_at_the_foot(tmp_path):
    figure = influence_by_distance({"2 layers": [1.0, 0.5, 0.0, 0.0]})
    crosses = [each for each in figure.axes[0].get_lines() if each.get_marker() == "x"]
    assert crosses[0].get_xdata().tolist() == [2, 3]
    assert np.isnan(lines(figure.axes[0])["2 layers"].get_ydata()[2:]).all()
    save_figure(figure, tmp_path / "f.png")


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({}, "nothing to draw"),
        ({"a": []}, "'a' must be"),
        ({"a": [1.0, -1.0]}, "'a' holds a value that is negative"),
        ({"a": [1.0, np.nan]}, "'a' holds a value that is negative or not finite"),
    ],
)
def test_influence_that_cannot_be_drawn_is_an_error(series, message):
    with pytest.raises(ValueError, match=message):
        influence_by_distance(series)


def test_gates_are_units_by_steps_in_order_of_their_means(tmp_path):
    gates = {"i": np.array([[0.1, 0.9], [0.3, 0.7]]), "g": np.array([[-0.5, 0.5], [0.0, 0.25]])}
    figure = gate_activations(gates, title="lstm")
    i, g = figure.axes[:2]
    np.testing.assert_array_equal(i.images[0].get_array(), [[0.9, 0.7], [0.1, 0.3]])
    assert i.images[0].get_clim() == (0, 1)
    assert g.images[0].get_clim() == (-1, 1)
    assert i.get_title(loc="left") == "i (mean 0.50)"
    save_figure(figure, tmp_path / "f.png")


def test_gates_that_cannot_be_drawn_are_an_error():
    with pytest.raises(ValueError, match="no gates"):
        gate_activations({})
    with pytest.raises(ValueError, match=r"'i' must be \(steps, units\), got \(3,\)"):
        gate_activations({"i": [1, 2, 3]})


def test_temporal_gates_have_a_panel_each(tmp_path):
    figure = temporal_gates(
        [0, 1, 2], {"period": {"tau = 2": [0, 1, 0], "tau = 4": [0, 0.5, 1]}, "shift": {"s": [0, 0, 0]}}
    )
    first, second = figure.axes
    np.testing.assert_array_equal(lines(first)["tau = 4"].get_ydata(), [0, 0.5, 1])
    assert second.get_title(loc="left") == "shift"
    save_figure(figure, tmp_path / "f.png")
    with pytest.raises(ValueError, match=r"'s' has shape \(2,\) for times of shape \(3,\)"):
        temporal_gates([0, 1, 2], {"shift": {"s": [0, 0]}})
    with pytest.raises(ValueError, match="no panels"):
        temporal_gates([0], {})


def test_accuracy_by_length_is_a_mean_with_every_run_a_dot(tmp_path):
    figure = accuracy_by_length(
        {"all": {"rnn": {10: [0.5, 0.7], 5: [1.0, 1.0]}}, "last": {"rnn": {5: [1.0]}}}, chance=0.1
    )
    everything, last = figure.axes
    np.testing.assert_allclose(lines(everything)["rnn"].get_xydata(), [[5, 1], [10, 0.6]])
    assert lines(everything)["guessing"].get_ydata()[0] == 0.1
    (dots,) = [each for each in everything.get_lines() if each.get_marker() == "."]
    np.testing.assert_allclose(dots.get_xydata(), [[5, 1], [5, 1], [10, 0.5], [10, 0.7]])
    assert not [each for each in last.collections if isinstance(each, PolyCollection)]
    save_figure(figure, tmp_path / "f.png")


def test_lengths_that_cannot_be_drawn_are_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        accuracy_by_length({})
    with pytest.raises(ValueError, match="'rnn' has no run of length 5"):
        accuracy_by_length({"all": {"rnn": {5: []}}})
