"""Whether a newly trained model takes the place of the one in use.

One that learnt in the same way from no more answers makes way: that is how models go on learning.
What was put in use because held-out answers spoke for it, or learns in another way, makes way only
for what ranks held-out images better beyond chance: images that the model in use had no answers
about, and that the new one is trained without, so that it is fair to a model that saw less. A model
that was fine-tuned is not compared here: the new one is fine-tuned in the same way next.
"""

from collections.abc import Sequence

import numpy as np
import torch

from domain.answers import KnownRelation
from domain.arrays import BoolArray, FloatArray, IntArray
from domain.errors import ModelError
from domain.loss_catalogue import loss_choice
from domain.rounds import Run
from labeling_store import runs
from training.checkpoints import load_head
from training.group_head import GroupHead
from training.head import TrainedHead, frozen_head
from training.ranking_selection import RankingGain, RankingJudge
from training.selection import hold_out
from worker.backbone import ArchiveFeatures
from worker.run_training import RunTraining
from workflow.finetuning import FineTuning, fine_tuning_of
from workflow.project import Project
from workflow.run_files import CHECKPOINT, Embeddings, read_embeddings, read_relations
from workflow.succession import Succession

_FEWEST_IMAGES = 10  # held out; with fewer, nobody can say how far chance reaches
_SHARE = 0.5  # of the images that only the new model knows answers about
_STREAM = 4  # of random numbers, beside those of trainings
_KINDS = {"groups": "groups of images", "projection": "pairs of images", "frozen": "nothing"}


def succession(
    project: Project,
    archive: ArchiveFeatures,
    head: TrainedHead,
    known: Sequence[KnownRelation],
    *,
    device: torch.device,
) -> Succession | None:
    """What is decided between a new head and the model in use; None where nothing is.

    Where the files of the latter cannot be read, the new one is used.

    Args:
        archive: the features of the model in use, also where the backbone was retrained for the new
            one: that backbone has learnt the answers that are held out.
        head: the new one, which has learnt everything known.
        known: what it has learnt from.
    """
    active = runs.active_run(project.store.reader())
    if active is None:
        return None
    try:
        return _decided(project, archive, head, known, active, device=device)
    except ModelError as error:
        words = f"{active.name} cannot be compared with the new model, which is used from now on: "
        return Succession(active.name, takes_over=True, words=words + error.message)


def _decided(
    project: Project,
    archive: ArchiveFeatures,
    head: TrainedHead,
    known: Sequence[KnownRelation],
    active: Run,
    *,
    device: torch.device,
) -> Succession | None:
    folder = project.runs / active.name
    before = load_head(folder / CHECKPOINT)
    how = fine_tuning_of(folder)
    if before.is_frozen or (how is None and _learn_alike(before, head)):
        return None
    if how is not None and _learn_alike(before, head):
        return Succession(active.name, takes_over=False, renewed=True, words=_renewed(active, how))
    unseen = _Unseen(project, archive, known, device=device)
    gain = unseen.gain(head, active)
    words = _judged(before, active, head, gain)
    if gain is None:
        return Succession(active.name, takes_over=False, words=words)
    return Succession(
        active.name,
        takes_over=gain.is_better,
        words=words,
        images=gain.images,
        was=gain.before,
        became=gain.after,
        uncertainty=gain.uncertainty,
    )


def _learn_alike(one: TrainedHead, other: TrainedHead) -> bool:
    return one.module.kind == other.module.kind


class _Unseen:
    """Images that a model in use knows no answer about, to judge it and a new one by."""

    def __init__(
        self,
        project: Project,
        archive: ArchiveFeatures,
        known: Sequence[KnownRelation],
        *,
        device: torch.device,
    ) -> None:
        self._project, self._archive, self._known, self._device = project, archive, known, device

    def gain(self, head: TrainedHead, active: Run) -> RankingGain | None:
        """How much better the new head ranks them; None where they are too few."""
        folder, seed = self._project.runs / active.name, self._project.config.seed
        embeddings = read_embeddings(folder)
        known = [each for each in self._known if {*each.pair} <= embeddings.rows.keys()]
        training = RunTraining(self._project, self._archive, known, seed=seed, device=self._device)
        pairs = training.known(groups=isinstance(head.module, GroupHead))
        learnt = {image for each in read_relations(folder) for image in each.pair}
        unseen = np.flatnonzero([each not in learnt for each in training.image_ids.tolist()])
        rng = np.random.default_rng((seed, _STREAM))
        found = hold_out(pairs.rows, pairs.similar, rng=rng, share=_SHARE, among=unseen)
        if found is None:
            return None
        judge = RankingJudge(training.features, found)
        if judge.images < _FEWEST_IMAGES:
            return None
        held_out = np.zeros(len(training.features), dtype=bool)
        held_out[found.images] = True
        trial = _without(held_out, training, head)
        was = judge.average_precision_of(_vectors(embeddings, training.image_ids[judge.rows]))
        return judge.gain(was, judge.average_precision(trial))


def _without(held_out: BoolArray, training: RunTraining, head: TrainedHead) -> TrainedHead:
    """The head, had nobody answered about some images."""
    return frozen_head(training.features) if head.is_frozen else training.retrain(head)(held_out)


def _vectors(embeddings: Embeddings, image_ids: IntArray) -> FloatArray:
    return embeddings.vectors[[embeddings.rows[int(each)] for each in image_ids]]


def _renewed(active: Run, how: FineTuning) -> str:
    return (
        f"{active.name}, which was fine-tuned with {loss_choice(how.loss).title}, stays in use "
        "until the new model is fine-tuned in the same way; then the better of the two is used."
    )


def _judged(before: TrainedHead, active: Run, head: TrainedHead, gain: RankingGain | None) -> str:
    old, new = _KINDS[before.module.kind], _KINDS[head.module.kind]
    if gain is None:
        return (
            f"{active.name}, which learnt {old}, stays in use: too few images have answers that it "
            f"has not learnt from to tell whether the new model, which learnt {new}, is better."
        )
    verdict = "It is used from now on." if gain.is_better else f"{active.name} stays in use."
    return (
        f"The new model learnt {new}, and {active.name} {old}. Trained without the answers about "
        f"{gain.images} images that {active.name} knows no answer about, it ranks what is like "
        f"them with an average precision of {gain.after:.1%}; {active.name} does with "
        f"{gain.before:.1%} (the difference is sure to {gain.uncertainty:.1%}). {verdict}"
    )
