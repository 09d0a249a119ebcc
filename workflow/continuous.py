"""Learning without anybody asking for it: when the next round starts by itself, and its words.

The strategy `components` learns in about a second, so its rounds are small, and the worker starts
them: nobody needs to press a button, and people go on answering meanwhile.
"""

from domain.clock import later, utc_now
from domain.config import Depth, Strategy, Views
from domain.jobs import Job, JobState
from domain.rounds import Run
from labeling_store import answers, runs
from workflow import jobs
from workflow.project import Project
from workflow.questions import RoundProgress, round_progress
from workflow.rounds import check_can_train, round_params
from workflow.run_files import views_of

VIEWS_UNDISTURBED_S = 60.0  # an interruption costs the embedding of all views some seconds
_WAITED_FOR = (jobs.PREPARE, *jobs.OF_A_ROUND)


def start_if_due(project: Project) -> int | None:
    """Queue the next round if it is time to learn; the job's id, None if it is not.

    It is time `learn_every` answers after the last training, or as soon as the current round has
    its answers, however few it could ask; and once when all views are embedded, which the last
    model did not learn from. After a round that failed or was cancelled it is time only when so
    many answers came since. A round interrupts the embedding of all views, which then goes on
    undisturbed for a while, unless questions run short.
    """
    job = jobs.newest_of(project, _WAITED_FOR)
    if job is not None and not job.state.ended:
        return None
    progress = round_progress(project)
    if progress is None or not progress.by_itself or not _has_come_enough(project, progress, job):
        return None
    if check_can_train(project, strategy=Strategy.COMPONENTS) is not None:
        return None
    key = _key(project)
    if job is not None and job.key == key:
        return None  # tried with the same answers and features already
    strategy = Strategy.COMPONENTS.value
    params = round_params(project, strategy=strategy, pairs=None, depth=Depth.HEAD)
    return jobs.enqueue_round(project.jobs, params, by=jobs.BY_ITSELF, key=key)


def in_words(project: Project) -> str | None:
    """That the model learns by itself, and what it has learnt; None where it does not."""
    progress = round_progress(project)
    if progress is None or not progress.by_itself:
        return None
    every = project.config.selection.learn_every
    promise = (
        f"The model learns by itself after every {every} answers; nothing needs to be pressed."
    )
    last = _last_training(project)
    if last is None:
        return f"{promise} It has not learnt yet."
    day, time = last.created_at[:10], last.created_at[11:16]
    new = _changes_since(project, last)
    return f"{promise} It learnt last on {day} at {time} UTC; {new or 'none'} came since."


def _has_come_enough(project: Project, progress: RoundProgress, job: Job | None) -> bool:
    every = project.config.selection.learn_every
    if job is not None and job.kind in jobs.OF_A_ROUND and job.state is not JobState.DONE:
        moment = job.ended_at or job.created_at
        return answers.label_changes_after(project.store.reader(), moment) >= every
    last = _last_training(project)
    if last is not None and _views_came_since(project, last):
        return True
    changes = _changes_since(project, last)
    if not changes or (changes < every and progress.left):
        return False
    return progress.open < every or not _disturbs_views(project, job)


def _key(project: Project) -> str:
    """What a round would learn from: the same answers and the same features have the same key."""
    key = f"after event {answers.last_event_id(project.store.reader())}"
    views = jobs.newest(project, jobs.VIEWS)
    return key if views is None or not views.state.ended else f"{key}, views {views.job_id}"


def _views_came_since(project: Project, last: Run) -> bool:
    """Whether all views were embedded after a training on the single one."""
    views = jobs.newest(project, jobs.VIEWS)
    if views is None or views.state is not JobState.DONE or views.ended_at is None:
        return False
    wanted = project.config.model.views is Views.MULTI
    learnt = views_of(project.runs / last.name) is Views.MULTI
    return wanted and not learnt and views.ended_at > last.created_at


def _disturbs_views(project: Project, before: Job | None) -> bool:
    """Whether all views are being embedded, and were interrupted a moment ago."""
    views = jobs.newest(project, jobs.VIEWS)
    if views is None or views.state.ended or before is None or before.ended_at is None:
        return False
    return utc_now() < later(before.ended_at, VIEWS_UNDISTURBED_S)


def _last_training(project: Project) -> Run | None:
    """The newest model that learnt from answers, in use or not."""
    learnt = [run for run in runs.list_runs(project.store.reader()) if run.bits]
    return max(learnt, key=lambda run: (run.answers, run.created_at), default=None)


def _changes_since(project: Project, run: Run | None) -> int:
    return answers.label_changes(project.store.reader(), after=0 if run is None else run.answers)
