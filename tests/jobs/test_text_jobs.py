"""Text runs: what the folder holds, loading it back, resuming, and what a changed or damaged folder says."""

import json
from dataclasses import replace

import pytest
import torch

import gnnkit
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs.text_job import RECIPES, CorpusFacts, TextJob, TextModel, TextSource, recipe
from gnnkit.jobs.text_train import resume_text_job, run_text_job
from gnnkit.jobs.text_trained import TrainedText
from gnnkit.runs import Interrupted, config_from_toml, config_to_toml, load_checkpoint
from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig
from recurrent.generation import GenerationConfig
from recurrent.text import Corpus, Vocabulary, split_contiguous

BOOK = "*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n" + "the cat sat on the mat.\n" * 50
TRAINING = TextConfig(
    steps=15,
    batch_size=4,
    seq_length=8,
    eval_every=5,
    sample_every=5,
    sample_length=20,
    optimization=Optimization("adam", 0.01),
)


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(BOOK)
    return TextJob(TextSource(str(path), validation=0.1), TextModel(hidden_size=12, dropout=0.2), TRAINING)


def run(job, out, **options):
    return run_text_job(job, out, progress="quiet", say=lambda _: None, **options)


def test_a_run_folder_holds_everything(tmp_path, job):
    said = []
    summary = run_text_job(job, tmp_path / "run", progress="quiet", say=said.append)
    found = {path.name for path in summary.folder.iterdir()}
    names = ("run.json", "config.toml", "metrics.csv", "checkpoint.pt", "curves.png", "report.md", "summary.json")
    assert found >= {*names, "vocabulary.json"}
    assert len(said) == 1
    assert "header" in said[0]
    written = json.loads((summary.folder / "summary.json").read_text())
    assert written["kind"] == "text"
    assert written["text"] == "cats"
    assert written["characters"] == len("the cat sat on the mat.\n" * 50)
    assert written["steps"] == 15
    assert [each["step"] for each in written["samples"]] == [5, 10, 15]
    report = (summary.folder / "report.md").read_text()
    assert f"{written['test_bits_per_character']:.3f} bits per character" in report
    assert "removed the Project Gutenberg header" in report
    assert "step      15:" in report
    assert (summary.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    vocabulary = Vocabulary.from_json((summary.folder / "vocabulary.json").read_text())
    assert vocabulary == Vocabulary.from_text("the cat sat on the mat.\n")


def test_load_gives_back_a_model_that_scores_and_writes(tmp_path, job):
    summary = run(job, tmp_path / "run")
    trained = gnnkit.load(tmp_path / "run")
    assert isinstance(trained, TrainedText)
    text = "the cat sat on the mat.\n" * 50
    test = split_contiguous(trained.vocabulary.encode(text), validation=0.1).test
    found = trained.score(trained.vocabulary.decode(test))
    assert found.bits_per_character == pytest.approx(summary.content["test_bits_per_character"], abs=1e-9)
    [written] = trained.generate("the ", GenerationConfig(length=30, seed=1))
    assert "".join(each.text for each in trained.stream("the ", GenerationConfig(length=30, seed=1))) == written.text
    read, bits = trained.surprise("the dog", unknown="skip")
    assert read == "the o"
    assert len(bits) == 4


class Stopper:
    """Stands for gnnkit's progress bar; asks for a stop as ctrl-C would."""

    def __init__(self, *arguments, **options):
        self.seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        return None

    def note(self, text):
        pass

    def update(self, completed, **fields):
        if completed == 7:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, job, monkeypatch):
    straight = run(job, tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr("gnnkit.jobs.text_train.Progress", Stopper)
        with pytest.raises(Interrupted, match=r"step 7; continue with --resume .*stopped"):
            run(job, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "summary.json").exists()
    resumed = resume_text_job(tmp_path / "stopped", progress="quiet")
    assert (tmp_path / "straight" / "metrics.csv").read_bytes() == (tmp_path / "stopped" / "metrics.csv").read_bytes()
    first, second = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("straight", "stopped"))
    for name, value in first["parts"]["model"].items():
        assert torch.equal(value, second["parts"]["model"][name]), name
    for ours, theirs in zip(first["parts"]["memory"]["tensors"], second["parts"]["memory"]["tensors"], strict=True):
        assert torch.equal(ours, theirs)
    ignored = {"seconds"}
    assert {key: value for key, value in straight.content.items() if key not in ignored} == {
        key: value for key, value in resumed.content.items() if key not in ignored
    }
    assert resume_text_job(tmp_path / "stopped").content == json.loads(
        (tmp_path / "stopped" / "summary.json").read_text()
    )


def test_a_changed_text_is_not_resumed(tmp_path, job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("gnnkit.jobs.text_train.Progress", Stopper)
        with pytest.raises(Interrupted):
            run(job, tmp_path / "run")
    (tmp_path / "cats.txt").write_text(BOOK.replace("cat", "tac"))
    with pytest.raises(RunError, match=r"cats\.txt has changed"):
        resume_text_job(tmp_path / "run", progress="quiet")


def test_impossible_requests_leave_no_folder(tmp_path, job):
    for bad, message in [
        (replace(job, training=replace(TRAINING, seq_length=5000)), "too few for windows of 5000"),
        (replace(job, training=replace(TRAINING, sample_prompt="Q")), "'Q' at position 0"),
        (replace(job, model=TextModel(cell="gru", forget_bias=1.0)), "forget gate, got 1.0 for gru"),
        (replace(job, source=TextSource(str(tmp_path / "cats.txt"), test=0.9, validation=0.2)), "to train on"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(bad, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_damaged_folders_say_what_is_damaged(tmp_path, job):
    run(job, tmp_path / "run")
    vocabulary = tmp_path / "run" / "vocabulary.json"
    whole = vocabulary.read_text()
    vocabulary.write_text("{")
    with pytest.raises(FileFormatError, match=r"vocabulary\.json: a vocabulary is a JSON document"):
        gnnkit.load(tmp_path / "run")
    vocabulary.write_text(Vocabulary("ab").to_json())
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt: does not fit"):
        gnnkit.load(tmp_path / "run")
    vocabulary.unlink()
    with pytest.raises(RunError, match=r"no vocabulary\.json"):
        gnnkit.load(tmp_path / "run")
    vocabulary.write_text(whole)
    (tmp_path / "run" / "checkpoint.pt").unlink()
    with pytest.raises(RunError, match="no selected weights"):
        gnnkit.load(tmp_path / "run")


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_kept_by_toml_and_build(name):
    model, training = recipe(name)
    facts = CorpusFacts.of(Corpus("x", "abc", ("a note",)))
    job = TextJob(TextSource(), model, training, corpus=facts)
    assert config_from_toml(config_to_toml(job), TextJob) == job
    if model.hidden_size < 512:
        assert model.build(80).vocab_size == 80


def test_the_improved_recipe_has_as_many_parameters_as_the_reports_within_a_percent():
    ours, theirs = (
        sum(each.numel() for each in recipe(name)[0].build(80).parameters()) for name in ("improved", "report-000")
    )
    assert abs(ours / theirs - 1) < 0.01


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(ValueError, match="'best'; there are improved, report-000"):
        recipe("best")
