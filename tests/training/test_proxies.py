"""Proxy and rotation losses against the oracle's figures, slow loops and their corner cases."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.losses.proxies import (
    ProxyDistance,
    group_loss,
    pedc_total,
    proxy_loss,
    rotation_loss,
)
from training.losses.relevance import relevance_of_classes

_ORACLE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)["pedc"]
_INPUTS, _EXPECTED = _ORACLE["inputs"], _ORACLE["expected"]
NAN = float("nan")


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


ROWS, PROXIES, TURNED = (tensor(_INPUTS[name]) for name in ("E", "proxies", "E_rot"))
GROUPS = torch.tensor(_INPUTS["y"])


def one_by_one(values: list[float], **options: Any) -> None:
    """The terms of single images agree."""
    for row, expected in enumerate(values):
        found = proxy_loss(ROWS[row : row + 1], GROUPS[row : row + 1], PROXIES, **options)
        assert found.value.item() == pytest.approx(expected, abs=1e-9)


def test_the_proxy_loss_agrees_with_the_oracle() -> None:
    found = proxy_loss(ROWS, GROUPS, PROXIES, alpha=_INPUTS["alpha"])
    assert found.value.item() == pytest.approx(_EXPECTED["ped_alpha16_normalized"], abs=1e-9)
    assert found.valid_anchors == 4
    one_by_one(_EXPECTED["per_item"])
    literal = proxy_loss(ROWS, GROUPS, PROXIES, alpha=1, normalised=False)
    assert literal.value.item() == pytest.approx(_EXPECTED["ped_alpha1_raw"], abs=1e-9)


def test_proxies_that_are_not_known_to_differ_do_not_count() -> None:
    """The last image has only its own: it is skipped, where the oracle counts it as 0."""
    allowed = torch.tensor(_INPUTS["allowed"])
    found = proxy_loss(ROWS, GROUPS, PROXIES, allowed=allowed)
    assert found.valid_anchors == 3
    assert found.value.item() * 3 / 4 == pytest.approx(_EXPECTED["ped_masked"], abs=1e-9)
    for row, expected in enumerate(_EXPECTED["ped_masked_items"]):
        single = slice(row, row + 1)
        term = proxy_loss(ROWS[single], GROUPS[single], PROXIES, allowed=allowed[single])
        assert term.value.item() == pytest.approx(expected, abs=1e-9)


def test_the_rotation_loss_agrees_with_the_oracle() -> None:
    found = rotation_loss(ROWS, TURNED, temperature=_INPUTS["tau"])
    assert found.value.item() == pytest.approx(_EXPECTED["rot"], abs=1e-9)
    similar = torch.zeros(4, 4, dtype=torch.bool)
    similar[0, 1] = similar[1, 0] = True
    without = rotation_loss(ROWS, TURNED, similar=similar)
    assert without.value.item() == pytest.approx(_EXPECTED["rot_pos_removed"], abs=1e-9)
    for row, expected in enumerate(_EXPECTED["rot_items"]):
        nobody = torch.ones(4, 4, dtype=torch.bool)
        nobody[row] = False  # only this image has others
        term = rotation_loss(ROWS, TURNED, similar=nobody)
        assert (term.value.item(), term.valid_anchors) == (pytest.approx(expected, abs=1e-9), 1)


def test_only_images_that_may_count_are_others_of_a_turned_one() -> None:
    """Image 0 is known to differ from 2 and 3, image 1 from 2; nothing is known of the others."""
    among = torch.zeros(4, 4, dtype=torch.bool)
    among[0, [0, 2, 3]] = among[1, 2] = True
    unit, turned = functional.normalize(ROWS, dim=1), functional.normalize(TURNED, dim=1)
    alike = (10 * unit @ turned.T).tolist()
    terms = [
        math.log(math.exp(alike[0][2]) + math.exp(alike[0][3])) - alike[0][0],
        alike[1][2] - alike[1][1],
    ]
    found = rotation_loss(ROWS, TURNED, temperature=0.1, among=among)
    assert found.value.item() == pytest.approx(sum(terms) / 2, abs=1e-9)
    assert found.valid_anchors == 2


def test_the_parts_add_up_to_the_oracles_totals() -> None:
    proxy, rotation = proxy_loss(ROWS, GROUPS, PROXIES).value, rotation_loss(ROWS, TURNED).value
    both = pedc_total(proxy, rotation, torch.zeros(()), proxy_weight=1)
    assert both.item() == pytest.approx(_EXPECTED["PEDC"], abs=1e-9)
    total = pedc_total(proxy, rotation, tensor(_INPUTS["L_CE_given"]))
    assert total.item() == pytest.approx(_EXPECTED["total_half_1_1"], abs=1e-9)


def test_an_image_alone_has_no_rotation_loss() -> None:
    alone = ROWS[:1].clone().requires_grad_()
    found = rotation_loss(alone, TURNED[:1])
    found.value.backward()
    assert (found.value.item(), found.valid_anchors) == (_EXPECTED["N1_rot"], 0)
    assert alone.grad is not None
    assert not alone.grad.any()


def test_the_rotation_loss_stays_above_its_bound() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    found = rotation_loss(rows, rows, temperature=0.1).value.item()
    assert found == pytest.approx(-2 / 0.1 + math.log(1))


@pytest.mark.parametrize("known", [True, False])
def test_gradients_agree_with_finite_differences(known: bool) -> None:
    rows, proxies, turned = (each.clone().requires_grad_() for each in (ROWS, PROXIES, TURNED))
    allowed = torch.tensor(_INPUTS["allowed"]) if known else None
    assert torch.autograd.gradcheck(
        lambda e, p: proxy_loss(e, GROUPS, p, allowed=allowed).value, (rows, proxies)
    )
    assert torch.autograd.gradcheck(lambda e, r: rotation_loss(e, r).value, (rows, turned))


def test_images_of_no_group_have_no_part() -> None:
    groups = torch.tensor([0, -1, 1, -1])
    rows = ROWS.clone().requires_grad_()
    found = proxy_loss(rows, groups, PROXIES)
    found.value.backward()
    assert found.valid_anchors == 2
    assert rows.grad is not None
    assert not rows.grad[[1, 3]].any()
    fewer = proxy_loss(ROWS[[0, 2]], groups[[0, 2]], PROXIES)
    assert found.value.item() == pytest.approx(fewer.value.item())


def test_one_group_has_nothing_to_learn() -> None:
    rows = ROWS.clone().requires_grad_()
    found = proxy_loss(rows, torch.zeros(4, dtype=torch.int64), PROXIES[:1])
    found.value.backward()
    assert (found.value.item(), found.valid_anchors) == (0, 0)
    assert rows.grad is not None
    assert not rows.grad.any()


def test_all_groups_allowed_is_cross_entropy() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    groups = torch.tensor([0, 2, 1, 1, 0])
    expected = functional.cross_entropy(logits, groups)
    torch.testing.assert_close(group_loss(logits, groups).value, expected)


def slow_group_means(rows: Tensor, labels: list[int], apart: set[tuple[int, int]]) -> list[float]:
    """−log of the own group's share, for images of groups that are known to differ from one."""
    unit, terms = functional.normalize(rows), []
    for i, label in enumerate(labels):
        own = [j for j, other in enumerate(labels) if other == label and j != i]
        different = [b if a == label else a for a, b in apart if label in (a, b)]
        different = [each for each in different if labels.count(each) > 1]
        if not own or not different:
            continue
        logits = []
        for members in [own, *([j for j, o in enumerate(labels) if o == d] for d in different)]:
            mean = functional.normalize(unit[members].mean(0), dim=0)
            logits.append(-16 * float((unit[i] - mean).square().sum()))
        highest = max(logits)
        terms.append(highest + math.log(sum(math.exp(z - highest) for z in logits)) - logits[0])
    return terms


