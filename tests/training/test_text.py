"""Training a character language model: what it learns, what it reports, and resuming bit for bit."""

import math
from dataclasses import replace

import pytest
import torch

from gnnkit.errors import DivergedError
from gnnkit.runs import RunFolder
from gnnkit.training.optimization import Optimization
from gnnkit.training.text import COLUMNS, TextConfig, fit_text
from recurrent.models import CharLM
from recurrent.state import tensors_of
from recurrent.text import Vocabulary, split_contiguous

TEXT = "the cat sat on the mat. " * 60
VOCABULARY = Vocabulary.from_text(TEXT)
PARTS = split_contiguous(VOCABULARY.encode(TEXT), validation=0.1, test=0.1)
ADAM = Optimization("adam", 0.01, clip=5.0)


def model(seed=0, **options):
    torch.manual_seed(seed)
    return CharLM(len(VOCABULARY), 16, **options)


def quick(**options):
    base = {"steps": 12, "batch_size": 4, "seq_length": 8, "eval_every": 5, "sample_every": 6, "sample_length": 10}
    return TextConfig(**{**base, "optimization": ADAM, **options})


class Notes:
    def __init__(self, stop_after=None):
        self.lines, self.updates = [], []

    def update(self, completed, **fields):
        self.updates.append(completed)

    def note(self, text):
        self.lines.append(text)


@pytest.mark.parametrize("batches", ["stateful", "random"])
def test_a_repeated_sentence_is_learnt(batches):
    rate = Optimization("adam", 0.02)
    config = quick(steps=150, batch_size=16, batches=batches, eval_every=50, sample_length=40, optimization=rate)
    config = replace(config, sample_prompt="the cat sat on the ")
    trained = model(input="embedding")
    result = fit_text(trained, PARTS, VOCABULARY, config)
    assert result.test.bits_per_character < 0.3
    assert result.test.accuracy > 0.95
    assert result.test.characters == len(PARTS.test) - 1
    assert not trained.training
    first, last = result.history["train_bits_per_character"][0], result.history["train_bits_per_character"][-1]
    assert first == pytest.approx(math.log2(len(VOCABULARY)), rel=0.1)
    assert last < 0.5
    assert result.samples[-1].step == 150
    assert "the " in result.samples[-1].text


def test_what_is_reported():
    progress = Notes()
    result = fit_text(model(), PARTS, VOCABULARY, quick(), progress=progress)
    assert set(result.history) == set(COLUMNS)
    measured = [
        step for step, value in zip(result.history["step"], result.history["val_loss"], strict=True) if value == value
    ]
    assert measured == [5, 10, 12]
    assert [sample.step for sample in result.samples] == [6, 12]
    assert all(sample.prompt == "t" for sample in result.samples)  # the commonest letter
    assert all(len(sample.text) == 10 for sample in result.samples)
    assert [line.split(":")[0] for line in progress.lines] == ["step 6", "step 12"]
    assert progress.updates == list(range(1, 13))
    losses = result.history["val_loss"]
    assert result.selected_step == min(measured, key=lambda step: losses[int(step) - 1])
    assert result.val.loss == pytest.approx(min(loss for loss in losses if loss == loss), rel=1e-5)
    assert result.history["val_loss"][4] == pytest.approx(result.history["val_bits_per_character"][4] * math.log(2))
    assert result.train_accuracy == result.history["train_accuracy"][-1]
    assert result.train_accuracy_best == max(result.history["train_accuracy"])


def test_samples_do_not_change_the_training():
    often = fit_text(model(dropout=0.3), PARTS, VOCABULARY, quick(sample_every=1))
    seldom = fit_text(model(dropout=0.3), PARTS, VOCABULARY, quick(sample_every=12))
    assert often.history["train_loss"] == seldom.history["train_loss"]


class Killed(Exception):
    pass


