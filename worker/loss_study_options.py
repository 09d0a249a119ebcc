"""What a comparison of losses is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.answers import Propagation
from domain.config import FineTuningSettings, FullDepthSettings
from domain.errors import InputError
from domain.loss_catalogue import loss_choice, relevance_choice, sweep_choice
from domain.losses import AS_SET, NetworkVariant, Sweep, Value
from worker.loss_study_table import CHECKPOINT, FROZEN


@dataclass(frozen=True)
class Training:
    """A loss with the parameters that are not the default.

    Attributes:
        network: of whole networks, what differs from the others.
    """

    loss: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    network: NetworkVariant = AS_SET

    @property
    def name(self) -> str:
        """As it stands in tables."""
        parameters = (f"{name}={value}" for name, value in self.settings.items())
        return " ".join([self.loss, *parameters, *self.network.words])


@dataclass(frozen=True)
class StudyOptions:
    """A comparison of losses.

    Attributes:
        out: where `losses.csv`, `losses.png` and `options.json` are written.
        trainings: what is compared.
        seeds: each draws its own answers, or holds other images out.
        finetuning: how each is trained.
        propagation: with answers of a simulation, how far they imply others for the losses; None:
            as far as for the checkpoint.
        train_share: with class labels, the share of each class that is trained on.
        device: auto, cpu or cuda.
        gaps: whether to measure how far the loss of small batches is from that of all images.
        alone: whether each loss starts from the frozen features, in place of the checkpoint: a new
            head in as many steps as `finetuning` allows and with its batches, nothing held out;
            or the network as it was given.
        full: how whole networks are trained, in place of heads; its loss is replaced.
    """

    out: Path
    trainings: tuple[Training, ...]
    seeds: tuple[int, ...] = (0,)
    finetuning: FineTuningSettings = field(default_factory=FineTuningSettings)
    propagation: Propagation | None = None
    train_share: float = 0.5
    device: str = "auto"
    gaps: bool = False
    alone: bool = False
    full: FullDepthSettings | None = None

    @property
    def over(self) -> str:
        """What gains are counted from."""
        return FROZEN if self.alone else CHECKPOINT

    def identity(self) -> dict[str, Any]:
        """All that a row depends on but its training, its seed and what they learn from."""
        values = {"gaps": self.gaps, "alone": self.alone}
        if self.full is None:
            return {**values, "finetuning": self.finetuning.model_dump(mode="json")}
        return {**values, "full": self.full.model_dump(mode="json")}


def trainings_of(
    losses: tuple[str, ...],
    *,
    sweeps: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    full: bool = False,
) -> tuple[Training, ...]:
    """What is compared: these losses, and the settings of sweeps, each once.

    Args:
        settings: NAME=VALUE for all of the losses; one without that parameter is refused.
        full: whether whole networks learn, which can do so with more losses.

    Raises:
        InputError: an unknown loss, sweep or parameter, or a sweep of whole networks where heads
            learn.
    """
    choice = loss_choice if full else relevance_choice
    trainings = []
    for name in dict.fromkeys(losses):
        usual, values = choice(name).values(), choice(name).read(settings)
        trainings.append(Training(name, {k: v for k, v in values.items() if v != usual[k]}))
    for name in dict.fromkeys(sweeps):
        trainings += _swept(sweep_choice(name), full=full)
    return tuple({each.name: each for each in trainings}.values())


def _swept(sweep: Sweep, *, full: bool) -> list[Training]:
    if not full and sweep.networks != (AS_SET,):
        raise InputError(f"The sweep {sweep.name} is of whole networks.", "Add --depth full.")
    loss = (loss_choice if full else relevance_choice)(sweep.loss).name
    return [
        Training(loss, values, network) for network in sweep.networks for values in sweep.settings
    ]
