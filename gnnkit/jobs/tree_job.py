"""A job on labelled trees by name: which trees, which model, how trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gnnkit.data.treebanks import Treebank, load_treebank, read_treebank
from gnnkit.data.trees import WordList
from gnnkit.models.tree_classifier import TreeClassifier
from gnnkit.runs import seed_everything
from gnnkit.training.trees import TreeConfig


@dataclass(frozen=True)
class TreeSource:
    """Where the trees come from: a treebank's name, or a file.

    Attributes:
        treebank: See `gnnkit.data.treebanks.TREEBANKS`.
        root: Where data sets lie; None as usual.
        file: A tree a line, in place of a name.
        classes: How many; None as the trees have it.
    """

    treebank: str = "boolean"
    root: str | None = None
    file: str | None = None
    classes: int | None = None

    def load(self) -> Treebank:
        """The trees in their three parts; errors are those of `load_treebank` and `read_treebank`."""
        if self.file is not None:
            return read_treebank(self.file, num_classes=self.classes)
        return load_treebank(self.treebank, self.root, num_classes=self.classes)


@dataclass(frozen=True)
class TreeOptions:
    """A `TreeClassifier`'s settings.

    Attributes:
        kind: ``"n-ary"``: weights per child's place; ``"child-sum"``: the same for all children.
        embedding_dim: Features of a word.
        hidden_size: Units per node.
        embedding_dropout: Share of a word's features set to 0 in training.
        dropout: Likewise, of a node's units.
        lower: Whether upper and lower case are one.
        min_count: Words that occur less often in the training part are unknown ones.
    """

    kind: Literal["n-ary", "child-sum"] = "n-ary"
    embedding_dim: int = 300
    hidden_size: int = 150
    embedding_dropout: float = 0.2
    dropout: float = 0.5
    lower: bool = True
    min_count: int = 1


@dataclass(frozen=True)
class TreeSizes:
    """What a model must know of its trees.

    Attributes:
        num_words: Words, the unknown one included.
        num_classes: Classes.
        max_children: The most children of a node.
    """

    num_words: int
    num_classes: int
    max_children: int

    @classmethod
    def of(cls, treebank: Treebank, words: WordList) -> TreeSizes:
        """The sizes of a treebank."""
        return cls(len(words), treebank.num_classes, treebank.max_children)


@dataclass(frozen=True)
class TreeJob:
    """A classifier of tree nodes to train, once or several times.

    Attributes:
        source: The trees.
        model: The model's settings.
        training: How each run is trained; its seed is the first run's.
        runs: How many, with the seeds seed, seed + 1, ...
    """

    source: TreeSource = field(default_factory=TreeSource)
    model: TreeOptions = field(default_factory=TreeOptions)
    training: TreeConfig = field(default_factory=TreeConfig)
    runs: int = 1

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"runs must be 1 or more, got {self.runs}")
        if self.model.min_count < 1:
            raise ValueError(f"min_count must be 1 or more, got {self.model.min_count}")

    @property
    def seeds(self) -> list[int]:
        """The seed of every run."""
        return [self.training.seed + run for run in range(self.runs)]

    def vocabulary(self, treebank: Treebank) -> WordList:
        """The words of the training part."""
        return WordList.of(treebank.train, lower=self.model.lower, min_count=self.model.min_count)

    def build(self, sizes: TreeSizes, seed: int) -> TreeClassifier:
        """The model, its weights drawn from the seed."""
        seed_everything(seed)
        return TreeClassifier(
            sizes.num_words,
            sizes.num_classes,
            embedding_dim=self.model.embedding_dim,
            hidden_size=self.model.hidden_size,
            arity=sizes.max_children if self.model.kind == "n-ary" else None,
            embedding_dropout=self.model.embedding_dropout,
            dropout=self.model.dropout,
        )
