"""What heads and networks are trained for, by the name of a loss."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from domain.arrays import FloatArray
from domain.config import TrainingSettings
from domain.losses import Value
from domain.tuple_losses import PEDC
from training.guesses import Guesses
from training.losses.catalogue import new_loss
from training.objectives import Objective, PairObjective, RelevanceObjective
from training.proxy_objective import (
    ImageGroups,
    ProxyObjective,
    ProxySettings,
    first_proxies,
    groups_of_pairs,
)
from training.trainer import KnownPairs

NewObjective = Callable[[KnownPairs, FloatArray, Guesses | None], Objective]
"""Makes an objective, with its parameters, for what is to be learnt.

Takes the known pairs of rows of the training images, the embeddings [N, D] of these before the
training, and what is guessed of other pairs. Raises `InputError` where that cannot be learnt from.
"""


def settings_objective(
    settings: TrainingSettings, *, seed: int, device: torch.device, turned: bool = False
) -> NewObjective:
    """What makes the objective that `settings.full` names; of contrastive also by the margin.

    Args:
        settings: see there.
        seed, device, turned: see `loss_objective`.
    """
    full = settings.full
    if full.loss == "contrastive":
        return lambda *_: PairObjective(settings)
    return loss_objective(full.loss, full.parameters, seed=seed, device=device, turned=turned)


def loss_objective(
    loss: str,
    parameters: Mapping[str, Value],
    *,
    seed: int,
    device: torch.device,
    turned: bool = False,
) -> NewObjective:
    """What makes the objective of any loss of the catalogue.

    For `pedc` groups are made from known pairs, and guesses add images to them; the proxies start
    where the groups are.

    Args:
        loss: its name.
        parameters: those that are not given have their defaults.
        seed: of what an objective draws.
        device: where to train.
        turned: whether images will be shown turned, too, where an objective wants them.

    Raises:
        InputError: there is no such loss or parameter, or a value is not allowed. What is made
            for `pedc` raises it without two groups that are known to be different, unless it can
            learn from turned images.
    """
    if loss != PEDC.name:
        objective = RelevanceObjective(new_loss(loss, parameters))
        return lambda *_: objective
    new_settings: Callable[..., ProxySettings] = ProxySettings
    settings = new_settings(**PEDC.values(parameters))

    def made(known: KnownPairs, embeddings: FloatArray, guesses: Guesses | None) -> Objective:
        groups = _groups(known, guesses, images=len(embeddings))
        proxies = first_proxies(embeddings, groups)
        generator = torch.Generator().manual_seed(seed)
        return ProxyObjective(
            groups, proxies, settings, generator=generator, device=device, turned=turned
        )

    return made


def _groups(known: KnownPairs, guesses: Guesses | None, *, images: int) -> ImageGroups:
    rows, similar = known.rows, known.similar
    if guesses is not None:
        links = guesses.links(known.rows)
        rows = np.concatenate([rows, links])
        similar = np.concatenate([similar, np.ones(len(links), dtype=bool)])
    return groups_of_pairs(rows, similar, images=images)
