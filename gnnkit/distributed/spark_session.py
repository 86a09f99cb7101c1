"""A Spark session for gnnkit: started if there is none, quiet, and gone when the work is done.

Spark comes with the extra ``spark`` and runs on Java; both are looked for before anything is started.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gnnkit.errors import MissingSoftwareError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OLDEST_JAVA = 17
_LOGGING = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = Spark %p: %m%n
"""


def check_spark() -> None:
    """Make sure that pyspark is installed and a Java that it runs on can be found.

    Raises:
        MissingSoftwareError: If either is absent or too old; the message says how to install it.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise MissingSoftwareError(
            "Spark needs the package pyspark, which is not installed: pip install 'gnnkit[spark]'"
        )
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    install = f"install Java {OLDEST_JAVA} or newer (for example: apt-get install openjdk-17-jre-headless)"
    if java is None or not Path(java).is_file():
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on the PATH"
        raise MissingSoftwareError(f"Spark runs on Java, and {where}; {install}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = version[0] if version else (said.strip().splitlines() or ["nothing"])[0]
        raise MissingSoftwareError(f"Spark needs Java {OLDEST_JAVA} or newer, and {java} says {found}; {install}")


def is_on_this_machine(master: str) -> bool:
    """Whether a Spark master is no cluster but threads of this process: ``local``, ``local[4]``."""
    return master == "local" or master.startswith("local[")


@contextmanager
def spark_session(
    master: str | None = None,
    *,
    config: Mapping[str, str] | None = None,
    checkpoint_dir: str | None = None,
) -> Iterator[SparkSession]:
    """A Spark session: the active one, as under ``spark-submit`` or in a notebook, else one that ends with the block.

    Args:
        master: Where Spark runs: ``local[*]`` (the default), ``spark://host:7077``, ``yarn`` ... An active session
            keeps its own.
        config: Spark's own settings, such as ``{"spark.executor.memory": "8g"}``. Those of an active session stay.
        checkpoint_dir: A folder that every worker can reach, where intermediate results are kept through the loss of
            a worker. On this machine alone it may be omitted, for a temporary one.

    Raises:
        MissingSoftwareError: If pyspark or Java is absent.
        ValueError: If the session is not on this machine alone and no ``checkpoint_dir`` is known.
    """
    check_spark()
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    where = (master or "local[*]") if active is None else active.sparkContext.master
    known = checkpoint_dir or (None if active is None else active.sparkContext.getCheckpointDir())
    if known is None and not is_on_this_machine(where):
        raise ValueError(
            f"Spark at {where} needs a checkpoint_dir that all its workers can reach (a shared folder, hdfs://..., "
            "s3a://...), got none"
        )
    with tempfile.TemporaryDirectory(prefix="gnnkit-spark-", ignore_cleanup_errors=True) as folder:
        session = _started(where, config or {}, Path(folder)) if active is None else active
        try:
            if checkpoint_dir is not None or known is None:
                session.sparkContext.setCheckpointDir(checkpoint_dir or Path(folder, "checkpoints").as_uri())
            yield session
        finally:
            if active is None:
                session.stop()


def _started(master: str, config: Mapping[str, str], folder: Path) -> SparkSession:
    from pyspark.sql import SparkSession

    logging = folder / "log4j2.properties"
    logging.write_text(_LOGGING)
    settings = {
        "spark.app.name": "gnnkit",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.cleaner.referenceTracking.cleanCheckpoints": "true",
        # A sketch is a few kilobytes: far more than Spark's 128 fit before a hash map must give way to sorting.
        "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "4096",
        **config,
    }
    own = config.get("spark.driver.extraJavaOptions", "")
    settings["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={logging.as_uri()} {own}".strip()
    if is_on_this_machine(master):
        # Nobody else is to connect; and the name of the host need not resolve.
        settings = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", **settings}
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    if "spark.sql.shuffle.partitions" not in config:
        # Spark's 200 are for a cluster of 50 cores and more; adaptive execution cannot mend what each stage writes.
        partitions = max(4, 2 * session.sparkContext.defaultParallelism)
        session.conf.set("spark.sql.shuffle.partitions", str(partitions))
    return session


def is_remote(path: str) -> bool:
    """Whether a path names another file system, as ``hdfs://`` and ``s3a://`` do, which only Spark can look into."""
    scheme = urlsplit(path).scheme
    return len(scheme) > 1 and scheme != "file"
