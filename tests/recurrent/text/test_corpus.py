"""Reading texts: every way a file can disappoint, and what is taken from a book."""

import os

import pytest

from recurrent.text import pydoc_corpus, read_corpus, without_licence

BOOK = """Title: A Tale
*** START OF THIS PROJECT GUTENBERG EBOOK A TALE,
BY SOMEONE ***

Produced by hand

Once upon a time.

End of the Project Gutenberg EBook of A Tale, by Someone
*** END OF THIS PROJECT GUTENBERG EBOOK A TALE ***
START: FULL LICENSE
"""


def written(tmp_path, content):
    path = tmp_path / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_plain_text_is_taken_as_it_is(tmp_path):
    corpus = read_corpus(written(tmp_path, "Łódź, ünï\n\tçödé 漢字 🙂"))
    assert corpus.text == "Łódź, ünï\n\tçödé 漢字 🙂"
    assert corpus.name == "text"
    assert corpus.notes == ()


def test_the_byte_order_mark_and_foreign_line_ends_go_and_it_is_said(tmp_path):
    corpus = read_corpus(written(tmp_path, b"\xef\xbb\xbfone\r\ntwo\rthree\n"))
    assert corpus.text == "one\ntwo\nthree\n"
    assert corpus.notes == ("removed the byte order mark", "changed line ends to \\n")


def test_header_and_licence_go_and_it_is_said(tmp_path):
    corpus = read_corpus(written(tmp_path, BOOK))
    assert corpus.text == "Produced by hand\n\nOnce upon a time.\n"
    [note] = corpus.notes
    assert "header and licence" in note
    assert f"{len(BOOK) - len(corpus.text)} of {len(BOOK)}" in note
    assert read_corpus(written(tmp_path, BOOK), keep_licence=True).text == BOOK


@pytest.mark.parametrize(
    ("text", "kept", "said"),
    [
        ("no markers at all\n", "no markers at all\n", ""),
        ("*** START OF THE PROJECT GUTENBERG EBOOK X ***\nrest\n", "rest\n", "header"),
        ("story\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlegal\n", "story\n", "licence"),
        (
            "*** END OF THIS PROJECT GUTENBERG EBOOK ***\nquoted\n*** START OF THIS PROJECT GUTENBERG EBOOK ***\n",
            "*** END OF THIS PROJECT GUTENBERG EBOOK ***\nquoted\n*** START OF THIS PROJECT GUTENBERG EBOOK ***\n",
            "",
        ),
    ],
    ids=["none", "header alone", "licence alone", "quoted the wrong way round"],
)
def test_books_of_which_a_part_is_missing(text, kept, said):
    found, note = without_licence(text)
    assert found == kept
    assert (said in note) if said else note == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo \xff three", r"not UTF-8 at byte 8 \(line 2, 0xff\); save the file as UTF-8"),
        ("é".encode("latin-1"), r"not UTF-8 at byte 0 \(line 1, 0xe9\)"),
        ("text".encode("utf-16"), "not UTF-8"),
        ("text".encode("utf-16-le"), r"NUL at character 1 \(line 1\)"),
        (b"", "there is no text in it"),
        (b" \n\n", "there is no text in it"),
    ],
    ids=["a stray byte", "latin-1", "utf-16", "utf-16 without a mark", "empty", "blank"],
)
def test_what_is_no_text_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_corpus(written(tmp_path, content))


def test_a_book_of_licence_alone_is_refused(tmp_path):
    empty = "*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n"
    with pytest.raises(ValueError, match=r"no text in it \(removed the Project Gutenberg"):
        read_corpus(written(tmp_path, empty))


def test_sizes_folders_and_pipes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        read_corpus(written(tmp_path, "four"), max_bytes=3)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_corpus(tmp_path / "pipe")
    with pytest.raises((ValueError, OSError), match=r"(?i)director"):
        read_corpus(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_corpus(tmp_path / "absent")


def test_the_embedded_corpus_is_long_and_says_whose_it_is():
    corpus = pydoc_corpus()
    assert len(corpus.text) > 300_000
    assert "Python 3." in corpus.notes[0]
    assert corpus == pydoc_corpus()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("book_EN_grimms_fairy_tails", "Produced by"),
        ("bartleby_the_scrivener", "Produced by"),
        ("kalevala_fi", ""),
    ],
)
def test_real_books_lose_their_licence(name, first):
    root = os.environ.get("GNNKIT_DATA")
    if not root:
        pytest.skip("GNNKIT_DATA does not name the data sets")
    corpus = read_corpus(os.path.join(root, "text", f"{name}.txt"))
    assert "Gutenberg-tm" not in corpus.text
    assert "*** START" not in corpus.text
    assert not corpus.text.startswith("\ufeff")
    assert corpus.text.startswith(first)
    assert any("header and licence" in note for note in corpus.notes)
