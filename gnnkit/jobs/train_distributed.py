"""Training a node classifier in the processes that ``torchrun`` starts, into one run folder.

The first process alone writes the folder and reports. The whole graph is read, and shared out, in a process
of its own that ends before training begins, so that no trainer ever holds it. If torchrun starts the
processes anew, after one was killed, they find the folder and continue from its checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gnnkit.data.node_data import NodeData
from gnnkit.distributed.group import TorchGroup, agreed, join_group
from gnnkit.distributed.launch import restarts
from gnnkit.distributed.parts import LocalData, read_part, read_record, write_parts
from gnnkit.distributed.traffic import Traffic, gathered
from gnnkit.errors import RunError
from gnnkit.jobs import node_report
from gnnkit.jobs.job_run import JobSummary, warn_of_changes
from gnnkit.jobs.node_job import DataSizes, NodeJob
from gnnkit.jobs.train_nodes import KIND, splits_of, summary_of
from gnnkit.jobs.trained import new_model
from gnnkit.models.registry import resolve_options
from gnnkit.runs import (
    Interrupted,
    Progress,
    ProgressMode,
    RunFolder,
    config_from_toml,
    config_to_toml,
    environment,
    read_json,
    use_threads,
    write_json,
)
from gnnkit.runs.many import run_apart
from gnnkit.training.nodes import NodeResult, TrainConfig
from gnnkit.training.partitioned import fit_partitioned, sample_hidden
from gnnkit.training.shared_batches import fit_shared

_ORPHANS = 15.0  # seconds
PARTITION = "partition"  # the folder, within the run's, of the graph in parts


@dataclass(frozen=True)
class _Begun:
    """What the first process tells the others before training."""

    folder: Path
    job: NodeJob
    done: bool

    def to_bytes(self) -> bytes:
        return json.dumps([str(self.folder), config_to_toml(self.job), self.done]).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> _Begun:
        folder, job, done = json.loads(content)
        return cls(Path(folder), config_from_toml(job, NodeJob, source="the first process's job"), done)


def run_distributed_job(
    job: NodeJob, out: str | os.PathLike[str] | None = None, *, progress: ProgressMode = "auto"
) -> JobSummary | None:
    """Train as ``job`` says, in all processes that torchrun started, into one new run folder.

    Where torchrun has started them anew, the run in ``out`` is continued.

    Returns:
        In the first process, what became of it; None in the others.

    Raises:
        ValueError: If torchrun did not start this process; if it may start it anew, but no ``out`` says where
            the run is to be found again; if there are more processes than nodes.
        RunError: If the folder is not empty.
        PeerError: If another process failed or was killed.
        Interrupted: After ctrl-C, in all processes.
    """
    restarted, may_restart = restarts()
    if may_restart and out is None:
        raise ValueError(
            f"torchrun may start the processes anew ({may_restart} times), and these must find the run: name its "
            "folder with --out"
        )
    begun_before = restarted and out is not None and (Path(out) / "config.toml").exists()
    if begun_before and out is not None:
        return resume_distributed_job(out, progress=progress)
    job = replace(job, options=resolve_options(job.model, job.options, job.source.dataset))
    with join_group(job.training.device) as group:
        record = environment(device=job.training.device, threads=job.threads) | {"processes": group.size}

        def create() -> RunFolder:
            return RunFolder.create(out, kind=KIND, name=job.name, environment=record, config=job)

        return _Job(group, progress, fresh=True).run(create)


def resume_distributed_job(
    path: str | os.PathLike[str], *, progress: ProgressMode = "auto", warn: Callable[[str], None] = print
) -> JobSummary | None:
    """Go on where an interrupted job of several processes stopped, to the same bits with as many processes.

    Raises:
        ValueError: If torchrun did not start this process.
        RunError: If the folder holds no such job.
        PeerError, Interrupted: As `run_distributed_job`.
    """
    device = "cpu"
    if (Path(path) / "config.toml").is_file():  # the device decides how the processes talk, before they do
        device = RunFolder.open(path).read_config(NodeJob).training.device
    with join_group(device) as group:

        def resume() -> RunFolder:
            folder = _resumed(path)
            if folder.kind != KIND or folder.read_config(NodeJob).distributed is None:
                folder.close()
                raise RunError(f"{folder.path} holds no training of several processes; resume it without torchrun")
            job = folder.read_config(NodeJob)
            now = environment(device=job.training.device, threads=job.threads) | {"processes": group.size}
            warn_of_changes(folder, now, warn)
            return folder

        return _Job(group, progress, fresh=False).run(resume)


class _Job:
    """One job as one of its processes sees it."""

    def __init__(self, group: TorchGroup, progress: ProgressMode, *, fresh: bool) -> None:
        self.group, self.fresh = group, fresh
        self.progress: ProgressMode = progress if group.rank == 0 else "quiet"

    def run(self, open_folder: Callable[[], RunFolder]) -> JobSummary | None:
        group, started = self.group, time.perf_counter()
        with ExitStack() as held:
            folder: RunFolder | None = None

            def begin() -> _Begun | None:
                nonlocal folder
                if group.rank != 0:
                    return None
                folder = held.enter_context(open_folder())
                return self._begin(folder)

            mine = agreed(group, begin, group.device)
            begun = _Begun.from_bytes(group.broadcast(None if mine is None else mine.to_bytes()))
            if begun.done:
                summary = None if folder is None else folder.read_summary()
                return None if summary is None else JobSummary(begun.folder, summary)
            return self._train(begun, folder, started)

    def _begin(self, folder: RunFolder) -> _Begun:
        """In the first process: the graph in parts, and the sizes of its data in the configuration."""
        job = folder.read_config(NodeJob)
        if folder.read_summary() is not None:
            return _Begun(folder.path, job, done=True)
        if job.distributed == "minibatch":
            try:
                sizes = DataSizes.of(_load(job))
            except Exception:
                self._give_up(folder)
                raise
        else:
            sizes = self._share_out(job, folder)
        if job.sizes is None:
            job = replace(job, sizes=sizes)
            folder.write_config(job)
        elif sizes != job.sizes:
            raise RunError(f"the data has changed since {folder.path} was begun: {job.sizes}, now {sizes}")
        return _Begun(folder.path, job, done=False)

    def _give_up(self, folder: RunFolder) -> None:
        """A bad split or an impossible request leaves no folder behind."""
        if self.fresh:
            _discard(folder)

    def _share_out(self, job: NodeJob, folder: RunFolder) -> DataSizes:
        """In the first process: the graph in parts, made by a process that ends with it."""
        parts = folder.path / PARTITION
        known = read_record(parts)
        if known is None or len(known.bounds) != self.group.size + 1 or not (parts / "data.json").exists():
            outcome = run_apart(_share_out, self.group.size, shared=(job, parts))
            if not outcome.ok:
                self._give_up(folder)
                if outcome.status == "interrupted":
                    raise Interrupted(outcome.error)
                raise RunError(outcome.error.partition(": ")[2] or outcome.error)
        return config_from_toml(read_json(parts / "data.json")["sizes"], DataSizes, source=parts / "data.json")

    def _train(self, begun: _Begun, folder: RunFolder | None, started: float) -> JobSummary | None:
        job = begun.job
        config = replace(job.training, device=str(self.group.device))
        with use_threads(job.threads), Progress(config.epochs, f"train {job.name}", mode=self.progress) as bar:
            try:
                trained = (self._by_batches if job.distributed == "minibatch" else self._by_parts)(
                    begun, config, folder, bar
                )
            except Interrupted as stopped:
                raise Interrupted(f"{stopped} {begun.folder}") from None
        if folder is None:
            return None
        seconds = time.perf_counter() - started
        summary = summary_of(job, trained.name, [trained.result], seconds, trained.splits)
        summary["distributed"] = {"mode": job.distributed, "processes": self.group.size, **trained.shared}
        trained.draw(folder)
        node_report.write(folder, job, summary)
        folder.write_summary(summary)  # last: it says that the job is done
        shutil.rmtree(begun.folder / PARTITION, ignore_errors=True)
        return JobSummary(folder.path, summary)

    def _by_parts(self, begun: _Begun, config: TrainConfig, folder: RunFolder | None, bar: Progress) -> _Trained:
        group, job, parts = self.group, begun.job, begun.folder / PARTITION
        data = agreed(group, lambda: read_part(parts, group, group.device), group.device)
        details = read_json(parts / "data.json")
        model, traffic = new_model(job), Traffic(group, group.device)
        result = fit_partitioned(model, data, group, config, folder=folder, progress=bar, traffic=traffic)
        shared = _described(group, data) | {"bytes_sent_per_epoch": traffic.bytes_per_epoch}
        sampled = sample_hidden(model, data, group)

        def draw(folder: RunFolder) -> None:
            title = f"{job.model} on {details['name']}"
            node_report.draw_curves(folder, title, [result], measured=data.record.sizes[1] > 0)
            names = job.sizes.class_names if job.sizes else None
            node_report.draw_embedding(folder, title, sampled.vectors, sampled.labels, names)

        return _Trained(result, details["name"], details["splits"], shared, draw)

    def _by_batches(self, begun: _Begun, config: TrainConfig, folder: RunFolder | None, bar: Progress) -> _Trained:
        group, job = self.group, begun.job
        data = agreed(group, lambda: _load(job), group.device)
        model, traffic = new_model(job), Traffic(group, group.device)
        result = fit_shared(model, data, group, config, folder=folder, progress=bar, traffic=traffic)

        def draw(folder: RunFolder) -> None:
            node_report.draw(folder, job, data, model.cpu(), [result])

        splits = splits_of(job, data, [result.seed]) if group.rank == 0 else {}
        return _Trained(result, data.name, splits, {"bytes_sent_per_epoch": traffic.bytes_per_epoch}, draw)


class _Trained(NamedTuple):
    """What training left in one process; ``splits`` and ``draw`` are the first one's business."""

    result: NodeResult
    name: str
    splits: dict[str, Any]
    shared: dict[str, Any]
    draw: Callable[[RunFolder], None]


