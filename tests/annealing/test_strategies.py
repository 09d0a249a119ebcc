"""What all strategies promise, what each does, and the sentences for annotators."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from annealing.bcgue import at_share
from annealing.guard import guarded
from annealing.implications import Gain, Implications, implications
from annealing.mining import MinedPairs
from annealing.pool import pair_keys, pair_similarities, pool_size
from annealing.probability import calibrated
from annealing.proposals import NO_CLUSTER, Pool, Question
from annealing.ranking import uncertain_questions
from annealing.reasons import explain
from annealing.strategies import STRATEGIES, propose
from annealing.uncertainty import mgue_threshold
from domain.answers import Propagation
from domain.config import SelectionSettings
from domain.errors import Cancelled, InputError
from domain.pairs import pair
from tests.annealing.oracles import ORACLES, all_pairs_by_uncertainty, tuples
from tests.annealing.test_pair_classifier import random_classifier

NO_PAIRS = np.zeros((0, 2), dtype=int)
NO_LABELS = np.zeros(0, dtype=bool)
LITERAL = SelectionSettings(clip="none", guard_threshold=False)
CLIPPED = SelectionSettings(guard_threshold=False)


def archive(rows=40, kinds=4, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, kinds, rows)
    return rng.normal(size=(kinds, 8))[kind] + 0.5 * rng.normal(size=(rows, 8)), kind


def known_of(kind, count, seed=0):
    upper = np.stack(np.triu_indices(len(kind), 1), axis=1)
    pairs = upper[np.random.default_rng(seed).choice(len(upper), count, replace=False)]
    return pairs, kind[pairs[:, 0]] == kind[pairs[:, 1]]


def classifier_of(width, seed=0):
    """A pair classifier that reads embeddings of this length; it has learnt nothing."""
    found = random_classifier(np.random.default_rng(seed), width)
    # neither dead nor saturated, so that no two pairs are equally unsure
    return replace(found, first_bias=np.full(7, 9.0), second=np.abs(found.second) / 50)


def pool_of(embeddings, pairs, similar):
    return Pool(
        embeddings,
        pairs,
        similar,
        np.zeros(0, np.int64),
        SelectionSettings(),
        "cpu",
        rows=np.arange(len(embeddings)),
        implications=implications({}, Propagation.OFF),
    )


def ask(strategy, embeddings, known, count, seed=0, **options):
    if strategy.startswith("bcgue"):
        options = {"classifier": classifier_of(embeddings.shape[1]), **options}
    return propose(strategy, embeddings, *known, count, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(2, 13),
    known=st.integers(0, 60),
    count=st.integers(0, 90),
    copies=st.booleans(),
)
def test_a_batch_is_full_different_open_and_reproducible(
    strategy, seed, rows, known, count, copies
):
    embeddings, kind = archive(rows, seed=seed)
    embeddings = np.repeat(embeddings[:1], rows, axis=0) if copies else embeddings
    pairs = known_of(kind, min(known, pool_size(rows)), seed)
    other = known_of(kind, min(5, pool_size(rows)), seed + 1)[0]
    closed = set(tuples(pairs[0])) | set(tuples(other))
    options = {"seed": seed, "excluded": pair_keys(other, rows)}
    batch = ask(strategy, embeddings, pairs, count, **options)
    asked = tuples(batch.pairs)
    assert len(asked) == len(set(asked)) == min(count, pool_size(rows) - len(closed))
    assert not set(asked) & closed
    assert all(0 <= a < b < rows for a, b in asked)
    assert asked == tuples(ask(strategy, embeddings, pairs, count, **options).pairs)
    lengths = map(len, (batch.score, batch.similarity, batch.cluster, batch.kinds, explain(batch)))
    assert set(lengths) == {len(asked)}
    assert np.all(np.diff(np.round(batch.score, 9)) <= 0)  # higher first
    assert np.all(batch.score <= 0)
    assert np.all(np.isfinite(batch.similarity))


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"random"}))
@pytest.mark.parametrize("known", [0, 60], ids=["cold start", "known pairs"])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_progress_rises_to_one_at_most_and_can_end_the_work(strategy, known, eta):
    embeddings, kind = archive()
    chosen, told = SelectionSettings(implied_gain=eta), []

    def remember(done, message):
        told.append(done)

    def stop(done, message):
        raise Cancelled("Enough.")

    answers = known_of(kind, known)
    ask(strategy, embeddings, answers, 5, settings=chosen, progress=remember)
    assert told
    assert told == sorted(told)
    assert 0 < told[0] <= told[-1] <= 1
    with pytest.raises(Cancelled):
        ask(strategy, embeddings, answers, 5, settings=chosen, progress=stop)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_of_what_is_known_does_not_matter(strategy):
    embeddings, kind = archive()
    pairs, similar = known_of(kind, 60)
    order = np.random.default_rng(1).permutation(60)
    first = ask(strategy, embeddings, (pairs, similar), 12)
    second = ask(strategy, embeddings, (pairs[order][:, ::-1], similar[order]), 12)
    assert tuples(first.pairs) == tuples(second.pairs)


@pytest.mark.parametrize("strategy", ["mgue", "mgue_no_diversity", "bcgue", "bcgue_no_diversity"])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(3, 13),
    known=st.integers(1, 60),
    count=st.integers(0, 90),
)
def test_the_order_of_the_images_does_not_matter(strategy, seed, rows, known, count):
    """Not so for random pairs, which are drawn by number, and for a cold start's sample."""
    embeddings, kind = archive(rows, seed=seed)
    pairs, similar = known_of(kind, min(known, pool_size(rows)), seed)
    order = np.random.default_rng(seed).permutation(rows)
    doubting = classifier_of(8)
    doubting = replace(doubting, last=doubting.last / 20)  # so sure of no two pairs that they tie
    options = {"classifier": doubting}
    first = ask(strategy, embeddings, (pairs, similar), count, **options)
    second = ask(strategy, embeddings[order], (np.argsort(order)[pairs], similar), count, **options)
    assert tuples(np.sort(order[second.pairs], axis=1)) == tuples(first.pairs)


