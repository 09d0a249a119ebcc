"""What is known of pairs of images, as trainings read it: by rows of their features."""

from collections.abc import Sequence

import numpy as np

from domain.answers import KnownRelation
from domain.arrays import IntArray
from training.trainer import KnownPairs


def inside(image_ids: IntArray, relations: Sequence[KnownRelation]) -> list[KnownRelation]:
    """Those of two of these images."""
    there = set(image_ids.tolist())
    return [each for each in relations if each.pair.a in there and each.pair.b in there]


def known_rows(image_ids: IntArray, relations: Sequence[KnownRelation]) -> KnownPairs:
    """The relations by the places of their images.

    Args:
        image_ids: [N] of which each image stands once, and that name every image of a relation.
    """
    row = {image_id: place for place, image_id in enumerate(image_ids.tolist())}
    rows = [[row[each.pair.a], row[each.pair.b]] for each in relations]
    return KnownPairs(
        np.array(rows, dtype=np.int64).reshape(-1, 2),
        np.array([each.similar for each in relations], dtype=bool),
        np.array([each.weight for each in relations], dtype=np.float32),
    )
