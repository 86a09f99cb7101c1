"""Trees with labels and words at their nodes: the Stanford Sentiment Treebank, a user's own, generated.

A file holds a tree a line, in brackets: ``(3 (2 Effective) (2 (2 but) (1 (2 too-tepid) (2 biopic))))``. What
such a file may hold is bounded, and no line of it is walked by recursion.

Reference: Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank",
EMNLP 2013.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnnkit.errors import FileFormatError
from gnnkit.storage.text_lines import numbered_lines

MAX_DEPTH = 1000  # of nested brackets; a sentence's tree has fewer than 100
MAX_NODES = 1 << 24  # of a file
MAX_LABEL = 999
_TOKEN = re.compile(r"[()]|[^ \t()]+")  # a no-break space is part of a word, as in the treebank's "8 1/2"
_LABEL = re.compile(r"\d{1,3}|\?", re.ASCII)


@dataclass(frozen=True)
class Trees:
    """Trees one after another; children stand before their parent, left to right, a root last in its tree.

    Attributes:
        words: The word at each node, ``""`` where there is none.
        labels: The class of each node, ``(N)``; -1 where there is none.
        parents: The parent's number, ``(N)``; -1 at roots.
        offsets: Where each tree begins, and the end, ``(T + 1)``.
    """

    words: tuple[str, ...]
    labels: Tensor
    parents: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    @property
    def num_nodes(self) -> int:
        """Of all trees."""
        return self.labels.numel()

    @cached_property
    def roots(self) -> Tensor:
        """The root of each tree, ``(T)``."""
        return self.offsets[1:] - 1

    @cached_property
    def max_children(self) -> int:
        """The most children of any node."""
        inner = self.parents[self.parents >= 0]
        return int(torch.bincount(inner).max()) if inner.numel() else 0

    def select(self, trees: Tensor) -> Trees:
        """Some of the trees, in the order given."""
        nodes, shift = _nodes_of(self.offsets, trees)
        parents = self.parents[nodes]
        sizes = self.offsets.diff()[trees]
        return Trees(
            tuple(self.words[node] for node in nodes.tolist()),
            self.labels[nodes],
            torch.where(parents < 0, parents, parents + shift),
            torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
        )

    def sentence(self, tree: int) -> str:
        """The words of a tree, in the nodes' order."""
        start, stop = self.offsets[tree : tree + 2].tolist()
        return " ".join(word for word in self.words[start:stop] if word)

    def to_text(self, tree: int) -> str:
        """A tree as a line of a file; ``?`` is the label of a node that has none."""
        start, stop = self.offsets[tree : tree + 2].tolist()
        written: dict[int, list[str]] = {}
        for node in range(start, stop):
            label = int(self.labels[node])
            inside = [*([self.words[node]] if self.words[node] else []), *written.pop(node, [])]
            text = f"({label if label >= 0 else '?'} {' '.join(inside)})"
            written.setdefault(int(self.parents[node]), []).append(text)
        return written[-1][0]


class TreeBatch(NamedTuple):
    """Some trees as one graph.

    Attributes:
        words: The id of each node's word, ``(N)``; -1 where there is none.
        labels: ``(N)``; -1 where there is none.
        edge_index: From child to parent, ``(2, E)``.
        roots: One per tree.
    """

    words: Tensor
    labels: Tensor
    edge_index: Tensor
    roots: Tensor


@dataclass(frozen=True)
class EncodedTrees:
    """Trees whose words are ids of a vocabulary, ready to be batched; made by `WordList.encode`."""

    words: Tensor
    labels: Tensor
    parents: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    def batch(self, trees: Tensor) -> TreeBatch:
        """Some of the trees, in the order given."""
        nodes, shift = _nodes_of(self.offsets, trees)
        parents = self.parents[nodes]
        child = torch.nonzero(parents >= 0).view(-1)
        edge_index = torch.stack([child, (parents + shift)[child]])
        roots = self.offsets.diff()[trees].cumsum(0) - 1
        return TreeBatch(self.words[nodes], self.labels[nodes], edge_index, roots)

    def to_data(self, tree: int) -> Any:
        """A tree as PyG's ``Data``: ``x`` word ids ``(N, 1)``, ``y`` labels, ``root`` the root's mask."""
        from torch_geometric.data import Data

        batch = self.batch(torch.tensor([tree]))
        root = torch.zeros(len(batch.words), dtype=torch.bool)
        root[batch.roots] = True
        return Data(x=batch.words.unsqueeze(1), edge_index=batch.edge_index, y=batch.labels, root=root)


@dataclass(frozen=True)
class WordList:
    """Words and their ids; id 0 stands for every word that is not among them.

    Attributes:
        words: In the order of their ids, from 1.
        lower: Whether upper and lower case are one.
    """

    words: tuple[str, ...]
    lower: bool = True

    @classmethod
    def of(cls, trees: Trees, *, lower: bool = True, min_count: int = 1) -> WordList:
        """The words that occur at least ``min_count`` times, the frequent first, equals in order of the alphabet."""
        counts = Counter(word.lower() if lower else word for word in trees.words if word)
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        return cls(tuple(kept), lower)

    def __len__(self) -> int:
        return len(self.words) + 1

    def encode(self, trees: Trees) -> EncodedTrees:
        """The trees with ids for words."""
        known = {word: number for number, word in enumerate(self.words, start=1)}
        known[""] = -1
        ids = [known.get(word.lower() if self.lower else word, 0) for word in trees.words]
        return EncodedTrees(torch.tensor(ids, dtype=torch.long), trees.labels, trees.parents, trees.offsets)


