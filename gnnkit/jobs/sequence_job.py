"""What a sequence job is: its task, model and training, as ``config.toml`` holds them, and how to build them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, get_args

from torch import nn

from gnnkit.runs import seed_everything
from gnnkit.training.sequences import SequenceConfig, recurrent_matrices
from recurrent import GRUCell, LSTMCell, MinGRUCell, OrthogonalRNNCell, PhasedLSTMCell, RNNCell
from recurrent.initialization import (
    chrono_,
    forget_bias_,
    identity_,
    kaiming_,
    latch_,
    orthogonal_,
    standard_normal_,
    xavier_,
)
from recurrent.models import SequenceClassifier
from recurrent.tasks import (
    Adding,
    BaumSweet,
    BinaryPalindromes,
    CopyMemory,
    Encoding,
    Palindromes,
    RandomCombinations,
    Task,
)

TaskName = Literal["palindrome", "combinations", "binary-palindrome", "baum-sweet", "copy-memory", "adding"]
CellName = Literal["rnn", "lstm", "gru", "phased-lstm", "min-gru", "orthogonal-rnn"]
Initialization = Literal["torch", "xavier", "kaiming", "normal", "orthogonal", "identity", "latch"]

TASKS: dict[str, type[Any]] = {
    "palindrome": Palindromes,
    "combinations": RandomCombinations,
    "binary-palindrome": BinaryPalindromes,
    "baum-sweet": BaumSweet,
    "copy-memory": CopyMemory,
    "adding": Adding,
}
CELLS: dict[str, type[Any]] = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "phased-lstm": PhasedLSTMCell,
    "min-gru": MinGRUCell,
    "orthogonal-rnn": OrthogonalRNNCell,
}
# Where None: the cell keeps what its constructor drew, torch.nn's own initialisation.
_INITIALIZERS: dict[str, Any] = {
    "torch": None,
    "xavier": xavier_,
    "kaiming": kaiming_,
    "normal": standard_normal_,
    "orthogonal": orthogonal_,
    "identity": identity_,
    "latch": latch_,
}

ADDING_SOLVED = 0.001  # a root mean squared error of .03, within the .04 of Hochreiter & Schmidhuber, 1997


@dataclass(frozen=True)
class TaskChoice:
    """A task by name.

    Attributes:
        name: See ``TaskName``.
        length: What the task calls its length: digits, numbers, or the delay of copy-memory.
        encoding: ``"one-hot"``, ``"scalar"`` (digits as numbers, as the practical had it) or ``"token"``
            (ids for an embedding); None is one-hot, or token where the model has an embedding.
    """

    name: TaskName = "palindrome"
    length: int = 10
    encoding: Encoding | None = None

    @property
    def label(self) -> str:
        """The task with its length, as titles and summaries name it."""
        return f"{self.name} {self.length}"

    def build(self) -> Task:
        """The task itself.

        Raises:
            ValueError: If there is none of that name, or the length or encoding does not fit it.
        """
        if self.name not in TASKS:
            raise ValueError(f"unknown task {self.name!r}: there are {', '.join(TASKS)}")
        if self.length >= 2**31:
            raise ValueError(f"a task's length must be below 2**31, got {self.length}")
        if self.name == "adding":
            if self.encoding is not None:
                raise ValueError(f"adding reads numbers, so it has no encoding, got {self.encoding!r}; leave it out")
            return Adding(self.length)
        task: Task = TASKS[self.name](self.length, self.encoding or "one-hot")
        return task


@dataclass(frozen=True)
class PhasedOptions:
    """Settings of the Phased LSTM; see `recurrent.PhasedLSTMCell`."""

    r_on: float = 0.05
    leak: float = 0.001
    tau_low: float = 2.718281828459045
    tau_high: float = 403.4287934927351
    hidden_from: Literal["candidate", "gated"] = "candidate"


@dataclass(frozen=True)
class CellChoice:
    """A recurrent model by name: layers of one kind of cell and a linear output map.

    Attributes:
        cell: See ``CellName``.
        hidden_size: Units of a cell.
        num_layers: Layers.
        dropout: Probability, between layers.
        bidirectional: Read from both ends.
        embedding_dim: Embed token ids in so many dimensions; None without one, or, where the encoding is
            ``"token"``, twice the number of ids, as report 001 has it.
        nonlinearity: Of the RNN; None is tanh.
        init: How matrices start: ``"torch"`` (its default), ``"xavier"``, ``"kaiming"`` (N(0, 1 / fan_in)),
            ``"normal"`` (N(0, 1): a counterexample), ``"orthogonal"``, ``"identity"`` (RNN), or ``"latch"``,
            which knows the task.
        forget_bias: Of LSTMs, set after that; None leaves it.
        chrono: Spread the gates' forgetting times up to so many steps; None leaves their biases.
        phased: Settings of the Phased LSTM; None for every other cell.
    """

    cell: CellName = "lstm"
    hidden_size: int = 128
    num_layers: int = 1
    dropout: float = 0.0
    bidirectional: bool = False
    embedding_dim: int | None = None
    nonlinearity: Literal["tanh", "relu"] | None = None
    init: Initialization = "torch"
    forget_bias: float | None = None
    chrono: int | None = None
    phased: PhasedOptions | None = None

    @property
    def label(self) -> str:
        """A short name: the cell, ``bi-`` before it where it reads from both ends."""
        return f"bi-{self.cell}" if self.bidirectional else self.cell

    def build(self, task: Task, seed: int) -> SequenceClassifier:
        """The model for a task, its weights drawn from the seed.

        Raises:
            ValueError: If a setting is unknown, or is none of this cell's.
        """
        seed_everything(seed)
        model = SequenceClassifier(
            self._cell_type(),
            task.input_size,
            self.hidden_size,
            task.num_outputs,
            num_layers=self.num_layers,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
            per_step=task.per_step,
            embedding_dim=self.embedding_dim,
        )
        for cell in model.stack.cells:
            self._start(cell)
        return model

    def _cell_type(self) -> Any:
        if self.cell not in CELLS:
            raise ValueError(f"unknown cell {self.cell!r}: there are {', '.join(CELLS)}")
        if self.phased is not None and self.cell != "phased-lstm":
            raise ValueError(f"{self.cell} has no temporal gate; leave its settings out or choose phased-lstm")
        if self.nonlinearity is not None and self.cell != "rnn":
            raise ValueError(f"nonlinearity is the RNN's, got {self.nonlinearity!r} for {self.cell}; leave it out")
        if self.cell == "phased-lstm":
            clock = self.phased or PhasedOptions()
            return partial(
                PhasedLSTMCell,
                r_on=clock.r_on,
                leak=clock.leak,
                tau_range=(clock.tau_low, clock.tau_high),
                hidden_from=clock.hidden_from,
            )
        if self.cell == "rnn":
            return partial(RNNCell, nonlinearity=self.nonlinearity or "tanh")
        return CELLS[self.cell]

    def _start(self, cell: nn.Module) -> None:
        if self.init not in _INITIALIZERS:
            raise ValueError(f"unknown initialisation {self.init!r}: there are {', '.join(_INITIALIZERS)}")
        try:
            if _INITIALIZERS[self.init] is not None:
                _INITIALIZERS[self.init](cell)
            if self.chrono is not None:
                chrono_(cell, self.chrono)
            if self.forget_bias is not None:
                forget_bias_(cell, self.forget_bias)
        except TypeError as error:  # the initialisation is not one for this cell
            raise ValueError(f"{error}; choose another initialisation for {self.cell}") from error


@dataclass(frozen=True)
class SequenceJob:
    """A sequence model to train, once or several times.

    Attributes:
        task: What to learn.
        model: What learns it.
        training: How each run is trained; its seed is the first run's.
        runs: How many runs, with the seeds seed, seed + 1, ...
        threads: Threads of torch; one each where there are several runs.
    """

    task: TaskChoice = field(default_factory=TaskChoice)
    model: CellChoice = field(default_factory=CellChoice)
    training: SequenceConfig = field(default_factory=SequenceConfig)
    runs: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"runs must be 1 or more, got {self.runs}")
        if self.seeds[-1] >= 2**31:
            raise ValueError(
                f"seeds must be below 2**31, got {self.runs} runs from seed {self.training.seed} on; begin lower"
            )

    @property
    def seeds(self) -> list[int]:
        """The seed of every run."""
        return [self.training.seed + run for run in range(self.runs)]

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return f"{self.model.label}-{self.task.name}-{self.task.length}"

    def resolved(self) -> SequenceJob:
        """The same job with every default that depends on another setting filled in.

        Raises:
            ValueError: If its settings do not go together.
        """
        task, model, training = self.task, self.model, self.training
        if task.name != "adding" and task.encoding is None:
            task = replace(task, encoding="one-hot" if model.embedding_dim is None else "token")
        built = task.build()
        if built.tokens and model.embedding_dim is None:
            model = replace(model, embedding_dim=2 * built.input_size)
        if task.name == "adding" and model.embedding_dim is not None:
            raise ValueError(f"adding reads numbers, which have no embedding, got {model.embedding_dim}; leave it out")
        if not built.tokens and model.embedding_dim is not None:
            raise ValueError(f"an embedding needs token ids, got the encoding {task.encoding!r}; choose token")
        if model.cell == "phased-lstm" and model.phased is None:
            model = replace(model, phased=PhasedOptions())
        if task.name == "adding" and training.stop_after is not None and training.solved_loss is None:
            training = replace(training, solved_loss=ADDING_SOLVED)
        threads = 1 if self.runs > 1 else self.threads
        job = replace(self, task=task, model=model, training=training, threads=threads)
        _, network = job.build(training.seed)  # what cannot be built is refused before a folder is made
        if training.record_recurrent_gradient:
            recurrent_matrices(network)
        return job

    def build(self, seed: int) -> tuple[Task, SequenceClassifier]:
        """The task, and the model as it starts from this seed."""
        task = self.task.build()
        return task, self.model.build(task, seed)


assert set(get_args(TaskName)) == set(TASKS)
assert set(get_args(CellName)) == set(CELLS)
assert set(get_args(Initialization)) == set(_INITIALIZERS)
