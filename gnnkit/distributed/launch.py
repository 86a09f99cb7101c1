"""What ``torchrun`` tells the processes it starts; light, so that a command may ask before it loads torch."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Set in every process that torchrun starts.
_ENVIRONMENT = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def under_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process.

    Example:
        >>> under_torchrun({"RANK": "0"})
        False
    """
    return all(name in environment for name in _ENVIRONMENT)


def process_number(environment: Mapping[str, str] = os.environ) -> int | None:
    """This process's number among those that torchrun started; None where it did not."""
    return int(environment["RANK"]) if under_torchrun(environment) else None


def restarts(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """How often torchrun has started the processes of this job anew, and how often it may."""
    count, most = (environment.get(f"TORCHELASTIC_{name}", "0") for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    return int(count), int(most)
