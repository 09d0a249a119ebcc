"""Rounds: what was asked, what was learnt, and starting the next."""

from dataclasses import dataclass

from domain.clock import utc_now
from domain.config import Depth, SelectionSettings, Strategy
from domain.errors import InputError, JobError
from domain.jobs import Job, JobState
from domain.loss_catalogue import loss_choice
from domain.rounds import Round, Run
from labeling_store import answers, queue, rounds, runs
from workflow import jobs
from workflow.project import Project
from workflow.run_files import CHECKPOINT, has_embeddings
from workflow.succession import kept_back


@dataclass(frozen=True)
class RoundRow:
    """A round with the model trained at its end; more may be answered than it wanted."""

    round: Round
    answered: int
    target: int
    run: Run | None


def list_rounds(project: Project) -> list[RoundRow]:
    """All rounds, the newest first."""
    db = project.store.reader()
    trained = _models_of_rounds(runs.list_runs(db))
    rows = []
    for each in rounds.list_rounds(db):
        status = queue.queue_status(project.store, each.round_id, utc_now())
        rows.append(RoundRow(each, status.answered, status.target, trained.get(each.number)))
    return sorted(rows, key=lambda row: -row.round.number)


def _models_of_rounds(trained: list[Run]) -> dict[int, Run]:
    """Of each round the model that is in use, else the newest that was trained for it."""
    in_use = {run.round_number: run for run in trained if run.active}
    return {run.round_number: run for run in trained} | in_use


def round_numbers(project: Project) -> list[int]:
    """The numbers of all rounds, the newest first; much quicker than `list_rounds`."""
    known = rounds.list_rounds(project.store.reader())
    return sorted((each.number for each in known), reverse=True)


def list_runs(project: Project) -> list[Run]:
    """All models, the oldest first."""
    return runs.list_runs(project.store.reader())


def check_can_train(project: Project, *, strategy: str | None = None) -> str | None:
    """Why training cannot start now, in words; None if it can.

    Args:
        project: see there.
        strategy: that asks next; None: the project's.
    """
    reason = check_answers(project, strategy=strategy)
    if reason is not None:
        return reason
    at_work = jobs.running(project)
    if at_work is not None and at_work.kind == jobs.PROPOSE:
        return "New pairs are being chosen already."
    if at_work is not None and at_work.kind in jobs.OF_A_ROUND:
        return "A round is being trained already."
    if runs.active_run(project.store.reader()) is None:
        failed = failed_preparation(project)
        if failed is not None:
            return f"The images are not prepared: {why_ended(failed)}. Start the preparation again."
        return "The images are still being prepared. Training can start when that is done."
    return None


def has_learnt_all(project: Project) -> bool:
    """Whether no label was given, taken back or settled since the active model's training.

    Or since that of a newer one which was not put in use.
    """
    db = project.store.reader()
    waiting = kept_back(project)
    run = runs.active_run(db) if waiting is None else waiting.run
    return run is not None and run.bits > 0 and not answers.label_changes(db, after=run.answers)


def needs_training(project: Project, strategy: str) -> bool:
    """Whether a round trains before it asks: not again on the same answers.

    A strategy that asks by a classifier of pairs always does: only training for it makes one.
    """
    by_classifier = strategy in (Strategy.BCGUE, Strategy.BCGUE_NO_DIVERSITY)
    return by_classifier or not has_learnt_all(project)


def learns_by_itself(current: Round, settings: SelectionSettings) -> bool:
    """Whether a round is followed by a training that nobody has to start.

    It is where `components` chose its questions, or will choose those after the first round,
    which is asked before any strategy can choose.
    """
    first = current.number == 1 and settings.strategy is Strategy.COMPONENTS
    return settings.learn_every > 0 and (first or current.strategy == Strategy.COMPONENTS.value)


def failed_preparation(project: Project) -> Job | None:
    """The newest preparation if it failed or was cancelled."""
    newest = next((job for job in jobs.recent(project) if job.kind == jobs.PREPARE), None)
    bad = (JobState.FAILED, JobState.CANCELLED)
    return newest if newest is not None and newest.state in bad else None


