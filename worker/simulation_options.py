"""What a simulation is asked to do, checked before any work is done."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from annealing.strategies import STRATEGIES
from archive.decode import COLOUR_BANDS
from domain.answers import Propagation
from domain.config import Backbone, Depth, SelectionSettings, TrainingSettings, Views
from domain.descriptors import PLAIN, Descriptor
from domain.errors import InputError
from training.device import resolve_device
from workflow.speed import depth_used

DEFAULT_CACHE = Path("~/.cache/anneal")

_CHOICES = {
    "depth": tuple(each.value for each in Depth),
    "initial": ("class", "pairs", "none"),
    "views": tuple(each.value for each in Views),
    "retrieval_space": ("auto", "head", "backbone"),
    "propagation": (None, *(each.value for each in Propagation)),
    "backbone": tuple(each.value for each in Backbone),
    "clip": ("none", "means"),
    "gain": ("labels", "entropy"),
}
_BY_CLASSES = ("cal", "all")  # ask for class labels, not about pairs
COMPONENTS = "components"
_FREE_TO_CHANGE = (  # the archive's digest stands for the images and the weights
    *("images", "weights", "out", "cache"),
    *("strategies", "lams", "seeds", "device", "processes"),
)


@dataclass(frozen=True)
class Variant:
    """A strategy, with MGUE's λ where it reads it."""

    strategy: str
    lam: float | None = None

    @property
    def label(self) -> str:
        """As it stands in pictures and progress."""
        return self.strategy if self.lam is None else f"{self.strategy} λ={self.lam:g}"

    @property
    def has_classifier(self) -> bool:
        """Whether a classifier of pairs is trained."""
        return self.strategy.startswith("bcgue")


@dataclass(frozen=True)
class SimulationOptions:
    """A simulation of the loop on an archive whose folders are classes.

    Attributes:
        images: the archive; only read.
        out: where `curve.csv`, `curve.png` and `options.json` are written.
        strategies: names of `annealing.strategies`, `cal` and `all` (the upper bound).
        rounds: R, after the initial set.
        bits_per_round: H, questions a round.
        seeds: each redraws split, initial set and everything random.
        depth: `full` retrains the backbone on all that is known after each round; `head`; `auto`:
            full on a GPU.
        weights: of the backbone; None downloads them.
        propagation: how far answers spread; None: one step, and closure for `components`.
        noise: chance that an answer to a question is the wrong one; class labels of the initial
            set are no questions.
        confusion: the same for pairs of two classes that look alike.
        strict: `components` asks a round's questions as they were chosen before its first answer.
        grids: up to so many questions of a chain are answered at one look; 0: one by one.
        repeat_share: of the answers of `components`, how many are to pairs for the second time;
            they count as bits, and the share of wrong answers is reckoned from them.
        assumed_error: what `components` takes the share of wrong answers for.
        initial: `class`: class labels of 5 % of the training images, turned into pairs; `pairs`:
            H questions of a cold start; `none`: the first round starts from nothing.
        lams: λ of MGUE; with several, it is simulated with each.
        clip: of MGUE.
        guard: whether MGUE leaves a threshold that is of no use, as it does in projects.
        implied_gain: η, how much counts what answers imply.
        gain: in which that counts, see `SelectionSettings`.
        retrieval_space: what is evaluated: the head's output (`head`) or the backbone's features
            (`backbone`), which at head depth no round changes; `auto`: the head's output at head
            depth, the backbone's features at full depth, as in the paper.
        views: `multi`: features averaged over turned, mirrored and enlarged views; round −1 too.
        descriptor: how each view becomes a feature.
        bands: of an image; 3 are red, green and blue.
        cache: features, shared by all simulations.
        device: auto, cpu or cuda.
        processes: seeds simulated at the same time, each in a process of its own.
        training: of the heads, and of backbones.
    """

    images: Path
    out: Path
    strategies: tuple[str, ...] = ("mgue",)
    rounds: int = 4
    bits_per_round: int = 369
    seeds: tuple[int, ...] = (0, 1, 2)
    depth: str = "auto"
    backbone: str = Backbone.RESNET18.value
    weights: Path | None = None
    image_size_px: int = 224
    propagation: str | None = None
    noise: float = 0.0
    confusion: float = 0.0
    strict: bool = False
    grids: int = 0
    repeat_share: float = 0.0
    assumed_error: float = SelectionSettings().assumed_error
    initial: str = "class"
    lams: tuple[float, ...] = (3.0,)
    clip: str = "none"
    guard: bool = False
    implied_gain: float = 0.0
    gain: str = "labels"
    retrieval_space: str = "auto"
    views: str = Views.SINGLE.value
    descriptor: Descriptor = PLAIN
    bands: int = COLOUR_BANDS
    cache: Path = DEFAULT_CACHE
    device: str = "auto"
    processes: int = 1
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def selection(self, variant: Variant) -> SelectionSettings:
        """The settings that a strategy reads; where BCGUE asks as MGUE does, λ is the paper's."""
        values = {
            "clip": self.clip,
            "guard_threshold": self.guard,
            "implied_gain": self.implied_gain,
            "gain": self.gain,
        }
        if variant.lam is not None:
            values["lambda"] = variant.lam
        return SelectionSettings.model_validate(values)

    @property
    def is_full(self) -> bool:
        """Whether the backbone is retrained.

        Raises:
            InputError: a GPU is asked for and absent.
        """
        device = resolve_device(self.device).type
        return depth_used(Depth(self.depth), device) is Depth.FULL

    @property
    def ranks_by_backbone(self) -> bool:
        """Whether the backbone's features are evaluated, whatever the head makes of them."""
        if self.retrieval_space == "auto":
            return self.is_full
        return self.retrieval_space == "backbone"

    @property
    def spread(self) -> Propagation:
        """How far answers spread where the strategy does not say."""
        return Propagation(self.propagation or Propagation.ONE_STEP)

    def variants(self) -> list[Variant]:
        """What is simulated; only MGUE reads λ."""
        return [
            Variant(name, lam if name.startswith("mgue") else None)
            for name in self.strategies
            for lam in (self.lams if name.startswith("mgue") else self.lams[:1])
        ]

    def identity(self) -> dict[str, Any]:
        """What is asked that a row depends on; its variant, seed and archive are told beside it."""
        values = {k: v for k, v in asdict(self).items() if k not in _FREE_TO_CHANGE}
        values["training"] = self.training.model_dump(mode="json")
        values["descriptor"] = self.descriptor.model_dump(mode="json")
        depth = Depth.FULL if self.is_full else Depth.HEAD
        values["depth"], values["propagation"] = depth.value, self.spread.value
        return values


