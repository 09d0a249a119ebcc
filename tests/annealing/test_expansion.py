"""The withholding rule against a reference that takes each dispute's answers away in turn."""

from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annealing.expansion import count_known, known_relations, known_up_to
from annealing.forest import Forest
from annealing.transitivity import Closure
from domain.answers import Propagation
from domain.pairs import Pair, pair
from tests.annealing.closure_reference import fixed_point

PAIRS = [Pair(a, b) for a, b in combinations(range(7), 2)]


def disputes_of(labels):
    closure = Closure()
    for answered, similar in labels.items():
        closure.add(answered, similar)
    return closure.contradictions


def expected_closure(labels, within):
    found = disputes_of(labels)
    late = {each.pair for each in found}
    taken = {q: y for q, y in labels.items() if q not in late and q.a in within and q.b in within}
    implied = {q: y for q, y in fixed_point(taken).items() if q not in taken}
    for each in found:
        rest = fixed_point({q: y for q, y in taken.items() if q not in each.evidence})
        implied = {q: y for q, y in implied.items() if q in rest}
    disputed = {q for each in found for q in each.evidence}
    weights = {q: 0.5 if q in disputed else 1.0 for q in taken}
    return taken, implied, weights


labelled = st.lists(st.tuples(st.sampled_from(PAIRS), st.booleans()), max_size=18).map(dict)
somewhere = st.sets(st.integers(0, 6), min_size=3) | st.just(set(range(7)))


@settings(max_examples=400, deadline=None)
@given(labels=labelled, within=somewhere)
@example(
    labels={Pair(0, 1): True, Pair(1, 2): True, Pair(0, 3): True, Pair(2, 3): False},
    within=set(range(7)),
)
def test_closure_withholds_what_is_only_provable_through_a_dispute(labels, within):
    relations = known_relations(labels, Propagation.CLOSURE, within=within)
    taken, implied, weights = expected_closure(labels, within)
    direct = [each for each in relations if not each.implied]
    assert {each.pair: each.similar for each in direct} == taken
    assert {each.pair: each.weight for each in direct} == weights
    assert {each.pair: each.similar for each in relations if each.implied} == implied
    assert len(relations) == len(taken) + len(implied)
    assert count_known(labels, Propagation.CLOSURE, within=within) == len(relations)


ROUND_A_DISPUTE = {
    Pair(0, 1): True,
    Pair(1, 2): True,
    Pair(0, 2): False,
    Pair(0, 3): True,
    Pair(1, 3): True,
    Pair(1, 4): True,
}


@settings(max_examples=200, deadline=None)
@given(labels=labelled)
@example(labels=ROUND_A_DISPUTE)
def test_proofs_of_the_closure_prove_and_avoid_a_single_dispute(labels):
    found = disputes_of(labels)
    for each in known_relations(labels, Propagation.CLOSURE):
        if each.implied:
            assert fixed_point({q: labels[q] for q in each.proof})[each.pair] == each.similar
            assert len(set(each.proof)) == len(each.proof)
            if len(found) == 1:
                assert not set(each.proof) & set(found[0].evidence)
        else:
            assert each.proof == ()


@settings(max_examples=200, deadline=None)
@given(labels=labelled)
def test_one_step_withholds_implied_labels_and_keeps_answers_at_half_weight(labels):
    relations = known_relations(labels, Propagation.ONE_STEP)
    disputes = [{*each.evidence, each.pair} for each in disputes_of(labels)]
    ways = {}
    for (left, y_left), (right, y_right) in combinations(labels.items(), 2):
        ends = set(left) ^ set(right)
        if len(ends) == 2 and (y_left or y_right):
            ways.setdefault(pair(*ends), []).append((y_left and y_right, {left, right}))
    implied = {
        q: found[0][0]
        for q, found in ways.items()
        if q not in labels
        and len({y for y, _ in found}) == 1
        and all(any(not dispute & way for _, way in found) for dispute in disputes)
    }
    direct = {each.pair: (each.similar, each.weight) for each in relations if not each.implied}
    disputed = set().union(*disputes)
    assert direct == {q: (y, 0.5 if q in disputed else 1.0) for q, y in labels.items()}
    assert {each.pair: each.similar for each in relations if each.implied} == implied
    assert all(
        set(each.proof) in [way for _, way in ways[each.pair]] for each in relations if each.implied
    )
    assert count_known(labels, Propagation.ONE_STEP) == len(relations)


def test_off_gives_the_answers_alone():
    labels = {Pair(0, 1): True, Pair(1, 2): True}
    relations = known_relations(labels, Propagation.OFF)
    assert [(each.pair, each.implied) for each in relations] == [(q, False) for q in labels]
    assert count_known(labels, Propagation.OFF) == 2


