"""The first labelled pairs where some images have class labels: simulations, seeded projects.

Takes class labels of all training images, looks at those of a few drawn ones only, and turns
them into pairs. What it costs is the class labels, not the pairs.

Source: ANNEAL, section on the initial training set.
"""

from dataclasses import dataclass

import numpy as np

from annealing.bits import class_label_bits
from annealing.pool import Keys, pair_keys, pairs_of
from domain.arrays import BoolArray, IntArray
from domain.errors import InputError


@dataclass(frozen=True)
class InitialSet:
    """Pairs made from the class labels of a few images.

    Attributes:
        images: [L] the rows whose class was looked at, sorted.
        pairs: [P, 2] rows, a < b, each pair once, sorted.
        similar: [P] whether both have the same class.
        bits: L log2 C, what the class labels cost.
    """

    images: IntArray
    pairs: Keys
    similar: BoolArray
    bits: float


def initial_set(
    labels: IntArray, *, rng: np.random.Generator, share: float = 0.05, partners: int = 4
) -> InitialSet:
    """Pairs among a random share of the training images: for each, some alike and some not.

    Args:
        labels: [N] class of each training image; C is how many different ones there are.
        rng: draws the images (not class by class) and their partners.
        share: of the images whose class is looked at; the paper takes 5 % (UC Merced) and 1 %
            (AID). At least two images.
        partners: similar and as many dissimilar partners for each image, from the drawn images.

    Raises:
        InputError: fewer than two classes, or a share that is not above 0 and up to 1.

    Corner cases: an image with fewer partners of a kind takes all of them, possibly none; two
    images that draw one another give one pair.

    Source: ANNEAL, section on the initial training set. It does not say where partners come
    from; the drawn images are the only ones whose class is known.
    """
    labels = np.asarray(labels)
    classes = len(np.unique(labels))
    if classes < 2:
        raise InputError(
            f"The training images have {classes} classes; an initial set needs 2 or more.",
            "Use an archive with a folder for each class, or start without an initial set.",
        )
    if not 0 < share <= 1:
        raise InputError(f"share = {share}; must be above 0 and up to 1.", "The paper takes 0.05.")
    size = min(len(labels), max(2, round(share * len(labels))))
    images = np.sort(rng.choice(len(labels), size=size, replace=False))
    keys = pair_keys(_partner_pairs(images, labels[images], partners, rng), len(labels))
    pairs = pairs_of(keys, len(labels))
    similar = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    return InitialSet(images, pairs, similar, class_label_bits(size, classes))


def _partner_pairs(
    images: IntArray, labels: IntArray, partners: int, rng: np.random.Generator
) -> IntArray:
    pairs = []
    for position, image in enumerate(images):
        others = np.delete(np.arange(len(images)), position)
        alike = labels[others] == labels[position]
        for candidates in (images[others[alike]], images[others[~alike]]):
            drawn = rng.choice(candidates, min(partners, len(candidates)), replace=False)
            pairs.append(np.stack([np.full(len(drawn), image), drawn], axis=1))
    return np.concatenate(pairs)
