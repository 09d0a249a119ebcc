"""Looks whether it is time to learn again, or for a backup or a checkpoint, beside the work."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import AnnealError
from labeling_store import answers
from workflow import backups, continuous, jobs
from workflow.project import Project, with_settings_of_now

LOOK_EVERY_S = 1.0
BACKUP_LOOK_EVERY_S = 60.0
CHECKPOINT_EVERY_S = 5.0  # so that the log stays short where many answer
AGAIN_EVERY_S = 10.0  # while all views are embedded: rounds that would disturb it wait for a moment

_log = logging.getLogger(__name__)


class Watch:
    """Queues rounds and backups that nobody starts; remembers what it has seen: a look is cheap."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: tuple[object, ...] | None = None
        self._next_backup_look = 0.0
        self._next_checkpoint = time.monotonic() + CHECKPOINT_EVERY_S

    def look(self) -> int | None:
        """Queue the next round if it is due; the job's id, None if it is not.

        Nothing is looked at again before there are further answers, or a job has changed its
        state; while all views are being embedded, also every few seconds, as a round may have been
        put off for that. The settings are read anew: people change them while the worker runs.
        """
        now = self._state()
        if now == self._seen:
            return None
        started = continuous.start_if_due(with_settings_of_now(self._project))
        self._seen = now
        return started

    def look_for_backup(self) -> int | None:
        """Queue a backup if it is due; the job's id, None if it is not, or was looked at lately."""
        now = time.monotonic()
        if now < self._next_backup_look:
            return None
        self._next_backup_look = now + BACKUP_LOOK_EVERY_S
        return backups.ask_if_due(with_settings_of_now(self._project))

    def fold_logs(self) -> None:
        """Fold what was written lately into the databases, every few seconds; also during jobs."""
        now = time.monotonic()
        if now >= self._next_checkpoint:
            self._next_checkpoint = now + CHECKPOINT_EVERY_S
            self._project.store.checkpoint()
            self._project.jobs.checkpoint()

    def _state(self) -> tuple[object, ...]:
        newest = (jobs.newest(self._project, kind) for kind in jobs.KINDS)
        known = [job for job in newest if job is not None]
        states = [(job.job_id, job.state) for job in known]
        puts_off = any(job.kind == jobs.VIEWS and not job.state.ended for job in known)
        moment = time.monotonic() // AGAIN_EVERY_S if puts_off else None
        return (answers.last_event_id(self._project.store.reader()), moment, *states)


@contextmanager
def watching(project: Project) -> Iterator[None]:
    """Inside, a thread looks after the project."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(Watch(project), stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(watch: Watch, stop: threading.Event) -> None:
    told = ""
    while not stop.wait(LOOK_EVERY_S):
        try:
            watch.fold_logs()
            watch.look()
            watch.look_for_backup()
        except AnnealError as error:  # a broken setting, a full disk: somebody may mend it
            if str(error) != told:
                _log.warning("cannot look for new answers: %s", error)
            told = str(error)
        except Exception:  # a thread that ended would leave people waiting without a word
            if told != "unexpected":
                _log.exception("cannot look for new answers")
            told = "unexpected"
