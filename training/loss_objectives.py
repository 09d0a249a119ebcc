"""What a network is trained for, by the name that settings give it."""

import numpy as np
import torch

from domain.arrays import FloatArray
from domain.config import TrainingSettings
from domain.tuple_losses import PEDC
from training.guesses import Guesses
from training.losses.catalogue import new_loss
from training.objectives import Objective, PairObjective, RelevanceObjective
from training.proxy_objective import ProxyObjective, ProxySettings, first_proxies, groups_of_pairs
from training.trainer import KnownPairs


def new_objective(
    settings: TrainingSettings,
    known: KnownPairs,
    embeddings: FloatArray,
    *,
    guesses: Guesses | None = None,
    seed: int,
    device: torch.device,
) -> Objective:
    """The objective that `settings.full` names, with its parameters.

    Args:
        settings: see there; of the contrastive loss also the margin.
        known: pairs of rows of the training images, from which groups are made for `pedc`.
        embeddings: [N, D] of the training images before the training; proxies start there.
        guesses: about pairs that are not known; they add images to the groups for `pedc`.
        seed: of what an objective draws.
        device: where to train.

    Raises:
        InputError: `pedc` without two groups that are known to be different.
    """
    name = settings.full.loss
    if name == "contrastive":
        return PairObjective(settings)
    if name != PEDC.name:
        return RelevanceObjective(new_loss(name, settings.full.parameters))
    rows, similar = known.rows, known.similar
    if guesses is not None:
        links = guesses.links(known.rows)
        rows = np.concatenate([rows, links])
        similar = np.concatenate([similar, np.ones(len(links), dtype=bool)])
    groups = groups_of_pairs(rows, similar, images=len(embeddings))
    parts = PEDC.values(settings.full.parameters)
    return ProxyObjective(
        groups,
        first_proxies(embeddings, groups),
        ProxySettings(**{part: float(value) for part, value in parts.items()}),
        generator=torch.Generator().manual_seed(seed),
        device=device,
    )
