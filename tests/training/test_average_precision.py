"""Average precisions with any steps: exact, Smooth-AP, SupAP; and ROADMAP's bounds."""

import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from tests.training.test_relevance import batch
from training.losses import average_precision
from training.losses.average_precision import ExactAP, SmoothAP, SupAP, row_average_precisions
from training.losses.osap import SRFAP
from training.losses.relevance import RelevanceLoss, cosines, known_partners
from training.losses.roadmap import Calibration, Roadmap
from training.losses.steps import HardStep, SigmoidStep, SoftsignStep, Step, SupStep

STEPS: dict[str, tuple[Step, Step]] = {
    "Smooth-AP": (SigmoidStep(0.1), SigmoidStep(0.1)),
    "SupAP": (HardStep(), SupStep()),
    "SRF": (HardStep(), SoftsignStep(gamma=0.1)),
}


def all_triples(scores: Tensor, relevance: Tensor, positive: Step, negative: Step) -> Tensor:
    """The naive form, with automatic differentiation: a number for each triple of images."""
    partners = known_partners(relevance)
    differences = scores[:, None, :] - scores[:, :, None]  # [query, ranked, other]
    other = ~torch.eye(len(scores), dtype=torch.bool)
    before = 1 + (positive.height(differences) * (partners.similar[:, None, :] & other)).sum(2)
    wrongly = (negative.height(differences) * partners.dissimilar[:, None, :]).sum(2)
    precision = before / (before + wrongly) * partners.similar
    return (precision.sum(1) / partners.similar.sum(1).clamp(min=1))[partners.with_both].mean()


@pytest.mark.parametrize("block", [1, 40, 2**18])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_values_and_gradients_are_those_of_the_naive_form(
    steps: tuple[Step, Step], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(average_precision._BLOCK, "cpu", block)
    embeddings, relevance = batch(14)
    scores = cosines(embeddings).requires_grad_()
    positive, negative = steps
    partners = known_partners(relevance)
    ours = row_average_precisions(scores, partners, positive=positive, negative=negative)
    mean = ours[partners.with_both].mean()
    naive = all_triples(scores, relevance, positive, negative)
    torch.testing.assert_close(mean, naive)
    gradients = [torch.autograd.grad(each, scores)[0] for each in (mean, naive)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 1e-3


def test_the_exact_loss_is_one_minus_scikit_learns_average_precision() -> None:
    embeddings, relevance = batch(20)
    partners, scores = known_partners(relevance), cosines(embeddings)
    expected = [
        average_precision_score(similar[judged].numpy(), row[judged].numpy())
        for similar, dissimilar, row in zip(
            partners.similar, partners.dissimilar, scores, strict=True
        )
        if similar.any() and dissimilar.any() and (judged := similar | dissimilar).any()
    ]
    found = ExactAP()(embeddings, relevance)
    assert found.valid_anchors == len(expected)
    assert found.value.item() == pytest.approx(1 - sum(expected) / len(expected), abs=1e-9)


def test_a_dissimilar_image_as_near_as_a_similar_one_counts_against() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    relevance = torch.tensor([[torch.nan, 1, 0], [1, torch.nan, torch.nan], [0, torch.nan, 0]])
    assert ExactAP()(embeddings, relevance).value.item() == pytest.approx(0.5)


@pytest.mark.parametrize("loss", [SmoothAP(tau=1e-4), SupAP(tau=1e-4), SRFAP(gamma=1e-7)])
def test_a_perfect_order_costs_almost_nothing(loss: RelevanceLoss) -> None:
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]])
    relevance = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    found = loss(embeddings, relevance)
    assert found.value.item() == pytest.approx(0, abs=1e-5)
    assert found.valid_anchors == 4


@pytest.mark.parametrize("seed", range(20))
def test_sup_ap_is_never_below_the_exact_loss(seed: int) -> None:
    drawn = batch(12, seed=seed)
    assert SupAP()(*drawn).value >= ExactAP()(*drawn).value


def test_the_step_of_sup_ap_is_the_published_one() -> None:
    """Values of the public code's `step_rank` (temp .01, tau 100, margin .05, offset 1.44)."""
    differences = torch.tensor([-0.01, 0.01, 0.04, 0.06, 1.05], dtype=torch.float64)
    sigmoid_1, sigmoid_4 = 0.7310585786300049, 0.9820137900379085
    expected = torch.tensor(
        [1 - sigmoid_1, 0.5 + sigmoid_1, 0.5 + sigmoid_4, 2.44, 101.44], dtype=torch.float64
    )
    torch.testing.assert_close(SupStep().height(differences), expected)
    numeric = (SupStep().height(differences + 1e-7) - SupStep().height(differences - 1e-7)) / 2e-7
    torch.testing.assert_close(SupStep().slope(differences), numeric, rtol=1e-5, atol=1e-5)


def test_the_bounds_are_means_over_each_kind_of_pairs() -> None:
    angles = torch.deg2rad(torch.tensor([0.0, 60.0, 90.0], dtype=torch.float64))
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    relevance = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    expected = (0.9 - 0.5) + (0.0 + (3**0.5 / 2 - 0.6)) / 2
    assert Calibration()(embeddings, relevance).value.item() == pytest.approx(expected)


def test_roadmap_is_the_mix_of_both() -> None:
    drawn = batch()
    ranking, bounds = SupAP()(*drawn).value, Calibration()(*drawn).value
    found = Roadmap(calibration=0.3)(*drawn).value
    torch.testing.assert_close(found, 0.7 * ranking + 0.3 * bounds)
