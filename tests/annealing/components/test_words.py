"""What the person who answers reads above a question."""

import pytest

from annealing.components.questions import Chain
from annealing.components.words import reason
from annealing.proposals import Question

KINDS = (Question.FIRST_KINDS, Question.SAME_KIND, Question.ONE_KIND, Question.WHICH_KIND)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repeats", [False, True])
def test_every_question_has_one_sentence(kind: Question, repeats: bool) -> None:
    text = reason(Chain(((0, 1),), kind, (7,), repeats=repeats), 0)
    assert 20 < len(text) < 120
    assert text[0].isupper()
    assert text[-1] in "?."


def test_it_tells_how_many_images_a_group_has() -> None:
    chain = Chain(((0, 1), (0, 2)), Question.WHICH_KIND, (23, 4))
    assert "23 images" in reason(chain, 0)
    assert "4 images" in reason(chain, 1)


def test_a_repeated_question_says_why() -> None:
    chain = Chain(((0, 1),), Question.WHICH_KIND, (5,), repeats=True)
    assert "disagree" in reason(chain, 0)
