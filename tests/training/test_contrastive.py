"""The contrastive loss against the oracle's figures, finite differences and its corner cases."""

import json
from pathlib import Path

import pytest
import torch

from training.losses.contrastive import (
    contrastive_loss,
    contrastive_terms,
    pair_contrastive_loss,
)

_ORACLE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_training.json").read_text()
)["contrastive"]
NAN = float("nan")


def _oracle_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    cosines, labels = zip(*_ORACLE["inputs"]["s_y"], strict=True)
    return torch.tensor(cosines, dtype=torch.float64), torch.tensor(labels) == 1


def test_terms_and_mean_agree_with_the_oracle() -> None:
    cosines, similar = _oracle_pairs()
    margin = _ORACLE["inputs"]["m"]
    expected = torch.tensor(_ORACLE["expected"]["per_pair"], dtype=torch.float64)
    torch.testing.assert_close(
        contrastive_terms(cosines, similar, margin=margin), expected, atol=1e-9, rtol=0
    )
    mean = pair_contrastive_loss(cosines, similar, margin=margin)
    assert mean.item() == pytest.approx(_ORACLE["expected"]["mean"], abs=1e-9)


def test_gradient_agrees_with_the_oracle_and_is_zero_at_the_margin() -> None:
    cosines, similar = _oracle_pairs()
    cosines.requires_grad_()
    contrastive_terms(cosines, similar, margin=_ORACLE["inputs"]["m"]).sum().backward()
    assert cosines.grad is not None
    assert cosines.grad.tolist() == _ORACLE["expected"]["dL_ds"]


def test_gradient_of_the_batch_loss_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    relevance = torch.full((6, 6), NAN, dtype=torch.float64)
    for a, b, label in [(0, 1, 1.0), (1, 2, 0.0), (3, 4, 1.0), (0, 5, 0.0)]:
        relevance[a, b] = relevance[b, a] = label
    assert torch.autograd.gradcheck(
        lambda e: contrastive_loss(e, relevance, margin=-0.9), (embeddings,)
    )


def test_batch_loss_is_the_mean_over_known_unordered_pairs() -> None:
    angles = torch.deg2rad(torch.tensor([0.0, 20.0, 40.0], dtype=torch.float64))
    embeddings = 3 * torch.stack([angles.cos(), angles.sin()], dim=1)
    relevance = torch.tensor([[1.0, 1.0, 0.0], [1.0, NAN, NAN], [0.0, NAN, 0.0]])
    expected = ((1 - angles[1].cos()) + (angles[2].cos() - 0.5)) / 2
    assert contrastive_loss(embeddings, relevance).item() == pytest.approx(expected.item())


def test_weights_weigh_the_mean() -> None:
    cosines, similar = torch.tensor([0.2, 0.9]), torch.tensor([True, False])
    loss = pair_contrastive_loss(cosines, similar, weights=torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * 0.8 + 0.4) / 4)


@pytest.mark.parametrize(
    "relevance",
    [torch.full((3, 3), NAN), torch.diag(torch.ones(3)).masked_fill(~torch.eye(3).bool(), NAN)],
    ids=["nothing known", "only the diagonal"],
)
def test_nothing_known_gives_zero_with_a_zero_gradient(relevance: torch.Tensor) -> None:
    embeddings = torch.randn(3, 2, requires_grad=True)
    loss = contrastive_loss(embeddings, relevance)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad, torch.zeros(3, 2))


def test_pairs_of_weight_zero_give_zero() -> None:
    cosines = torch.tensor([0.3], requires_grad=True)
    loss = pair_contrastive_loss(cosines, torch.tensor([True]), weights=torch.zeros(1))
    loss.backward()
    assert loss.item() == 0
    assert cosines.grad is not None
    assert cosines.grad.item() == 0


def test_a_zero_row_has_cosine_zero() -> None:
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    relevance = torch.tensor([[NAN, 1.0], [1.0, NAN]])
    assert contrastive_loss(embeddings, relevance).item() == pytest.approx(1.0)
