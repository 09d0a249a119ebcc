"""The Project page: backups, checks, imports that are looked at first, settings."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from domain.members import Member, Role
from labeling_store import answers, images, members
from tests.pictures import write_archive
from tests.ui import stage
from tests.ui.app import show, words
from ui import session
from workflow import backups, exchange, jobs
from workflow.backups import BY_HAND, write_backup
from workflow.creation import create_project
from workflow.project import Project, open_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    archive = write_archive(root / "images", each=4, classes=False)
    (archive / "broken.png").write_bytes(b"no picture")
    create_project(root / "project", images=archive).project.close()
    return root / "project"


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "project"))
    opened = open_project(tmp_path / "project")
    stage.finish_jobs(opened)
    yield opened
    opened.close()
    st.cache_resource.clear()


def button(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def table_of(project: Project, *rows: tuple[int, int, object]) -> bytes:
    records = images.list_images(project.store.reader())
    lines = [
        json.dumps({"image_a": records[a].path, "image_b": records[b].path, "similar": similar})
        for a, b, similar in rows
    ]
    return "\n".join(lines).encode()


def with_upload(project: Project, content: bytes, name: str = "pairs.jsonl") -> AppTest:
    app = show("project")
    app.file_uploader[0].set_value((name, content, "application/json")).run()
    assert not app.exception
    return app


def test_a_fresh_project_is_asked_to_make_its_first_backup(project: Project) -> None:
    app = show("project")
    assert "No backup yet" in words(app)
    assert "every 24 hours" in words(app)
    button(app, "project.backup")
    (job,) = jobs.recent(project, limit=1)
    assert (job.kind, job.params) == (jobs.BACKUP, {"made": BY_HAND})


def test_backups_are_listed(project: Project) -> None:
    made = write_backup(project, made=BY_HAND, key="k")
    shown = show("project").dataframe[0].value
    assert shown["File"].tolist() == [made.path.name]
    assert shown["Occasion"].tolist() == ["by hand"]
    assert shown["Age"].tolist() == ["just now"]


def test_a_failed_backup_says_why(project: Project) -> None:
    jobs.enqueue_backup(project.jobs, BY_HAND, by="x")
    stage.finish_jobs(project, error="the disk is full.")
    assert "The last one failed: the disk is full." in words(show("project"))


@pytest.mark.parametrize(
    ("error", "said"), [(None, "All was well on"), ("2 image files are missing.", "2 image files")]
)
def test_a_check_is_asked_for_and_its_result_shown(
    project: Project, error: str | None, said: str
) -> None:
    app = button(show("project"), "project.check")
    assert jobs.recent(project, limit=1)[0].kind == jobs.VERIFY
    stage.finish_jobs(project, error=error)
    app.run()
    said_now = words(app) + "\n".join(each.value for each in app.success)
    assert said in said_now


def test_a_file_is_looked_at_before_it_is_imported(project: Project) -> None:
    app = with_upload(project, table_of(project, (0, 1, 1), (1, 2, 0)))
    assert "2 rows: 2 new answers (1 dissimilar, 1 similar)." in words(app)
    assert answers.last_event_id(project.store.reader()) == 0
    button(app, "project.import")
    assert answers.last_event_id(project.store.reader()) == 2
    assert [each.value for each in app.toast] == ["2 answers imported\\."]
    assert not app.file_uploader[0].value


def test_a_file_with_a_wrong_row_cannot_be_imported(project: Project) -> None:
    rows = table_of(project, (0, 1, 1)) + b'\n{"image_a": "no.png", "image_b": "a", "similar": 1}'
    app = with_upload(project, rows)
    assert "no such image in the archive: 'no.png' (row 2)" in words(app)
    assert app.button(key="project.import").disabled


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", b"image_a,image_b,similar\na.png\n"), ("x.json", b"{"), ("x.parquet", b"")],
)
def test_a_broken_file_is_named(project: Project, name: str, content: bytes) -> None:
    app = with_upload(project, content, name)
    assert app.error
    assert [
        each.key for each in app.button if each.key == "project.import" and not each.disabled
    ] == []


def test_too_large_a_file_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "UPLOAD_MB", 1)
    app = with_upload(project, table_of(project, (0, 1, 1)) + b"\n" * (1 << 20))
    assert "at most 1 can be uploaded" in words(app)
    assert answers.last_event_id(project.store.reader()) == 0


def test_images_files_put_aside_and_settings_are_shown(project: Project) -> None:
    app = show("project")
    said = words(app)
    assert re.search(r"\b16 images of .*images\b", said)
    assert "python cli.py ingest" in said.replace("\\", "")
    assert app.dataframe[0].value["File"].tolist() == ["broken.png"]
    assert "feature is the mean of a network's last map (SPoC)." in said
    assert "every_hours = 24.0" in app.code[0].value
    assert '[model.descriptor]\npooling = "mean"' in app.code[0].value


def test_an_annotator_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with project.store.transaction() as db:
        ann: Member = members.add_member(db, "ann", Role.ANNOTATOR)
    monkeypatch.setattr(session, "member", lambda: ann)
    app = show("project")
    assert "Project is for leads" in words(app)
    assert not app.button
    assert backups.list_backups(project) == []
