"""Multistage back-propagation gives the gradient of one pass, whatever the chunks."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from domain.errors import InputError
from training.losses.catalogue import LOSS_CLASSES, new_loss
from training.losses.contrastive import Contrastive
from training.losses.multistage import Loss, frozen_batch_norm, multistage_backward
from training.losses.osap import OSAP
from training.losses.relevance import LossValue, RelevanceLoss, relevance_of_classes

ORACLE = json.loads((Path(__file__).parents[1] / "fixtures" / "oracles_osap.json").read_text())
RELEVANCE = relevance_of_classes(torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, -1, 2]))


def small_network(*, dropout: float = 0.0) -> nn.Module:
    """Convolution, batch normalisation in training mode with statistics of its own, linear."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).double()
    network(torch.randn(32, 3, 10, 10, dtype=torch.float64) * 3 + 1)
    return network


def images(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(12, 3, 10, 10, generator=generator, dtype=torch.float64)


def on(loss: RelevanceLoss) -> Loss:
    return lambda embeddings: loss(embeddings, RELEVANCE)


def gradients(network: nn.Module) -> Tensor:
    return torch.cat(
        [each.grad.flatten() for each in network.parameters() if each.grad is not None]
    )


def at_once(network: nn.Module, inputs: Tensor, loss: Loss) -> tuple[Tensor, LossValue]:
    """One forward and one backward pass."""
    network.zero_grad()
    with frozen_batch_norm(network):
        found = loss(network(inputs))
        found.value.backward()
    return gradients(network), found


@pytest.mark.parametrize("chunk_rows", [1, 5, 12, 100])
@pytest.mark.parametrize("name", sorted(LOSS_CLASSES))
def test_every_loss_has_the_gradient_of_one_pass(name: str, chunk_rows: int) -> None:
    network, loss = small_network(), on(new_loss(name))
    expected, value = at_once(network, images(), loss)
    network.zero_grad()
    found = multistage_backward(network, images(), loss, chunk_rows=chunk_rows)
    torch.testing.assert_close(gradients(network), expected, rtol=1e-10, atol=1e-10)
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found.value, value.value.detach())
    assert found.valid_anchors == value.valid_anchors > 0
    assert not found.value.requires_grad


@pytest.mark.parametrize("chunk_rows", [1, 2, 4, 6])
def test_the_gradient_is_the_oracles(chunk_rows: int) -> None:
    oracle = ORACLE["mfm"]
    layer = nn.Linear(4, 3, bias=False).double()
    layer.weight.data = torch.tensor(oracle["inputs"]["W"], dtype=torch.float64).T
    relevance = relevance_of_classes(torch.tensor(oracle["inputs"]["labels"]))
    contrastive = Contrastive(margin=0.1, balanced=False)
    found = multistage_backward(
        nn.Sequential(layer, nn.Tanh()),
        torch.tensor(oracle["inputs"]["X"], dtype=torch.float64),
        lambda embeddings: contrastive(embeddings, relevance),
        chunk_rows=chunk_rows,
    )
    assert found.value.item() == pytest.approx(oracle["expected"]["loss"], abs=1e-9)
    expected = torch.tensor(oracle["expected"]["grad_W"], dtype=torch.float64).T
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, expected, atol=1e-9, rtol=0)


def test_gradients_add_up_over_calls() -> None:
    network = small_network()
    multistage_backward(network, images(), on(OSAP()), chunk_rows=4)
    once = gradients(network).clone()
    multistage_backward(network, images(), on(OSAP()), chunk_rows=5)
    torch.testing.assert_close(gradients(network), 2 * once)


def test_batch_normalisation_is_frozen_meanwhile_only() -> None:
    network = small_network()
    before = {name: each.clone() for name, each in network.named_buffers()}
    multistage_backward(network, images(), on(OSAP()), chunk_rows=4)
    assert all(torch.equal(before[name], each) for name, each in network.named_buffers())
    assert all(module.training for module in network.modules())


class Noisy(nn.Module):
    """Adds noise from a generator of its own, as an augmentation does, and remembers it."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator, self.seen = generator, []

    def forward(self, rows: Tensor) -> Tensor:
        noise = torch.randn(rows.shape, generator=self.generator, dtype=rows.dtype)
        self.seen.append(noise)
        return rows + noise


def test_chance_decides_the_same_in_both_passes() -> None:
    """The gradient is that of one pass over the images as they were augmented and dropped out."""
    generator = torch.Generator().manual_seed(7)
    noisy, network = Noisy(generator), small_network(dropout=0.5)
    torch.manual_seed(3)
    multistage_backward(
        nn.Sequential(noisy, network),
        images(),
        on(OSAP()),
        chunk_rows=5,
        generators=[generator],
    )
    found, (*first, second_1, second_2, second_3) = gradients(network).clone(), noisy.seen
    assert torch.equal(torch.cat(first), torch.cat([second_1, second_2, second_3]))
    torch.manual_seed(3)
    network.zero_grad()
    with frozen_batch_norm(network):  # dropout in three chunks, with a graph of all of them
        chunks = (images() + torch.cat(first)).split(5)
        OSAP()(torch.cat([network(chunk) for chunk in chunks]), RELEVANCE).value.backward()
    torch.testing.assert_close(found, gradients(network), rtol=1e-10, atol=1e-10)


def test_chance_goes_on_where_one_pass_would_have_left_it() -> None:
    generator = torch.Generator().manual_seed(7)
    network = nn.Sequential(Noisy(generator), small_network(dropout=0.5))
    torch.manual_seed(3)
    relevance = RELEVANCE.clone()
    relevance[10:] = relevance[:, 10:] = torch.nan  # the last chunk is not needed a second time
    multistage_backward(
        network,
        images(),
        lambda embeddings: OSAP()(embeddings, relevance),
        chunk_rows=5,
        generators=[generator],
    )
    found = (torch.rand(1), torch.rand(1, generator=generator))
    generator.manual_seed(7)
    torch.manual_seed(3)
    with torch.no_grad():
        for chunk in images().split(5):
            network(chunk)
    assert found == (torch.rand(1), torch.rand(1, generator=generator))


def test_weights_cast_for_half_precision_get_their_gradient() -> None:
    network = small_network().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        multistage_backward(network, images().float(), on(OSAP()), chunk_rows=5)
    found = gradients(network).clone()
    network.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, _ = at_once(network, images().float(), on(OSAP()))
    assert len(found) == len(expected)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.98


def test_what_the_loss_learns_itself_gets_its_gradient() -> None:
    network, weight = small_network(), torch.ones((), dtype=torch.float64, requires_grad=True)

    def weighted(embeddings: Tensor) -> LossValue:
        found = OSAP()(embeddings, RELEVANCE)
        return LossValue(weight * found.value, found.valid_anchors)

    found = multistage_backward(network, images(), weighted, chunk_rows=5)
    torch.testing.assert_close(weight.grad, found.value)


def test_nothing_known_gives_no_gradient() -> None:
    network = small_network()
    found = multistage_backward(
        network,
        images(),
        lambda embeddings: OSAP()(embeddings, torch.full((12, 12), torch.nan)),
        chunk_rows=5,
    )
    assert (found.value.item(), found.valid_anchors) == (0, 0)
    assert all(each.grad is None or not each.grad.any() for each in network.parameters())


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="chunk_rows = 0"):
        multistage_backward(small_network(), images(), on(OSAP()), chunk_rows=0)
