"""What a lead sees of a conflict, and what becomes of it by their word."""

import pytest

from domain.answers import Kind, NewAnswer, ReceiptStatus
from domain.errors import AccessError, InputError
from domain.members import Member, Role
from domain.pairs import Pair, pair
from labeling_store import members, relations
from tests.ui import stage
from workflow import conflicts, labels
from workflow.conflicts import Dispute, Ruling
from workflow.project import Project, local_owner
from workflow.questions import submit_answers


@pytest.fixture
def ids(project: Project) -> list[int]:
    return sorted(each.image_id for each in stage.training_images(project))


def say(project: Project, name: str, first: int, second: int, *, similar: bool) -> None:
    with project.store.transaction() as db:
        member = members.ensure_member(db, name, Role.ANNOTATOR)
    kind = Kind.SIMILAR if similar else Kind.DISSIMILAR
    new = NewAnswer(
        f"{name} {first} {second} {similar}", kind, pair(first, second), reason="Close."
    )
    submit_answers(project, member, [new])


@pytest.fixture
def dispute(project: Project, ids: list[int]) -> Dispute:
    """Four images in a row are called similar, and the ends are not."""
    for first, second in ((3, 2), (1, 2), (1, 0)):
        say(project, "ann", ids[first], ids[second], similar=True)
    say(project, "bob", ids[1], ids[2], similar=True)
    say(project, "bob", ids[0], ids[3], similar=False)
    return only(project)


def only(project: Project) -> Dispute:
    (conflict,) = conflicts.list_open(project, limit=9)
    found = conflicts.look_into(project, conflict.conflict_id)
    assert found is not None
    return found


def known(project: Project, first: int, second: int) -> bool | None:
    return relations.relation(project.store, first, second)


def owner(project: Project) -> Member:
    return local_owner(project)


def test_the_path_leads_from_one_image_to_the_other(dispute: Dispute, ids: list[int]) -> None:
    assert not dispute.is_tie
    assert [(each.first, each.second) for each in dispute.path] == [
        (ids[0], ids[1]),
        (ids[1], ids[2]),
        (ids[2], ids[3]),
    ]
    assert (dispute.own.first, dispute.own.second, dispute.own.similar) == (ids[0], ids[3], False)
    assert [each.similar for each in dispute.path] == [True, True, True]
    assert [each.member for each in dispute.path[1].events] == ["ann", "bob"]
    assert dispute.path[0].events[0].reason == "Close."


def test_without_a_model_the_weakest_is_the_newest_that_fewest_agree_on(
    dispute: Dispute, ids: list[int]
) -> None:
    assert dispute.weakest == pair(ids[0], ids[1])
    assert dispute.own.similarity is None


def test_of_those_that_as_many_agree_on_the_least_clear_is_weakest(
    project: Project, dispute: Dispute, ids: list[int]
) -> None:
    stage.add_model(project, 0, metrics={"threshold": 0.0})
    one_vote = [each for each in only(project).path if len(each.events) == 1]
    assert len({each.similarity for each in one_vote} - {None}) == 2
    for wanted in [each.pair for each in one_vote]:
        at = next(each.similarity for each in one_vote if each.pair == wanted)
        with project.store.transaction() as db:
            db.execute("UPDATE metric SET value = ? WHERE name = 'threshold'", [at])
        assert only(project).weakest == wanted


def test_a_lead_s_word_is_kept_before_what_many_agree_on(project: Project, ids: list[int]) -> None:
    say(project, "ann", ids[0], ids[1], similar=False)
    say(project, "ann", ids[0], ids[1], similar=True)
    say(project, "bob", ids[0], ids[1], similar=False)
    conflicts.settle(project, owner(project), only(project), Ruling.SIMILAR, key="k")
    for name in ("ann", "bob"):
        say(project, name, ids[1], ids[2], similar=True)
    say(project, "ann", ids[0], ids[2], similar=False)
    found = only(project)
    assert {each.pair for each in found.path} == {pair(ids[0], ids[1]), pair(ids[1], ids[2])}
    assert found.weakest == pair(ids[1], ids[2])


def test_earlier_answers_are_right(project: Project, dispute: Dispute, ids: list[int]) -> None:
    conflicts.settle(project, owner(project), dispute, Ruling.EARLIER, key="k")
    assert conflicts.count_open(project) == 0
    assert known(project, ids[0], ids[3]) is True


def test_this_answer_is_right(project: Project, dispute: Dispute, ids: list[int]) -> None:
    conflicts.settle(project, owner(project), dispute, Ruling.THIS, key="k")
    assert conflicts.count_open(project) == 0
    assert known(project, ids[0], ids[3]) is False
    assert known(project, ids[1], ids[3]) is True
    (made,) = conflicts.list_settled(project, limit=9)
    weakest = dispute.weakest
    assert {each.pair: each.similar for each in made.words} == {
        dispute.own.pair: False,
        weakest: None,
    }
    assert made.reason == "This answer is right; the weakest earlier one is set aside."


