"""Stories with a question, after the bAbI tasks 15 (deduction) and 16 (induction), generated, as text and as graphs.

*Deduction*: kinds of animals are afraid of others, each named animal is of a kind; what is it afraid of? Two hops
away: name -is-> kind -is afraid of-> kind. *Induction*: of named animals kind and colour are told, of the last
only the kind; what colour is it? Three hops, the second against its direction:
name -is-> kind <-is- other -has colour-> colour.

References: Weston et al., "Towards AI-Complete Question Answering", 2015, https://arxiv.org/abs/1502.05698; as
graphs: Li et al., ICLR 2016, https://arxiv.org/abs/1511.05493, section 5.1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

TASKS = ("deduction", "induction")
RELATIONS = ("is", "is afraid of", "has colour")
_FACTS = {"is": "{} is a {}.", "is afraid of": "A {} is afraid of a {}.", "has colour": "{} is {}."}
_QUESTIONS = {"is afraid of": "What is {} afraid of?", "has colour": "What colour is {}?"}
_KINDS = ("mouse", "sheep", "wolf", "cat")
_OTHER_KINDS = ("swan", "lion", "frog", "rhino")
_COLOURS = ("white", "grey", "yellow", "green")
_NAMES = ("Gertrude", "Jessica", "Winona", "Emily", "Lily", "Bernhard", "Greg", "Brian", "Julius")


@dataclass(frozen=True)
class Story:
    """Facts as (subject, relation, object), and a question about one subject.

    Attributes:
        facts: In the order they are told.
        about: Whom the question is about.
        relation: What is asked of it.
        answer: The object.
    """

    facts: tuple[tuple[str, str, str], ...]
    about: str
    relation: str
    answer: str

    def text(self) -> str:
        """The story as one reads it."""
        told = " ".join(_FACTS[relation].format(subject, thing) for subject, relation, thing in self.facts)
        return f"{told} {_QUESTIONS[self.relation].format(self.about)} {self.answer}"


class StoryBatch(NamedTuple):
    """Stories as one graph of as many components, nodes of each in random order.

    Attributes:
        x: 1 at the node that is asked about, ``(N, 1)``.
        edge_index: From subject to object, ``(2, E)``.
        edge_type: Place in `RELATIONS`, ``(E)``.
        batch: The story of each node, ``(N)``.
        answers: The node that answers each story.
    """

    x: Tensor
    edge_index: Tensor
    edge_type: Tensor
    batch: Tensor
    answers: Tensor


def stories(task: Literal["deduction", "induction"], count: int, *, seed: int = 0) -> list[Story]:
    """Random stories of a task.

    Raises:
        ValueError: If there is no such task, or ``count`` is below 1.

    Example:
        >>> stories("induction", 1)[0].relation
        'has colour'
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}")
    source = random.Random(f"{task} {seed}")
    make = _deduction if task == "deduction" else _induction
    return [make(source) for _ in range(count)]


def as_batch(told: Sequence[Story], *, seed: int = 0) -> StoryBatch:
    """The stories as one graph; ``seed`` decides the order of each one's nodes."""
    source = random.Random(seed)
    asked: list[int] = []
    edges: list[tuple[int, int, int]] = []
    batch: list[int] = []
    answers: list[int] = []
    for number, story in enumerate(told):
        names = sorted({name for subject, _, thing in story.facts for name in (subject, thing)})
        source.shuffle(names)
        node = {name: len(batch) + place for place, name in enumerate(names)}
        edges += [(node[s], node[o], RELATIONS.index(relation)) for s, relation, o in story.facts]
        asked.append(node[story.about])
        answers.append(node[story.answer])
        batch += [number] * len(names)
    x = torch.zeros(len(batch), 1)
    x[asked] = 1.0
    listed = torch.tensor(edges, dtype=torch.long).view(-1, 3)
    return StoryBatch(x, listed[:, :2].t().contiguous(), listed[:, 2], torch.tensor(batch), torch.tensor(answers))


def _deduction(source: random.Random) -> Story:
    fears = {kind: source.choice([other for other in _KINDS if other != kind]) for kind in _KINDS}
    named = {name: source.choice(_KINDS) for name in source.sample(_NAMES, 4)}
    facts = [(kind, "is afraid of", other) for kind, other in fears.items()]
    facts += [(name, "is", kind) for name, kind in named.items()]
    source.shuffle(facts)
    about = source.choice(list(named))
    return Story(tuple(facts), about, "is afraid of", fears[named[about]])


def _induction(source: random.Random) -> Story:
    colours = {kind: source.choice(_COLOURS) for kind in _OTHER_KINDS}
    *known, about = source.sample(_NAMES, 5)
    kinds = {name: source.choice(_OTHER_KINDS) for name in known}
    kinds[about] = kinds[source.choice(known)]
    facts = [(name, "is", kind) for name, kind in kinds.items()]
    facts += [(name, "has colour", colours[kinds[name]]) for name in known]
    source.shuffle(facts)
    return Story(tuple(facts), about, "has colour", colours[kinds[about]])
