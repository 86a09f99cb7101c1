import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnkit.data import DATASETS, data_root, dataset_info, load_dataset
from gnnkit.errors import FileFormatError, MissingDataError


def test_karate_equals_pyg():
    from torch_geometric.datasets import KarateClub

    expected = KarateClub()[0]
    ours = load_dataset("karate")
    assert torch.equal(ours.adjacency.to_edge_index()[0], expected.edge_index)
    assert torch.equal(ours.x.to_dense(), expected.x)
    assert torch.equal(ours.y, expected.y)
    assert torch.equal(ours.train_mask, expected.train_mask)
    assert torch.equal(ours.test_mask, ~expected.train_mask)
    assert not ours.val_mask.any()
    assert ours.x.layout == torch.sparse_csr


def test_registered_sizes_are_those_of_karate():
    info, data = dataset_info("karate"), load_dataset("karate")
    sizes = (data.num_nodes, data.adjacency.num_edges, data.num_features, data.num_classes)
    assert sizes == (info.num_nodes, info.num_edges, info.num_features, info.num_classes)


def test_importing_the_data_loads_neither_pyg_nor_networkx():
    code = (
        "import sys, gnnkit.data; gnnkit.data.load_dataset('karate');"
        "print([m for m in ('torch_geometric', 'networkx', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "meant"), [("coraa", "cora"), ("amazon-foto", "photo"), ("fysics", "physics")])
def test_an_unknown_name_lists_the_names_and_the_nearest(name, meant):
    with pytest.raises(ValueError, match=f"no data set '{name}'; did you mean '{meant}'.*karate, cora, citeseer"):
        load_dataset(name)


def test_a_name_like_no_other_lists_the_names():
    with pytest.raises(ValueError, match=r"no data set 'xyz' \(there are karate, cora"):
        load_dataset("xyz")
    with pytest.raises(TypeError, match=r"name must be a string, got None; there are karate, cora"):
        load_dataset(None)


@pytest.mark.parametrize(("alias", "name"), [("Cora", "cora"), ("Coauthor_CS", "cs"), ("amazon-computers", "computers"), ("karate-club", "karate")])  # fmt: skip  # noqa: E501
def test_other_names(alias, name):
    assert dataset_info(alias).name == name


def test_every_address_is_https_and_every_checksum_whole():
    files = [file for info in DATASETS.values() for file in info.files]
    assert len(files) == 28
    assert all(file.url.startswith("https://") and file.url.endswith(file.name) for file in files)
    pinned = [file.sha256 for file in files if file.sha256]
    assert len(set(pinned)) == 23
    assert all(len(sha256) == 64 and set(sha256) <= set("0123456789abcdef") for sha256 in pinned)


def test_where_the_data_is_looked_for(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("GNNKIT_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_root() == Path("/home/someone/.cache/gnnkit")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert data_root() == Path("/caches/gnnkit")
    monkeypatch.setenv("GNNKIT_DATA", "~/data")
    assert data_root() == Path("/home/someone/data")
    assert data_root("elsewhere") == Path("elsewhere")


def test_missing_files_say_which_where_and_what_helps(tmp_path, monkeypatch):
    monkeypatch.setenv("GNNKIT_DATA", str(tmp_path))
    with pytest.raises(MissingDataError) as caught:
        load_dataset("cora")
    message = str(caught.value)
    for part in ("ind.cora.x (and 7 more)", str(tmp_path / "planetoid/Cora/raw"), str(tmp_path / "Cora/raw")):
        assert part in message
    assert "gnnkit data download cora\n" in message
    with pytest.raises(MissingDataError, match=r"gnnkit data download photo --data-root '.*a folder'"):
        load_dataset("photo", tmp_path / "a folder")


def test_one_missing_file_is_looked_for_where_the_others_are(tmp_path, build):
    folder = build.write_planetoid(tmp_path / "CiteSeer" / "raw", "citeseer")
    (folder / "ind.citeseer.ty").unlink()
    with pytest.raises(MissingDataError, match=rf"ind\.citeseer\.ty is missing; looked in {folder}\."):
        load_dataset("citeseer", tmp_path)


@pytest.mark.parametrize("folder", ["amazon/Photo/raw", "Photo/raw"])
def test_both_layouts_of_the_root(tmp_path, build, folder):
    (tmp_path / folder).mkdir(parents=True)
    np.savez(tmp_path / folder / "amazon_electronics_photo.npz", **build.npz_arrays())
    with pytest.raises(ValueError, match="train_per_class=20, but class 0 has 1"):
        load_dataset("photo", tmp_path)
    with pytest.raises(ValueError, match="too few for a part each"):
        load_dataset("photo", tmp_path, split="stratified")


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / "Photo/raw/amazon_electronics_photo.npz").mkdir(parents=True)
    with pytest.raises(FileFormatError, match="not a regular file"):
        load_dataset("photo", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_where_a_file_should_be_does_not_hang(tmp_path):
    (tmp_path / "Photo/raw").mkdir(parents=True)
    os.mkfifo(tmp_path / "Photo/raw/amazon_electronics_photo.npz")
    with pytest.raises(FileFormatError, match="not a regular file"):
        load_dataset("photo", tmp_path)


def test_splits_by_name():
    assert load_dataset("karate", split="stratified").train_mask.sum() == 20
    assert load_dataset("karate", split="public").train_mask.sum() == 4
    with pytest.raises(ValueError, match="train_per_class=20, but class"):
        load_dataset("karate", split="random")
    with pytest.raises(ValueError, match="got 'geom-gcn'"):
        load_dataset("karate", split="geom-gcn")
    with pytest.raises(ValueError, match="photo has no public split"):
        load_dataset("photo", split="public")


@pytest.mark.data
def test_random_splits_of_real_data(data_folder):
    first, second = (load_dataset("cora", data_folder, split="random", seed=seed) for seed in (0, 1))
    assert [int(m.sum()) for m in (first.train_mask, first.val_mask, first.test_mask)] == [140, 500, 1000]
    assert not torch.equal(first.train_mask, second.train_mask)
    assert load_dataset("photo", data_folder).train_mask.sum() == 160
