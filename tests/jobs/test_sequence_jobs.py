import json
from dataclasses import replace

import pytest
import torch

import gnnkit
from gnnkit.errors import FileFormatError, RunError
from gnnkit.jobs import CellChoice, SequenceJob, SweepJob, TaskChoice, resume_sweep, run_sequence_job, run_sweep
from gnnkit.jobs.compare import compare_runs
from gnnkit.jobs.sequence_diagnostics import (
    ClockSetting,
    factor_per_step,
    gate_lines,
    gates_by_step,
    gradients_by_distance,
    parameter_table,
)
from gnnkit.jobs.sequence_job import CELLS, PhasedOptions
from gnnkit.jobs.sequence_rows import ROWS, row_numbers, run_row
from gnnkit.jobs.train_sequences import resume_sequence_job, run_sequence_jobs
from gnnkit.jobs.trained_sequence import load_sequence
from gnnkit.runs import Interrupted, RunFolder, config_from_toml, config_to_toml, load_checkpoint
from gnnkit.training import Optimization, SequenceConfig
from recurrent.diagnostics import gradient_by_step
from recurrent.tasks import TaskStream

QUICK = SequenceJob(
    TaskChoice("palindrome", 3),
    CellChoice("rnn", hidden_size=12),
    SequenceConfig(steps=20, batch_size=16, eval_every=10, eval_size=64, optimization=Optimization("adam", 1e-2)),
)


def run(job, out, **options):
    return run_sequence_job(job, out, progress="quiet", **options)


def parameters_of(path):
    return load_checkpoint(path / "checkpoint.pt")["parts"]["model"]


def test_a_run_folder_holds_everything(tmp_path):
    summary = run(QUICK, tmp_path / "run")
    found = {path.name for path in summary.folder.iterdir()}
    assert found >= {
        "run.json",
        "config.toml",
        "metrics.csv",
        "checkpoint.pt",
        "curves.png",
        "report.md",
        "summary.json",
    }
    written = json.loads((tmp_path / "run/summary.json").read_text())
    assert (written["kind"], written["dataset"], written["model"], written["runs"]) == (
        "sequence",
        "palindrome 3",
        "rnn",
        1,
    )
    assert written["per_run"]["test_accuracy"] == [written["test_accuracy_mean"]]
    assert written["mean_train_accuracy_mean"] == written["mean_train_accuracy_last_1000_mean"]
    report = (tmp_path / "run/report.md").read_text()
    assert f"{100 * written['test_accuracy_mean']:.2f} %" in report
    assert "](curves.png)" in report


def test_load_gives_the_model_back(tmp_path):
    summary = run(QUICK, tmp_path / "run")
    trained = gnnkit.load(tmp_path / "run")
    assert not trained.model.training
    inputs, _ = trained.task.sample(5, torch.Generator().manual_seed(0))
    assert trained.model(inputs).shape == (5, 10)
    assert trained.evaluate(2000, seed=5).accuracy == pytest.approx(summary.content["test_accuracy_mean"], abs=0.15)
    assert trained.evaluate(50, length=4, seed=5).loss != trained.evaluate(50, seed=5).loss


def test_of_several_runs_the_one_of_lowest_loss_is_loaded(tmp_path):
    content = run(replace(QUICK, runs=3), tmp_path / "run").content
    best = {
        seed: load_checkpoint(tmp_path / f"run/seed-{seed}/checkpoint.pt")["best"]["eval_loss"] for seed in range(3)
    }
    chosen = min(best, key=lambda seed: best[seed][1])
    trained = load_sequence(tmp_path / "run")
    assert trained.seed == chosen
    assert all(torch.equal(value, best[chosen][2][name]) for name, value in trained.model.state_dict().items())
    assert content["seeds"] == [0, 1, 2]
    values = torch.tensor(content["per_run"]["test_accuracy"], dtype=torch.float64)
    assert content["test_accuracy_std"] == pytest.approx(float(values.std()))


