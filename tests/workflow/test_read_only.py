"""A project folder that cannot be written: every refusal says what to do."""

from pathlib import Path

import pytest

from domain.errors import ProjectError
from workflow.locks import held
from workflow.project import Project


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_without_a_key_for_sessions_the_owner_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(ProjectError, match=r"secret cannot be used: Permission denied") as refused:
        project.secret()
    assert "owner" in refused.value.hint


def test_the_key_is_private_and_stays_the_same(project: Project) -> None:
    key = project.secret()
    assert len(key) == 32
    assert project.secret() == key
    assert (project.folder / "secret").stat().st_mode & 0o077 == 0


def test_a_lock_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ProjectError, match="cannot be written"), held(tmp_path / "worker.lock"):
        pass
