"""Multi-view features, with random weights and tiny images; the reference is a slow loop."""

import hashlib
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from domain.config import Views
from domain.errors import Cancelled
from training import preprocessing
from training.backbones import BACKBONES, build_backbone, folded
from training.feature_cache import FeatureCache
from training.features import features_for, model_key
from training.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from training.views import MultiView, view_sizes_px

CPU = torch.device("cpu")

# Fused networks and the shallow one have their maps at other sizes.
PLAIN = [name for name in BACKBONES if not name.endswith("_pbffn") and name != "s_cnn"]


@pytest.fixture(scope="module")
def backbone():
    return with_statistics(build_backbone("resnet18"))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def with_statistics(backbone):
    """As after training: no normalisation leaves its input as it is."""
    draw = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=draw)
            module.running_var.uniform_(0.5, 1.5, generator=draw)
    return backbone


def random_pixels(count, size=32):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_images(folder, pixels):
    folder.mkdir(exist_ok=True)
    files = []
    for number, each in enumerate(pixels):
        path = folder / f"{number}.png"
        Image.fromarray(each).save(path)
        files.append((hashlib.sha256(path.read_bytes()).hexdigest(), path))
    return files


def embed(images, backbone, cache=None, **options):
    options = {"device": CPU, "size_px": 32, "views": Views.MULTI, **options}
    return features_for(images, backbone, cache=cache, **options)


def turns(pixels):
    """By NumPy: an image at its four right angles."""
    return [np.rot90(pixels, number) for number in range(4)]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def slow_resnet_features(image, backbone, sizes):
    """One view after another through the unchanged network, its modules called by name."""
    net, seen = backbone.network, []
    for size, turn in itertools.product(sizes, range(4)):
        pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        pixels = pixels if size == sizes[0] else pixels[:, ::-1]
        values = (turns(pixels)[turn] / 255 - IMAGENET_MEAN) / IMAGENET_STD
        batch = torch.from_numpy(values.copy()).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            stem = net.maxpool(net.relu(net.bn1(net.conv1(batch))))
            third = net.layer3(net.layer2(net.layer1(stem)))
            fourth, third = (each[0].double().numpy() for each in (net.layer4(third), third))
            seen.append([fourth.mean((1, 2)), third.mean((1, 2)), third.std((1, 2))])
    parts = [unit(unit(np.array(part)).mean(0)) for part in zip(*seen, strict=True)]
    return np.concatenate(parts)


def test_the_feature_is_the_mean_direction_over_all_views_of_three_poolings(backbone, tmp_path):
    pixels = random_pixels(3, size=40)
    found = embed(write_images(tmp_path, pixels), backbone, size_px=64)
    expected = [slow_resnet_features(Image.fromarray(p), backbone, (64, 96)) for p in pixels]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_turning_an_image_changes_nothing(name):
    backbone = with_statistics(build_backbone(name))
    of_views = MultiView(backbone, 32)
    images = random_pixels(1, size=32)[0], random_pixels(1, size=64)[0]
    with torch.inference_mode():
        rows = of_views([torch.from_numpy(np.stack(turns(each)[:3])) for each in images])
    widths = [*backbone.stage_dims, backbone.stage_dims[-1]]
    assert rows.shape == (3, sum(widths)) == (3, of_views.width)
    torch.testing.assert_close(rows, rows[:1].expand(3, -1), atol=1e-4, rtol=0)
    for part in rows.split(widths, dim=1):  # none outweighs another
        torch.testing.assert_close(part.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", PLAIN)
def test_the_stages_are_the_last_maps_at_a_32nd_and_a_16th_of_the_image(name):
    backbone = build_backbone(name)
    maps = {(2, 3): [], (4, 6): []}
    for module in backbone.network.modules():
        module.register_forward_hook(
            lambda _, __, out: maps.get(out.shape[2:], []).append(out.clone())
        )
    with torch.inference_mode():
        found = backbone.stages(torch.randn(1, 3, 64, 96))
    *last, earlier = zip(found, backbone.stage_dims, strict=True)
    places = [*((each, maps[2, 3]) for each in last), (earlier, maps[4, 6])]
    for (stage, channels), candidates in places:
        alike = [each for each in candidates if each.shape[1] == channels]
        means = [torch.allclose(each.mean((2, 3)), stage.pooled, atol=1e-6) for each in alike]
        assert any(means)
        chosen = alike[means.index(True)]
        torch.testing.assert_close(chosen.flatten(2).std(2, correction=0), stage.spread)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_mean_of_the_last_stage_is_the_feature(name):
    backbone, images = with_statistics(build_backbone(name)), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.stages(images)[0].pooled, backbone(images))


@pytest.mark.parametrize("name", BACKBONES)
def test_folding_changes_no_feature_and_leaves_the_backbone_alone(name):
    backbone = with_statistics(build_backbone(name))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    quick, images = folded(backbone), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = backbone(images)
        within = 1e-4 * float(expected.max())
        torch.testing.assert_close(quick(images), expected, atol=within, rtol=0)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert count(quick, nn.BatchNorm2d) <= count(backbone, nn.BatchNorm2d) / 1.9


def test_all_normalisations_of_mobilenet_are_folded():
    assert count(folded(build_backbone("mobilenet_v2")), nn.BatchNorm2d) == 0


@pytest.mark.parametrize(
    ("size_px", "expected"),
    [(224, (224, 320)), (256, (256, 352)), (32, (32, 64)), (33, (33, 65)), (1024, (1024, 1472))],
)
def test_the_larger_view_is_ten_sevenths_in_whole_strides(size_px, expected):
    assert view_sizes_px(size_px) == expected


def test_views_and_single_features_are_kept_apart(backbone, cache, tmp_path):
    images = write_images(tmp_path / "images", random_pixels(4))
    single = embed(images, backbone, cache, views=Views.SINGLE)
    assert embed(images, backbone, cache).shape == (4, 512 + 2 * 256)
    assert np.array_equal(embed(images, backbone, cache, views=Views.SINGLE), single)
    keys = {model_key(backbone, size_px=32, device=CPU, views=each) for each in Views}
    assert len(keys) == 2


def test_no_images_give_an_empty_table_of_all_parts(backbone):
    assert embed([], backbone).shape == (0, 512 + 2 * 256)


def test_what_was_computed_before_a_stop_is_not_computed_again(backbone, cache, tmp_path):
    images = write_images(tmp_path / "images", random_pixels(6))
    told = []

    def stop_after_four(done, message):
        if done >= 0.5:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        embed(images, backbone, cache, batch_size=4, progress=stop_after_four)
    found = embed(images, backbone, cache, progress=lambda *each: told.append(each))
    assert told[0] == (0.5, "embedding 3 of 6 images with all views")
    np.testing.assert_allclose(found, embed(images, backbone), atol=1e-5)


@pytest.mark.parametrize("views", Views)
def test_batches_side_by_side_give_the_same_features_and_free_their_threads(
    backbone, tmp_path, views
):
    images = write_images(tmp_path, random_pixels(12))
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(embed(images, backbone, views=views, batch_size=4))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*found, atol=1e-5)


def test_each_file_is_decoded_once(backbone, tmp_path, monkeypatch):
    images = write_images(tmp_path / "images", random_pixels(3))
    read = []
    whole = preprocessing.read_planes

    def counted(path, bands):
        read.append(path)
        return whole(path, bands)

    monkeypatch.setattr(preprocessing, "read_planes", counted)
    embed(images, backbone)
    assert sorted(read) == sorted(path for _, path in images)


def count(module, kind):
    return sum(isinstance(each, kind) for each in module.modules())
