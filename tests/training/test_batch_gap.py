"""How far the loss of batches is from that of all images."""

import numpy as np
import pytest
import torch
from torch import Tensor

from domain.errors import InputError
from tests.training.test_relevance import batch
from training.losses.average_precision import ExactAP
from training.losses.batch_gap import batch_gaps
from training.losses.relevance import LossValue


def mean_of_first(embeddings: Tensor, relevance: Tensor) -> LossValue:
    """A loss that only batches with image 0 have, which is the only one of length 0."""
    has_first = bool((embeddings.norm(dim=1) == 0).any())
    return LossValue(torch.tensor(float(len(embeddings))), int(has_first))


def test_a_batch_of_all_images_has_no_gap() -> None:
    (found,) = batch_gaps(ExactAP(), *batch(), sizes=[12], draws=3, rng=np.random.default_rng(0))
    assert found.gap == pytest.approx(0)
    assert found.valid == 3


def test_the_loss_of_small_batches_is_lower() -> None:
    drawn = batch(80, known=1.0)
    found = batch_gaps(ExactAP(), *drawn, sizes=[8, 24, 80], draws=40, rng=np.random.default_rng(0))
    gaps = [each.gap for each in found]
    assert [each.rows for each in found] == [8, 24, 80]
    assert gaps[0] < gaps[1] < gaps[2] == pytest.approx(0)


def test_only_batches_with_a_valid_anchor_count() -> None:
    embeddings = torch.ones(10, 3).masked_fill(torch.arange(10)[:, None] == 0, 0)
    relevance = torch.zeros(10, 10)
    found, all_images = batch_gaps(
        mean_of_first, embeddings, relevance, sizes=[3, 10], draws=20, rng=np.random.default_rng(0)
    )
    assert 0 < found.valid < 20
    assert (found.mean, found.gap) == (3, -7)
    assert (all_images.mean, all_images.valid) == (10, 20)


def test_without_any_there_is_no_mean() -> None:
    unknown = torch.full((12, 12), torch.nan)
    (found,) = batch_gaps(
        ExactAP(), batch()[0], unknown, sizes=[4], draws=2, rng=np.random.default_rng(0)
    )
    assert (found.mean, found.gap, found.valid) == (None, None, 0)


@pytest.mark.parametrize(("size", "draws"), [(0, 1), (13, 1), (4, 0)])
def test_batches_that_cannot_be_drawn_are_refused(size: int, draws: int) -> None:
    with pytest.raises(InputError, match="must be"):
        batch_gaps(ExactAP(), *batch(), sizes=[size], draws=draws, rng=np.random.default_rng(0))