@pytest.mark.parametrize("batches", ["stateful", "random"])
def test_a_resumed_run_is_an_uninterrupted_one_bit_for_bit(tmp_path, batches, monkeypatch):
    config = quick(steps=14, batches=batches)
    build = lambda seed: model(seed, dropout=0.3)  # noqa: E731
    straight = build(0)
    with RunFolder.create(tmp_path / "straight", kind="text") as folder:
        expected = fit_text(straight, PARTS, VOCABULARY, config, folder=folder)
    with RunFolder.create(tmp_path / "killed", kind="text") as folder:

        class KillAt9(Notes):
            def update(self, completed, **fields):
                if completed == 9:
                    raise Killed

        monkeypatch.setattr("gnnkit.runs.CheckpointTimer.due", lambda self: True)  # so that step 8 is saved
        with pytest.raises(Killed):
            fit_text(build(0), PARTS, VOCABULARY, config, folder=folder, progress=KillAt9())
    with RunFolder.resume(tmp_path / "killed") as folder:
        saved = folder.load_checkpoint()
        assert saved["step"] == 8
        carried = saved["parts"]["memory"]["tensors"]
        assert any(tensor.abs().max() > 0 for tensor in carried) == (batches == "stateful")
        again = build(1)  # other weights: all must come from the checkpoint
        found = fit_text(again, PARTS, VOCABULARY, config, folder=folder)
    assert repr(found.history) == repr(expected.history)  # a NaN equals none, not even itself
    assert found.samples == expected.samples
    assert found.test == expected.test
    for name, value in straight.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    metrics = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("straight", "killed")]
    assert metrics[0] == metrics[1]


def test_the_state_is_carried_only_by_stateful_batches():
    seen = []

    class Spy(CharLM):
        def forward(self, tokens, state=None):
            if self.training:
                seen.append(None if state is None else float(tensors_of(state)[0].abs().max()))
            return super().forward(tokens, state)

    torch.manual_seed(0)
    fit_text(Spy(len(VOCABULARY), 8), PARTS, VOCABULARY, quick(steps=3))
    assert seen[0] == 0
    assert all(value > 0 for value in seen[1:3])
    seen.clear()
    fit_text(Spy(len(VOCABULARY), 8), PARTS, VOCABULARY, quick(steps=3, batches="random"))
    assert seen[:3] == [None] * 3


def test_the_loss_temperature_divides_the_logits_of_the_training_loss():
    plain = fit_text(model(), PARTS, VOCABULARY, quick(steps=1)).history["train_loss"][0]
    hot = fit_text(model(), PARTS, VOCABULARY, quick(steps=1, loss_temperature=1e6)).history["train_loss"][0]
    assert hot == pytest.approx(math.log(len(VOCABULARY)), abs=1e-5)
    assert hot != plain


def test_bfloat16_is_close_and_leaves_the_weights_in_float32():
    full, half = model(), model()
    exact = fit_text(full, PARTS, VOCABULARY, quick())
    near = fit_text(half, PARTS, VOCABULARY, quick(precision="bfloat16"))
    assert near.history["train_loss"] == pytest.approx(exact.history["train_loss"], rel=0.02)
    assert near.history["train_loss"] != exact.history["train_loss"]
    assert all(parameter.dtype == torch.float32 for parameter in half.parameters())


def test_parts_may_be_absent():
    parts = split_contiguous(VOCABULARY.encode(TEXT), validation=0, test=0)
    result = fit_text(model(), parts, VOCABULARY, quick())
    assert result.test is None
    assert result.val is None
    assert result.selected_step == 12


def test_a_diverged_run_is_stopped_with_the_step():
    broken = model()
    torch.nn.init.constant_(broken.head.weight, float("inf"))
    with pytest.raises(DivergedError, match=r"nan in step 1; try a lower lr"):
        fit_text(broken, PARTS, VOCABULARY, quick())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps .* got 0"),
        ({"seq_length": 0}, "seq_length .* got 0"),
        ({"sample_every": 0}, "sample_every .* got 0"),
        ({"loss_temperature": 0.0}, "loss_temperature .* got 0.0"),
        ({"optimization": Optimization(schedule="one-cycle", warmup=99)}, "12 steps, got 99"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options)


def test_a_prompt_the_text_lacks_is_told_before_training():
    with pytest.raises(ValueError, match="'Z' at position 0"):
        fit_text(model(), PARTS, VOCABULARY, quick(sample_prompt="Z"))
    with pytest.raises(ValueError, match="smaller seq_length"):
        fit_text(model(), PARTS, VOCABULARY, quick(seq_length=5000))
