"""Images and truthful answers for the benchmarks of the store: how many, about what, by whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from domain.answers import Kind
from domain.images import Part, ScannedImage
from domain.members import Member, Role
from domain.pairs import Pair, pair
from domain.rounds import Proposal
from labeling_store import images, members, queue, rounds
from labeling_store.db import Store

SIMILAR_SHARE = 0.3  # of the pairs that a strategy asks; random pairs would have 1 in `groups`

SIZE_PX = 32


@dataclass(frozen=True)
class World:
    """Images in groups of one size, which people tell apart without fail."""

    images: int
    groups: int

    def truth(self, asked: Pair) -> Kind:
        return Kind.SIMILAR if self._group(asked.a) == self._group(asked.b) else Kind.DISSIMILAR

    def pairs(self, count: int, rng: np.random.Generator) -> list[Pair]:
        """So many different pairs in the order in which people get them."""
        found: dict[Pair, None] = {}
        while len(found) < count:
            a, b = rng.integers(0, self.images, (2, count))
            alike = rng.random(count) < SIMILAR_SHARE
            b = np.where(alike, b - b % self.groups + a % self.groups, b)
            for first, second in zip((a + 1).tolist(), (b + 1).tolist(), strict=True):
                if first != second:
                    found[pair(first, second)] = None
        return list(islice(found, count))

    def _group(self, image_id: int) -> int:
        return (image_id - 1) % self.groups


def draw_images(folder: Path, count: int, *, groups: int) -> None:
    """Small images in a new folder: noise on a colour for each group."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    colours = rng.integers(0, 256, (groups, 1, 1, 3))
    for number in range(count):
        noise = rng.normal(0, 40, (SIZE_PX, SIZE_PX, 3))
        drawn = np.clip(colours[number % groups] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(drawn).save(folder / f"{number:04}.png")


def catalogue(store: Store, world: World) -> None:
    """Put the images of a world into an empty store; their ids count from 1."""
    numbers = range(1, world.images + 1)
    scanned = [ScannedImage(f"{n:06}.png", f"s{n}", f"p{n}", "0f", 256, 256, None) for n in numbers]
    with store.transaction() as db:
        images.add_images(
            db,
            scanned,
            duplicate_groups=numbers,
            split_groups=numbers,
            parts=[Part.TRAIN] * world.images,
        )


def enrol(store: Store, count: int) -> list[Member]:
    """So many annotators, new or known."""
    with store.transaction() as db:
        return [members.ensure_member(db, f"member {n}", Role.ANNOTATOR) for n in range(count)]


def ask(store: Store, pairs: Sequence[Pair], *, number: int = 1) -> int:
    """A round with a question about each pair; its id."""
    proposals = [Proposal(each, 0.0, "Chosen at random.") for each in pairs]
    with store.transaction() as db:
        opened = rounds.create_round(db, number=number, strategy="random", model=None)
        queue.add_proposals(db, opened.round_id, proposals)
    return opened.round_id
