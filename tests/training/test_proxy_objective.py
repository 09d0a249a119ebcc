from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from domain.errors import InputError
from training.losses.proxies import group_loss, proxy_loss, rotation_loss
from training.objectives import LENGTH
from training.proxy_objective import (
    ImageGroups,
    ProxyObjective,
    ProxySettings,
    first_proxies,
    groups_of_classes,
    groups_of_pairs,
)
from training.samplers import Batch

CPU = torch.device("cpu")


def batch(rows: list[int]) -> Batch:
    """Nothing is known between its images themselves."""
    known = np.full((len(rows), len(rows)), np.nan, np.float32)
    nobody = np.zeros((len(rows), len(rows)), dtype=bool)
    return Batch(np.array(rows), known, nobody, known, nobody.astype(np.float32), nobody)


def objective(groups: ImageGroups, *, turned: bool = False, **settings: float) -> ProxyObjective:
    rows = np.random.default_rng(0).normal(size=(len(groups.group), 4))
    return ProxyObjective(
        groups,
        first_proxies(rows, groups),
        ProxySettings(**settings),  # type: ignore[arg-type]
        generator=torch.Generator().manual_seed(0),
        device=CPU,
        turned=turned,
    )


def test_similar_pairs_join_groups_and_dissimilar_ones_tell_them_apart() -> None:
    pairs = np.array([[0, 1], [2, 1], [3, 4], [5, 6], [0, 3], [4, 7], [2, 5], [0, 2]])
    similar = np.array([1, 1, 1, 1, 0, 0, 1, 1], dtype=bool)
    found = groups_of_pairs(pairs, similar, images=9)
    assert found.group.tolist() == [0, 0, 0, 1, 1, 0, 0, -1, -1]
    assert found.differ.tolist() == [[False, True], [True, False]]


def test_small_groups_have_no_proxy() -> None:
    pairs, similar = np.array([[0, 1], [2, 3], [3, 4], [0, 2]]), np.array([1, 1, 1, 0], dtype=bool)
    found = groups_of_pairs(pairs, similar, images=5, smallest=3)
    assert found.group.tolist() == [-1, -1, 0, 0, 0]
    assert found.count == 1


def test_nothing_known_gives_no_group() -> None:
    found = groups_of_pairs(np.empty((0, 2), np.int64), np.empty(0, bool), images=3)
    assert found.group.tolist() == [-1, -1, -1]


def test_classes_are_groups_that_all_differ() -> None:
    found = groups_of_classes(np.array([7, -1, 2, 7]))
    assert found.group.tolist() == [1, -1, 0, 1]
    assert found.differ.tolist() == [[False, True], [True, False]]


def test_proxies_start_in_the_middle_of_their_groups() -> None:
    rows = np.array([[2.0, 0.0], [0.0, 5.0], [0.0, -1.0], [9.0, 9.0]])
    found = first_proxies(rows, ImageGroups(np.array([0, 0, 1, -1]), np.zeros((2, 2), bool)))
    torch.testing.assert_close(found, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, -1.0]]))


def test_the_total_is_made_of_the_parts() -> None:
    groups = groups_of_classes(np.array([0, 0, 1, 1, 2, -1]))
    wanted = objective(groups, proxy_weight=0.5, rotation_weight=2.0, class_weight=3.0)
    rows, turned = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    given = batch([0, 1, 2, 5])
    found = wanted(torch.cat([rows, turned]), given, np.random.default_rng(0))
    names = torch.tensor([0, 0, 1, -1])
    proxy = proxy_loss(rows, names, wanted.proxies).value
    classes = group_loss(wanted.layer(LENGTH * rows), names).value
    similar = torch.zeros(4, 4, dtype=torch.bool)
    similar[0, 1] = similar[1, 0] = True  # of one group
    rotation = rotation_loss(rows, turned, similar=similar).value
    torch.testing.assert_close(found.value, 0.5 * (proxy + 2 * rotation) + 3 * classes)
    assert found.valid_anchors == 3  # one image belongs to no group


def test_without_turned_images_the_rotation_has_no_part() -> None:
    groups = groups_of_classes(np.array([0, 0, 1, 1]))
    rows = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    given = batch([0, 1, 2, 3])
    rng = np.random.default_rng(0)
    weighed = [objective(groups, rotation_weight=each)(rows, given, rng) for each in (0.0, 5.0)]
    torch.testing.assert_close(weighed[0].value, weighed[1].value)


def test_groups_that_nobody_compared_do_not_push_one_another() -> None:
    differ = np.zeros((3, 3), bool)
    differ[0, 1] = differ[1, 0] = True
    wanted = objective(ImageGroups(np.array([0, 0, 1, 1, 2, 2]), differ), rotation_weight=0)
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    found = wanted(rows, batch([0, 1, 2, 3, 4, 5]), np.random.default_rng(0))
    found.value.backward()
    assert found.valid_anchors == 4
    assert rows.grad is not None
    assert not rows.grad[4:].any()
    assert rows.grad[:4].any(1).all()
    assert wanted.proxies.grad is not None
    assert wanted.proxies.grad.any(1).tolist() == [True, True, False]