@pytest.mark.parametrize("propagation", list(Propagation))
def test_nothing_is_known_before_the_first_answer(propagation):
    assert known_relations({}, propagation) == []


def test_without_proofs_the_relations_are_the_same():
    labels = {Pair(0, 1): True, Pair(1, 2): True, Pair(2, 3): False}
    with_proofs = known_relations(labels, Propagation.CLOSURE)
    without = known_relations(labels, Propagation.CLOSURE, proofs=False)
    assert [(e.pair, e.similar) for e in without] == [(e.pair, e.similar) for e in with_proofs]
    assert all(each.proof == () for each in without)


def test_an_answer_outside_the_part_proves_nothing_inside():
    labels = {Pair(0, 5): True, Pair(1, 5): True}
    inside = known_relations(labels, Propagation.CLOSURE, within={0, 1})
    assert inside == []


def test_forest_paths_join_the_two_ends():
    forest = Forest([Pair(0, 1), Pair(1, 2), Pair(2, 3), Pair(0, 3), Pair(7, 8)])
    assert forest.path(0, 3) == (Pair(0, 1), Pair(1, 2), Pair(2, 3))
    assert forest.path(8, 7) == (Pair(7, 8),)
    assert forest.path(4, 4) == ()


def implied_by(answers, most):
    """What walks of so many answers or fewer say, of which at most one is dissimilar."""
    said = {}
    for start in range(7):
        places = {(start, True)}
        for _ in range(most):
            places |= {
                (({*each} - {here}).pop(), alike and similar)
                for here, alike in places
                for each, similar in answers.items()
                if here in each and (alike or similar)
            }
        said.update({pair(start, n): alike for n, alike in places if n != start})
    return said


@settings(max_examples=200, deadline=None)
@given(labels=labelled, within=somewhere, most=st.integers(1, 6))
@example(labels=ROUND_A_DISPUTE, within=set(range(7)), most=2)
def test_a_longest_proof_leaves_what_fewer_answers_out_of_dispute_imply(labels, within, most):
    options = {"within": within, "longest_proof": most}
    found = known_relations(labels, Propagation.CLOSURE, **options)
    taken, _, weights = expected_closure(labels, within)
    sure = {q: y for q, y in taken.items() if weights[q] == 1}
    implied = {q: y for q, y in implied_by(sure, most).items() if q not in taken}
    assert {q.pair: q.weight for q in found if not q.implied} == weights
    assert {q.pair: q.similar for q in found if q.implied} == implied
    assert len(found) == len(taken) + len(implied)
    for each in found:
        assert {*each.proof} <= sure.keys()
        if each.implied:
            assert len(each.proof) <= most
            assert fixed_point({q: sure[q] for q in each.proof})[each.pair] == each.similar
    assert count_known(labels, Propagation.CLOSURE, **options) == len(found)


@settings(max_examples=100, deadline=None)
@given(labels=labelled)
def test_with_a_longest_proof_nothing_more_is_known(labels):
    everything = {each.pair for each in known_relations(labels, Propagation.CLOSURE)}
    capped = known_relations(labels, Propagation.CLOSURE, longest_proof=7)
    assert {each.pair for each in capped} <= everything


def test_steps_through_answers_in_dispute_do_not_count():
    disputed = {Pair(0, 1): True, Pair(1, 2): True, Pair(0, 2): False}
    round_it = {Pair(0, 3): True, Pair(3, 4): True, Pair(4, 1): True}
    labels = {**disputed, **{pair(*q): y for q, y in round_it.items()}, Pair(1, 5): True}
    # 0 and 5: two answers prove it, one of them in dispute; four that are not
    for most, known in ((2, False), (3, False), (4, True)):
        found = known_relations(labels, Propagation.CLOSURE, longest_proof=most)
        assert (Pair(0, 5) in {each.pair for each in found}) is known


def test_proofs_of_two_are_what_one_step_gives():
    labels = {Pair(0, 1): True, Pair(1, 2): True, Pair(2, 3): True, Pair(3, 4): False}
    short = known_relations(labels, Propagation.CLOSURE, longest_proof=2)
    one = known_relations(labels, Propagation.ONE_STEP)
    assert sorted(short, key=lambda r: r.pair) == sorted(one, key=lambda r: r.pair)
    assert len(known_relations(labels, Propagation.CLOSURE)) == 10


def test_one_step_is_taken_where_the_closure_is_too_large() -> None:
    chain = {pair(each, each + 1): True for each in range(4)}  # 10 pairs follow, one step gives 7
    for most, spread in ((10, Propagation.CLOSURE), (9, Propagation.ONE_STEP)):
        assert known_up_to(chain, most=most) == known_relations(chain, spread, proofs=False)
    assert [len(known_up_to(chain, most=most)) for most in (10, 9)] == [10, 7]
