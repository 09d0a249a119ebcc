"""Representative triplets against the oracle's figures, slow loops and their corner cases."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.losses.relevance import distances, relevance_of_classes
from training.losses.representative import RepresentativeTriplets, triplet_total
from training.losses.triplet_selection import (
    allowed_negatives,
    diverse_anchors,
    hard_diverse,
    label_similarity,
    relative_distances,
    triplets_until,
)

_ORACLES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_fine_tuning.json").read_text()
)
_INPUTS, _EXPECTED = _ORACLES["das_rhdis"]["inputs"], _ORACLES["das_rhdis"]["expected"]
NAN = float("nan")


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


EMBEDDINGS, LABELS = tensor(_INPUTS["F_unit"]), torch.tensor(_INPUTS["L"])
ORACLE_LOSS = RepresentativeTriplets(count=_INPUTS["C"], anchor_share=_INPUTS["H"] / len(LABELS))


def random_batch(seed: int, rows: int = 30, labels: int = 5) -> tuple[Tensor, Tensor]:
    """Vectors with label sets, one label at least."""
    rng = np.random.default_rng(seed)
    sets = rng.random((rows, labels)) < 0.3
    sets[np.arange(rows), rng.integers(labels, size=rows)] = True
    return torch.from_numpy(rng.normal(size=(rows, 4))), torch.from_numpy(sets)


def slow_total(apart: Tensor, triplets: list[tuple[int, int, int]], margin: float) -> list[float]:
    return [max(0.0, float(apart[a, p] - apart[a, n]) + margin) for a, p, n in triplets]


def oracle_images(key: str, kind: int) -> list[tuple[int, list[int]]]:
    return [(int(anchor), images[kind]) for anchor, images in _EXPECTED[key].items()]


def test_label_sets_and_distances_agree_with_the_oracle() -> None:
    apart = distances(EMBEDDINGS) * (1 - torch.eye(8))  # of an image with itself a tiny rest
    for found, name in [
        (label_similarity(LABELS), "S"),
        (apart, "D_raw"),
        (relative_distances(EMBEDDINGS), "D_minmax"),
    ]:
        torch.testing.assert_close(found, tensor(_EXPECTED[name]), rtol=0, atol=1e-9)


def test_equal_embeddings_have_no_relative_distance() -> None:
    constant = _ORACLES["minmax_constant"]
    found = relative_distances(tensor(constant["inputs"]["F"]))
    assert found.tolist() == constant["expected"]["D"]


@pytest.mark.parametrize(
    ("among", "key"), [("min", "anchors_min_FIX"), ("max", "anchors_max_printed")]
)
def test_diverse_anchors_are_the_oracles(among: Any, key: str) -> None:
    apart = relative_distances(EMBEDDINGS)
    found = diverse_anchors(apart, torch.ones(8).bool(), _INPUTS["H"], 0, among=among)
    assert found.tolist() == _EXPECTED[key]


@pytest.mark.parametrize(
    ("among", "key"), [("min", "pos_neg_min_FIX"), ("max", "pos_neg_max_printed")]
)
@pytest.mark.parametrize("kind", [0, 1], ids=["similar", "dissimilar"])
def test_chosen_images_are_the_oracles(among: Any, key: str, kind: int) -> None:
    graded = label_similarity(LABELS).fill_diagonal_(NAN)
    apart = relative_distances(EMBEDDINGS)
    scores = 0.5 * graded + 0.5 * apart if kind == 0 else 1 - 0.5 * graded - 0.5 * apart
    allowed = graded > 0 if kind == 0 else graded == 0
    found, present = hard_diverse(scores, allowed, apart, _INPUTS["C"], among=among)
    for anchor, images in oracle_images(key, kind):
        assert found[anchor][present[anchor]].tolist() == images


def test_the_scores_are_the_oracles() -> None:
    graded, apart = label_similarity(LABELS), relative_distances(EMBEDDINGS)
    for row, score in _EXPECTED["I_p_anchor0"].items():
        assert 0.5 * (graded + apart)[0, int(row)].item() == pytest.approx(score, abs=1e-9)
    for row, score in _EXPECTED["I_n_anchor0"].items():
        assert 1 - 0.5 * (graded + apart)[0, int(row)].item() == pytest.approx(score, abs=1e-9)


def oracle_masks() -> tuple[Tensor, Tensor, Tensor]:
    anchors = torch.tensor(_EXPECTED["anchors_min_FIX"])
    masks = torch.zeros(2, len(anchors), 8, dtype=torch.bool)
    for place, anchor in enumerate(anchors.tolist()):
        for kind in (0, 1):
            masks[kind, place, _EXPECTED["pos_neg_min_FIX"][str(anchor)][kind]] = True
    return anchors, masks[0], masks[1]


def test_the_total_agrees_with_the_oracle() -> None:
    anchors, positives, negatives = oracle_masks()
    total, violated = triplet_total(
        distances(EMBEDDINGS)[anchors], positives, negatives, margin=_INPUTS["alpha"]
    )
    assert total.item() == pytest.approx(_EXPECTED["triplet_sum"], abs=1e-9)
    mean = total.item() / violated
    assert mean == pytest.approx(_EXPECTED["triplet_nonzero_mean"], abs=1e-9)


def test_the_whole_loss_is_the_oracles_where_chance_begins_with_its_anchor() -> None:
    graded = label_similarity(LABELS)
    for seed in range(100):
        loss = RepresentativeTriplets(count=3, anchor_share=3 / 8, seed=seed, reduction="sum")
        chosen = loss.select(EMBEDDINGS, graded)
        if chosen.anchors[0] == 0:
            break
    assert chosen.anchors.tolist() == _EXPECTED["anchors_min_FIX"]
    assert chosen.count == _EXPECTED["n_triplets"]
    found = loss(EMBEDDINGS, graded)
    assert found.value.item() == pytest.approx(_EXPECTED["triplet_sum"], abs=1e-9)
    assert found.valid_anchors == 3


def test_every_image_is_the_first_anchor_equally_often() -> None:
    graded = label_similarity(LABELS)
    first = [
        int(RepresentativeTriplets(seed=seed).select(EMBEDDINGS, graded).anchors[0])
        for seed in range(400)
    ]
    counts = np.bincount(first, minlength=8)
    assert counts.min() > 25
    assert counts.max() < 80  # 50 each, seven standard deviations either way at most


@pytest.mark.parametrize("anchors", ["das", "ras", "bas"])
@pytest.mark.parametrize("images", ["rhdis", "ris", "bis"])
def test_every_choice_takes_only_what_is_allowed(anchors: Any, images: Any) -> None:
    embeddings, labels = random_batch(1)
    graded = label_similarity(labels).fill_diagonal_(NAN)
    loss = RepresentativeTriplets(anchors=anchors, images=images, count=4)
    chosen = loss.select(embeddings, graded)
    assert len(chosen.anchors.unique()) == len(chosen.anchors) == (30 if anchors == "bas" else 3)
    assert (graded[chosen.anchors][chosen.positives] > 0).all()
    assert (graded[chosen.anchors][chosen.negatives] == 0).all()
    most = 30 if images == "bis" else 4
    assert chosen.positives.sum(1).max() <= most
    available = (graded[chosen.anchors] > 0).sum(1).clamp(max=most)
    assert chosen.positives.sum(1).tolist() == available.tolist()


def test_all_triplets_are_every_similar_with_every_dissimilar_image() -> None:
    embeddings, labels = random_batch(2, rows=9)
    graded = label_similarity(labels).fill_diagonal_(NAN)
    triplets = [
        (a, p, n)
        for a in range(9)
        for p in range(9)
        for n in range(9)
        if graded[a, p] > 0 and graded[a, n] == 0
    ]
    loss = RepresentativeTriplets(anchors="bas", images="bis", reduction="sum")
    assert loss.select(embeddings, graded).count == len(triplets)
    expected = slow_total(distances(embeddings), triplets, 0.2)
    assert loss(embeddings, graded).value.item() == pytest.approx(sum(expected), abs=1e-9)
    mean = RepresentativeTriplets(anchors="bas", images="bis")(embeddings, graded).value.item()
    violated = [term for term in expected if term > 0]
    assert mean == pytest.approx(sum(violated) / len(violated), abs=1e-9)


@pytest.mark.parametrize("distance", ["euclidean", "minmax"])
@pytest.mark.parametrize("reduction", ["violated", "sum"])
def test_the_gradient_is_that_of_the_chosen_triplets(distance: Any, reduction: Any) -> None:
    embeddings, labels = random_batch(3, rows=12)
    graded = label_similarity(labels)
    loss = RepresentativeTriplets(distance=distance, reduction=reduction, anchor_share=0.3)
    chosen = loss.select(embeddings, graded)
    leaf = embeddings.clone().requires_grad_()
    apart = distances(leaf)
    if distance == "minmax":
        others = apart.detach()[~torch.eye(12, dtype=torch.bool)]
        apart = (apart - others.min()) / (others.max() - others.min())
    terms = [
        torch.relu(apart[a, p] - apart[a, n] + 0.2)
        for a, alike, other in zip(chosen.anchors, chosen.positives, chosen.negatives, strict=True)
        for p in alike.nonzero()[:, 0]
        for n in other.nonzero()[:, 0]
    ]
    total = torch.stack(terms)
    expected = total.sum() if reduction == "sum" else total.sum() / (total > 0).sum()
    (wanted,) = torch.autograd.grad(expected, leaf)
    ours = embeddings.clone().requires_grad_()
    value = loss(ours, graded).value
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, ours)[0], wanted)


@pytest.mark.parametrize("anchors", ["das", "ras"])
@pytest.mark.parametrize("images", ["rhdis", "ris"])
def test_the_same_images_in_another_order_give_the_same_triplets(anchors: Any, images: Any) -> None:
    embeddings, labels = random_batch(4)
    order = torch.from_numpy(np.random.default_rng(0).permutation(30))
    loss = RepresentativeTriplets(anchors=anchors, images=images, count=2)
    found = loss(embeddings, label_similarity(labels)).value
    turned = loss(embeddings[order], label_similarity(labels[order])).value
    torch.testing.assert_close(found, turned)


def test_chance_differs_with_the_seed_and_with_the_batch() -> None:
    embeddings, labels = random_batch(5)
    graded = label_similarity(labels)
    drawn = [
        RepresentativeTriplets(anchors="ras", seed=seed).select(rows, graded).anchors.tolist()
        for seed, rows in [(0, embeddings), (0, embeddings), (1, embeddings), (0, -embeddings + 1)]
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0] != drawn[3]


def test_where_every_image_shares_something_the_least_similar_ones_are_dissimilar() -> None:
    graded = tensor([[NAN, 0.5, 0.9, 1.0, 0.2, 0.2, NAN]])
    chosen = torch.tensor([[False, False, True, False, False, False, False]])
    assert allowed_negatives(graded, chosen)[0].nonzero()[:, 0].tolist() == [4]
    most = math.ceil(0.2 * 5)
    assert allowed_negatives(graded, chosen).sum() == most


def test_pairs_known_to_be_similar_are_never_taken_for_dissimilar() -> None:
    relevance = relevance_of_classes(torch.tensor([0, 0, 0, 0]))
    found = RepresentativeTriplets()(EMBEDDINGS[:4], relevance)
    assert (found.value.item(), found.valid_anchors) == (0, 0)


def test_unknown_pairs_are_chosen_for_neither() -> None:
    embeddings, labels = random_batch(6)
    graded = label_similarity(labels)
    unknown = torch.rand(30, 30, generator=torch.Generator().manual_seed(1)) < 0.6
    graded = graded.masked_fill(unknown | unknown.T, NAN)
    for images in ("rhdis", "ris", "bis"):
        chosen = RepresentativeTriplets(anchors="bas", images=images).select(embeddings, graded)
        assert not graded[chosen.anchors][chosen.positives | chosen.negatives].isnan().any()


def test_fewer_rows_than_anchors_are_all_taken() -> None:
    apart = relative_distances(EMBEDDINGS)
    usable = torch.tensor([True, False, True, False, False, True, False, False])
    assert sorted(diverse_anchors(apart, usable, 20, 2).tolist()) == [0, 2, 5]


@pytest.mark.parametrize(
    ("triplets", "scores", "expected"),
    [
        ([10, 30, 60, 100], [0.2, 0.45, 0.44, 0.5], 30),
        ([10, 30], [0.9, 0.5], 10),
        ([7], [0.3], 7),
        ([], [], None),
        ([5], [0.0], None),
    ],
    ids=["on the way", "at once", "one evaluation", "none", "nothing learnt"],
)
def test_triplets_until_a_share_of_the_last_score(
    triplets: list[int], scores: list[float], expected: int | None
) -> None:
    assert triplets_until(triplets, scores) == expected


def test_it_orders_images_by_their_labels() -> None:
    _, labels = random_batch(7)
    embeddings = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    graded = label_similarity(labels)
    loss = RepresentativeTriplets(anchors="bas")
    optimiser = torch.optim.Adam([embeddings], lr=0.05)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(embeddings, graded).value
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        values.append(value.item())
    apart = distances(embeddings).detach()
    assert apart[graded == 0].mean() > 1.3 * apart[(graded > 0) & (graded < 1)].mean()
    assert values[-1] < values[0]
