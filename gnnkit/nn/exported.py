"""A model as a program of its own, for machines without gnnkit: ``torch.export`` and ONNX.

The numbers of nodes and edges stay open in it. What a layer refuses because of a value cannot be refused there: a
program looks at no weight and no id.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from gnnkit.errors import MissingSoftwareError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.storage.atomic import atomic_write

FORMATS = (".pt2", ".onnx")
_ONNX_PACKAGES = ("onnx", "onnxscript")
_NODES, _EDGES = 5, 7  # of the graph to trace with: 0 and 1 would be taken for constants


def export(model: nn.Module, x: Tensor, graph: Adjacency | Tensor, edge_attr: Tensor | None = None) -> ExportedProgram:
    """The model as a program ``(x, edge_index[, edge_weight= | edge_attr=]) -> output`` for graphs of any size.

    It serves `GCN`, `GAT`, `GCNII`, any module of `GCNConv`, `GATConv` and `GCN2Conv`, and what else torch can
    export. What is given is only an example: its kinds and widths are kept, its numbers of nodes and edges are not.
    Graphs without edges, with isolated nodes, self-loops and repeated edges give what the model itself gives.
    Negative weights, which the model refuses, and ids that are no node are not looked at by the program: check first.

    Args:
        model: In evaluation mode.
        x: Node features ``(*, N, F)``, dense or sparse; the program takes dense ones of that ``*`` and ``F``.
        graph: An ``Adjacency``, where the program takes weights if the model's ``forward`` has ``edge_weight``;
            or an edge list ``(2, E)``, where it takes none.
        edge_attr: Features of the edges, ``(E, D)``, for a model that asks for them.

    Raises:
        ValueError: If the model is in training mode, as dropout would become part of the program; or if the
            features are not ``(*, N, F)``.

    Example:
        >>> from gnnkit.nn import GCNConv
        >>> model, square = GCNConv(4, 2).eval(), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> program = export(model, torch.rand(4, 4), square).module()
        >>> x, chain = torch.rand(3, 4), torch.tensor([[0, 1], [1, 2]])
        >>> torch.allclose(program(x, chain), model(x, chain))
        True
    """
    if model.training:
        raise ValueError("the model is in training mode, and dropout would become part of the program: model.eval()")
    if x.dim() < 2:
        raise ValueError(f"node features must have shape (*, num_nodes, F), got {tuple(x.shape)}")
    ids = torch.arange(_EDGES, device=x.device) % _NODES
    like = x.new_zeros(*x.shape[:-2], _NODES, x.size(-1), layout=torch.strided), torch.stack([ids, ids.flip(0)])
    further: dict[str, Tensor] = {}
    if edge_attr is not None:
        further["edge_attr"] = edge_attr.new_zeros(_EDGES, *edge_attr.shape[1:])
    elif isinstance(graph, Adjacency) and "edge_weight" in inspect.signature(model.forward).parameters:
        further["edge_weight"] = torch.ones(_EDGES, dtype=x.dtype, device=x.device)
    nodes, edges = Dim("num_nodes"), Dim("num_edges")
    sizes = {x.dim() - 2: nodes}, {1: edges}, *({0: edges} for _ in further)
    with _quietly():
        return torch.export.export(model, like, further, dynamic_shapes=sizes)


def save_exported(
    program: ExportedProgram, path: str | os.PathLike[str], *, class_names: Sequence[str] | None = None
) -> None:
    """Write a program to a file: ``.pt2`` for ``torch.export.load``, ``.onnx`` for onnxruntime and others.

    Args:
        program: What `export` gave.
        path: Its suffix is the format.
        class_names: What the output's columns stand for; a JSON list named ``classes``, in the metadata of an ONNX
            file, among the extra files of the other.

    Raises:
        ValueError: If the suffix is none of the two.
        MissingSoftwareError: If the format is ONNX and its packages are not installed.
    """
    path = checked_export_path(path)
    atomic_write(path, program_bytes(program, path.suffix, class_names))


def program_bytes(program: ExportedProgram, suffix: str, class_names: Sequence[str] | None = None) -> bytes:
    """What `save_exported` writes to a file of that suffix."""
    classes = None if class_names is None else json.dumps(list(class_names))
    if suffix == ".onnx":
        return _onnx_bytes(program, classes)
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={} if classes is None else {"classes": classes})
    return stream.getvalue()


def checked_export_path(path: str | os.PathLike[str]) -> Path:
    """The path of a program, before anything is worked out for it.

    Raises:
        ValueError: If its suffix is of no format.
        MissingSoftwareError: If the format is ONNX and its packages are not installed.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"a program is written to a file that ends in {' or '.join(FORMATS)}, got {str(path)!r}")
    missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise MissingSoftwareError(
            f"ONNX needs {' and '.join(missing)}, not installed here: pip install 'gnnkit[onnx]'; "
            "a .pt2 file needs no more than torch"
        )
    return path


def _onnx_bytes(program: ExportedProgram, classes: str | None) -> bytes:
    with _quietly():
        written = torch.onnx.export(program, dynamo=True, verbose=False, output_names=["output"])
    assert written is not None
    if classes is not None:
        written.model.metadata_props["classes"] = classes
    return bytes(written.model_proto.SerializeToString())


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's exporters say of themselves: of packages they can do without, and of their own past."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec", category=FutureWarning)
            warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=DeprecationWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
