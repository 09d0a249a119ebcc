"""What all strategies promise, what each does, and the sentences for annotators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annealing.pool import pair_keys, pool_size
from annealing.proposals import NO_CLUSTER, Question
from annealing.reasons import explain
from annealing.strategies import STRATEGIES, propose
from domain.config import SelectionSettings
from domain.errors import InputError
from tests.annealing.oracles import ORACLES, all_pairs_by_uncertainty, tuples

NO_PAIRS = np.zeros((0, 2), dtype=int)
NO_LABELS = np.zeros(0, dtype=bool)
UNCLIPPED = SelectionSettings(clip="none")


def archive(rows=40, kinds=4, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, kinds, rows)
    return rng.normal(size=(kinds, 8))[kind] + 0.5 * rng.normal(size=(rows, 8)), kind


def known_of(kind, count, seed=0):
    upper = np.stack(np.triu_indices(len(kind), 1), axis=1)
    pairs = upper[np.random.default_rng(seed).choice(len(upper), count, replace=False)]
    return pairs, kind[pairs[:, 0]] == kind[pairs[:, 1]]


def ask(strategy, embeddings, known, count, seed=0, **options):
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


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_of_what_is_known_does_not_matter(strategy):
    embeddings, kind = archive()
    pairs, similar = known_of(kind, 60)
    order = np.random.default_rng(1).permutation(60)
    first = ask(strategy, embeddings, (pairs, similar), 12)
    second = ask(strategy, embeddings, (pairs[order][:, ::-1], similar[order]), 12)
    assert tuples(first.pairs) == tuples(second.pairs)


@pytest.mark.parametrize("strategy", ["mgue", "mgue_no_diversity"])
def test_the_order_of_the_images_does_not_matter(strategy):
    embeddings, kind = archive()
    pairs, similar = known_of(kind, 60)
    order = np.random.default_rng(1).permutation(40)
    place = np.argsort(order)
    first = ask(strategy, embeddings, (pairs, similar), 12)
    second = ask(strategy, embeddings[order], (place[pairs], similar), 12)
    back = {tuple(sorted(order[list(pair)].tolist())) for pair in second.pairs}
    assert back == set(tuples(first.pairs))


@pytest.mark.parametrize("name", ["mgue", "mgue_out_of_range"])
def test_without_diversity_mgue_agrees_with_a_worked_example(name):
    inputs, expected = ORACLES[name]["inputs"], ORACLES[name]["expected"]
    labels = np.array(inputs["labels"])
    known = labels[:, :2], labels[:, 2] == 1
    for settings_, top in ((UNCLIPPED, "top_p"), (SelectionSettings(), "top_p_clipped")):
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


def test_sentences_give_the_numbers_and_not_the_expected_answer():
    embeddings, kind = archive()
    batch = ask("mgue", embeddings, known_of(kind, 60), 12)
    for sentence, similarity in zip(explain(batch), batch.similarity, strict=True):
        assert sentence.startswith(f"Similarity {similarity:.2f}, ")
        assert f"threshold {batch.threshold.alpha:.2f}" in sentence
        assert "similar " not in sentence.lower()
        assert sentence.endswith(".")


def test_sentences_of_first_and_random_questions():
    embeddings, _ = archive()
    cold = explain(ask("mgue", embeddings, (NO_PAIRS, NO_LABELS), 4))
    assert "Close neighbours" in cold[0]
    assert "About as alike" in cold[1]
    assert "Random pair" in explain(ask("random", embeddings, (NO_PAIRS, NO_LABELS), 1))[0]