@pytest.mark.parametrize("strategy", ["mgue", "bcgue"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), copies=st.integers(2, 12), count=st.integers(2, 8))
def test_copies_of_one_image_do_not_fill_the_round(strategy, seed, copies, count):
    """Pairs of one place with copies of another are asked once while other places are left."""
    places, kind = archive(12, seed=seed)
    image = np.append(np.arange(12), np.zeros(copies, int))
    pairs, similar = known_of(kind, 20, seed)
    batch = ask(strategy, places[image], (pairs, similar), count)
    asked = tuples(np.sort(image[batch.pairs], axis=1))
    candidates = ask(f"{strategy}_no_diversity", places[image], (pairs, similar), 4 * count)
    found = set(tuples(np.sort(image[candidates.pairs], axis=1)))
    assert len(set(asked)) == min(count, len(found))


@pytest.mark.parametrize("name", ["mgue", "mgue_out_of_range"])
def test_without_diversity_mgue_agrees_with_a_worked_example(name):
    inputs, expected = ORACLES[name]["inputs"], ORACLES[name]["expected"]
    labels = np.array(inputs["labels"])
    known = labels[:, :2], labels[:, 2] == 1
    for settings_, top in ((LITERAL, "top_p"), (CLIPPED, "top_p_clipped")):
        batch = ask(
            "mgue_no_diversity", np.array(inputs["embeddings"]), known, 12, settings=settings_
        )
        assert tuples(batch.pairs) == tuples(expected[top])
    assert batch.threshold.alpha == pytest.approx(expected["alpha_clipped_to_means"], abs=1e-9)


def test_mgue_picks_from_the_four_times_as_many_most_uncertain_pairs():
    embeddings, kind = archive()
    known = known_of(kind, 60)
    batch = ask("mgue", embeddings, known, 12)
    ranked = all_pairs_by_uncertainty(embeddings, batch.threshold.alpha, tuples(known[0]))
    assert set(tuples(batch.pairs)) <= set(ranked[:48])
    assert tuples(batch.pairs)[0] == ranked[0]
    assert set(tuples(batch.pairs)) != set(ranked[:12])  # diversity did something
    assert len(np.unique(batch.cluster)) == 12
    assert -batch.score == pytest.approx(np.abs(batch.similarity - batch.threshold.alpha))


def test_mgue_without_any_known_pair_starts_cold():
    embeddings, _ = archive()
    batch = ask("mgue", embeddings, (NO_PAIRS, NO_LABELS), 20)
    assert set(batch.kinds) == {Question.NEIGHBOURS, Question.BORDER}
    assert "No pair is known yet" in batch.notes[0]