def read_trees(path: str | os.PathLike[str]) -> Trees:
    """The trees of a file, one a line; empty lines are passed over; gzipped files are unpacked.

    Labels are whole numbers from 0, or ``?`` for none. A node holds a word, or nodes, or a word and then nodes,
    as in dependency trees.

    Raises:
        FileFormatError: If a line is not one tree, nests deeper than `MAX_DEPTH`, or the file has more nodes
            than `MAX_NODES`; it names the line.
        OSError: If it cannot be opened.
    """
    words: list[str] = []
    labels: list[int] = []
    parents: list[int] = []
    offsets = [0]
    for line, text in numbered_lines(Path(path)):
        if not text.strip():
            continue
        if problem := _parse(text, words, labels, parents):
            raise FileFormatError(path, problem, line=line, text=text)
        if len(words) > MAX_NODES:
            raise FileFormatError(path, f"more than {MAX_NODES} nodes up to here; split the file", line=line)
        offsets.append(len(words))
    if not words:
        raise FileFormatError(path, "holds no tree")
    return Trees(tuple(words), torch.tensor(labels), torch.tensor(parents), torch.tensor(offsets))


def _parse(text: str, words: list[str], labels: list[int], parents: list[int]) -> str:
    """Add the nodes of a line's tree; what is wrong with it, or nothing."""
    open_labels: list[int] = []
    open_words: list[str] = []
    open_children: list[list[int]] = []
    tokens = _TOKEN.finditer(text)
    for found in tokens:
        token, column = found.group(), found.start() + 1
        if token == "(":
            label = next(tokens, None)
            if label is None or not _LABEL.fullmatch(label.group()):
                got = "the line's end" if label is None else repr(label.group()[:40])
                return f"a label from 0 to {MAX_LABEL}, or ?, must follow the bracket at column {column}, got {got}"
            if len(open_labels) == MAX_DEPTH:
                return f"brackets nest deeper than {MAX_DEPTH} at column {column}"
            open_labels.append(-1 if label.group() == "?" else int(label.group()))
            open_words.append("")
            open_children.append([])
        elif not open_labels:
            return f"{token[:40]!r} outside of brackets at column {column}"
        elif token == ")":
            children, word = open_children.pop(), open_words.pop()
            if not (children or word):
                return f"a node without word or children ends at column {column}"
            number = len(words)
            for child in children:
                parents[child] = number
            words.append(word)
            labels.append(open_labels.pop())
            parents.append(-1)
            if open_labels:
                open_children[-1].append(number)
            elif rest := text[found.end() :].strip(" \t"):
                return f"{rest[:40]!r} after the tree's end; there must be one tree a line"
        elif open_words[-1] or open_children[-1]:
            return f"the word {token[:40]!r} at column {column} stands behind another, or behind a child"
        else:
            open_words[-1] = token
    return f"{len(open_labels)} brackets are never closed" if open_labels else ""


def as_binary(trees: Trees) -> Trees:
    """Five classes of sentiment as two: 0 and 1 are negative (0), 3 and 4 positive (1), 2 is no label (-1).

    Trees whose root is neutral are left out, as the two-class task has it.

    Raises:
        ValueError: If there are other labels than 0 to 4.
    """
    if trees.num_nodes and int(trees.labels.max()) > 4:
        raise ValueError(f"two classes are made of the five 0 to 4, got label {int(trees.labels.max())}")
    coarse = torch.tensor([0, 0, -1, 1, 1, -1])  # the last one is for -1
    trees = replace(trees, labels=coarse[trees.labels])
    return trees.select(torch.nonzero(trees.labels[trees.roots] >= 0).view(-1))


_OPERATORS = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}


def boolean_trees(count: int, *, depth: int = 5, seed: int = 0) -> Trees:
    """Random expressions such as ``(true xor false) and true``; the label of a node is its truth value.

    An operator stands at its node between two children, ``not`` above one; ``depth`` is the longest path.

    Raises:
        ValueError: If ``count`` or ``depth`` is below 1.
    """
    if count < 1 or depth < 1:
        raise ValueError(f"count and depth must be 1 or more, got {count} and {depth}")
    source = random.Random(seed)
    words: list[str] = []
    labels: list[int] = []
    parents: list[int] = []
    offsets = [0]

    def grow(left: int) -> int:
        """Add an expression of at most ``left`` operators in depth; its node."""
        kind = "" if left == 0 or source.random() < 0.15 else source.choice(["and", "or", "xor", "not"])
        if kind:
            children = [grow(left - 1) for _ in range(1 if kind == "not" else 2)]
            values = [labels[child] for child in children]
            value = 1 - values[0] if kind == "not" else _OPERATORS[kind](*values)
        else:
            children, value = [], source.randrange(2)
            kind = "true" if value else "false"
        number = len(words)
        for child in children:
            parents[child] = number
        words.append(kind)
        labels.append(value)
        parents.append(-1)
        return number

    for _ in range(count):
        grow(depth)
        offsets.append(len(words))
    return Trees(tuple(words), torch.tensor(labels), torch.tensor(parents), torch.tensor(offsets))


def _nodes_of(offsets: Tensor, trees: Tensor) -> tuple[Tensor, Tensor]:
    """The nodes of some trees, and by how much each node's number changes."""
    sizes, starts = offsets.diff()[trees], offsets[trees]
    shift = (sizes.cumsum(0) - sizes - starts).repeat_interleave(sizes)
    return torch.arange(shift.numel()) - shift, shift
