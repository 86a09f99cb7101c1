"""The functions that test_many runs in other processes, which must import them."""

import os
import signal
import sys
import time
from pathlib import Path

from gnnkit.runs import Interrupted, catch_interrupt, report_progress


def add(shared, item):
    return shared + item


def stumble(shared, item):
    if item == "raise":
        raise ValueError(f"got {item}")
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        sys.exit(3)
    if item == "die":
        os._exit(7)
    if item == "lambda":
        return lambda: None
    return item


def tell(shared, item):
    for part in range(3):
        report_progress((item, part))
    return os.getpid()


def train(shared, seed):
    """Large enough a product that torch would split it over threads, had it more than one."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shared.shape[1], 64, generator=generator, requires_grad=True)
    for _ in range(3):
        loss = (shared @ weight).tanh().sum()
        (gradient,) = torch.autograd.grad(loss, weight)
        weight = (weight - 1e-3 * gradient).detach().requires_grad_()
    return torch.get_num_threads(), loss.item(), weight.detach()


def wait(folder, item):
    """A job that takes for ever and stops when asked, as a training loop does."""
    if item == "quick":
        return item
    with catch_interrupt() as stop:
        Path(folder, f"{item}.begun").touch()
        while not stop.requested:
            time.sleep(0.01)
        Path(folder, f"{item}.checkpoint").touch()
        raise Interrupted("continue with --resume")


def deaf(folder, item):
    """A job that does not listen at all."""
    Path(folder, f"{item}.begun").write_text(str(os.getpid()))
    time.sleep(60)


def fail_with(errors, item):
    raise errors[item]
