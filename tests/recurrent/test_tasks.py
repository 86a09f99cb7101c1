"""Tasks against their definitions, checked digit by digit, and streams that resume."""

import math

import pytest
import torch

from recurrent.tasks import (
    Adding,
    BaumSweet,
    BinaryPalindromes,
    CopyMemory,
    Palindromes,
    RandomCombinations,
    Task,
    TaskStream,
)
from recurrent.tasks.baum_sweet import baum_sweet_bits
from tests.reference.recurrent import is_baum_sweet

TASKS = {
    "palindromes": Palindromes(6),
    "palindromes, scalar": Palindromes(5, "scalar"),
    "palindromes, token": Palindromes(1, "token"),
    "combinations": RandomCombinations(5),
    "binary palindromes": BinaryPalindromes(3),
    "baum-sweet": BaumSweet(3),
    "copy memory": CopyMemory(4),
    "copy memory, token": CopyMemory(1, "token"),
    "adding": Adding(9),
}
tasks = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@tasks
def test_shapes_are_what_the_task_says(task):
    assert isinstance(task, Task)
    inputs, targets = task.sample(7, generator())
    features = () if task.tokens else (task.input_size,)
    assert inputs.shape == (7, task.seq_length, *features)
    assert targets.shape == ((7, task.seq_length) if task.per_step else (7,))
    assert inputs.is_floating_point() != task.tokens
    shape = (7, task.seq_length, task.num_outputs) if task.per_step else (7, task.num_outputs)
    outputs = torch.randn(shape, generator=generator(), requires_grad=True)
    task.loss(outputs, targets).backward()
    assert outputs.grad.abs().max() > 0
    assert 0 <= task.accuracy(outputs, targets) <= 1


@tasks
def test_right_answers_have_accuracy_one_and_no_loss(task):
    _, targets = task.sample(50, generator())
    if task.num_outputs == 1:
        perfect = targets.unsqueeze(-1)
    else:
        perfect = 100 * torch.nn.functional.one_hot(targets, task.num_outputs).float()
    assert task.accuracy(perfect, targets) == 1
    assert task.loss(perfect, targets) < 1e-6


@tasks
def test_streams_resume_bit_for_bit_and_never_share_a_generator(task):
    stream = TaskStream(task, 8, seed=3)
    next(stream)
    position = {name: value.clone() for name, value in stream.state_dict().items()}
    expected = [next(stream) for _ in range(3)]
    resumed = TaskStream(task, 8, seed=99)
    resumed.load_state_dict(position)
    for batch, again in zip(expected, resumed, strict=False):
        assert torch.equal(batch.inputs, again.inputs)
        assert torch.equal(batch.targets, again.targets)
    seeds = [
        TaskStream(task, 1, seed, split).generator.initial_seed()
        for seed in range(50)
        for split in ("train", "held_out")
    ]
    assert len(set(seeds)) == 100


def test_stream_arguments_are_checked():
    with pytest.raises(ValueError, match="got 0"):
        TaskStream(Palindromes(5), 0, seed=1)
    with pytest.raises(ValueError, match="got -1"):
        TaskStream(Palindromes(5), 1, seed=-1)
    with pytest.raises(ValueError, match="got 2147483648"):  # would draw what seed 0 draws
        TaskStream(Palindromes(5), 1, seed=2**31)
    with pytest.raises(ValueError, match="got 'test'"):
        TaskStream(Palindromes(5), 1, seed=1, split="test")


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
def test_palindromes_read_the_same_both_ways(length):
    inputs, targets = Palindromes(length, "token").sample(2000, generator())
    whole = torch.cat([inputs, targets.unsqueeze(1)], 1)
    assert whole.shape == (2000, length + 1)
    assert torch.equal(whole, whole.flip(1))
    assert torch.equal(inputs[:, 0], targets)
    half = whole[:, : math.ceil((length + 1) / 2)]
    counts = torch.stack([(half == digit).float().mean(0) for digit in range(10)])
    assert (counts - 0.1).abs().max() < 0.035  # each place uniform, five standard errors


def test_encodings_carry_the_same_digits():
    tokens, one_hot, scalar = (
        Palindromes(6, encoding).sample(5, generator(4)).inputs for encoding in ("token", "one-hot", "scalar")
    )
    assert torch.equal(one_hot.argmax(-1), tokens)
    assert torch.equal(one_hot.sum(-1), torch.ones(5, 6))
    assert torch.equal(scalar.squeeze(-1), tokens.float())
    assert [Palindromes(6, e).input_size for e in ("token", "one-hot", "scalar")] == [10, 10, 1]


def test_combinations_are_permutations_and_every_number_is_missed_equally():
    inputs, targets = RandomCombinations(6, "token").sample(6000, generator())
    whole = torch.cat([inputs, targets.unsqueeze(1)], 1)
    assert torch.equal(whole.sort(1).values, torch.arange(6).expand(6000, 6))
    assert (targets.bincount() / 6000 - 1 / 6).abs().max() < 0.03
    assert (inputs[:, 0].bincount() / 6000 - 1 / 6).abs().max() < 0.03


