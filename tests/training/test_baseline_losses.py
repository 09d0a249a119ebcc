"""The losses of the papers' comparisons against pytorch-metric-learning, and against loops.

The library takes class labels, so it is compared with on batches where all classes are known, in
value and gradient; with unknown relations the loops decide.
"""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import normalize, softplus

from tests.training.test_relevance import batch
from training.losses.average_precision import SmoothAP
from training.losses.contrastive import Contrastive
from training.losses.distribution import DistributionConsistency
from training.losses.dsll import DSLL
from training.losses.lists import FastAP, LiftedStructure, RankedList
from training.losses.pairwise import BinomialDeviance, DistanceContrastive, MultiSimilarity
from training.losses.relevance import RelevanceLoss, relevance_of_classes
from training.losses.roadmap import Calibration
from training.losses.softmax import NPair, NTXent, ProxyNCA
from training.losses.triplet import DualAnchorTriplet, Triplet

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
NAN = float("nan")
Library = Callable[[Tensor, Tensor], Tensor]


def rows(seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(12, 5, generator=generator, dtype=torch.float64)


def means() -> reducers.MeanReducer:
    return reducers.MeanReducer()


def hardest_triplets(margin: float) -> Library:
    loss, miner = losses.TripletMarginLoss(margin=margin), miners.BatchHardMiner()
    return lambda each, labels: loss(each, labels, miner(each, labels))


SAME: dict[str, tuple[RelevanceLoss, Library, float]] = {
    "triplet": (Triplet(margin=0.3), losses.TripletMarginLoss(margin=0.3), 1),
    "hardest triplets": (Triplet(margin=0.3, mining="hardest"), hardest_triplets(0.3), 1),
    "contrastive": (
        Contrastive(margin=0.2),
        losses.ContrastiveLoss(1, 0.2, distance=distances.CosineSimilarity(), reducer=means()),
        2,  # the library adds the means of both kinds
    ),
    "calibration": (
        Calibration(alpha=0.8, beta=-0.1),
        losses.ContrastiveLoss(0.8, -0.1, distance=distances.CosineSimilarity(), reducer=means()),
        1,
    ),
    "multi-similarity": (MultiSimilarity(), losses.MultiSimilarityLoss(), 1),
    "NT-Xent": (NTXent(temperature=0.3), losses.NTXentLoss(temperature=0.3), 1),
    "lifted structure": (
        LiftedStructure(margin=1.1),
        losses.LiftedStructureLoss(neg_margin=1.1),
        1,
    ),
    "ranked list": (RankedList(temperature=3), losses.RankedListLoss(margin=0.4, Tn=3), 1),
    "FastAP": (FastAP(), losses.FastAPLoss(), 1),
}


def with_gradient(loss: Callable[[Tensor], Tensor], embeddings: Tensor) -> tuple[Tensor, Tensor]:
    leaf = embeddings.clone().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def agree(
    ours: Callable[[Tensor], Tensor],
    library: Callable[[Tensor], Tensor],
    embeddings: Tensor,
    *,
    within: float = 1e-9,
) -> None:
    """Value and gradient are the same, and there is a gradient."""
    found, expected = with_gradient(ours, embeddings), with_gradient(library, embeddings)
    torch.testing.assert_close(found, expected, rtol=0, atol=within, check_dtype=False)
    assert expected[1].abs().max() > 1e-3


@pytest.mark.parametrize(("ours", "library", "factor"), SAME.values(), ids=SAME)
def test_it_is_the_librarys(ours: RelevanceLoss, library: Library, factor: float) -> None:
    relevance = relevance_of_classes(LABELS)
    found = with_gradient(lambda each: factor * ours(each, relevance).value, rows())
    expected = with_gradient(lambda each: library(each, LABELS), rows())
    # The library's ranked list adds 1e-5 to each weight of a mean
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-4)
    assert expected[1].abs().max() > 1e-3