ALONE = ImageGroups(np.array([0, 0, 1, 1, -1]), np.zeros((2, 2), bool))
NOBODY = ImageGroups(np.full(5, -1), np.zeros((0, 0), bool))


@pytest.mark.parametrize("groups", [ALONE, NOBODY], ids=["none that differ", "none at all"])
def test_without_groups_that_differ_only_turned_images_count(groups: ImageGroups) -> None:
    wanted = objective(groups, turned=True, proxy_weight=0.5, rotation_weight=3.0)
    rows, turned = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    found = wanted(torch.cat([rows, turned]), batch([0, 1, 2, 3, 4]), np.random.default_rng(0))
    group = torch.from_numpy(groups.group)
    similar = (group[:, None] == group) & (group >= 0)
    expected = 1.5 * rotation_loss(rows, turned, similar=similar).value
    torch.testing.assert_close(found.value, expected)
    assert found.valid_anchors == 5
    assert wanted.parameters() == []


@pytest.mark.parametrize(
    "settings",
    [{"turned": False}, {"rotation_weight": 0.0}, {"unknown_negative": False}],
    ids=["seen upright only", "no weight", "others must be known to differ"],
)
def test_it_needs_groups_that_differ_where_turned_images_cannot_teach(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match="2 groups of images, none known to be different"):
        objective(ALONE, **{"turned": True, **settings})


def test_turned_images_are_compared_with_known_different_ones_only_where_that_is_wanted() -> None:
    differ = np.zeros((3, 3), bool)
    differ[0, 1] = differ[1, 0] = True
    groups = ImageGroups(np.array([0, 1, 2, -1]), differ)
    rows, turned = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    among = torch.zeros(4, 4, dtype=torch.bool)
    among[0, 1] = among[1, 0] = True
    values = [
        objective(groups, unknown_negative=False, rotation_weight=weight)(
            torch.cat([rows, turned]), batch([0, 1, 2, 3]), np.random.default_rng(0)
        ).value
        for weight in (0.0, 1.0)
    ]
    expected = 0.5 * rotation_loss(rows, turned, among=among).value
    torch.testing.assert_close(values[1] - values[0], expected)


def test_proxies_learn_at_a_rate_of_their_own() -> None:
    """Ten times the rate moves them as if the optimiser had a group for them."""
    groups = groups_of_classes(np.arange(6) % 3)
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    moved = []
    for rate, share in ((1.0, 10.0), (10.0, 1.0)):
        wanted = objective(groups, proxy_rate=rate, rotation_weight=0)
        proxies, *others = wanted.parameters()
        groups_of = [{"params": [proxies], "lr": 0.01 * share}, {"params": others, "lr": 0.01}]
        optimiser = torch.optim.Adam(groups_of, eps=1e-12)
        for _ in range(5):
            optimiser.zero_grad()
            wanted(rows, batch(list(range(6))), np.random.default_rng(0)).value.backward()
            optimiser.step()
        moved.append(rate * proxies.detach())
    torch.testing.assert_close(*moved, rtol=1e-4, atol=1e-5)


def test_proxies_may_have_any_length() -> None:
    groups = groups_of_classes(np.arange(6) % 3)
    rows = functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    wanted = objective(groups, normalised=False, alpha=1.0, rotation_weight=0, class_weight=0)
    wanted.proxies.data *= 3
    found = wanted(rows, batch(list(range(6))), np.random.default_rng(0)).value
    names = torch.arange(6) % 3
    expected = proxy_loss(rows, names, wanted.proxies, alpha=1.0, normalised=False).value
    torch.testing.assert_close(found, 0.5 * expected)


def test_it_needs_groups_that_differ() -> None:
    with pytest.raises(InputError, match="2 groups of images, none known to be different"):
        objective(ImageGroups(np.array([0, 0, 1, 1]), np.zeros((2, 2), bool)))


def test_embeddings_and_proxies_learn_together() -> None:
    labels = np.arange(12) % 3
    wanted = objective(groups_of_classes(labels), rotation_weight=0)
    rows = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    optimiser = torch.optim.Adam([rows, *wanted.parameters()], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        wanted(rows, batch(list(range(12))), np.random.default_rng(0)).value.backward()
        optimiser.step()
    unit = functional.normalize(rows.detach(), dim=1)
    nearest = (unit @ functional.normalize(wanted.proxies.detach(), dim=1).T).argmax(1)
    assert nearest.tolist() == labels.tolist()
