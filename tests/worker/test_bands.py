"""Images of five bands from files to search: no band is lost, and runs keep their statistics."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archive.decode import decode_planes
from domain.config import Backbone, FullDepthSettings, ModelSettings, TrainingSettings, Views
from domain.errors import ArchiveError, InputError
from domain.jobs import silent
from labeling_store import images
from tests.archive.pictures import tiff
from tests.projects import answer, random_weights
from tests.worker.done_jobs import active_run, do_job
from tests.worker.tuned import always_retrain
from training.weights import load_backbone
from worker import network_lessons
from worker.bands import read_bands
from worker.quick import RunModel
from worker.simulate import simulate
from worker.simulation_archive import read_archive
from worker.simulation_options import SimulationOptions
from workflow import jobs
from workflow.creation import create_project
from workflow.pictures import PAIR_PX, picture
from workflow.project import CONFIG_NAME, Project, open_project
from workflow.run_files import BACKBONE, BANDS, read_embeddings

COUNT = 5


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the network whose random features tell bright from dark."""
    return random_weights(tmp_path_factory.mktemp("weights"), Backbone.RESNET18)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in four bands; the fifth, which nobody sees, is bright or dark."""
    root, rng = tmp_path_factory.mktemp("bands"), np.random.default_rng(0)
    for number in range(24):
        samples = rng.integers(0, 3000, (40, 40, COUNT), dtype=np.uint16)
        samples[:, :, 4] = 4000 * (number % 2) + rng.integers(0, 500, (40, 40))
        (root / f"{('dark', 'light')[number % 2]}{number:02d}.tif").write_bytes(tiff(samples))
    colour = rng.integers(0, 3000, (40, 40, 3), dtype=np.uint16)
    (root / "colour.tif").write_bytes(tiff(colour))
    return root


@pytest.fixture
def project(archive: Path, weights: Path, tmp_path: Path) -> Iterator[Project]:
    model = ModelSettings(weights=weights, image_size_px=32, views=Views.SINGLE, bands=COUNT)
    folder = tmp_path / "project"
    create_project(folder, images=archive, model=model).project.close()
    with (folder / CONFIG_NAME).open("a") as config:
        config.write("\n[training]\nmost_steps = 5\nfewest_steps = 5\n")
        config.write("\n[training.full]\nmost_steps = 2\nfewest_steps = 2\n")
        config.write('\n[selection]\nstrategy = "mgue"\n')
    made = open_project(folder)
    do_job(made, jobs.PREPARE)
    yield made
    made.close()


def _vectors(project: Project) -> dict[str, np.ndarray]:
    held = read_embeddings(project.runs / active_run(project).name)
    records = images.list_images(project.store.reader())
    return {each.path: np.asarray(held.vectors[held.rows[each.image_id]]) for each in records}


def _nearest_alike(project: Project) -> float:
    """How often the nearest image is of the same kind."""
    found = _vectors(project)
    names, vectors = list(found), np.stack(list(found.values()))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    nearest = [names[row] for row in cosines.argmax(axis=1)]
    return float(np.mean([a[:4] == b[:4] for a, b in zip(names, nearest, strict=True)]))


def test_the_band_that_nobody_sees_tells_images_apart(project: Project) -> None:
    (aside,) = images.list_quarantined(project.store.reader())
    assert "has 3 bands, and this project reads 5" in aside.reason
    assert _nearest_alike(project) == 1
    shown = picture(project, images.list_images(project.store.reader())[0].image_id, PAIR_PX)
    assert shown is not None
    with Image.open(shown) as opened:
        assert (opened.mode, opened.size) == ("RGB", (40, 40))


def test_a_run_keeps_its_statistics_and_reads_uploads_by_them(project: Project) -> None:
    answer(project)
    do_job(project, jobs.TRAIN, depth="head")
    run = active_run(project)
    measured = project.cache / f"bands-{COUNT}.json"
    found = read_bands(project.runs / run.name / BANDS)
    assert found is not None
    assert found == read_bands(measured)
    assert max(found.mean[:4]) - min(found.mean[:4]) < 0.02
    assert found.std[4] > 1.3 * max(found.std[:4])  # bright or dark; resizing smooths the noise
    measured.unlink()  # the run needs it no more
    path, stored = next(iter(_vectors(project).items()))
    model = RunModel(project, run.name)
    data = (project.images_root / path).read_bytes()
    uploaded = model.embed(*decode_planes(data, path, model.bands))
    np.testing.assert_allclose(uploaded, stored, atol=1e-4)
    with pytest.raises(ArchiveError, match="has 3 bands"):
        decode_planes((project.images_root / "colour.tif").read_bytes(), "a", model.bands)


def test_full_depth_trains_on_all_bands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(project)
    do_job(project, jobs.TRAIN, depth="full")  # whatever comes of two steps
    always_retrain(monkeypatch, network_lessons)
    do_job(project, jobs.TRAIN, depth="full")
    run = active_run(project)
    assert run.depth == "full"
    backbone, _ = load_backbone(project.runs / run.name / BACKBONE)
    assert backbone.bands == read_bands(project.runs / run.name / BANDS)
    assert len(backbone.bands) == COUNT


def test_simulations_read_all_bands_too(archive: Path, weights: Path, tmp_path: Path) -> None:
    for path in sorted(archive.glob("*[0-9].tif")):
        folder = tmp_path / "classes" / path.name[:4].strip("0123456789")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
    options = SimulationOptions(
        images=tmp_path / "classes",
        out=tmp_path / "out",
        weights=weights,
        image_size_px=32,
        initial="none",
        strategies=("random",),
        propagation="closure",
        seeds=(0,),
        rounds=1,
        bits_per_round=40,
        cache=tmp_path / "cache",
        device="cpu",
        depth="full",
        bands=COUNT,
        training=TrainingSettings(
            fewest_steps=2, most_steps=2, full=FullDepthSettings(fewest_steps=2, most_steps=2)
        ),
    )
    found = read_archive(options, silent)
    assert found.bands is not None
    assert found.bands.std[4] > 1.3 * max(found.bands.std[:4])
    frozen, _ = simulate(options).rows
    assert frozen.map == 1  # the fifth band alone tells the classes apart
    with pytest.raises(InputError, match="has 0 classes"):  # no image has six
        read_archive(replace(options, bands=6), silent)
