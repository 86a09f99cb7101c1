"""Generated stories: every question can be answered from its facts, and the graph says the same as the text."""

import pytest
import torch

from gnnkit.data.babi import RELATIONS, as_batch, stories


@pytest.mark.parametrize("task", ["deduction", "induction"])
def test_facts_lead_to_the_answer(task):
    for story in stories(task, 50, seed=3):
        kinds = {subject: thing for subject, relation, thing in story.facts if relation == "is"}
        told = {(subject, relation): thing for subject, relation, thing in story.facts}
        kind = kinds[story.about]
        if task == "deduction":
            assert told[kind, "is afraid of"] == story.answer
        else:
            assert (story.about, "has colour") not in told
            colours = {told[name, "has colour"] for name in kinds if kinds[name] == kind and name != story.about}
            assert colours == {story.answer}
        assert story.text().endswith(f"{story.about}? {story.answer}") or f"{story.about} afraid of?" in story.text()


def test_the_graph_holds_the_facts():
    told = stories("induction", 3)
    batch = as_batch(told, seed=1)
    assert batch.x.sum() == 3
    assert batch.batch[batch.answers].tolist() == [0, 1, 2]
    assert batch.batch[batch.x[:, 0] == 1].tolist() == [0, 1, 2]
    assert torch.equal(batch.batch[batch.edge_index[0]], batch.batch[batch.edge_index[1]])
    kinds = sorted(RELATIONS.index(relation) for story in told for _, relation, _ in story.facts)
    assert sorted(batch.edge_type.tolist()) == kinds
    # Along "is", back along "is", along "has colour": the answer.
    source, target = batch.edge_index
    colours = {int(s): int(t) for s, t, r in zip(source, target, batch.edge_type, strict=True) if r == 2}
    kind_of = {int(s): int(t) for s, t, r in zip(source, target, batch.edge_type, strict=True) if r == 0}
    for about, answer in zip(torch.nonzero(batch.x[:, 0]).view(-1).tolist(), batch.answers.tolist(), strict=True):
        alike = [node for node, kind in kind_of.items() if kind == kind_of[about] and node in colours]
        assert {colours[node] for node in alike} == {answer}


def test_seeds_decide():
    assert stories("deduction", 5, seed=1) == stories("deduction", 5, seed=1)
    assert stories("deduction", 5, seed=1) != stories("deduction", 5, seed=2)


def test_errors():
    with pytest.raises(ValueError, match="got 'counting'"):
        stories("counting", 5)
    with pytest.raises(ValueError, match="got 0"):
        stories("deduction", 0)
