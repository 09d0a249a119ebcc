"""The state of a project in words, and what to do next."""

from dataclasses import dataclass

from domain.answers import Effort, Propagation
from domain.config import Views
from domain.images import SMALL_ARCHIVE, Part, QuarantinedFile
from domain.jobs import Job, JobState
from domain.rounds import Run
from labeling_store import answers, flags, images, relations, runs
from labeling_store.conflicts import count_open_conflicts
from workflow import consistency, continuous, jobs
from workflow.project import Project
from workflow.questions import RoundProgress, round_progress
from workflow.rounds import check_can_train, failed_preparation, has_learnt_all, why_ended
from workflow.run_files import views_of


@dataclass(frozen=True)
class NextStep:
    """What the user should do now, and the page where to do it."""

    title: str
    text: str
    page: str  # overview, annotate, rounds or curves


@dataclass(frozen=True)
class Overview:
    """Everything the first page shows."""

    project_name: str
    images: int
    quarantined: tuple[QuarantinedFile, ...]
    parts: dict[Part, int]
    has_classes: bool
    round: RoundProgress | None
    effort: Effort
    known_pairs: int
    propagation: Propagation
    conflicts: int
    flags: int  # that wait for a lead
    active_run: Run | None
    running_job: Job | None
    worker_alive: bool
    model_state: str
    learning: str | None  # that the model learns by itself, and when it did last
    consistency: str | None  # how often answers contradict each other
    reliability: str | None  # how often they are wrong
    unreliable: str | None  # that answers are spread less far because of that
    next_step: NextStep
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """How far a project is, in figures that are quick to get."""

    round: RoundProgress | None
    effort: Effort
    conflicts: int
    active_run: Run | None
    running_job: Job | None
    worker_alive: bool


def standing(project: Project) -> Standing:
    """How far a project is now."""
    db = project.store.reader()
    return Standing(
        round=round_progress(project),
        effort=answers.effort(db),
        conflicts=count_open_conflicts(db),
        active_run=runs.active_run(db),
        running_job=jobs.running(project),
        worker_alive=jobs.worker_alive(project),
    )


def overview(project: Project) -> Overview:
    """The state of a project, read afresh."""
    db = project.store.reader()
    records = images.list_images(db)
    progress = round_progress(project)
    active = runs.active_run(db)
    job = jobs.running(project)
    alive = jobs.worker_alive(project)
    found = consistency.consistency(project)
    return Overview(
        project_name=project.config.name,
        images=len(records),
        quarantined=tuple(images.list_quarantined(db)),
        parts={part: sum(record.part is part for record in records) for part in Part},
        has_classes=any(record.class_name for record in records),
        round=progress,
        effort=answers.effort(db),
        known_pairs=relations.known_pair_count(project.store, project.config.propagation),
        propagation=project.config.propagation,
        conflicts=count_open_conflicts(db),
        flags=flags.count_open(db),
        active_run=active,
        running_job=job,
        worker_alive=alive,
        model_state=_model_state(project, active, job),
        learning=continuous.in_words(project),
        consistency=consistency.in_words(found),
        reliability=consistency.errors_in_words(found),
        unreliable=consistency.unreliable(project, found),
        next_step=_next_step(project, progress, job, alive),
        warnings=_warnings(len(records), project),
    )


def image_count(project: Project) -> int:
    """How many images of the archive can be read."""
    return images.count_images(project.store.reader())


def quarantined(project: Project) -> list[QuarantinedFile]:
    """Files in the images folder that cannot be used, by path."""
    return images.list_quarantined(project.store.reader())


def _model_state(project: Project, active: Run | None, job: Job | None) -> str:
    backbone = project.config.model.backbone.value
    if active is None and failed_preparation(project) is not None:
        return f"{backbone}: not ready, as the preparation of the images did not end"
    if active is None:
        doing = (job.message if job is not None else "") or "waiting for the worker"
        return f"{backbone}: not ready yet ({doing})"
    if active.depth == "frozen":
        of_all = views_of(project.runs / active.name) is Views.MULTI
        which = "features of all views" if of_all else "features"
        return f"{backbone}: {which} as they come, nothing learnt from answers yet"
    return f"{backbone} with a head trained on {active.bits} answers (round {active.round_number})"


