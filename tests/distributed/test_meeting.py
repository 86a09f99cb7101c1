"""Processes find one another in a store that the dead have written to."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from gnnkit.distributed.launch import process_number, restarts
from gnnkit.distributed.meeting import own_store

SECOND = timedelta(seconds=1)


def meet(store: HashStore, size: int) -> list[str]:
    found = [""] * size

    def come(rank: int) -> None:
        own = own_store(store, rank, size, 30 * SECOND)
        own.set(f"address/{rank}", f"of {rank}")
        found[rank] = ",".join(own.get(f"address/{other}").decode() for other in range(size))

    threads = [threading.Thread(target=come, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_the_living_meet_however_often_others_died_before() -> None:
    store = HashStore()
    with pytest.raises(TimeoutError, match="the first process did not come"):
        own_store(store, 1, 3, 0.1 * SECOND)  # leaves its number, and dies
    with pytest.raises(TimeoutError, match="all of 3 processes did not come"):
        own_store(store, 0, 3, 0.1 * SECOND)  # has answered that number, and dies
    for _ in range(3):
        assert meet(store, 3) == ["of 0,of 1,of 2"] * 3
    assert meet(store, 1) == ["of 0"]


def test_what_torchrun_says() -> None:
    given = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    assert process_number(given) == 3
    assert process_number({"RANK": "3"}) is None
    assert restarts({}) == (0, 0)
    assert restarts({"TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_MAX_RESTARTS": "5"}) == (2, 5)
