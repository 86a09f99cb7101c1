"""The laws that sampling, greedy search and beam search keep, whatever the model."""

import itertools
import math

import pytest
import torch
from scipy.stats import chi2
from torch import nn

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
from recurrent.models import CharLM
from recurrent.state import tensors_of
from recurrent.text import UnknownCharacterError, Vocabulary

LETTERS = Vocabulary("abc.\n")


class Markov:
    """A table of logits by the two characters before: the step contract without any network or module."""

    def __init__(self, size=4, seed=0, scale=2.0):
        generator = torch.Generator().manual_seed(seed)
        self.table = scale * torch.randn(size, size, size, generator=generator, dtype=torch.float64)
        self.steps = 0

    def initial_state(self, batch_size):
        return {"before": torch.zeros(batch_size, dtype=torch.long)}

    def step(self, tokens, state):
        self.steps += 1
        return self.table[state["before"], tokens], {"before": tokens}


def network(seed=0, size=5):
    torch.manual_seed(seed)
    model = CharLM(size, 12).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # confident enough to differ from uniform
    return model


def log_probability(model, prompt, tokens):
    scores, state = prefill(model, prompt)
    total = 0.0
    for token in tokens:
        total += float(scores[0, token])
        scores, state = advance(model, torch.tensor([token]), state)
    return total


