"""The worker's jobs, in a file of their own so that a busy worker never locks an answer.

A job belongs to the attempt that claimed it: where the worker was believed dead and the job was
handed out again, what the old attempt still says is refused.
"""

import json
import sqlite3
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from domain.clock import later, utc_now
from domain.errors import JobError
from domain.jobs import Job, JobState, LogLine
from labeling_store.db import Store

MAX_ATTEMPTS = 3
CLOCK_TOLERANCE_S = 60.0  # a heartbeat further in the future was made before the clock was set

_COLUMNS = """
    job_id, kind, params, state, progress, message, attempt, cancel_requested, created_at,
    started_at, ended_at, heartbeat_at, error, key, queued_by
"""
_ADD = """
    INSERT INTO job (kind, params, created_at, key, queued_by)
    VALUES (:kind, :params, :now, :key, :by) RETURNING job_id
"""
_UNENDED = """
    SELECT job_id FROM job WHERE kind = :kind AND state IN ('queued', 'running')
    ORDER BY job_id LIMIT 1
"""
_CLAIM = f"""
    UPDATE job SET state = 'running', attempt = attempt + 1, worker = :worker, progress = 0,
        message = '', started_at = :now, heartbeat_at = :now
    WHERE job_id = (
        SELECT job_id FROM job WHERE state = 'queued'
        ORDER BY kind IN (SELECT value FROM json_each(:last)), job_id LIMIT 1
    )
    RETURNING {_COLUMNS}
"""  # noqa: S608 a constant
_BEAT = """
    UPDATE job SET progress = :progress, message = :message, heartbeat_at = :now
    WHERE job_id = :job_id AND attempt = :attempt AND state = 'running'
    RETURNING cancel_requested
"""
_END = """
    UPDATE job SET state = :state, error = :error, ended_at = :now,
        progress = iif(:state = 'done', 1, progress)
    WHERE job_id = :job_id AND attempt = :attempt AND state = 'running'
"""
# A stopped worker is no failed attempt of the job.
_REQUEUE = """
    UPDATE job SET state = iif(cancel_requested = 1, 'cancelled', 'queued'),
        ended_at = iif(cancel_requested = 1, :now, NULL),
        attempt = attempt - 1, worker = NULL, started_at = NULL, heartbeat_at = NULL
    WHERE job_id = :job_id AND attempt = :attempt AND state = 'running'
"""
_CANCEL = """
    UPDATE job SET cancel_requested = 1, ended_at = iif(state = 'queued', :now, ended_at),
        state = iif(state = 'queued', 'cancelled', state)
    WHERE job_id = :job_id AND state IN ('queued', 'running')
"""
_GIVE_UP = """
    UPDATE job SET ended_at = :now,
        state = iif(cancel_requested = 1, 'cancelled', 'failed'),
        error = iif(cancel_requested = 1, NULL, :error)
    WHERE state = 'running' AND (heartbeat_at <= :silent_since OR heartbeat_at > :soon)
        AND (attempt >= :most OR cancel_requested = 1)
"""
_RECOVER = """
    UPDATE job SET state = 'queued', worker = NULL, heartbeat_at = NULL
    WHERE state = 'running' AND (heartbeat_at <= :silent_since OR heartbeat_at > :soon)
"""
_WAITING = """
    SELECT 1 FROM job WHERE state = 'queued' AND kind NOT IN (SELECT value FROM json_each(:but))
    LIMIT 1
"""
_LIST = f"SELECT {_COLUMNS} FROM job ORDER BY job_id DESC LIMIT :limit"  # noqa: S608 a constant
_NEWEST = f"""
    SELECT {_COLUMNS} FROM job WHERE kind = :kind ORDER BY job_id DESC LIMIT 1
"""  # noqa: S608 a constant
_KEYS = "SELECT DISTINCT key FROM job WHERE queued_by = :by"
_GET = f"SELECT {_COLUMNS} FROM job WHERE job_id = :job_id"  # noqa: S608 a constant
_ADD_LINE = "INSERT INTO job_log (job_id, logged_at, text) VALUES (:job_id, :now, :text)"
_LINES = """
    SELECT logged_at, text FROM job_log WHERE job_id = :job_id
    ORDER BY line_id LIMIT -1 OFFSET :after
"""


def enqueue(
    jobs: Store, kind: str, params: Mapping[str, Any], *, by: str = "", key: str | None = None
) -> int:
    """Put a job at the end of the queue; its id.

    Args:
        jobs: the store of `jobs.db`.
        kind: what to do.
        params: how; JSON values only.
        by: who wants it, in words.
        key: that of an earlier job whose work it goes on with; None: a new one.
    """
    with jobs.transaction() as db:
        return _add(db, kind, params, by, key)


def enqueue_once(
    jobs: Store, kind: str, params: Mapping[str, Any], *, by: str = "", key: str | None = None
) -> tuple[int, bool]:
    """As `enqueue`, unless one of that kind waits or runs: then its id, and False for not new."""
    with jobs.transaction() as db:
        row = db.execute(_UNENDED, {"kind": kind}).fetchone()
        if row is not None:
            return int(row["job_id"]), False
        return _add(db, kind, params, by, key), True


def claim_job(jobs: Store, worker: str, *, now: str, last: Collection[str] = ()) -> Job | None:
    """The oldest waiting job, now this worker's; None if none waits.

    Kinds in `last` come after all others.
    """
    if jobs.reader().execute("SELECT 1 FROM job WHERE state = 'queued'").fetchone() is None:
        return None  # an idle worker never takes the write lock
    with jobs.transaction() as db:
        values = {"worker": worker, "now": now, "last": json.dumps(list(last))}
        row = db.execute(_CLAIM, values).fetchone()
    return _job(row) if row else None