def test_runs_side_by_side_equal_runs_one_after_another(tmp_path):
    job = replace(QUICK, runs=2)
    run(job, tmp_path / "alone")
    run(job, tmp_path / "beside", jobs=2)
    for seed in range(2):
        first, second = (parameters_of(tmp_path / name / f"seed-{seed}") for name in ("alone", "beside"))
        assert all(torch.equal(first[name], second[name]) for name in first)
    single = replace(QUICK, training=replace(QUICK.training, seed=1))
    run(single, tmp_path / "single")
    first, second = parameters_of(tmp_path / "single"), parameters_of(tmp_path / "alone/seed-1")
    assert all(torch.equal(first[name], second[name]) for name in first)


def interrupt_after(monkeypatch, steps):
    """Let the process be asked to stop after so many steps of all runs together."""
    import signal

    from gnnkit.training.session import Session

    record, count = Session.record, [0]

    def counting(self, row):
        record(self, row)
        count[0] += 1
        if count[0] == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Session, "record", counting)


@pytest.mark.parametrize("runs", [1, 3])
def test_a_resumed_job_equals_an_uninterrupted_one(tmp_path, monkeypatch, runs):
    job = replace(QUICK, runs=runs)
    expected = run(job, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 13 if runs == 1 else 33)
        with pytest.raises(Interrupted, match=f"--resume {tmp_path / 'parts'}"):
            run(job, tmp_path / "parts")
    assert not (tmp_path / "parts/summary.json").exists()
    summary = resume_sequence_job(tmp_path / "parts", progress="quiet")
    for name in ("test_accuracy", "test_loss", "mean_train_accuracy"):
        assert summary.content["per_run"][name] == expected.content["per_run"][name]
    folders = ["."] if runs == 1 else [f"seed-{seed}" for seed in range(3)]
    for folder in folders:
        whole, parts = (tmp_path / name / folder / "metrics.csv" for name in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()
    again = resume_sequence_job(tmp_path / "parts", progress="quiet")
    assert again.content["test_loss_mean"] == summary.content["test_loss_mean"]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains_and_its_settings_read_back(cell, tmp_path):
    model = CellChoice(cell, hidden_size=6, num_layers=2, dropout=0.1, bidirectional=True)
    job = replace(QUICK, model=model, training=replace(QUICK.training, steps=2)).resolved()
    assert config_from_toml(config_to_toml(job), SequenceJob) == job
    assert run(job, tmp_path / "run").content["model"] == f"bi-{cell}"


@pytest.mark.parametrize("task", ["combinations", "binary-palindrome", "baum-sweet", "copy-memory", "adding"])
def test_every_task_trains(task, tmp_path):
    job = replace(QUICK, task=TaskChoice(task, 4), training=replace(QUICK.training, steps=2))
    assert run(job, tmp_path / "run").content["dataset"] == f"{task} 4"


def test_initialisations_by_name():
    task = TaskChoice("palindrome", 4).build()

    def cell_of(**settings):
        return CellChoice(hidden_size=8, **settings).build(task, 0).stack.cells[0]

    normal = cell_of(cell="lstm", init="normal")
    assert float(normal.weight_hh.detach().std()) == pytest.approx(1, abs=0.15)
    orthogonal = cell_of(cell="gru", init="orthogonal").weight_hh[:8]
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(cell_of(cell="rnn", init="identity", nonlinearity="relu").weight_hh, torch.eye(8))
    forget = cell_of(cell="lstm", init="xavier", forget_bias=3.0)
    assert (forget.bias_ih + forget.bias_hh)[8:16].tolist() == [3.0] * 8
    chrono = cell_of(cell="lstm", init="orthogonal", chrono=50)
    assert float(chrono.bias_ih[8:16].detach().min()) > 0
    phased = cell_of(cell="phased-lstm", phased=PhasedOptions(r_on=0.3, tau_low=5.0, tau_high=6.0))
    assert float(phased.r_on[0].detach()) == pytest.approx(0.3)
    assert 5 <= float(phased.tau.detach().min()) <= float(phased.tau.detach().max()) <= 6.001


def test_embeddings_default_to_twice_the_number_of_tokens():
    job = SequenceJob(TaskChoice("combinations", 5, "token")).resolved()
    assert job.model.embedding_dim == 10
    job = SequenceJob(TaskChoice("combinations", 5), CellChoice(embedding_dim=1)).resolved()
    assert job.task.encoding == "token"


@pytest.mark.parametrize(
    ("task", "model", "message"),
    [
        ({"name": "palindrom"}, {}, "unknown task 'palindrom'"),
        ({"length": 0}, {}, "length=0"),
        ({"name": "adding", "encoding": "scalar"}, {}, "adding reads numbers, so it has no encoding, got 'scalar'"),
        ({}, {"cell": "elman"}, "unknown cell 'elman'"),
        ({}, {"init": "magic"}, "unknown initialisation 'magic'"),
        ({}, {"init": "identity"}, "identity_ starts an RNNCell, got LSTMCell"),
        ({}, {"cell": "rnn", "chrono": 9}, "RNNCell has not; choose another initialisation for rnn"),
        ({}, {"nonlinearity": "relu"}, "nonlinearity is the RNN's, got 'relu' for lstm"),
        ({}, {"phased": PhasedOptions()}, "lstm has no temporal gate"),
        ({"encoding": "one-hot"}, {"embedding_dim": 3}, "an embedding needs token ids, got the encoding 'one-hot'"),
        ({}, {"dropout": 0.5}, "dropout acts between layers"),
    ],
)
def test_settings_that_do_not_go_together_leave_no_folder(task, model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(SequenceJob(TaskChoice(**task), CellChoice(**model)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_or_foreign_run_is_no_model(tmp_path):
    with RunFolder.create(tmp_path / "begun", kind="sequence") as folder:
        folder.write_config(QUICK)
    with pytest.raises(RunError, match="--resume"):
        gnnkit.load(tmp_path / "begun")
    with RunFolder.create(tmp_path / "nodes", kind="nodes"):
        pass
    with pytest.raises(RunError, match="holds a run of kind 'nodes'"):
        load_sequence(tmp_path / "nodes")
    with pytest.raises(RunError, match="holds a run of kind 'nodes', not 'sequence'"):
        resume_sequence_job(tmp_path / "nodes")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(QUICK, tmp_path / "run")
    run(replace(QUICK, model=CellChoice("rnn", hidden_size=5)), tmp_path / "other")
    (tmp_path / "run/checkpoint.pt").write_bytes((tmp_path / "other/checkpoint.pt").read_bytes())
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt: does not fit the model in config\.toml"):
        gnnkit.load(tmp_path / "run")


def test_runs_that_diverge_are_told_apart_from_those_that_do_not(tmp_path, monkeypatch):
    from gnnkit.jobs import train_sequences

    fit = train_sequences.fit_sequence

    def failing(model, task, config, **options):
        if config.seed == 1:
            raise ValueError("broken")
        return fit(model, task, config, **options)

    monkeypatch.setattr(train_sequences, "fit_sequence", failing)
    content = run(replace(QUICK, runs=3), tmp_path / "some").content
    assert (content["seeds"], content["failed_runs"]) == ([0, 2], 1)
    alone = replace(QUICK, training=replace(QUICK.training, seed=1))
    with pytest.raises(RunError, match=r"every run of .*only failed, the first with: ValueError: broken"):
        run_sequence_jobs({"only": alone}, tmp_path / "many", progress="quiet")


def test_compare_reads_sequence_runs(tmp_path):
    run(replace(QUICK, runs=2), tmp_path / "rnn")
    run(replace(QUICK, runs=2, model=CellChoice("gru", hidden_size=12)), tmp_path / "gru")
    comparison = compare_runs([tmp_path / "rnn", tmp_path / "gru"])
    assert comparison.differences[0].test == "Welch's t-test"
    assert comparison.differences[0].notes == ()


SWEEP = SweepJob(replace(QUICK, runs=2), (2, 4), ("rnn", "gru"))


def test_a_sweep_has_a_folder_per_cell_and_length_and_a_table(tmp_path):
    content = run_sweep(SWEEP, tmp_path / "sweep", progress="quiet").content
    assert [(point["cell"], point["length"]) for point in content["points"]] == [
        ("rnn", 2),
        ("rnn", 4),
        ("gru", 2),
        ("gru", 4),
    ]
    alone = run(replace(QUICK, runs=2, task=TaskChoice("palindrome", 4)), tmp_path / "alone").content
    assert content["points"][1]["mean_train_accuracy_mean"] == alone["mean_train_accuracy_mean"]
    assert load_sequence(tmp_path / "sweep/rnn-palindrome-4").job.task.length == 4
    assert (tmp_path / "sweep/accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "| gru | 4 |" in (tmp_path / "sweep/report.md").read_text()


def test_a_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
    expected = run_sweep(SWEEP, tmp_path / "whole", progress="quiet").content
    with monkeypatch.context() as patch:
        interrupt_after(patch, 50)
        with pytest.raises(Interrupted, match=f"2 of 8 runs done; continue with --resume {tmp_path / 'parts'}"):
            run_sweep(SWEEP, tmp_path / "parts", progress="quiet")
    content = resume_sweep(tmp_path / "parts", progress="quiet").content
    assert [point["per_run"] for point in content["points"]] == [point["per_run"] for point in expected["points"]]
    again = resume_sweep(tmp_path / "parts", progress="quiet").content
    assert again["seconds"] == content["seconds"]


def test_what_is_finished_is_not_trained_again_and_other_settings_are_refused(tmp_path, monkeypatch):
    points = {"a": QUICK, "b": replace(QUICK, task=TaskChoice("palindrome", 4))}
    first = run_sequence_jobs({"a": QUICK}, tmp_path, progress="quiet")
    both = run_sequence_jobs(points, tmp_path, progress="quiet")
    assert both["a"].content == first["a"].content
    with pytest.raises(RunError, match="holds a job with other settings"):
        run_sequence_jobs({"a": points["b"]}, tmp_path, progress="quiet")


def test_sweeps_must_have_something_to_do():
    with pytest.raises(ValueError, match=r"lengths must be given and all different, got \[5, 5\]"):
        SweepJob(lengths=(5, 5))
    with pytest.raises(ValueError, match=r"cells must be given and all different, got \[\]"):
        SweepJob(cells=())


def test_gradients_by_distance_are_those_of_the_cell():
    job = replace(QUICK, task=TaskChoice("palindrome", 6), model=CellChoice("lstm", hidden_size=7)).resolved()
    task, model = job.build(0)
    batch = next(TaskStream(task, 9, 3, "held_out"))
    expected = gradient_by_step(
        model.stack.cells[0], batch.inputs, lambda hidden: task.loss(model.head(hidden[:, -1]), batch.targets)
    )
    found = gradients_by_distance(model, task, samples=9, seed=3)
    torch.testing.assert_close(torch.tensor(found), expected.flip(0))
    assert factor_per_step(found) == pytest.approx((found[-1] / found[0]) ** (1 / 5))


def test_a_model_is_looked_into_in_evaluation_mode_and_left_in_its_own():
    task = TaskChoice("palindrome", 12).build()
    model = CellChoice("phased-lstm", hidden_size=7, num_layers=2, dropout=0.5).build(task, 0).train()
    training = gradients_by_distance(model, task, samples=4)
    assert all(part.training for part in model.modules())
    assert training == gradients_by_distance(model.eval(), task, samples=4)


def test_of_several_layers_the_top_one_is_looked_into():
    task = TaskChoice("palindrome", 5).build()
    model = CellChoice("gru", hidden_size=6, num_layers=2).build(task, 0)
    assert len(gradients_by_distance(model, task, samples=4)) == 5
    gates = gates_by_step(model, task, samples=4)
    assert {name: tuple(values.shape) for name, values in gates.items()} == dict.fromkeys("rzn", (5, 6))
    both = CellChoice("gru", bidirectional=True).build(task, 0)
    with pytest.raises(ValueError, match="reads from both ends"):
        gradients_by_distance(both, task)


def test_gate_lines_are_named_by_what_differs():
    times = torch.arange(0.0, 20.0)
    lines = gate_lines({"panel": [ClockSetting(tau=10.0), ClockSetting(tau=20.0)]}, times)["panel"]
    assert list(lines) == ["tau = 10", "tau = 20"]
    assert lines["tau = 10"][:5].tolist() == pytest.approx([0, 0.5, 1, 0.5, 0])
    for settings, message in (({"tau": 0.0}, "tau"), ({"open_ratio": 0.0}, "open_ratio"), ({"leak": -1.0}, "leak")):
        with pytest.raises(ValueError, match=message):
            ClockSetting(**settings)


def test_parameters_by_formula_and_counted():
    (entry,) = parameter_table(["lstm"], 10, 128, 10)
    assert entry == {
        "cell": "lstm",
        "formula": "4(nd + n² + n) + on + o",
        "by_formula": 4 * (128 * 10 + 128**2 + 128) + 1290,
        "counted": 72970,
        "second_biases": 512,
    }


def test_all_rows_are_there_and_their_settings_resolve():
    assert row_numbers() == [1, 2, 3, 4, 8, 9, 10, 13, 14, 15, 16, 17, 20, 23, 24, 30, 31, 32, 33]
    for row in ROWS.values():
        if hasattr(row, "cases"):
            for quick in (True, False):
                cases = row.cases(quick, 3)
                assert cases
                for case in cases:
                    assert case.job.resolved().runs == 3


def test_row_8_counts_batches_to_three_times_all_right_of_4096():
    for case in ROWS[8].cases(False, 3):
        training = case.job.training
        assert (training.stop_after, training.eval_every, training.eval_size) == (3, 1, 4096)
        assert case.job.model.embedding_dim == 2 * case.job.task.length


@pytest.mark.parametrize("number", [3, 17, 23, 24])
def test_rows_that_measure(number, tmp_path):
    result = run_row(number, tmp_path, quick=True)
    written = json.loads(result.path.read_text())
    assert written["row"] == number
    assert written["command"] == f"gnnkit sequence row {number} --quick"
    assert written["environment"]["versions"]["torch"]
    if number == 24:
        assert max(values[0] for values in written["cases"][0]["results"].values()) < 1e-12
    if number == 3:
        factors = {case["label"]: case["results"]["factor_per_step"][0] for case in written["cases"]}
        assert 0.5 < factors["rnn"] < 0.9


def test_a_row_that_trains(tmp_path, monkeypatch):
    monkeypatch.setattr("gnnkit.jobs.sequence_row_cases.QUICK_STEPS", 3)
    result = run_row(4, tmp_path, quick=True, runs=2, progress="quiet")
    (case,) = json.loads(result.path.read_text())["cases"]
    assert case["seeds"] == [0, 1]
    assert len(case["results"]["mean_weight_hh_gradient_norm"]) == 2
    assert set(case["summary"]["test_accuracy"]) == {"mean", "std", "low", "high"}
    assert case["settings"]["task"] == {"name": "palindrome", "length": 40, "encoding": "scalar"}
    assert (tmp_path / "row-04-quick.png").exists()
    assert run_row(4, tmp_path, quick=True, runs=2, progress="quiet").content["seconds"] == result.content["seconds"]
    with pytest.raises(ValueError, match="there is no sequence row 5"):
        run_row(5, tmp_path)
