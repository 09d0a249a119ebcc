"""What random views for retraining change, and what they leave."""

from dataclasses import replace

import numpy as np
import torch

from training.crops import ViewSettings, random_views
from training.preprocessing import BandStatistics, normalised

PLAIN = ViewSettings(size_px=16, smallest_area=1.0, largest_area=1.0, jitter=0.0, tint=0.0)


def _views(settings: ViewSettings, pixels: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return random_views(pixels, settings, torch.Generator().manual_seed(seed))


def _ramp(count: int) -> torch.Tensor:
    """Brighter from the top down, the same from left to right."""
    rows = torch.arange(16, dtype=torch.uint8) * 15
    return rows[None, :, None, None].expand(count, 16, 16, 3).contiguous()


def test_up_stays_up_where_images_are_not_turned() -> None:
    upright = normalised(_ramp(20))
    assert torch.allclose(_views(replace(PLAIN, turned=False), _ramp(20)), upright, atol=0.02)
    assert not torch.allclose(_views(PLAIN, _ramp(20)), upright, atol=0.5)


def test_a_share_of_the_views_is_blurred() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), np.uint8))
    spread = _views(replace(PLAIN, blurred=0.3), noise).std((1, 2, 3))
    sharp = _views(PLAIN, noise).std((1, 2, 3))
    changed = (spread - sharp).abs() > 0.05
    assert 0.2 < changed.float().mean() < 0.4
    assert (spread[changed] < sharp[changed]).all()


def test_a_share_of_the_views_gets_noise_of_the_size_that_is_set() -> None:
    grey = torch.full((200, 16, 16, 3), 128, dtype=torch.uint8)
    bands = BandStatistics((0.0,) * 3, (1.0,) * 3)
    settings = replace(PLAIN, noisy=0.3, noise=0.05)
    views = random_views(grey, settings, torch.Generator().manual_seed(0), bands=bands)
    spread = views.std((1, 2, 3))
    noisy = spread > 1e-3
    assert 0.2 < noisy.float().mean() < 0.4
    assert torch.allclose(spread[noisy], torch.tensor(0.05), atol=0.005)


def test_views_have_as_many_bands_as_the_images() -> None:
    pixels = torch.zeros((3, 16, 16, 7), dtype=torch.uint8)
    bands = BandStatistics((0.5,) * 7, (0.5,) * 7)
    settings = ViewSettings(size_px=8, blurred=1.0, noisy=1.0)
    views = random_views(pixels, settings, torch.Generator().manual_seed(0), bands=bands)
    assert views.shape == (3, 7, 8, 8)


def test_the_generator_decides_all_chance() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8))
    settings = ViewSettings(size_px=8, blurred=0.5, noisy=0.5)
    torch.manual_seed(5)
    undisturbed = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(_views(settings, pixels), _views(settings, pixels))
    assert not torch.equal(_views(settings, pixels), _views(settings, pixels, seed=1))
    assert torch.equal(torch.rand(1), undisturbed)
