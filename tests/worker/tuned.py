"""Learning for tests: few steps, and verdicts that a test gives."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from training import group_head
from training.finetuning import FineTuned
from training.full_depth import Retrained
from training.ranking_selection import RankingGain
from training.warmup import measure_statistics
from worker import finetuning
from worker.retrained_judge import RetrainedJudge
from workflow.project import CONFIG_NAME, Project

BETTER = RankingGain(0.80, 0.90, 0.01, 40)
WORSE = RankingGain(0.80, 0.70, 0.01, 40)
_QUICK = "\n[finetuning]\nsteps = 4\ncheck_steps = 2\nbatch_anchors = 8\nbatch_others = 8\n"


def tune_quickly(project: Project) -> None:
    """Further lines of [finetuning] may be added to the settings after it."""
    with (project.folder / CONFIG_NAME).open("a") as config:
        config.write(_QUICK)


def judge(patched: pytest.MonkeyPatch, verdicts: dict[str, RankingGain | None]) -> None:
    """From now on held-out images judge each fine-tuned head as `verdicts["next"]` says."""
    real = finetuning.fine_tune

    def tuned(*args: Any, **options: Any) -> FineTuned:
        return replace(real(*args, **options), selection=verdicts["next"])

    patched.setattr(finetuning, "fine_tune", tuned)


def always_keep_groups(patched: pytest.MonkeyPatch) -> None:
    """From now on heads of groups are kept although they are of little use."""
    patched.setattr(group_head, "frozen_length", lambda *_, least: least)


def always_retrain(
    patched: pytest.MonkeyPatch, module: ModuleType, *, power: float | None = None
) -> None:
    """From now on a module retrains backbones in milliseconds, and it helps for sure.

    They get their statistics, which a network without any lacks, and the power that a pooling is to
    have learnt.
    """

    def retrain(backbone: Any, pixels: Any, *args: Any, **options: Any) -> Retrained:
        measure_statistics(backbone, pixels.of(np.arange(len(pixels))).numpy())
        if power is not None:
            backbone.pool.load_state_dict({"power": torch.tensor(power)})
        return Retrained(backbone, None, [{"step": 1.0, "selection_auc": 0.9}], images_trained=100)

    patched.setattr(module, "retrain_backbone", retrain)
    patched.setattr(RetrainedJudge, "worse", lambda *_: "")
