"""What a round asks, counts and knows, on bare features."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from annealing.transitivity import Closure
from domain.jobs import silent
from domain.pairs import Pair
from tests.worker.simulations import bare_archive, bare_options
from training.class_trainer import ClassHead, train_class_head
from worker.simulation_archive import SimulationArchive, split
from worker.simulation_classes import class_label_rows
from worker.simulation_options import Variant
from worker.simulation_seed import PairRounds, SimulationSeed, State

ARCHIVE = bare_archive()


def _run(
    strategy: str = "random",
    *,
    archive: SimulationArchive = ARCHIVE,
    seed: int = 0,
    **changes: object,
) -> list[State]:
    """Frozen, initial (unless none) and all rounds."""
    run = SimulationSeed(archive, bare_options(**changes), seed)
    return list(PairRounds(run, Variant(strategy)).states(silent))


def _first_hits(archive: SimulationArchive, seed: int) -> float:
    """Recall@1 of standardised features by scikit-learn; queries without a match left out."""
    parts = split(archive, seed)
    train = archive.features[parts.train]
    rows = (archive.features - train.mean(axis=0)) / train.std(axis=0)
    there, asked = archive.labels[parts.gallery], archive.labels[parts.queries]
    nearest = cosine_similarity(rows[parts.queries], rows[parts.gallery]).argmax(axis=1)
    return float((there[nearest] == asked)[np.isin(asked, there)].mean())


def test_round_minus_one_is_the_frozen_features_for_nothing() -> None:
    row = _run(rounds=0)[0].row
    assert (row.round, row.bits, row.answers, row.known_pairs) == (-1, 0, 0, 0)
    assert row.recall_at_1 == pytest.approx(_first_hits(ARCHIVE, 0))


def test_an_initial_set_costs_log2_of_the_classes_an_image() -> None:
    row = _run(rounds=0)[1].row
    assert (row.round, row.answers) == (0, 4)  # 5 % of 80 training images
    assert row.bits == pytest.approx(4 * np.log2(5))


@pytest.mark.parametrize("strategy", ["random", "mgue", "mgue_no_diversity", "bcgue"])
def test_a_round_asks_exactly_its_bits_of_new_pairs(strategy: str) -> None:
    states = _run(strategy, rounds=3)
    for before, after in pairwise(states[1:]):
        assert after.row.bits == pytest.approx(before.row.bits + 12)
        assert after.row.answers == before.row.answers + 12
        assert len(set(after.answers) - set(before.answers)) == 12
        known = {relation.pair for relation in before.known}
        assert not known & (set(after.answers) - set(before.answers))


def test_a_round_asks_fewer_where_pairs_run_out() -> None:
    archive = bare_archive(images=20, classes=2)
    states = _run(archive=archive, initial="none", bits_per_round=100, rounds=2, propagation="off")
    assert [state.row.bits for state in states] == [0, 100, 16 * 15 / 2]


def test_copies_are_never_asked() -> None:
    archive = replace(bare_archive(images=20, classes=2), copies=np.arange(20) // 2)
    states = _run(archive=archive, initial="none", bits_per_round=999, rounds=1, propagation="off")
    train = split(archive, 0).train
    copies = {p for p in states[-1].answers if train[p.a] // 2 == train[p.b] // 2}
    assert not copies


def test_without_an_initial_set_round_one_is_the_first() -> None:
    states = _run("mgue", initial="none", rounds=1)
    assert [state.row.round for state in states] == [-1, 1]
    assert states[1].row.bits == 12


def test_initial_pairs_ask_a_cold_start_in_round_zero() -> None:
    states = _run("random", initial="pairs", rounds=1)
    assert [(state.row.round, state.row.bits) for state in states] == [(-1, 0), (0, 12), (1, 24)]


def test_propagation_makes_more_known_and_closure_knows_what_answers_imply() -> None:
    last = {
        each: _run(initial="none", rounds=1, bits_per_round=60, propagation=each)[-1]
        for each in ("off", "one_step", "closure")
    }
    counts = [state.row.known_pairs for state in last.values()]
    assert counts[0] == len(last["off"].answers)
    assert counts[0] < counts[1] < counts[2]
    closure = Closure()
    for pair, similar in last["closure"].answers.items():
        closure.add(pair, similar)
    known = {relation.pair: relation.similar for relation in last["closure"].known}
    assert known == dict(closure.relations())


def test_answers_follow_folder_names() -> None:
    labels = ARCHIVE.labels[split(ARCHIVE, 0).train]
    answers = _run("mgue")[-1].answers
    assert all((labels[pair.a] == labels[pair.b]) == similar for pair, similar in answers.items())


def test_noise_flips_answers_to_questions_but_no_class_labels() -> None:
    honest, liar = (_run(initial="none", rounds=1, noise=noise)[-1].answers for noise in (0, 1))
    assert {pair: not similar for pair, similar in honest.items()} == liar
    start, start_of_liar = (_run(rounds=0, noise=noise)[-1].answers for noise in (0.0, 1.0))
    assert start == start_of_liar


def test_noise_flips_its_share_of_answers() -> None:
    options = {"initial": "none", "rounds": 1, "bits_per_round": 2000, "propagation": "off"}
    honest, noisy = (_run(noise=noise, **options)[-1].answers for noise in (0.0, 0.2))
    flipped = [similar != noisy[pair] for pair, similar in honest.items()]
    assert np.mean(flipped) == pytest.approx(0.2, abs=0.03)


def test_a_seed_repeats_and_another_draws_anew() -> None:
    first, again, other = (_run("mgue", seed=seed)[-1] for seed in (3, 3, 4))
    assert first.answers == again.answers
    assert np.array_equal(first.vectors, again.vectors)
    assert first.row.map == again.row.map
    assert first.answers != other.answers


def test_nothing_outside_of_the_training_images_decides_anything() -> None:
    """Other queries and gallery images leave questions and the head as they are."""
    parts = split(ARCHIVE, 0)
    features, labels = ARCHIVE.features.copy(), ARCHIVE.labels.copy()
    outside = np.concatenate([parts.queries, parts.gallery])
    features[outside] = np.random.default_rng(9).normal(5, 3, size=features[outside].shape)
    labels[outside] = (labels[outside] + 1) % 5
    ours, theirs = (
        _run("mgue", archive=archive)[-1]
        for archive in (ARCHIVE, replace(ARCHIVE, features=features, labels=labels))
    )
    assert ours.answers == theirs.answers
    assert np.array_equal(ours.vectors[parts.train], theirs.vectors[parts.train])


def test_retrieval_in_the_backbones_space_never_moves() -> None:
    rows = [state.row for state in _run("random", retrieval_space="backbone")]
    assert len({row.map for row in rows}) == 1
    assert rows[-1].bits > 0


def test_class_labels_of_one_class_leave_the_frozen_features() -> None:
    """Two of 32 training images start, of the same class with this seed."""
    archive = bare_archive(images=40, classes=2)
    seed = SimulationSeed(archive, bare_options(bits_per_round=10), 0)
    assert len(np.unique(seed.labels[seed.initial_set().images])) == 1
    frozen, first, *later = class_label_rows(seed, silent)
    assert first.map == frozen.map
    assert "one class" in first.note
    assert [row.answers for row in later] == [12, 22]


def _labels_after_a_round(
    monkeypatch: pytest.MonkeyPatch, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which images CAL's first round labelled, and their labels less the right ones."""
    seen = []

    def remember(
        features: np.ndarray, labels: np.ndarray, *rest: object, **options: object
    ) -> ClassHead:
        seen.append(labels.copy())
        return train_class_head(features, labels, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.simulation_classes.train_class_head", remember)
    archive = bare_archive(images=400, classes=5)
    seed = SimulationSeed(archive, bare_options(bits_per_round=400, noise=noise, rounds=1), 0)
    list(class_label_rows(seed, silent))
    images = np.flatnonzero((seen[0] < 0) & (seen[1] >= 0))
    return images, (seen[1] - seed.labels)[images] % 5


def test_noise_makes_cal_hear_any_other_class(monkeypatch: pytest.MonkeyPatch) -> None:
    images, shift = _labels_after_a_round(monkeypatch, 0.5)
    assert len(images) == 172  # 400 / log2(5)
    assert np.mean(shift > 0) == pytest.approx(0.5, abs=0.1)
    assert np.bincount(shift, minlength=5)[1:].min() > 10
    honest, none = _labels_after_a_round(monkeypatch, 0.0)
    assert np.array_equal(images, honest)
    assert not none.any()


def test_rows_say_how_many_answers_were_similar() -> None:
    states = _run("random")
    new = {p: y for p, y in states[-1].answers.items() if p not in states[-2].answers}
    assert states[-1].row.similar_share == pytest.approx(sum(new.values()) / 12)
    assert all(isinstance(pair, Pair) for pair in new)


def test_bcgue_trains_a_classifier_and_others_do_not() -> None:
    assert _run("bcgue", rounds=1)[-1].head.classifier is not None
    assert _run("mgue", rounds=1)[-1].head.classifier is None


def test_a_guarded_round_says_what_it_did() -> None:
    """With noise 1 every answer is wrong, so that the kinds are confused."""
    row = _run("mgue", rounds=2, noise=1.0, guard=True)[-1].row
    plain = _run("mgue", rounds=2, noise=1.0)[-1].row
    assert "This round asks at" in row.note
    assert "This round asks at" not in plain.note


def test_weighing_what_answers_imply_makes_more_known() -> None:
    plain, weighed = (
        _run("mgue", rounds=2, propagation="closure", implied_gain=eta)[-1].row
        for eta in (0.0, 1.0)
    )
    assert weighed.answers == plain.answers
    assert weighed.known_pairs > plain.known_pairs
