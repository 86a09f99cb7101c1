"""Documents and their graph: the paper's definitions in loops, and files that are refused."""

import gzip
import math

import pytest
import torch

from gnnkit.data.documents import Documents, document_graph, load_r8, read_documents, tf_idf
from gnnkit.errors import FileFormatError, MissingDataError
from recurrent import Sequences

TEXTS = [[0, 1, 2, 0, 3], [3, 1], [], [4, 4, 1, 0, 2, 5, 1], [1]]
SIZE = 6


def documents():
    texts = Sequences.from_list([torch.tensor(text, dtype=torch.long) for text in TEXTS])
    train = torch.tensor([True, True, True, False, False])
    return Documents(texts, tuple("abcdef"), torch.tensor([0, 1, 0, 1, 0]), ("x", "y"), train)


def information(window):
    """Section 3.2 of the paper, word for word."""
    windows = []
    for text in TEXTS:
        if len(text) <= window:
            windows += [set(text)] if text else []
        else:
            windows += [set(text[start : start + window]) for start in range(len(text) - window + 1)]
    share = {}
    for i in range(SIZE):
        for j in range(SIZE):
            both = sum(i in each and j in each for each in windows) / len(windows)
            alone = [sum(word in each for each in windows) / len(windows) for word in (i, j)]
            if i != j and both:
                share[i, j] = math.log(both / (alone[0] * alone[1]))
    return {pair: value for pair, value in share.items() if value > 0}


@pytest.mark.parametrize("window", [2, 3, 20])
def test_edges_are_the_papers(window):
    dense = document_graph(documents(), window=window).adjacency.to_dense().double()
    expected = torch.zeros(5 + SIZE, 5 + SIZE, dtype=torch.float64)
    for (i, j), value in information(window).items():
        expected[5 + i, 5 + j] = value
    for number, text in enumerate(TEXTS):
        for word in set(text):
            holding = sum(word in other for other in TEXTS)
            expected[number, 5 + word] = expected[5 + word, number] = text.count(word) * math.log(len(TEXTS) / holding)
    torch.testing.assert_close(dense, expected, rtol=1e-6, atol=1e-7)


def test_a_word_that_every_text_has_tells_of_none():
    weights = tf_idf(Sequences.from_list([torch.tensor([0, 1]), torch.tensor([0, 0])]), 2)
    assert weights.nnz == 1
    assert weights.toarray()[0, 1] == pytest.approx(math.log(2))


def test_the_texts_stay_as_they_are():
    some = documents()
    before = some.texts.values.clone()
    first, weights = document_graph(some).adjacency.to_dense(), tf_idf(some.texts, SIZE).toarray()
    assert torch.equal(some.texts.values, before)
    assert torch.equal(document_graph(some).adjacency.to_dense(), first)
    assert (tf_idf(some.texts, SIZE).toarray() == weights).all()


def test_nodes_and_their_parts():
    data = document_graph(documents(), val_share=1 / 3, seed=1)
    assert data.y.tolist() == [0, 1, 0, 1, 0] + [-1] * SIZE
    assert data.node_names == (*(f"document {number}" for number in range(5)), *"abcdef")
    assert (int(data.train_mask.sum()), int(data.val_mask.sum())) == (2, 1)
    assert data.test_mask.tolist() == [False] * 3 + [True] * 2 + [False] * SIZE
    assert len({str(documents().parts(val_share=1 / 3, seed=seed)) for seed in range(5)}) > 1
    with pytest.raises(ValueError, match="got 1"):
        document_graph(documents(), window=1)
    with pytest.raises(ValueError, match="got 1"):
        document_graph(documents(), val_share=1)


def test_reading(tmp_path):
    (tmp_path / "l.txt").write_text("0\ttrain\tship\n1\ttraining\tacq\nx\tTest/test\tship\n".replace("Test/", ""))
    with gzip.open(tmp_path / "t.txt.gz", "wt") as file:
        file.write("oil ship  oil\n\nbuys ship\n")
    found = read_documents(tmp_path / "l.txt", tmp_path / "t.txt.gz")
    assert repr(found) == "Documents(documents: 3 texts, 3 words, 2 classes, 2 to train with)"
    assert (found.words, found.class_names, found.y.tolist()) == (("buys", "oil", "ship"), ("acq", "ship"), [1, 0, 1])
    assert found.texts.lengths.tolist() == [3, 0, 2]
    assert found.texts.values.tolist() == [1, 2, 1, 0, 2]


@pytest.mark.parametrize(
    ("labels", "texts", "message"),
    [
        ("0\ttrain\n", "a\n", "line 1: not name, part and class.*'0\\\\ttrain'"),
        ("0\ttrain\t \n", "a\n", "line 1: not name, part and class"),
        ("0\ttrain\tx\n1\tdev\tx\n", "a\nb\n", "line 2: the part holds neither train nor test: 'dev'"),
        ("0\ttrain\tx\n1\ttest\tx\n", "a\n", "1 texts for the 2 documents"),
        ("0\ttrain\tx\n1\ttrain\tx\n", "a\nb\n", "2 of 2 documents train"),
        ("", "", "0 of 0 documents train"),
    ],
)
def test_files_that_are_refused(tmp_path, labels, texts, message):
    (tmp_path / "l.txt").write_text(labels)
    (tmp_path / "t.txt").write_text(texts)
    with pytest.raises(FileFormatError, match=message):
        read_documents(tmp_path / "l.txt", tmp_path / "t.txt")


def test_what_is_not_there(tmp_path):
    with pytest.raises(MissingDataError, match=r"R8\.txt is absent"):
        load_r8(tmp_path)


@pytest.mark.data
def test_r8_has_the_papers_sizes(data_root):
    documents = load_r8(data_root)
    assert (len(documents), len(documents.words), len(documents.class_names)) == (7674, 7688, 8)
    assert int(documents.train.sum()) == 5485
    data = document_graph(documents)
    assert (data.num_nodes, int(data.test_mask.sum()), int(data.val_mask.sum())) == (15362, 2189, 548)
    assert data.adjacency.is_symmetric
