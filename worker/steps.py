"""What the worker can do, by the kind of a job; every step can be done again after a crash."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from domain.answers import Propagation
from domain.config import Depth, Strategy, Views
from domain.descriptors import Descriptor
from domain.errors import JobError, shortened
from domain.jobs import JobState, Progress, part_of, silent
from domain.loss_catalogue import loss_choice
from domain.rounds import Run
from labeling_store import rounds, runs
from training.device import device_in_words, resolve_device
from worker.agreement import report_on_people
from worker.backbone import ArchiveFeatures, archive_features
from worker.embedding import embed_again, embed_new_images, needs_views
from worker.finetuning import fine_tune_run
from worker.learning import keep_frozen, keep_frozen_views, train_on_answers
from worker.network_lessons import forget_lesson
from worker.proposing import propose_next, replace_first_questions
from worker.report import JobReport
from worker.retraining import retrained_features
from workflow import jobs
from workflow.backups import write_backup
from workflow.consistency import consistency, steps_back
from workflow.finetuning import held_back, starting_run, tuning_depth
from workflow.old_runs import drop_old_embeddings
from workflow.pictures import render_all
from workflow.project import Project
from workflow.run_files import descriptor_of, reads_own_backbone, views_of
from workflow.speed import depth_used, note_speed
from workflow.succession import renew, renewal
from workflow.verify import verify as check_project

NO_CLOSURE = (
    "Images are not sorted into groups, because answers do not spread by closure in this project "
    "(propagation in project.toml); pairs are chosen by MGUE instead."
)
Step = Callable[[Project, Mapping[str, Any], JobReport], None]


def prepare(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Thumbnails, weights or warm-up, features, the frozen model, and first questions."""
    failed = render_all(project, progress=part_of(report, 0.0, 0.1))
    if failed:
        names = shortened(list(failed))
        report.log(f"{len(failed)} pictures could not be rendered: {names}")
    progress = part_of(report, 0.1, 0.9)
    archive = _features(project, params, report, progress, views=Views.SINGLE)
    report(0.9, "choosing first questions")
    keep_frozen(project, archive)
    embed_new_images(project, archive, _device(params), silent)
    replaced = replace_first_questions(project, device=_device(params))
    if replaced:
        report.log(f"{replaced} first questions chosen from the features")
    if needs_views(project):
        jobs.enqueue_views(project.jobs, params)
        report.log("all views of the images are embedded next; nobody needs to wait for them")


