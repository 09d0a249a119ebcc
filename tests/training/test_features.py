import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from domain.errors import ArchiveError, Cancelled, InputError
from training import features
from training.backbones import build_backbone
from training.feature_cache import CacheKey, FeatureCache
from training.features import features_for, model_key
from training.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from training.weights import load_weights

CPU = torch.device("cpu")
SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("resnet18")  # its features are about 1 even when it is untrained


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images", count=10)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def write_images(folder, *, count):
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
        files.append((hashlib.sha256(path.read_bytes()).hexdigest(), path))
    return files


def embed(images, backbone, cache=None, **options):
    return features_for(images, backbone, cache=cache, device=CPU, size_px=32, **options)


def counted(backbone):
    """How many images pass through the backbone from now on."""
    seen = []
    hook = backbone.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    return seen, hook


def stop_after(reports):
    """A progress that cancels at its n-th report."""
    left = iter(range(reports))

    def progress(done, message):
        if next(left, None) is None:
            raise Cancelled("Stopped.")

    return progress


def test_features_are_the_network_output_of_the_resized_normalised_image(images, backbone):
    expected = []
    for _, path in images:
        small = Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)
        values = (np.asarray(small) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        with torch.inference_mode():
            batch = torch.from_numpy(values).permute(2, 0, 1)[None].float()
            expected.append(backbone(batch)[0].numpy())
    found = embed(images, backbone)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_batch_composition_changes_nothing(images, backbone):
    whole = embed(images, backbone, batch_size=10)
    mixed = embed(images[::-1], backbone, batch_size=3)[::-1]
    np.testing.assert_allclose(whole, mixed, atol=1e-5)
    assert np.abs(whole - np.roll(whole, 1, axis=0)).max() > 0.01  # the images do differ


def test_a_backbone_in_training_mode_is_put_into_evaluation_mode(images, backbone):
    expected = embed(images, backbone)
    backbone.train()
    np.testing.assert_allclose(embed(images, backbone), expected, atol=1e-5)


def test_repeated_images_are_computed_once(images, backbone):
    seen, hook = counted(backbone)
    with hook:
        found = embed([*images, images[0]], backbone)
    assert sum(seen) == 10
    assert np.array_equal(found[0], found[10])


def test_no_images_give_an_empty_table(backbone, cache):
    assert embed([], backbone, cache).shape == (0, 512)


def test_cached_images_are_not_read_again(images, backbone, cache):
    expected = embed(images, backbone, cache)
    for _, path in images:
        path.unlink()
    assert np.array_equal(embed(images, backbone, cache), expected)


def test_only_missing_images_are_computed(images, backbone, cache):
    embed(images[:4], backbone, cache)
    seen, hook = counted(backbone)
    with hook:
        found = embed(images, backbone, cache)
    assert sum(seen) == 6
    np.testing.assert_allclose(found, embed(images, backbone), atol=1e-5)


def test_other_weights_and_other_sizes_do_not_share_features(backbone):
    other = build_backbone("resnet18", seed=1)
    keys = {
        model_key(backbone, size_px=32, device=CPU),
        model_key(other, size_px=32, device=CPU),
        model_key(backbone, size_px=64, device=CPU),
        model_key(backbone, size_px=32, device=torch.device("cuda")),
    }
    assert len(keys) == 4


def test_cancelling_keeps_what_is_done(images, backbone, cache):
    with pytest.raises(Cancelled):
        embed(images, backbone, cache, batch_size=2, progress=stop_after(3))
    seen, hook = counted(backbone)
    with hook:
        embed(images, backbone, cache)
    assert sum(seen) == 4  # three batches of two were done when the fourth report stopped it


def test_progress_says_how_many_of_how_many_and_how_fast(images, backbone, cache):
    embed(images[:4], backbone, cache)
    told = []
    embed(images, backbone, cache, batch_size=3, progress=lambda *report: told.append(report))
    assert [done for done, _ in told] == [0.4, 0.7, 1.0]
    assert told[0][1] == "embedding 4 of 10 images"
    assert told[-1][1].startswith("embedding 10 of 10 images, ")
    assert told[-1][1].endswith("/s")


def test_unreadable_images_are_named_after_all_others_are_kept(images, backbone, cache):
    broken = b"no image"
    images[3][1].write_bytes(broken)
    images[3] = (hashlib.sha256(broken).hexdigest(), images[3][1])
    with pytest.raises(ArchiveError, match=r"3\.png") as caught:
        embed(images, backbone, cache)
    assert "ingest" in caught.value.hint
    del images[3]
    seen, hook = counted(backbone)
    with hook:
        embed(images, backbone, cache)
    assert not seen


def test_a_missing_file_is_named(images, backbone):
    images[0][1].unlink()
    with pytest.raises(ArchiveError, match=r"0\.png: No such file"):
        embed(images, backbone)


def test_a_file_changed_since_it_was_catalogued_is_not_stored_under_its_old_hash(
    images, backbone, cache
):
    images[0][1].write_bytes(images[1][1].read_bytes())
    with pytest.raises(ArchiveError, match=r"0\.png has changed"):
        embed(images, backbone, cache)
    key = model_key(backbone, size_px=32, device=CPU)
    assert images[0][0] not in cache.read(key, [images[0][0]])


def test_the_cache_says_whose_features_it_has(images, backbone, cache):
    embed(images[:4], backbone, cache)
    key, hashes = model_key(backbone, size_px=32, device=CPU), [sha for sha, _ in images]
    assert cache.stored(key, hashes) == set(hashes[:4])
    assert cache.stored(CacheKey("another", key.width), hashes) == set()


def test_a_damaged_shard_is_computed_again(images, backbone, cache):
    expected = embed(images, backbone, cache)
    (shard,) = cache.folder.rglob("*.npy")
    shard.write_bytes(shard.read_bytes()[:500])
    assert np.array_equal(embed(images, backbone, cache), expected)


def test_a_shard_with_python_objects_is_not_opened(cache):
    folder = cache.folder / "model"
    folder.mkdir(parents=True)
    np.save(folder / "bad.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    assert cache.read(CacheKey("model", 4), ["0" * 64]) == {}


def test_features_of_another_length_are_computed_again(images, backbone, cache):
    """As those of a version that made other features under the same name."""
    key, hashes = model_key(backbone, size_px=32, device=CPU), [sha for sha, _ in images]
    earlier = replace(key, width=key.width - 1)
    cache.write(earlier, hashes, np.ones((len(images), earlier.width), np.float32))
    assert cache.stored(key, hashes) == set()
    found = embed(images, backbone, cache)
    assert np.array_equal(found, embed(images, backbone))
    assert cache.stored(key, hashes) == cache.stored(earlier, hashes) == set(hashes)


def test_a_batch_of_no_images_is_refused(images, backbone):
    with pytest.raises(InputError, match="batch_size = 0"):
        embed(images, backbone, batch_size=0)


def test_kill_9_loses_less_than_a_shard(tmp_path, backbone, cache):
    images = write_images(tmp_path / "many", count=40)
    script = textwrap.dedent(
        f"""
        import hashlib, sys, time
        from pathlib import Path
        import torch
        from training import features, views
        from training.backbones import build_backbone
        views.SingleView.shard_images = 8
        paths = sorted(Path({str(tmp_path / "many")!r}).iterdir())
        files = [(hashlib.sha256(p.read_bytes()).hexdigest(), p) for p in paths]
        def progress(done, message):
            print(int(round(done * 40)), flush=True)
            time.sleep(0.05)
        features.features_for(
            files, build_backbone("resnet18"), batch_size=2, size_px=32,
            cache=features.FeatureCache(Path({str(cache.folder)!r})),
            device=torch.device("cpu"), progress=progress,
        )
        """
    )
    root = str(Path(features.__file__).resolve().parents[1])
    worker = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root
    )
    with worker:
        done = next(int(line) for line in worker.stdout if int(line) >= 18)
        os.kill(worker.pid, signal.SIGKILL)
    stored = cache.read(model_key(backbone, size_px=32, device=CPU), [sha for sha, _ in images])
    assert done - 8 < len(stored) < 40
    found = embed(images, backbone, cache)
    np.testing.assert_allclose(found, embed(images, backbone), atol=1e-5)


@pytest.mark.real_data
def test_pretrained_features_find_aerial_images_of_the_same_kind():
    """Ten classes of ten: chance finds the same class 9 times in 99."""
    weights = SHARED / "weights" / "mobilenet_v2_imagenet.safetensors"
    archive = SHARED / "data" / "ucmerced"
    if not (weights.exists() and archive.exists()):
        pytest.skip("needs ../shared/data and ../shared/weights")
    backbone = build_backbone("mobilenet_v2")
    load_weights(backbone, weights)
    folders = sorted(folder for folder in archive.iterdir() if folder.is_dir())[::2][:10]
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[::10]]
    images = [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]
    rows = features_for(images, backbone, cache=None, device=CPU)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = rows @ rows.T
    np.fill_diagonal(likeness, -1)
    classes = np.array([path.parent.name for path in paths])
    assert (classes[likeness.argmax(axis=1)] == classes).mean() > 0.8
