"""Spark standalone on one host: a master, workers, and the sudden end of a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from gnnkit.distributed.spark_session import spark_session

_PATIENCE_SECONDS = 180


class Cluster:
    """A master and workers of one core each, as processes of their own; gone when the block ends."""

    def __init__(self, folder: Path, *, workers: int = 2, memory: str = "1g") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.memory = folder, memory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"spark://127.0.0.1:{port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self.checkpoints = folder / "checkpoints"
        self._master = self._start("master", "master.Master", "--port", str(port))
        try:
            self._wait_for("master", "I have been elected leader")
            for _ in range(workers):
                self.add_worker()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def session(self) -> AbstractContextManager[Any]:
        """A Spark session on this cluster, as :func:`gnnkit.distributed.spark_session.spark_session` gives."""
        settings = {
            "spark.driver.memory": "1g",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.executor.memory": self.memory,
            "spark.executor.cores": "1",
            "spark.sql.shuffle.partitions": "4",
        }
        return spark_session(self.url, config=settings, checkpoint_dir=str(self.checkpoints))

    def add_worker(self) -> None:
        """Start one more worker and wait until the master knows it."""
        name = f"worker-{self._started}"
        self._started += 1
        place = ("--work-dir", str(self.folder / name), "--cores", "1", "--memory", self.memory)
        self.workers.append(self._start(name, "worker.Worker", *place, self.url))
        self._wait_for(name, "Successfully registered with master")

    def kill_worker(self, index: int) -> None:
        """End a worker and its executors as ``kill -9`` does: what they held in memory and on disk is out of reach."""
        worker = self.workers.pop(index)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        """End all that was started."""
        for process in [*self.workers, self._master]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.workers = []

    def _start(self, name: str, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{main}"]
        environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
        environment["SPARK_DAEMON_MEMORY"] = "256m"
        # In a group of its own, which the executors it starts belong to.
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--webui-port", "0", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def _wait_for(self, name: str, words: str) -> None:
        log, deadline = self.folder / f"{name}.log", time.monotonic() + _PATIENCE_SECONDS
        while words not in log.read_text(errors="replace"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not say {words!r}:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
