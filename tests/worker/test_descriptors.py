"""Pooling and scales of a project: archive, pictures searched with, later settings, full depth."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import worker.backbone
from domain.config import Backbone as BackboneName
from domain.config import ModelSettings, Views
from domain.descriptors import PLAIN, Descriptor, Pooling
from domain.jobs import silent
from labeling_store import images
from tests.pictures import texture, write_archive
from tests.projects import answer, random_weights
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import always_retrain
from training.backbones import Backbone, backbone_sha256, build_backbone
from training.head import frozen_head
from training.preprocessing import load_pixels, normalised
from training.weights import WeightsInfo, WeightsKind, load_backbone, load_weights
from worker import network_lessons
from worker.foreign import embed_file
from worker.quick import RunModel
from workflow import jobs
from workflow.catalogue import ingest
from workflow.creation import create_project
from workflow.descriptors import features_in_words
from workflow.project import CONFIG_NAME, Project, open_project, with_settings_of_now
from workflow.run_files import BACKBONE, RUN_CONFIG, descriptor_of, drop_embeddings, read_embeddings

SIZE_PX = 64
GEM = Descriptor(pooling=Pooling.GEM, power=4, scales=(1.0, 0.5))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the default network, which is worked out by hand here."""
    return random_weights(tmp_path_factory.mktemp("weights"), BackboneName.RESNET18)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A folder with an archive and a project of 20 images whose features GeM makes."""
    root = tmp_path_factory.mktemp("pooled")
    archive = write_archive(root / "archive", each=5)
    model = ModelSettings(
        weights=weights, image_size_px=SIZE_PX, views=Views.SINGLE, descriptor=GEM
    )
    create_project(root / "project", images=archive, model=model).project.close()
    with (root / "project" / CONFIG_NAME).open("a") as config:
        config.write("\n[training]\nmost_steps = 5\nfewest_steps = 5\n")
        config.write("\n[training.full]\nmost_steps = 2\nfewest_steps = 2\n")
        config.write('\n[selection]\nstrategy = "mgue"\n')
    made = open_project(root / "project")
    do_job(made, jobs.PREPARE)
    made.close()
    return root


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(prepared, tmp_path / "root")
    path = tmp_path / "root" / "project" / CONFIG_NAME
    path.write_text(path.read_text().replace(str(prepared), str(tmp_path / "root")))
    opened = open_project(path.parent)
    yield opened
    opened.close()


def set_descriptor(project: Project, text: str) -> Project:
    """What stands under [model.descriptor], as somebody would change it."""
    path = project.folder / CONFIG_NAME
    kept = re.sub(r"(?s)\[model\.descriptor\].*?(?=\n\[)", "", path.read_text())
    path.write_text(f"{kept}\n[model.descriptor]\n{text}\n")
    return with_settings_of_now(project)


def stored(project: Project, run: str) -> dict[str, np.ndarray]:
    held = read_embeddings(project.runs / run)
    records = images.list_images(project.store.reader())
    return {
        each.path: np.asarray(held.vectors[held.rows[each.image_id]])
        for each in records
        if each.image_id in held.rows
    }


def assert_queries_fit(project: Project, run: str) -> None:
    """A picture of the archive gets the very vector that the archive has of it."""
    path, vector = next(iter(stored(project, run).items()))
    file = project.images_root / path
    with Image.open(file) as picture:
        uploaded = RunModel(project, run).embed(picture.convert("RGB"))
    np.testing.assert_allclose(uploaded, vector, atol=1e-4)
    if active_run(project).name == run:
        found = embed_file(project, file, device="cpu", progress=silent)
        np.testing.assert_allclose(found, vector, atol=1e-4)


def by_hand(project: Project, weights: Path) -> np.ndarray:
    """[N, D] embeddings of the frozen features, worked out with few of the product's parts."""
    backbone = build_backbone("resnet18")
    load_weights(backbone, weights)
    net, seen = backbone.network, []
    for record in images.list_images(project.store.reader()):
        pixels = load_pixels(project.images_root / record.path, SIZE_PX)
        shown = normalised(torch.from_numpy(pixels[None]))
        half = functional.interpolate(
            shown, size=(32, 32), mode="bilinear", align_corners=False, antialias=True
        )
        with torch.inference_mode():
            maps = [
                net.layer4(net.layer3(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(
                    net.conv1(each))))))))[0].double().numpy()
                for each in (shown, half)
            ]  # fmt: skip
        roots = [(np.maximum(each, 1e-6) ** 4).mean(axis=(1, 2)) ** 0.25 for each in maps]
        mean = np.mean([each / np.linalg.norm(each) for each in roots], axis=0)
        seen.append(mean / np.linalg.norm(mean))
    features = np.array(seen, dtype=np.float32)
    parts = [each.part.value for each in images.list_images(project.store.reader())]
    return frozen_head(features[[part == "train" for part in parts]]).embed(features)


