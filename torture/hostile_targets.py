# ruff: noqa: E501 (tables of bytes and long conditions read best in one line)
"""Every reader of the project with a healthy file of its kind, how to make mutants of it, and what a result must be."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutators as m
import networkx as nx
import numpy as np
import pickle_mutators as pm
import scipy.io
import scipy.sparse as sp
import torch

from gnnkit.data import read_node_data
from gnnkit.data.coauthor_amazon import read_coauthor_amazon
from gnnkit.data.planetoid import read_planetoid
from gnnkit.data.tables import read_features, read_labels
from gnnkit.data.temporal import diffusion_process, read_chickenpox, read_metr_la, read_values
from gnnkit.graph.files import read_graph
from gnnkit.jobs.compare import compare_runs, metrics_of
from gnnkit.jobs.forecast_job import ForecastJob
from gnnkit.jobs.node_job import NodeJob
from gnnkit.jobs.sequence_job import SequenceJob
from gnnkit.jobs.text_job import TextJob
from gnnkit.jobs.trained import load
from gnnkit.runs import RunFolder, load_checkpoint, read_config, read_metrics
from gnnkit.storage.json_files import read_json
from recurrent.generation import GenerationConfig
from recurrent.text import Vocabulary, read_corpus

TEXT = (m.bytes_changed, m.words_inserted, m.numbers_changed, m.lines_changed, m.recoded)
NPZ = (m.npz_changed, m.npz_changed, m.zip_changed, m.bytes_changed)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: Short.
        files: What lies in the folder that is read: name to content and mutators; none for a file that stays.
        read: Called with the folder.
        check: Asserts what must hold of whatever ``read`` returns.
        share: Its part of all mutants, relative to others.
        writes: Whether reading it changes the folder, which is then put back.
    """

    name: str
    files: dict[str, tuple[bytes, tuple[m.Mutator, ...]]]
    read: Callable[[Path], Any]
    check: Callable[[Any], None]
    share: float = 1.0
    writes: bool = False

    def mutant(self, rng: random.Random) -> tuple[str, bytes]:
        """The name of one file, and what to write there."""
        name = rng.choice([name for name, (_, ways) in self.files.items() if ways])
        content, ways = self.files[name]
        mutated = rng.choice(ways)(content, rng)
        if rng.random() < 0.15:
            try:
                mutated = rng.choice(ways)(mutated, rng)
            except Exception:  # the first change left nothing of the format that the second knows
                mutated = m.bytes_changed(mutated, rng)
        return name, mutated


def check_graph(file: Any) -> None:
    adjacency, names = file
    edge_index, weight = adjacency.to_edge_index()
    assert names is None or len(names) == adjacency.num_nodes == len(set(names))
    assert edge_index.numel() == 0 or 0 <= int(edge_index.min()) <= int(edge_index.max()) < adjacency.num_nodes
    assert bool(weight.isfinite().all()), "a weight is not finite"


def check_nodes(data: Any) -> None:
    assert data.x.shape[0] == data.y.shape[0] == data.adjacency.num_nodes
    values = data.x.values() if data.x.layout == torch.sparse_csr else data.x
    assert bool(values.isfinite().all()), "a feature is not finite"
    check_graph((data.adjacency, data.node_names))


def check_arrays(arrays: Any) -> None:
    nodes, features = len(arrays.labels), arrays.features
    assert features.shape[0] == nodes
    assert np.isfinite(features.data).all()
    assert features.indices.size == 0 or 0 <= features.indices.min() <= features.indices.max() < features.shape[1]
    assert arrays.edge_index.size == 0 or 0 <= arrays.edge_index.min() <= arrays.edge_index.max() < nodes


def check_temporal(data: Any) -> None:
    assert data.values.shape == data.observed.shape == (data.num_steps, data.num_nodes)
    assert data.adjacency.num_nodes == data.num_nodes == len(data.node_names)
    assert bool(data.values.isfinite().all())
    assert data.period is None or data.period >= 1
    check_graph((data.adjacency, None))


def check_metrics(columns: dict[str, Any]) -> None:
    assert len({len(values) for values in columns.values()}) == 1


