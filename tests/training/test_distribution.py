"""Distribution consistency against the oracle's figures, a slow loop and its corner cases."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.losses.distribution import (
    DistributionConsistency,
    mine_tuples,
    negative_boundaries,
    positive_weights,
)
from training.losses.relevance import distances, known_partners, relevance_of_classes
from training.losses.selection import linked_groups

_ORACLES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)
_DCL, _WEIGHTS = _ORACLES["dcl"], _ORACLES["dcl_w_neg_DERIVED"]
NAN = float("nan")


def on_circle(degrees: list[float]) -> Tensor:
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def oracle_batch() -> tuple[Tensor, Tensor]:
    labels = torch.tensor(_DCL["inputs"]["labels"])
    return on_circle(_DCL["inputs"]["degrees"]), relevance_of_classes(labels)


def random_batch(seed: int, rows: int, *, known: float) -> tuple[Tensor, Tensor]:
    """Vectors of three classes, some relations of which are not known."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    relevance = (labels[:, None] == labels).astype(float)
    hidden = np.triu(rng.random((rows, rows)) > known, 1)
    relevance[hidden | hidden.T | np.eye(rows, dtype=bool)] = np.nan
    return torch.from_numpy(rng.normal(size=(rows, 4))), torch.from_numpy(relevance)


def slow_loss(embeddings: Tensor, relevance: Tensor, *, tau: float, margin: float) -> float:
    """The formulas one anchor and one image after the other; without the derived weight."""
    unit = (embeddings / embeddings.norm(dim=1, keepdim=True)).numpy()
    known, rows = relevance.numpy(), range(len(unit))
    groups = slow_groups(known)
    found = []
    for i in rows:
        alike = [j for j in rows if j != i and known[i, j] == 1]
        others = [j for j in rows if j != i and known[i, j] == 0]
        if not alike:
            continue
        far = {j: float(np.linalg.norm(unit[i] - unit[j])) for j in rows}
        nearest: dict[int, int] = {}
        for j in sorted(others, key=lambda j: (far[j], j)):
            nearest.setdefault(groups[j], j)
        closest = max((unit[i] @ unit[j] for j in others), default=-math.inf)
        hard = sum(unit[i] @ unit[j] < closest + 0.1 for j in alike)
        chosen = sorted(alike, key=lambda j: (-far[j], j))[:5]
        weight = math.exp(hard / len(alike)) / len(chosen)
        together = sum(weight * max(0.0, far[j] - (tau - margin)) ** 2 for j in chosen)
        apart = sum(max(0.0, tau - far[j]) ** 2 for j in list(nearest.values())[:5])
        found.append((together + apart) / 2)
    return float(np.mean(found))


def slow_groups(known: np.ndarray) -> list[int]:
    groups = list(range(len(known)))
    for _ in groups:
        for i, j in np.argwhere(known == 1):
            groups[i] = groups[j] = min(groups[i], groups[j])
    return groups


def test_the_loss_agrees_with_the_oracle() -> None:
    embeddings, relevance = oracle_batch()
    expected = _DCL["expected"]
    loss = DistributionConsistency()(embeddings, relevance)
    assert loss.value.item() == pytest.approx(expected["loss_entropy_weight_DERIVED"], abs=1e-9)
    assert loss.valid_anchors == 5
    plain = DistributionConsistency(relaxation=0)(embeddings, relevance)
    assert plain.value.item() == pytest.approx(expected["loss_weight_1"], abs=1e-9)


def test_the_mined_tuples_are_the_oracles() -> None:
    embeddings, relevance = oracle_batch()
    found = mine_tuples(distances(embeddings), known_partners(relevance))
    for anchor in _DCL["expected"]["anchors"]:
        row = anchor["anchor"]
        assert found.positives[row][found.has_positive[row]].tolist() == anchor["P"]
        assert found.negatives[row][found.has_negative[row]].tolist() == anchor["N"]
    assert not found.has_positive[_DCL["expected"]["skipped_anchors"]].any()


