"""The classifier of pairs: its losses, its training beside a head, and what comes out of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from domain.config import TrainingSettings
from domain.errors import ModelError
from tests.training.clusters import clusters
from training.checkpoints import load_head, save_head
from training.head import TrainedHead
from training.losses.contrastive import pair_contrastive_loss
from training.losses.pair_classification import joint_loss, pair_classification_loss
from training.pair_network import new_pair_network
from training.trainer import train_head

_ORACLE = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_training.json").read_text()
)["bcgue"]
QUICK = TrainingSettings(
    hidden=64, out=16, components=0, fewest_steps=150, most_steps=150, learning_rate=5e-3
)


def _trained(settings: TrainingSettings = QUICK) -> TrainedHead:
    archive = clusters()
    pairs, similar = archive.pairs(600)
    return train_head(
        archive.features,
        pairs,
        similar,
        np.ones(600),
        settings,
        seed=0,
        device=torch.device("cpu"),
        classifier=True,
    )


def test_losses_agree_with_the_worked_example() -> None:
    inputs, expected = _ORACLE["inputs"], _ORACLE["expected"]
    logit = {(a, b): value for a, b, value in inputs["logits"]}
    labelled = [(a, b) for a, b, _ in inputs["labelled_y"]]
    similar = torch.tensor([y == 1 for _, _, y in inputs["labelled_y"]])
    logits = torch.tensor([logit[each] for each in labelled], dtype=torch.float64)
    cosines = torch.tensor([s for _, _, s in inputs["labelled_s"]], dtype=torch.float64)
    contrastive = pair_contrastive_loss(cosines, similar, margin=inputs["m"])
    bce = pair_classification_loss(logits, similar, torch.ones(len(labelled)))
    assert contrastive.item() == pytest.approx(expected["L_CL"], abs=1e-9)
    assert bce.item() == pytest.approx(expected["L_BCE"], abs=1e-9)
    joint = joint_loss(contrastive, bce, gamma=inputs["gamma"])
    assert joint.item() == pytest.approx(expected["L_joint"], abs=1e-9)


@pytest.mark.parametrize("weights", [torch.zeros(2), torch.zeros(0)], ids=["weightless", "none"])
def test_nothing_to_learn_from_costs_nothing(weights: torch.Tensor) -> None:
    logits = torch.full((len(weights),), 3.0, requires_grad=True)
    loss = pair_classification_loss(logits, torch.ones(len(weights)) == 1, weights)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_network_and_what_it_exports_agree() -> None:
    network = new_pair_network(6, generator=torch.Generator().manual_seed(0))
    embeddings = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    pairs = np.stack(np.triu_indices(9, 1), axis=1)
    first, second = torch.from_numpy(pairs).T
    expected = torch.sigmoid(network(embeddings, first, second)).detach().numpy()
    literal = network.classifier(symmetric=False)
    found = literal.probabilities(embeddings.numpy(), pairs)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_joint_training_tells_unseen_pairs_apart(symmetric: bool) -> None:
    head = _trained(QUICK.model_copy(update={"classifier_symmetric": symmetric}))
    unseen = clusters(seed=1)
    pairs, similar = unseen.pairs(500, seed=2)
    assert head.classifier is not None
    assert head.classifier.symmetric == symmetric
    probability = head.classifier.probabilities(head.embed(unseen.features), pairs)
    assert probability[similar].mean() > probability[~similar].mean() + 0.3


def test_without_a_share_the_classifier_leaves_the_head_alone() -> None:
    """With γ = 0 the joint loss is the contrastive one, so the loss falls the same way."""
    joint = _trained(QUICK.model_copy(update={"classifier_weight": 0.0}))
    archive = clusters()
    pairs, similar = archive.pairs(600)
    cpu = torch.device("cpu")
    alone = train_head(archive.features, pairs, similar, np.ones(600), QUICK, seed=0, device=cpu)
    assert alone.classifier is None
    assert joint.history[0]["loss"] == pytest.approx(alone.history[0]["loss"], rel=0.2)


def test_a_classifier_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    head = _trained()
    save_head(head, tmp_path / "head.safetensors")
    read = load_head(tmp_path / "head.safetensors")
    archive = clusters()
    pairs, _ = archive.pairs(50)
    embeddings = head.embed(archive.features)
    assert read.classifier is not None
    assert head.classifier is not None
    assert np.array_equal(
        read.classifier.probabilities(embeddings, pairs),
        head.classifier.probabilities(embeddings, pairs),
    )
    assert np.array_equal(read.embed(archive.features), embeddings)


@pytest.mark.parametrize(
    ("name", "shape"), [("left", (128, 15)), ("second", (31, 128)), ("last", (1, 32))]
)
def test_a_classifier_that_does_not_fit_its_head_is_refused(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "head.safetensors"
    save_head(_trained(), path)
    state = load_file(path) | {f"classifier.{name}": torch.zeros(shape)}
    save_file(state, path, metadata={"format": "1", "kind": "projection", "symmetric": "True"})
    with pytest.raises(ModelError, match=f"classifier's {name} has shape"):
        load_head(path)
