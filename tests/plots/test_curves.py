import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from gnnkit.plots import curves
from gnnkit.plots.curves import mean_and_std
from gnnkit.runs import MetricsLog, read_metrics


def line(axes, name):
    (found,) = [each for each in axes.get_lines() if each.get_label() == name]
    return found


def test_one_run_is_drawn_as_it_is_with_its_selected_epoch(tmp_path):
    log = MetricsLog(tmp_path / "m.csv", ["epoch", "train_loss", "val_loss"])
    for epoch in (1, 2, 3):
        log.append(epoch, {"train_loss": 3.0 / epoch, "val_loss": None if epoch == 2 else 1.0 * epoch})
    log.flush()
    figure = curves([read_metrics(tmp_path / "m.csv")], {"loss": ["train_loss", "val_loss"]}, selected=[2], title="GCN")
    (axes,) = figure.axes
    np.testing.assert_array_equal(line(axes, "train loss").get_xydata(), [[1, 3], [2, 1.5], [3, 1]])
    np.testing.assert_array_equal(line(axes, "val loss").get_xydata(), [[1, 1], [3, 3]])
    assert line(axes, "selected: 2").get_xdata() == [2, 2]
    assert not [each for each in axes.collections if isinstance(each, PolyCollection)]
    assert figure.get_suptitle() == "GCN"


def test_many_runs_are_a_mean_and_a_band():
    runs = [
        {"epoch": np.array([1, 2, 3]), "loss": np.array([3.0, 2.0, np.nan])},
        {"epoch": np.array([1, 2]), "loss": np.array([5.0, 2.0])},
        {"epoch": np.array([1, 2, 3, 4]), "loss": np.array([4.0, 2.0, 7.0, 1.0])},
    ]
    steps, mean, std = mean_and_std([(run["epoch"], run["loss"]) for run in runs])
    np.testing.assert_array_equal(steps, [1, 2, 3, 4])
    np.testing.assert_allclose(mean, [4, 2, 7, 1])
    np.testing.assert_allclose(std, [np.std([3, 5, 4]), 0, 0, 0])
    (axes,) = (figure := curves(runs, {"loss": ["loss"]}, selected=[2, None, 4])).axes
    assert [each for each in axes.collections if isinstance(each, PolyCollection)]
    assert line(axes, "selected: 2 to 4, median 3").get_xdata() == [3, 3]
    assert "3 runs" in figure.get_suptitle()


def test_panels_and_scales():
    run = {"step": [10, 20], "loss": [0.5, 0.05], "accuracy": [0.1, 0.9]}
    loss, accuracy = curves([run], {"loss": ["loss"], "hits": ["accuracy"]}, step="step", log_scale=["loss"]).axes
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert (loss.get_xlabel(), accuracy.get_title(loc="left")) == ("step", "hits")


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_run_stopped_at_once_can_be_drawn(tmp_path, epochs):
    from gnnkit.plots import save_figure

    run = {"epoch": np.arange(1.0, epochs + 1), "loss": np.ones(epochs)}
    save_figure(curves([run], {"loss": ["loss"]}), tmp_path / "f.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], {"loss": ["loss"]}), "0 runs and 1 panels"),
        (([{"epoch": [1]}], {}), "1 runs and 0 panels"),
        (([{"epoch": [1]}], {"loss": ["loss"]}), r"no column 'loss'; it has \['epoch'\]"),
    ],
)
def test_nothing_to_draw_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        curves(*arguments)


def test_selected_and_scales_must_match():
    run = {"epoch": [1], "loss": [1]}
    with pytest.raises(ValueError, match="got 2 for 1 runs"):
        curves([run], {"loss": ["loss"]}, selected=[1, 2])
    with pytest.raises(ValueError, match=r"log_scale names \['los'\]"):
        curves([run], {"loss": ["loss"]}, log_scale=["los"])
