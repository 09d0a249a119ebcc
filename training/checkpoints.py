"""A trained head in one safetensors file: weights, the statistics they need, what they are.

The rest of a run directory is written by `workflow.run_files`, which does not load PyTorch.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from annealing.pair_classifier import PairClassifier
from domain.errors import ModelError, shortened
from training.group_head import GroupHead
from training.head import HeadModule, Projection, Standardise, TrainedHead

_CLASSIFIER = "classifier."
_CLASSIFIER_ARRAYS = ("left", "right", "first_bias", "second", "second_bias", "last")
_FORMAT = "1"  # raised when older programs could no longer read the file


def save_head(head: TrainedHead, path: Path) -> None:
    """Write the head; `load_head` gives one that embeds bit by bit the same."""
    state = {name: value.cpu().contiguous() for name, value in head.module.state_dict().items()}
    metadata = {"format": _FORMAT, "kind": head.module.kind}
    if head.classifier is not None:
        metadata["symmetric"] = str(head.classifier.symmetric)
        state |= {_CLASSIFIER + name: value for name, value in _tensors(head.classifier).items()}
    save_file(state, path, metadata=metadata)


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
        weights = {name: value for name, value in state.items() if not _is_classifiers(name)}
        module = _empty(metadata.get("kind", ""), weights)
        module.load_state_dict(weights)
        classifier = _classifier(metadata, state)
        _check_shapes(classifier, module)
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} does not hold a head: it has {shortened(sorted(state)) or 'no tensors'} "
            f"({error}).",
            "Activate another run, or train again.",
        ) from error
    return TrainedHead(module.eval().to(device), classifier=classifier)


def _tensors(classifier: PairClassifier) -> dict[str, Tensor]:
    values = {name: getattr(classifier, name) for name in _CLASSIFIER_ARRAYS}
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    return {**tensors, "last_bias": torch.tensor(classifier.last_bias, dtype=torch.float64)}


def _is_classifiers(name: str) -> bool:
    return name.startswith(_CLASSIFIER)


def _classifier(metadata: dict[str, str], state: dict[str, Tensor]) -> PairClassifier | None:
    if "symmetric" not in metadata:
        return None
    arrays = {name: state[_CLASSIFIER + name].numpy() for name in _CLASSIFIER_ARRAYS}
    return PairClassifier(
        **arrays,
        last_bias=float(state[_CLASSIFIER + "last_bias"]),
        symmetric=metadata["symmetric"] == "True",
    )


def _check_shapes(classifier: PairClassifier | None, module: HeadModule) -> None:
    if classifier is None:
        return
    width = module.out
    first, second = len(classifier.first_bias), len(classifier.second_bias)
    wanted = ((first, width), (first, width), (first,), (second, first), (second,), (second,))
    for name, shape in zip(_CLASSIFIER_ARRAYS, wanted, strict=True):
        found = getattr(classifier, name).shape
        if found != shape:
            raise ValueError(f"the classifier's {name} has shape {found}, not {shape}")


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


def _empty(kind: str, state: dict[str, Tensor]) -> HeadModule:
    """A module of the sizes that the file has."""
    prefix = {"frozen": "", "projection": "standardise.", "groups": "standardise."}[kind]
    width, components = len(state[prefix + "mean"]), state[prefix + "rotation"].shape[1]
    standardise = Standardise(width, components)
    if kind == "frozen":
        return standardise
    if kind == "groups":
        names = ("anchors", "weights", "likeness", "frozen")
        return GroupHead(standardise, **{name: state[name] for name in names})
    return Projection(standardise, state["first.weight"].shape[0], state["second.weight"].shape[0])