def anything(_: Any) -> None:
    """Whatever it is, reading it harmed nothing."""


def graph_targets() -> list[Target]:
    graph = nx.gnp_random_graph(12, 0.3, seed=1)
    lines = "".join(f"{a} {b} {a + b + 0.5}\n" for a, b in graph.edges).encode()
    named = b"# people\nsource,target,weight\n" + b'"Smith, J",bea,1\nbea,carl,2.5\ncarl,d,1e-3\nd,"Smith, J",4\n'
    sparse = nx.to_scipy_sparse_array(graph, dtype=float)
    graphml = io.BytesIO()
    nx.write_graphml(nx.relabel_nodes(weighted(graph), str), graphml)
    matrices = {}
    for name, symmetry in (("general", "general"), ("symmetric", "symmetric")):
        stream = io.BytesIO()
        scipy.io.mmwrite(stream, sp.coo_array(sparse), symmetry=symmetry)
        matrices[name] = stream.getvalue()
    dense = b"%%MatrixMarket matrix array real general\n% a comment\n3 3\n" + b"0\n1\n2\n3\n0\n0.5\n1e-3\n1\n0\n"
    archives = {}
    for name in ("csr", "coo"):
        stream = io.BytesIO()
        sp.save_npz(stream, sp.coo_array(sparse).asformat(name))
        archives[name] = stream.getvalue()
    stream = io.BytesIO()
    edges = np.array(list(graph.edges)).T
    names = np.array([f"n{i}" for i in range(12)])
    np.savez(stream, edge_index=edges, num_nodes=12, edge_weight=np.arange(edges.shape[1]) / 7, node_names=names)

    def one(name: str, file: str, content: bytes, ways: tuple[m.Mutator, ...], **options: Any) -> Target:
        return Target(name, {file: (content, ways)}, lambda folder: read_graph(folder / file, **options), check_graph)

    nodes = b"".join(b"%d\n" % node for node in range(14))
    return [
        one("edge list", "e.txt", lines, TEXT),
        one("edge list, directed", "e.edges", b"0 1\n1 2\n2 0\n10 3\n\n# end\n4 4\n", TEXT, directed=True),
        one("edge list, numbered", "e.txt", lines, TEXT, num_nodes=12),
        one("edge list, csv", "e.csv", named, TEXT),
        one("edge list, tsv", "e.tsv", lines.replace(b" ", b"\t"), TEXT),
        one("edge list, gzip", "e.txt.gz", gzip.compress(lines, mtime=0), tuple(map(m.gzip_within, TEXT[:4]))),
        Target(
            "edge list and nodes",
            {"e.txt": (lines, TEXT), "nodes.txt": (nodes, TEXT)},
            lambda folder: read_graph(folder / "e.txt", nodes=folder / "nodes.txt"),
            check_graph,
        ),
        one("GraphML", "g.graphml", graphml.getvalue(), (m.xml_changed, m.xml_changed, *TEXT)),
        one("Matrix Market", "m.mtx", matrices["general"], TEXT),
        one("Matrix Market, symmetric", "m.mtx", matrices["symmetric"], TEXT),
        one("Matrix Market, dense", "m.mtx", dense, TEXT),
        one("npz graph, csr", "g.npz", archives["csr"], NPZ),
        one("npz graph, coo", "g.npz", archives["coo"], NPZ),
        one("npz graph, edge_index", "g.npz", stream.getvalue(), NPZ),
    ]


def weighted(graph: nx.Graph) -> nx.Graph:
    """The graph with a weight on every edge."""
    for first, second in graph.edges:
        graph.edges[first, second]["weight"] = (first + second) / 3
    return graph


