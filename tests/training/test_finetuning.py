"""Fine-tuning of a head: what it learns and keeps, and when it takes the checkpoint's place."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from annealing.components.evidence import Answers
from domain.arrays import BoolArray
from domain.config import FineTuningSettings, TrainingSettings
from domain.errors import Cancelled, InputError, JobError
from tests.training.clusters import clusters
from training.checkpoint_comparison import Checkpoint, Retrain
from training.finetuning import FineTuned, fine_tune, pair_checkpoint
from training.group_head import GroupHead, group_head
from training.head import TrainedHead, frozen_head
from training.loss_objectives import NewObjective, loss_objective
from training.losses.relevance import LossValue
from training.objectives import Objective, RelevanceObjective
from training.samplers import Batch
from training.trainer import KnownPairs
from training.valid_anchors import few_anchors

CPU = torch.device("cpu")
ARCHIVE = clusters(images=160, classes=8)
SHORT = TrainingSettings(
    hidden=32, out=16, components=16, fewest_steps=8, most_steps=8, batch_anchors=16
)
SETTINGS = FineTuningSettings(
    steps=40, check_steps=10, learning_rate=3e-3, batch_anchors=32, batch_others=16
)
TRIPLET = loss_objective("triplet", {}, seed=0, device=CPU)


@dataclass(frozen=True)
class Reversed:
    """Similar ones apart and dissimilar ones together: a loss that can only do harm."""

    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        cosines = embeddings @ embeddings.T
        value = cosines[relevance == 1].mean() - cosines[relevance == 0].mean()
        return LossValue(value, len(embeddings))


@dataclass(frozen=True)
class Broken:
    def __call__(self, embeddings: Tensor, relevance: Tensor) -> LossValue:
        return LossValue(embeddings.sum() * torch.nan, 1)


def _reversed(*_: object) -> RelevanceObjective:
    return RelevanceObjective(Reversed())


def _known(count: int = 1500, seed: int = 0) -> KnownPairs:
    rows, similar = ARCHIVE.pairs(count, seed=seed)
    return KnownPairs(rows, similar, np.ones(len(rows), np.float32))


def _start(known: KnownPairs) -> tuple[TrainedHead, Retrain]:
    retrain = pair_checkpoint(ARCHIVE.features, known, SHORT, seed=0, device=CPU)
    return retrain(np.zeros(len(ARCHIVE.features), dtype=bool)), retrain


def _tuned(
    loss: NewObjective = TRIPLET, settings: FineTuningSettings = SETTINGS, count: int = 1500
) -> tuple[TrainedHead, FineTuned]:
    known = _known(count)
    start, retrain = _start(known)
    found = fine_tune(
        start, ARCHIVE.features, known, loss, settings, retrain=retrain, seed=0, device=CPU
    )
    return start, found


def _separation(head: TrainedHead) -> float:
    """Mean cosine within classes over that between them."""
    vectors = head.embed(ARCHIVE.features)
    same = ARCHIVE.labels[:, None] == ARCHIVE.labels
    cosine = vectors @ vectors.T
    return float(cosine[same].mean() - cosine[~same].mean())


def test_a_loss_that_teaches_makes_a_better_head_that_takes_over() -> None:
    start, found = _tuned()
    assert found.is_better
    assert _separation(found.head) > _separation(start) + 0.05
    assert found.steps in (10, 20, 30, 40)
    assert len(found.head.history) == found.steps


def test_a_loss_that_harms_never_takes_over() -> None:
    _, found = _tuned(_reversed, SETTINGS.model_copy(update={"learning_rate": 0.01}))
    assert found.selection is not None
    assert found.selection.gain < 0
    assert not found.is_better


def test_the_checkpoint_itself_stays_as_it_was() -> None:
    known = _known()
    start, retrain = _start(known)
    before = {name: value.clone() for name, value in start.module.state_dict().items()}
    fine_tune(
        start, ARCHIVE.features, known, TRIPLET, SETTINGS, retrain=retrain, seed=0, device=CPU
    )
    after = start.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_same_seed_gives_the_same_head() -> None:
    (_, first), (_, second) = _tuned(), _tuned()
    np.testing.assert_array_equal(
        first.head.embed(ARCHIVE.features), second.head.embed(ARCHIVE.features)
    )
    assert first.selection == second.selection


def test_the_comparison_is_made_without_the_held_out_answers() -> None:
    known, asked = _known(), list[BoolArray]()
    start, retrain = _start(known)

    def spy(held_out: BoolArray) -> TrainedHead:
        asked.append(held_out)
        return retrain(held_out)

    fine_tune(start, ARCHIVE.features, known, TRIPLET, SETTINGS, retrain=spy, seed=0, device=CPU)
    (held_out,) = asked
    assert 5 <= held_out.sum() <= 40  # about a tenth of 160


def test_a_checkpoint_retrained_has_seen_no_answer_about_held_out_images() -> None:
    known = _known()
    retrain = pair_checkpoint(ARCHIVE.features, known, SHORT, seed=0, device=CPU)
    held_out = np.arange(160) < 20
    other = replace(known, similar=known.similar ^ held_out[known.rows].any(axis=1))
    again = pair_checkpoint(ARCHIVE.features, other, SHORT, seed=0, device=CPU)
    np.testing.assert_array_equal(
        retrain(held_out).embed(ARCHIVE.features), again(held_out).embed(ARCHIVE.features)
    )


def test_where_nothing_is_known_the_cosines_of_the_checkpoint_are_kept() -> None:
    def change(weight: float) -> float:
        settings = SETTINGS.model_copy(update={"structure_weight": weight, "batch_others": 64})
        start, found = _tuned(_reversed, settings)
        unknown = np.ones((160, 160), dtype=bool)
        rows = _known().rows
        unknown[rows[:, 0], rows[:, 1]] = unknown[rows[:, 1], rows[:, 0]] = False
        vectors = [each.embed(ARCHIVE.features) for each in (start, found.head)]
        cosines = [each @ each.T for each in vectors]
        return float(np.abs(cosines[0] - cosines[1])[unknown].mean())

    assert change(1000.0) < 0.5 * change(0.0)


def test_too_few_answers_to_judge_change_nothing_in_use() -> None:
    _, found = _tuned(count=90)
    assert found.selection is None
    assert not found.is_better
    assert found.steps == SETTINGS.steps


def test_a_head_of_groups_is_fine_tuned_too() -> None:
    rows, similar = ARCHIVE.pairs(900, seed=3)
    answers = Answers(rows, similar)
    known = KnownPairs(rows, similar, np.ones(len(rows), np.float32))

    def without(held_out: BoolArray) -> TrainedHead:
        kept = ~held_out[rows].any(axis=1)
        return group_head(
            ARCHIVE.features, Answers(rows[kept], similar[kept]), error=0.05, device=CPU
        )

    start = group_head(ARCHIVE.features, answers, error=0.05, device=CPU)
    assert isinstance(start.module, GroupHead)
    found = fine_tune(
        start, ARCHIVE.features, known, TRIPLET, SETTINGS, retrain=without, seed=0, device=CPU
    )
    assert isinstance(found.head.module, GroupHead)
    assert not torch.equal(found.head.module.weights, start.module.weights)
    assert torch.equal(found.head.module.anchors, start.module.anchors)
    assert not found.head.module.weights.requires_grad
    assert found.selection is not None


def test_frozen_features_cannot_be_fine_tuned() -> None:
    known = _known()
    with pytest.raises(InputError, match="learnt nothing"):
        fine_tune(
            frozen_head(ARCHIVE.features), ARCHIVE.features, known, TRIPLET, SETTINGS,
            retrain=_start(known)[1], seed=0, device=CPU,
        )  # fmt: skip


def test_answers_of_one_kind_teach_no_ranking() -> None:
    known = _known()
    start, retrain = _start(known)
    with pytest.raises(InputError, match="known pairs"):
        fine_tune(
            start, ARCHIVE.features, known.only(known.similar), TRIPLET, SETTINGS,
            retrain=retrain, seed=0, device=CPU,
        )  # fmt: skip


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    with pytest.raises(JobError, match="step 1"):
        _tuned(lambda *_: RelevanceObjective(Broken()))


class Idle:
    """Speaks of no image, and yet has a gradient."""

    wants_turned = False

    def __call__(self, embeddings: Tensor, batch: Batch, rng: np.random.Generator) -> LossValue:
        return LossValue((embeddings * torch.arange(embeddings.shape[1])).sum(), 0)

    def parameters(self) -> list[nn.Parameter]:
        return []


def test_steps_in_which_no_image_has_the_partners_it_needs_are_skipped() -> None:
    start, found = _tuned(lambda *_: Idle())
    before, after = start.module.state_dict(), found.head.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "Only 0.0% of the images" in few_anchors(found.head.history)


def test_few_valid_anchors_are_told() -> None:
    told = [{"step": 0.0}, {"valid_anchors": 0.01}, {"valid_anchors": 0.009}]
    assert "Only 0.9%" in few_anchors(told[2:])
    assert few_anchors(told[:2]) == few_anchors([]) == ""
    assert few_anchors([{"valid_anchors": 0.0}, {"valid_anchors": 0.5}]) == ""


def test_it_can_be_cancelled() -> None:
    def stop(done: float, message: str) -> None:
        if "step" in message:
            raise Cancelled("Stop.")

    known = _known()
    start, retrain = _start(known)
    with pytest.raises(Cancelled):
        fine_tune(
            start, ARCHIVE.features, known, TRIPLET, SETTINGS,
            retrain=retrain, seed=0, device=CPU, progress=stop,
        )  # fmt: skip


def test_a_head_learns_with_proxies_of_its_groups() -> None:
    """What answers join is a group; turned images have no part, as features have no turn."""
    start, found = _tuned(loss_objective("pedc", {}, seed=0, device=CPU))
    assert _separation(found.head) > _separation(start) + 0.05
    assert all(0 < line["valid_anchors"] <= 1 for line in found.head.history)
    assert len({name for name, _ in found.head.module.named_parameters()}) == len(
        list(start.module.parameters())
    )


def test_proxies_need_groups_that_answers_tell_apart() -> None:
    """One image of its own against a group is no second group."""
    rows = np.array([[0, 1], [1, 2], [2, 3], [0, 4]])
    known = KnownPairs(rows, np.array([True, True, True, False]), np.ones(4, np.float32))
    start, retrain = _start(_known())
    pedc = loss_objective("pedc", {}, seed=0, device=CPU)
    with pytest.raises(InputError, match="none known to be different"):
        fine_tune(
            start, ARCHIVE.features, known, pedc, SETTINGS, retrain=retrain, seed=0, device=CPU
        )


def _refused(*_: object) -> Objective:
    raise InputError("No two groups differ.", "Answer more.")


def test_a_checkpoint_that_a_loss_cannot_teach_is_judged_as_it_is_made() -> None:
    """Where it reads another network than what it is compared with: that network has learnt."""
    known = _known()
    start, retrain = _start(known)
    noise = np.random.default_rng(0).normal(size=ARCHIVE.features.shape).astype(np.float32)
    before = Checkpoint(noise, pair_checkpoint(noise, known, SHORT, seed=0, device=CPU))
    found = fine_tune(
        start, ARCHIVE.features, known, _refused, SETTINGS,
        retrain=retrain, before=before, seed=0, device=CPU,
    )  # fmt: skip
    assert found.head is start
    assert (found.steps, found.untaught) == (0, "No two groups differ.")
    assert found.is_better


def test_what_cannot_be_learnt_without_the_held_out_answers_is_not_judged() -> None:
    known = _known()
    start, retrain = _start(known)

    def refused(given: KnownPairs, *rest: object) -> Objective:
        return TRIPLET(given, *rest) if len(given) == len(known) else _refused()  # type: ignore[arg-type]

    def frozen(held_out: BoolArray) -> TrainedHead:
        return frozen_head(ARCHIVE.features)

    for loss, made, why in ((refused, retrain, "the loss cannot"), (TRIPLET, frozen, "no head is")):
        found = fine_tune(
            start, ARCHIVE.features, known, loss, SETTINGS, retrain=made, seed=0, device=CPU
        )
        assert found.selection is None
        assert found.unjudged.startswith(f"Without the held-out answers {why}")
        assert found.steps == len(found.head.history) == SETTINGS.steps


def test_only_some_images_may_be_held_out() -> None:
    known, asked = _known(), list[BoolArray]()
    start, retrain = _start(known)

    def spy(held_out: BoolArray) -> TrainedHead:
        asked.append(held_out)
        return retrain(held_out)

    among = np.arange(100, 130)
    fine_tune(
        start,
        ARCHIVE.features,
        known,
        TRIPLET,
        SETTINGS,
        retrain=spy,
        among=among,
        seed=0,
        device=CPU,
    )
    (held_out,) = asked
    assert set(np.flatnonzero(held_out)) <= set(among)
    assert 8 <= held_out.sum() <= 24  # about as many as of all: a tenth of 160


def test_a_model_on_new_features_is_compared_with_what_was_there_before() -> None:
    """Features of noise lose to the checkpoint, whatever is learnt on them."""
    known = _known()
    _, retrain = _start(known)
    noise = np.random.default_rng(0).normal(size=ARCHIVE.features.shape).astype(np.float32)
    anew = pair_checkpoint(noise, known, SHORT, seed=0, device=CPU)
    found = fine_tune(
        anew(np.zeros(len(noise), dtype=bool)), noise, known, TRIPLET, SETTINGS,
        retrain=anew, before=Checkpoint(ARCHIVE.features, retrain), seed=0, device=CPU,
    )  # fmt: skip
    (_, usual) = _tuned()
    assert found.selection is not None
    assert usual.selection is not None
    assert found.selection.before == usual.selection.before
    assert found.selection.gain < 0
    assert not found.is_better