def _next_step(
    project: Project, progress: RoundProgress | None, job: Job | None, alive: bool
) -> NextStep:
    if job is not None and job.kind in jobs.OF_A_ROUND:
        by_itself = alive and job.queued_by == jobs.BY_ITSELF
        if by_itself and progress is not None and progress.open + progress.leased:
            return _go_on_meanwhile(progress)
        return _follow_round(job, progress, alive)
    failed = _failed_round(project)
    if failed is not None:
        return NextStep(
            "Look at the failed round",
            f"It stopped: {(failed.error or '').rstrip('.')}. No answer is lost."
            f"{_tried_again(project, progress)}",
            "rounds",
        )
    unprepared = failed_preparation(project)
    if unprepared is not None:
        return NextStep(
            "Look at the failed preparation",
            f"The preparation of the images did not end: {why_ended(unprepared)}.",
            "rounds",
        )
    if progress is None or progress.total == 0:
        return NextStep(
            "Add images",
            "There is no pair to ask: the training part needs two different images. Add images "
            'to the folder and run "python cli.py ingest".',
            "overview",
        )
    if progress.left > 0:
        return NextStep(
            "Answer pairs" if progress.answered == 0 else "Go on answering",
            f"{progress.left} of {progress.target} pairs of round {progress.round_number} are "
            "left.",
            "annotate",
        )
    if has_learnt_all(project):
        return _after_training(project)
    obstacle = check_can_train(project)
    if obstacle is not None:
        return NextStep("Nearly there", obstacle, "rounds")
    if progress.by_itself and alive:
        return _go_on_meanwhile(progress)
    return NextStep(
        "Train on the answers",
        f"The {progress.target} pairs of round {progress.round_number} are answered. Let the "
        f"model learn from them; it then asks what it is least sure of.{_meanwhile(progress)}",
        "rounds",
    )


def _go_on_meanwhile(progress: RoundProgress) -> NextStep:
    return NextStep(
        "Go on answering",
        f"The model learns by itself from what is answered so far.{_meanwhile(progress)} New "
        "pairs come by themselves.",
        "annotate",
    )


def _follow_round(job: Job, progress: RoundProgress | None, alive: bool) -> NextStep:
    if not alive:
        return NextStep(
            "Start the worker",
            'A round is waiting, but no worker is running. Start it with "script/run" or '
            '"python cli.py worker".',
            "rounds",
        )
    if job.kind == jobs.PROPOSE:
        return NextStep(
            "New pairs are being chosen",
            f"The model looks for the pairs that teach it most.{_meanwhile(progress)}",
            "rounds",
        )
    return NextStep(
        "The model is learning",
        f"Round in training: {job.message or 'starting'}. New questions come right after."
        f"{_meanwhile(progress)}",
        "rounds",
    )


def _tried_again(project: Project, progress: RoundProgress | None) -> str:
    """When a failed round is tried without anybody asking for it."""
    if progress is None or not progress.by_itself:
        return ""
    every = project.config.selection.learn_every
    return f" It is tried again after {every} further answers."


def _after_training(project: Project) -> NextStep:
    if _is_all_known(project):
        return NextStep(
            "Everything is known",
            "Every pair of training images is answered or implied. Look at the curves, search the "
            "archive, or add images.",
            "curves",
        )
    return NextStep(
        "Ask the next pairs",
        "The model has learnt from every answer, and there are pairs nobody was asked. "
        "Let it ask those that it is least sure of.",
        "rounds",
    )


def _meanwhile(progress: RoundProgress | None) -> str:
    """That nobody needs to wait, where there are questions to go on with."""
    if progress is None or progress.open + progress.leased == 0:
        return ""
    return " Meanwhile people can go on annotating: every answer counts."


def _is_all_known(project: Project) -> bool:
    """Whether no pair of training images is left to ask, by count.

    An approximation: copies count as one image, and known pairs of copies as pairs.
    """
    training = images.list_images(project.store.reader(), part=Part.TRAIN)
    distinct = len({image.duplicate_group for image in training})
    known = relations.known_pair_count(project.store, project.config.propagation)
    return known >= distinct * (distinct - 1) // 2


def _failed_round(project: Project) -> Job | None:
    newest = next((job for job in jobs.recent(project) if job.kind in jobs.OF_A_ROUND), None)
    return newest if newest is not None and newest.state is JobState.FAILED else None


def _warnings(image_count: int, project: Project) -> tuple[str, ...]:
    found = []
    if image_count < SMALL_ARCHIVE:
        found.append(
            f"With {image_count} images quality figures mean little; "
            f"{SMALL_ARCHIVE} or more are better."
        )
    if not jobs.worker_alive(project):
        found.append(
            'The worker is not running: models are not trained. Start it with "script/run" or '
            '"python cli.py worker".'
        )
    return tuple(found)
