"""What the bands of a project's images are normalised with: measured once, kept with every run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archive.decode import COLOUR_BANDS
from archive.locate import image_file
from domain.errors import ArchiveError, ModelError
from domain.files import written_whole
from domain.images import Part
from domain.jobs import Progress
from labeling_store import images
from training.preprocessing import BandStatistics, band_statistics, load_pixels
from workflow.project import Project
from workflow.run_files import BANDS

_MOST_IMAGES = 200  # that are measured


def bands_as_text(bands: BandStatistics) -> str:
    """What `read_bands` reads."""
    return json.dumps(asdict(bands))


def read_bands(path: Path) -> BandStatistics | None:
    """What a file says of the bands; None where there is none.

    Raises:
        ModelError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return BandStatistics(tuple(told["mean"]), tuple(told["std"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} does not say what bands are normalised with: {error}.",
            "Bring it back from a backup, or delete it and train again.",
        ) from error


def bands_of(project: Project, run: str | None, progress: Progress) -> BandStatistics | None:
    """What a run's images are normalised with; for none, those that are read from now on.

    Those were measured on training images when first asked for, and are kept in the cache. None
    where images are read in red, green and blue, for which networks bring their own.

    Raises:
        ArchiveError: no training image has so many bands as the settings say.
        ModelError: see `read_bands`.
    """
    count = project.config.model.bands
    own = None if run is None else read_bands(project.runs / run / BANDS)
    if own is not None or count == COLOUR_BANDS:
        return own
    kept = project.cache / f"bands-{count}.json"
    found = read_bands(kept)
    if found is None:
        found = _of_training_images(project, count, progress)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(kept) as draft:
            draft.write_text(bands_as_text(found), encoding="utf-8")
    return found


def bands_of_files(
    files: Sequence[Path], count: int, *, size_px: int, progress: Progress
) -> BandStatistics | None:
    """What the bands of image files are normalised with; None for red, green and blue.

    Raises:
        ArchiveError: none has so many bands.
    """
    if count == COLOUR_BANDS:
        return None

    def load(number: int) -> NDArray[np.uint8]:
        return load_pixels(files[number], size_px, bands=count)

    return _measured(load, len(files), bands=count, seed=0, progress=progress)


def _of_training_images(project: Project, count: int, progress: Progress) -> BandStatistics:
    records = images.list_images(project.store.reader(), part=Part.TRAIN)
    size_px = project.config.model.image_size_px

    def load(number: int) -> NDArray[np.uint8]:
        path = image_file(project.images_root, records[number].path)
        return load_pixels(path, size_px, bands=count)

    seed = project.config.seed
    return _measured(load, len(records), bands=count, seed=seed, progress=progress)


def _measured(
    load: Callable[[int], NDArray[np.uint8]],
    images: int,
    *,
    bands: int,
    seed: int,
    progress: Progress,
) -> BandStatistics:
    """The statistics of some images drawn at random; those that cannot be read are left out.

    Args:
        load: gives the pixels of the image of a number 0…images-1; may raise `ArchiveError`.
        bands: how many they have, for words.

    Raises:
        ArchiveError: none can be read.
    """
    order = np.random.default_rng(seed).permutation(images)[:_MOST_IMAGES]
    pixels, problem = [], ""
    for done, number in enumerate(order, start=1):
        try:
            pixels.append(load(int(number)))
        except ArchiveError as error:
            problem = error.message
        progress(done / len(order), f"measuring the bands of {done} of {len(order)} images")
    if not pixels:
        raise ArchiveError(
            f"No image can be read with {bands} bands: {problem}",
            "Mend bands under [model] in project.toml; in a simulation --bands.",
        )
    return band_statistics(pixels)
