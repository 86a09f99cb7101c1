import math

import pytest
import torch
from torch import nn

from gnnkit.errors import DivergedError
from gnnkit.runs import RunFolder, load_checkpoint
from gnnkit.training.session import Session


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_no_number_never_reaches_a_checkpoint(tmp_path, value):
    """The loss of a step may be finite and its gradient not: the weights behind it are looked at, too."""
    model = nn.Linear(2, 1)
    with RunFolder.create(tmp_path / "run", kind="test") as folder:
        session = Session(folder, ("epoch", "train_loss"), model, {})
        session.record({"train_loss": 1.0})
        session.save()
        kept = folder.checkpoint_path.read_bytes()
        with torch.no_grad():
            model.weight[0, 1] = value
        session.record({"train_loss": 0.5})
        with pytest.raises(
            DivergedError,
            match=r"weight has NaN or infinite entries after epoch 2; try a lower lr; the checkpoint of epoch 1 is in",
        ):
            session.save()
        assert folder.checkpoint_path.read_bytes() == kept
        assert load_checkpoint(folder.checkpoint_path)["step"] == 1


def test_without_a_checkpoint_none_is_promised(tmp_path):
    with RunFolder.create(tmp_path / "run", kind="test") as folder:
        session = Session(folder, ("epoch", "train_loss"), nn.Linear(2, 1), {})
        with pytest.raises(DivergedError, match=r"became inf in epoch 1; try a lower lr$"):
            session.check_finite(math.inf)
