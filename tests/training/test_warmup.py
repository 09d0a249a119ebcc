import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from domain.errors import Cancelled, InputError
from training.backbones import backbone_sha256, build_backbone
from training.crops import ViewSettings, random_views
from training.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalised
from training.warmup import contrastive_loss, measure_statistics, warm_up

CPU = torch.device("cpu")
NO_COLOUR_CHANGE = {"jitter": 0.0, "tint": 0.0}


@pytest.fixture
def images(tmp_path):
    """Six images, each of two strong colours in a grain of its own."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        grain = rng.random((4 * 2 ** (number % 3),) * 2) < 0.5
        colours = rng.permutation([[230, 30, 30], [30, 30, 230], [30, 230, 30], [230, 230, 30]])
        picture = np.where(grain[..., None], colours[0], colours[1]).astype(np.uint8)
        Image.fromarray(picture).resize((48, 48), Image.Resampling.NEAREST).save(path)
    return paths


def warmed(images, *, seed=0, steps=2, **options):
    backbone = build_backbone("resnet18", seed=seed)
    report = warm_up(backbone, images, seed=seed, device=CPU, size_px=32, steps=steps, **options)
    return backbone, report


def test_two_views_of_an_image_become_more_alike_than_views_of_others(images):
    _, report = warmed(images, steps=20)
    assert report.images == 6
    assert report.steps == 20
    assert report.last_loss < 0.8 * report.first_loss


def test_the_same_seed_gives_the_same_weights(images, one_thread):
    first, again = warmed(images, seed=4)[0], warmed(images, seed=4)[0]
    assert backbone_sha256(first) == backbone_sha256(again)
    assert backbone_sha256(warmed(images, seed=5)[0]) != backbone_sha256(first)


def test_global_random_numbers_neither_matter_nor_change(images, one_thread):
    expected = backbone_sha256(warmed(images)[0])
    torch.manual_seed(99)
    undisturbed = torch.rand(1)
    torch.manual_seed(99)
    assert backbone_sha256(warmed(images)[0]) == expected
    assert torch.equal(torch.rand(1), undisturbed)


def test_the_backbone_is_left_ready_to_embed(images):
    backbone, _ = warmed(images)
    assert not backbone.training
    with torch.inference_mode():
        features = backbone(torch.randn(2, 3, 64, 64))
    assert torch.isfinite(features).all()


def test_unreadable_images_are_left_out(images, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    _, report = warmed([*images, tmp_path / "broken.png", tmp_path / "gone.png"], steps=1)
    assert report.images == 6


def test_fewer_than_two_images_are_too_few(images):
    with pytest.raises(InputError, match="two readable images or more; 1 of 1"):
        warmed(images[:1])


def test_no_steps_are_refused(images):
    with pytest.raises(InputError, match="steps = 0; must be 1 or more"):
        warmed(images, steps=0)


def test_it_can_be_cancelled_between_steps(images):
    told = []

    def stop(done, message):
        told.append(message)
        if "step 2" in message:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        warmed(images, steps=50, progress=stop)
    assert told[-1] == "warming up the untrained backbone, step 2 of 50"


def test_progress_only_rises_and_ends_near_one(images):
    told = []
    warmed(images, steps=3, progress=lambda done, _: told.append(done))
    assert told == sorted(told)
    assert 0 < told[0] < 0.1
    assert told[-1] == pytest.approx(0.95)


def test_the_loss_of_indistinguishable_views_is_chance():
    assert contrastive_loss(torch.ones(8, 3)).item() == pytest.approx(math.log(7), abs=1e-6)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_the_loss_is_the_papers_sum(count, seed):
    """Equation 1 of SimCLR, written as the loop it is."""
    views = np.random.default_rng(seed).normal(size=(2 * count, 4))
    unit = views / np.linalg.norm(views, axis=1, keepdims=True)
    total = 0.0
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        others = [math.exp(unit[i] @ unit[k] / 0.5) for k in range(2 * count) if k != i]
        total -= math.log(math.exp(unit[i] @ unit[partner] / 0.5) / sum(others))
    found = contrastive_loss(torch.from_numpy(views).float(), temperature=0.5)
    assert found.item() == pytest.approx(total / (2 * count), abs=1e-4)


def test_statistics_are_those_of_the_images_at_their_size():
    backbone = build_backbone("resnet18")
    pixels = np.random.default_rng(1).integers(0, 256, (64, 32, 40, 3), dtype=np.uint8)
    measure_statistics(backbone, pixels)
    with torch.no_grad():
        first = backbone.network.conv1(normalised(torch.from_numpy(pixels)))
    torch.testing.assert_close(
        backbone.network.bn1.running_mean, first.mean((0, 2, 3)), atol=1e-4, rtol=1e-4
    )
    assert {norm.momentum for norm in backbone.modules() if hasattr(norm, "momentum")} == {0.1}


def whole_image_views(pixels, *, seed=0):
    settings = ViewSettings(size_px=8, smallest_area=1.0, largest_area=1.0, **NO_COLOUR_CHANGE)
    return random_views(pixels, settings, torch.Generator().manual_seed(seed))


def test_a_view_of_the_whole_image_is_one_of_its_eight_positions():
    pixels = torch.from_numpy(
        np.random.default_rng(2).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    )
    image = normalised(pixels)[0]
    positions = [
        turned
        for turns in range(4)
        for turned in (image.rot90(turns, (1, 2)), image.rot90(turns, (1, 2)).flip(2))
    ]
    seen = set()
    for view in whole_image_views(pixels.repeat(64, 1, 1, 1)):
        (match,) = [n for n, one in enumerate(positions) if torch.allclose(view, one, atol=1e-3)]
        seen.add(match)
    assert seen == set(range(8))


def test_a_view_lies_inside_the_image():
    """On a ramp, a view's values tell which part it shows; none may be mirrored from outside."""
    ramp = torch.arange(64, dtype=torch.uint8).mul(2)[None, None, :, None].repeat(32, 64, 1, 3)
    settings = ViewSettings(size_px=16, smallest_area=0.25, largest_area=0.25, **NO_COLOUR_CHANGE)
    views = random_views(ramp, settings, torch.Generator().manual_seed(0))
    mean, std = IMAGENET_MEAN[0] * 255, IMAGENET_STD[0] * 255
    shown = views[:, 0] * std + mean
    extent = shown.amax((1, 2)) - shown.amin((1, 2))
    torch.testing.assert_close(extent, torch.full((32,), 60.0), atol=0.1, rtol=0)  # 15 * 2 * 2
    assert shown.amin() < 20
    assert shown.amax() > 106


def test_each_view_gets_its_own_colours_within_range():
    pixels = torch.full((40, 8, 8, 3), 128, dtype=torch.uint8)
    views = random_views(pixels, ViewSettings(size_px=8), torch.Generator().manual_seed(0))
    values = views * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(
        3, 1, 1
    )
    assert values.min() >= -1e-5
    assert values.max() <= 1 + 1e-5
    assert values.mean((1, 2, 3)).std() > 0.03


def test_views_are_drawn_from_the_generator_only():
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    assert torch.equal(whole_image_views(pixels, seed=3), whole_image_views(pixels, seed=3))
    assert not torch.equal(whole_image_views(pixels, seed=3), whole_image_views(pixels, seed=4))


def test_vectors_of_zero_length_do_not_break_the_loss():
    views = torch.zeros(4, 3, requires_grad=True)
    contrastive_loss(views).backward()
    assert torch.isfinite(views.grad).all()
