"""How the processes of a job find one another, also after torchrun has started them anew.

torchrun keeps one key-value store for all its restarts. In it the addresses of processes that have died
still stand under the names that the new ones look up, so that a new process may try to connect to a
dead one. Here those that are alive agree on a name of their own first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from torch._C._distributed_c10d import PrefixStore, Store

_PAUSE = 0.02  # seconds between looks; short enough that SIGTERM is heard at once


def own_store(store: Store, rank: int, size: int, timeout: timedelta) -> PrefixStore:
    """A part of ``store`` that nobody but the living processes of this start has written to.

    Each but the first leaves a number of its own; the first answers every number it sees, the dead's too,
    with the name of the part, until all have said that they are there. An answer is to one number, so
    nobody takes an old one.

    Raises:
        TimeoutError: If a process does not come.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    if rank:
        mine = uuid4().hex
        store.set(f"gnnkit/{rank}", mine)
        answer = f"gnnkit/answer/{mine}"
        _until(lambda: store.check([answer]), deadline, "the first process")
        name = store.get(answer).decode()
        store.set(f"{name}/{rank}/here", "")
        return PrefixStore(name, store)
    name = f"gnnkit/{uuid4().hex}"
    answered: set[str] = set()

    def all_here() -> bool:
        missing = [other for other in range(1, size) if not store.check([f"{name}/{other}/here"])]
        for other in missing:
            if store.check([f"gnnkit/{other}"]) and (number := store.get(f"gnnkit/{other}").decode()) not in answered:
                store.set(f"gnnkit/answer/{number}", name)
                answered.add(number)
        return not missing

    _until(all_here, deadline, f"all of {size} processes")
    return PrefixStore(name, store)


def _until(condition: Callable[[], bool], deadline: float, who: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{who} did not come; see what torchrun says of the others")
        time.sleep(_PAUSE)
