"""Labelled documents, and the graph of documents and words that classifies them.

Reference: Yao, Mao & Luo, "Graph Convolutional Networks for Text Classification" (TextGCN), AAAI 2019,
https://arxiv.org/abs/1809.05679, section 3.2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnkit.data.arrays import Array, identity_features
from gnnkit.data.node_data import NodeData
from gnnkit.data.registry import data_root
from gnnkit.errors import FileFormatError, MissingDataError
from gnnkit.graph.adjacency import Adjacency
from gnnkit.graph.validation import checked_seed
from gnnkit.storage.text_lines import numbered_lines
from recurrent.sequences import Sequences

_PARTS = ("train", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Documents:
    """Texts as sequences of words, each of one class.

    Attributes:
        texts: Word numbers of every document.
        words: What they stand for, in order.
        y: Class of each document, ``(N)``.
        class_names: The classes, in order.
        train: Which documents train, ``(N)``; the others are for the test.
        name: What to call them.
    """

    texts: Sequences
    words: tuple[str, ...]
    y: Tensor
    class_names: tuple[str, ...]
    train: Tensor
    name: str = "documents"

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return (
            f"Documents({self.name}: {len(self)} texts, {len(self.words)} words, {len(self.class_names)} classes, "
            f"{int(self.train.sum())} to train with)"
        )

    def parts(self, *, val_share: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Masks of training, validation and test documents; validation ones are drawn from the training ones.

        Raises:
            ValueError: If ``val_share`` does not lie between 0 and 1.
        """
        if not 0 <= val_share < 1:
            raise ValueError(f"val_share must be from 0 to below 1, got {val_share}")
        given = torch.nonzero(self.train).view(-1)
        order = torch.randperm(len(given), generator=torch.Generator().manual_seed(seed))
        val = torch.zeros_like(self.train)
        val[given[order[: round(val_share * len(given))]]] = True
        return self.train & ~val, val, ~self.train


def load_r8(root: str | os.PathLike[str] | None = None) -> Documents:
    """R8: 7,674 newswire articles of Reuters-21578 in eight classes, cleaned as TextGCN's authors did.

    Args:
        root: Folder that holds ``text_gcn/R8.txt`` and ``text_gcn/R8.clean.txt.gz`` (or without ``.gz``); the
            environment variable GNNKIT_DATA where omitted.

    Raises:
        MissingDataError: If one is absent.
        FileFormatError: If one is damaged.
    """
    folder = data_root(root) / "text_gcn"
    labels, packed = folder / "R8.txt", folder / "R8.clean.txt.gz"
    texts = packed if packed.is_file() else folder / "R8.clean.txt"
    for path in (labels, texts):
        if not path.is_file():
            raise MissingDataError(f"{path} is absent; put TextGCN's file there, or name its data root")
    return read_documents(labels, texts, name="r8")


def read_documents(
    labels: str | os.PathLike[str], texts: str | os.PathLike[str], *, name: str = "documents"
) -> Documents:
    """Documents from two files with a line for each: a table of labels, and the texts, words set apart by spaces.

    Args:
        labels: Name, part (holding ``train`` or ``test``) and class of each document, by tabs.
        texts: Its words; gzipped or not.
        name: What to call them.

    Raises:
        FileFormatError: If a row has not three columns, a part is neither, the files differ in length, or there
            is nothing to train or to test with.
    """
    label_path, text_path = Path(labels), Path(texts)
    train, classes = [], []
    for line, row in numbered_lines(label_path):
        cells = row.split("\t")
        if len(cells) != 3 or not cells[2].strip():
            raise FileFormatError(label_path, "not name, part and class, set apart by tabs", line=line, text=row)
        part = [each for each in _PARTS if each in cells[1]]
        if len(part) != 1:
            raise FileFormatError(label_path, "the part holds neither train nor test", line=line, text=cells[1])
        train.append(part[0] == "train")
        classes.append(cells[2].strip())
    each = [row.split() for _, row in numbered_lines(text_path)]
    if len(each) != len(classes):
        raise FileFormatError(text_path, f"{len(each)} texts for the {len(classes)} documents of {label_path}")
    if not any(train) or all(train):
        raise FileFormatError(label_path, f"{sum(train)} of {len(train)} documents train; both parts need some")
    words = sorted({word for text in each for word in text})
    number_of = {word: number for number, word in enumerate(words)}
    class_names = sorted(set(classes))
    return Documents(
        texts=Sequences.from_list(
            [torch.tensor([number_of[word] for word in text], dtype=torch.long) for text in each]
        ),
        words=tuple(words),
        y=torch.tensor([class_names.index(label) for label in classes]),
        class_names=tuple(class_names),
        train=torch.tensor(train),
        name=name,
    )