def test_weights_boundaries_and_parts_of_each_anchor_are_the_oracles() -> None:
    embeddings, relevance = oracle_batch()
    inputs, partners = _DCL["inputs"], known_partners(relevance)
    apart, alike = distances(embeddings), embeddings @ embeddings.T
    found = mine_tuples(apart, partners)
    weights = positive_weights(
        alike, partners, found, hard_margin=inputs["mu"], hardness=inputs["theta"]
    )
    bounds = negative_boundaries(
        alike.gather(1, found.negatives),
        found.has_negative,
        tau=1.0,
        sharpness=inputs["beta"],
        relaxation=inputs["rho"],
    )
    for anchor, hard in zip(
        _DCL["expected"]["anchors"], _DCL["expected"]["n_hard_fixed"], strict=True
    ):
        row = anchor["anchor"]
        weight, bound = weights[row].item(), bounds[row][found.has_negative[row]]
        assert weight == pytest.approx(anchor["w_pos"], abs=1e-9)
        count = int(partners.similar[row].sum())
        assert math.log(weight * len(anchor["P"])) * count == pytest.approx(hard, abs=1e-9)
        assert bound.tolist() == pytest.approx(anchor["w_neg"], abs=1e-9)
        together = (apart[row, anchor["P"]] - (inputs["tau"] - inputs["m"])).relu()
        pushed = (inputs["tau"] * bound - apart[row, anchor["N"]]).relu()
        assert weight * together.square().sum() / 2 == pytest.approx(anchor["L_P"], abs=1e-9)
        assert pushed.square().sum() / 2 == pytest.approx(anchor["L_N"], abs=1e-9)


def test_only_similar_images_weigh_where_the_boundary_is_at_zero() -> None:
    embeddings, relevance = oracle_batch()
    inputs, anchors = _DCL["inputs"], _DCL["expected"]["anchors"]
    loss = DistributionConsistency(tau=0.0, margin=inputs["m"] - inputs["tau"])
    expected = sum(anchor["L_P"] for anchor in anchors) / len(anchors)
    assert loss(embeddings, relevance).value.item() == pytest.approx(expected, abs=1e-9)


def test_by_its_similar_images_as_printed_every_one_would_be_hard() -> None:
    embeddings, relevance = oracle_batch()
    partners, alike = known_partners(relevance), embeddings @ embeddings.T
    nearest = alike.masked_fill(~partners.similar, -torch.inf).amax(1, keepdim=True)
    hard = (partners.similar & (alike < nearest + _DCL["inputs"]["mu"])).sum(1)
    assert hard[partners.with_similar].tolist() == _DCL["expected"]["n_hard_as_printed"]
    assert torch.equal(hard, partners.similar.sum(1))


def test_without_the_rule_of_kinds_the_nearest_are_taken_whatever_they_are() -> None:
    embeddings, relevance = oracle_batch()
    partners = known_partners(relevance)
    found = mine_tuples(distances(embeddings), partners, negatives=2, distinct=False)
    assert found.negatives[0].tolist() == [3, 4]  # at 50 and 58 degrees, one class


@pytest.mark.parametrize("case", [0, 1, 2])
def test_the_derived_boundaries_agree_with_the_oracle(case: int) -> None:
    similarity = torch.tensor([_WEIGHTS["inputs"]["sims"][case]], dtype=torch.float64)
    weights = negative_boundaries(
        similarity, torch.ones_like(similarity).bool(), tau=1.0, sharpness=50, relaxation=0.2
    )
    assert weights[0].tolist() == pytest.approx(_WEIGHTS["expected"]["w"][case], abs=1e-9)


