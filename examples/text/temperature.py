"""What does the temperature of sampling change?

A small model learns Python's own language reference for a few hundred steps, then continues one prompt at
several temperatures: softmax(logits / temperature). Cold text repeats itself and is likely under the model;
hot text is surprising, and no longer language. (Seed 0; the reports' tables show the same at .5, 1, 2.)

    $ python examples/text/temperature.py
    after 400 steps: 2.24 bits per character on held-out text
    temperature 0.2:  1.19 bits per character  'The and the subject is the subclass is a sequence ...
    temperature 0.5:  0.93 bits per character  ...
    temperature 1.0:  2.65 bits per character  ...
    temperature 2.0:  6.06 bits per character  "The keydhor'texs’mjeds) ...
"""

import argparse
import math

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.generation import GenerationConfig, generate
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, split_contiguous

PROMPT = "The "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    steps = 40 if parser.parse_args().smoke else 400
    torch.manual_seed(0)
    corpus = pydoc_corpus()
    vocabulary = Vocabulary.from_text(corpus.text)
    parts = split_contiguous(vocabulary.encode(corpus.text))
    model = CharLM(len(vocabulary), 128, num_layers=1, input="embedding").forget_bias_(1.0)
    rate = Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0)
    result = fit_text(model, parts, vocabulary, TextConfig(steps=steps, optimization=rate))
    assert result.test is not None
    print(f"after {steps} steps: {result.test.bits_per_character:.2f} bits per character on held-out text")
    for temperature in (0.2, 0.5, 1.0, 2.0):
        [text] = generate(model, vocabulary, PROMPT, GenerationConfig(length=200, temperature=temperature))
        bits = -text.log_probability / len(text.text) / math.log(2)
        print(f"temperature {temperature}: {bits:5.2f} bits per character  {PROMPT + text.text[:60]!r}")


if __name__ == "__main__":
    main()