@pytest.mark.parametrize("stop", [False, True], ids=["whole length", "to the sentence's end"])
@pytest.mark.parametrize("seed", range(4))
def test_one_beam_is_greedy(seed, stop):
    model = network(seed)
    common = {"length": 40, "stop_at_sentence_end": stop, "min_length": 3 if stop else 0}
    [greedy] = generate(model, LETTERS, "ab", GenerationConfig(strategy="greedy", **common))
    [beam] = generate(model, LETTERS, "ab", GenerationConfig(strategy="beam", beam_width=1, **common))
    assert beam.text == greedy.text
    assert beam.finished == greedy.finished
    assert beam.log_probabilities == pytest.approx(greedy.log_probabilities, abs=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("stops", [(), (3,), (1, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_a_full_width_beam_is_exhaustive_search(seed, stops, penalty):
    model, length = Markov(seed=seed), 5
    sequences = set()
    for whole in itertools.product(range(4), repeat=length):
        ends = [place for place, token in enumerate(whole) if token in stops and place + 1 >= 2]
        sequences.add(whole[: ends[0] + 1] if ends else whole)
    expected = sorted(
        ((log_probability(model, [0, 1], each) / len(each) ** penalty, each) for each in sequences), reverse=True
    )
    scores, state = prefill(model, [0, 1])
    found = beam_search(
        model,
        scores,
        state,
        width=4**length,
        length=length,
        length_penalty=penalty,
        num_returns=4**length,
        stop_tokens=stops,
        min_length=2,
    )
    assert len(found) == len(sequences)
    assert [each.score for each in found] == pytest.approx([value for value, _ in expected], abs=1e-9)
    assert tuple(found[0].tokens) == expected[0][1]
    assert {tuple(each.tokens) for each in found} == sequences
    for each in found[:20]:
        assert each.finished == (each.tokens[-1] in stops and len(each.tokens) >= 2)
        assert sum(each.log_probabilities) == pytest.approx(log_probability(model, [0, 1], each.tokens))


def test_a_beams_state_follows_its_characters():
    model = network(3)
    config = GenerationConfig(strategy="beam", beam_width=6, length=12, num_returns=6, length_penalty=0)
    texts = generate(model, LETTERS, "ab", config)
    assert len({each.text for each in texts}) == 6
    assert [each.score for each in texts] == sorted((each.score for each in texts), reverse=True)
    for each in texts:  # read anew from the start, one by one
        expected = log_probability(model, LETTERS.encode("ab"), LETTERS.encode(each.text).tolist())
        assert each.log_probability == pytest.approx(expected, abs=1e-4)
        assert each.score == pytest.approx(expected, abs=1e-4)


def test_a_wider_beam_finds_what_greedy_misses():
    # "a" looks best at once but leads nowhere; "b" is followed by certainty.
    class Trap:
        def initial_state(self, batch_size):
            return torch.zeros(batch_size)

        def step(self, tokens, state):
            table = torch.tensor([[0.55, 0.45, 0.0], [0.4, 0.3, 0.3], [0.0, 0.0, 1.0]])
            return table[(tokens == 0).long() + 2 * (tokens == 1).long()].log(), state

    vocabulary = Vocabulary("abc")
    greedy, beam = (
        generate(Trap(), vocabulary, "c", GenerationConfig(length=2, strategy=strategy))[0]
        for strategy in ("greedy", "beam")
    )
    assert greedy.text == "aa"
    assert beam.text == "bc"
    assert beam.log_probability > greedy.log_probability


def test_top_k_of_one_is_greedy():
    model = network()
    [greedy] = generate(model, LETTERS, "ab", GenerationConfig(strategy="greedy", length=60))
    for seed in range(3):
        [one] = generate(model, LETTERS, "ab", GenerationConfig(top_k=1, seed=seed, temperature=3.0, length=60))
        assert one.text == greedy.text
        assert one.log_probabilities == greedy.log_probabilities


def test_a_low_temperature_is_argmax():
    model = network()
    [greedy] = generate(model, LETTERS, "ab", GenerationConfig(strategy="greedy", length=60))
    for temperature in (1e-3, 1e-30, 1e-300):
        [cold] = generate(model, LETTERS, "ab", GenerationConfig(temperature=temperature, length=60))
        assert cold.text == greedy.text


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_split_prompt_is_the_whole_prompt(cut):
    model, prompt = network(), LETTERS.encode("abcab.ca")
    whole, last = prefill(model, prompt)
    _, middle = prefill(model, prompt[:cut])
    split, end = prefill(model, prompt[cut:], middle)
    assert torch.equal(split, whole)
    for one, two in zip(tensors_of(last), tensors_of(end), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    "config",
    [
        GenerationConfig(length=50, seed=3, temperature=0.8),
        GenerationConfig(length=50, seed=3, top_p=0.9, stop_at_sentence_end=True),
        GenerationConfig(length=20, strategy="greedy"),
        GenerationConfig(length=20, strategy="beam", beam_width=3),
    ],
    ids=["sample", "to the sentence's end", "greedy", "beam"],
)
def test_a_stream_is_the_text(config):
    model = network()
    [whole] = generate(model, LETTERS, "ab", config)
    streamed = list(stream(model, LETTERS, "ab", config))
    assert "".join(each.text for each in streamed) == whole.text
    assert tuple(each.log_probability for each in streamed) == whole.log_probabilities


def test_each_return_has_its_own_seed():
    model = network()
    texts = generate(model, LETTERS, "ab", GenerationConfig(length=30, num_returns=3, seed=5))
    assert len({each.text for each in texts}) == 3
    for number, each in enumerate(texts):
        [alone] = generate(model, LETTERS, "ab", GenerationConfig(length=30, seed=5 + number))
        assert alone.text == each.text


def test_several_returns_stop_each_at_its_own_sentence_end():
    config = GenerationConfig(length=80, num_returns=8, stop_at_sentence_end=True, min_length=5)
    texts = generate(network(), LETTERS, "ab", config)
    assert len({len(each.text) for each in texts}) > 1
    for number, each in enumerate(texts):
        place = each.text.find(".", 4)
        assert each.finished == (place >= 0)
        assert len(each.text) == (place + 1 if each.finished else 80)
        alone = GenerationConfig(length=80, seed=number, stop_at_sentence_end=True, min_length=5)
        assert generate(network(), LETTERS, "ab", alone)[0].text == each.text


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sampled_frequencies_are_those_of_softmax(temperature):
    logits = torch.tensor([[2.0, 0.5, -1.0, 1.0, 0.0]])
    draws = 20_000
    generator = torch.Generator().manual_seed(int(10 * temperature))
    many = draw(logits.expand(1, -1), Sampling(temperature), [generator])
    counts = torch.zeros(5)
    for _ in range(draws):
        counts[draw(logits, Sampling(temperature), [generator])] += 1
    expected = draws * torch.softmax(logits[0] / temperature, 0)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < chi2.ppf(0.999, df=4)
    assert many.shape == (1,)


def test_the_filters_cut_in_their_order_and_keep_one():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def kept(**options):
        return (filtered(logits, Sampling(**options)) > -math.inf).tolist()

    assert kept() == [True] * 4
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_k=9) == [True] * 4
    assert kept(top_p=0.5) == [True, False, False, False]
    assert kept(top_p=0.51) == [True, True, False, False]
    assert kept(top_p=1e-9) == [True, False, False, False]
    assert kept(min_p=0.5) == [True, True, False, False]
    assert kept(min_p=1.0) == [True, False, False, False]
    # After top_k=2 the first has 5/8: top_p and min_p see what is left, renormalised.
    assert kept(top_k=2, top_p=0.6) == [True, False, False, False]
    assert kept(top_p=0.6) == [True, True, False, False]
    assert kept(temperature=2.0, top_p=0.5) == [True, True, False, False]  # flatter first, cut then
    values = filtered(logits, Sampling(temperature=0.5, top_k=3))
    torch.testing.assert_close(
        values.softmax(0), torch.tensor([0.25, 0.09, 0.0225, 0.0]) / 0.3625, rtol=1e-5, atol=1e-7
    )
    ties = filtered(torch.zeros(4), Sampling(top_k=2))
    assert (ties > -math.inf).tolist() == [True, True, False, False]


def test_generation_costs_one_step_a_character_and_reads_the_prompt_once():
    vocabulary = Vocabulary("abcd")
    for length in (10, 1000):
        model = Markov()
        generate(model, vocabulary, "abca", GenerationConfig(length=length))
        assert model.steps == 4 + length - 1
    model = Markov()
    generate(model, vocabulary, "abca", GenerationConfig(length=50, strategy="beam", beam_width=7))
    assert model.steps == 4 + 49
    model = Markov()
    generate(model, vocabulary, "abca", GenerationConfig(length=50, num_returns=9))
    assert model.steps == 4 + 49
    model = Markov()
    for count, _ in enumerate(stream(model, vocabulary, "ab", GenerationConfig(length=50))):
        assert model.steps == 2 + count  # nothing is computed before it is asked for
        if count == 5:
            break


def test_a_text_stops_at_the_sentences_end_but_not_too_early():
    model = network(1)
    base = {"length": 300, "seed": 2}
    [free] = generate(model, LETTERS, "ab", GenerationConfig(**base))
    [short] = generate(model, LETTERS, "ab", GenerationConfig(**base, stop_at_sentence_end=True))
    assert short.text == free.text[: free.text.index(".") + 1]
    [later] = generate(model, LETTERS, "ab", GenerationConfig(**base, stop_at_sentence_end=True, min_length=30))
    assert later.text == free.text[: free.text.index(".", 29) + 1]
    assert free.finished is False
    assert short.finished is later.finished is True


def test_the_model_keeps_its_mode_and_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    model = CharLM(5, 6, dropout=0.5, output_dropout=0.5).train()
    before = torch.get_rng_state()
    first = generate(model, LETTERS, "ab", GenerationConfig(length=20))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert generate(model.eval(), LETTERS, "ab", GenerationConfig(length=20)) == first
    model.train().output_dropout.eval()  # each part has a mode of its own
    modes = [part.training for part in model.modules()]
    generate(model, LETTERS, "ab", GenerationConfig(length=2))
    score(model, torch.tensor([0, 1, 2, 1]))
    assert [part.training for part in model.modules()] == modes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, r"temperature .* got 0; .*strategy=\"greedy\""),
        ({"temperature": -1.0}, r"got -1.0.*greedy"),
        ({"temperature": float("nan")}, r"got nan.*greedy"),
        ({"temperature": float("inf")}, r"got inf.*greedy"),
        ({"top_k": 0}, "top_k .* got 0"),
        ({"top_k": 1.5}, "top_k .* got 1.5"),
        ({"top_k": 2.0}, "top_k .* got 2.0"),
        ({"top_p": 0}, "top_p .* got 0"),
        ({"top_p": 1.1}, "top_p .* got 1.1"),
        ({"top_p": float("nan")}, "top_p .* got nan"),
        ({"min_p": -0.1}, "min_p .* got -0.1"),
        ({"min_p": 1.5}, "min_p .* got 1.5"),
        ({"length": 0}, "length .* got 0"),
        ({"strategy": "best"}, "strategy .* got 'best'"),
        ({"strategy": "greedy", "temperature": 0.5}, 'temperature is of strategy="sample", got 0.5'),
        ({"strategy": "greedy", "num_returns": 2}, "greedy knows one text, got num_returns=2"),
        ({"strategy": "beam", "top_k": 3}, 'top_k is of strategy="sample"'),
        ({"beam_width": 3}, 'beam_width is of strategy="beam"'),
        ({"strategy": "beam", "beam_width": 0}, "beam_width .* got 0"),
        ({"strategy": "beam", "beam_width": 2, "num_returns": 3}, "beam_width=2, got 3"),
        ({"strategy": "beam", "length_penalty": -1}, "length_penalty .* got -1"),
        ({"strategy": "beam", "length_penalty": float("nan")}, "length_penalty .* got nan"),
        ({"num_returns": 0}, "num_returns .* got 0"),
        ({"min_length": 5}, "got 5 without stop_at_sentence_end"),
        ({"min_length": 50, "length": 20, "stop_at_sentence_end": True}, "length=20, got 50"),
        ({"seed": -1}, "seed .* got -1"),
        ({"unknown": "ignore"}, "unknown .* got 'ignore'"),
    ],
)
def test_every_bad_argument_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**options)