def data_targets() -> list[Target]:
    planetoid = {name: (content, pm.PICKLE) for name, content in pm.planetoid_files().items()}
    planetoid["ind.tiny.test.index"] = (planetoid["ind.tiny.test.index"][0], TEXT)
    stream = io.BytesIO()
    np.savez(stream, **pm.coauthor_arrays())
    edges = b"a b\nb c 2\nc d\n".replace(b" 2", b"")
    features = b"node,f1,f2\na,1,2\nb,0.5,0\nc,3,1e-3\nd,0,0\n"
    labels = b"node,label\na,red\nb,blue\nc,?\nd,red\n"
    return [
        Target(
            "Planetoid",
            planetoid,
            lambda folder: read_planetoid(folder, "tiny", num_val=2),
            check_arrays,
            share=4,
        ),
        Target(
            "Coauthor and Amazon",
            {"a.npz": (stream.getvalue(), NPZ)},
            lambda folder: read_coauthor_amazon(folder / "a.npz"),
            check_arrays,
            share=3,
        ),
        Target(
            "features and labels",
            {"e.txt": (edges, TEXT), "f.csv": (features, TEXT), "l.csv": (labels, TEXT)},
            lambda folder: read_node_data(folder / "e.txt", features=folder / "f.csv", labels=folder / "l.csv"),
            check_nodes,
            share=2,
        ),
        Target("feature table", {"f.txt": (b"1 2 3\n4 5 6\n", TEXT)}, lambda folder: read_features(folder / "f.txt"), anything),
        Target("label table", {"l.txt": (b"1\n2\n?\n1\n", TEXT)}, lambda folder: read_labels(folder / "l.txt"), anything),
    ]  # fmt: skip


def temporal_targets() -> list[Target]:
    data = diffusion_process(num_nodes=5, num_steps=12)
    pairs = data.adjacency.to_edge_index()[0].t().tolist()
    chickenpox = {"FX": data.values.tolist(), "edges": pairs, "node_ids": {f"county {i}": i for i in range(5)}}
    stream = io.BytesIO()
    dense = data.adjacency.to_dense().numpy()
    ids = np.array([f"{i}" for i in range(5)])
    np.savez(stream, speed=data.values.numpy(), adj=dense, sensor_ids=ids, step_minutes=np.array(5))
    table = ",".join(f"n{i}" for i in range(5)) + "\n"
    table += "".join(",".join(f"{value:.3f}" for value in row) + "\n" for row in data.values.tolist())
    edges = "".join(f"n{s} n{t}\n" for s, t in pairs)
    return [
        Target(
            "temporal JSON",
            {"c.json": (json.dumps(chickenpox).encode(), (m.json_changed, m.json_changed, *TEXT))},
            lambda folder: read_chickenpox(folder / "c.json"),
            check_temporal,
            share=2,
        ),
        Target(
            "METR-LA",
            {"m.npz": (stream.getvalue(), NPZ)},
            lambda folder: read_metr_la(folder / "m.npz"),
            check_temporal,
            share=2,
        ),
        Target(
            "values over time",
            {"v.csv": (table.replace("\n", ",\n", 1).replace(",\n", "\n", 1).encode(), TEXT), "e.txt": (edges.encode(), TEXT)},
            lambda folder: read_values(folder / "v.csv", folder / "e.txt", directed=True),
            check_temporal,
        ),
    ]  # fmt: skip


def text_targets() -> list[Target]:
    book = (
        "*** START OF THIS PROJECT GUTENBERG EBOOK X ***\nthe cat — sat.\r\n"
        + "é\n*** END OF THIS PROJECT GUTENBERG EBOOK ***"
    )
    vocabulary = Vocabulary.from_text("hello world\n").to_json().encode()
    return [
        Target(
            "text",
            {"b.txt": (book.encode(), TEXT)},
            lambda folder: read_corpus(folder / "b.txt", max_bytes=2**22),
            lambda corpus: Vocabulary.from_text(corpus.text).encode(corpus.text),
        ),
        Target(
            "vocabulary",
            {"v.json": (vocabulary, (m.json_changed, *TEXT))},
            lambda folder: Vocabulary.from_json((folder / "v.json").read_bytes()),
            lambda vocabulary: vocabulary.decode(vocabulary.encode(vocabulary.characters)),
        ),
        Target(
            "JSON",
            {"v.json": (vocabulary, (m.json_changed, *TEXT))},
            lambda folder: read_json(folder / "v.json"),
            anything,
            share=0.5,
        ),
    ]