def test_smooth_ap_is_the_librarys_where_the_query_is_its_own_partner() -> None:
    """Each query sees copies of all images, its own among them; it does not see the queries.

    Three classes of three: the library mixes up the two numbers.
    """
    labels, relevance = torch.arange(3).repeat_interleave(3), torch.full((18, 18), NAN)
    relevance[:9, 9:] = relevance_of_classes(labels).fill_diagonal_(1)
    ours, library = SmoothAP(tau=0.1), losses.SmoothAPLoss(temperature=0.1)
    assert ours(torch.cat([rows()[:9]] * 2), relevance).valid_anchors == 9
    agree(
        lambda each: ours(torch.cat([each, each]), relevance).value,
        lambda each: library(each, labels),
        rows()[:9],
        within=1e-6,  # the library counts in single precision
    )


def test_n_pair_is_the_librarys_on_its_batch() -> None:
    """An anchor and a similar image of each class; the others' similar ones are dissimilar."""
    embeddings, labels = rows()[:8], torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    relevance = torch.full((8, 8), NAN)
    relevance[:4, 4:] = torch.eye(4)
    ours, library = NPair(scale=1.0), losses.NPairsLoss()
    assert ours(embeddings, relevance).valid_anchors == 4
    agree(lambda each: ours(each, relevance).value, lambda each: library(each, labels), embeddings)


def test_n_pair_takes_the_most_alike_image_of_each_other_kind() -> None:
    embeddings, relevance = batch(12, known=1.0)
    cosine = normalize(embeddings) @ normalize(embeddings).T
    kinds = [set(torch.nonzero(row == 1).flatten().tolist()) for row in relevance]
    terms = []
    for anchor, alike in product(range(12), repeat=2):
        if relevance[anchor, alike] == 1:
            others = {
                frozenset(kinds[other] | {other})
                for other in range(12)
                if relevance[anchor, other] == 0
            }
            best = torch.stack([cosine[anchor, sorted(group)].max() for group in others])
            terms.append(torch.log1p((4 * (best - cosine[anchor, alike])).exp().sum()))
    found = NPair(scale=4.0)(embeddings, relevance)
    torch.testing.assert_close(found.value, torch.stack(terms).mean())


def test_proxy_nca_is_the_librarys_with_the_mean_directions_of_others_as_proxies() -> None:
    library = losses.ProxyNCALoss(num_classes=3, embedding_size=5, softmax_scale=2)

    def with_means(embeddings: Tensor) -> Tensor:
        unit, terms = normalize(embeddings), []
        for row in range(12):
            others = torch.arange(12) != row
            means = [unit[(label == LABELS) & others].mean(0) for label in range(3)]
            given = (unit[[row]], LABELS[[row]])
            terms.append(functional_call(library, {"proxies": torch.stack(means)}, given))
        return torch.stack(terms).mean()

    relevance = relevance_of_classes(LABELS)
    agree(lambda each: ProxyNCA(scale=2.0)(each, relevance).value, with_means, rows())


def test_proxies_of_groups_that_nobody_compared_with_are_not_seen() -> None:
    embeddings = rows()[:5]
    relevance = torch.full((5, 5), NAN)
    for a, b, label in [(0, 1, 1.0), (2, 3, 1.0), (0, 2, 0.0)]:  # of image 4 nothing is known
        relevance[a, b] = relevance[b, a] = label
    unit = normalize(embeddings)

    def term(image: int, mate: int, group: list[int]) -> Tensor:
        other = normalize(unit[group].sum(0), dim=0)
        apart = (unit[image] - unit[mate]).square().sum() - (unit[image] - other).square().sum()
        return softplus(3 * apart)

    found = ProxyNCA()(embeddings, relevance)
    assert found.valid_anchors == 2
    torch.testing.assert_close(found.value, (term(0, 1, [2, 3]) + term(2, 3, [0, 1])) / 2)