def test_the_archive_is_embedded_as_the_settings_say(project: Project, weights: Path) -> None:
    run = active_run(project).name
    assert descriptor_of(project.runs / run) == GEM
    assert "model in use" not in features_in_words(project)
    found = np.stack(list(stored(project, run).values()))
    np.testing.assert_allclose(found, by_hand(project, weights), atol=1e-3)
    assert_queries_fit(project, run)


def test_a_model_stays_as_it_was_made_whatever_the_settings_say_later(project: Project) -> None:
    before, first = active_run(project).name, stored(project, active_run(project).name)
    changed = set_descriptor(project, 'pooling = "max"')
    assert changed.config.model.descriptor == Descriptor(pooling=Pooling.MAX)
    assert_queries_fit(changed, before)
    words = features_in_words(changed)
    assert "feature is the largest values of a network's last map (MAC). The model in" in words
    assert "frozen, has others: a mean of powers of a network's last map (GeM, power 4)" in words
    assert ", at the scales 1 and 0.5 of its sides. So have pictures" in words
    assert words.endswith("until the next training.")
    new = project.images_root / "dots" / "dots99.png"
    Image.fromarray(texture("dots", np.random.default_rng(99))).save(new)
    layout = project.config.archive.layout
    ingest(project.store, project.images_root, layout=layout, seed=project.config.seed)
    do_job(changed, jobs.PREPARE)
    wider = active_run(project).name
    assert wider == f"{before}+21"
    assert descriptor_of(project.runs / wider) == GEM
    for path, vector in first.items():
        np.testing.assert_allclose(stored(project, wider)[path], vector, atol=1e-5)
    assert_queries_fit(changed, wider)


def test_the_next_training_learns_from_what_the_settings_say_then(project: Project) -> None:
    frozen = active_run(project).name
    answer(project)
    changed = set_descriptor(project, 'pooling = "max"')
    do_job(changed, jobs.TRAIN, depth="head")
    run = active_run(project).name
    assert run != frozen
    assert descriptor_of(project.runs / run) == Descriptor(pooling=Pooling.MAX)
    assert_queries_fit(changed, run)
    kept = stored(project, frozen)
    drop_embeddings(project.runs / frozen)
    do_job(changed, jobs.USE, run=frozen)  # an earlier model comes back as it was
    assert active_run(project).name == frozen
    for path, vector in stored(project, frozen).items():
        np.testing.assert_allclose(vector, kept[path], atol=1e-5)


def test_a_run_of_an_older_version_is_of_the_mean_at_one_scale(project: Project) -> None:
    run = active_run(project).name
    path = project.runs / run / RUN_CONFIG
    path.write_text(re.sub(r"(?s)\[model\.descriptor\].*?(?=\n\[)", "", path.read_text()))
    assert descriptor_of(project.runs / run) == PLAIN


def test_full_depth_learns_the_power_and_the_run_keeps_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(project)
    always_retrain(monkeypatch, network_lessons, power=4.5)
    do_job(project, jobs.TRAIN, depth="full")
    run = active_run(project)
    assert run.depth == "full"
    assert descriptor_of(project.runs / run.name) == GEM
    backbone, _ = load_backbone(project.runs / run.name / BACKBONE)
    assert backbone.weights()["pool.power"].item() == pytest.approx(4.5)
    assert_queries_fit(project, run.name)
    changed = set_descriptor(project, 'pooling = "mean"')  # it learnt with GeM, whatever they say
    assert_queries_fit(changed, run.name)
    assert features_in_words(changed).endswith("until the next training at full depth.")
    do_job(changed, jobs.TRAIN, depth="head")  # on the retrained backbone, at the scales of now
    later = active_run(project).name
    made = descriptor_of(project.runs / later)
    assert (made.pooling, made.scales) == (Pooling.GEM, (1.0,))
    assert_queries_fit(changed, later)


def test_weights_that_learnt_through_one_pooling_are_not_taken_for_another(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Pooling] = []

    def nothing_to_be_had(backbone: Backbone, *_: object) -> WeightsInfo:
        return WeightsInfo(WeightsKind.UNTRAINED, "none", backbone_sha256(backbone), "none")

    def warm_up(backbone: Backbone, *_: object, **__: object) -> None:
        learnt.append(backbone.descriptor.pooling)

    path = project.folder / CONFIG_NAME
    path.write_text(re.sub("(?m)^weights = .*\n", "", path.read_text()))
    monkeypatch.setattr(worker.backbone, "_loaded", nothing_to_be_had)
    monkeypatch.setattr(worker.backbone, "warm_up", warm_up)
    asked = [GEM, GEM.at_scale_one, Descriptor(pooling=Pooling.MAX), GEM, PLAIN, PLAIN]
    asked.append(GEM.model_copy(update={"power": 3.0}))
    for descriptor in asked:
        worker.backbone.ready_backbone(
            with_settings_of_now(project), torch.device("cpu"), silent, descriptor=descriptor
        )
    assert learnt == [Pooling.GEM, Pooling.MAX, Pooling.MEAN, Pooling.GEM]
