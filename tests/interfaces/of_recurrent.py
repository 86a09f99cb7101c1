"""Good calls of what recurrent exports: cells, models, tasks, texts and their generation."""

import atexit
import shutil
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import nn

from recurrent import (
    GRUCell,
    LSTMCell,
    MinGRUCell,
    OrthogonalRNNCell,
    PhasedLSTMCell,
    RNNCell,
    Sequences,
    lstm_update,
    unroll,
    unroll_states,
)
from recurrent.cells import HiddenState, gru_gates, gru_update, layer_state_dict, lstm_gates, temporal_gate
from recurrent.diagnostics import gate_activations, gradient_by_step, state_gradients
from recurrent.generation import (
    GenerationConfig,
    Sampling,
    advance,
    beam_search,
    draw,
    filtered,
    generate,
    prefill,
    score,
    stream,
    surprise,
)
from recurrent.initialization import (
    chrono_,
    forget_bias_,
    gate_rows,
    identity_,
    kaiming_,
    latch_,
    orthogonal_,
    standard_normal_,
    xavier_,
)
from recurrent.models import CellStack, CharLM, SequenceClassifier, bilstm
from recurrent.tasks import (
    Adding,
    BaumSweet,
    BinaryPalindromes,
    CopyMemory,
    Palindromes,
    RandomCombinations,
    TaskStream,
)
from recurrent.text import (
    Corpus,
    RandomWindows,
    StatefulBatches,
    Vocabulary,
    read_corpus,
    split_contiguous,
    without_licence,
)

