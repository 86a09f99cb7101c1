"""Does a wider model learn more of a text in as many steps?

Report 001 (2020) trains 2 x 1024 units with dropout .5 and reports 84.22 % accuracy on Bartleby: that of training
batches, which it has seen before. Here 32, 128 and 256 units on Python's language reference, training and held-out
accuracy side by side.

    $ python examples/text/wider.py
    seed 0, 300 steps, 100,000 characters
      32 units,  14,948 parameters: training accuracy 0.384, held out 0.354
     128 units, 157,796 parameters: training accuracy 0.569, held out 0.516
     256 units, 577,636 parameters: training accuracy 0.636, held out 0.580

`gnnkit text row 11` is the report's own: 2.5 hours for each of its two texts on one core.
"""

import argparse

import torch

from gnnkit.training.optimization import Optimization
from gnnkit.training.text import TextConfig, fit_text
from recurrent.models import CharLM
from recurrent.text import Vocabulary, pydoc_corpus, split_contiguous


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds: too little to learn much")
    steps, widths = (20, (32,)) if parser.parse_args().smoke else (300, (32, 128, 256))
    torch.set_num_threads(1)
    text = pydoc_corpus().text[:100_000]
    vocabulary = Vocabulary.from_text(text)
    parts = split_contiguous(vocabulary.encode(text))
    print(f"seed 0, {steps} steps, {len(text):,} characters")
    for width in widths:
        torch.manual_seed(0)
        model = CharLM(len(vocabulary), width, num_layers=1, input="embedding").forget_bias_(1.0)
        rate = Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0)
        config = TextConfig(steps=steps, optimization=rate, eval_every=steps)
        result = fit_text(model, parts, vocabulary, config)
        assert result.test is not None
        size = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{width:4} units, {size:7,} parameters: training accuracy {result.train_accuracy_last_100:.3f}, "
            f"held out {result.test.accuracy:.3f}"
        )


if __name__ == "__main__":
    main()
