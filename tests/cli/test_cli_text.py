"""``gnnkit text``: train, generate, score, chart, from the outside."""

import json

import pytest
from typer.testing import CliRunner

from gnnkit.cli.main import app
from gnnkit.jobs.text_job import TextJob, TextModel, TextSource
from gnnkit.jobs.text_train import run_text_job
from tests.jobs.test_text_jobs import BOOK, TRAINING

RUNNER = CliRunner()
QUICK = ["--steps", "4", "--batch-size", "2", "--seq-length", "6", "--hidden", "8", "--threads", "1", "-q"]


def gnnkit(*arguments):
    return RUNNER.invoke(app, ["text", *map(str, arguments)])


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(BOOK + "a bell \x07 rings.\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, book):
    out = tmp_path_factory.mktemp("runs") / "run"
    job = TextJob(TextSource(str(book)), TextModel(hidden_size=12), TRAINING)
    return run_text_job(job, out, progress="quiet", say=lambda _: None).folder


def test_train_reports_and_writes_a_folder(tmp_path, book):
    done = gnnkit("train", book, *QUICK, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "bits per character" in done.stdout
    assert str(tmp_path / "run") in done.stdout
    config = (tmp_path / "run" / "config.toml").read_text()
    assert 'batches = "stateful"' in config  # from the recipe
    assert "hidden_size = 8" in config


def test_train_prints_one_json_document(tmp_path, book):
    done = gnnkit("train", book, *QUICK, "--recipe", "report-000", "--json", "--out", tmp_path / "run")
    content = json.loads(done.stdout)
    assert content["steps"] == 4
    assert content["model"] == "lstm 2x8"
    assert content["folder"] == str(tmp_path / "run")
    again = gnnkit("train", "--resume", tmp_path / "run", "--json", "-q")
    assert json.loads(again.stdout) == content


def test_progress_shows_samples_and_what_was_removed(tmp_path, book):
    done = gnnkit("train", book, *QUICK[:-1], "--sample-every", 2, "--out", tmp_path / "run")
    assert "removed the Project Gutenberg header" in done.stderr
    assert "step 2:" in done.stderr
    assert "step 4:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.txt"], 2, "no file 'absent.txt'"),
        (["BOOK", "--recipe", "best"], 2, "no recipe 'best'; there are improved"),
        (["BOOK", "--input", "tied", "--embedding-dim", "8"], 2, "embedding_dim"),
        (["BOOK", "--lr", "-1"], 2, "lr must be a positive number, got -1"),
        (["BOOK", "--device", "cuda"], 2, "no such CUDA device"),
        (["BOOK", "--seq-length", "5000"], 1, "too few for windows of 5000"),
        (["pydoc", "--keep-licence"], 2, "--keep-licence is for books"),
        (["BOOK", "--resume", "x"], 2, "--resume continues with the run's own settings"),
    ],
)
def test_train_refuses_in_one_line(book, tmp_path, arguments, code, message):
    given = [str(book) if each == "BOOK" else each for each in arguments]
    if "cuda" in arguments and __import__("torch").cuda.is_available():
        pytest.skip("there is a CUDA device here")
    done = gnnkit("train", *given, "--out", tmp_path / "run")
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "run").exists()


def test_generate_streams_the_text(trained):
    first = gnnkit("generate", trained, "--prompt", "the ", "--length", 30, "--seed", 3)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("the ")
    assert first.stdout == gnnkit("generate", trained, "--prompt", "the ", "--length", 30, "--seed", 3).stdout
    content = json.loads(gnnkit("generate", trained, "--prompt", "the ", "--length", 30, "--seed", 3, "--json").stdout)
    [text] = content["texts"]
    assert len(text["text"]) == len(text["log_probabilities"]) == 30
    assert text["log_probability"] == pytest.approx(sum(text["log_probabilities"]))
    if "\x07" not in text["text"]:
        assert first.stdout == f"the {text['text']}\n"


