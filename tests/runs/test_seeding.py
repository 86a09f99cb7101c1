import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from gnnkit.runs import (
    deterministic_algorithms,
    environment,
    environment_changes,
    seed_everything,
    use_threads,
    versions,
)


def test_the_same_seed_gives_the_same_draws():
    def draws(seed):
        seed_everything(seed)
        return random.random(), np.random.rand(), torch.rand(2).tolist()  # noqa: NPY002

    assert draws(3) == draws(3)
    assert all(a != b for a, b in zip(draws(3), draws(4), strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0"])
def test_seeds_numpy_would_refuse(seed):
    with pytest.raises(ValueError, match=f"got {seed!r}"):
        seed_everything(seed)


def test_threads_are_set_within_the_block_only():
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with pytest.raises(ZeroDivisionError), use_threads(1):  # noqa: PT012
            assert torch.get_num_threads() == 1
            1 / 0
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="at least 1, got 0"), use_threads(0):
        pass
    with pytest.raises(ValueError, match="at most 1024, got 100000"), use_threads(100_000):
        pass


def test_deterministic_algorithms_within_the_block_only(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic_algorithms():
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_record_names_what_the_bits_depend_on():
    record = environment(threads=1)
    assert record["versions"] == versions()
    assert record["versions"]["torch"] == torch.__version__
    assert {"python", "numpy", "gnnkit"} <= set(record["versions"])
    assert (record["threads"], record["device"]) == (1, "cpu")
    assert record["device_name"]
    later = {**record, "threads": 2, "cpu_count": 999, "versions": {**record["versions"], "torch": "99"}}
    assert environment_changes(record, record) == []
    assert environment_changes(record, later) == ["threads: 1, now 2", f"torch: {torch.__version__}, now 99"]


def test_importing_runs_loads_nothing_heavy():
    code = (
        "import gnnkit.runs, sys;"
        "print([name for name in ('torch', 'numpy', 'scipy', 'matplotlib', 'rich', 'multiprocessing', 'tomli_w')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