def run_targets(runs: Path) -> list[Target]:
    """The files of run folders; ``runs`` holds the healthy ones that `hostile_runs.make_runs` wrote."""
    from hostile_runs import resumed

    toml = (m.toml_changed, m.toml_changed, m.bytes_changed, m.words_inserted)
    as_json = (m.json_changed, m.json_changed, m.bytes_changed)
    ways = {
        "checkpoint.pt": pm.CHECKPOINT,
        "config.toml": toml,
        "run.json": as_json,
        "vocabulary.json": as_json,
        "summary.json": as_json,
        "metrics.csv": TEXT,
    }

    def files(run: str, *mutated: str) -> dict[str, tuple[bytes, tuple[m.Mutator, ...]]]:
        found = (runs / run).rglob("*")
        names = [str(path.relative_to(runs / run)) for path in found if path.name in ways]
        return {name: ((runs / run / name).read_bytes(), ways[name] if name in mutated else ()) for name in names}

    targets = [
        Target(
            "checkpoint",
            {"checkpoint.pt": ((runs / "nodes/checkpoint.pt").read_bytes(), pm.CHECKPOINT)},
            lambda folder: load_checkpoint(folder / "checkpoint.pt"),
            anything,
            share=4,
        ),
        Target(
            "metrics",
            {"metrics.csv": ((runs / "nodes/metrics.csv").read_bytes(), TEXT)},
            lambda folder: read_metrics(folder / "metrics.csv"),
            check_metrics,
        ),
    ]
    for kind, job in (("nodes", NodeJob), ("sequence", SequenceJob), ("text", TextJob), ("forecast", ForecastJob)):
        targets.append(
            Target(
                f"config of {kind}",
                {"config.toml": ((runs / kind / "config.toml").read_bytes(), toml)},
                lambda folder, job=job: read_config(folder / "config.toml", job),
                anything,
            )
        )
    every = ("checkpoint.pt", "config.toml", "run.json", "vocabulary.json")
    targets += [
        Target("run of nodes", files("nodes", *every), lambda folder: load(folder).predict(), anything, share=2),
        Target("run of sequences", files("sequence", *every), lambda folder: load(folder).evaluate(8), anything, share=2),
        Target(
            "run of text",
            files("text", *every),
            lambda folder: load(folder).generate("c", GenerationConfig(length=4)),
            anything,
            share=2,
        ),
        Target("run folder", files("forecast", "run.json"), lambda folder: RunFolder.open(folder).read_summary(), anything),
        Target(
            "comparison of runs",
            {
                f"{run}/{name}": content
                for run in ("nodes", "other")
                for name, content in files(run, *(("summary.json", "metrics.csv") if run == "nodes" else ())).items()
            },
            lambda folder: [metrics_of(run) for run in compare_runs([folder / "nodes", folder / "other"]).runs],
            anything,
            share=2,
        ),
    ]  # fmt: skip
    for kind in ("nodes", "sequence", "text"):
        left = {
            name: file for name, file in files(kind, "checkpoint.pt", "metrics.csv").items() if name != "summary.json"
        }
        targets.append(
            Target(
                f"resumed {kind}", left, lambda folder, kind=kind: resumed(kind, folder), anything, share=2, writes=True
            )
        )
    return targets


def tree_targets() -> list[Target]:
    """The reader of sentiment trees, where this version has one."""
    try:
        from gnnkit.data import trees
    except ImportError:
        return []
    content = b"(3 (2 It) (4 (2 's) (3 (2 a) (4 good\\-film))))\n(1 (2 Not) (1 so))\n(2 alone)\n"
    brackets = (m.bytes_changed, m.words_inserted, m.numbers_changed, m.lines_changed, pm.brackets_changed)
    return [
        Target(
            "trees",
            {"t.txt": (content, brackets)},
            lambda folder: trees.read_trees(folder / "t.txt"),
            lambda read: [read.to_text(tree) for tree in range(len(read))],
            share=2,
        )
    ]


def all_targets(runs: Path) -> list[Target]:
    """Every reader."""
    return [
        *graph_targets(),
        *data_targets(),
        *temporal_targets(),
        *text_targets(),
        *run_targets(runs),
        *tree_targets(),
    ]
