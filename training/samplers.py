"""Which images make up a training batch, so that many known relations fall inside it.

About one random pair in twenty is similar, and a random batch of 200 images of a large archive
holds hardly any pair that somebody answered. Batches here are drawn around anchors, each with a
similar and a dissimilar partner; every image goes through the network once, and every relation
that is known between any two of the batch counts. What is guessed of the others may count, too.
Both kinds weigh the same, which is what repeating the rarer kind does on average.

Source: ANNEAL, random oversampling of the minority label; batches of images are ours.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import InputError
from training.guesses import Guesses


@dataclass(frozen=True)
class Batch:
    """Images of a batch and what is known between them.

    Attributes:
        rows: [B] ascending, each once.
        relevance: [B, B] symmetric: 1 similar, 0 dissimilar, NaN unknown and on the diagonal.
        neighbours: [B, B] symmetric; neighbours whose relation is unknown.
        taught: [B, B] what losses learn from: the relevance, and guesses where nothing is known.
        trust: [B, B] symmetric, how much each of that counts; 0 where there is nothing.
        sure: [B, B] bool, where it is known, or guessed beyond doubt.
    """

    rows: IntArray
    relevance: NDArray[np.float32]
    neighbours: BoolArray
    taught: NDArray[np.float32]
    trust: NDArray[np.float32]
    sure: BoolArray

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """[B, B] the trust, so that similar pairs add up to 1 and dissimilar ones, too.

        Over unordered pairs, where there are any.
        """
        weights = np.zeros_like(self.trust)
        for kind in (self.taught == 1, self.taught == 0):
            total = self.trust[kind].sum() / 2
            if total > 0:
                weights[kind] = self.trust[kind] / total
        return weights


class Batches(Protocol):
    """What batches are drawn from."""

    def draw(self, rng: np.random.Generator, *, anchors: int, others: int) -> Batch:
        """A batch around so many anchors, and other images of any kind."""


class RelationBatches:
    """Draws batches from known pairs; the same generator state gives the same batches."""

    def __init__(
        self,
        pairs: IntArray,
        similar: BoolArray,
        weights: FloatArray,
        *,
        neighbours: csr_array,
        guesses: Guesses | None = None,
    ) -> None:
        """Batches of these pairs.

        Args:
            pairs: [P, 2] rows of images, a ≠ b in any order. A pair that is there twice counts
                twice; contradicting ones cancel out.
            similar: [P].
            weights: [P] 0 or more; pairs of weight 0 take no part.
            neighbours: [N, N] symmetric, 1 for images that are most likely similar; N is the
                number of images.
            guesses: about pairs that are not known.

        Raises:
            InputError: no pair has a weight above 0.
        """
        signed = np.where(similar, weights, -np.asarray(weights))
        self._neighbours, self._guesses = neighbours, guesses
        self._signed = _symmetric(pairs, signed, neighbours.shape[0])
        self._similar = _partners(self._signed, 1)
        self._dissimilar = _partners(self._signed, -1)
        with_similar = np.flatnonzero(np.diff(self._similar.indptr))
        with_any = np.flatnonzero(np.diff(self._signed.indptr))
        self._anchors = with_similar if len(with_similar) else with_any
        if not len(self._anchors):
            raise InputError("No known pair has a weight above 0.", "Answer some pairs first.")

    def draw(self, rng: np.random.Generator, *, anchors: int, others: int) -> Batch:
        """A batch of anchors with partners, and other images of any kind.

        Args:
            rng: the only source of chance.
            anchors: drawn with replacement from the images that have a similar partner, so that
                an image counts as much in a large group as in a small one. Each brings one
                similar and one dissimilar partner, where it has them.
            others: images drawn from all, with or without answers. Each brings a neighbour,
                where it has one, and one that is guessed to be similar.

        Corner cases: without a similar pair, anchors are drawn from all images with answers.
        """
        chosen = rng.choice(self._anchors, anchors)
        any_images = rng.integers(self._neighbours.shape[0], size=others)
        drawn = [
            chosen,
            _drawn_partners(self._similar, chosen, rng),
            _drawn_partners(self._dissimilar, chosen, rng),
            any_images,
            _drawn_partners(self._neighbours, any_images, rng),
        ]
        if self._guesses is not None:
            drawn.append(self._guesses.partners(any_images, rng))
        rows = np.unique(np.concatenate(drawn))
        signed = self._signed[rows][:, rows].toarray()
        return _batch(rows, signed, self._neighbours, self._guesses)


class ClassBatches:
    """Draws batches from images whose class is known."""

    def __init__(
        self, labels: IntArray, *, neighbours: csr_array, only_drawn: bool = False
    ) -> None:
        """Batches of images [N] with a class 0…C-1, or -1 where it is unknown.

        Args:
            labels: the classes.
            neighbours: [N, N] symmetric, 1 for images that are most likely similar.
            only_drawn: only the relations of anchors to their partners are known; else all
                between images whose class is known.

        Raises:
            InputError: fewer than two classes are known.
        """
        self._labels, self._neighbours = np.asarray(labels), neighbours
        self._only_drawn = only_drawn
        known = np.flatnonzero(self._labels >= 0)
        self._known = known[np.argsort(self._labels[known], kind="stable")]
        classes, self._first, self._size = np.unique(
            self._labels[self._known], return_index=True, return_counts=True
        )
        if len(classes) < 2:
            raise InputError(
                f"The known images are of {len(classes)} classes; 2 or more are needed.",
                "Label images of another class.",
            )
        self._place = np.searchsorted(classes, self._labels)

    def draw(self, rng: np.random.Generator, *, anchors: int, others: int) -> Batch:
        """A batch of anchors, each with an image of its class and one of another, and others.

        Corner cases: the only image of a class is its own partner.
        """
        chosen = rng.choice(self._known, anchors)
        first, size = self._first[self._place[chosen]], self._size[self._place[chosen]]
        inside = rng.integers(size)
        outside = (first + size + rng.integers(len(self._known) - size)) % len(self._known)
        any_images = rng.integers(len(self._labels), size=others)
        near = _drawn_partners(self._neighbours, any_images, rng)
        alike, different = self._known[first + inside], self._known[outside]
        rows = np.unique(np.concatenate([chosen, alike, different, any_images, near]))
        labels = self._labels[rows]
        known = (labels >= 0)[:, None] & (labels >= 0)
        if self._only_drawn:
            known = _are_partners(rows, chosen, alike) | _are_partners(rows, chosen, different)
        signed = np.where(known, np.where(labels[:, None] == labels, 1, -1), 0)
        np.fill_diagonal(signed, 0)
        return _batch(rows, signed.astype(np.float32), self._neighbours)


def _symmetric(pairs: IntArray, values: FloatArray, images: int) -> csr_array:
    a, b = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    both = (np.concatenate([values, values]), (np.concatenate([a, b]), np.concatenate([b, a])))
    matrix = coo_array(both, shape=(images, images), dtype=np.float32).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _partners(signed: csr_array, sign: int) -> csr_array:
    """The entries of one sign."""
    kept = signed.multiply(signed * sign > 0).tocsr()
    kept.eliminate_zeros()
    return kept


def _drawn_partners(partners: csr_array, anchors: IntArray, rng: np.random.Generator) -> IntArray:
    """One partner of each anchor that has any."""
    counts = np.diff(partners.indptr)[anchors]
    places = partners.indptr[anchors] + np.floor(rng.random(len(anchors)) * counts).astype(int)
    return np.asarray(partners.indices[places[counts > 0]], dtype=np.int64)


def _are_partners(rows: IntArray, first: IntArray, second: IntArray) -> BoolArray:
    """[B, B] whether a row was drawn with another."""
    a, b = np.searchsorted(rows, first), np.searchsorted(rows, second)
    partners = np.zeros((len(rows), len(rows)), dtype=bool)
    partners[a, b] = partners[b, a] = True
    return partners


def _batch(
    rows: IntArray,
    signed: NDArray[np.float32],
    neighbours: csr_array,
    guesses: Guesses | None = None,
) -> Batch:
    """The batch of these images; signed weights [B, B] are above 0 for similar pairs."""
    known = signed != 0
    relevance = np.where(known, signed > 0, np.nan).astype(np.float32)
    near = (neighbours[rows][:, rows].toarray() > 0) & ~known
    if guesses is None:
        return Batch(rows, relevance, near, relevance, np.abs(signed), known)
    guess = guesses.between(rows)
    both = np.where(known, signed, guesses.weight * guess.sureness * np.abs(guess.sureness))
    taught = np.where(both == 0, np.nan, both > 0).astype(np.float32)
    return Batch(rows, relevance, near, taught, np.abs(both), known | guess.sure)
