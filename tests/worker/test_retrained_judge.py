"""A retrained backbone takes the place of another only if held-out answers speak for it."""

import numpy as np
import pytest
import torch

from domain.config import TrainingSettings
from tests.training.clusters import clusters
from training.trainer import KnownPairs, checked_pairs
from worker.retrained_judge import RetrainedJudge

ARCHIVE = clusters(images=120)
SETTINGS = TrainingSettings(hidden=16, out=8, components=0, fewest_steps=20, most_steps=20)
NOISE = np.random.default_rng(0).normal(size=ARCHIVE.features.shape).astype(np.float32)


def _known(count: int = 1500) -> KnownPairs:
    rows, similar = ARCHIVE.pairs(count)
    return checked_pairs(rows, similar, np.ones(count), images=120)


def _judge(known: KnownPairs) -> RetrainedJudge:
    return RetrainedJudge(known, SETTINGS, seed=0, device=torch.device("cpu"))


def test_features_that_tell_more_pairs_apart_take_over() -> None:
    judge = _judge(_known())
    assert judge.worse(NOISE, ARCHIVE.features) == ""
    assert "held-out pairs apart with an AUC of" in judge.words


@pytest.mark.parametrize("new", [NOISE, ARCHIVE.features], ids=["worse", "equal"])
def test_features_that_do_not_are_refused(new: np.ndarray) -> None:
    assert "is not used: it tells" in _judge(_known()).worse(ARCHIVE.features, new)


def test_without_answers_to_judge_by_nothing_takes_over() -> None:
    assert "Too few answers" in _judge(_known(8)).worse(NOISE, ARCHIVE.features)


def test_a_retrained_backbone_in_use_is_compared_on_pairs_that_it_has_not_seen() -> None:
    judge, few = _judge(_known()), [0, 1]
    assert judge.worse_than_before(NOISE, ARCHIVE.features, few) == ""
    assert "neither has seen" in judge.worse_than_before(ARCHIVE.features, NOISE, few)
    everything = list(range(120))
    assert judge.worse_than_before(ARCHIVE.features, NOISE, everything) == ""
