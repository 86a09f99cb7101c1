"""Vocabularies, parts and windows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurrent.text import (
    RandomWindows,
    StatefulBatches,
    UnknownCharacterError,
    Vocabulary,
    split_contiguous,
)


@given(st.text(min_size=1))
def test_encoding_reads_back(text):
    vocabulary = Vocabulary.from_text(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)


def test_ids_follow_code_points():
    vocabulary = Vocabulary("c🙂a")
    assert vocabulary.characters == "ac🙂"
    assert vocabulary.encode("🙂ac").tolist() == [2, 0, 1]
    assert "a" in vocabulary
    assert "b" not in vocabulary
    assert len(vocabulary) == 3


def test_an_unknown_character_is_named_with_its_place_and_the_way_out():
    vocabulary = Vocabulary("ab ")
    with pytest.raises(
        UnknownCharacterError, match=r"'\\xe9' at position 2 .* unknown=\"skip\" or unknown=\"replace\""
    ):
        vocabulary.encode("abé~")
    assert vocabulary.decode(vocabulary.encode("aéb~", unknown="skip")) == "ab"
    assert vocabulary.decode(vocabulary.encode("aéb~", unknown="replace")) == "a b "
    assert Vocabulary("xyz").replacement == "x"
    with pytest.raises(ValueError, match="got 'ignore'"):
        vocabulary.encode("a", unknown="ignore")
    with pytest.raises(UnknownCharacterError, match=r"udcff"):
        vocabulary.encode("\udcff")  # a byte of a command line that was no UTF-8
    assert vocabulary.encode("").tolist() == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "JSON document"),
        ("[]", "format"),
        ('{"format": "recurrent vocabulary", "version": 2}', "version"),
        ('{"format": "recurrent vocabulary", "version": 1, "characters": 3}', "one string, got int"),
        ('{"format": "recurrent vocabulary", "version": 1, "characters": ""}', "at least one"),
        ('{"format": "recurrent vocabulary", "version": 1, "characters": "aa"}', "'a' twice"),
        ("[" * 100_000, "JSON document"),
    ],
)
def test_damaged_vocabularies_are_refused(document, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_json(document)


def test_ids_out_of_range_are_refused():
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        Vocabulary("ab").decode([0, 2])


def test_parts_are_contiguous_and_complete():
    tokens = torch.arange(997)
    parts = split_contiguous(tokens, validation=0.05, test=0.1)
    assert torch.equal(torch.cat(parts), tokens)
    assert len(parts.validation) == 50
    assert len(parts.test) == 100
    alone = split_contiguous(tokens, validation=0, test=0)
    assert torch.equal(alone.train, tokens)
    assert len(alone.test) == 0


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"test": 1.0}, "test .* got 1.0"),
        ({"validation": -0.1}, "got -0.1"),
        ({"test": 0.6, "validation": 0.5}, "0 to train"),
    ],
)
def test_impossible_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        split_contiguous(torch.arange(10), **shares)


def test_random_windows_are_windows_and_reach_both_ends():
    tokens = torch.arange(12)
    stream = RandomWindows(tokens, batch_size=200, seq_length=4, seed=0)
    inputs, targets = next(stream)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs, inputs[:, :1] + torch.arange(4))
    assert set(inputs[:, 0].tolist()) == set(range(8))
    other = RandomWindows(tokens, batch_size=200, seq_length=4, seed=1)
    assert not torch.equal(next(other).inputs, inputs)


def test_stateful_batches_read_the_whole_text_in_order():
    tokens = torch.arange(60)
    stream = StatefulBatches(tokens, batch_size=3, seq_length=4, seed=5)
    read = torch.cat([next(stream).inputs for _ in range(5)], dim=1)  # 20 characters each: a third of the ring
    assert sorted(read.flatten().tolist()) == list(range(60))
    assert torch.equal(read, (read[:, :1] + torch.arange(20)) % 60)
    lap = torch.cat([next(stream).inputs for _ in range(10)], dim=1)
    assert torch.equal(lap[:, 0], (read[:, -1] + 1) % 60)  # it goes on, also over the seam


@pytest.mark.parametrize("kind", [RandomWindows, StatefulBatches])
def test_streams_resume_bit_for_bit(kind):
    tokens = torch.randint(9, (200,), generator=torch.Generator().manual_seed(0))
    stream = kind(tokens, 4, 7, seed=3)
    for _ in range(3):
        next(stream)
    saved = stream.state_dict()
    expected = [next(stream) for _ in range(3)]
    again = kind(tokens, 4, 7, seed=3)
    again.load_state_dict(saved)
    for batch in expected:
        for ours, theirs in zip(next(again), batch, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", [RandomWindows, StatefulBatches])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.arange(5), 2, 5, 0), "windows of 5 .* got 5"),
        ((torch.arange(5), 0, 2, 0), "batch_size .* got 0"),
        ((torch.arange(5), 1, 0, 0), "seq_length .* got 0"),
        ((torch.arange(5), 1, 2, -1), "seed .* got -1"),
        ((torch.rand(5), 1, 2, 0), "float32"),
        ((torch.arange(6).view(2, 3), 1, 2, 0), r"\(2, 3\)"),
    ],
)
def test_bad_streams_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)
