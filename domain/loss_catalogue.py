"""The losses that can be chosen, with what their parameters do and which values are worth trying.

`training.losses.catalogue` has the class of each name; a test holds the parameters to the classes'
fields and defaults.
"""

from collections.abc import Sequence
from typing import TypeVar

from domain.baseline_losses import BASELINE_LOSSES
from domain.errors import InputError
from domain.losses import LossChoice, LossParameter, Sweep, sweeps_of
from domain.ranking_losses import RANKING_LOSSES, RANKING_SWEEPS
from domain.tuple_losses import PEDC, TUPLE_LOSSES, TUPLE_SWEEPS

Choice = TypeVar("Choice", LossChoice, Sweep)

# Of embeddings and what is known of their pairs alone.
RELEVANCE_LOSSES = (
    LossChoice(
        name="contrastive",
        title="Contrastive",
        sentence="Pulls similar pairs together and pushes dissimilar ones below a margin.",
        source="ANNEAL, eq. 1",
        parameters=(
            LossParameter(
                "margin",
                0.5,
                "The cosine below which a dissimilar pair is left alone.",
                minimum=-1,
                maximum=1,
            ),
            LossParameter("balanced", True, "Whether both kinds of pairs weigh the same."),
        ),
    ),
    LossChoice(
        name="triplet",
        title="Triplet",
        sentence="Asks of each image that its similar ones are nearer than its dissimilar ones.",
        source="FaceNet (Schroff and others, 2015)",
        parameters=(
            LossParameter(
                "margin", 0.2, "How much nearer, as a distance (0 to 2).", minimum=0, maximum=2
            ),
            LossParameter(
                "mining",
                "all",
                "Every triplet, or the hardest of each image.",
                choices=("all", "hardest"),
            ),
        ),
    ),
    *RANKING_LOSSES,
    *TUPLE_LOSSES,
    *BASELINE_LOSSES,
)

LOSSES = (*RELEVANCE_LOSSES, PEDC)

SWEEPS: tuple[Sweep, ...] = (
    *(sweep for loss in LOSSES for sweep in sweeps_of(loss)),
    *RANKING_SWEEPS,
    *TUPLE_SWEEPS,
)


def loss_choice(name: str) -> LossChoice:
    """The loss of that name.

    Raises:
        InputError: there is none.
    """
    return _named(name, LOSSES, "loss")


def relevance_choice(name: str) -> LossChoice:
    """The loss of that name, of those that learn nothing beside the embedding.

    Raises:
        InputError: there is none.
    """
    return _named(name, RELEVANCE_LOSSES, "loss")


def sweep_choice(name: str) -> Sweep:
    """The sweep of that name.

    Raises:
        InputError: there is none.
    """
    return _named(name, SWEEPS, "sweep")


def _named(name: str, choices: Sequence[Choice], kind: str) -> Choice:
    for each in choices:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in choices)
    raise InputError(f"There is no {kind} {name}.", f"Take one of {known}.")