def checked(options: SimulationOptions) -> SimulationOptions:
    """The options, repeats of strategies and seeds taken out, `~` in paths resolved.

    Raises:
        InputError: a value is not allowed, or does not go with another.
    """
    for name in options.strategies or ("",):
        _check_choice("strategy", name, (*STRATEGIES, COMPONENTS, *_BY_CLASSES))
    for name, allowed in _CHOICES.items():
        _check_choice(name, getattr(options, name), allowed)
    _check_numbers(options)
    if COMPONENTS in options.strategies and options.propagation not in (None, "closure"):
        raise InputError(
            f"--propagation {options.propagation} with --strategy components, which sorts images "
            "into groups: its answers spread by closure.",
            "Leave --propagation out, or simulate components by itself.",
        )
    by_classes = [name for name in _BY_CLASSES if name in options.strategies]
    if options.is_full and by_classes:
        raise InputError(
            f"--strategy {by_classes[0]} at full depth; it learns from class labels, and backbones "
            "learn from answers about pairs.",
            f"Use --depth head, or leave {by_classes[0]} out.",
        )
    if "cal" in options.strategies and options.initial != "class":
        raise InputError(
            f"--strategy cal with --initial {options.initial}; it learns from class labels only.",
            "Use --initial class, or leave cal out.",
        )
    return replace(
        options,
        strategies=tuple(dict.fromkeys(options.strategies)),
        lams=tuple(dict.fromkeys(options.lams)),
        seeds=tuple(dict.fromkeys(options.seeds)),
        cache=options.cache.expanduser(),
    )


def _check_choice(name: str, value: str | None, allowed: Sequence[str | None]) -> None:
    if value in allowed:
        return
    values = ", ".join(each for each in allowed if each is not None)
    flag = f"--{name.replace('_', '-')}"
    raise InputError(f"{flag} {value!r} is not allowed; it must be one of {values}.")


def _check_numbers(options: SimulationOptions) -> None:
    least = {"rounds": 0, "grids": 0, "bits_per_round": 1, "processes": 1, "image_size_px": 32}
    for name, smallest in least.items():
        if getattr(options, name) < smallest:
            raise InputError(
                f"--{name.replace('_', '-')} {getattr(options, name)}; "
                f"it must be {smallest} or more."
            )
    if not options.seeds or min(options.seeds) < 0:
        raise InputError(
            f"--seeds {','.join(map(str, options.seeds))!r}; one or more numbers from 0 are "
            "needed.",
            "For instance --seeds 0,1,2.",
        )
    for name in ("noise", "confusion"):
        if not 0 <= getattr(options, name) <= 1:
            raise InputError(f"--{name} {getattr(options, name)}; it must lie in 0…1.")
    if not 0 <= options.repeat_share <= 0.5:
        raise InputError(f"--repeat-share {options.repeat_share}; it must lie in 0…0.5.")
    if not 0 <= options.assumed_error < 0.5:
        raise InputError(f"--assumed-error {options.assumed_error}; it must be below 0.5.")
    if not 0 <= options.implied_gain <= 1:
        raise InputError(f"--implied-gain {options.implied_gain}; it must lie in 0…1.")
    if not options.lams or not all(math.isfinite(lam) and lam >= 0 for lam in options.lams):
        shown = ",".join(f"{lam:g}" for lam in options.lams)
        raise InputError(
            f"--lambda {shown!r}; one or more numbers from 0 are needed.", "The paper takes 3."
        )
