"""How does a character model learn to write? Accuracy and samples, step by step.

The practical's model of 2 x 128 units, random windows of 30 characters, Adam: Report 000 (2019) has .64 training
accuracy on Grimm after 5000 steps at .01; report 004 (2019) .42 after 1000 and .61 after 5000 on a Finnish novel. Here
it learns Python's language reference, or the book you name, for few steps. First blanks and e's, then words, then
what looks like sentences.

    $ python examples/text/character_model.py [BOOK.txt]
    seed 0, 465,048 characters, 103 different
    step  100  training accuracy 0.18  'e                                                  '
    step  200  training accuracy 0.25  'e                                                  '
    step  300  training accuracy 0.31  'e the the the the the the the the the the the the t'
    step  400  training accuracy 0.35  'e the the the the the the the the the the the the t'
    step  500  training accuracy 0.38  'e the the the the the the the the the the the the t'
    step  600  training accuracy 0.40  'e the the the the the the the the the the the the t'
    held-out tenth: 2.91 bits per character

`gnnkit text row 5`, `row 6` and `row 21` are the reports' own, in full.
"""

import argparse
from pathlib import Path

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, read_corpus, split_contiguous


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("book", type=Path, nargs="?", help="a text of your own, UTF-8")
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    arguments = parser.parse_args()
    steps = 30 if arguments.smoke else 600
    torch.set_num_threads(1)
    torch.manual_seed(0)
    corpus = pydoc_corpus() if arguments.book is None else read_corpus(arguments.book)
    vocabulary = Vocabulary.from_text(corpus.text)
    model = CharLM(len(vocabulary), 128, num_layers=2)
    config = TextConfig(
        steps=steps,
        batches="random",
        optimization=Optimization("adam", 0.01, clip=5.0),
        eval_every=steps,
        sample_every=steps // 6,
        sample_length=50,
    )
    result = fit_text(model, split_contiguous(vocabulary.encode(corpus.text)), vocabulary, config)
    print(f"seed 0, {len(corpus.text):,} characters, {len(vocabulary)} different")
    for sample in result.samples:
        before = result.history["train_accuracy"][max(0, sample.step - 20) : sample.step]
        accuracy = sum(before) / len(before)
        print(f"step {sample.step:4}  training accuracy {accuracy:.2f}  {sample.prompt + sample.text!r}")
    assert result.test is not None
    print(f"held-out tenth: {result.test.bits_per_character:.2f} bits per character")


if __name__ == "__main__":
    main()
