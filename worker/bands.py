"""What the bands of a project's images are normalised with: measured once, kept with every run."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

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
        found = _measured(project, count, progress)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(kept) as draft:
            draft.write_text(bands_as_text(found), encoding="utf-8")
    return found


def _measured(project: Project, count: int, progress: Progress) -> BandStatistics:
    records = images.list_images(project.store.reader(), part=Part.TRAIN)
    order = np.random.default_rng(project.config.seed).permutation(len(records))[:_MOST_IMAGES]
    pixels, problem = [], ""
    for done, row in enumerate(order, start=1):
        try:
            path = image_file(project.images_root, records[row].path)
            pixels.append(load_pixels(path, project.config.model.image_size_px, bands=count))
        except ArchiveError as error:
            problem = error.message
        progress(done / len(order), f"measuring the bands of {done} of {len(order)} images")
    if not pixels:
        raise ArchiveError(
            f"No training image can be read with {count} bands: {problem}",
            "Mend bands under [model] in project.toml.",
        )
    return band_statistics(pixels)