def _resumed(path: str | os.PathLike[str]) -> RunFolder:
    """The folder; after a restart, once those that a killed process has left behind let go of it.

    Its loaders of batches hold its lock until they notice, which they look for every five seconds.
    """
    deadline = time.monotonic() + (_ORPHANS if restarts()[0] else 0.0)
    while True:
        try:
            return RunFolder.resume(path)
        except RunError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def _load(job: NodeJob) -> NodeData:
    data = job.source.split_for(job.source.load(), job.training.seed)
    if not bool(data.train_mask.any()):
        raise ValueError(f"train_mask of {data.name} selects no node of {data.num_nodes} to learn from; set some True")
    return data


def _share_out(shared: tuple[NodeJob, Path], processes: int) -> None:
    """Read the whole data and write it in parts, with what must be known of it."""
    job, parts = shared
    data = _load(job)
    write_parts(data, parts, processes)
    splits = splits_of(job, data, [job.training.seed])
    sizes = config_to_toml(DataSizes.of(data))
    write_json(parts / "data.json", {"name": data.name, "splits": splits, "sizes": sizes})


def _discard(folder: RunFolder) -> None:
    """Remove what the job has made of its folder so far, and the folder if nothing else is in it."""
    shutil.rmtree(folder.path / PARTITION, ignore_errors=True)
    for name in ("config.toml", "run.json"):
        (folder.path / name).unlink(missing_ok=True)
    folder.close()
    if not any(folder.path.iterdir()):
        folder.path.rmdir()


def _described(group: TorchGroup, data: LocalData) -> dict[str, Any]:
    """How the graph was shared out: nodes, entering edges and foreign nodes of every process."""
    graph, record = data.graph, data.record
    mine = [graph.num_nodes, graph.num_edges, data.halo.num_foreign]
    nodes, edges, foreign = gathered(group, mine, group.device)
    return {
        "order": record.method,
        "cut_edges": record.cut_edges,
        "cut": record.cut,
        "nodes": nodes,
        "entering_edges": edges,
        "foreign_nodes": foreign,
    }
