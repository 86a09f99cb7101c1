"""How much does a book's licence distort bits per character?

A Project Gutenberg file ends in 19,000 characters of licence. Held out with the last tenth of the file, it is
text of another kind than the story; strip it, and the number speaks of the story. Give your own book, or see it
on a stand-in: a part of the language reference, wrapped as such a file is, with legal prose for a tail. (Seed 0.)

    $ python examples/text/licence.py [BOOK.txt]
    with the licence      6.43 bits per character on the held-out tenth
    without               2.61 bits per character on the held-out tenth
"""

import argparse
from pathlib import Path

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, read_corpus, split_contiguous, without_licence

MARK = "*** {} OF THIS PROJECT GUTENBERG EBOOK STAND-IN ***\n"


def stand_in() -> str:
    """A text of 120,000 characters in a wrapper like Project Gutenberg's, with legal prose for a tail."""
    legal = "THE FULL LICENSE. 1.F.3. THE FOUNDATION DISCLAIMS ALL LIABILITY FOR DAMAGES, COSTS AND EXPENSES.\n"
    return MARK.format("START") + pydoc_corpus().text[:120_000] + "\n" + MARK.format("END") + legal * 190


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("book", type=Path, nargs="?", help="a book of Project Gutenberg's")
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    arguments = parser.parse_args()
    steps = 30 if arguments.smoke else 300
    whole = stand_in() if arguments.book is None else read_corpus(arguments.book, keep_licence=True).text
    for name, text in (("with the licence", whole), ("without", without_licence(whole)[0])):
        torch.manual_seed(0)
        vocabulary = Vocabulary.from_text(text)
        parts = split_contiguous(vocabulary.encode(text))
        model = CharLM(len(vocabulary), 96, num_layers=1, input="embedding").forget_bias_(1.0)
        rate = Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0)
        result = fit_text(model, parts, vocabulary, TextConfig(steps=steps, optimization=rate))
        assert result.test is not None
        print(f"{name:20}  {result.test.bits_per_character:.2f} bits per character on the held-out tenth")


if __name__ == "__main__":
    main()
