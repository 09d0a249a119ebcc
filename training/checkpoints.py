"""A trained head in one safetensors file: weights, the statistics they need, what they are.

The rest of a run directory is written by `workflow.run_files`, which does not load PyTorch.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from domain.errors import ModelError, shortened
from training.head import Projection, Standardise, TrainedHead

_FORMAT = "1"  # raised when older programs could no longer read the file


def save_head(head: TrainedHead, path: Path) -> None:
    """Write the head; `load_head` gives one that embeds bit by bit the same."""
    state = {name: value.cpu().contiguous() for name, value in head.module.state_dict().items()}
    kind = "frozen" if head.is_frozen else "projection"
    save_file(state, path, metadata={"format": _FORMAT, "kind": kind})


def load_head(path: Path, *, device: str = "cpu") -> TrainedHead:
    """The head in a file that `save_head` wrote, in evaluation mode.

    Raises:
        ModelError: the file is missing, damaged, from a newer version, or no head.
    """
    metadata, state = _read(path)
    if metadata.get("format") != _FORMAT:
        raise ModelError(
            f"{path} has the checkpoint format {metadata.get('format')!r}; "
            f"this version reads {_FORMAT!r}.",
            "Train again, or use the version of the program that wrote it.",
        )
    try:
        module = _empty(metadata.get("kind", ""), state)
        module.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path} does not hold a head: it has {shortened(sorted(state)) or 'no tensors'} "
            f"({error}).",
            "Activate another run, or train again.",
        ) from error
    return TrainedHead(module.eval().to(device))


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as opened:
            metadata = dict(opened.metadata() or {})
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint: {error}.",
            "Activate another run, or train again.",
        ) from error
    broken = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ModelError(
            f"{path} holds values that are not numbers in {shortened(broken)}.", "Train again."
        )
    return metadata, state


def _empty(kind: str, state: dict[str, Tensor]) -> Projection | Standardise:
    """A module of the sizes that the file has."""
    prefix = {"frozen": "", "projection": "standardise."}[kind]
    width, components = len(state[prefix + "mean"]), state[prefix + "rotation"].shape[1]
    standardise = Standardise(width, components)
    if kind == "frozen":
        return standardise
    return Projection(standardise, state["first.weight"].shape[0], state["second.weight"].shape[0])
