import math
import warnings

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from gnnkit.training.optimization import Optimization, learning_rate, make_optimizer, set_learning_rate

STEPS = 40
SCHEDULES = {
    "constant": (Optimization(lr=0.1), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    "exponential": (
        Optimization(lr=0.1, schedule="exponential", decay=0.7, decay_every=3),
        lambda o: lr_scheduler.StepLR(o, 3, 0.7),
    ),
    "cosine": (Optimization(lr=0.1, schedule="cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    "one-cycle": (
        Optimization(lr=0.1, schedule="one-cycle", warmup=12),
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, STEPS, pct_start=0.3, cycle_momentum=False),
    ),
    "one-cycle of torch's own rise": (
        Optimization(lr=0.1, schedule="one-cycle"),
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, STEPS, cycle_momentum=False),
    ),
    "warm-up": (
        Optimization(lr=0.1, warmup=5),
        lambda o: lr_scheduler.LinearLR(o, start_factor=1 / 5, total_iters=4),
    ),
}


@pytest.mark.parametrize(("settings", "theirs"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_are_torchs(settings, theirs):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = theirs(optimizer)
    for step in range(STEPS):
        assert learning_rate(settings, step, STEPS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # OneCycleLR counts one step more than it takes
            if step < STEPS - 1:
                scheduler.step()


OPTIMIZERS = {
    "sgd": (Optimization("sgd", 0.1, weight_decay=0.2, momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    "rmsprop": (Optimization("rmsprop", 0.1, weight_decay=0.2, momentum=0.5), torch.optim.RMSprop, {"momentum": 0.5}),
    "adam": (Optimization("adam", 0.1, weight_decay=0.2), torch.optim.Adam, {}),
    "adamw": (Optimization("adamw", 0.1, weight_decay=0.2), torch.optim.AdamW, {}),
}


@pytest.mark.parametrize(("settings", "theirs", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers_are_torchs_under_a_changing_rate(settings, theirs, options):
    torch.manual_seed(0)
    start = torch.randn(5, dtype=torch.float64)
    weights = [nn.Parameter(start.clone()) for _ in range(2)]
    ours = make_optimizer([weights[0]], settings)
    other = theirs([weights[1]], 1.0, weight_decay=0.2, **options)
    for step in range(6):
        for optimizer, weight in ((ours, weights[0]), (other, weights[1])):
            set_learning_rate(optimizer, 0.1 / (step + 1))
            weight.grad = weight.detach().pow(3) - 1
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-12, atol=1e-14)
    assert not torch.equal(weights[0], start)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "lr must be a positive number, got 0.0"),
        ({"lr": math.nan}, "lr must be a positive number, got nan"),
        ({"clip": -1.0}, "clip must be a positive number, got -1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more, got -1.0"),
        ({"momentum": 1.0}, "momentum must be from 0 to below 1, got 1.0"),
        ({"optimizer": "adam", "momentum": 0.9}, "got 0.9 for adam"),
        ({"warmup": -1}, "warmup must be 0 steps or more, got -1"),
        ({"decay_every": 0}, "decay_every must be 1 or more, got 0"),
        ({"decay": 0.9}, "decay=0.9 with schedule='constant'"),
        ({"schedule": "exponential"}, "decay=None with schedule='exponential'"),
        ({"schedule": "exponential", "decay": 1.5}, "at most 1, got 1.5"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Optimization(**settings)
