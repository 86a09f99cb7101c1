r"""How does a model go on from a prompt: a letter, half a sentence, to the sentence's end?

Report 003 (2018) prompts with E, T and C and with two half sentences of which it wants at least 210 characters and the
end of the sentence; report 001 (2020) completes one prompt three times to 100 characters. Both are options of one call.

    $ python examples/text/completions.py
    seed 0, 400 steps, temperature .5
    'EZbide return the sequence and in the contert is a '
    'Ty class the list sequence and in the contert is a '
    'CZbide return the sequence and in the contert is a '
    three completions of one prompt, seeds 0, 1, 2
    'A class is the numen to conte)\n   ounction is an exception is the numen'
    'A class is a built or a specital an ald a space attribute and be alls a'
    'A class is a section the define the support to the "__get__()" in the s'
    temperature .8, at least 210 characters: 283, stopped at the end of a sentence: ...'  |\n| "Pyd".'

`gnnkit text row 12`, `row 19` and `row 22` are the reports' own.
"""

import argparse

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.generation import GenerationConfig, generate
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, split_contiguous


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    steps = 30 if parser.parse_args().smoke else 400
    torch.set_num_threads(1)
    torch.manual_seed(0)
    corpus = pydoc_corpus()
    vocabulary = Vocabulary.from_text(corpus.text)
    model = CharLM(len(vocabulary), 128, num_layers=1, input="embedding").forget_bias_(1.0)
    rate = Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0)
    fit_text(
        model, split_contiguous(vocabulary.encode(corpus.text)), vocabulary, TextConfig(steps=steps, optimization=rate)
    )
    print(f"seed 0, {steps} steps, temperature .5")
    for prompt in "ETC":
        [text] = generate(model, vocabulary, prompt, GenerationConfig(length=50, temperature=0.5))
        print(f"{prompt + text.text!r}")
    print("three completions of one prompt, seeds 0, 1, 2")
    for text in generate(model, vocabulary, "A class is ", GenerationConfig(length=60, temperature=0.5, num_returns=3)):
        print(f"{'A class is ' + text.text!r}")
    to_the_end = GenerationConfig(length=600, temperature=0.8, stop_at_sentence_end=True, min_length=210)
    [text] = generate(model, vocabulary, "The object ", to_the_end)
    ending = "at the end of a sentence" if text.finished else "where no sentence ended"
    print(f"temperature .8, at least 210 characters: {len(text.text)}, stopped {ending}: ...{text.text[-12:]!r}")


if __name__ == "__main__":
    main()
