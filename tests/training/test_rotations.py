import pytest
import torch
from torch import Tensor

from training.rotations import rotation_invariance, turned_at_random


def images(count: int = 12) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def colours(batch: Tensor) -> Tensor:
    """What turning does not change."""
    return batch.sort(dim=3).values.mean((2, 3)) - 0.5


def places(batch: Tensor) -> Tensor:
    """What turning changes."""
    return (batch - 0.5).flatten(1)


def test_a_network_that_does_not_mind_has_all_scores_at_one() -> None:
    found = rotation_invariance(colours, images())
    assert found.degrees == (90, 180, 270)
    for scores in (found.cosine, found.lowest_cosine, found.found, found.overlap):
        assert scores == pytest.approx((1, 1, 1))


def test_a_network_that_minds_is_seen() -> None:
    found = rotation_invariance(places, images())
    turned = torch.rot90(images(), 2, (2, 3)) - 0.5
    upright = images() - 0.5
    cosines = torch.nn.functional.cosine_similarity(upright.flatten(1), turned.flatten(1))
    assert found.cosine[1] == pytest.approx(cosines.mean().item(), abs=1e-6)
    assert found.lowest_cosine[1] == pytest.approx(cosines.min().item(), abs=1e-6)
    assert max(found.found) < 0.6
    assert max(found.overlap) < 0.9


def test_half_a_turn_can_be_harmless_where_a_quarter_is_not() -> None:
    """Row means, upside down or not: half a turn changes nothing, a quarter does."""

    def rows(batch: Tensor) -> Tensor:
        means = batch.mean((1, 3))
        return means + means.flip(1) - 1

    found = rotation_invariance(rows, images())
    assert found.cosine[1] == pytest.approx(1)
    assert found.cosine[0] < 0.9
    assert found.cosine[2] < 0.9


def test_an_image_is_not_among_its_nearest_others() -> None:
    """Of two images, each of which is the other upside down, the nearest other is the other."""
    one = images(1)
    both = torch.cat([one, torch.rot90(one, 2, (2, 3))])
    found = rotation_invariance(places, both, k=1)
    assert found.found[1] == 0
    assert found.overlap == (1, 1, 1)


def test_every_image_is_turned_by_a_right_angle_and_never_left() -> None:
    given = images(60)
    turned = turned_at_random(given, torch.Generator().manual_seed(1))
    turns = [
        [turn for turn in range(4) if torch.equal(torch.rot90(image, turn, (1, 2)), new)]
        for image, new in zip(given, turned, strict=True)
    ]
    assert {tuple(each) for each in turns} == {(1,), (2,), (3,)}
    again = turned_at_random(given, torch.Generator().manual_seed(1))
    assert torch.equal(turned, again)
