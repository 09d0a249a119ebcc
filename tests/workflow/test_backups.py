"""When the worker makes backups by itself, which it keeps, and what a page lists."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.clock import later, utc_now
from domain.config import BackupSettings, project_toml
from domain.errors import AccessError, ProjectError
from domain.members import Member, Role
from labeling_store import members
from tests.pictures import write_archive
from tests.ui import stage
from workflow import backups, jobs
from workflow.backups import BY_HAND, BY_ITSELF, ask_if_due, list_backups, write_backup
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, local_owner, open_project, with_settings_of_now


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    archive = write_archive(root / "images", each=3, classes=False)
    create_project(root / "project", images=archive).project.close()
    return root / "project"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "project")
    opened = open_project(tmp_path / "project")
    stage.finish_jobs(opened)
    yield opened
    opened.close()


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the schedule: `hours[0]` from now."""
    ahead = [0.0]
    monkeypatch.setattr(backups, "utc_now", lambda: later(utc_now(), ahead[0] * 3600))
    return ahead


def with_settings(project: Project, **settings: object) -> Project:
    config = project.config.model_copy(update={"backup": BackupSettings(**settings)})
    (project.folder / CONFIG_NAME).write_text(project_toml(config))
    return with_settings_of_now(project)


def backed_up(project: Project, made: str = BY_ITSELF, key: str = "k") -> Path:
    return write_backup(project, made=made, key=key).path


def test_the_first_backup_is_due_a_day_after_the_project_was_made(
    project: Project, hours: list[float]
) -> None:
    assert ask_if_due(project) is None
    hours[0] = 23.9
    assert ask_if_due(project) is None
    hours[0] = 24.1
    assert ask_if_due(project) is not None
    assert [job.params for job in jobs.recent(project, limit=1)] == [{"made": BY_ITSELF}]


def test_a_further_one_is_due_a_day_later_if_there_is_anything_new(
    project: Project, hours: list[float]
) -> None:
    backed_up(project)
    hours[0] = 30
    assert ask_if_due(project) is None
    stage.answer_questions(project, 1)
    assert ask_if_due(project) is not None
    hours[0] = 20
    assert ask_if_due(with_settings(project, every_hours=25)) is None


def test_one_made_by_hand_does_not_put_it_off(project: Project, hours: list[float]) -> None:
    backed_up(project)
    stage.answer_questions(project, 1)
    backed_up(project, BY_HAND, "another")
    hours[0] = 25
    assert ask_if_due(project) is not None


def test_it_is_asked_for_once(project: Project, hours: list[float]) -> None:
    hours[0] = 25
    assert ask_if_due(project) == ask_if_due(project)


def test_after_a_failure_it_waits_an_hour(project: Project, hours: list[float]) -> None:
    with project.store.transaction() as db:
        db.execute("UPDATE round SET created_at = '2026-01-01T00:00:00.000+00:00'")
    assert ask_if_due(project) is not None
    stage.finish_jobs(project, error="disk full")
    hours[0] = 0.9
    assert ask_if_due(project) is None
    hours[0] = 1.1
    assert ask_if_due(project) is not None


def test_none_is_made_where_the_settings_say_so(project: Project, hours: list[float]) -> None:
    hours[0] = 1000
    assert ask_if_due(with_settings(project, every_hours=0)) is None


def test_the_oldest_of_its_own_are_deleted_and_no_others(project: Project) -> None:
    project = with_settings(project, keep=2)
    by_hand = [backed_up(project, BY_HAND, f"hand{n}") for n in range(4)]
    own = [backed_up(project, BY_ITSELF, f"auto{n}") for n in range(4)]
    foreign = backups.folder_of(project) / "auto-notes.zip"
    foreign.write_text("no backup")
    backed_up(project, BY_ITSELF, "auto4")
    there = {path.name for path in backups.folder_of(project).iterdir()}
    assert {path.name for path in by_hand} | {own[3].name, foreign.name} <= there
    assert not {path.name for path in own[:3]} & there
    assert len(there) == 4 + 2 + 1


def test_a_further_attempt_of_a_job_finds_what_the_first_made(project: Project) -> None:
    first = backed_up(project, key="12345678abc")
    assert backed_up(project, key="12345678abc") == first
    assert len(list_backups(project)) == 1


def test_what_a_killed_attempt_left_behind_is_swept_away(project: Project) -> None:
    folder = backups.folder_of(project)
    (folder / ".auto-20260101-k.zip.x.part").mkdir(parents=True)
    (folder / ".auto-20260101-k.zip.x.part" / "labels.db").write_text("half")
    backed_up(project)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_backups_may_lie_on_another_disk(project: Project, tmp_path: Path) -> None:
    project = with_settings(project, folder=str(tmp_path / "disk" / "anneal"))
    assert backed_up(project).parent == tmp_path / "disk" / "anneal"
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match="cannot be made"):
        backed_up(with_settings(project, folder=str(tmp_path / "file" / "x")))


def test_they_are_listed_the_newest_first_and_damaged_ones_last(project: Project) -> None:
    first, second = backed_up(project, BY_HAND, "one"), backed_up(project, BY_ITSELF, "two")
    (backups.folder_of(project) / "zzz.zip").write_bytes(second.read_bytes()[:-30])
    found = list_backups(project)
    assert [each.path.name for each in found] == [second.name, first.name, "zzz.zip"]
    assert [each.made for each in found] == [BY_ITSELF, BY_HAND, ""]
    assert found[2].manifest is None


def test_only_a_lead_asks_for_backups_and_checks(project: Project) -> None:
    with project.store.transaction() as db:
        ann = members.add_member(db, "ann", Role.ANNOTATOR)
    posing = Member(ann.member_id, "ann", Role.OWNER)
    for ask in (backups.ask_backup, backups.ask_check):
        with pytest.raises(AccessError):
            ask(project, posing)
        assert ask(project, local_owner(project)) > 0
