"""What is kept of models that learnt by themselves, long after newer ones took their place.

Such a run comes every few dozen answers, and its embeddings are large: 126 MB at 100,000 images.
The newest few keep them; of the others the model, the settings and the figures stay, and the worker
can embed the images again (the job `use`). Runs that a person started keep everything.
"""

from domain.rounds import Run
from labeling_store import jobs as job_store
from labeling_store import runs
from workflow import jobs
from workflow.curves import metrics_from_next_round
from workflow.project import Project
from workflow.run_files import drop_embeddings, has_embeddings

KEPT = 3  # of the newest; their next round's answers still come in, and a lead may step back


def drop_old_embeddings(project: Project) -> list[str]:
    """Drop the embeddings of all but the newest of the models that nobody started by hand.

    The active model keeps its own. How well a model agreed with the answers after it is kept as a
    figure of its own before: it cannot be worked out any more.

    Returns:
        The names of the runs concerned.
    """
    by_itself = [run for run in _made_by_itself(project) if _has_embeddings(project, run)]
    dropped = [run for run in by_itself[:-KEPT] if not run.active]
    for run in dropped:
        figures = metrics_from_next_round(project, run)
        with project.store.transaction() as db:
            runs.add_metrics(db, run.name, figures)
        drop_embeddings(project.runs / run.name)
    return [run.name for run in dropped]


def _has_embeddings(project: Project, run: Run) -> bool:
    return has_embeddings(project.runs / run.name)


def _made_by_itself(project: Project) -> list[Run]:
    """The oldest first; also those that were widened by new images."""
    keys = job_store.keys_queued_by(project.jobs, jobs.BY_ITSELF)
    db = project.store.reader()
    names = {name for name, key in runs.makers(db).items() if key in keys}
    return [run for run in runs.list_runs(db) if run.name.split("+", 1)[0] in names]
