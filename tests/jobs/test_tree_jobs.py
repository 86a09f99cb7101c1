"""gnnkit trees, from the command line to the run folder and back; its training loop and model."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import gnnkit
from gnnkit.cli.main import app
from gnnkit.data.trees import WordList, boolean_trees, read_trees
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs.train_trees import evaluate_tree_run, resume_tree_job, run_tree_job
from gnnkit.jobs.trained_trees import load_trees
from gnnkit.jobs.tree_job import TreeJob, TreeOptions, TreeSizes, TreeSource
from gnnkit.models import TreeClassifier
from gnnkit.runs import Interrupted, RunFolder
from gnnkit.training.optimization import Optimization
from gnnkit.training.trees import TreeConfig, evaluate_trees, fit_trees

SMALL = TreeOptions(embedding_dim=4, hidden_size=6)


@pytest.fixture
def path(tmp_path):
    trees = boolean_trees(40, depth=3)
    (tmp_path / "trees.txt").write_text("\n".join(trees.to_text(tree) for tree in range(40)))
    return tmp_path / "trees.txt"


def job_of(path, **changes):
    source = TreeSource("", file=str(path))
    return TreeJob(source, SMALL, TreeConfig(epochs=3, batch_size=8), **changes)


def test_expressions_are_learned():
    words = WordList.of(trees := boolean_trees(300, depth=3))
    encoded = words.encode(trees)
    torch.manual_seed(0)
    model = TreeClassifier(len(words), 2, embedding_dim=8, hidden_size=16, arity=2, dropout=0.0)
    result = fit_trees(model, encoded, encoded, encoded, TreeConfig(epochs=8, batch_size=10))
    assert result.test.accuracy == result.test.node_accuracy == 1.0
    assert not model.training


def test_a_job_and_its_scores_again(path, tmp_path):
    summary = run_tree_job(job_of(path, runs=2), tmp_path / "out", progress="quiet")
    assert len(summary.content["per_run"]["test_accuracy"]) == 2
    assert summary.content["num_train"] == 32
    for name in ("report.md", "summary.json", "curves.png", "seed-0/metrics.csv", "seed-1/checkpoint.pt"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    again = evaluate_tree_run(tmp_path / "out")
    assert [each.accuracy for each in again.values()] == summary.content["per_run"]["test_accuracy"]
    assert [each.loss for each in again.values()] == summary.content["per_run"]["test_loss"]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_an_interrupted_run_ends_as_one_that_was_not(path, tmp_path, schedule):
    job = job_of(path)
    config = TreeConfig(epochs=3, batch_size=8, optimization=Optimization(optimizer="adagrad", schedule=schedule))
    treebank = job.source.load()
    words = job.vocabulary(treebank)
    parts = [words.encode(part) for part in (treebank.train, treebank.dev, treebank.test)]

    class Stop:
        def update(self, completed: int, **fields: object) -> None:
            if completed == 1:
                import signal

                signal.raise_signal(signal.SIGINT)

    def fit(folder, progress=None):
        return fit_trees(job.build(TreeSizes.of(treebank, words), 0), *parts, config, folder=folder, progress=progress)

    with RunFolder.create(tmp_path / "whole", kind="trees") as folder:
        whole = fit(folder)
    with RunFolder.create(tmp_path / "cut", kind="trees") as folder, pytest.raises(Interrupted, match="epoch 1"):
        fit(folder, Stop())
    with RunFolder.resume(tmp_path / "cut") as folder:
        resumed = fit(folder)
    assert resumed.history == whole.history
    assert resumed.test == whole.test
    assert (tmp_path / "cut" / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()


def test_jobs_are_resumed(path, tmp_path):
    whole = run_tree_job(job_of(path), tmp_path / "whole", progress="quiet")
    with RunFolder.create(tmp_path / "cut", kind="trees") as folder:
        folder.write_config(job_of(path))
    with RunFolder.create(tmp_path / "cut" / "seed-0", kind="trees"):
        pass
    with pytest.raises(RunError, match="has no selected weights"):
        evaluate_tree_run(tmp_path / "cut")
    resumed = resume_tree_job(tmp_path / "cut", progress="quiet", warn=lambda _: None)
    assert resumed.content["per_run"]["test_loss"] == whole.content["per_run"]["test_loss"]
    assert resume_tree_job(tmp_path / "cut").content["seeds"] == [0]
    with RunFolder.create(tmp_path / "other", kind="nodes"):
        pass
    with pytest.raises(RunError, match="of kind 'nodes', not 'trees'"):
        resume_tree_job(tmp_path / "other")


def test_a_folder_is_all_that_using_a_model_needs(path, tmp_path):
    run_tree_job(job_of(path, runs=2), tmp_path / "out", progress="quiet")
    trees = read_trees(path)
    path.unlink()
    trained = gnnkit.load(tmp_path / "out")
    found = trained.predict(trees)
    assert found.probabilities.shape == (trees.num_nodes, 2)
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(trees.num_nodes))
    unheard = replace(trees, words=tuple("unheard-of" if word else "" for word in trees.words))
    assert trained.predict(unheard).classes.shape == (trees.num_nodes,)
    right = (found.classes == trees.labels)[trees.roots].float().mean()
    assert trained.evaluate(trees).accuracy == pytest.approx(float(right))
    with pytest.raises(ValueError, match="seeds 0, 1, got 7"):
        load_trees(tmp_path / "out", seed=7)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ('{"words": [1], "num_classes": 2, "max_children": 2}', FileFormatError, "holds no list of words"),
        ('{"words": ["a"], "num_classes": -2, "max_children": 2}', FileFormatError, r"got \[-2, 2\]"),
        ('{"words": ["a"], "num_classes": 2, "max_children": 2}', FileFormatError, "checkpoint"),
        ('{"words": ["a"], "num_classes": 2, "max_children": 1000000}', FileFormatError, "checkpoint"),
        (None, RunError, "no vocabulary.json"),
    ],
)
def test_folders_that_are_damaged(path, tmp_path, content, error, message):
    run_tree_job(job_of(path), tmp_path / "out", progress="quiet")
    vocabulary = tmp_path / "out" / "vocabulary.json"
    vocabulary.unlink() if content is None else vocabulary.write_text(content)
    with pytest.raises(error, match=message):
        load_trees(tmp_path / "out")


def test_parts_without_labels_are_not_scored():
    trees = boolean_trees(5, depth=2)
    words = WordList.of(trees)
    encoded = words.encode(trees)
    encoded.labels.fill_(-1)
    model = TreeClassifier(len(words), 2, embedding_dim=2, hidden_size=3)
    scores = evaluate_trees(model, encoded)
    assert scores.accuracy != scores.accuracy
    result = fit_trees(
        model, words.encode(boolean_trees(5, depth=2)), encoded, encoded, TreeConfig(epochs=1, patience=1)
    )
    assert result.selected_epoch == 1


def test_child_sum_takes_any_number_of_children():
    model = TreeClassifier(5, 3, embedding_dim=2, hidden_size=4, embedding_dropout=0.5)
    star = torch.tensor([[0, 1, 2, 3], [4, 4, 4, 4]])
    logits = model(torch.tensor([0, 1, 2, 3, -1]), star)
    assert logits.shape == (5, 3)
    logits.sum().backward()
    assert model.embedding.weight.grad[4].abs().sum() == 0
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_command_line(path, tmp_path):
    arguments = ["trees", "train", str(path), "--kind", "child-sum", "--embedding", "4", "--hidden", "5", "-q"]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "1", "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_classes"] == 2
    shown = CliRunner().invoke(app, ["trees", "train", "--resume", str(tmp_path / "out")])
    assert "test accuracy, roots" in shown.stdout
    scored = CliRunner().invoke(app, ["trees", "evaluate", str(tmp_path / "out")])
    assert scored.stdout.startswith("seed 0: roots ")
    scored = CliRunner().invoke(app, ["trees", "evaluate", str(tmp_path / "out"), "--json"])
    assert set(json.loads(scored.stdout)["seeds"]["0"]) == {"loss", "accuracy", "node_accuracy"}
    (tmp_path / "new.txt").write_text("(? and (? true) (? false))\n(? true)\n")
    told = CliRunner().invoke(app, ["trees", "predict", str(tmp_path / "out"), str(tmp_path / "new.txt")])
    assert [line.split("%  ")[1] for line in told.stdout.splitlines()] == ["true false and", "true"]
    told = CliRunner().invoke(app, ["trees", "predict", str(tmp_path / "out"), str(tmp_path / "new.txt"), "--json"])
    assert len(json.loads(told.stdout)["classes"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["penn"], "'penn' is neither a file nor a treebank"),
        (["--dropout", "1"], "--dropout must be from 0 to below 1"),
        (["--lr", "-1"], "lr must be a positive number"),
        (["--resume", "x", "--epochs", "3"], "leave out --epochs"),
    ],
)
def test_bad_usage(arguments, message):
    result = CliRunner().invoke(app, ["trees", "train", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_words_that_are_none():
    model, edges = TreeClassifier(3, 2), torch.tensor([[0], [1]])
    with pytest.raises(ValueError, match="id 3, but num_words=3"):
        model(torch.tensor([3, -1]), edges)
    with pytest.raises(TypeError, match="float32"):
        model(torch.rand(2), edges)
    with pytest.raises(ValueError, match="cycle"):
        model(torch.tensor([1, 2]), torch.tensor([[0, 1], [1, 0]]))


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="got 0"):
        TreeConfig(epochs=0)
    with pytest.raises(ValueError, match="got 0"):
        TreeJob(runs=0)
    with pytest.raises(ValueError, match="got 0"):
        TreeJob(model=TreeOptions(min_count=0))
    with pytest.raises(ValueError, match=r"got 1\.0"):
        TreeClassifier(3, 2, dropout=1.0)
    with pytest.raises(ValueError, match=r"num_classes must be from 1 to .* got 0"):
        TreeClassifier(3, 0)
