"""What every loss on a relevance matrix keeps to, and the noun itself."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from domain.errors import InputError
from domain.loss_catalogue import RELEVANCE_LOSSES
from training.losses.average_precision import ExactAP
from training.losses.catalogue import LOSS_CLASSES, new_loss
from training.losses.relevance import (
    LossValue,
    RelevanceLoss,
    cosines,
    distances,
    known_partners,
    mean_over_anchors,
    relevance_of_classes,
)

NAN = float("nan")
NAMES = sorted(LOSS_CLASSES)
# Their gradient is not that of their value: they weigh by numbers that are held fixed.
FIXED_WEIGHTS = frozenset({"dcl", "dsll", "osap", "osp"})


@pytest.fixture(params=NAMES)
def loss(request: pytest.FixtureRequest) -> RelevanceLoss:
    return new_loss(request.param)


def batch(rows: int = 12, *, known: float = 0.6, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Embeddings [B, 5] in float64 and a relevance matrix of which a share is known."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    relevance = relevance_of_classes(torch.randint(0, 4, (rows,), generator=generator))
    hidden = torch.triu(torch.rand(rows, rows, generator=generator) > known, diagonal=1)
    return embeddings, relevance.masked_fill(hidden | hidden.T, NAN)


def gradient(loss: Callable[[Tensor, Tensor], LossValue], rows: Tensor, known: Tensor) -> Tensor:
    leaf = rows.clone().requires_grad_()
    loss(leaf, known).value.backward()
    assert leaf.grad is not None
    return leaf.grad


def test_a_batch_gives_a_positive_value_and_counts_its_anchors(loss: RelevanceLoss) -> None:
    found = loss(*batch())
    assert found.value.shape == ()
    assert found.value.item() > 0
    assert 0 < found.valid_anchors <= 12


@pytest.mark.parametrize("rows", [0, 1, 6])
def test_nothing_known_gives_zero_with_a_zero_gradient(loss: RelevanceLoss, rows: int) -> None:
    embeddings = torch.ones(rows, 3).cumsum(0)
    unknown = torch.full((rows, rows), NAN)
    found = loss(embeddings, unknown)
    assert found == LossValue(found.value, 0)
    assert found.value.item() == 0
    assert torch.equal(gradient(loss, embeddings, unknown), torch.zeros_like(embeddings))


def test_the_order_of_the_rows_does_not_matter(loss: RelevanceLoss) -> None:
    embeddings, relevance = batch()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    found, turned = loss(embeddings, relevance), loss(embeddings[order], relevance[order][:, order])
    torch.testing.assert_close(found.value, turned.value, rtol=1e-9, atol=1e-12)
    assert found.valid_anchors == turned.valid_anchors


def test_the_diagonal_is_ignored(loss: RelevanceLoss) -> None:
    embeddings, relevance = batch()
    with_itself = relevance.clone().fill_diagonal_(1.0)
    assert loss(embeddings, relevance).value == loss(embeddings, with_itself).value


def test_rows_of_which_nothing_is_known_have_no_part(loss: RelevanceLoss) -> None:
    embeddings, relevance = batch()
    relevance[3] = relevance[:, 3] = NAN
    without = [row for row in range(12) if row != 3]
    fewer = loss(embeddings[without], relevance[without][:, without])
    found = loss(embeddings, relevance)
    torch.testing.assert_close(found.value, fewer.value, rtol=1e-9, atol=1e-12)
    assert found.valid_anchors == fewer.valid_anchors
    assert not gradient(loss, embeddings, relevance)[3].any()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FIXED_WEIGHTS])
def test_its_gradient_agrees_with_finite_differences(name: str) -> None:
    embeddings, relevance = batch(8, known=0.8)
    embeddings.requires_grad_()
    loss = new_loss(name)
    assert torch.autograd.gradcheck(lambda rows: loss(rows, relevance).value, (embeddings,))


@pytest.mark.parametrize("spoilt", ["copies", "a zero row", "all alike"])
def test_its_gradient_is_finite_whatever_the_images(loss: RelevanceLoss, spoilt: str) -> None:
    embeddings, relevance = batch()
    if spoilt == "copies":
        embeddings[6:] = embeddings[:6]
    elif spoilt == "a zero row":
        embeddings[2] = 0
    else:
        relevance = torch.where(torch.isnan(relevance), relevance, 1)
    assert gradient(loss, embeddings, relevance).isfinite().all()


def test_single_precision_agrees_with_double(loss: RelevanceLoss) -> None:
    embeddings, relevance = batch()
    single = loss(embeddings.to(torch.float32), relevance).value
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single, loss(embeddings, relevance).value, check_dtype=False, rtol=1e-4, atol=1e-4
    )


def test_making_it_small_ranks_similar_images_first(loss: RelevanceLoss) -> None:
    embeddings, relevance = batch(24, known=0.7)
    embeddings.requires_grad_()
    before = loss(embeddings, relevance).value.item()
    ranking = ExactAP()(embeddings, relevance).value.item()
    optimiser = torch.optim.Adam([embeddings], lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        loss(embeddings, relevance).value.backward()
        optimiser.step()
    assert loss(embeddings, relevance).value.item() < 0.8 * before
    assert ExactAP()(embeddings, relevance).value.item() < 0.6 * ranking


def test_a_relation_of_classes_is_unknown_where_a_class_is() -> None:
    relevance = relevance_of_classes(torch.tensor([2, -1, 2, 0, -1]))
    expected = [
        [NAN, NAN, 1, 0, NAN],
        [NAN, NAN, NAN, NAN, NAN],
        [1, NAN, NAN, 0, NAN],
        [0, NAN, 0, NAN, NAN],
        [NAN, NAN, NAN, NAN, NAN],
    ]
    torch.testing.assert_close(relevance, torch.tensor(expected), equal_nan=True)


def test_partners_are_never_a_row_itself() -> None:
    partners = known_partners(torch.tensor([[1.0, 1.0, NAN], [1.0, 0.0, NAN], [NAN, NAN, 0.0]]))
    assert partners.similar.tolist() == [[False, True, False], [True, False, False], [False] * 3]
    assert not partners.dissimilar.any()
    assert partners.with_similar.tolist() == [True, True, False]
    assert not partners.with_both.any()


def test_distances_are_those_of_unit_vectors() -> None:
    rows = torch.tensor([[3.0, 0.0], [0.0, 0.5], [-1.0, 0.0]], dtype=torch.float64)
    expected = torch.cdist(*[torch.nn.functional.normalize(rows)] * 2).clamp(min=1e-6)
    torch.testing.assert_close(distances(rows), expected)
    assert cosines(rows)[0].tolist() == [1, 0, -1]


def test_only_valid_anchors_count_in_the_mean() -> None:
    terms = torch.tensor([1.0, 100.0, 4.0], requires_grad=True)
    found = mean_over_anchors(terms, torch.tensor([True, False, True]))
    assert (found.value.item(), found.valid_anchors) == (2.5, 2)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(InputError, match="no loss tripplet"):
        new_loss("tripplet")


def test_the_catalogue_says_what_the_classes_take() -> None:
    assert {choice.name for choice in RELEVANCE_LOSSES} == set(LOSS_CLASSES)
    for choice in RELEVANCE_LOSSES:
        loss = new_loss(choice.name)
        assert dataclasses.is_dataclass(loss)
        assert dataclasses.asdict(loss) == choice.values(), choice.name
