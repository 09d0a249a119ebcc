"""How fast this project's worker is, and what that means for a training: measured, in words.

The worker writes it down, so that pages can tell without loading PyTorch.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from domain.config import Depth, FullDepthSettings
from domain.files import written_whole
from workflow.project import Project

_FILE = "speed.json"
_PASSES = 3.0  # forward and backward cost so many times a forward pass
_IMAGES_AN_ANCHOR, _IMAGES_AN_OTHER, _JUDGED_IMAGES = 3, 2, 400


@dataclass(frozen=True)
class Speed:
    """What the worker computes on, and how many images a second it gets through.

    Attributes:
        device: cpu or cuda.
        name: of the device, for people.
        embedded_per_s, trained_per_s: images; None before it was measured.
    """

    device: str
    name: str
    embedded_per_s: float | None = None
    trained_per_s: float | None = None


def read_speed(project: Project) -> Speed | None:
    """As the worker wrote it last; None before its first job."""
    try:
        return Speed(**json.loads((project.cache / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def note_speed(project: Project, device: str, name: str, **measured: float) -> None:
    """Write down what was measured on a device; what was measured on another is forgotten."""
    before = read_speed(project)
    kept: dict[str, Any] = asdict(before) if before is not None and before.name == name else {}
    text = json.dumps({**kept, "device": device, "name": name, **measured})
    project.cache.mkdir(parents=True, exist_ok=True)
    with written_whole(project.cache / _FILE) as draft:
        draft.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Place:
    """What a training ran on.

    Attributes:
        name: of the device, for people.
        bfloat16: whether its network computed in bfloat16 rather than in float32.
    """

    name: str
    bfloat16: bool

    @property
    def words(self) -> str:
        """Both in words."""
        return f"{self.name}, in bfloat16" if self.bfloat16 else self.name

    def as_dict(self) -> dict[str, str | bool]:
        """Both for programs."""
        return {"device": self.name, "bfloat16": self.bfloat16}


def trained_on(project: Project, depth: Depth) -> Place | None:
    """What the worker's newest training ran on, or would; None before its first job.

    Args:
        project: where the worker noted its device.
        depth: of the training; at head depth a network only makes features, on a GPU in bfloat16.
    """
    speed = read_speed(project)
    if speed is None:
        return None
    half = speed.device == "cuda"
    if depth_used(depth, speed.device) is Depth.FULL:
        half = project.config.training.full.in_bfloat16(speed.device)
    return Place(speed.name, half)


def depth_used(depth: Depth, device: str) -> Depth:
    """What `auto` means on a device."""
    if depth is not Depth.AUTO:
        return depth
    return Depth.FULL if device == "cuda" else Depth.HEAD


def expected_words(project: Project, depth: Depth) -> str:
    """How long a training of this depth takes here at most, in words."""
    speed = read_speed(project)
    if speed is None:
        return "How long it takes is known once the worker has embedded the images."
    if depth_used(depth, speed.device) is Depth.HEAD:
        return f"Seconds on this machine: {speed.name}."
    seconds = _full_depth_s(project.config.training.full, speed)
    if seconds is None:
        slow = "Some minutes" if speed.device == "cuda" else "An hour or more"
        return f"{slow} on this machine: {speed.name}."
    return f"Up to {_rounded(seconds)} on this machine: {speed.name}."


def _full_depth_s(settings: FullDepthSettings, speed: Speed) -> float | None:
    if speed.embedded_per_s is None:
        return None
    batch = _IMAGES_AN_ANCHOR * settings.batch_anchors + _IMAGES_AN_OTHER * settings.batch_others
    trained_per_s = speed.trained_per_s or speed.embedded_per_s / _PASSES
    looks = 1 + settings.most_steps / settings.evaluate_every
    return settings.most_steps * batch / trained_per_s + (
        looks * _JUDGED_IMAGES / speed.embedded_per_s
    )


def _rounded(seconds: float) -> str:
    if seconds < 90:
        return "a minute or two"
    if seconds < 5400:
        minutes = round(seconds / 60) if seconds < 1200 else 5 * round(seconds / 300)
        return f"{minutes} minutes"
    hours = round(seconds / 3600)
    return "an hour" if hours == 1 else f"{hours} hours"
