"""Settings of a project, as they stand in `project.toml`; unknown names are errors."""

import difflib
import math
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain.answers import Propagation
from domain.descriptors import PLAIN, Descriptor, check_descriptor
from domain.errors import InputError, ProjectError
from domain.loss_catalogue import loss_choice
from domain.losses import Value


class Backbone(StrEnum):
    RESNET18 = "resnet18"
    RESNET50 = "resnet50"
    MOBILENET_V2 = "mobilenet_v2"
    VGG16 = "vgg16"
    DENSENET121 = "densenet121"
    # maps of three depths fused: of use once trained at full depth
    RESNET18_PBFFN = "resnet18_pbffn"
    RESNET50_PBFFN = "resnet50_pbffn"
    MOBILENET_V2_PBFFN = "mobilenet_v2_pbffn"
    VGG16_PBFFN = "vgg16_pbffn"
    DENSENET121_PBFFN = "densenet121_pbffn"
    S_CNN = "s_cnn"  # shallow, without pretrained weights


class Strategy(StrEnum):
    """How the next questions are chosen."""

    MGUE = "mgue"
    BCGUE = "bcgue"
    MGUE_NO_DIVERSITY = "mgue_no_diversity"
    BCGUE_NO_DIVERSITY = "bcgue_no_diversity"
    RANDOM = "random"
    COMPONENTS = "components"


class Layout(StrEnum):
    """Whether a folder of images is a class (used for simulation and evaluation only)."""

    AUTO = "auto"
    CLASSES = "classes"
    FLAT = "flat"


class Views(StrEnum):
    """How many views of an image its feature is made of."""

    SINGLE = "single"
    MULTI = "multi"


class Journal(StrEnum):
    """How the databases keep a transaction whole."""

    AUTO = "auto"  # wal, and nothing on a network file system
    WAL = "wal"  # a write-ahead log: people never wait for readers; one computer only
    DELETE = "delete"  # a rollback journal: slower, but works where WAL does not


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveSettings(_Settings):
    """Where the images are."""

    images: Path  # absolute, or relative to the project folder
    layout: Layout = Layout.AUTO


class ModelSettings(_Settings):
    """The backbone that turns an image into a feature vector."""

    backbone: Backbone = Backbone.RESNET18
    weights: Path | None = None  # a safetensors or .pth file; None: download, else warm up
    image_size_px: int = Field(default=224, ge=32, le=1024)
    # 3: red, green and blue, which every picture can give. Another number: all images are TIFF
    # files of so many bands, grey pictures for 1; people see the first three.
    bands: int = Field(default=3, ge=1, le=64)
    # multi: averaged over turned, mirrored and enlarged views, with an earlier stage beside it,
    # from when a job has embedded them. single: for archives in which up has a meaning, such as
    # street photographs, faces or scanned text.
    views: Views = Views.MULTI
    # How each view becomes a feature: [model.descriptor]; see there.
    descriptor: Descriptor = PLAIN

    @field_validator("descriptor")
    @classmethod
    def _descriptor_can_be_made(cls, descriptor: Descriptor, info: ValidationInfo) -> Descriptor:
        known = info.data  # what is wrong itself is not in it
        if {"backbone", "image_size_px"} <= known.keys():
            size_px = known["image_size_px"]
            check_descriptor(descriptor, backbone=known["backbone"].value, size_px=size_px)
        return descriptor


class SelectionSettings(_Settings):
    """Which pairs are asked (for MGUE and BCGUE: ANNEAL, sections on MGUE and diversity)."""

    # Needs the fewest answers where "similar" carries over: if A is like B and B like C, A like C.
    strategy: Strategy = Strategy.COMPONENTS
    pairs_per_round: int = Field(default=100, ge=1)  # a quarter of an hour of one person
    lambda_: float = Field(default=3.0, alias="lambda", ge=0)  # best of 1…6 in the paper
    clip: Literal["none", "means"] = "means"  # keep the threshold between the two means
    guard_threshold: bool = True  # ask elsewhere where the published threshold is of no use
    # Answers after which `components` learns by itself; 0: only when a lead starts a round.
    learn_every: int = Field(default=30, ge=0)
    # Share of wrong answers that `components` reckons with until hidden repeats show it.
    assumed_error: float = Field(default=0.05, ge=0, lt=0.5)
    implied_gain: float = Field(default=0.0, ge=0, le=1)  # η: how much counts what answers imply
    gain: Literal["labels", "entropy"] = "labels"  # entropy: times the bits that an answer brings
    candidate_factor: int = Field(default=4, ge=1)  # p = 4h in the paper
    similar_share: float = Field(default=0.05, gt=0, lt=1)  # expected share of similar pairs
    check_share: float = Field(default=0.05, ge=0, le=0.5)  # random pairs that measure the model
    # Questions beyond the round's own, for people who answer while the model learns: at two
    # seconds an answer 50 last longer than a round's training at head depth.
    spare_share: float = Field(default=0.5, ge=0, le=10)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def spare_pairs(self, pairs: int) -> int:
        """How many questions are asked beyond the `pairs` of a round."""
        return math.ceil(self.spare_share * pairs)


