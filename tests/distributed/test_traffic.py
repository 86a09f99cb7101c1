"""What the processes send is told by a resumed run as by a whole one."""

from __future__ import annotations

import pytest

from gnnkit.distributed.traffic import Traffic, gathered
from tests.distributed.thread_group import ThreadGroup, in_threads


def test_the_first_epoch_is_counted_in_every_process() -> None:
    def job(group: ThreadGroup) -> list[int]:
        traffic = Traffic(group)
        for epoch in range(3):
            traffic.note(10 * group.rank + epoch)
        return traffic.bytes_per_epoch

    assert in_threads(3, job) == [[0, 10, 20]] * 3


def test_a_saved_count_is_taken_up_by_as_many_processes() -> None:
    def job(group: ThreadGroup) -> list[int]:
        traffic = Traffic(group)
        traffic.load_state_dict({"bytes_per_epoch": [7, 8]})
        return traffic.bytes_per_epoch

    assert in_threads(2, job) == [[7, 8]] * 2
    assert in_threads(3, job) == [[]] * 3  # to be counted anew


@pytest.mark.parametrize("saved", [None, 3, [1.5, 2], ["1", "2"], [True, 1]])
def test_a_count_of_another_kind_is_refused(saved: object) -> None:
    def job(group: ThreadGroup) -> None:
        Traffic(group).load_state_dict({"bytes_per_epoch": saved})

    with pytest.raises(ValueError, match="expected a list of whole numbers"):
        in_threads(1, job)


def test_every_process_sees_all_numbers_by_kind() -> None:
    columns = in_threads(2, lambda group: gathered(group, [group.rank, 5 - group.rank]))
    assert columns == [[[0, 1], [5, 4]]] * 2
