"""The worker backs up and checks a project."""

from pathlib import Path

import pytest

from domain.errors import JobError
from domain.jobs import JobState, silent
from tests.ui import stage
from worker.foreground import run_to_end
from worker.watching import Watch
from workflow import backups, jobs
from workflow.backups import list_backups
from workflow.project import Project


def test_a_backup_is_made_by_a_job(project: Project) -> None:
    stage.finish_jobs(project)
    stage.answer_questions(project, 3)
    run_to_end(project, jobs.BACKUP, {"made": backups.BY_HAND}, silent)
    (made,) = list_backups(project)
    assert made.manifest is not None
    assert made.manifest.answers == 3
    (line,) = [each.text for each in jobs.log(project, newest(project)) if "answers" in each.text]
    assert str(made.path) in line


def newest(project: Project) -> int:
    return jobs.recent(project, limit=1)[0].job_id


def test_a_check_that_finds_nothing_ends_well(project: Project) -> None:
    stage.finish_jobs(project)
    run_to_end(project, jobs.VERIFY, {}, silent)
    assert jobs.get(project, newest(project)).state is JobState.DONE


def test_a_check_that_finds_something_fails_with_what_to_mend(project: Project) -> None:
    stage.finish_jobs(project)
    next(Path(project.images_root).rglob("*.png")).unlink()
    with pytest.raises(JobError, match="1 image files are missing"):
        run_to_end(project, jobs.VERIFY, {}, silent)
    assert "1 image files are missing" in (jobs.get(project, newest(project)).error or "")


def test_the_watch_asks_once_a_minute(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Project] = []
    monkeypatch.setattr(backups, "ask_if_due", asked.append)
    watch = Watch(project)
    for _ in range(5):
        watch.look_for_backup()
    assert len(asked) == 1
