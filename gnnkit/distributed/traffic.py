"""What the processes of a job send to one another, counted once and kept with the run."""

from __future__ import annotations

from typing import Any

import torch

from gnnkit.distributed.group import Group


class Traffic:
    """The bytes that each process sends for one epoch's updates: of the first epoch, as all send the same.

    It is part of a run's checkpoints: a resumed run, that may have no epoch left to count, tells what the
    whole run does.

    Args:
        group: The processes.
        device: Where they exchange numbers.

    Attributes:
        bytes_per_epoch: Of each process; empty before the first epoch.
    """

    def __init__(self, group: Group, device: torch.device | str = "cpu") -> None:
        self.group, self.device = group, device
        self.bytes_per_epoch: list[int] = []

    def note(self, sent: int) -> None:
        """Say, in all processes at the same time, what this one has sent for an epoch's updates."""
        if not self.bytes_per_epoch:
            self.bytes_per_epoch = gathered(self.group, [sent], self.device)[0]

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"bytes_per_epoch": self.bytes_per_epoch}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take up what another sitting has counted, if it had as many processes.

        Raises:
            ValueError: If it is not a list of whole numbers.
        """
        counts = state_dict["bytes_per_epoch"]
        if not isinstance(counts, list) or any(type(each) is not int for each in counts):
            raise ValueError(f"bytes_per_epoch is {counts!r}; expected a list of whole numbers")
        self.bytes_per_epoch = list(counts) if len(counts) == self.group.size else []


def gathered(group: Group, mine: list[int], device: torch.device | str = "cpu") -> list[list[int]]:
    """This process's whole numbers beside those of the others: a list of each kind, in order of rank."""
    table = torch.zeros(group.size, len(mine), dtype=torch.int64, device=device)
    table[group.rank] = torch.tensor(mine)
    group.sum_(table)
    columns: list[list[int]] = table.t().tolist()
    return columns
