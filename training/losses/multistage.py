"""The exact gradient of a loss of many images, in the memory of a few.

A loss that ranks needs many images at once, and a network's activations of 512 images fill any
device. But the gradient of the embeddings is all that the network needs to know of the loss: (1)
embed all images a chunk at a time and keep nothing else, (2) compute the loss of all embeddings and
its gradient, (3) embed each chunk again, and hand it its part of that gradient. The parts add up to
the gradient of the whole, whatever the chunks, since it is linear in them; the price is a second
forward pass.

That holds only if an image is embedded alike both times. Batch normalisation is therefore frozen
meanwhile (its running statistics are used and stay as they are), and what chance decides, such as
dropout and augmentation, is decided alike for the same chunk.

Source: OSAP, memory-free multistage back-propagation; the same idea is known as gradient caching
(Gao and others, 2021).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from domain.errors import InputError
from training.losses.relevance import LossValue

Loss = Callable[[Tensor], LossValue]


def multistage_backward(
    network: nn.Module,
    inputs: Tensor,
    loss: Loss,
    *,
    chunk_rows: int,
    generators: Sequence[torch.Generator] = (),
) -> LossValue:
    """Add the gradient of a loss to that of the network's parameters, in the memory of a chunk.

    Args:
        network: embeds [C, …] as [C, D], each row by itself; may augment. Batch normalisation
            in it is frozen meanwhile.
        inputs: [N, …] images, or whatever the network takes.
        loss: takes all embeddings [N, D]. What it learns itself gets its gradient too.
        chunk_rows: how many rows are embedded at a time, 1 or more; N or more embeds all at
            once, with a single forward pass.
        generators: those that the network draws from beside PyTorch's own of the CPU and of the
            inputs' device.

    Returns:
        The loss, without a graph. Without valid anchors the gradient is 0: skip the step.

    Generators end where a single pass over all chunks would have left them.

    Raises:
        InputError: chunk_rows is below 1.

    Source: OSAP, section on multistage back-propagation.
    """
    if chunk_rows < 1:
        raise InputError(f"chunk_rows = {chunk_rows}; must be 1 or more.", "Take 16, for example.")
    with frozen_batch_norm(network):
        if chunk_rows >= len(inputs):
            found = loss(network(inputs))
            _backward(found.value)
            return LossValue(found.value.detach(), found.valid_anchors)
        chunks = torch.split(inputs, chunk_rows)
        chance = _Chance.of(inputs.device, generators)
        embeddings, states = _embedded(network, chunks, chance)
        found = loss(embeddings.requires_grad_())
        _backward(found.value)
        after = chance.states()
        gradient = torch.zeros_like(embeddings) if embeddings.grad is None else embeddings.grad
        for chunk, state, part in zip(
            chunks, states, torch.split(gradient, chunk_rows), strict=True
        ):
            if part.any():
                chance.set(state)
                network(chunk).backward(gradient=part)
        chance.set(after)
    return LossValue(found.value.detach(), found.valid_anchors)


@contextmanager
def frozen_batch_norm(network: nn.Module) -> Iterator[None]:
    """Batch normalisation by the running statistics, which stay as they are; as before after."""
    live = [each for each in network.modules() if isinstance(each, _BatchNorm) and each.training]
    for module in live:
        module.eval()
    try:
        yield
    finally:
        for module in live:
            module.train()


@dataclass(frozen=True)
class _Chance:
    """Everything a network may draw from."""

    generators: tuple[torch.Generator, ...]

    @classmethod
    def of(cls, device: torch.device, own: Sequence[torch.Generator]) -> "_Chance":
        generators = [torch.default_generator, *own]
        if device.type == "cuda":
            torch.cuda.init()  # type: ignore[no-untyped-call]
            generators.append(
                torch.cuda.default_generators[device.index or torch.cuda.current_device()]
            )
        return cls(tuple(generators))

    def states(self) -> list[Tensor]:
        return [generator.get_state() for generator in self.generators]

    def set(self, states: list[Tensor]) -> None:
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)


def _embedded(
    network: nn.Module, chunks: Sequence[Tensor], chance: _Chance
) -> tuple[Tensor, list[list[Tensor]]]:
    """The embeddings [N, D] without a graph, and what chance was before each chunk."""
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(chance.states())
            parts.append(network(chunk))
    return torch.cat(parts), states


def _backward(value: Tensor) -> None:
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