def why_ended(job: Job) -> str:
    """The error of a failed job without its full stop, or that it was cancelled."""
    return "it was cancelled" if job.state is JobState.CANCELLED else (job.error or "").rstrip(".")


def check_answers(project: Project, *, strategy: str | None = None) -> str | None:
    """Why nothing can be learnt from the answers, in words; None if something can.

    Groups are sorted by answers of one kind too: that no two images are alike so far says which
    to compare next.
    """
    effort = answers.effort(project.store.reader())
    if effort.bits == 0:
        return "No pair has been answered yet. Answer some on the Annotate page first."
    if (strategy or project.config.selection.strategy) == Strategy.COMPONENTS:
        return None
    if effort.similar == 0:
        return (
            "No similar pair has been answered yet: a model learns from both kinds. "
            "Answer more pairs on the Annotate page."
        )
    if effort.dissimilar == 0:
        return (
            "No pair has been answered as different yet: a model learns from both kinds. "
            "Answer more pairs on the Annotate page."
        )
    return None


def start_round(
    project: Project,
    *,
    strategy: str | None = None,
    pairs: int | None = None,
    then_finetune: str | None = None,
    depth: Depth | None = None,
) -> int:
    """Ask the worker to propose the next questions, and before to train where there is need.

    Args:
        strategy: how the next questions are chosen; None: as the project's settings say.
        pairs: how many questions; None: as the project's settings say.
        then_finetune: the loss that a new model is trained further with; None: none.
        depth: how deep the training reaches; None: as the project's settings say.

    Returns:
        The job's id.

    Raises:
        JobError: training cannot start now; the message says why.
        InputError: an unknown strategy, or fewer than one pair.
    """
    params = round_params(
        project, strategy=strategy, pairs=pairs, then_finetune=then_finetune, depth=depth
    )
    reason = check_can_train(project, strategy=str(params["strategy"]))
    if reason is not None:
        raise JobError(reason)
    if needs_training(project, str(params["strategy"])):
        return jobs.enqueue_round(project.jobs, params)
    return jobs.enqueue_propose(project.jobs, params)


def round_params(
    project: Project,
    *,
    strategy: str | None,
    pairs: int | None,
    then_finetune: str | None = None,
    depth: Depth | None = None,
) -> dict[str, str | int]:
    """Checked parameters of a round, with the project's settings where None is given."""
    settings = project.config.selection
    names = [each.value for each in Strategy]
    strategy = strategy or settings.strategy.value
    if strategy not in names:
        raise InputError(
            f'strategy = "{strategy}"; must be one of {", ".join(names)}.', "Choose one of them."
        )
    pairs = settings.pairs_per_round if pairs is None else pairs
    if pairs < 1:
        raise InputError(f"pairs = {pairs}; must be 1 or more.", "Ask for at least one pair.")
    params: dict[str, str | int] = {"strategy": strategy, "pairs": pairs}
    if then_finetune is not None:
        params["then_finetune"] = loss_choice(then_finetune).name
    if depth is not None:
        params["depth"] = depth.value
    return params


def activate(project: Project, run_name: str) -> None:
    """Use an earlier model again for search and for the next proposals.

    Where its embeddings were dropped, the worker makes them first.

    Raises:
        InputError: there is no such run, or its files are gone.
        JobError: another model's embeddings are being made.
    """
    names = [run.name for run in list_runs(project)]
    if run_name not in names:
        raise InputError(
            f'There is no run "{run_name}"; there are {", ".join(names) or "none yet"}.',
            "Choose one of them.",
        )
    if not (project.runs / run_name / CHECKPOINT).is_file():
        raise InputError(
            f'The files of run "{run_name}" are not in {project.runs}: backups keep only those of '
            "the model in use.",
            "Choose another run, or train again.",
        )
    if not is_embedded(project, run_name):
        jobs.enqueue_use(project.jobs, run_name)
        return
    with project.store.transaction() as db:
        runs.activate_run(db, run_name)


def is_embedded(project: Project, run_name: str) -> bool:
    """Whether a run's embeddings are kept, so that it can be used at once."""
    return has_embeddings(project.runs / run_name)