def is_waiting(jobs: Store, *, but: Collection[str]) -> bool:
    """Whether a job of another kind than these waits in the queue."""
    values = {"but": json.dumps(list(but))}
    return jobs.reader().execute(_WAITING, values).fetchone() is not None


def heartbeat(jobs: Store, job_id: int, attempt: int, *, progress: float, message: str) -> bool:
    """Say that the attempt is alive and how far; whether somebody asked for it to stop.

    Raises:
        JobError: the attempt does not own the job any more.
    """
    fraction = min(max(progress, 0.0), 1.0)
    values = {"job_id": job_id, "attempt": attempt, "progress": fraction, "message": message}
    with jobs.transaction() as db:
        row = db.execute(_BEAT, {**values, "now": utc_now()}).fetchone()
    if row is None:
        raise _not_ours(job_id, attempt)
    return bool(row["cancel_requested"])


def finish(jobs: Store, job_id: int, attempt: int) -> None:
    """The attempt did its work.

    Raises:
        JobError: the attempt does not own the job any more.
    """
    _end(jobs, job_id, attempt, JobState.DONE)


def fail(jobs: Store, job_id: int, attempt: int, error: str) -> None:
    """The attempt stopped for a reason that trying again would not mend.

    Raises:
        JobError: the attempt does not own the job any more.
    """
    _end(jobs, job_id, attempt, JobState.FAILED, error)


def cancelled(jobs: Store, job_id: int, attempt: int) -> None:
    """The attempt stopped because somebody asked for it.

    Raises:
        JobError: the attempt does not own the job any more.
    """
    _end(jobs, job_id, attempt, JobState.CANCELLED)


def requeue(jobs: Store, job_id: int, attempt: int) -> None:
    """Put the job back because its worker stops; the attempt does not count.

    One that somebody asked to stop ends instead.

    Raises:
        JobError: the attempt does not own the job any more.
    """
    with jobs.transaction() as db:
        values = {"job_id": job_id, "attempt": attempt, "now": utc_now()}
        if db.execute(_REQUEUE, values).rowcount == 0:
            raise _not_ours(job_id, attempt)


def request_cancel(jobs: Store, job_id: int) -> None:
    """Ask for a job to stop: a waiting one ends at once, a running one at its next heartbeat."""
    with jobs.transaction() as db:
        db.execute(_CANCEL, {"job_id": job_id, "now": utc_now()})


def recover_stale(jobs: Store, *, now: str, stale_s: float) -> int:
    """Queue running jobs again that have been silent; how many.

    After the third attempt a job fails, saying so; one that was asked to stop is cancelled.
    """
    values = {
        "now": now,
        "silent_since": later(now, -stale_s),
        "soon": later(now, CLOCK_TOLERANCE_S),
        "most": MAX_ATTEMPTS,
        "error": f"The worker died {MAX_ATTEMPTS} times while doing this job.",
    }
    with jobs.transaction() as db:
        db.execute(_GIVE_UP, values)
        return db.execute(_RECOVER, values).rowcount


def list_jobs(jobs: Store, *, limit: int = 20) -> list[Job]:
    """The newest jobs first."""
    return [_job(row) for row in jobs.reader().execute(_LIST, {"limit": limit})]


def newest_job(jobs: Store, kind: str) -> Job | None:
    """The newest job of a kind, None if there is none."""
    row = jobs.reader().execute(_NEWEST, {"kind": kind}).fetchone()
    return _job(row) if row else None


def keys_queued_by(jobs: Store, by: str) -> set[str]:
    """The keys of all jobs that somebody wanted."""
    return {row["key"] for row in jobs.reader().execute(_KEYS, {"by": by})}


def get_job(jobs: Store, job_id: int) -> Job | None:
    """One job, None if there is none of that id."""
    row = jobs.reader().execute(_GET, {"job_id": job_id}).fetchone()
    return _job(row) if row else None


def append_log(jobs: Store, job_id: int, text: str) -> None:
    """Add a line to a job's log."""
    with jobs.transaction() as db:
        db.execute(_ADD_LINE, {"job_id": job_id, "now": utc_now(), "text": text})


def job_log(jobs: Store, job_id: int, *, after: int = 0) -> list[LogLine]:
    """A job's log, oldest line first, without the first `after` lines."""
    rows = jobs.reader().execute(_LINES, {"job_id": job_id, "after": after})
    return [LogLine(row["logged_at"], row["text"]) for row in rows]


def _add(
    db: sqlite3.Connection, kind: str, params: Mapping[str, Any], by: str, key: str | None
) -> int:
    values = {"kind": kind, "params": json.dumps(dict(params)), "now": utc_now(), "by": by}
    row = db.execute(_ADD, {**values, "key": key or uuid.uuid4().hex}).fetchone()
    return int(row["job_id"])


def _end(jobs: Store, job_id: int, attempt: int, state: JobState, error: str | None = None) -> None:
    values = {"job_id": job_id, "attempt": attempt, "state": state.value, "error": error}
    with jobs.transaction() as db:
        if db.execute(_END, {**values, "now": utc_now()}).rowcount == 0:
            raise _not_ours(job_id, attempt)


def _not_ours(job_id: int, attempt: int) -> JobError:
    return JobError(
        f"Attempt {attempt} of job {job_id} does not own the job any more.",
        "Another worker took it over; nothing is left to do here.",
    )


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    values["params"] = json.loads(row["params"])
    values["state"] = JobState(row["state"])
    values["cancel_requested"] = bool(row["cancel_requested"])
    return Job(**values)