@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_binary_palindromes(length):
    task = BinaryPalindromes(length, "token")
    inputs, targets = task.sample(3000, generator())
    assert inputs.shape == (3000, 4 * length + 1)
    ordered = reversed_ = 0
    for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
        text = "".join(" 01"[token] for token in row) + str(target)
        bits = text.lstrip()
        assert " " not in bits
        assert bits == bits[::-1]
        half = bits[: len(bits) // 2]
        as_drawn, flipped = spellings(half, math.ceil(length / 2)), spellings(half[::-1], math.ceil(length / 2))
        assert as_drawn or flipped
        ordered += as_drawn and not flipped
        reversed_ += flipped and not as_drawn
    if length > 1:
        assert abs(ordered - reversed_) < 5 * math.sqrt(ordered + reversed_)
    assert abs(targets.float().mean() - task.chance) < 0.05


def spellings(bits: str, digits: int) -> bool:
    """Whether these bits are so many digits from 0 to 8, without leading zeros, joined."""
    words = [f"{digit:b}" for digit in range(9)]
    rests = {bits}
    for _ in range(digits):
        rests = {rest[len(word) :] for rest in rests for word in words if rest.startswith(word)}
    return "" in rests


@pytest.mark.parametrize("length", [2, 3, 12, 25])
def test_baum_sweet_labels(length):
    inputs, targets = BaumSweet(length, "token").sample(400, generator())
    assert inputs.shape == (400, 4 * length)
    for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
        bits = "".join(" 01"[token] for token in row).lstrip()
        assert bits[0] == "1"
        assert 10 <= int(bits, 2) < 10**length
        assert is_baum_sweet(bits) == bool(target)
    assert 0.4 < targets.float().mean() < 0.6


def test_baum_sweet_numbers_are_drawn_uniformly():
    width = 7
    bits = baum_sweet_bits(20000, width, generator())
    numbers = (bits * 2 ** torch.arange(width - 1, -1, -1)).sum(1)
    expected = [number for number in range(1, 2**width) if is_baum_sweet(f"{number:b}")]
    counts = numbers.bincount(minlength=2**width)
    assert counts.nonzero().flatten().tolist() == expected
    share = counts[expected] / len(numbers)
    error = math.sqrt(1 / len(expected) / len(numbers))
    assert (share - 1 / len(expected)).abs().max() < 5 * error


def test_baum_sweet_numbers_of_any_length():
    bits = baum_sweet_bits(64, 3000, generator())
    assert all(is_baum_sweet("".join(map(str, row)).lstrip("0")) for row in bits.tolist())
    lengths = (bits.cumsum(1) > 0).sum(1)
    assert lengths.min() > 2900  # nearly all numbers are long
    BaumSweet(500).sample(4, generator())


def test_copy_memory_repeats_the_symbols_at_the_end():
    task = CopyMemory(30, "token")
    inputs, targets = task.sample(100, generator())
    assert inputs.shape == targets.shape == (100, 50)
    assert torch.equal(inputs[:, :10], targets[:, -10:])
    assert inputs[:, :10].max() == 7
    assert (inputs[:, 10:39] == 8).all()
    assert (inputs[:, 39] == 9).all()
    assert (inputs[:, 40:] == 8).all()
    assert (targets[:, :-10] == 8).all()
    guess = torch.full((100, 50, 9), -100.0)
    guess[..., 8] = 0
    guess[:, -10:] = 0
    guess[:, -10:, 8] = -100
    torch.testing.assert_close(float(task.loss(guess, targets)), task.baseline, rtol=1e-5, atol=0)


@pytest.mark.parametrize("length", [2, 3, 50])
def test_adding_marks_one_number_in_each_half(length):
    task = Adding(length)
    inputs, targets = task.sample(4000, generator())
    markers = inputs[..., 1]
    assert torch.equal(markers[:, : length // 2].sum(1), torch.ones(4000))
    assert torch.equal(markers[:, length // 2 :].sum(1), torch.ones(4000))
    torch.testing.assert_close((inputs[..., 0] * markers).sum(1), targets)
    always_one = torch.ones(4000, 1)
    assert abs(float(task.loss(always_one, targets)) - task.baseline) < 0.02
    assert abs(float(task.accuracy(always_one, targets)) - task.chance) < 0.02
    assert (markers.sum(0) > 0).all()


@pytest.mark.parametrize(
    "task_type", [Palindromes, RandomCombinations, BinaryPalindromes, BaumSweet, CopyMemory, Adding]
)
def test_wrong_lengths_and_encodings_are_errors(task_type):
    with pytest.raises(ValueError, match="got length=0"):
        task_type(0)
    if task_type is not Adding:
        with pytest.raises(ValueError, match="got 'onehot'"):
            task_type(4, "onehot")
