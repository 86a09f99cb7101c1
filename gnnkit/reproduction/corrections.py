"""Where the reports are wrong, and what is right: each correction with numbers computed when it is asked for.

Everything is float64 and seeded, so that the numbers are the same on every machine up to rounding.
"""

from __future__ import annotations

import torch

from gnnkit.reproduction import corrections_of_gradients as gradients
from gnnkit.reproduction import corrections_of_models as models
from gnnkit.reproduction.correction import Correction

_ALL = (
    gradients.softmax,
    gradients.sign,
    gradients.jacobians,
    gradients.rmsprop,
    models.normalised,
    gradients.mean_absolute,
    models.lstm_count,
    models.average,
    models.rate,
    models.temperature,
    models.hops,
    models.candidate,
    models.output_map,
    gradients.adam,
    gradients.gate,
    models.trained_temperature,
    gradients.what_multiplies,
)


def corrections() -> list[Correction]:
    """Every correction, computed now."""
    state = torch.random.get_rng_state()
    try:
        return [make() for make in _ALL]
    finally:
        torch.random.set_rng_state(state)
