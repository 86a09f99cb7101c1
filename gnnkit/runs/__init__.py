"""What every experiment needs, whatever it trains; see `gnnkit.runs.folder` for what a run leaves behind."""

from gnnkit.runs.checkpoint import CheckpointTimer, load_checkpoint, save_checkpoint
from gnnkit.runs.config import config_from_toml, config_to_toml, read_config, write_config
from gnnkit.runs.folder import RunFolder
from gnnkit.runs.interrupt import Interrupted, StopRequest, catch_interrupt
from gnnkit.runs.many import Outcome, check_settled, run_many
from gnnkit.runs.memory import keep_freed_memory
from gnnkit.runs.metrics import MetricsLog, read_metrics
from gnnkit.runs.progress import Progress, ProgressMode
from gnnkit.runs.seeding import (
    deterministic_algorithms,
    environment,
    environment_changes,
    random_state,
    restore_random_state,
    seed_everything,
    use_threads,
    versions,
)
from gnnkit.runs.statistics import (
    Comparison,
    Equivalence,
    Interval,
    Spread,
    corrected_resampled_t_test,
    holm,
    paired_equivalence,
    spread,
    welch_t_test,
)
from gnnkit.runs.worker import report_progress
from gnnkit.storage.atomic import atomic_write
from gnnkit.storage.json_files import read_json, write_json
from gnnkit.storage.reading import read_regular
from gnnkit.storage.text import printable

__all__ = [
    "CheckpointTimer",
    "Comparison",
    "Equivalence",
    "Interrupted",
    "Interval",
    "MetricsLog",
    "Outcome",
    "Progress",
    "ProgressMode",
    "RunFolder",
    "Spread",
    "StopRequest",
    "atomic_write",
    "catch_interrupt",
    "check_settled",
    "config_from_toml",
    "config_to_toml",
    "corrected_resampled_t_test",
    "deterministic_algorithms",
    "environment",
    "environment_changes",
    "holm",
    "keep_freed_memory",
    "load_checkpoint",
    "paired_equivalence",
    "printable",
    "random_state",
    "read_config",
    "read_json",
    "read_metrics",
    "read_regular",
    "report_progress",
    "restore_random_state",
    "run_many",
    "save_checkpoint",
    "seed_everything",
    "spread",
    "use_threads",
    "versions",
    "welch_t_test",
    "write_config",
    "write_json",
]
