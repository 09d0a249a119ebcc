"""The closed-form head: what it is fitted to, how it is kept, what it does for retrieval."""

import copy
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from annealing.components.evidence import Answers
from domain.errors import InputError
from retrieval.metrics import evaluate_retrieval
from training.checkpoints import load_head, save_head
from training.group_head import FEWEST_ANSWERS, GroupHead, group_head, looks_of
from training.head import frozen_head

CPU = torch.device("cpu")
KINDS, EACH, WIDTH = 6, 20, 40


@pytest.fixture(scope="module")
def kinds() -> np.ndarray:
    return np.repeat(np.arange(KINDS), EACH)


@pytest.fixture(scope="module")
def features(kinds: np.ndarray) -> np.ndarray:
    """Kinds that overlap; two directions of the features say nothing but vary most."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(KINDS, WIDTH))
    noise = rng.normal(size=(len(kinds), WIDTH)) * 1.3
    noise[:, :2] *= 6
    return (centre[kinds] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def answers(kinds: np.ndarray) -> Answers:
    """A few images of each kind, compared with one another."""
    rows = np.concatenate([np.flatnonzero(kinds == kind)[:4] for kind in range(KINDS)])
    pairs = np.array(list(combinations(rows.tolist(), 2)))
    return Answers(pairs, kinds[pairs[:, 0]] == kinds[pairs[:, 1]])


@pytest.fixture(scope="module")
def groups(features: np.ndarray, answers: Answers) -> GroupHead:
    module = group_head(features, answers, error=0.05, device=CPU).module
    assert isinstance(module, GroupHead)
    return module


def test_it_retrieves_better_than_the_frozen_features(
    features: np.ndarray, kinds: np.ndarray, answers: Answers
) -> None:
    def quality(embedding: np.ndarray) -> float:
        # Images 4… of each kind were in no answer
        queries, gallery = (np.flatnonzero(np.arange(len(kinds)) % EACH // 4 == p) for p in (1, 2))
        found = evaluate_retrieval(
            embedding[queries], embedding[gallery], kinds[queries], kinds[gallery]
        )
        return found.map_at_5_min or 0.0

    head = group_head(features, answers, error=0.05, device=CPU)
    assert quality(head.embed(features)) > quality(frozen_head(features).embed(features)) + 0.05


def test_the_scores_are_a_kernel_ridge_regression(
    features: np.ndarray, answers: Answers, groups: GroupHead
) -> None:
    labels = group_head(features, answers, error=0.05, device=CPU).labels
    assert labels is not None
    with torch.inference_mode():
        unit = groups.standardise(torch.from_numpy(features)).numpy().astype(np.float64)
    kernel = np.exp(unit @ unit.T - 1)
    model = KernelRidge(alpha=0.03, kernel="precomputed")
    model.fit(kernel, labels.probability, sample_weight=np.maximum(labels.weight, 1e-3))
    scores = kernel @ groups.weights.numpy()
    np.testing.assert_allclose(scores, model.predict(kernel), atol=2e-4)


def test_a_checkpoint_embeds_the_same(
    features: np.ndarray, answers: Answers, tmp_path: Path
) -> None:
    head = group_head(features, answers, error=0.05, device=CPU)
    save_head(head, tmp_path / "head.safetensors")
    kept = load_head(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(kept.embed(features), head.embed(features))


def test_the_space_it_was_learnt_in_can_be_read_from_its_embeddings(
    features: np.ndarray, answers: Answers
) -> None:
    looks = looks_of(features)
    head = group_head(features, answers, error=0.05, device=CPU, find_looks=lambda _: looks)
    assert head.module.keeps_frozen
    read = head.module.space(head.embed(features))
    np.testing.assert_allclose(read.unit, looks.space.unit, atol=1e-5)
    np.testing.assert_allclose(
        read.graph.links.toarray(), looks.space.graph.links.toarray(), atol=1e-4
    )
    frozen = frozen_head(features)
    kernel = frozen.module.space(frozen.embed(features)).unit
    np.testing.assert_allclose(kernel @ kernel.T, read.unit @ read.unit.T, atol=1e-5)


def test_the_order_of_the_images_does_not_matter(features: np.ndarray, answers: Answers) -> None:
    order = np.random.default_rng(1).permutation(len(features))
    place = np.argsort(order)
    moved = replace(answers, pairs=place[answers.pairs])
    there = group_head(features[order], moved, error=0.05, device=CPU).embed(features)
    here = group_head(features, answers, error=0.05, device=CPU).embed(features)
    np.testing.assert_allclose(there @ there.T, here @ here.T, atol=1e-3)


def test_few_answers_leave_the_frozen_features(features: np.ndarray, answers: Answers) -> None:
    few = Answers(answers.pairs[: FEWEST_ANSWERS - 1], answers.similar[: FEWEST_ANSWERS - 1])
    head = group_head(features, few, error=0.05, device=CPU)
    assert head.is_frozen
    assert f"learning starts at {FEWEST_ANSWERS}" in head.note


def test_frozen_features_are_seen_as_groups_are_looked_for(
    features: np.ndarray, answers: Answers, kinds: np.ndarray
) -> None:
    """What is left without groups finds fewer others than the features as they are."""
    few = Answers(answers.pairs[:9], answers.similar[:9])
    head = group_head(features, few, error=0.05, device=CPU)
    vectors = head.embed(features)
    looks = looks_of(features)
    np.testing.assert_allclose(vectors, looks.space.unit, atol=1e-6)
    np.testing.assert_allclose(head.module.space(vectors).unit, vectors, atol=1e-6)

    def others(embedding: np.ndarray) -> float:
        cosine = embedding @ embedding.T - 3 * np.eye(len(kinds))
        return float((kinds[np.argsort(-cosine, axis=1)[:, :5]] != kinds[:, None]).mean())

    assert others(vectors) < 0.7 * others(frozen_head(features).embed(features))


def test_one_group_leaves_the_frozen_features(features: np.ndarray) -> None:
    pairs = np.stack([np.zeros(70, np.int64), np.arange(1, 71)], axis=1)
    head = group_head(features, Answers(pairs, np.ones(70, bool)), error=0.0, device=CPU)
    assert head.is_frozen
    assert "one group" in head.note


def test_features_that_are_no_numbers_are_refused(features: np.ndarray, answers: Answers) -> None:
    broken = features.copy()
    broken[3, 0] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        group_head(broken, answers, error=0.05, device=CPU)


def test_it_can_be_trained_further_where_it_is_quite_sure(
    groups: GroupHead, features: np.ndarray
) -> None:
    """A probability that rounds to 0 has a gradient all the same, not one that is no number."""
    sure = copy.deepcopy(groups)
    weights = (sure.weights * 1000).requires_grad_()
    sure.weights = weights
    sure(torch.from_numpy(features[:20])).square().sum().backward()
    assert weights.grad is not None
    assert torch.isfinite(weights.grad).all()
