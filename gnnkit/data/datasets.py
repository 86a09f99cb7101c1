"""``load_dataset("cora")``: from a name to `NodeData`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gnnkit.data.arrays import Array, csr_tensor, identity_features, row_normalized
from gnnkit.data.coauthor_amazon import read_coauthor_amazon
from gnnkit.data.karate import KARATE_EDGES, KARATE_LABELS, KARATE_TRAINING_NODES, NUM_MEMBERS
from gnnkit.data.node_data import NodeData
from gnnkit.data.planetoid import read_planetoid
from gnnkit.data.registry import DatasetInfo, Kind, data_root, dataset_info, download_command
from gnnkit.data.splits import random_split, stratified_split
from gnnkit.errors import MissingDataError
from gnnkit.graph.adjacency import Adjacency

SplitName = Literal["public", "random", "stratified"]


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    split: SplitName | None = None,
    seed: int = 0,
    normalize_features: bool = True,
) -> NodeData:
    """A data set by name: karate, cora, citeseer, pubmed, photo, computers, cs, physics.

    Features are sparse, edges run both ways, and all equals what PyG's data sets hold.

    Args:
        name: Case does not matter; ``amazon-photo`` and ``coauthor-cs`` are known too.
        root: Folder with ``planetoid/Cora/raw/ind.cora.x`` and so on, or PyG's ``Cora/raw/...``; the
            environment variable GNNKIT_DATA where omitted, else ``~/.cache/gnnkit``.
        split: ``"public"``, which karate, cora, citeseer and pubmed have and where it is the default;
            ``"random"``, 20 training nodes per class, 500 to validate, 1000 to test; ``"stratified"``,
            60, 20 and 20 % of every class. For other sizes see `NodeData.with_split`.
        seed: Which of the random splits.
        normalize_features: Whether each node's features are divided by their sum, as in Kipf & Welling.

    Raises:
        TypeError: If the name is no string.
        ValueError: If the name or split is unknown, or the data set has no such split.
        MissingDataError: If a file is absent; the message says which, where it was looked for, and the
            command that fetches it.
        FileFormatError: If a file is damaged.

    Example:
        >>> karate = load_dataset("karate")
        >>> karate.num_nodes, karate.num_classes, karate.train_mask.nonzero().view(-1).tolist()
        (34, 4, [0, 4, 8, 24])
    """
    info = dataset_info(name)
    if split not in (None, "public", "random", "stratified"):
        raise ValueError(f"split must be 'public', 'random' or 'stratified', got {split!r}")
    if split == "public" and info.kind is Kind.COAUTHOR_AMAZON:
        raise ValueError(f"{info.name} has no public split; use split='random' or split='stratified'")
    data = _READERS[info.kind](info, data_root(root))
    if split == "random" or (split is None and info.kind is Kind.COAUTHOR_AMAZON):
        data = data.with_split(random_split(data.y, seed=seed))
    elif split == "stratified":
        data = data.with_split(stratified_split(data.y, seed=seed))
    assert isinstance(data.x, Tensor), "no data set here has sequences on its nodes"
    return replace(data, x=row_normalized(data.x)) if normalize_features else data


def locate_files(info: DatasetInfo, root: Path) -> Path:
    """The folder under ``root`` that has every file of the data set.

    Raises:
        MissingDataError: If there is none.
    """
    folder = info.folder_in(root)
    absent = info.missing_from(folder)
    if not absent:
        return folder
    looked = folder if len(absent) < len(info.files) else " and in ".join(map(str, info.folders(root)))
    others = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
    raise MissingDataError(
        f"{info.name}: the file {absent[0]}{others} is missing; looked in {looked}. "
        f"Fetch it with: {download_command(info, root)}\n"
        "or name a folder that has it with --data-root or the environment variable GNNKIT_DATA"
    )


def _karate(info: DatasetInfo, root: Path) -> NodeData:
    one_way = np.array(KARATE_EDGES, dtype=np.int64).T
    y = torch.tensor(KARATE_LABELS)
    train_mask = _mask(np.array(KARATE_TRAINING_NODES), NUM_MEMBERS)
    return NodeData(
        adjacency=_adjacency(np.concatenate([one_way, one_way[::-1]], axis=1), NUM_MEMBERS),
        x=identity_features(NUM_MEMBERS),
        y=y,
        train_mask=train_mask,
        val_mask=torch.zeros_like(train_mask),
        test_mask=~train_mask,
        name=info.name,
    )


def _planetoid(info: DatasetInfo, root: Path) -> NodeData:
    arrays = read_planetoid(locate_files(info, root), info.name)
    size = len(arrays.labels)
    return NodeData(
        adjacency=_adjacency(arrays.edge_index, size),
        x=csr_tensor(arrays.features),
        y=torch.from_numpy(arrays.labels),
        train_mask=_mask(arrays.train, size),
        val_mask=_mask(arrays.val, size),
        test_mask=_mask(arrays.test, size),
        name=info.name,
    )


def _coauthor_amazon(info: DatasetInfo, root: Path) -> NodeData:
    arrays = read_coauthor_amazon(locate_files(info, root) / info.files[0].name)
    nobody = torch.zeros(len(arrays.labels), dtype=torch.bool)
    return NodeData(
        adjacency=_adjacency(arrays.edge_index, len(arrays.labels)),
        x=csr_tensor(arrays.features),
        y=torch.from_numpy(arrays.labels),
        train_mask=nobody,
        val_mask=nobody,
        test_mask=nobody,
        name=info.name,
        class_names=arrays.class_names,
    )


_READERS = {Kind.EMBEDDED: _karate, Kind.PLANETOID: _planetoid, Kind.COAUTHOR_AMAZON: _coauthor_amazon}


def _adjacency(edge_index: Array, num_nodes: int) -> Adjacency:
    return Adjacency.from_edge_index(
        torch.from_numpy(np.ascontiguousarray(edge_index)), num_nodes=num_nodes, coalesce="error"
    )


def _mask(nodes: Array, size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[torch.from_numpy(nodes)] = True
    return mask
