"""Does it help to train with a temperature? No: the network undoes it.

Report 003 (2018) divides the logits by a temperature in the training loss and then writes by argmax. A network that is
asked to be right after its logits are divided by 2 makes them larger: for the same loss exactly twice as large.
Argmax is the same at every temperature, so nothing of it reaches the text. Temperature belongs to sampling.

    $ python examples/text/temperature_in_training.py
    seed 0, 120 steps
    temperature 0.5: training accuracy 0.491, logits spread by 1.50
    temperature 1.0: training accuracy 0.434, logits spread by 2.65
    temperature 2.0: training accuracy 0.315, logits spread by 5.35

The logits grow with the temperature, and growing takes time: that is all it does to a short training.
`gnnkit text row 18` is the report's own.
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
    steps, temperatures = (20, (1.0, 2.0)) if parser.parse_args().smoke else (120, (0.5, 1.0, 2.0))
    torch.set_num_threads(1)
    text = pydoc_corpus().text[:60_000]
    vocabulary = Vocabulary.from_text(text)
    ids = vocabulary.encode(text)
    parts = split_contiguous(ids)
    print(f"seed 0, {steps} steps")
    for temperature in temperatures:
        torch.manual_seed(0)
        model = CharLM(len(vocabulary), 128, num_layers=1, input="embedding").forget_bias_(1.0)
        config = TextConfig(
            steps=steps,
            optimization=Optimization("adamw", 0.01, schedule="one-cycle", warmup=steps // 10, clip=1.0),
            eval_every=steps,
            loss_temperature=temperature,
        )
        result = fit_text(model, parts, vocabulary, config)
        with torch.no_grad():
            logits, _ = model(ids[None, :500])
        print(
            f"temperature {temperature}: training accuracy {result.train_accuracy_last_100:.3f}, "
            f"logits spread by {float(logits.std(-1).mean()):.2f}"
        )


if __name__ == "__main__":
    main()
