"""A synthetic aerial archive for the demo: kinds of places as folders of JPEG tiles."""

from pathlib import Path

import numpy as np

from archive.scenery import nature, town
from archive.scenery.palette import Difficulty
from archive.scenery.photograph import Painter, canvas_side, photograph
from archive.scenery.texture import noise_bank
from domain.errors import ArchiveError, InputError
from domain.jobs import Progress, silent

KINDS: dict[str, Painter] = {
    "beach": nature.beach,
    "courts": town.courts,
    "crossing": town.crossing,
    "dense_houses": town.dense_houses,
    "farmland": nature.farmland,
    "forest": nature.forest,
    "harbour": town.harbour,
    "industry": town.industry,
    "orchard": nature.orchard,
    "parking": town.parking,
    "river": nature.river,
    "runway": town.runway,
    "sparse_houses": town.sparse_houses,
}

JPEG_QUALITY = 88


def write_demo(
    folder: Path,
    *,
    seed: int = 0,
    tiles_per_kind: int = 60,
    size_px: int = 256,
    progress: Progress = silent,
) -> int:
    """Number of tiles written, as `folder/<kind>/<kind>NN.jpg`; the same seed gives the same bytes.

    Every tile depends on the seed, its kind and its number only, so that a larger archive
    begins with the tiles of a smaller one.

    Raises:
        InputError: fewer than one tile a kind, or tiles smaller than 32 pixels.
        ArchiveError: the folder cannot be written.
    """
    if tiles_per_kind < 1 or size_px < 32:
        raise InputError(
            f"The demo cannot have {tiles_per_kind} tiles a kind of {size_px} pixels; "
            "at least 1 tile and 32 pixels are needed.",
            "Ask for more.",
        )
    try:
        return _write_kinds(folder, seed, tiles_per_kind, size_px, progress)
    except OSError as error:
        raise ArchiveError(
            f"The demo images cannot be written to {folder}: {error.strerror}.",
            "Choose a folder you may write to, with some free space.",
        ) from error


def _write_kinds(
    folder: Path, seed: int, tiles_per_kind: int, size_px: int, progress: Progress
) -> int:
    noise = noise_bank(np.random.default_rng(seed), canvas_side(size_px))
    names = list(KINDS)
    for position, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for tile in range(tiles_per_kind):
            rng = np.random.default_rng([seed, position, tile])
            neighbour = names[(position + int(rng.integers(1, len(names)))) % len(names)]
            painters = (KINDS[name], KINDS[neighbour])
            image = photograph(painters, rng, noise, size_px=size_px, difficulty=Difficulty())
            image.save(folder / name / f"{name}{tile:02d}.jpg", quality=JPEG_QUALITY)
        progress((position + 1) / len(names), f"Drawing {name.replace('_', ' ')}")
    return len(names) * tiles_per_kind
