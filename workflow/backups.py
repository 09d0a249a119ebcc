"""The backups of a project: those that there are, and those that the worker makes by itself."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from domain.clock import later, utc_now
from domain.errors import InputError, ProjectError
from domain.jobs import JobState, Progress, silent
from domain.members import Member, Role
from labeling_store import answers, images, rounds
from labeling_store.members import check_actor
from workflow import jobs
from workflow.backup import Backup, Manifest, file_moment, make_backup, read_backup
from workflow.project import Project

BY_ITSELF, BY_HAND, REPLACED = "auto", "manual", "before-restore"  # how names of files start

_TRY_AGAIN_S = 3600.0  # after a backup that failed


@dataclass(frozen=True)
class Listed:
    """A file in the folder of backups; without a manifest it is none, or is damaged."""

    path: Path
    size_bytes: int
    manifest: Manifest | None

    @property
    def made(self) -> str:
        """How it came about, as its name starts; "" for one that somebody put there."""
        starts = (BY_ITSELF, BY_HAND, REPLACED)
        return next((each for each in starts if self.path.name.startswith(f"{each}-")), "")


def folder_of(project: Project) -> Path:
    """Where the worker keeps backups."""
    return project.folder / project.config.backup.folder


def list_backups(project: Project) -> list[Listed]:
    """What is in the folder of backups, the newest first, damaged ones last."""
    found = list(_listed(project))
    return sorted(found, key=lambda each: each.manifest.made_at if each.manifest else "")[::-1]


def schedule_in_words(project: Project) -> str:
    """When the worker makes backups by itself."""
    settings = project.config.backup
    if settings.every_hours == 0:
        return "None is made by itself: every_hours is 0 under [backup] in project.toml."
    return (
        f"The worker makes one every {settings.every_hours:g} hours by itself if there is anything "
        f"new, and keeps the last {settings.keep}."
    )


def ask_backup(project: Project, actor: Member) -> int:
    """Ask the worker for a backup now; the job's id.

    Raises:
        AccessError: the actor is no lead.
    """
    _check_lead(project, actor, to="make backups")
    return jobs.enqueue_backup(project.jobs, BY_HAND, by=jobs.BY_PROJECT)


def ask_check(project: Project, actor: Member) -> int:
    """Ask the worker to look whether everything is whole; the job's id.

    Raises:
        AccessError: the actor is no lead.
    """
    _check_lead(project, actor, to="check the project")
    return jobs.enqueue_verify(project.jobs)


def ask_if_due(project: Project) -> int | None:
    """Ask the worker for a backup if it is time for one; the job's id, None if it is not.

    It is time `every_hours` after the last one that was made by itself, or after the project was
    made, if there are answers or images that it does not have.
    """
    settings = project.config.backup
    if settings.every_hours == 0:
        return None
    last = next((each for each in _made_by_itself(project)), None)
    since = _first_round(project) if last is None else last.made_at
    if since is None or later(since, settings.every_hours * 3600) > utc_now():
        return None
    if last is not None and not _has_news(project, last):
        return None
    tried = jobs.newest(project, jobs.BACKUP)
    if tried is not None and tried.state in (JobState.FAILED, JobState.CANCELLED):
        wait_s = min(settings.every_hours * 3600, _TRY_AGAIN_S)
        if later(tried.created_at, wait_s) > utc_now():
            return None
    return jobs.enqueue_backup(project.jobs, BY_ITSELF, by=jobs.BY_WORKER)


def write_backup(project: Project, *, made: str, key: str, progress: Progress = silent) -> Backup:
    """Make a backup in the folder of backups, and delete the oldest that were made by themselves.

    Args:
        project: may be in use.
        made: how it comes about, `BY_ITSELF` or `BY_HAND`.
        key: of the job; where an earlier attempt has made the backup, it is that one.
        progress: told about the steps.

    Raises:
        ProjectError: the folder cannot be written.
        StoreError: the database is damaged, or the disk is full.
    """
    folder = folder_of(project)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be made: {error.strerror}.", "Mend folder under [backup]."
        ) from error
    for unfinished in folder.glob(f".{made}-*.part"):  # of an attempt that was killed
        rmtree(unfinished, ignore_errors=True)
    done = next(iter(folder.glob(f"{made}-*-{key[:8]}.zip")), None)
    backup = read_backup(done) if done is not None else None
    if backup is None:
        target = folder / f"{made}-{file_moment()}-{key[:8]}.zip"
        with_model = project.config.backup.with_model
        backup = make_backup(project, target, with_model=with_model, progress=progress)
    _prune(project)
    return backup


def _prune(project: Project) -> None:
    """Delete what the worker made by itself beyond `keep`; others are for people to delete."""
    own = [each for each in list_backups(project) if each.made == BY_ITSELF and each.manifest]
    for old in own[project.config.backup.keep :]:
        with suppress(OSError):
            old.path.unlink()


def _listed(project: Project) -> Iterator[Listed]:
    for path in folder_of(project).glob("*.zip"):
        try:
            size_bytes = path.stat().st_size
            yield Listed(path, size_bytes, read_backup(path).manifest)
        except OSError:
            continue  # deleted meanwhile
        except InputError:
            yield Listed(path, size_bytes, None)


def _made_by_itself(project: Project) -> Iterator[Manifest]:
    for each in list_backups(project):
        if each.made == BY_ITSELF and each.manifest is not None:
            yield each.manifest


def _has_news(project: Project, last: Manifest) -> bool:
    db = project.store.reader()
    return (answers.last_event_id(db), images.count_images(db)) != (last.last_event_id, last.images)


def _first_round(project: Project) -> str | None:
    return min(
        (each.created_at for each in rounds.list_rounds(project.store.reader())), default=None
    )


def _check_lead(project: Project, actor: Member, *, to: str) -> None:
    check_actor(project.store.reader(), actor, Role.LEAD, to=to)
