"""What verifying finds, and that it finds nothing in a whole project."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labeling_store.test_broken_disks import damage
from tests.pictures import write_archive
from tests.ui import stage
from workflow.creation import create_project
from workflow.project import Project, open_project
from workflow.run_files import CHECKPOINT
from workflow.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    archive = write_archive(root / "project" / "images", each=5, classes=False)
    project = create_project(root / "project", images=archive).project
    stage.answer_questions(project, 10)
    for number in range(2):
        stage.add_model(project, number, metrics={})
    project.close()
    (root / "project" / "project.toml").write_text('name = "x"\n[archive]\nimages = "images"\n')
    return root / "project"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "project")
    return tmp_path / "project"


def problems(folder: Path, *, sample: int | None = None) -> tuple[str, ...]:
    project = open_project(folder)
    found = verify(project, sample=sample).problems
    project.close()
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_project_has_no_problems_and_is_not_changed(folder: Path) -> None:
    open_project(folder).close()
    before = tree(folder)
    project = open_project(folder)
    verdict = verify(project)
    project.close()
    assert verdict.problems == ()
    assert len(verdict.checked) == 8
    assert "The content of 20 of them" in verdict.checked[-1]
    assert tree(folder) == before


def image(folder: Path) -> Path:
    return sorted((folder / "images").rglob("*.png"))[3]


def without_image(folder: Path) -> None:
    image(folder).unlink()


def with_other_content(folder: Path) -> None:
    image(folder).write_bytes(image(folder).read_bytes() + b"!")


def with_a_link_outside(folder: Path) -> None:
    outside = shutil.move(image(folder), folder.parent / "outside.png")
    (folder / "images" / outside.name).symlink_to(outside)


def without_model(folder: Path) -> None:
    (folder / "runs" / "r001" / CHECKPOINT).unlink()


def without_image_ids(folder: Path) -> None:
    (folder / "runs" / "r001" / "image_ids.npy").write_bytes(b"")


def without_trigger(folder: Path) -> None:
    changed(folder, "DROP TRIGGER event_is_never_changed")


def without_answers(folder: Path) -> None:
    changed(folder, "DROP TRIGGER event_is_never_deleted", "DELETE FROM event WHERE event_id = 4")


def changed(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "labels.db") as db:
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (without_image, "1 image files are missing"),
        (with_other_content, "1 image files were changed"),
        (with_a_link_outside, "1 image files are missing"),
        (without_model, "Files of the model in use are missing"),
        (without_image_ids, "The embeddings of run r001 cannot be read"),
        (without_trigger, "the trigger event_is_never_changed is missing"),
        (without_answers, "the log has 9 answers, but 10 were stored"),
    ],
)
def test_harm_is_found_and_named(folder: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(folder)
    found = problems(folder)
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("table", ["image", "event", "conflict", "run"])
def test_a_damaged_database_is_said_to_be_damaged(folder: Path, table: str) -> None:
    damage(folder / "labels.db", table)
    found = problems(folder)
    assert any("labels.db" in problem for problem in found), found
    assert not any("Not saved" in problem for problem in found)
    assert len(set(found)) == len(found)


def test_an_earlier_model_without_files_is_no_problem(folder: Path) -> None:
    shutil.rmtree(folder / "runs" / "r000")
    assert problems(folder) == ()


def test_a_sample_looks_at_so_many_images(folder: Path) -> None:
    steps: list[str] = []
    project: Project = open_project(folder)
    verify(project, sample=7, progress=lambda done, message: steps.append(message))
    project.close()
    assert steps[-1] == "image 7 of 7"
