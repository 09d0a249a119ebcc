"""Whether a retrained backbone gives better features than there were, by held-out answers."""

import numpy as np
import torch

from domain.arrays import BoolArray, FloatArray
from domain.config import TrainingSettings
from retrieval.pair_metrics import roc_auc
from training.head import SelectionScore, frozen_head
from training.selection import SelectionSet
from training.trainer import KnownPairs, held_out, judge_features

_FEWEST_PAIRS = 10  # of a kind that the model before did not learn from; with fewer, no verdict


class RetrainedJudge:
    """Old and new features by the same held-out answers.

    Attributes:
        words: what `worse` found; empty before.
    """

    def __init__(
        self, known: KnownPairs, settings: TrainingSettings, *, seed: int, device: torch.device
    ) -> None:
        """Judge by pairs of rows of the features; a tenth of the images was held out."""
        self._known, self._settings, self._seed, self._device = known, settings, seed, device
        self.words = ""

    def worse(self, old: FloatArray, new: FloatArray) -> str:
        """Why the new features do not take the place of the old; empty if they do."""
        before, after = self._score(old), self._score(new)
        if before is None or after is None:
            return "Too few answers are held out to judge the retrained backbone by."
        was, became = (max(each.head, each.frozen) for each in (before, after))
        self.words = (
            f"it tells {after.pairs} held-out pairs apart with an AUC of {became:.3f}, "
            f"the one before with {was:.3f}."
        )
        return "" if became > was else f"The retrained backbone is not used: {self.words}"

    def worse_than_before(self, before: FloatArray, new: FloatArray, answered: list[int]) -> str:
        """The same for a backbone in use that was retrained, on pairs that it did not see.

        Args:
            answered: rows of the images that it had answers about.
        """
        selection = held_out(self._known, self._seed)
        if selection is None:
            return ""
        fresh = np.asarray(~np.isin(selection.pairs[:, 0], answered))
        kinds = np.bincount(selection.similar[fresh], minlength=2)
        if kinds.min() < _FEWEST_PAIRS:
            return ""
        was, became = (_auc(each, selection, fresh) for each in (before, new))
        if became >= was:
            return ""
        return (
            f"The retrained backbone is not used: it tells {int(fresh.sum())} pairs that neither "
            f"has seen apart with an AUC of {became:.3f}, the one in use with {was:.3f}."
        )

    def _score(self, features: FloatArray) -> SelectionScore | None:
        return judge_features(
            features, self._known, self._settings, seed=self._seed, device=self._device
        )


def _auc(features: FloatArray, selection: SelectionSet, chosen: BoolArray) -> float:
    vectors = frozen_head(features).embed(features)
    pairs = selection.pairs[chosen]
    cosines = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    return roc_auc(cosines, selection.similar[chosen]) or 0.0
