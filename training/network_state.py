"""Where a training stands, in one file that is there whole or not at all: to go on after a kill.

Network, optimiser, the best network so far, step and history. There is no state of random numbers:
each step draws from a generator of its own, made from seed and step.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from domain.files import written_whole

_FORMAT = "1"
_NETWORK, _OBJECTIVE, _BEST, _OPTIMISER = "network.", "objective.", "best.", "optimiser."

Tensors = dict[str, Tensor]


@dataclass
class Course:
    """How a training went so far; it is what changes from step to step beside the weights.

    Attributes:
        step: steps done.
        start, best: how well the selection set was told apart at step 0, and at best.
        best_step: after which step that was.
        best_network: the weights of then.
        looks_since: looks at the selection set without a better one.
        history: one mapping a look.
    """

    step: int = 0
    start: float = 0.0
    best: float = -1.0
    best_step: int = 0
    looks_since: int = 0
    best_network: Tensors = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        """All but the weights."""
        return {name: value for name, value in vars(self).items() if name != "best_network"}


@dataclass(frozen=True)
class Learners:
    """What a training changes.

    Attributes:
        parameters: that the objective learns itself.
    """

    network: nn.Module
    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer


def keep(path: Path, learners: Learners, course: Course, *, inputs: str) -> None:
    """Write where the training stands.

    Args:
        inputs: a fingerprint of all that the training depends on.
    """
    state = {_NETWORK + name: value for name, value in learners.network.state_dict().items()}
    state |= {_OBJECTIVE + str(n): each for n, each in enumerate(learners.parameters)}
    state |= {_BEST + name: value for name, value in course.best_network.items()}
    for place, values in learners.optimiser.state_dict()["state"].items():
        state |= {f"{_OPTIMISER}{place}.{name}": value for name, value in values.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    told = {"format": _FORMAT, "inputs": inputs, "course": json.dumps(course.told())}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as draft:
        save_file(plain, draft, told)


def resume(path: Path, learners: Learners, *, inputs: str) -> Course | None:
    """Put the learners where they stood; None, and nothing changed, if nothing fits was kept.

    A file that is missing, damaged, or of a training on other inputs counts as none.
    """
    try:
        with safe_open(path, "pt") as opened:
            told = dict(opened.metadata() or {})
            if (told.get("format"), told.get("inputs")) != (_FORMAT, inputs):
                return None
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        course = Course(**json.loads(told["course"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    course.best_network = _part(state, _BEST)
    learners.network.load_state_dict(_part(state, _NETWORK))
    with torch.no_grad():
        for number, parameter in enumerate(learners.parameters):
            parameter.copy_(state[_OBJECTIVE + str(number)])
    _fill_optimiser(learners.optimiser, _part(state, _OPTIMISER))
    return course


def _part(state: Tensors, prefix: str) -> Tensors:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def _fill_optimiser(optimiser: torch.optim.Optimizer, state: Tensors) -> None:
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    values: dict[int, Tensors] = {}
    for name, value in state.items():
        place, key = name.split(".", 1)
        like = parameters[int(place)]
        if value.shape == like.shape:  # in the layout of the parameter, which is quicker
            value = torch.empty_like(like).copy_(value)
        values.setdefault(int(place), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": values, "param_groups": groups})