def test_bad_prompts_and_vocabularies_are_named_before_anything_is_written():
    model = network()
    for function in (generate, stream):  # a stream complains when it is made, not when it is read
        with pytest.raises(UnknownCharacterError, match=r"'z' at position 1"):
            function(model, LETTERS, "az")
        with pytest.raises(ValueError, match="nothing of the prompt 'zz'"):
            function(model, LETTERS, "zz", GenerationConfig(unknown="skip"))
        with pytest.raises(ValueError, match="empty prompt"):
            function(Markov(), Vocabulary("abcd"), "")
        with pytest.raises(ValueError, match=r"none of \. ! \?"):
            function(Markov(), Vocabulary("abcd"), "a", GenerationConfig(stop_at_sentence_end=True))
    with pytest.raises(ValueError, match="got num_returns=2; use generate"):
        stream(model, LETTERS, "a", GenerationConfig(num_returns=2))
    with pytest.raises(ValueError, match="at least one character, got none"):
        prefill(model, [])
    [read] = generate(model, LETTERS, "azb", GenerationConfig(length=3, unknown="skip"))
    assert read.prompt == "ab"
    [line] = generate(model, LETTERS, "", GenerationConfig(length=3, seed=1))
    [same] = generate(model, LETTERS, "\n", GenerationConfig(length=3, seed=1))
    assert line.text == same.text
    assert line.prompt == ""


