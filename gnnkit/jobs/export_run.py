"""A trained run as a file that other programs run, compared with the model before anyone relies on it."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from gnnkit.graph.adjacency import Adjacency
from gnnkit.jobs.trained import load_nodes
from gnnkit.nn.exported import checked_export_path, export, program_bytes
from gnnkit.storage.atomic import atomic_write

_TOLERANCE = 1e-4  # of the largest output: float32 in another order


@dataclass(frozen=True)
class ExportedRun:
    """What was written.

    Attributes:
        path: The file.
        inputs: What its program is called with, by name.
        classes: What the columns of its output stand for.
        difference: The largest one between its outputs and the model's, as a share of the largest output, on a
            random graph of another size; None where the file's runtime is not installed.
    """

    path: Path
    inputs: tuple[str, ...]
    classes: tuple[str, ...]
    difference: float | None


def export_run(run: str | os.PathLike[str], path: str | os.PathLike[str]) -> ExportedRun:
    """Write the trained node classifier of a run folder as a program, ``.pt2`` or ``.onnx``.

    It takes features prepared as for training, dense, and gives logits. Of several runs it is the one with the
    lowest validation loss.

    Raises:
        ValueError: If the suffix is of no format.
        MissingSoftwareError: If the format is ONNX and its packages are not installed.
        RunError: If it is not a run folder of this kind, or its training has not finished.
        RuntimeError: If the file's outputs are not the model's; it is not left behind.
    """
    path = checked_export_path(path)
    trained = load_nodes(run)
    sizes = trained.job.sizes
    assert sizes is not None, "a loaded run has sizes"
    classes = sizes.class_names or tuple(map(str, range(sizes.num_classes)))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(50, sizes.num_features, generator=generator)
    edge_index = torch.randint(50, (2, 200), generator=generator)
    weight = torch.rand(200, generator=generator) + 0.1
    graph = Adjacency.from_edge_index(edge_index, weight, num_nodes=50)
    program = export(trained.model, x, graph)
    names = tuple(name for name in program.graph_signature.user_inputs if isinstance(name, str))
    written = program_bytes(program, path.suffix, classes)
    given = dict(zip(names, (x, edge_index, weight), strict=False))
    difference = None
    found = _output_of(written, path.suffix, given)
    if found is not None:
        with torch.no_grad():
            expected = trained.model(*given.values())
        difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
        if not difference <= _TOLERANCE:
            raise RuntimeError(f"the program gave other outputs than the model, by {difference:.1e} of the largest")
    atomic_write(path, written)
    return ExportedRun(path, names, classes, difference)


def _output_of(program: bytes, suffix: str, given: dict[str, Tensor]) -> Tensor | None:
    """What the file of a program gives, run as its user would; None where nothing here can run it."""
    if suffix == ".pt2":
        x, edge_index, *_ = given.values()
        further = {name: value for name, value in given.items() if name.startswith("edge_") and name != "edge_index"}
        with torch.no_grad():
            output: Tensor = torch.export.load(io.BytesIO(program)).module()(x, edge_index, **further)
        return output
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in given.items()})[0])