def known_lists(relevance: Tensor) -> list[tuple[int, list[int], list[int]]]:
    """Each row with its similar and its dissimilar partners."""
    others = [[j for j in range(len(relevance)) if j != i] for i in range(len(relevance))]
    return [
        (i, [j for j in others[i] if row[j] == 1], [j for j in others[i] if row[j] == 0])
        for i, row in enumerate(relevance.tolist())
    ]


def test_binomial_deviance_is_the_mean_of_each_kind_of_each_anchor() -> None:
    embeddings, relevance = batch()
    cosine = (normalize(embeddings) @ normalize(embeddings).T).tolist()
    anchors = []
    for i, similar, dissimilar in known_lists(relevance):
        costs = [math.log1p(math.exp(3 * (0.4 - cosine[i][j]))) for j in similar]
        others = [math.log1p(math.exp(9 * (cosine[i][j] - 0.4))) for j in dissimilar]
        kinds = [sum(kind) / len(kind) for kind in (costs, others) if kind]
        anchors.extend([sum(kinds)] if kinds else [])
    found = BinomialDeviance(alpha=3, beta=9, threshold=0.4)(embeddings, relevance)
    assert found.valid_anchors == len(anchors)
    assert found.value.item() == pytest.approx(sum(anchors) / len(anchors), abs=1e-9)


def test_contrastive_on_distances_is_the_mean_over_known_pairs() -> None:
    embeddings, relevance = batch()
    terms = []
    for i, similar, dissimilar in known_lists(relevance):
        for j in (*similar, *dissimilar):
            apart = float((normalize(embeddings)[i] - normalize(embeddings)[j]).norm())
            terms.append(apart**2 / 2 if j in similar else max(0, 1.2 - apart) ** 2 / 2)
    found = DistanceContrastive(margin=1.2)(embeddings, relevance)
    assert found.value.item() == pytest.approx(sum(terms) / len(terms), abs=1e-9)


def test_dual_anchors_push_the_nearest_image_from_both() -> None:
    embeddings, relevance = batch(known=0.8)
    apart = torch.cdist(normalize(embeddings), normalize(embeddings)).tolist()
    terms, halves = [], 0
    for i, similar, dissimilar in known_lists(relevance):
        for j in similar if dissimilar else []:
            n = min(dissimilar, key=lambda other: apart[i][other])
            both = relevance[j, n] == 0
            halves += not both
            second = max(0, apart[i][j] - apart[j][n] + 0.2) if both else 0
            terms.append(max(0, apart[i][j] - apart[i][n] + 0.2) + second)
    found = DualAnchorTriplet()(embeddings, relevance)
    assert halves > 0
    violated = [term for term in terms if term > 0]
    assert found.value.item() == pytest.approx(sum(violated) / len(violated), abs=1e-6)


def test_lifted_structure_sums_over_known_dissimilar_images_of_both() -> None:
    embeddings, relevance = batch(known=0.5)
    apart = torch.cdist(normalize(embeddings), normalize(embeddings)).tolist()
    lists, terms, anchors = known_lists(relevance), [], set()
    for i, similar, dissimilar in lists:
        for j in similar:
            near = [apart[i][n] for n in dissimilar] + [apart[j][n] for n in lists[j][2]]
            if near:
                pushed = math.log(sum(math.exp(1 - distance) for distance in near))
                terms.append(max(0, apart[i][j] + pushed) ** 2 / 2)
                anchors.add(i)
    found = LiftedStructure()(embeddings, relevance)
    assert found.valid_anchors == len(anchors)
    assert found.value.item() == pytest.approx(sum(terms) / len(terms), abs=1e-6)


def test_dsll_is_distribution_consistency_with_one_similar_image_at_weight_one() -> None:
    drawn = batch()
    expected = DistributionConsistency(positives=1, hardness=0)(*drawn)
    assert DSLL()(*drawn) == expected
    assert DSLL()(*drawn).value != DistributionConsistency()(*drawn).value