def test_generate_prints_no_control_character(trained):
    done = gnnkit("generate", trained, "--length", 400, "--temperature", 50, "--seed", 1)
    assert "\x07" not in done.stdout
    assert "\\x07" in done.stdout  # it was there, as an escape
    skipped = gnnkit("generate", trained, "--prompt", "the \x1b[2J", "--unknown", "skip", "--length", 5)
    assert "\x1b" not in skipped.stdout


@pytest.mark.parametrize("strategy", [["greedy"], ["beam", "--beam-width", 4, "--length-penalty", 0.5]])
def test_generate_takes_every_strategy(trained, strategy):
    done = gnnkit("generate", trained, "--prompt", "the ", "--length", 12, "--strategy", *strategy)
    assert done.exit_code == 0, done.output
    assert len(done.stdout) >= len("the ") + 12


def test_generate_returns_several(trained):
    done = gnnkit("generate", trained, "--length", 8, "--strategy", "beam", "--returns", 3, "--json")
    scores = [each["score"] for each in json.loads(done.stdout)["texts"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    shown = gnnkit("generate", trained, "--length", 8, "--returns", 2)
    assert shown.stdout.count("--- ") == 2


def test_generate_stops_at_a_sentence_end(trained):
    settings = ["--length", 200, "--temperature", 3, "--stop-at-sentence-end", "--min-length", 20, "--json"]
    [text] = json.loads(gnnkit("generate", trained, *settings).stdout)["texts"]
    assert text["finished"]
    assert text["text"].endswith(".")
    assert len(text["text"]) >= 20


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--temperature", 0], 2, "got 0.0; for always the likeliest character say --strategy greedy"),
        (["--temperature", "nan"], 2, "--strategy greedy"),
        (["--top-p", 2], 2, "--top-p must be above 0 and at most 1, got 2.0"),
        (["--strategy", "greedy", "--top-k", 3], 2, "--top-k is of --strategy sample"),
        (["--beam-width", 3], 2, "--beam-width is of --strategy beam"),
        (["--prompt", "Zoë"], 2, "'Z' at position 0"),
        (["--min-length", 3], 2, "without --stop-at-sentence-end"),
        (["--length", 0], 2, "length must be from 1 to 2**31 - 1, got 0"),
    ],
)
def test_generate_refuses_in_one_line(trained, arguments, code, message):
    done = gnnkit("generate", trained, *arguments)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_score_gives_bits_per_character(trained, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the cat sat.\nthe dog sat.\n")
    refused = gnnkit("score", trained, path)
    assert refused.exit_code == 2
    assert "'d' at position 17" in refused.stderr
    assert "--unknown skip" in refused.stderr
    content = json.loads(gnnkit("score", trained, path, "--unknown", "skip", "--json").stdout)
    assert content["skipped_characters"] == 1  # g is in "rings"
    assert content["characters"] == 24
    assert 0 < content["bits_per_character"] < 8
    shown = gnnkit("score", trained, path, "--unknown", "skip")
    assert f"{content['bits_per_character']:.4f}" in shown.stdout


def test_chart_draws_curves_and_surprise(trained, tmp_path):
    done = gnnkit("chart", trained, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    for name in ("curves.png", "surprise.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert str(tmp_path / name) in content["pictures"]
    passage = gnnkit("chart", trained, "--passage", "the cat $x^2", "--unknown", "skip", "--out", tmp_path)
    assert passage.exit_code == 0, passage.output
    both = gnnkit("chart", trained, "--passage", "a", "--file", "b")
    assert both.exit_code == 2


def test_a_run_of_another_kind_is_refused(tmp_path, trained):
    absent = gnnkit("generate", tmp_path)
    assert absent.exit_code == 1
    assert "not a run folder" in absent.stderr
    other = RUNNER.invoke(app, ["evaluate", str(trained)])
    assert other.exit_code == 1
    assert "'text', not a node classifier" in other.stderr