def test_the_means_of_groups_stand_for_proxies() -> None:
    """Groups 0 and 1 differ, and 1 and 2; nobody compared 0 with 2. 3 is one image only."""
    labels, apart = [0, 0, 0, 1, 1, 2, 2, 3], {(0, 1), (1, 2), (1, 3)}
    rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows[7] = rows[3] + 0.1  # it would count, were it a group
    relevance = torch.full((8, 8), NAN)
    for a, b, answer in [
        (0, 1, 1),
        (1, 2, 1),
        (3, 4, 1),
        (5, 6, 1),
        (2, 3, 0),
        (4, 5, 0),
        (3, 7, 0),
    ]:
        relevance[a, b] = relevance[b, a] = answer
    terms = slow_group_means(rows, labels, apart)
    found = ProxyDistance()(rows, relevance)
    assert found.valid_anchors == len(terms) == 7
    assert found.value.item() == pytest.approx(sum(terms) / len(terms), abs=1e-9)


def test_means_of_groups_pull_two_classes_apart() -> None:
    rows = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    relevance = relevance_of_classes(torch.arange(12) % 2)
    optimiser = torch.optim.Adam([rows], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        ProxyDistance()(rows, relevance).value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    unit = functional.normalize(rows.detach())
    alike = unit @ unit.T
    assert alike[relevance == 1].mean() > alike[relevance == 0].mean() + 0.4
