"""A small project with a round of open questions, and a member who answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.members import Member, Role
from labeling_store import members
from tests.pictures import write_archive
from workflow.creation import create_project
from workflow.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = write_archive(tmp_path / "images", each=3)
    made = create_project(tmp_path / "project", images=images).project
    yield made
    made.close()


@pytest.fixture
def ann(project: Project) -> Member:
    with project.store.transaction() as db:
        return members.ensure_member(db, "ann", Role.ANNOTATOR)
