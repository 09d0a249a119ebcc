"""What a user can get wrong: a clear message, exit status 2, nothing lost."""

import shutil
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.conftest import Run
from tests.pictures import write_archive

ODD_NAMES = (
    'it\'s "quoted".png',
    "two  spaces .png",
    "<img src=x onerror=alert(1)>.png",
    "🛰️ satellite.png",
    "new\nline.png",
)


def png_bomb(path: Path, side: int = 40_000) -> None:
    """A valid header of a huge picture, and next to nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = run("init", "--images", tmp_path / "empty")
    assert outcome.status == 2
    assert "empty" in outcome.err
    assert not (tmp_path / "project").exists()


def test_missing_folder(run: Run, tmp_path: Path) -> None:
    outcome = run("init", "--images", tmp_path / "nowhere")
    assert outcome.status == 2
    assert "nowhere" in outcome.err


def test_folder_of_text_files(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("no image")
    (folder / "b.jpg").write_text("no image either")
    outcome = run("init", "--images", folder)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("distinct", [1, 2])
def test_fewer_than_three_distinct_images(run: Run, tmp_path: Path, distinct: int) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(5):
        colour = (80 * (number % distinct), 0, 0)
        Image.new("RGB", (32, 32), colour).save(folder / f"{number}.png")
    outcome = run("init", "--images", folder)
    assert outcome.status == 2
    assert "3" in outcome.err
    assert not (tmp_path / "project").exists()


def test_three_distinct_images_are_enough(run: Run, tmp_path: Path) -> None:
    folder = write_archive(tmp_path / "three", each=1, classes=False)
    (folder / "plain00.png").unlink()
    outcome = run("--json", "init", "--images", folder)
    assert outcome.status == 0
    assert sorted(outcome.json["parts"].values()) == [1, 1, 1]
    assert "quality figures mean little" in outcome.err


def test_damaged_files_are_put_aside_and_the_rest_goes_on(run: Run, archive: Path) -> None:
    good = archive / "dots" / "dots00.png"
    (archive / "dots" / "zero.jpg").write_bytes(b"")
    (archive / "dots" / "cut.png").write_bytes(good.read_bytes()[:200])
    (archive / "dots" / "text.tif").write_text("not a picture")
    png_bomb(archive / "dots" / "bomb.png")
    outcome = run("init", "--images", archive, "--json")
    assert outcome.status == 0
    assert outcome.json["images"] == 40
    reasons = {Path(file["path"]).name: file["reason"] for file in outcome.json["quarantined"]}
    assert set(reasons) == {"zero.jpg", "cut.png", "text.tif", "bomb.png"}
    assert "too many pixels" in reasons["bomb.png"]


def test_odd_file_names(run: Run, archive: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        shutil.copy(archive / "dots" / f"dots{number:02d}.png", archive / "stripes" / name)
    outcome = run("init", "--images", archive, "--json")
    assert outcome.status == 0
    assert outcome.json["images"] == 40 + len(ODD_NAMES)


def test_a_second_init_changes_nothing(run: Run, project: Path, archive: Path) -> None:
    before = {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}
    outcome = run("init", "--images", archive)
    assert outcome.status == 2
    assert "holds a project already" in outcome.err
    assert before == {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}


def test_no_project_yet(run: Run) -> None:
    outcome = run("propose")
    assert outcome.status == 2
    assert "init" in outcome.err


def test_project_of_a_newer_schema(run: Run, project: Path) -> None:
    with sqlite3.connect(project / "labels.db") as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "SELECT migration_set, 'm9999_from_the_future', applied_at "
            "FROM _sqlite_migrations LIMIT 1"
        )
    db.close()
    outcome = run("evaluate")
    assert outcome.status == 2
    assert "newer" in outcome.err


def test_a_damaged_database(run: Run, project: Path) -> None:
    (project / "labels.db").write_bytes(b"this is no database" * 100)
    outcome = run("evaluate")
    assert outcome.status == 2
    assert "labels.db" in outcome.err


def test_an_unknown_setting_names_the_nearest(run: Run, project: Path) -> None:
    config = project / "project.toml"
    config.write_text(config.read_text() + "\n[trainin]\n")
    outcome = run("evaluate")
    assert outcome.status == 2
    assert '"trainin"' in outcome.err
    assert '"training"' in outcome.err


def test_a_folder_that_cannot_be_written(run: Run, archive: Path) -> None:
    outcome = run("--project", "/proc/anneal", "init", "--images", archive)
    assert outcome.status == 2
    assert "cannot be written" in outcome.err


def test_weights_that_do_not_exist(run: Run, archive: Path, tmp_path: Path) -> None:
    outcome = run("init", "--images", archive, "--weights", tmp_path / "none.safetensors")
    assert outcome.status == 2
    assert "none.safetensors" in outcome.err
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("init", "--demo", "--images", "x"),
        ("propose", "--strategy", "oracle"),
        ("propose", "--pairs", "0"),
        ("search",),
        ("frobnicate",),
        ("export", "--format", "xlsx", "--out", "x"),
    ],
    ids=" ".join,
)
def test_wrong_words_are_a_user_error(run: Run, project: Path, words: tuple[str, ...]) -> None:
    outcome = run(*words)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err


def test_training_without_answers_says_what_to_do(run: Run, project: Path) -> None:
    outcome = run("round")
    assert outcome.status == 2
    assert "answer" in outcome.err.lower()


def test_a_read_only_project_can_be_read_and_says_why_it_cannot_be_written(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling_store.db._writable", lambda path: False)
    assert run("export", "--out", tmp_path / "answers.csv").status == 0
    outcome = run("embed")
    assert outcome.status == 2
    assert "read" in outcome.err


def test_embeddings_into_a_missing_folder_are_refused_before_the_work(
    run: Run, project: Path, archive: Path, tmp_path: Path
) -> None:
    outcome = run("embed", "--images", archive, "--out", tmp_path / "missing" / "x.npz")
    assert outcome.status == 2
    assert "folder that exists" in outcome.err
