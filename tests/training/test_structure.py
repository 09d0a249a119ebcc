"""The losses of what nobody answered: only the pairs they are about count, each once."""

import pytest
import torch

from training.losses.structure import neighbour_loss, structure_loss

NAN = float("nan")


def _at(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_it_is_the_mean_squared_change_of_unknown_cosines() -> None:
    frozen, moved = _at(0, 60, 90), 2 * _at(0, 90, 90)
    relevance = torch.tensor([[NAN, NAN, 1.0], [NAN, NAN, NAN], [1.0, NAN, NAN]])
    known_cosines = [(0.5, 0.0), (torch.deg2rad(torch.tensor(30.0)).cos().item(), 1.0)]
    expected = sum((before - after) ** 2 for before, after in known_cosines) / 2
    assert structure_loss(moved, frozen, relevance).item() == pytest.approx(expected, abs=1e-6)


def test_turning_everything_costs_nothing() -> None:
    assert structure_loss(_at(40, 80), _at(0, 40), torch.full((2, 2), NAN)).item() == pytest.approx(
        0, abs=1e-12
    )


def test_gradient_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    moved = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    frozen = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    relevance = torch.full((4, 4), NAN, dtype=torch.float64)
    relevance[0, 1] = relevance[1, 0] = 1
    assert torch.autograd.gradcheck(lambda e: structure_loss(e, frozen, relevance), (moved,))


def test_nothing_unknown_gives_zero_with_a_zero_gradient() -> None:
    moved = torch.randn(2, 3, requires_grad=True)
    loss = structure_loss(moved, torch.randn(2, 3), torch.ones(2, 2))
    loss.backward()
    assert loss.item() == 0
    assert moved.grad is not None
    assert not moved.grad.any()


def test_neighbours_are_pulled_together() -> None:
    neighbours = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert neighbour_loss(_at(0, 60, 0), neighbours).item() == pytest.approx(0.5)


def test_no_neighbours_give_zero_with_a_zero_gradient() -> None:
    moved = torch.randn(2, 3, requires_grad=True)
    loss = neighbour_loss(moved, torch.eye(2).bool())
    loss.backward()
    assert loss.item() == 0
    assert moved.grad is not None
    assert not moved.grad.any()
