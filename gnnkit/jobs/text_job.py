"""What a text job is: its corpus, model and training, as ``config.toml`` holds them, and the known recipes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gnnkit.jobs.sequence_job import CELLS, CellName
from gnnkit.runs import seed_everything
from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig
from recurrent.models import CharInput, CharLM
from recurrent.text import Corpus, TextParts, Vocabulary, pydoc_corpus, read_corpus, split_contiguous

PYDOC = "pydoc"


@dataclass(frozen=True)
class TextSource:
    """Where the text is and how it is cut.

    Attributes:
        path: A UTF-8 file, or ``"pydoc"`` for the language reference inside Python.
        keep_licence: Leave Project Gutenberg's header and licence in.
        validation: Share to select by, before the test part.
        test: Share held out at the end.
    """

    path: str = PYDOC
    keep_licence: bool = False
    validation: float = 0.05
    test: float = 0.1

    def load(self) -> Corpus:
        """Read the text.

        Raises:
            ValueError: If it is no UTF-8 text.
            OSError: If the file cannot be opened.
        """
        return pydoc_corpus() if self.path == PYDOC else read_corpus(self.path, keep_licence=self.keep_licence)

    def parts(self, corpus: Corpus, vocabulary: Vocabulary) -> TextParts:
        """The text's ids, cut."""
        return split_contiguous(vocabulary.encode(corpus.text), validation=self.validation, test=self.test)


@dataclass(frozen=True)
class TextModel:
    """The model's settings.

    Attributes:
        cell: Kind of cell.
        hidden_size: Units of a layer.
        num_layers: Layers.
        dropout: Between layers.
        output_dropout: Before the output map.
        input: ``"one-hot"``, ``"embedding"`` or ``"tied"``.
        embedding_dim: Of a learnt embedding; the hidden size when None.
        forget_bias: What an LSTM's forget gates start at; torch's own initialisation when None.
    """

    cell: CellName = "lstm"
    hidden_size: int = 128
    num_layers: int = 2
    dropout: float = 0.0
    output_dropout: float = 0.0
    input: CharInput = "one-hot"
    embedding_dim: int | None = None
    forget_bias: float | None = None

    @property
    def label(self) -> str:
        """A short name."""
        return f"{self.cell} {self.num_layers}x{self.hidden_size}"

    def build(self, vocab_size: int) -> CharLM:
        """The model, its weights drawn from torch's global generator.

        Raises:
            ValueError: If the settings do not go together.
        """
        if self.forget_bias is not None and self.cell not in ("lstm", "phased-lstm"):
            raise ValueError(f"forget_bias is of cells with a forget gate, got {self.forget_bias} for {self.cell}")
        model = CharLM(
            vocab_size,
            self.hidden_size,
            cell_type=CELLS[self.cell],
            num_layers=self.num_layers,
            dropout=self.dropout,
            output_dropout=self.output_dropout,
            input=self.input,
            embedding_dim=self.embedding_dim,
        )
        return model if self.forget_bias is None else model.forget_bias_(self.forget_bias)


@dataclass(frozen=True)
class CorpusFacts:
    """What the run found its text to be, so that a changed file is noticed.

    Attributes:
        name: Of the corpus.
        characters: How many it has.
        vocab_size: Different ones.
        sha256: Of the characters as UTF-8.
        notes: What was removed or changed while reading.
    """

    name: str
    characters: int
    vocab_size: int
    sha256: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> CorpusFacts:
        """The facts of ``corpus``."""
        digest = hashlib.sha256(corpus.text.encode()).hexdigest()
        return cls(corpus.name, len(corpus.text), len(set(corpus.text)), digest, corpus.notes)


@dataclass(frozen=True)
class TextJob:
    """A character language model to train.

    Attributes:
        source: The text.
        model: The model's settings.
        training: How it is trained.
        threads: Threads of torch.
        corpus: Facts of the text; found when the job runs.
    """

    source: TextSource = field(default_factory=TextSource)
    model: TextModel = field(default_factory=TextModel)
    training: TextConfig = field(default_factory=TextConfig)
    threads: int = 1
    corpus: CorpusFacts | None = None

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return f"text-{Path(self.source.path).stem}"

    def new_model(self, vocab_size: int) -> CharLM:
        """The untrained model, its weights drawn from the job's seed."""
        seed_everything(self.training.seed)
        with torch.device("cpu"):
            return self.model.build(vocab_size)


def recipe(name: str) -> tuple[TextModel, TextConfig]:
    """Model and training of a recipe in `RECIPES`.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    model, training, _ = RECIPES[name]
    return model, training


def _adam(lr: float) -> Optimization:
    return Optimization("adam", lr, clip=5.0)


_IMPROVED_STEPS = 5000

# Name to model, training and one line of help. The reports leave some settings out; those are the
# practical's defaults: windows of 30, batches of 64, gradients clipped at 5.
RECIPES: dict[str, tuple[TextModel, TextConfig, str]] = {
    "improved": (
        TextModel(cell="gru", num_layers=1, hidden_size=240, input="embedding", embedding_dim=70, output_dropout=0.2),
        TextConfig(
            steps=_IMPROVED_STEPS,
            optimization=Optimization(
                "adamw", 0.01, weight_decay=0.1, schedule="one-cycle", warmup=_IMPROVED_STEPS // 10, clip=1.0
            ),
        ),
        "what proved itself: see benchmarks/text_recipes.py",
    ),
    "report-000": (
        TextModel(),
        TextConfig(steps=5000, batches="random", optimization=_adam(0.01)),
        "Grimm, row 5: 2x128, Adam .01",
    ),
    "report-001": (
        TextModel(hidden_size=1024, dropout=0.5),
        TextConfig(
            steps=7500,
            batches="random",
            sample_every=2500,
            optimization=Optimization(
                "adamw", 0.005, weight_decay=0.01, schedule="exponential", decay=0.955, decay_every=5000, clip=5.0
            ),
        ),
        "Bartleby and the Python tutorial, row 11: 2x1024, AdamW .005",
    ),
    "report-003": (
        TextModel(dropout=0.5),
        TextConfig(steps=2000, batches="random", optimization=_adam(0.01)),
        "US Bill of Rights, row 18: 2x128, dropout .5, Adam .01",
    ),
    "report-004": (
        TextModel(),
        TextConfig(
            steps=100_000,
            batches="random",
            eval_every=1000,
            sample_every=5000,
            optimization=Optimization("adam", 2e-3, schedule="exponential", decay=0.96, decay_every=5000, clip=5.0),
        ),
        "a Finnish novel, row 21: 2x128, Adam .002, to 100,000 steps",
    ),
}
