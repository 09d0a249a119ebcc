"""The triplet loss against loops over the triplets."""

from itertools import product

import pytest
import torch
from torch import Tensor

from tests.training.test_relevance import batch
from training.losses.triplet import Triplet


def violations(embeddings: Tensor, relevance: Tensor, margin: float) -> list[list[float]]:
    """What each anchor's triplets cost, without those that cost nothing."""
    unit = torch.nn.functional.normalize(embeddings)
    found = []
    for anchor in range(len(unit)):
        costs = [
            float((unit[anchor] - unit[alike]).norm() - (unit[anchor] - unit[other]).norm())
            for alike, other in product(range(len(unit)), repeat=2)
            if relevance[anchor, alike] == 1 and relevance[anchor, other] == 0
        ]
        found.append([cost + margin for cost in costs if cost + margin > 0])
    return found


def test_all_triplets_with_a_loss_are_averaged() -> None:
    embeddings, relevance = batch()
    expected = [cost for costs in violations(embeddings, relevance, 0.3) for cost in costs]
    found = Triplet(margin=0.3)(embeddings, relevance)
    assert found.value.item() == pytest.approx(sum(expected) / len(expected), abs=1e-9)


def test_the_hardest_of_each_anchor_are_averaged() -> None:
    embeddings, relevance = batch()
    expected = [max(costs) for costs in violations(embeddings, relevance, 0.3) if costs]
    found = Triplet(margin=0.3, mining="hardest")(embeddings, relevance)
    assert found.value.item() == pytest.approx(sum(expected) / len(expected), abs=1e-9)


@pytest.mark.parametrize("mining", ["all", "hardest"])
def test_nothing_is_lost_where_all_similar_images_are_nearer(mining: str) -> None:
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.01], [-1.0, 0.0]], requires_grad=True)
    relevance = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0.0]])
    found = Triplet(mining="hardest" if mining == "hardest" else "all")(embeddings, relevance)
    found.value.backward()
    assert (found.value.item(), found.valid_anchors) == (0, 2)
    assert embeddings.grad is not None
    assert not embeddings.grad.any()
