"""Link-prediction jobs: from a command line to a run folder, and back."""

import json

import pytest
import torch
from typer.testing import CliRunner

import gnnkit
from gnnkit.cli.main import app
from gnnkit.errors import RunError
from gnnkit.jobs.link_job import LinkJob, load_links
from gnnkit.jobs.node_job import DataSource
from gnnkit.jobs.train_links import resume_link_job, run_link_job
from gnnkit.training.link_prediction import LinkTraining

QUICK = ("--task", "links", "--epochs", "12", "--quiet")


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_a_run_from_the_command_line(tmp_path):
    done = run("karate", *QUICK, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["num_train"], summary["num_val"], summary["num_test"]) == (66, 4, 8)
    assert 0 <= summary["test_auc_mean"] <= 1
    assert {each.name for each in (tmp_path / "run").iterdir()} >= {"config.toml", "curves.png", "report.md", "seed-0"}
    trained = gnnkit.load(tmp_path / "run")
    pairs = torch.tensor([[0, 5], [33, 6]])
    chance = trained.predict(pairs)
    assert torch.equal(chance, trained.predict(pairs.flip(0)))
    split = trained.job.split(trained.data(), 0)
    positive, negative = trained.predict(split.test), trained.predict(split.test_other)
    wins = (positive.unsqueeze(1) > negative).float() + (positive.unsqueeze(1) == negative).float() / 2
    assert float(wins.mean()) == pytest.approx(summary["test_auc_mean"], abs=1e-6)


def test_many_seeds_side_by_side_are_those_one_by_one(tmp_path):
    job = LinkJob(training=LinkTraining(epochs=6), runs=3)
    apart = run_link_job(job, tmp_path / "apart", progress="quiet").content
    together = run_link_job(job, tmp_path / "together", jobs=2, progress="quiet").content
    assert apart["per_run"] == together["per_run"]
    assert len(set(apart["splits"])) == 3
    fixed = run_link_job(
        LinkJob(training=LinkTraining(epochs=2), runs=2, split_seed=5), tmp_path / "fixed", progress="quiet"
    ).content
    assert len(set(fixed["splits"])) == 1
    assert load_links(tmp_path / "apart", seed=2).seed == 2
    with pytest.raises(ValueError, match="runs of the seeds 0, 1, 2, got 9"):
        load_links(tmp_path / "apart", seed=9)


def test_resuming_what_is_done_changes_nothing(tmp_path):
    job = LinkJob(training=LinkTraining(epochs=4))
    first = run_link_job(job, tmp_path / "run", progress="quiet").content
    assert resume_link_job(tmp_path / "run").content == first
    done = run("--resume", tmp_path / "run")
    assert done.exit_code == 0
    assert "test links" in done.stdout
    with pytest.raises(RunError, match="not 'links'"):
        load_links_of_nodes(tmp_path)


def load_links_of_nodes(tmp_path):
    assert run("karate", "--epochs", "2", "--quiet", "--out", tmp_path / "nodes").exit_code == 0
    load_links(tmp_path / "nodes")


def test_a_graph_of_ones_own_needs_no_labels(tmp_path):
    edges = tmp_path / "ring.txt"
    edges.write_text("".join(f"{i} {(i + 1) % 30}\n" for i in range(30)))
    done = run(edges, *QUICK, "--split-seed", "3", "--embedding", "5", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    trained = load_links(tmp_path / "run")
    assert trained.job.embedding == 5
    assert trained.job.split_seed == 3
    with pytest.raises(ValueError, match="30"):
        trained.predict(torch.tensor([[0], [30]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "random"), "--split is for classifying nodes; leave it out with --task links"),
        (("--batch-size", "8"), "--batch-size is for classifying nodes"),
        (("--heads", "2"), "the model gcn has no option heads"),
        (("--model", "gnc"), "unknown model 'gnc'"),
        (("--runs", "2", "--threads", "2"), "--threads is for a single run"),
    ],
)
def test_what_links_do_not_take(arguments, message, tmp_path):
    done = run("karate", *QUICK, *arguments, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "run").exists()


def test_embedding_is_for_links():
    done = run("karate", "--embedding", "4")
    assert done.exit_code == 2
    assert "--embedding is for --task links" in done.output


@pytest.mark.data
def test_cora_is_as_good_as_published(tmp_path):
    """91.0 +- .02 in the paper; one seed here."""
    summary = run_link_job(LinkJob(DataSource("cora")), tmp_path / "run", progress="quiet").content
    assert summary["test_auc_mean"] > 0.88
