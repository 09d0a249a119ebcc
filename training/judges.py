"""How well a network on its way tells held-out pairs apart."""

import numpy as np
import torch

from retrieval.pair_metrics import roc_auc
from training.network import EmbeddingNetwork, embed_images
from training.pixels import Pixels
from training.selection import SelectionSet

_MOST_PARTNERS = 300  # images beside those held out that are embedded: a look must cost little
_STREAM = 4  # of random numbers


class Judges:
    """The held-out pairs whose images are embedded at every look."""

    def __init__(
        self, selection: SelectionSet, pixels: Pixels, device: torch.device, seed: int
    ) -> None:
        """Of the images that are not held out themselves, a part is drawn from the seed."""
        self._pixels, self._device = pixels, device
        first, second = selection.pairs.T
        held = np.unique(first)
        rng = np.random.default_rng((seed, _STREAM))
        drawn = rng.permutation(np.setdiff1d(second, held))[:_MOST_PARTNERS]
        seen = np.isin(second, np.concatenate([held, drawn]))
        if selection.similar[seen].all() or not selection.similar[seen].any():
            seen[:] = True
        self._similar = selection.similar[seen]
        self._rows, places = np.unique(selection.pairs[seen], return_inverse=True)
        self._pairs = places.reshape(-1, 2)

    def auc(self, network: EmbeddingNetwork) -> float:
        """ROC-AUC of the cosines; the network is in evaluation mode then."""
        vectors = embed_images(network, self._pixels, self._rows, device=self._device)
        cosines = (vectors[self._pairs[:, 0]] * vectors[self._pairs[:, 1]]).sum(axis=1)
        return roc_auc(cosines, self._similar) or 0.0
