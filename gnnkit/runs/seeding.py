"""Random state, threads and the record of both: what makes a run repeatable bit for bit."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

    Generator = torch.Generator | np.random.Generator

# Those whose change can change a run's bits.
_PACKAGES = ("gnnkit", "torch", "torch-geometric", "numpy", "scipy")


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's (also CUDA's) global generators.

    Raises:
        ValueError: If ``seed`` is not in 0 .. 2**32 - 1, which numpy takes.
    """
    import numpy as np
    import torch

    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - code not ours draws from the global generator
    torch.manual_seed(seed)


def random_state(generators: Mapping[str, Generator] | None = None) -> dict[str, Any]:
    """The state of the global generators and of ``generators``, in a form a checkpoint holds."""
    import numpy as np
    import torch

    cuda_runs: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {
        "python": _listed(random.getstate()),
        "numpy": _listed(np.random.get_state(legacy=False)),  # noqa: NPY002
        "torch": torch.get_rng_state(),
        # Asking a CUDA device that is not in use would start it.
        "cuda": torch.cuda.get_rng_state_all() if cuda_runs else [],
        "generators": {
            name: each.get_state() if isinstance(each, torch.Generator) else _listed(each.bit_generator.state)
            for name, each in (generators or {}).items()
        },
    }


def restore_random_state(state: Mapping[str, Any], generators: Mapping[str, Generator] | None = None) -> None:
    """Undo everything drawn since `random_state` returned ``state``; ``generators`` are set in place.

    CUDA states beyond the devices of this machine are left out: no run here draws from those.

    Raises:
        ValueError: If ``generators`` are not those of ``state``, or of another kind.
    """
    import numpy as np
    import torch

    generators = generators or {}
    if set(generators) != set(state["generators"]):
        raise ValueError(
            f"the saved random state has the generators {sorted(state['generators'])}, got {sorted(generators)}"
        )
    for name, each in generators.items():
        saved = state["generators"][name]
        if isinstance(each, torch.Generator) != isinstance(saved, torch.Tensor):
            raise ValueError(f"the generator {name!r} is a {type(each).__name__}, the saved one was of another kind")
        if isinstance(each, torch.Generator):
            each.set_state(saved)
        else:
            each.bit_generator.state = saved  # numpy itself refuses another bit generator's
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        for device, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, device)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Let torch use ``threads`` threads within the block: the order of sums, so the bits, depends on it.

    Raises:
        ValueError: If ``threads`` is below 1 or above 1024: OpenMP ends the process where it cannot make them.
    """
    import torch

    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if threads > 1024:
        raise ValueError(f"threads must be at most 1024, got {threads}")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Make torch choose repeatable algorithms within the block, and fail where it has none.

    The CPU needs no such choice; CUDA does. cuBLAS reads its setting when it starts, so enter
    this before the first operation on the device.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on, without importing them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment(*, device: str = "cpu", threads: int | None = None) -> dict[str, Any]:
    """What else a run's bits depend on beside its seed: versions, threads, device and machine.

    ``threads`` defaults to what torch uses now.
    """
    import torch

    place = torch.device(device)
    return {
        "versions": versions(),
        "threads": torch.get_num_threads() if threads is None else threads,
        "device": str(place),
        "device_name": torch.cuda.get_device_name(place) if place.type == "cuda" else _processor_name(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count() or 1,
    }


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two `environment` records, a line each; empty if the bits will be the same.

    Example:
        >>> environment_changes({"threads": 1, "versions": {"torch": "2.13.0"}},
        ...                     {"threads": 2, "versions": {"torch": "2.13.0"}})
        ['threads: 1, now 2']
    """
    lines = []
    for name in sorted({*before, *now} - {"cpu_count"}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += environment_changes(old, new)
        elif old != new:
            lines.append(f"{name}: {old}, now {new}")
    return lines


def _listed(state: Any) -> Any:
    """Arrays and tuples as lists, which checkpoints hold and numpy takes back."""
    if isinstance(state, Mapping):
        return {name: _listed(item) for name, item in state.items()}
    if isinstance(state, tuple):
        return [_listed(item) for item in state]
    return state.tolist() if hasattr(state, "tolist") else state


def _processor_name() -> str:
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith("model name"):
                        return line.split(":", 1)[1].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()
