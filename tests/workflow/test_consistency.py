"""How often answers contradict each other, and when "similar" is no longer taken as transitive."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from annealing.reliability import reckoned_error
from domain.answers import Kind, NewAnswer, Propagation
from domain.clock import utc_now
from domain.config import Strategy
from domain.images import Part
from domain.members import Role
from domain.pairs import Pair, pair
from domain.rounds import Proposal
from labeling_store import images, members, queue
from labeling_store import rounds as round_store
from tests.ui import stage
from workflow import consistency as module
from workflow import labels
from workflow.consistency import (
    Consistency,
    Share,
    asked_again,
    consistency,
    error_to_reckon_with,
    errors_in_words,
    in_words,
    steps_back,
    unreliable,
)
from workflow.project import Project, local_owner
from workflow.questions import next_questions, submit_answers

NONE = Share(0, 0)
Say = Callable[..., None]


@pytest.fixture
def say(project: Project) -> Say:
    """Answers pairs in a round of their own, True for similar."""
    number = 1

    def ask_and_answer(**said: bool) -> None:
        nonlocal number
        number += 1
        ids = [each.image_id for each in stage.training_images(project)]
        kinds = {pair(ids[int(name[1])], ids[int(name[2])]): like for name, like in said.items()}
        stage.next_round(project, number, list(kinds), model="none")
        given = {
            Pair(each.image_a, each.image_b): each
            for each in next_questions(project, local_owner(project), count=20)
        }
        for asked, like in kinds.items():
            submit_answers(
                project,
                local_owner(project),
                [
                    NewAnswer(
                        key=str(uuid.uuid4()),
                        kind=Kind.SIMILAR if like else Kind.DISSIMILAR,
                        pair=asked,
                        answered_at=utc_now(),
                        proposal_id=given[asked].proposal_id,
                    )
                ],
            )

    return ask_and_answer


def row(project: Project, number: int) -> int:
    return stage.training_images(project)[number].image_id


@pytest.mark.parametrize(("of", "count"), [(20, 0), (41, 3), (100, 50), (7, 7)])
def test_intervals_are_wilson_s(of: int, count: int) -> None:
    expected = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert Share(of, count).low == pytest.approx(expected.low, abs=1e-4)
    assert Share(of, count).high == pytest.approx(expected.high, abs=1e-4)


def test_nothing_counted_says_nothing() -> None:
    assert (NONE.rate, NONE.low, NONE.high) == (0.0, 0.0, 1.0)


def test_only_answers_that_earlier_ones_implied_are_checked(project: Project, say: Say) -> None:
    say(p01=True, p12=True, p34=False)
    assert consistency(project).contradicted == NONE
    say(p02=True)
    assert consistency(project).contradicted == Share(1, 0)
    say(p13=True, p23=False)
    assert consistency(project).contradicted == Share(2, 1)


def test_the_answer_behind_most_contradictions_is_asked_again_once(
    project: Project, say: Say
) -> None:
    say(p01=True, p23=True, p24=True, p12=True)  # 1 and 2 were called alike by mistake
    say(p03=False, p04=False)
    say()  # a further round
    wrong = pair(row(project, 1), row(project, 2))
    assert asked_again(project, 1) == [wrong]
    assert asked_again(project, 0) == []
    say(p12=True)
    assert consistency(project).changed == Share(1, 0)
    assert wrong not in asked_again(project, 5)


@pytest.mark.parametrize("kind", [Kind.UNSURE, Kind.SKIP])
def test_a_pair_that_somebody_else_could_not_judge_either_is_not_asked_a_third_time(
    project: Project, say: Say, kind: Kind
) -> None:
    say(p01=True, p23=True, p24=True, p12=True)
    say(p03=False, p04=False)
    say()
    (doubted,) = asked_again(project, 1)
    with project.store.transaction() as db:
        colleague = members.ensure_member(db, "eve", Role.ANNOTATOR)
    number = [each.round_id for each in round_store.list_rounds(project.store.reader())][-1]
    answer = NewAnswer(str(uuid.uuid4()), kind, doubted, round_id=number, answered_at=utc_now())
    submit_answers(project, colleague, [answer])
    say()
    assert doubted not in asked_again(project, 5)
    assert consistency(project).changed == NONE  # nothing was said a second time


def test_no_pair_is_asked_again_in_the_round_after_its_answer(project: Project, say: Say) -> None:
    say(p01=True, p12=True)
    say(p02=False)
    now = pair(row(project, 0), row(project, 2))
    assert now not in asked_again(project, 5)
    assert asked_again(project, 5)


def test_only_pairs_of_training_images_are_asked_again(project: Project, say: Say) -> None:
    records = images.list_images(project.store.reader())
    outside = next(each.image_id for each in records if each.part is not Part.TRAIN)
    a, b = row(project, 0), row(project, 1)
    for other, kind in ((a, Kind.SIMILAR), (b, Kind.DISSIMILAR)):
        stage.answer_pair(project, outside, other, kind)
    assert stage.answer_pair(project, a, b, Kind.SIMILAR).conflict
    assert asked_again(project, 5) == []


def test_an_answer_that_changes_mends_its_contradictions(project: Project, say: Say) -> None:
    say(p01=True, p23=True, p24=True, p12=True)
    say(p03=False, p04=False)
    say(p12=False)
    found = consistency(project)
    assert found.changed == Share(1, 1)
    assert found.contradicted.count == 0
    assert asked_again(project, 5) == []


def test_an_answer_taken_back_and_given_again_is_no_repeat(project: Project, say: Say) -> None:
    say(p01=True)
    (mine,) = labels.recent_answers(project, local_owner(project), 1)
    labels.take_back(project, local_owner(project), mine.key)
    say(p01=False)
    assert consistency(project).changed == NONE


GRADED = Consistency(Share(46, 20), Share(21, 0))


@pytest.mark.parametrize(
    ("found", "does"),
    [
        (GRADED, True),
        (Consistency(Share(54, 18), Share(32, 3)), True),  # graded, and 3 % slips
        (Consistency(Share(42, 20), Share(20, 11)), False),  # 10 % of the answers are wrong
        (Consistency(Share(29, 20), Share(21, 0)), False),  # too few answers were checked
        (Consistency(Share(46, 8), Share(21, 0)), False),  # groups with few exceptions
        (Consistency(Share(46, 20), Share(11, 0)), False),  # too few were asked again
        (Consistency(NONE, NONE), False),
    ],
    ids=["graded", "graded with slips", "wrong answers", "few", "nearly groups", "untested", "new"],
)
def test_it_steps_back_where_many_contradictions_stay(found: Consistency, does: bool) -> None:
    assert (steps_back(found) is not None) is does


def test_the_note_says_what_happens_and_what_to_do() -> None:
    note = steps_back(GRADED) or ""
    assert "(43%)" in note.replace(" %", "%")
    assert "MGUE" in note
    assert 'propagation = "one_step"' in note


def test_once_it_is_clear_nothing_is_asked_again(
    project: Project, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(p01=True, p12=True, p02=False)
    say()
    assert asked_again(project, 5)
    monkeypatch.setattr(module, "consistency", lambda project: GRADED)
    assert asked_again(project, 5) == []


def test_contradictions_are_told_in_words_once_they_mean_something() -> None:
    assert in_words(Consistency(Share(19, 3), NONE)) is None
    said = in_words(Consistency(Share(41, 3), NONE)) or ""
    assert said == ("In 3 of 41 cases (7 %) an answer contradicted what earlier answers implied.")
    again = in_words(Consistency(Share(41, 3), Share(2, 1))) or ""
    assert again.endswith("2 such pairs were asked again; 1 of the answers changed.")


def with_error(repeated: int, changed: int) -> Consistency:
    return Consistency(Share(100, 12), NONE, Share(repeated, changed))


@pytest.mark.parametrize(("again", "changed"), [(Kind.SIMILAR, 0), (Kind.DISSIMILAR, 1)])
def test_learning_reckons_with_the_errors_that_hidden_repeats_show(
    project: Project, again: Kind, changed: int
) -> None:
    assert error_to_reckon_with(project) == pytest.approx(0.05)
    owner = local_owner(project)
    first, second, *_ = (each.image_id for each in stage.training_images(project))
    asked = pair(first, second)
    submit_answers(project, owner, [NewAnswer("first answer", Kind.SIMILAR, asked)])
    with project.store.transaction() as db:
        opened = round_store.create_round(db, number=9, strategy="mgue", model=None)
        hidden = Proposal(asked, 0.0, "", asked_of=owner.member_id)
        queue.add_proposals(db, opened.round_id, [hidden])
        (number,) = db.execute("SELECT max(proposal_id) FROM proposal").fetchone()
    repeated = NewAnswer("second answer", again, asked, proposal_id=number)
    submit_answers(project, owner, [repeated])
    expected = reckoned_error(0.05, repeated=1, changed=changed)
    assert error_to_reckon_with(project) == expected
    assert (expected > 0.05) == bool(changed)


def test_the_error_shows_from_enough_hidden_repeats_on() -> None:
    assert with_error(49, 3).error is None
    error = with_error(50, 5).error
    assert error is not None
    assert error.rate == pytest.approx(0.0528, abs=1e-4)  # 2 e (1 - e) = 0.1
    assert error.low < error.rate < error.high
    assert Consistency(Share(19, 5), NONE).error_bound is None
    bound = with_error(0, 0).error_bound
    assert bound is not None
    assert bound.rate == pytest.approx(1 - 0.88 ** (1 / 3))


def test_errors_are_told_with_counts_and_intervals() -> None:
    assert errors_in_words(Consistency(NONE, NONE)) is None
    few = errors_in_words(Consistency(NONE, NONE, Share(8, 1))) or ""
    assert few == (
        "1 of 8 hidden repeats got another answer; from 50 on they tell how often answers are "
        "wrong."
    )
    enough = errors_in_words(with_error(50, 5)) or ""
    assert enough.startswith("About 5.3 % of the answers are wrong (2.2 % to 12.")
    assert "5 of 50 pairs got another answer" in enough
    assert "12 of 100 answers that could contradict) point to 4.2 % wrong at most" in enough


@pytest.mark.parametrize(
    ("changed", "strategy", "says", "leaves_out"),
    [
        (2, "mgue", "only where 10 answers or fewer prove them", "one_step"),
        (5, "mgue", 'Consider propagation = "one_step"', "groups"),
        (5, "components", "Questions about groups", "one_step"),
    ],
)
def test_a_lead_is_told_how_far_answers_are_spread(
    project: Project, changed: int, strategy: str, says: str, leaves_out: str
) -> None:
    selection = project.config.selection.model_copy(update={"strategy": Strategy(strategy)})
    config = project.config.model_copy(update={"selection": selection})
    note = unreliable(replace(project, config=config), with_error(50, changed)) or ""
    assert says in note
    assert leaves_out not in note


def test_nothing_is_said_where_answers_are_reliable_or_not_spread(project: Project) -> None:
    assert unreliable(project, with_error(50, 0)) is None
    assert unreliable(project, with_error(49, 20)) is None
    config = project.config.model_copy(update={"propagation": Propagation.ONE_STEP})
    assert unreliable(replace(project, config=config), with_error(50, 20)) is None