class AnnotatorSettings(_Settings):
    """Several people at work, and how far their answers hold."""

    # Members who are asked the same pair, for a share of all pairs; nobody waits for the further
    # ones, so that with one member these settings change nothing.
    overlap: int = Field(default=2, ge=1)
    overlap_share: float = Field(default=0.1, ge=0, le=1)  # 100 answers bring 10 common pairs
    # Share of a member's answers that repeat one of their own, unmarked; they measure the error.
    repeat_share: float = Field(default=0.03, ge=0, le=0.5)
    repeat_after: int = Field(default=50, ge=1)  # answers in between: nobody remembers the pair
    # Whether people who answer see neither what the model reckons nor that others disagree.
    blind: bool = True


class Depth(StrEnum):
    """How deep a training reaches."""

    AUTO = "auto"  # full on a GPU, head on a CPU
    HEAD = "head"  # the backbone stays as it is: seconds
    FULL = "full"  # the backbone is retrained first: minutes on a GPU, hours on a CPU


class FullDepthSettings(_Settings):
    """How the backbone learns from known pairs, beside what the head's settings say."""

    # A name of the catalogue of losses, or pedc: proxies of groups, and images turned.
    loss: str = "contrastive"
    # Of that loss, where not the default; the contrastive one has training.margin.
    parameters: dict[str, Value] = {}
    # As in the paper. 3e-5 learns half as fast, 3e-4 forgets where little is known of an image
    # (docs/decisions/0039-rate-at-full-depth.md).
    backbone_learning_rate: float = Field(default=1e-4, gt=0)
    # The head has learnt by itself before; what fuses maps learns as fast, and has not.
    head_learning_rate: float = Field(default=3e-4, gt=0)
    epochs: int = Field(default=15, ge=1)  # paper; an epoch has as many anchors as similar pairs
    fewest_steps: int = Field(default=60, ge=1)
    most_steps: int = Field(default=300, ge=1)
    # A batch has up to three images an anchor and two an other: about 90 in all.
    batch_anchors: int = Field(default=20, ge=1)
    batch_others: int = Field(default=16, ge=0)
    evaluate_every: int = Field(default=20, ge=1)  # steps between two looks at the selection set
    patience: int = Field(default=5, ge=1)  # looks without a better one that end the training
    # frozen: the statistics of the pretrained network; live: those of the batches, which are small
    # and picked, so that they suit other images less.
    batch_norm: Literal["frozen", "live"] = "frozen"
    half: Literal["auto", "yes", "no"] = "auto"  # bfloat16 in the network; auto: on a GPU
    # Images in the network at once; of more, the gradient is put together exactly from chunks at
    # the memory of one, at twice the time forward (OSAP, multistage back-propagation). 0: all.
    chunk_images: int = Field(default=0, ge=0)
    resident_mb: int = Field(default=2048, ge=0)  # of decoded images kept; more are read again
    smallest_area: float = Field(default=0.6, gt=0, le=1)  # share of an image that a crop shows
    colour: float = Field(default=0.2, ge=0, lt=1)  # brightness, contrast, saturation ± this
    blurred: float = Field(default=0.1, ge=0, le=1)  # share of images
    noisy: float = Field(default=0.1, ge=0, le=1)
    # How much a guess that is beyond doubt counts beside an answer, where answers sort images into
    # groups; 0: nothing is guessed. From 183 answers heads that learn by this loss reach 92.2
    # instead of 89.1 % mAP; 0.2 and 1 the same within a third of a point (docs/losses.md).
    guess_weight: float = Field(default=0.5, ge=0, le=1)

    def in_bfloat16(self, device: str) -> bool:
        """Whether the network computes in bfloat16 while it learns, on cpu or cuda."""
        return self.half == "yes" or (self.half == "auto" and device == "cuda")

    @field_validator("loss")
    @classmethod
    def _loss_has_a_name(cls, loss: str) -> str:
        try:
            return loss_choice(loss).name
        except InputError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _loss_has_the_parameters(self) -> Self:
        if self.parameters and self.loss == "contrastive":
            raise ValueError("the contrastive loss takes its margin from training.margin")
        try:
            loss_choice(self.loss).values(self.parameters)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self