def test_one_earlier_answer_is_wrong_and_the_rest_stays(
    project: Project, dispute: Dispute, ids: list[int]
) -> None:
    wrong = pair(ids[1], ids[2])
    conflicts.settle(project, owner(project), dispute, Ruling.LINK, key="k", link=wrong)
    assert conflicts.count_open(project) == 0
    assert known(project, *wrong) is False
    (made,) = conflicts.list_settled(project, limit=9)
    assert [(each.pair, each.similar) for each in made.words] == [(wrong, False)]
    assert known(project, ids[0], ids[1]) is True
    assert known(project, ids[0], ids[3]) is False


def test_undo_brings_the_conflict_back(project: Project, dispute: Dispute, ids: list[int]) -> None:
    conflicts.settle(project, owner(project), dispute, Ruling.THIS, key="k")
    (made,) = conflicts.list_settled(project, limit=9)
    conflicts.take_back(project, owner(project), made)
    found = only(project)
    assert (found.own.pair, found.path) == (dispute.own.pair, dispute.path)
    assert conflicts.count_settled(project) == 0


@pytest.mark.parametrize("word", [0, 1])
def test_a_word_taken_back_by_itself_takes_its_settlement_back(
    project: Project, dispute: Dispute, word: int
) -> None:
    """Half of a settlement would be something that no lead ever said."""
    conflicts.settle(project, owner(project), dispute, Ruling.THIS, key="k")
    (made,) = conflicts.list_settled(project, limit=9)
    with project.store.transaction() as db:
        ann = members.ensure_member(db, "ann", Role.ANNOTATOR)
    with pytest.raises(AccessError):
        labels.take_back(project, ann, made.words[word].key)
    assert labels.take_back(project, owner(project), made.words[word].key).message == ""
    assert conflicts.count_settled(project) == 0
    assert only(project).conflict.pair == dispute.conflict.pair
    again = labels.take_back(project, owner(project), made.words[1 - word].key)
    assert again.status is ReceiptStatus.REPEATED


def test_members_who_disagree_are_a_tie(project: Project, ids: list[int]) -> None:
    say(project, "ann", ids[0], ids[1], similar=True)
    say(project, "bob", ids[0], ids[1], similar=False)
    found = only(project)
    assert found.is_tie
    assert (found.own.similar, found.weakest) == (None, None)
    conflicts.settle(project, owner(project), found, Ruling.SIMILAR, key="k")
    assert conflicts.count_open(project) == 0
    assert known(project, ids[0], ids[1]) is True


@pytest.mark.parametrize("ruling", [Ruling.SIMILAR, Ruling.DISSIMILAR])
def test_what_settles_ties_settles_nothing_else(
    project: Project, dispute: Dispute, ruling: Ruling
) -> None:
    with pytest.raises(InputError, match="does not settle"):
        conflicts.settle(project, owner(project), dispute, ruling, key="k")


@pytest.mark.parametrize("link", [None, Pair(90, 91)])
def test_only_a_pair_of_the_path_can_be_called_wrong(
    project: Project, dispute: Dispute, link: Pair | None
) -> None:
    with pytest.raises(InputError, match="does not settle"):
        conflicts.settle(project, owner(project), dispute, Ruling.LINK, key="k", link=link)


def test_ties_are_not_settled_by_a_path(project: Project, ids: list[int]) -> None:
    say(project, "ann", ids[0], ids[1], similar=True)
    say(project, "bob", ids[0], ids[1], similar=False)
    for ruling in (Ruling.EARLIER, Ruling.THIS, Ruling.LINK):
        with pytest.raises(InputError, match="does not settle"):
            conflicts.settle(project, owner(project), only(project), ruling, key="k")


def test_annotators_do_not_settle(project: Project, dispute: Dispute) -> None:
    with project.store.transaction() as db:
        ann = members.ensure_member(db, "ann", Role.ANNOTATOR)
    with pytest.raises(AccessError):
        conflicts.settle(project, ann, dispute, Ruling.EARLIER, key="k")
    assert conflicts.count_open(project) == 1


def test_conflicts_come_in_pages_oldest_first(project: Project, ids: list[int]) -> None:
    for other in ids[1:4]:
        say(project, "ann", ids[0], other, similar=True)
        say(project, "bob", ids[0], other, similar=False)
    assert conflicts.count_open(project) == 3
    (second,) = conflicts.list_open(project, limit=1, offset=1)
    assert second.pair == pair(ids[0], ids[2])


def test_a_settled_conflict_is_not_looked_into(project: Project, dispute: Dispute) -> None:
    conflicts.settle(project, owner(project), dispute, Ruling.EARLIER, key="k")
    assert conflicts.look_into(project, dispute.conflict.conflict_id) is None
