"""A head comes back from its file as it was; anything else in the file is a clear error."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from domain.config import TrainingSettings
from domain.errors import ModelError
from tests.training.clusters import clusters
from training.checkpoints import load_head, save_head
from training.head import TrainedHead, fitted_standardise, frozen_head, new_projection

FEATURES = clusters().features


def _heads() -> list[TrainedHead]:
    settings = TrainingSettings(hidden=6, out=4)
    projections = [
        new_projection(
            fitted_standardise(FEATURES, components=components),
            settings,
            generator=torch.Generator().manual_seed(0),
        )
        for components in (0, 7)
    ]
    return [frozen_head(FEATURES), *(TrainedHead(each.eval()) for each in projections)]


@pytest.mark.parametrize("head", _heads(), ids=["frozen", "projection", "components"])
def test_a_head_embeds_bit_by_bit_the_same_after_reading(head: TrainedHead, tmp_path: Path) -> None:
    save_head(head, tmp_path / "head.safetensors")
    read = load_head(tmp_path / "head.safetensors")
    assert read.is_frozen == head.is_frozen
    assert np.array_equal(read.embed(FEATURES), head.embed(FEATURES))
    assert not read.module.training


def _saved(tmp_path: Path) -> Path:
    path = tmp_path / "head.safetensors"
    save_head(_heads()[1], path)
    return path


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _garbage(path: Path) -> None:
    path.write_bytes(b"no safetensors at all")


def _missing(path: Path) -> None:
    path.unlink()


def _without_layer(path: Path) -> None:
    state = load_file(path)
    del state["second.weight"]
    save_file(state, path, metadata={"format": "1", "kind": "projection"})


def _wrong_shape(path: Path) -> None:
    state = load_file(path)
    state["first.weight"] = torch.zeros(6, 3)
    save_file(state, path, metadata={"format": "1", "kind": "projection"})


def _not_a_number(path: Path) -> None:
    state = load_file(path)
    state["first.bias"][2] = float("nan")
    save_file(state, path, metadata={"format": "1", "kind": "projection"})


def _newer(path: Path) -> None:
    save_file(load_file(path), path, metadata={"format": "2", "kind": "projection"})


def _other_kind(path: Path) -> None:
    save_file(load_file(path), path, metadata={"format": "1", "kind": "tree"})


def _scalar(path: Path) -> None:
    state = load_file(path) | {"standardise.mean": torch.tensor(1.0)}
    save_file(state, path, metadata={"format": "1", "kind": "projection"})


def _plain_weights(path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut, "cannot be read"),
        (_garbage, "cannot be read"),
        (_missing, "cannot be read"),
        (_without_layer, "does not hold a head"),
        (_wrong_shape, "does not hold a head"),
        (_not_a_number, "first.bias"),
        (_newer, "format '2'"),
        (_other_kind, "does not hold a head"),
        (_scalar, "does not hold a head"),
        (_plain_weights, "format None"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_is_no_head_is_a_clear_error(spoil: object, words: str, tmp_path: Path) -> None:
    path = _saved(tmp_path)
    spoil(path)  # type: ignore[operator]
    with pytest.raises(ModelError, match=words):
        load_head(path)
