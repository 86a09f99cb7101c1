import subprocess
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from gnnkit.plots import curves, embedding, save_figure
from gnnkit.plots.style import MARKERS, PALETTE, as_array, colour, label, marker, new_figure


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_ending_decides_the_format(tmp_path, ending, start):
    figure, _ = new_figure()
    save_figure(figure, tmp_path / f"f.{ending}")
    assert (tmp_path / f"f.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_equal_figures_are_equal_files(tmp_path, ending):
    for name in ("a", "b"):
        save_figure(embedding(np.eye(5), [0, 1, 2, 1, 0]), tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_a_failed_write_keeps_the_older_picture(tmp_path, monkeypatch):
    import os

    (tmp_path / "f.png").write_text("older")

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"No space left on device\): '.*f\.png'"):
        save_figure(new_figure()[0], tmp_path / "f.png")
    assert (tmp_path / "f.png").read_text() == "older"


@pytest.mark.parametrize("name", ["f.jpg", "f", "f.png.exe"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"\.png, \.svg or \.pdf, got '.*{name}'"):
        save_figure(Figure(), tmp_path / name)


def test_global_settings_stay_as_they_were_and_pyplot_is_not_needed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = dict(mpl.rcParams)
        embedding(np.eye(4), [0, 1, 0, 1])
        curves([{"epoch": [1, 2], "loss": [2, 1]}], {"loss": ["loss"]}, title="t", log_scale=["loss"])
        assert dict(mpl.rcParams) == before
    code = "import gnnkit.plots, sys; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]


def test_every_class_has_its_own_colour_and_marker():
    count = len(PALETTE) * len(MARKERS)
    assert len({(colour(index), marker(index)) for index in range(count)}) == count


def test_tensors_become_arrays():
    assert as_array(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert as_array([1, 2]).tolist() == [1, 2]


def test_a_long_title_stays_within_its_picture():
    for columns in (1, 2):
        figure, axes = new_figure(1, columns, width=6.4)
        words = "METR-LA traffic speed, a subset of 10 sensors for four months, 8 edges between sensors, error by node"
        for each in axes:
            label(each, title=words, x="x", y="y")
        figure.draw_without_rendering()
        for place, each in enumerate(axes):
            assert each.get_title(loc="left").split() == words.split()
            assert each._left_title.get_window_extent().x1 <= figure.bbox.width * (place + 1) / columns
    label(axes[0], title="a name\nas it was given")
    assert axes[0].get_title(loc="left") == "a name\nas it was given"
