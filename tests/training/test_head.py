"""Embeddings are unit vectors that depend on the training images' statistics only."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from domain.config import TrainingSettings
from domain.errors import InputError
from tests.training.clusters import clusters
from training import head
from training.head import TrainedHead, fitted_standardise, frozen_head, new_projection

FEATURES = clusters().features


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _projection(seed: int) -> torch.nn.Module:
    settings = TrainingSettings(hidden=8, out=3)
    generator = torch.Generator().manual_seed(seed)
    return new_projection(fitted_standardise(FEATURES), settings, generator=generator)


def test_frozen_embeddings_are_standardised_by_training_images_and_of_length_one() -> None:
    train, later = FEATURES[:60], FEATURES[60:]
    expected = _unit((later - train.mean(axis=0)) / train.std(axis=0))
    np.testing.assert_allclose(frozen_head(train).embed(later), expected, atol=1e-5)


def test_an_image_embeds_alike_alone_and_among_others() -> None:
    head = frozen_head(FEATURES)
    np.testing.assert_allclose(head.embed(FEATURES[3:4]), head.embed(FEATURES)[3:4], atol=1e-6)


def test_a_feature_that_never_varies_is_harmless() -> None:
    constant = np.concatenate([FEATURES, np.full((len(FEATURES), 1), 7.0)], axis=1)
    embedded = frozen_head(constant).embed(constant)
    np.testing.assert_allclose(embedded[:, :-1], frozen_head(FEATURES).embed(FEATURES), atol=1e-5)


@pytest.mark.parametrize("images", [6, FEATURES.shape[1] // 2, 1 + FEATURES.shape[1] // 2, 80])
def test_components_are_the_principal_ones(images: int) -> None:
    """Scikit-learn's PCA spans the same axes, up to the sign of each."""
    features = FEATURES[:images]
    unit = _unit((features - features.mean(axis=0)) / features.std(axis=0))
    expected = _unit(PCA(5, svd_solver="full").fit_transform(unit))
    found = fitted_standardise(features, components=5)(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_copies_of_few_images_have_components_too() -> None:
    features = np.tile(FEATURES[:3], (2, 1))
    found = fitted_standardise(features, components=5)(torch.from_numpy(features)).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:3], found[3:], atol=1e-6)


def test_all_components_keep_the_cosines_of_the_centred_features() -> None:
    unit = _unit((FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0))
    centred = _unit(unit - unit.mean(axis=0))
    rotated = fitted_standardise(FEATURES, components=FEATURES.shape[1])
    found = rotated(torch.from_numpy(FEATURES)).numpy()
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-4)


def test_no_more_components_than_images_can_span() -> None:
    assert fitted_standardise(FEATURES[:4], components=256).out == 3


def test_statistics_are_of_all_images_however_many_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "_EMBED_ROWS", 7)
    far = FEATURES + 100.0  # where sums of squares would lose digits
    fitted = fitted_standardise(far, components=5)
    np.testing.assert_allclose(fitted.mean, far.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(fitted.scale, far.std(axis=0, dtype=np.float64), rtol=1e-5)
    unit = _unit((far - far.mean(axis=0)) / far.std(axis=0))
    expected = _unit(PCA(5).fit_transform(unit))
    found = TrainedHead(fitted.eval()).embed(far)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)


@pytest.mark.parametrize("blocks", [1, 8])
def test_large_archives_are_standardised_in_little_memory(blocks: int) -> None:
    rows = np.random.default_rng(0).normal(size=(blocks * 4096, 64)).astype(np.float32)
    tracemalloc.start()
    fitted_standardise(rows, components=16)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 6 * 4096 * 64 * 8  # a few blocks in float64, however many there are


def test_one_image_and_no_image() -> None:
    assert np.isfinite(frozen_head(FEATURES[:1]).embed(FEATURES)).all()
    assert frozen_head(FEATURES).embed(FEATURES[:0]).shape == (0, FEATURES.shape[1])
    with pytest.raises(InputError, match="No training image"):
        frozen_head(FEATURES[:0])


def test_initial_weights_come_from_the_generator_only() -> None:
    torch.manual_seed(0)
    first = _projection(5).state_dict()
    torch.manual_seed(1)
    again, other = _projection(5).state_dict(), _projection(6).state_dict()
    assert torch.equal(first["first.weight"], again["first.weight"])
    assert not torch.equal(first["first.weight"], other["first.weight"])
    assert first["first.weight"].abs().max() <= 1 / np.sqrt(FEATURES.shape[1])


def test_projected_rows_have_length_one() -> None:
    rows = _projection(0)(torch.from_numpy(FEATURES))
    assert rows.shape == (len(FEATURES), 3)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(FEATURES)))


def test_features_of_another_backbone_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(80, 5\)"):
        frozen_head(FEATURES).embed(FEATURES[:, :5])


def test_features_that_are_no_numbers_are_refused_with_their_row() -> None:
    broken = FEATURES.copy()
    broken[7, 2] = np.nan
    with pytest.raises(InputError, match="first row: 7"):
        frozen_head(FEATURES).embed(broken)
