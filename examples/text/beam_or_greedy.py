"""Does beam search find likelier text than always taking the likeliest character?

Mostly, though nothing guarantees it, and the likelier the text the duller it reads: a wide beam finds that blanks
are the safest of all. One beam is greedy search exactly. (Seed 0, no length penalty: all texts are as long.)

    $ python examples/text/beam_or_greedy.py
    greedy      log-probability  -55.7  'An object is a sequence and the stance is a string ...
     1 beam(s)  log-probability  -55.7  'An object is a sequence and the stance is a string ...
     4 beam(s)  log-probability  -43.1  'An object of the class of the class of the class ...
    16 beam(s)  log-probability  -21.6  'An object of the string the ...
"""

import argparse

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.generation import GenerationConfig, generate
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, split_contiguous

PROMPT, LENGTH = "An object ", 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    steps = 40 if parser.parse_args().smoke else 400
    torch.manual_seed(0)
    corpus = pydoc_corpus()
    vocabulary = Vocabulary.from_text(corpus.text)
    model = CharLM(len(vocabulary), 128, num_layers=1, input="embedding").forget_bias_(1.0)
    rate = Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0)
    fit_text(
        model, split_contiguous(vocabulary.encode(corpus.text)), vocabulary, TextConfig(steps=steps, optimization=rate)
    )
    [greedy] = generate(model, vocabulary, PROMPT, GenerationConfig(length=LENGTH, strategy="greedy"))
    print(f"greedy      log-probability {greedy.log_probability:6.1f}  {PROMPT + greedy.text!r}")
    for width in (1, 4, 16):
        config = GenerationConfig(length=LENGTH, strategy="beam", beam_width=width, length_penalty=0)
        [best] = generate(model, vocabulary, PROMPT, config)
        print(f"{width:2} beam(s)  log-probability {best.log_probability:6.1f}  {PROMPT + best.text!r}")
        if width == 1:
            assert best.text == greedy.text


if __name__ == "__main__":
    main()