def test_a_diverged_model_is_named():
    model = network()
    nn.init.constant_(model.head.bias, float("nan"))
    for strategy in ("sample", "greedy", "beam"):
        with pytest.raises(ValueError, match="logits of CharLM hold NaN"):
            generate(model, LETTERS, "a", GenerationConfig(strategy=strategy))


def test_generators_and_rows_go_together():
    with pytest.raises(ValueError, match="got 1 for 2 rows"):
        draw(torch.zeros(2, 3), Sampling(), [torch.Generator()])


def test_surprise_is_minus_log2_of_each_characters_probability():
    model = network()
    text = LETTERS.encode("abc.\nabca.bcab")
    bits, right = surprise(model, text)
    for place in range(1, len(text)):
        scores, _ = prefill(model, text[:place])
        assert float(bits[place - 1]) == pytest.approx(-float(scores[0, text[place]]) / math.log(2), abs=1e-4)
        assert bool(right[place - 1]) == (int(scores.argmax()) == int(text[place]))
    torch.testing.assert_close(surprise(model, text, at_once=3)[0], bits)
    found = score(model, text)
    assert found.bits_per_character == pytest.approx(float(bits.mean()), abs=1e-5)
    assert found.loss == pytest.approx(found.bits_per_character * math.log(2))
    assert found.characters == len(text) - 1
    with pytest.raises(ValueError, match="at least 2 characters, got 1"):
        surprise(model, text[:1])
    with pytest.raises(ValueError, match=r"8 row\(s\) need 16"):
        score(model, text, rows=8)


def test_rows_cover_the_text():
    model = network()
    text = LETTERS.encode("abc.\n" * 40)
    assert score(model, text, rows=4).characters == 196
    near, exact = score(model, text, rows=4).bits_per_character, score(model, text).bits_per_character
    assert near == pytest.approx(exact, rel=0.1)
