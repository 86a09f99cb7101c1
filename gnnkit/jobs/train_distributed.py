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
from typing import Any

import torch

from gnnkit.distributed.group import TorchGroup, agreed, join_group
from gnnkit.distributed.launch import restarts
from gnnkit.distributed.parts import LocalData, PartitionRecord, read_part, read_record, write_parts
from gnnkit.errors import RunError
from gnnkit.jobs import node_report
from gnnkit.jobs.node_job import DataSizes, NodeJob
from gnnkit.jobs.train_nodes import KIND, NodeSummary, splits_of, summary_of
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
    environment_changes,
    read_json,
    use_threads,
    write_json,
)
from gnnkit.runs.many import run_apart
from gnnkit.training.partitioned import fit_partitioned, sample_hidden

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
) -> NodeSummary | None:
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
) -> NodeSummary | None:
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
            folder = RunFolder.resume(path)
            if folder.kind != KIND or folder.read_config(NodeJob).distributed is None:
                folder.close()
                raise RunError(f"{folder.path} holds no training of several processes; resume it without torchrun")
            job = folder.read_config(NodeJob)
            now = environment(device=job.training.device, threads=job.threads) | {"processes": group.size}
            for change in environment_changes(folder.environment, now):
                warn(f"the last bits may differ from an uninterrupted run's: {change}")
            return folder

        return _Job(group, progress, fresh=False).run(resume)


class _Job:
    """One job as one of its processes sees it."""

    def __init__(self, group: TorchGroup, progress: ProgressMode, *, fresh: bool) -> None:
        self.group, self.fresh = group, fresh
        self.progress: ProgressMode = progress if group.rank == 0 else "quiet"

    def run(self, open_folder: Callable[[], RunFolder]) -> NodeSummary | None:
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
                return None if summary is None else NodeSummary(begun.folder, summary)
            return self._train(begun, folder, started)

    def _begin(self, folder: RunFolder) -> _Begun:
        """In the first process: the graph in parts, and the sizes of its data in the configuration."""
        job = folder.read_config(NodeJob)
        if folder.read_summary() is not None:
            return _Begun(folder.path, job, done=True)
        parts = folder.path / PARTITION
        known = read_record(parts)
        if known is None or len(known.bounds) != self.group.size + 1 or not (parts / "data.json").exists():
            outcome = run_apart(_share_out, self.group.size, shared=(job, parts))
            if not outcome.ok:
                if self.fresh:  # a bad split or an impossible request leaves no folder behind
                    _discard(folder)
                if outcome.status == "interrupted":
                    raise Interrupted(outcome.error)
                raise RunError(outcome.error.partition(": ")[2] or outcome.error)
        sizes = config_from_toml(read_json(parts / "data.json")["sizes"], DataSizes, source=parts / "data.json")
        if job.sizes is None:
            job = replace(job, sizes=sizes)
            folder.write_config(job)
        elif sizes != job.sizes:
            raise RunError(f"the data has changed since {folder.path} was begun: {job.sizes}, now {sizes}")
        return _Begun(folder.path, job, done=False)

    def _train(self, begun: _Begun, folder: RunFolder | None, started: float) -> NodeSummary | None:
        group, job = self.group, begun.job
        config = job.training
        parts = begun.folder / PARTITION
        data = agreed(group, lambda: read_part(parts, group, group.device), group.device)
        model = new_model(job)
        before = group.bytes_sent
        with use_threads(job.threads), Progress(config.epochs, f"train {job.name}", mode=self.progress) as bar:
            config = replace(config, device=str(group.device))
            try:
                result = fit_partitioned(model, data, group, config, folder=folder, progress=bar)
            except Interrupted as stopped:
                raise Interrupted(f"{stopped} {begun.folder}") from None
            shares = _shares(group, data, (group.bytes_sent - before) // max(result.epochs, 1))
            sampled = sample_hidden(model, data, group)
        if folder is None:
            return None
        seconds = time.perf_counter() - started
        details = read_json(parts / "data.json")
        summary = summary_of(job, details["name"], [result], seconds, details["splits"])
        summary["distributed"] = _described(job, data.record, shares)
        title = f"{job.model} on {details['name']}"
        node_report.draw_curves(folder, title, [result], measured=data.record.sizes[1] > 0)
        names = job.sizes.class_names if job.sizes else None
        node_report.draw_embedding(folder, title, sampled.vectors, sampled.labels, names)
        node_report.write(folder, job, summary)
        folder.write_summary(summary)  # last: it says that the job is done
        shutil.rmtree(parts)
        return NodeSummary(folder.path, summary)


def _share_out(shared: tuple[NodeJob, Path], processes: int) -> None:
    """Read the whole data and write it in parts, with what must be known of it."""
    job, parts = shared
    data = job.source.split_for(job.source.load(), job.training.seed)
    if not bool(data.train_mask.any()):
        raise ValueError(f"train_mask of {data.name} selects no node, so there is nothing to learn from; set some True")
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


def _shares(group: TorchGroup, data: LocalData, bytes_per_epoch: int) -> list[list[int]]:
    """Per process: its nodes, entering edges, foreign nodes and bytes sent in an epoch."""
    table = torch.zeros(group.size, 4, dtype=torch.int64, device=group.device)
    mine = [data.graph.num_nodes, data.graph.num_edges, data.halo.num_foreign, bytes_per_epoch]
    table[group.rank] = torch.tensor(mine)
    group.sum_(table)
    columns: list[list[int]] = table.t().tolist()
    return columns


def _described(job: NodeJob, record: PartitionRecord, shares: list[list[int]]) -> dict[str, Any]:
    nodes, edges, foreign, sent = shares
    return {
        "mode": job.distributed,
        "processes": len(nodes),
        "order": record.method,
        "cut_edges": record.cut_edges,
        "cut": record.cut,
        "nodes": nodes,
        "entering_edges": edges,
        "foreign_nodes": foreign,
        "bytes_sent_per_epoch": sent,
    }
