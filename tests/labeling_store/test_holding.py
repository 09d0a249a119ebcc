"""What somebody has before them for long, and what follows in their chains."""

from domain.answers import Kind
from domain.clock import later
from labeling_store.following import following
from labeling_store.holding import not_theirs
from tests.labeling_store.building import (
    NOW,
    answer,
    ask,
    ask_in_chains,
    ask_instead,
    chain_of,
    claim,
    pairs_of,
    single,
)

LATER = later(NOW, 61.0)  # leases of these tests last for a minute


def ids_of(claimed):
    return [each.proposal_id for each in claimed]


def test_questions_that_others_have_since_are_not_theirs(store, ann, bob):
    asked = ask(store, 3)
    held = ids_of(claim(store, ann, asked, count=3))
    claim(store, bob, asked, count=1, now=LATER)
    assert not_theirs(store.reader(), ann.member_id, held, now=LATER) == held[:1]


def test_questions_nobody_took_stay_theirs_after_the_lease(store, ann):
    held = ids_of(claim(store, ann, ask(store, 3), count=3))
    assert not_theirs(store.reader(), ann.member_id, held, now=LATER) == []


def test_what_others_answered_is_not_theirs_and_what_they_answered_is(store, ann, bob):
    held = ids_of(claim(store, ann, ask(store, 3), count=3))
    answer(store, bob, 1, 2)
    answer(store, ann, 1, 3)
    assert not_theirs(store.reader(), ann.member_id, held, now=NOW) == held[:1]


def test_withdrawn_questions_are_not_theirs(store, ann):
    asked = ask(store, 2)
    held = ids_of(claim(store, ann, asked, count=2))
    ask_instead(store, asked, single(8, 9), now=LATER)
    assert not_theirs(store.reader(), ann.member_id, held, now=LATER) == held


def test_what_follows_in_a_chain_is_told_by_its_first(store, ann):
    asked = ask_in_chains(
        store, [*chain_of(0, 10, [1, 2, 3]), *chain_of(1, 11, [1, 2]), *single(12, 13)]
    )
    claimed = claim(store, ann, asked, count=3)
    rest = following(store, asked, {*ids_of(claimed)}, most=5)
    by_pair = {tuple(each.pair): rest.get(each.proposal_id) for each in claimed}
    assert pairs_of(by_pair[(1, 10)]) == [(2, 10), (3, 10)]
    assert pairs_of(by_pair[(1, 11)]) == [(2, 11)]
    assert by_pair[(12, 13)] is None
    (cut, _) = following(store, asked, {*ids_of(claimed)}, most=1).values()
    assert pairs_of(cut) == [(2, 10)]


def test_answers_to_a_whole_chain_at_once_count_like_one_after_the_other(store, ann, bob):
    asked = ask_in_chains(store, [*chain_of(0, 10, [1, 2, 3])])
    claim(store, ann, asked, count=1)
    assert claim(store, bob, asked, count=9) == []
    answer(store, ann, 10, 1)
    answer(store, ann, 10, 2, Kind.SIMILAR)
    assert following(store, asked, range(1, 9), most=5) == {}
    assert claim(store, bob, asked, count=9) == []


def test_questions_about_an_image_are_those_outside_of_chains(store, ann):
    asked = ask_in_chains(
        store, [*single(5, 6), *chain_of(0, 10, [5]), *single(7, 8), *single(5, 9)]
    )
    assert pairs_of(claim(store, ann, asked, count=9, about=5)) == [(5, 6), (5, 9)]