class TrainingSettings(_Settings):
    """How the projection head, and at full depth the backbone, learn from known pairs."""

    depth: Depth = Depth.AUTO
    full: FullDepthSettings = FullDepthSettings()
    epochs: int = Field(default=15, ge=1)  # paper; an epoch has as many anchors as similar pairs
    fewest_steps: int = Field(default=150, ge=1)  # with 100 answers 15 epochs are a few batches
    most_steps: int = Field(default=400, ge=1)  # 600 and 1000 brought nothing but took longer
    batch_anchors: int = Field(default=48, ge=1)  # each with a similar and a dissimilar partner
    batch_others: int = Field(default=64, ge=0)  # any images, for the structure that is kept
    # How much the head must keep the frozen cosines of pairs that nobody answered. Without it a
    # head trained on a few hundred answers retrieves worse than the frozen features.
    structure_weight: float = Field(default=1.0, ge=0)
    # Mutual nearest neighbours in the frozen features come a little closer: 86.0, not 83.8 mAP@5.
    neighbours: int = Field(default=3, ge=0)
    neighbour_weight: float = Field(default=0.05, ge=0)
    components: int = Field(default=256, ge=0)  # principal ones; 0: all, at three times the time
    # Eq. 1; the paper takes 0.5. Pushing dissimilar pairs further apart narrows their spread, which
    # lowers MGUE's threshold from typical similar pairs to ambiguous ones: 95.0, not 93.4 mAP@5.
    margin: float = Field(default=0.2, ge=-1, le=1)
    # BCGUE's share γ of eq. 11, which the paper does not give; 0.5 weighs both losses alike.
    classifier_weight: float = Field(default=0.5, ge=0, le=1)
    classifier_symmetric: bool = True  # False: the paper's, which depends on a pair's order
    learning_rate: float = Field(default=1e-3, gt=0)
    hidden: int = Field(default=512, ge=1)  # paper
    out: int = Field(default=256, ge=1)  # paper


class FineTuningSettings(_Settings):
    """How a checkpoint is trained further with another loss."""

    steps: int = Field(default=80, ge=1)  # at most; held-out images say where to stop
    check_steps: int = Field(default=20, ge=1)  # between two looks at the held-out images
    learning_rate: float = Field(default=1e-3, gt=0)  # with a tenth of it hardly anything moved
    # Losses of rankings want many images of known relations at once: this gives about 500.
    batch_anchors: int = Field(default=128, ge=1)
    batch_others: int = Field(default=128, ge=0)
    structure_weight: float = Field(default=1.0, ge=0)  # as under [training], of the checkpoint's
    network_rate: float = Field(default=1.0, gt=0)  # of the learning rates under [training.full]
    # As under [training.full]; a head of groups has learnt its guesses already, and gains nothing.
    guess_weight: float = Field(default=0.0, ge=0, le=1)


class StoreSettings(_Settings):
    """How people's work is kept."""

    journal: Journal = Journal.AUTO


class BackupSettings(_Settings):
    """Copies that the worker makes by itself."""

    every_hours: float = Field(default=24.0, ge=0)  # 0: none; none either where nothing is new
    keep: int = Field(default=7, ge=1)  # a week; older ones that it made itself are deleted
    folder: Path = Path("backups")  # absolute, or relative to the project; better another disk
    with_model: bool = True  # also the files of the model in use, which search needs


class ProjectConfig(_Settings):
    """Everything that is set once a project."""

    name: str
    archive: ArchiveSettings
    model: ModelSettings = ModelSettings()
    selection: SelectionSettings = SelectionSettings()
    annotators: AnnotatorSettings = AnnotatorSettings()
    training: TrainingSettings = TrainingSettings()
    finetuning: FineTuningSettings = FineTuningSettings()
    store: StoreSettings = StoreSettings()
    backup: BackupSettings = BackupSettings()
    propagation: Propagation = Propagation.CLOSURE
    seed: int = 0


def read_config(path: Path) -> ProjectConfig:
    """The settings in a `project.toml`.

    Raises:
        ProjectError: the file is missing or no TOML.
        InputError: a name is unknown (with the nearest valid one) or a value is not allowed.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be read: {error.strerror}.",
            'Make a project with "python cli.py init --images DIR" or "init --demo".',
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path} is not valid TOML: {error}.", "Mend that line.") from error
    try:
        return ProjectConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(_explain(path, error), "Mend the file and try again.") from error


def config_toml(config: ProjectConfig) -> str:
    """All settings as TOML text, as a run keeps them; `read_config` gives the same back."""
    return tomli_w.dumps(config.model_dump(mode="json", by_alias=True, exclude_none=True))


def project_toml(config: ProjectConfig) -> str:
    """The settings that differ from the defaults, so that better defaults reach old projects."""
    chosen = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return tomli_w.dumps(chosen)


def _explain(path: Path, error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"])
    if first["type"] != "extra_forbidden":
        why = first["msg"].removeprefix("Value error, ").rstrip(".")
        return f"{path.name}: {name} = {first['input']!r}; {why}."
    near = difflib.get_close_matches(str(first["loc"][-1]), _known_names(ProjectConfig), n=1)
    meant = f'; did you mean "{near[0]}"?' if near else "."
    return f'{path.name}: unknown setting "{name}"{meant}'


def _known_names(model: type[BaseModel]) -> list[str]:
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(field.alias or name)
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += _known_names(inner)
    return names