FOLDER = Path(mkdtemp(prefix="interfaces-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
TEXT = FOLDER / "text.txt"
TEXT.write_text("the graph knows how far a word may go\n" * 5)
LETTERS = Vocabulary("abc")
TOKENS = torch.arange(30) % 3
PLAIN_CELLS = (RNNCell, LSTMCell, GRUCell, MinGRUCell, OrthogonalRNNCell)
CELLS = (*PLAIN_CELLS, PhasedLSTMCell)
GENERATOR = torch.Generator().manual_seed(0)


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def model() -> CharLM:
    torch.manual_seed(0)
    return CharLM(3, 4, num_layers=1).eval()


def searched(**given):
    found = model()
    scores, state = prefill(found, [0])
    return beam_search(found, scores, state, **given)


def written(**given):
    return generate(model(), LETTERS, "ab", GenerationConfig(**given))


RECURRENT = {
    **{f"{kind.__name__}()": (kind, {"input_size": 3, "hidden_size": 2}) for kind in CELLS},
    "RNNCell() of a kind": (partial(RNNCell, 3, 2), {"nonlinearity": "relu"}),
    "PhasedLSTMCell() of a clock": (
        partial(PhasedLSTMCell, 3, 2),
        {"r_on": 0.05, "leak": 0.001, "tau_range": (1.0, 5.0), "hidden_from": "gated"},
    ),
    **{
        f"unroll of {kind.__name__}": (
            lambda kind=kind, **given: unroll(kind(3, 2), **given),
            {"inputs": rand(2, 4, 3), "lengths": torch.tensor([4, 2])},
        )
        for kind in CELLS
    },
    "unroll of PhasedLSTMCell at times": (
        lambda **given: unroll(PhasedLSTMCell(3, 2), **given), {"inputs": rand(2, 4, 3), "times": rand(2, 4)}
    ),
    "unroll from a state": (
        lambda hidden: unroll(GRUCell(3, 2), rand(2, 4, 3), HiddenState(hidden)), {"hidden": rand(2, 2)}
    ),
    "unroll_states": (lambda inputs: unroll_states(LSTMCell(3, 2), inputs), {"inputs": rand(2, 4, 3)}),
    "Sequences": (Sequences, {"values": rand(6, 3), "lengths": torch.tensor([4, 2])}),
    "Sequences of tokens": (Sequences, {"values": torch.tensor([0, 1, 2]), "lengths": torch.tensor([2, 1])}),
    "Sequences.from_padded": (Sequences.from_padded, {"values": rand(2, 4, 3), "lengths": torch.tensor([4, 2])}),
    "Sequences.from_list": (lambda one: Sequences.from_list([rand(2, 3), one]), {"one": rand(4, 3)}),
    "lstm_update": (lstm_update, {"gates": rand(2, 8), "cell": rand(2, 2)}),
    "lstm_gates": (lstm_gates, {"gates": rand(2, 8)}),
    "gru_gates": (gru_gates, {"from_input": rand(2, 6), "from_hidden": rand(2, 6)}),
    "gru_update": (gru_update, {"from_input": rand(2, 6), "from_hidden": rand(2, 6), "hidden": rand(2, 2)}),
    "temporal_gate": (
        temporal_gate,
        {"times": rand(4, 1), "tau": 1 + rand(3), "s": rand(3), "r_on": 0.1 + 0.5 * rand(3), "leak": 0.1},
    ),
    "layer_state_dict": (lambda layer: layer_state_dict(nn.LSTM(3, 2, num_layers=2), layer), {"layer": 1}),
    "CharLM()": (
        CharLM,
        {"vocab_size": 5, "hidden_size": 4, "num_layers": 2, "dropout": 0.1, "output_dropout": 0.1,
         "input": "embedding", "embedding_dim": 3},
    ),
    "CharLM": (lambda tokens: model()(tokens), {"tokens": TOKENS.view(3, 10)}),
    "CellStack()": (
        partial(CellStack, LSTMCell), {"input_size": 3, "hidden_size": 2, "num_layers": 2, "dropout": 0.1}
    ),
    "CellStack": (lambda **given: CellStack(LSTMCell, 3, 2)(**given), {"inputs": rand(2, 4, 3)}),
    "SequenceClassifier()": (
        partial(SequenceClassifier, LSTMCell),
        {"input_size": 3, "hidden_size": 2, "num_outputs": 2, "num_layers": 2, "dropout": 0.1, "embedding_dim": 2},
    ),
    "SequenceClassifier": (
        lambda **given: SequenceClassifier(LSTMCell, 3, 2, 2)(**given),
        {"inputs": rand(2, 4, 3), "lengths": torch.tensor([4, 2])},
    ),
    "bilstm()": (bilstm, {"input_size": 3, "hidden_size": 2, "num_outputs": 2, "embedding_dim": 2}),
    "bilstm": (lambda inputs: bilstm(3, 2, 2, embedding_dim=2)(inputs), {"inputs": torch.tensor([[0, 1], [2, 0]])}),
}  # fmt: skip

TASKS_AND_TEXTS = {
    **{
        kind.__name__: (kind, {"length": 6, "encoding": "one-hot"})
        for kind in (Palindromes, BinaryPalindromes, RandomCombinations, BaumSweet, CopyMemory)
    },
    "Adding": (Adding, {"length": 6}),
    "TaskStream": (
        lambda **given: next(TaskStream(Palindromes(4), **given)), {"batch_size": 2, "seed": 0, "split": "train"}
    ),
    "Vocabulary": (Vocabulary, {"characters": "abc"}),
    "Vocabulary.encode": (LETTERS.encode, {"text": "abca", "unknown": "error"}),
    "Vocabulary.decode": (LETTERS.decode, {"ids": torch.tensor([0, 2])}),
    "Vocabulary.decode of a list": (LETTERS.decode, {"ids": [0, 2]}),
    "RandomWindows": (
        lambda **given: next(RandomWindows(**given)), {"tokens": TOKENS, "batch_size": 2, "seq_length": 5, "seed": 0}
    ),
    "StatefulBatches": (
        lambda **given: next(StatefulBatches(**given)), {"tokens": TOKENS, "batch_size": 2, "seq_length": 5, "seed": 0}
    ),
    "split_contiguous": (split_contiguous, {"tokens": TOKENS, "validation": 0.2, "test": 0.2}),
    "read_corpus": (read_corpus, {"path": TEXT, "max_bytes": 1000}),
    "without_licence": (without_licence, {"text": "a text"}),
    "Corpus": (Corpus, {"name": "some", "text": "a text"}),
    "GenerationConfig": (GenerationConfig, {"length": 5, "strategy": "greedy", "seed": 0, "num_returns": 1}),
    "Sampling": (Sampling, {"temperature": 0.5, "top_k": 2, "top_p": 0.9, "min_p": 0.1}),
    "filtered": (lambda logits: filtered(logits, Sampling(top_k=2)), {"logits": rand(2, 3)}),
    "draw": (lambda logits: draw(logits, Sampling(), [GENERATOR, GENERATOR]), {"logits": rand(2, 3)}),
    "prefill": (lambda tokens: prefill(model(), tokens), {"tokens": torch.tensor([0, 1])}),
    "prefill of a list": (lambda tokens: prefill(model(), tokens), {"tokens": [0, 1]}),
    "advance": (
        lambda tokens: advance(model(), tokens, model().initial_state(2)), {"tokens": torch.tensor([0, 1])}
    ),
    "beam_search": (searched, {"width": 2, "length": 3, "length_penalty": 1.0, "num_returns": 1, "min_length": 0}),
    "generate": (written, {"length": 5, "strategy": "sample", "temperature": 0.5, "seed": 0, "num_returns": 2}),
    "generate of beams": (written, {"length": 5, "strategy": "beam", "beam_width": 2, "length_penalty": 1.0}),
    "generate after a prompt": (
        lambda prompt: generate(model(), LETTERS, prompt, GenerationConfig(length=3)), {"prompt": "ab"}
    ),
    "stream": (
        lambda prompt: list(islice(stream(model(), LETTERS, prompt, GenerationConfig(length=3)), 3)), {"prompt": "ab"}
    ),
    "score": (lambda **given: score(model(), **given), {"tokens": TOKENS, "rows": 2}),
    "surprise": (lambda **given: surprise(model(), **given), {"tokens": TOKENS, "at_once": 7}),
}  # fmt: skip

STARTS_AND_LOOKS = {
    "gate_rows": (lambda **given: gate_rows(LSTMCell(3, 2), **given), {"parameter": "weight_hh", "gate": "f"}),
    **{
        f"{start.__name__} of {kind.__name__}": (lambda size, s=start, k=kind: s(k(3, size)), {"size": 2})
        for start in (xavier_, kaiming_, standard_normal_)
        for kind in CELLS
    },
    "orthogonal_": (lambda gain: orthogonal_(GRUCell(3, 2), gain=gain), {"gain": 1.0}),
    "identity_": (lambda scale: identity_(RNNCell(3, 2), scale=scale), {"scale": 1.0}),
    "forget_bias_": (lambda value: forget_bias_(LSTMCell(3, 2), value), {"value": 1.0}),
    "chrono_": (lambda max_length: chrono_(GRUCell(3, 2), max_length), {"max_length": 10}),
    "latch_": (lambda gain: latch_(RNNCell(3, 2), gain=gain), {"gain": 2.0}),
    "state_gradients": (lambda inputs: state_gradients(LSTMCell(3, 2), inputs, torch.sum), {"inputs": rand(2, 4, 3)}),
    "gradient_by_step": (
        lambda inputs: gradient_by_step(PhasedLSTMCell(3, 2), inputs, torch.sum), {"inputs": rand(2, 4, 3)}
    ),
    "gate_activations": (lambda inputs: gate_activations(LSTMCell(3, 2), inputs), {"inputs": rand(2, 4, 3)}),
}  # fmt: skip

CALLS = {**RECURRENT, **TASKS_AND_TEXTS, **STARTS_AND_LOOKS}
ELSEWHERE = {
    "map_state": "takes a function and states; what it raises is the function's",
    "pydoc_corpus": "has no arguments",
    "recurrent_gradient_norms": "takes a module and nothing else",
}