@pytest.mark.parametrize(
    ("similar", "words"), [(True, "No dissimilar pair"), (False, "No similar pair")]
)
def test_known_pairs_of_one_kind_are_enough_to_ask_and_are_noted(similar, words):
    embeddings, kind = archive()
    pairs, _ = known_of(kind, 5)
    batch = ask("mgue", embeddings, (pairs, np.full(5, similar)), 10)
    assert len(batch.pairs) == 10
    assert words in batch.notes[0]


def test_too_few_pairs_are_noted():
    embeddings, kind = archive(4)
    batch = ask("mgue", embeddings, known_of(kind, 4), 10)
    assert len(batch.pairs) == 2
    assert "Only 2 of the 10 questions" in batch.notes[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_images_without_an_embedding_are_left_out_and_noted(strategy):
    embeddings, kind = archive()
    known = known_of(kind, 60)
    embeddings[[3, 17]] = np.nan
    batch = ask(strategy, embeddings, known, 999)
    usable = ~np.isin(known[0], [3, 17]).any(axis=1)
    assert not np.isin(batch.pairs, [3, 17]).any()
    assert len(batch.pairs) == pool_size(38) - usable.sum()
    assert not set(tuples(batch.pairs)) & set(tuples(known[0]))
    assert "2 images" in batch.notes[0]


def test_random_pairs_have_no_cluster_and_a_threshold_once_pairs_are_known():
    embeddings, kind = archive()
    assert ask("random", embeddings, (NO_PAIRS, NO_LABELS), 5).threshold is None
    batch = ask("random", embeddings, known_of(kind, 60), 5)
    assert batch.threshold is not None
    assert set(batch.cluster.tolist()) == {NO_CLUSTER}


@pytest.mark.parametrize(
    ("strategy", "embeddings", "known", "count", "words"),
    [
        pytest.param("best", np.eye(3), (NO_PAIRS, NO_LABELS), 1, "mgue", id="unknown name"),
        pytest.param("mgue", np.eye(3), (NO_PAIRS, NO_LABELS), -1, "0 or more", id="negative"),
        pytest.param("mgue", np.ones(3), (NO_PAIRS, NO_LABELS), 1, "dimensions", id="shape"),
        pytest.param("mgue", np.eye(3), ([[0, 1]], NO_LABELS), 1, "do not fit", id="labels"),
        pytest.param("mgue", np.eye(3), ([[0, 3]], [True]), 1, "no pair of rows", id="row"),
    ],
)
def test_what_cannot_be_proposed_from_is_refused(strategy, embeddings, known, count, words):
    with pytest.raises(InputError, match=words):
        ask(strategy, embeddings, known, count)


def test_sentences_give_neither_numbers_nor_the_expected_answer():
    embeddings, kind = archive()
    batch = ask("mgue", embeddings, known_of(kind, 60), 12)
    for sentence in explain(batch):
        assert "the model's threshold: the model " in sentence
        assert not any(letter.isdigit() for letter in sentence)
        assert "similar" not in sentence.lower()
        assert sentence.endswith(".")


def test_sentences_say_so_when_no_pair_is_near_the_threshold():
    batch = ask("mgue_no_diversity", _OVERFITTED, (_KNOWN, _SIMILAR), 3, settings=LITERAL)
    for sentence in explain(batch):
        assert "all pairs of this round are on one side" in sentence
        assert "below" not in sentence


def test_sentences_of_first_and_random_questions():
    embeddings, _ = archive()
    cold = explain(ask("mgue", embeddings, (NO_PAIRS, NO_LABELS), 4))
    assert "Close neighbours" in cold[0]
    assert "About as alike" in cold[1]
    assert "Random pair" in explain(ask("random", embeddings, (NO_PAIRS, NO_LABELS), 1))[0]


def line(*degrees):
    """Unit vectors at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_bcgue_without_a_classifier_asks_as_mgue_and_says_so():
    embeddings, kind = archive()
    known = known_of(kind, 60)
    batch = ask("bcgue", embeddings, known, 12, classifier=None)
    assert tuples(batch.pairs) == tuples(ask("mgue", embeddings, known, 12).pairs)
    assert "no classifier of pairs" in batch.notes[-1]


def test_bcgue_asks_what_its_classifier_is_least_sure_of():
    embeddings, kind = archive()
    for settings_, classifier in (
        (LITERAL, classifier_of(8)),
        (SelectionSettings(similar_share=0.2), at_share(classifier_of(8), 0.2)),
    ):
        batch = ask("bcgue_no_diversity", embeddings, known_of(kind, 60), 12, settings=settings_)
        assert -batch.score == pytest.approx(classifier.uncertainties(embeddings, batch.pairs))
    assert set(batch.kinds) == {Question.CLASSIFIER}
    assert "classifier of pairs is unsure" in explain(batch)[0]


# Dissimilar pairs at 8° and at 180° spread so widely that the formula's threshold is far above 1.
_OVERFITTED = line(0, 1, 8, 180, 200, 215)
_KNOWN, _SIMILAR = np.array([[0, 1], [0, 2], [0, 3]]), np.array([True, False, False])


def test_a_threshold_above_every_open_pair_is_moved_between_the_means_and_noted():
    settings_ = SelectionSettings(clip="none")
    batch = ask("mgue_no_diversity", _OVERFITTED, (_KNOWN, _SIMILAR), 3, settings=settings_)
    literal = ask("mgue_no_diversity", _OVERFITTED, (_KNOWN, _SIMILAR), 3, settings=LITERAL)
    assert literal.threshold.alpha > 1
    means = literal.threshold.mean_similar, literal.threshold.mean_dissimilar
    assert batch.threshold.alpha == pytest.approx(sum(means) / 2)
    assert "Every open pair is below the model's threshold" in batch.notes[-1]
    assert "This round asks at" in batch.notes[-1]
    assert "The nearest pairs are asked" in literal.notes[-1]


def test_a_threshold_with_pairs_on_both_sides_is_left_alone_however_few_are_asked():
    embeddings, kind = archive()
    batch = ask("mgue_no_diversity", embeddings, known_of(kind, 60), 2)
    assert batch.notes == ()


@pytest.mark.parametrize(("share", "moves"), [(1.0, -1), (0.9, -1), (0.5, 0), (0.1, 1), (0.0, 1)])
def test_a_one_sided_round_moves_the_threshold_to_the_other_kind_and_is_noted(share, moves):
    embeddings, kind = archive()
    known = known_of(kind, 60)
    answers = np.arange(50) < 50 * share
    plain = ask("mgue", embeddings, known, 12).threshold.alpha
    batch = ask("mgue", embeddings, known, 12, last_answers=answers)
    assert np.sign(batch.threshold.alpha - plain) == moves
    assert bool(batch.notes) == (moves != 0)
    few = ask("mgue", embeddings, known, 12, last_answers=answers[:5])
    assert few.threshold.alpha == plain
    literal = ask("mgue", embeddings, known, 12, last_answers=answers, settings=CLIPPED)
    assert literal.threshold.alpha == plain


@pytest.mark.parametrize(("share", "alpha"), [(1.0, 0.1), (0.0, 0.9)])
def test_a_threshold_beyond_the_other_kind_is_not_moved_back_by_a_one_sided_round(share, alpha):
    threshold = mgue_threshold(np.array([0.7, 0.8]), np.array([0.2, 0.3]), lam=3, clip="none")
    beyond = replace(threshold, alpha=alpha)
    embeddings, kind = archive()
    pool = pool_of(embeddings, *known_of(kind, 9))
    pool = replace(pool, last_answers=np.arange(50) < 50 * share)
    assert guarded(pool, beyond) == (beyond, "")
    between = replace(threshold, alpha=0.5)
    moved, note = guarded(pool, between)
    assert (moved.alpha < 0.5) == (share == 1.0)
    assert note


def test_a_model_that_confuses_the_kinds_asks_where_few_pairs_are_more_alike():
    embeddings = np.random.default_rng(0).normal(size=(40, 8))
    pairs, _ = known_of(np.zeros(40, int), 60)
    cosines = np.sum(embeddings[pairs[:, 0]] * embeddings[pairs[:, 1]], axis=1)
    batch = ask("mgue", embeddings, (pairs, cosines < 0), 12)
    lengths = np.linalg.norm(embeddings, axis=1)
    every = (embeddings @ embeddings.T / np.outer(lengths, lengths))[np.triu_indices(40, 1)]
    assert (every > batch.threshold.alpha).mean() == pytest.approx(0.05, abs=0.02)
    assert "does not tell them apart" in " ".join(batch.notes)
    assert "expected 5%" in " ".join(batch.notes)


def closure_of(pairs, similar):
    labels = {pair(int(a), int(b)): bool(y) for (a, b), y in zip(pairs, similar, strict=True)}
    return implications(labels, Propagation.CLOSURE)


def test_proposals_say_what_an_answer_would_settle():
    embeddings, kind = archive()
    pairs, similar = known_of(kind, 60)
    batch = ask("mgue", embeddings, (pairs, similar), 12, settles=closure_of(pairs, similar))
    best = max(range(12), key=lambda place: batch.gains[place].if_similar)
    assert batch.gains[best].if_similar > batch.gains[best].if_dissimilar
    assert f"“Similar” settles {batch.gains[best].if_similar} pairs" in explain(batch)[best]


def test_weighing_what_answers_imply_settles_more_and_asks_nothing_twice():
    embeddings, kind = archive(rows=80)
    pairs, similar = known_of(kind, 200)
    settles = closure_of(pairs, similar)
    asked = {}
    for eta in (0.0, 0.25, 1.0):
        chosen = SelectionSettings(implied_gain=eta)
        asked[eta] = ask("mgue", embeddings, (pairs, similar), 12, settles=settles, settings=chosen)
    plain = ask("mgue", embeddings, (pairs, similar), 12, settles=settles)
    assert tuples(asked[0.0].pairs) == tuples(plain.pairs)
    total = {
        eta: sum(each.if_similar + each.if_dissimilar for each in batch.gains)
        for eta, batch in asked.items()
    }
    assert total[1.0] > total[0.0]
    for eta in (0.25, 1.0):
        groups = [tuple(sorted((settles.group(a), settles.group(b)))) for a, b in asked[eta].pairs]
        assert len(set(groups)) == 12


class Told(Implications):
    """Says of pairs of an even number and the next what is given, in turn."""

    def __init__(self, gains):
        self._gains = gains

    def gain(self, first, second):
        return self._gains[first // 2]

    def group(self, number):
        return number


@pytest.mark.parametrize("kind", ["labels", "entropy"])
def test_what_answers_imply_counts_in_labels_or_in_bits(kind):
    """With η = 1 the order is that of the expected labels, times the answer's entropy."""
    embeddings, kinds = archive()
    pool = replace(
        pool_of(embeddings, *known_of(kinds, 60)),
        settings=SelectionSettings(implied_gain=1.0, gain=kind),
    )
    pairs = np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    likely = np.array([0.5, 0.02, 0.98, 1.0])
    gains = (Gain(9, 1), Gain(90, 70), Gain(120, 10), Gain(500, 1))
    found = uncertain_questions(
        replace(pool, implications=Told(gains)),
        4,
        lambda *_: MinedPairs(pairs, np.zeros(4), np.zeros(4)),
        lambda _: likely,
        rng=np.random.default_rng(0),
        diverse=False,
        threshold=None,
    )
    bits = [1.0, 0.141440542, 0.141440542, 0.0]
    worth = [
        (p * gain.if_similar + (1 - p) * gain.if_dissimilar) * (each if kind == "entropy" else 1)
        for gain, p, each in zip(gains, likely, bits, strict=True)
    ]
    expected = np.log1p(worth) / np.log1p(max(worth)) - 1
    order = np.argsort(-expected)
    assert found.pairs[:, 0].tolist() == pairs[order, 0].tolist()
    np.testing.assert_allclose(found.score, expected[order], atol=1e-8)


def test_images_left_out_do_not_shift_what_answers_imply():
    embeddings, kind = archive()
    pairs, similar = known_of(kind, 60)
    embeddings[0] = np.nan
    settles = closure_of(pairs, similar)
    batch = ask("mgue", embeddings, (pairs, similar), 12, settles=settles)
    assert batch.gains == tuple(settles.gain(a, b) for a, b in batch.pairs)


def test_a_probability_is_that_of_a_logistic_regression_around_the_threshold():
    rng = np.random.default_rng(3)
    embeddings, kind = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)  # the kinds overlap
    embeddings[kind == 1] += 0.7
    pairs, similar = known_of(kind, 400)
    pool = pool_of(embeddings, pairs, similar)
    asked = np.linspace(-1, 1, 9)
    reference = LogisticRegression(C=1e9, fit_intercept=False, class_weight="balanced")
    reference.fit(pair_similarities(embeddings, pairs)[:, None] - 0.2, similar)
    expected = reference.predict_proba(asked[:, None] - 0.2)[:, 1]
    assert calibrated(pool, 0.2, asked) == pytest.approx(expected, abs=1e-3)
    one_kind = replace(pool, known_similar=np.ones(400, dtype=bool))
    assert calibrated(one_kind, 0.2, np.array([0.2, 0.3])) == pytest.approx([0.5, 0.731], abs=1e-3)