def test_boundaries_fall_with_similarity_and_stay_near_tau() -> None:
    similarity = torch.rand(20, 5, generator=torch.Generator().manual_seed(1)).double()
    bounds = negative_boundaries(
        similarity, torch.ones(20, 5).bool(), tau=1.25, sharpness=50, relaxation=0.2
    )
    assert ((bounds >= 0.8 * 1.25) & (bounds <= 1.25)).all()
    ordered = bounds.gather(1, similarity.argsort(dim=1))
    assert (ordered.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("known", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_agrees_with_a_slow_loop(seed: int, known: float) -> None:
    embeddings, relevance = random_batch(seed, 24, known=known)
    loss = DistributionConsistency(relaxation=0)(embeddings, relevance)
    expected = slow_loss(embeddings, relevance, tau=1.25, margin=1.2)
    assert loss.value.item() == pytest.approx(expected, abs=1e-9)


def test_the_gradient_agrees_with_finite_differences() -> None:
    """Without the derived weight: it has no gradient by design, but finite differences see it."""
    embeddings, relevance = random_batch(4, 10, known=0.8)
    loss = DistributionConsistency(relaxation=0)
    assert torch.autograd.gradcheck(
        lambda e: loss(e, relevance).value, (embeddings.requires_grad_(),)
    )


def test_the_derived_weight_has_no_gradient() -> None:
    """It scales the boundary: a gradient through it would move negatives to change the target."""
    similarity = torch.rand(3, 5, requires_grad=True)
    bounds = negative_boundaries(
        similarity, torch.ones(3, 5).bool(), tau=1.0, sharpness=50, relaxation=0.2
    )
    assert not bounds.requires_grad


def test_unknown_images_are_neither_drawn_in_nor_pushed_away() -> None:
    embeddings = on_circle([0, 20, 30, 60])
    relevance = torch.full((4, 4), NAN)
    relevance[0, 1] = relevance[1, 0] = 1
    relevance[0, 3] = relevance[3, 0] = 0
    embeddings.requires_grad_()
    DistributionConsistency()(embeddings, relevance).value.backward()
    assert embeddings.grad is not None
    assert embeddings.grad[2].eq(0).all()
    assert embeddings.grad[[0, 1, 3]].ne(0).any(1).all()


def test_a_must_link_group_gives_its_nearest_image_only() -> None:
    """1 and 2 are similar through 3, though nobody compared them."""
    relevance = torch.full((5, 5), NAN)
    for a, b, label in [(0, 4, 1), (0, 1, 0), (0, 2, 0), (1, 3, 1), (2, 3, 1)]:
        relevance[a, b] = relevance[b, a] = label
    found = mine_tuples(distances(on_circle([0, 40, 50, 60, 5])), known_partners(relevance))
    assert found.negatives[0][found.has_negative[0]].tolist() == [1]


def test_equally_near_images_are_taken_by_row() -> None:
    embeddings = on_circle([0, 60, -60, 30, -30])
    relevance = relevance_of_classes(torch.tensor([0, 0, 0, 1, 2]))
    found = mine_tuples(distances(embeddings), known_partners(relevance), positives=1, negatives=1)
    assert (found.positives[0].item(), found.negatives[0].item()) == (1, 3)


@pytest.mark.parametrize(
    ("relevance", "valid", "lone"),
    [
        (torch.full((3, 3), NAN), 0, 0),
        (torch.diag(torch.ones(3)).masked_fill(~torch.eye(3).bool(), NAN), 0, 0),
        (torch.zeros(3, 3), 0, 3),
        (torch.ones(3, 3), 3, 3),
        (torch.full((1, 1), NAN), 0, 0),
    ],
    ids=["nothing known", "only the diagonal", "all dissimilar", "all similar", "one image"],
)
def test_anchors_without_similar_images_count_only_if_wanted(
    relevance: Tensor, valid: int, lone: int
) -> None:
    embeddings = on_circle([0, 20, 80])[: len(relevance)].requires_grad_()
    loss = DistributionConsistency()(embeddings, relevance)
    loss.value.backward()
    assert loss.valid_anchors == valid
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    assert bool(loss.value > 0) == bool(embeddings.grad.any()) == (valid > 0)
    assert DistributionConsistency(lone_anchors=True)(embeddings, relevance).valid_anchors == lone


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_copies_of_an_image_give_a_finite_gradient(label: float) -> None:
    embeddings = on_circle([10, 10, 10]).float().requires_grad_()
    relevance = relevance_of_classes(torch.tensor([0, 0, 0 if label else 1]))
    DistributionConsistency()(embeddings, relevance).value.backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_it_pulls_two_classes_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 3, generator=generator, requires_grad=True)
    relevance = relevance_of_classes(torch.arange(12) % 2)
    optimiser = torch.optim.Adam([embeddings], lr=0.1)
    for _ in range(60):
        loss = DistributionConsistency()(embeddings, relevance).value
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    far, similar = distances(embeddings), relevance == 1
    assert far[similar].max() < 0.5 < 1 < far[relevance == 0].min()


def test_groups_follow_chains_of_any_length() -> None:
    similar = torch.zeros(9, 9, dtype=torch.bool)
    for a, b in [(8, 1), (1, 7), (7, 2), (2, 6), (6, 3), (0, 5)]:
        similar[a, b] = similar[b, a] = True
    assert linked_groups(similar).tolist() == [0, 1, 1, 1, 4, 0, 1, 1, 1]
