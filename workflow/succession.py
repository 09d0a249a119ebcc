"""Which model is in use after a training: what was decided, as the new run keeps it.

A model that was put in use because held-out answers spoke for it is not simply replaced by the next
one that was trained: the decision stands beside the new run, in words, and pages show it.
"""

import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tomli_w

from domain.config import Depth
from domain.jobs import JobState
from domain.rounds import Run
from labeling_store import runs
from workflow import jobs
from workflow.finetuning import FineTuned, FineTuning, fine_tuned, fine_tuning_of
from workflow.project import Project
from workflow.run_files import SUCCESSION


@dataclass(frozen=True)
class Succession:
    """What was decided between a new model and the one in use.

    Attributes:
        before: the run that was in use.
        takes_over: whether the new one is in use instead.
        renewed: whether the new one is trained further as the one before was, and the better of
            both is in use then.
        images: held-out images that decided; 0 where none did.
        was, became: their mean average precision with the model before and with the new one.
        uncertainty: standard error of the difference.
        words: all that in words.
    """

    before: str
    takes_over: bool
    words: str
    renewed: bool = False
    images: int = 0
    was: float = 0.0
    became: float = 0.0
    uncertainty: float = 0.0

    def as_toml(self) -> str:
        """The text of the run's file."""
        return tomli_w.dumps(asdict(self))


def succession_of(folder: Path) -> Succession | None:
    """What was decided about the model of a run's folder; None where there was nothing to decide.

    A new model takes the place of the frozen features, and of one that learnt in the same way from
    no more answers, without a decision.
    """
    try:
        return Succession(**tomllib.loads((folder / SUCCESSION).read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, TypeError):
        return None


@dataclass(frozen=True)
class KeptBack:
    """A model that learnt from answers and is not in use, and why."""

    run: Run
    why: Succession


def kept_back(project: Project) -> KeptBack | None:
    """The newest model that learnt from answers, where the one that was in use still is.

    None where it is in use itself, somebody chose another, or a fine-tuning has decided since.
    """
    active = runs.active_run(project.store.reader())
    plain = [run for run in runs.list_runs(project.store.reader()) if _is_plain(project, run)]
    last = max(plain, key=lambda run: run.created_at, default=None)
    if last is None or active is None or last.active:
        return None
    found = succession_of(project.runs / last.name)
    if found is None or not is_model(active, found.before):
        return None
    return KeptBack(last, replace(found, words=_since(project, last, active) or found.words))


def _since(project: Project, run: Run, active: Run) -> str:
    """What came of training a model further, where that is over and changed nothing; else empty."""
    how = fine_tuning_of(project.runs / active.name)
    tried = [] if how is None else _tried(project, run, how)
    if tried:
        return tried[-1].how.verdict
    job = jobs.of_key(project, _key(run, active))
    if job is None or job.state not in (JobState.FAILED, JobState.CANCELLED):
        return ""
    ended = "was cancelled" if job.state is JobState.CANCELLED else "failed"
    return (
        f"{active.name} stays in use: the fine-tuning of {run.name} that would have decided "
        f"{ended}. It can be tried again, see the jobs."
    )


def _is_plain(project: Project, run: Run) -> bool:
    """Whether it was trained on the answers of a moment, not made from another model."""
    folder = project.runs / run.name
    return run.bits > 0 and "+" not in run.name and fine_tuning_of(folder) is None


def is_model(run: Run, name: str) -> bool:
    """Whether a run is the one of that name, or the same with new images embedded."""
    return run.name.split("+", 1)[0] == name.split("+", 1)[0]


def renewal(project: Project, run: Run) -> FineTuning | None:
    """How a new model is to be trained further: as the one in use was.

    None where it is in use itself, or was trained further so already.
    """
    active = runs.active_run(project.store.reader())
    found = succession_of(project.runs / run.name)
    if active is None or active.name == run.name or found is None or not found.renewed:
        return None
    how = fine_tuning_of(project.runs / active.name)
    if how is None or how.parent == run.name or _tried(project, run, how):
        return None
    return how


def renew(project: Project, run: Run, *, device: str) -> str | None:
    """Ask the worker to train a new model further as the one in use was; once for each.

    Its head alone where that was so of the one in use; else as deep as the new one learnt.

    Args:
        run: the new model.
        device: auto, cpu or cuda.

    Returns:
        The name of the loss; None where nothing is to be done (see `renewal`).
    """
    active, how = runs.active_run(project.store.reader()), renewal(project, run)
    if active is None or how is None:
        return None
    depth = how.depth if how.depth == Depth.HEAD.value else Depth.AUTO.value
    params = {"loss": how.loss, "parameters": dict(how.parameters), "run": run.name}
    params |= {"depth": depth, "device": device}
    jobs.enqueue_renewal(project, params, key=_key(run, active))
    return how.loss


def _tried(project: Project, run: Run, how: FineTuning) -> list[FineTuned]:
    """What came of training a new model further in the same way, the oldest first."""
    wanted = (run.name, how.recipe)
    return [each for each in fine_tuned(project) if (each.how.parent, each.how.recipe) == wanted]


def _key(run: Run, active: Run) -> str:
    """Of the job that trains a new model further as the one in use was."""
    return f"{run.name} as {active.name.split('+', 1)[0]}"
