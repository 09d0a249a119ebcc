"""Fine-tuning a model with another loss: what can be started, and what came of it."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import tomli_w

from domain.config import Depth
from domain.errors import InputError, JobError
from domain.loss_catalogue import loss_choice
from domain.losses import Value
from domain.rounds import Run
from labeling_store import runs
from workflow import jobs
from workflow.project import Project
from workflow.run_files import CHECKPOINT, FINE_TUNING, learnt_images, reads_own_backbone


@dataclass(frozen=True)
class FineTuning:
    """How a model was fine-tuned, as its run keeps it.

    Attributes:
        parent: the run that was trained further, on the answers that it had learnt from.
        loss, parameters: see `domain.loss_catalogue`.
        steps: of training.
        images: held-out images that decided; 0 where there were too few answers to hold any out.
        before, after: their mean average precision with the parent and fine-tuned, both trained
            without them.
        uncertainty: standard error of the difference.
        verdict: what that means, in words.
        device: what it was trained on, in words.
        depth: head, or full where the whole network was trained further.
    """

    parent: str
    loss: str
    parameters: Mapping[str, Value]
    steps: int
    images: int
    before: float
    after: float
    uncertainty: float
    verdict: str
    device: str = ""
    depth: str = Depth.HEAD.value

    @property
    def recipe(self) -> tuple[str, dict[str, Value]]:
        """The loss and its parameters: another fine-tuning is the same, however deep, by them."""
        return self.loss, dict(self.parameters)

    def as_toml(self) -> str:
        """The text of the run's file."""
        return tomli_w.dumps(asdict(self))


@dataclass(frozen=True)
class FineTuned:
    """A run, and how it was fine-tuned."""

    run: Run
    how: FineTuning


def fine_tuning_of(folder: Path) -> FineTuning | None:
    """How the model of a run's folder was fine-tuned; None where it was not."""
    try:
        return FineTuning(**tomllib.loads((folder / FINE_TUNING).read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, TypeError):
        return None


def loss_of(project: Project, run: Run) -> str:
    """The name of the loss that a run was fine-tuned with; empty where it was not."""
    found = fine_tuning_of(project.runs / run.name)
    return "" if found is None else found.loss


def starting_run(project: Project, name: str | None = None) -> Run:
    """The model that a fine-tuning starts from.

    Args:
        name: of a run; None: the active one. Of a fine-tuned one it is the parent, so that losses
            are compared from the same start.

    Raises:
        InputError: there is no such run, it has learnt nothing, or its checkpoint is gone.
    """
    known = {run.name: run for run in runs.list_runs(project.store.reader())}
    active = next((run.name for run in known.values() if run.active), None)
    wanted = name or active
    if wanted is None or wanted not in known:
        raise InputError(
            f'There is no run "{wanted}".' if wanted else "There is no model yet.",
            f"Choose one of {', '.join(known) or 'those that a training makes'}.",
        )
    earlier = fine_tuning_of(project.runs / wanted)
    run = known.get(wanted if earlier is None else earlier.parent)
    if run is None or not (project.runs / run.name / CHECKPOINT).is_file():
        raise InputError(
            f"The checkpoint that {wanted} starts from is gone.", "Train again, or choose another."
        )
    if run.bits == 0:
        raise InputError(
            f"{run.name} has learnt nothing from answers yet, so there is nothing to fine-tune.",
            'Train first, with the Rounds page or "python cli.py train".',
        )
    return run


def fine_tuning_params(
    project: Project,
    loss: str,
    *,
    settings: tuple[str, ...] = (),
    run: str | None = None,
    depth: Depth = Depth.AUTO,
) -> dict[str, object]:
    """Checked parameters of a job.

    Args:
        loss: a name of the catalogue.
        settings: parameters of the loss that differ from the defaults, each NAME=VALUE.
        run: that it starts from; None: the one that is active when the job starts.
        depth: see `tuning_depth`.

    Raises:
        InputError: an unknown loss, parameter or run, or a value that is not allowed.
    """
    values = loss_choice(loss).read(settings)
    params: dict[str, object] = {"loss": loss, "parameters": values, "depth": depth.value}
    return params if run is None else {**params, "run": starting_run(project, run).name}


def tuning_depth(project: Project, run: Run, depth: Depth) -> Depth:
    """How deep a fine-tuning reaches: `auto` as deep as the training that made the model.

    `auto` is the head, too, where nobody noted what the network has learnt already: see
    `held_back`.

    Raises:
        InputError: the whole network, where nobody noted that, so that nothing could be held out
            to judge by.
    """
    unknown = _lessons_unknown(project, run)
    if depth is Depth.AUTO:
        whole = run.depth == Depth.FULL.value and not unknown
        return Depth.FULL if whole else Depth.HEAD
    if depth is Depth.FULL and unknown:
        raise InputError(
            f"{run.name} does not say which answers its network has learnt: an earlier version "
            "trained it.",
            "Fine-tune its head only, or train at full depth again.",
        )
    return depth


def held_back(project: Project, run: Run, depth: Depth) -> str:
    """Why `auto` is the head of a model that learnt as a whole, in words; empty where it is not."""
    whole = depth is Depth.AUTO and run.depth == Depth.FULL.value
    if not whole or not _lessons_unknown(project, run):
        return ""
    return (
        f"An earlier version trained the network of {run.name} and did not note which answers it "
        "has learnt, so that nothing could judge it: its head alone is trained further."
    )


def _lessons_unknown(project: Project, run: Run) -> bool:
    folder = project.runs / run.name
    return reads_own_backbone(folder) and learnt_images(folder) is None


def check_can_fine_tune(project: Project, *, depth: Depth = Depth.AUTO) -> str | None:
    """Why the model in use cannot be fine-tuned so deep now, in words; None if it can."""
    job = jobs.running(project)
    if job is not None and job.kind in (*jobs.OF_A_ROUND, jobs.FINETUNE):
        return "The worker is learning already. Fine-tuning can start when that is done."
    try:
        tuning_depth(project, starting_run(project), depth)
    except InputError as error:
        return str(error)
    return None


def start_fine_tuning(project: Project, loss: str, *, depth: Depth = Depth.AUTO) -> int:
    """Ask the worker to fine-tune the model in use with a loss and its defaults; the job's id.

    Args:
        loss: a name of the catalogue.
        depth: see `tuning_depth`.

    Raises:
        JobError: it cannot start now; the message says why.
        InputError: an unknown loss.
    """
    params = fine_tuning_params(project, loss, depth=depth)
    reason = check_can_fine_tune(project, depth=depth)
    if reason is not None:
        raise JobError(reason)
    return jobs.enqueue_fine_tuning(project.jobs, params, by=jobs.BY_PAGE)


def newest(project: Project) -> FineTuned:
    """The newest model that was fine-tuned.

    Raises:
        JobError: there is none.
    """
    found = fine_tuned(project)
    if not found:
        raise JobError("No model was fine-tuned yet.", 'Run "python cli.py finetune --loss NAME".')
    return found[-1]


def fine_tuned(project: Project) -> list[FineTuned]:
    """The models that were fine-tuned, the oldest first."""
    known = runs.list_runs(project.store.reader())
    found = ((run, fine_tuning_of(project.runs / run.name)) for run in known)
    return [FineTuned(run, how) for run, how in found if how is not None]
