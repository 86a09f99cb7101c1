"""Values on the nodes of a graph over time: Hungarian chickenpox, METR-LA, a user's table, a known process."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnkit.data.registry import data_root
from gnnkit.data.tables import UNKNOWN, row_of_each_name
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.edge_list import split_cells
from gnnkit.graph.files import file_ending, read_graph
from gnnkit.storage.archives import open_arrays
from gnnkit.storage.json_files import read_json
from gnnkit.storage.text import finite_number
from gnnkit.storage.text_lines import numbered_lines

# Of a first column that counts the steps, as spreadsheets and pandas write it.
_STEP_TITLES = {"time", "timestamp", "datetime", "date", "step", "year", "index", "t", "unnamed: 0"}
_MAX_ARCHIVE_BYTES = 2**28


@dataclass(frozen=True)
class TemporalData:
    """One value per step and node.

    Checked once, here, so that nothing downstream checks again.

    Attributes:
        values: ``(T, N)``, floating point; made 0 where not observed.
        observed: ``(T, N)``, booleans.
        adjacency: The graph.
        name: Short, for folders.
        title: For pictures and reports: what it is and what it is not.
        unit: Of the values.
        period: Steps of a cycle that time features and averages follow, such as a day; None without one.
        fractions: Shares of the training and the validation part, in time order; the rest is tested.
        loss: ``"mae"`` or ``"mse"``, as the data's protocol has it.
        node_names: One per node.
        best_mse: The least mean squared error that any forecast can expect, for 1, 2, ... steps ahead, where
            it is known.

    Raises:
        TypeError: If values or observed are no tensors of their kind, or the graph is no ``Adjacency``.
        ValueError: If a shape does not fit, an observed value is not finite, or there is no such period, loss
            or split.
    """

    values: Tensor
    observed: Tensor
    adjacency: Adjacency
    name: str
    title: str
    unit: str
    period: int | None
    fractions: tuple[float, float]
    loss: str
    node_names: tuple[str, ...]
    best_mse: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _check_values(self.values, self.observed)
        if not isinstance(self.adjacency, Adjacency):
            raise TypeError(f"adjacency must be an Adjacency, got {type(self.adjacency).__name__}")
        if not self.adjacency.num_nodes == len(self.node_names) == self.num_nodes:
            raise ValueError(
                f"values has {self.num_nodes} nodes, a column each, but the graph {self.adjacency.num_nodes} and "
                f"node_names {len(self.node_names)}; they must agree"
            )
        if self.period is not None and not (isinstance(self.period, int | np.integer) and self.period >= 1):
            raise ValueError(f"period must be a whole number of steps, 1 or more, or None, got {self.period!r}")
        if len(self.fractions) != 2 or not (min(self.fractions) > 0 and sum(self.fractions) < 1):
            raise ValueError(
                "fractions must be the shares that train and validate, above 0 and together below 1, "
                f"got {self.fractions}"
            )
        if self.loss not in ("mae", "mse"):
            raise ValueError(f"loss must be 'mae' or 'mse', got {self.loss!r}")
        # What was not observed may hold anything, NaN too, and NaN times 0 is NaN.
        object.__setattr__(self, "values", torch.where(self.observed, self.values, 0.0))

    @property
    def num_steps(self) -> int:
        """T."""
        return self.values.size(0)

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.values.size(1)


def _check_values(values: Tensor, observed: Tensor) -> None:
    for name, tensor in (("values", values), ("observed", observed)):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{name} must be a torch.Tensor, got {type(tensor).__name__}; make one with torch.as_tensor"
            )
    if not values.dtype.is_floating_point:
        raise TypeError(f"values must be floating point, got {values.dtype}; convert them with values.float()")
    if observed.dtype != torch.bool:
        raise TypeError(f"observed must be bool, got {observed.dtype}; convert it with observed.bool()")
    if values.dim() != 2 or observed.shape != values.shape:
        raise ValueError(
            "values and observed must have one shape (T, N), a row per step and a column per node, got "
            f"{tuple(values.shape)} and {tuple(observed.shape)}"
        )
    wrong = torch.nonzero(observed & ~values.isfinite())
    if len(wrong):
        step, node = wrong[0].tolist()
        raise ValueError(
            f"values must be finite where observed, got {float(values[step, node])} at step {step} of node {node}; "
            "mark it as not observed"
        )


TEMPORAL_DATASETS = ("diffusion", "chickenpox", "metr-la")


def load_temporal(name: str, root: str | os.PathLike[str] | None = None) -> TemporalData:
    """A data set by name: ``"diffusion"`` (embedded), ``"chickenpox"`` or ``"metr-la"`` (10 sensors).

    Raises:
        ValueError: If there is none of that name.
        MissingDataError: If its file is absent.
        FileFormatError: If its file is not what it should be.
    """
    if name == "diffusion":
        return diffusion_process()
    if name not in TEMPORAL_DATASETS:
        raise ValueError(f"no temporal data set is called {name!r}; there are {', '.join(TEMPORAL_DATASETS)}")
    folder = data_root(root)
    if name == "chickenpox":
        return read_chickenpox(_present(folder / "temporal" / "chickenpox.json"))
    return read_metr_la(_present(folder / "metr_la" / "metr_la_10sensors_4months.npz"))


def _present(path: Path) -> Path:
    if not path.is_file():
        raise MissingDataError(f"{path} is absent; put the file there, or name its data root with --data-root")
    return path


def diffusion_process(
    num_nodes: int = 20, num_steps: int = 2000, *, memory: float = 0.95, noise: float = 1.0, seed: int = 0
) -> TemporalData:
    """Heat that is carried along a directed ring with chords: x_t = memory D_in^-1 W^T x_{t-1} + noise.

    Each node's next value is made of what lies upstream, hardly of its own past, so a model without
    the graph is blind. The best forecast of h steps is the h-th power of the matrix, and its error
    is known: noise^2 times the mean squared row length of the powers 0 to h - 1, added up.

    Raises:
        ValueError: If ``memory`` does not lie between 0 and 1, or there are fewer than 4 nodes.
    """
    if not 0 < memory < 1:
        raise ValueError(f"memory must lie between 0 and 1, where the process is stationary, got {memory}")
    if num_nodes < 4:
        raise ValueError(f"a ring with chords needs 4 nodes or more, got {num_nodes}")
    generator = torch.Generator().manual_seed(seed)
    weight = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    ring = torch.arange(num_nodes)
    weight[ring, (ring + 1) % num_nodes] = 1.0
    for target in torch.randperm(num_nodes, generator=generator)[: num_nodes // 3].tolist():
        away = int(torch.randint(2, num_nodes - 1, (1,), generator=generator))
        weight[(target - away) % num_nodes, target] = 0.5
    step = memory * (weight / weight.sum(0)).T
    x = torch.zeros(num_nodes, dtype=torch.float64)
    values = []
    warm_up = math.ceil(10 / (1 - memory))
    for shock in noise * torch.randn(warm_up + num_steps, num_nodes, generator=generator, dtype=torch.float64):
        x = step @ x + shock
        values.append(x)
    power, total, best = torch.eye(num_nodes, dtype=torch.float64), 0.0, []
    for _ in range(12):
        total += noise**2 * float(power.square().sum()) / num_nodes
        best.append(total)
        power = step @ power
    return TemporalData(
        values=torch.stack(values[warm_up:]).float(),
        observed=torch.ones(num_steps, num_nodes, dtype=torch.bool),
        adjacency=Adjacency.from_dense(weight.float()),
        name="diffusion",
        title=f"diffusion on a directed ring with chords, {num_nodes} nodes, seed {seed}",
        unit="",
        period=None,
        fractions=(0.7, 0.1),
        loss="mse",
        node_names=tuple(map(str, range(num_nodes))),
        best_mse=tuple(best),
    )


def read_chickenpox(path: str | os.PathLike[str]) -> TemporalData:
    """Weekly chickenpox cases of Hungary's 20 counties, standardised (Rozemberczki et al., 2021).

    Raises:
        FileFormatError: If it is not such a file.
    """
    content = read_json(path)
    try:
        values = torch.tensor(content["FX"], dtype=torch.float32)
        edges = torch.tensor(content["edges"], dtype=torch.long)
        names = {int(number): str(name) for name, number in content["node_ids"].items()}
        adjacency = Adjacency.from_edge_index(edges.t(), num_nodes=len(names), coalesce="max")
        if values.dim() != 2 or values.size(1) != len(names) or not bool(values.isfinite().all()):
            raise ValueError(f"FX has shape {tuple(values.shape)} for {len(names)} nodes")
        node_names = tuple(names[number] for number in range(len(names)))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        # torch's word for a number that is too large for it is a RuntimeError.
        raise FileFormatError(path, "is not the chickenpox data", text=f"{type(error).__name__}: {error}") from error
    return TemporalData(
        values=values,
        observed=torch.ones_like(values, dtype=torch.bool),
        adjacency=adjacency,
        name="chickenpox",
        title=f"chickenpox in Hungary, {values.size(1)} counties, weekly, standardised",
        unit="",
        period=52,
        fractions=(0.8, 0.1),
        loss="mse",
        node_names=node_names,
    )


def read_metr_la(path: str | os.PathLike[str]) -> TemporalData:
    """Traffic speeds from an archive with ``speed``, ``adj``, ``sensor_ids`` and ``step_minutes``; 0 is missing.

    Raises:
        FileFormatError: If it is not such a file.
    """
    with open_arrays(path, max_bytes=_MAX_ARCHIVE_BYTES) as archive:
        speed, adjacency = archive.array("speed"), archive.array("adj")
        names = archive.array("sensor_ids") if "sensor_ids" in archive.names else np.arange(speed.shape[-1])
        minutes = archive.array("step_minutes") if "step_minutes" in archive.names else np.asarray(5)
    if speed.ndim != 2 or adjacency.shape != (speed.shape[1],) * 2 or names.shape != speed.shape[1:]:
        raise FileFormatError(path, f"speed has shape {speed.shape} and adj {adjacency.shape}; they do not fit")
    values, weight = _finite(path, "speed", speed), _finite(path, "adj", adjacency)
    if minutes.size != 1 or minutes.dtype.kind not in "iu" or not 1 <= int(minutes.item()) <= 24 * 60:
        raise FileFormatError(
            path, f"step_minutes must be one whole number from 1 to 1440, got {minutes.tolist()!r:.60}"
        )
    graph = Adjacency.from_dense(weight)
    between = graph.num_edges - graph.num_self_loops
    subset = "" if speed.shape[1] == 207 else f", a subset of {speed.shape[1]} of 207 sensors"
    return TemporalData(
        values=values,
        observed=values != 0,
        adjacency=graph,
        name="metr-la",
        title=f"METR-LA traffic speed{subset}, {between} edges between sensors",
        unit="mph",
        period=24 * 60 // int(minutes.item()),
        fractions=(0.7, 0.1),
        loss="mae",
        node_names=tuple(map(str, names.tolist())),
    )


def _finite(path: str | os.PathLike[str], name: str, array: Any) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise FileFormatError(path, f"{name} must be real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        values = torch.from_numpy(array.astype(np.float32))
    if not bool(values.isfinite().all()):
        raise FileFormatError(path, f"{name} holds numbers that are not finite; missing readings are 0")
    return values


def read_values(
    values: str | os.PathLike[str],
    edges: str | Path,
    *,
    directed: bool = False,
    period: int | None = None,
) -> TemporalData:
    """A user's table, a step a row and a node a column, titled with the nodes' names, and the edges.

    An empty cell, ``?``, ``na``, ``nan`` or ``null`` is a value that was not observed. A node without
    edges needs no mention among them. A first column that counts the steps, titled ``time`` or the like, is
    to be left out: it would be a node that is forecast and scored.

    Raises:
        FileFormatError: If a cell is no number, a row is of another length, an edge names no column, or the first
            column counts the steps.
        FileNotFoundError: If there is no such file.
        ValueError: If the period is below 1.
    """
    path = Path(values)
    graph = read_graph(edges, directed=directed)
    known = graph.node_names or tuple(map(str, range(graph.adjacency.num_nodes)))
    delimiter = {".csv": ",", ".tsv": "\t"}.get(file_ending(path))
    rows: list[list[float]] = []
    names: list[str] = []
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        try:
            cells = [cell.strip() for cell in split_cells(text, delimiter)]
        except csv.Error as error:
            raise FileFormatError(path, f"broken quotes ({error})", line=line, text=text) from error
        if not names:
            names = cells
            if names[0].lower() in _STEP_TITLES and names[0] not in known:
                problem = "counts the steps by its title, and no edge names it; leave this first column out"
                raise FileFormatError(path, problem, line=line, text=names[0])
            row_of_each_name(path, names, [line] * len(names))  # refuses a name that is empty or there twice
            continue
        if len(cells) != len(names):
            problem = f"{len(cells)} columns where the titles have {len(names)}"
            raise FileFormatError(path, problem, line=line, text=text)
        rows.append([_value(path, cell, line) for cell in cells])
    if not rows:
        raise FileFormatError(path, "no row of values below the titles")
    table = torch.tensor(rows)
    number_of = {name: number for number, name in enumerate(names)}
    if strange := [name for name in known if name not in number_of]:
        raise FileFormatError(edges, f"names a node that {path} has no column for", text=strange[0])
    edge_index, weight = graph.adjacency.to_edge_index()
    ids = torch.tensor([number_of[name] for name in known], dtype=torch.long)
    return TemporalData(
        values=table.nan_to_num(nan=0.0),
        observed=~table.isnan(),
        adjacency=Adjacency.from_edge_index(ids[edge_index], weight, num_nodes=len(names)),
        name=path.name.split(".")[0],
        title=path.name,
        unit="",
        period=period,
        fractions=(0.7, 0.1),
        loss="mae",
        node_names=tuple(names),
    )


def _value(path: Path, cell: str, line: int) -> float:
    if cell.lower() in UNKNOWN:
        return math.nan
    number: Any = finite_number(cell)
    if number is None or abs(number) > torch.finfo(torch.float32).max:
        raise FileFormatError(path, "neither a finite number nor empty", line=line, text=cell)
    return float(number)
