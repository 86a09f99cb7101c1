"""From a text to batches of characters: reading, vocabulary, parts to train and to test on, windows."""

from recurrent.text.corpus import Corpus, pydoc_corpus, read_corpus, without_licence
from recurrent.text.parts import TextParts, split_contiguous
from recurrent.text.vocabulary import UnknownCharacterError, UnknownPolicy, Vocabulary
from recurrent.text.windows import RandomWindows, StatefulBatches, TextStream

__all__ = [
    "Corpus",
    "RandomWindows",
    "StatefulBatches",
    "TextParts",
    "TextStream",
    "UnknownCharacterError",
    "UnknownPolicy",
    "Vocabulary",
    "pydoc_corpus",
    "read_corpus",
    "split_contiguous",
    "without_licence",
]