def views(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Features of all views, for the next training, and as they come where nothing was learnt."""
    archive = _features(project, params, report, report, views=Views.MULTI)
    active = runs.active_run(project.store.reader())
    if active is not None and reads_own_backbone(project.runs / active.name):
        _features(project, params, report, report, views=Views.MULTI, of=active.name)
    if project.config.model.views is Views.MULTI and keep_frozen_views(project, archive):
        report.log("search and new questions use all views of the images from now on")
    embed_new_images(project, archive, _device(params), report)


def use(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """An earlier model, whose embeddings were dropped, becomes the active one again."""
    name = str(params["run"])
    archive = _features_of_run(project, name, params, report, report)
    embed_again(project, name, archive)
    report.log(f"search and new questions use the model {name} from now on")


def train(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Train on the answers of now; the new model is used, unless the one in use may be better."""
    run = _train(project, params, report, report)
    _renew(project, run, params, report)
    people(project, params, report)


def propose(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """The next questions, from the active model."""
    _propose(project, params, report, report)


def round_(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Train, then propose; where a loss is named, a job of its own fine-tunes the model then."""
    run = _train(project, params, report, part_of(report, 0.0, 0.95))
    _propose(project, params, report, part_of(report, 0.95, 1.0))
    people(project, params, report)
    _then_fine_tune(project, run, params, report)
    _renew(project, run, params, report)


def finetune(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Train a model further with another loss; the better one is in use afterwards."""
    done = runs.run_made_by(project.store.reader(), report.key)
    if done is not None:
        report.log(f"{done.name} was trained by an earlier attempt")
        return
    parent = starting_run(project, params.get("run"))
    asked = Depth(params.get("depth", Depth.AUTO))
    depth = tuning_depth(project, parent, asked)
    if why := held_back(project, parent, asked):
        report.log(why)
    first = part_of(report, 0.0, 0.1 if depth is Depth.FULL else 0.3)
    archive = _features_of_run(project, parent.name, params, report, first)
    report.log(f"fine-tuning {parent.name} with the loss {params['loss']}")
    run = fine_tune_run(
        project,
        archive,
        parent,
        params,
        depth=depth,
        device=_device(params),
        report=report,
        progress=part_of(report, 0.1 if depth is Depth.FULL else 0.3, 1.0),
    )
    if depth is Depth.FULL:
        forget_lesson(project)
    report(1.0, f"{run.name}: {'in use' if run.active else 'not in use'}")


def people(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """How far members agree, and how much each answered, for the People page."""
    found = report_on_people(project)
    report.log(f"{found.pairs} pairs labelled by two members or more, {found.agreed} alike")


def backup(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """A copy of what people did, in the folder of backups."""
    done = write_backup(project, made=str(params["made"]), key=report.key, progress=report)
    report(1.0, f"{done.path.name}: {done.manifest.answers} answers")
    report.log(f"{done.path} has {done.manifest.answers} answers ({done.size_bytes:,} bytes)")


def verify(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
    """Whether everything is whole; what is not makes the job fail with what to mend."""
    verdict = check_project(project, progress=report)
    for words in verdict.checked:
        report.log(f"looked at: {words}")
    for problem in verdict.problems:
        report.log(problem)
    if verdict.problems:
        raise JobError(
            shortened(list(verdict.problems), 3),
            'Mend it, or bring a backup back with "python cli.py restore FILE".',
        )


STEPS: Mapping[str, Step] = {
    jobs.PREPARE: prepare,
    jobs.TRAIN: train,
    jobs.PROPOSE: propose,
    jobs.ROUND: round_,
    jobs.FINETUNE: finetune,
    jobs.VIEWS: views,
    jobs.PEOPLE: people,
    jobs.BACKUP: backup,
    jobs.VERIFY: verify,
    jobs.USE: use,
}


def _train(
    project: Project, params: Mapping[str, Any], report: JobReport, progress: Progress
) -> Run:
    done = runs.run_made_by(project.store.reader(), report.key)
    if done is not None:
        report.log(f"{done.name} was trained by an earlier attempt")
        return done
    active, first = runs.active_run(project.store.reader()), part_of(progress, 0.0, 0.3)
    name = None if active is None else active.name
    archive = _features(project, params, report, first, views=None, of=name)
    if archive.views is not project.config.model.views:
        report.log("not all views of the images are embedded yet: it learns from the single view")
        before = jobs.newest(project, jobs.VIEWS)
        if before is None or before.state is JobState.DONE:  # images or the settings are newer
            jobs.enqueue_views(project.jobs, params)
    start, in_use = 0.3, archive
    strategy = _strategy(project, params)[0]
    if _depth(project, params) is Depth.FULL:
        middle, start = part_of(progress, 0.05, 0.95), 0.95
        archive = retrained_features(
            project,
            archive,
            device=_device(params),
            groups=strategy == Strategy.COMPONENTS.value,
            report=report,
            progress=middle,
        )
    run = train_on_answers(
        project,
        archive,
        device=_device(params),
        report=report,
        strategy=strategy,
        judged_in=None if archive is in_use else in_use,
        progress=part_of(progress, start, 1.0),
    )
    forget_lesson(project)
    report.log(f"{run.name} trained on {run.bits} answers, {run.known_pairs} known pairs")
    dropped = drop_old_embeddings(project)
    if dropped:
        report.log(f"embeddings of earlier models dropped: {shortened(dropped)}")
    return run


def _then_fine_tune(
    project: Project, run: Run, params: Mapping[str, Any], report: JobReport
) -> None:
    """With the loss that a lead named, unless that is how the new model is renewed anyway."""
    loss, how = params.get("then_finetune"), renewal(project, run)
    if loss is None or (how is not None and how.recipe == (loss, loss_choice(loss).values())):
        return
    tuning = {"loss": loss, "device": params.get("device", "auto"), "run": run.name}
    jobs.enqueue_fine_tuning(project.jobs, tuning, by=jobs.BY_WORKER)
    report.log(f"the new model is fine-tuned with {loss} next")


def _renew(project: Project, run: Run, params: Mapping[str, Any], report: JobReport) -> None:
    """Where the model in use was fine-tuned, have the new one fine-tuned in the same way."""
    loss = renew(project, run, device=str(params.get("device", "auto")))
    if loss is not None:
        report.log(f"{run.name} is fine-tuned with {loss}, as the model in use was, next")


def _propose(
    project: Project, params: Mapping[str, Any], report: JobReport, progress: Progress
) -> None:
    done = rounds.round_made_by(project.store.reader(), report.key)
    if done is not None:
        report.log(f"round {done.number} got its questions from an earlier attempt")
        return
    progress(0.0, "choosing the next questions")
    strategy, notes = _strategy(project, params)
    proposed = propose_next(
        project,
        strategy=strategy,
        pairs=int(params["pairs"]),
        device=_device(params),
        made_by=report.key,
        notes=notes,
        progress=progress,
    )
    for note in proposed.notes:
        report.log(note)
    report.log(
        f"round {proposed.round_number}: {proposed.target} questions and {proposed.spare} to spare"
    )


def _strategy(project: Project, params: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The job's strategy, or the project's for a job that only trains; and why it is another.

    Groups are given up where the answers show that "similar" does not carry over.
    """
    wanted = str(params.get("strategy", project.config.selection.strategy.value))
    if wanted != Strategy.COMPONENTS.value:
        return wanted, ()
    if project.config.propagation is not Propagation.CLOSURE:
        return Strategy.MGUE.value, (NO_CLOSURE,)
    note = steps_back(consistency(project))
    return (wanted, ()) if note is None else (Strategy.MGUE.value, (note,))


def _depth(project: Project, params: Mapping[str, Any]) -> Depth:
    wanted = Depth(params.get("depth", project.config.training.depth))
    return depth_used(wanted, _device(params).type)


def _device(params: Mapping[str, Any]) -> torch.device:
    return resolve_device(str(params.get("device", "auto")))


def _features_of_run(
    project: Project,
    name: str,
    params: Mapping[str, Any],
    report: JobReport,
    progress: Progress,
) -> ArchiveFeatures:
    """Features of all images of now, made as those of a run were, whatever the settings say now."""
    folder = project.runs / name
    views, made_by = views_of(folder), descriptor_of(folder)
    return _features(project, params, report, progress, views=views, of=name, descriptor=made_by)


def _features(
    project: Project,
    params: Mapping[str, Any],
    report: JobReport,
    progress: Progress,
    *,
    views: Views | None,
    of: str | None = None,
    descriptor: Descriptor | None = None,
) -> ArchiveFeatures:
    device = _device(params)
    note_speed(project, device.type, device_in_words(device))
    archive = archive_features(project, device, progress, views=views, of=of, descriptor=descriptor)
    how = " with all views" if archive.views is Views.MULTI else ""
    report.log(f"{len(archive.records)} images embedded{how} on {device_in_words(device)}")
    report.log(archive.weights.note)
    return archive