def document_graph(documents: Documents, *, window: int = 20, val_share: float = 0.1, seed: int = 0) -> NodeData:
    """TextGCN's graph: documents, then words, each a node; an edge's weight says how much one tells of the other.

    Between a document and a word tf-idf; between two words their pointwise mutual information in windows over
    all texts, where it is positive. Features are one of its own for each node; words have no label. The
    texts of test documents are in the graph, their labels are not used.

    Args:
        documents: The texts.
        window: Words of a window.
        val_share: Share of the training documents to validate on.
        seed: Which ones.

    Raises:
        ValueError: If the window has not two words, or the share is none.

    Example:
        >>> texts = Sequences.from_list([torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([2])])
        >>> y, train = torch.tensor([0, 1, 1]), torch.tensor([True, True, False])
        >>> some = Documents(texts, ("a", "b", "c"), y, ("x", "y"), train)
        >>> document_graph(some, val_share=0)
        NodeData(documents: 6 nodes, 12 edges, 6 features, 2 classes, 2/0/1 train/val/test)
    """
    if not 2 <= window < 2**31:
        raise ValueError(f"a window needs from two words to 2**31 - 1, got {window}")
    checked_seed(seed)
    count, size = len(documents), len(documents.words)
    between_words = _mutual_information(documents.texts, size, window)
    to_words = tf_idf(documents.texts, size)
    matrix = sp.block_array([[None, to_words], [to_words.T, between_words]], format="coo")
    edges = torch.from_numpy(np.stack(matrix.coords).astype(np.int64))
    nobody = torch.zeros(size, dtype=torch.bool)
    train, val, test = (torch.cat([part, nobody]) for part in documents.parts(val_share=val_share, seed=seed))
    return NodeData(
        Adjacency.from_edge_index(edges, torch.from_numpy(matrix.data.astype(np.float32)), num_nodes=count + size),
        identity_features(count + size),
        torch.cat([documents.y, torch.full((size,), -1)]),
        train,
        val,
        test,
        name=documents.name,
        class_names=documents.class_names,
        node_names=(*(f"document {number}" for number in range(count)), *documents.words),
    )


def tf_idf(texts: Sequences, num_words: int) -> sp.csr_array:
    """How often a word comes in a text, times log(texts / texts that have it), ``(N, num_words)``; no zeros stored."""
    counts = _counts(texts.lengths.numpy(), texts.values.numpy(), num_words)
    frequency = np.bincount(counts.indices, minlength=num_words)
    inverse = np.log(len(texts) / np.maximum(frequency, 1))
    weighted = sp.csr_array((counts.data * inverse[counts.indices], counts.indices, counts.indptr), shape=counts.shape)
    weighted.eliminate_zeros()  # a word that every text has tells of none
    return weighted


def _mutual_information(texts: Sequences, num_words: int, window: int) -> sp.csr_array:
    """log(p(i, j) / (p(i) p(j))) of windows that hold both words, or either, where it is above 0."""
    lengths = texts.lengths.numpy()
    windows = np.where(lengths > 0, np.maximum(lengths - window + 1, 1), 0)
    # Every window's first word, and how many it has: all of a text that is shorter.
    text = np.repeat(np.arange(len(lengths)), windows)
    offset = np.arange(len(text)) - np.repeat(np.cumsum(windows) - windows, windows)
    first = (np.cumsum(lengths) - lengths)[text] + offset
    sizes = np.minimum(lengths[text], window)
    inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    words = texts.values.numpy()[np.repeat(first, sizes) + inside]
    holds = _counts(sizes, words, num_words)
    holds.data[:] = 1  # whether, not how often
    both = sp.coo_array(holds.T @ holds)
    single = np.bincount(holds.indices, minlength=num_words).astype(np.float64)
    (i, j), total = both.coords, float(len(sizes))
    information = np.log(both.data * total / (single[i] * single[j]))
    kept = (information > 0) & (i != j)
    return sp.csr_array((information[kept], (i[kept], j[kept])), shape=(num_words, num_words))


def _counts(sizes: Array, words: Array, num_words: int) -> sp.csr_array:
    """How often each word comes in each of some texts that lie end to end."""
    pointers = np.concatenate([[0], np.cumsum(sizes)])
    # A copy: duplicates are summed in place, and the words belong to the texts.
    counts = sp.csr_array((np.ones(len(words)), words, pointers), shape=(len(sizes), num_words), copy=True)
    counts.sum_duplicates()
    return counts
