"""The quick lane embeds pictures that people search with, whatever they bring."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from archive.locate import image_file
from domain.errors import InputError, JobError
from domain.images import ImageRecord
from labeling_store import images
from tests.worker.test_crashes import PATIENCE_S, wait_until
from worker.quick import QuickLane
from worker.stopping import ANOTHER_WORKER, Stop
from worker.supervisor import QUICK, Supervisor
from workflow import jobs, queries
from workflow.locks import held
from workflow.project import Project
from workflow.run_files import read_embeddings


@contextmanager
def lane(project: Project) -> Iterator[None]:
    """The quick lane in a thread, with its lock."""
    stop = Stop()
    serving = threading.Thread(target=QuickLane(project).work, args=(stop,))
    with held(project.folder / queries.QUICK_LOCK):
        serving.start()
        try:
            yield
        finally:
            stop.set()
            serving.join()


def some_image(project: Project) -> ImageRecord:
    return images.list_images(project.store.reader())[3]


def content_of(project: Project, image: ImageRecord) -> bytes:
    return image_file(project.images_root, image.path).read_bytes()


def as_png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (width, height)).save(content, "PNG")
    return content.getvalue()


def test_a_picture_gets_the_vector_that_its_archive_image_has(prepared: Project) -> None:
    image = some_image(prepared)
    with lane(prepared):
        query = queries.embedded(prepared, content_of(prepared, image))
    known = read_embeddings(prepared.runs / query.run)
    np.testing.assert_allclose(query.vector, known.vectors[known.rows[image.image_id]], atol=1e-5)
    assert query.sha256 == image.sha256
    with Image.open(query.picture) as shown:
        assert shown.format == "JPEG"


def test_the_same_picture_is_embedded_once_and_nothing_of_it_is_kept(prepared: Project) -> None:
    content = content_of(prepared, some_image(prepared))
    with lane(prepared):
        first = queries.embedded(prepared, content)
    again = queries.embedded(prepared, content)  # nobody is there to embed it
    np.testing.assert_array_equal(first.vector, again.vector)
    kept = [each for each in (prepared.cache / "queries").rglob("*") if each.is_file()]
    assert sorted(each.name for each in kept) == ["frozen.npy", "picture.jpg"]


def test_another_model_embeds_the_picture_anew(prepared: Project) -> None:
    content = content_of(prepared, some_image(prepared))
    frozen = prepared.runs / "frozen"
    with lane(prepared):
        queries.embedded(prepared, content)
        (prepared.runs / "other").symlink_to(frozen)
        rename_run(prepared, "other")
        assert queries.embedded(prepared, content).run == "other"


def rename_run(project: Project, name: str) -> None:
    with project.store.transaction() as db:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("UPDATE metric SET run = :name", {"name": name})
        db.execute("UPDATE run SET name = :name", {"name": name})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"no picture", "no JPEG, PNG or TIFF", id="text"),
        pytest.param(as_png(40, 40)[:45], "damaged", id="truncated"),
        pytest.param(as_png(9000, 9000), "pixels", id="far too many pixels"),
    ],
)
def test_what_is_no_picture_is_refused_and_the_lane_goes_on(
    prepared: Project, content: bytes, words: str
) -> None:
    with lane(prepared):
        with pytest.raises(InputError, match=words):
            queries.embedded(prepared, content)
        assert queries.embedded(prepared, as_png(40, 40)).vector.shape


def test_a_file_that_is_too_large_is_never_written(
    prepared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="at most"):
        queries.embedded(prepared, b"more than ten bytes")
    assert not (prepared.cache / "queries").exists()


def test_a_defect_while_embedding_is_told_to_the_one_who_waits(
    prepared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("worker.quick._small", broken)
    with lane(prepared), pytest.raises(InputError, match="a defect"):
        queries.embedded(prepared, as_png(40, 40))


def test_a_picture_that_was_refused_can_be_brought_again(
    prepared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lane(prepared):
        with monkeypatch.context() as patched:
            patched.setattr("worker.quick.embedder", fails)
            patched.setattr("worker.quick.load_head", fails)
            with pytest.raises(InputError, match="mended later"):
                queries.embedded(prepared, as_png(40, 40))
        assert queries.embedded(prepared, as_png(40, 40)).run == "frozen"


def fails(*_: object, **__: object) -> None:
    raise InputError("It can be mended later.")


def test_without_a_model_nobody_waits(project: Project) -> None:
    with pytest.raises(JobError, match="no model yet"):
        queries.embedded(project, as_png(40, 40))


def test_without_a_worker_nobody_waits(prepared: Project) -> None:
    with pytest.raises(JobError, match="worker is not running"):
        queries.embedded(prepared, as_png(40, 40))


def test_a_picture_that_nobody_takes_is_not_left_behind(prepared: Project) -> None:
    with (
        held(prepared.folder / queries.QUICK_LOCK),
        pytest.raises(JobError, match="not embedded within"),
    ):
        queries.embedded(prepared, as_png(40, 40), wait_s=0.05)
    assert list((prepared.cache / "queries").iterdir()) == []


def test_pictures_are_taken_in_the_order_they_came(project: Project) -> None:
    folder = project.cache / "queries"
    folder.mkdir(parents=True)
    for digit, age_s in (("b", 30), ("c", 10), ("a", 20)):
        path = folder / f"{digit * 64}-round-001.waiting"
        path.write_bytes(b"a picture")
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
    taken = [queries.next_request(project) for _ in range(4)]
    assert [each and each.sha256[0] for each in taken] == ["b", "a", "c", None]
    assert {each.run for each in taken if each} == {"round-001"}


def test_what_a_dead_lane_had_taken_and_what_is_old_is_tidied_away(
    prepared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_KEPT", 2)
    with lane(prepared):
        made = [queries.embedded(prepared, as_png(40, 40 + each)) for each in range(3)]
    for age_s, query in enumerate(made):
        os.utime(query.picture, (1e9 - age_s, 1e9 - age_s))
    (prepared.cache / "queries" / f"{'a' * 64}-frozen.taken").write_bytes(b"a person's picture")
    queries.tidy(prepared)
    left = {each.name for each in (prepared.cache / "queries").iterdir()}
    assert left == {made[0].sha256, made[1].sha256}


def test_the_worker_runs_both_lanes_and_ends_both(prepared: Project) -> None:
    main = Supervisor(prepared.folder)
    thread = threading.Thread(
        target=run_both, args=(main, Supervisor(prepared.folder, patient=True, lane=QUICK))
    )
    thread.start()
    try:
        wait_until(lambda: jobs.worker_alive(prepared) and queries.quick_lane_alive(prepared))
        query = queries.embedded(prepared, as_png(40, 40), wait_s=PATIENCE_S)
        assert np.linalg.norm(query.vector) == pytest.approx(1, abs=1e-4)
        second = [sys.executable, "-m", "worker.quick", str(prepared.folder), str(os.getpid())]
        assert subprocess.run(second, timeout=PATIENCE_S, check=False).returncode == ANOTHER_WORKER
    finally:
        main.stop()
        thread.join()
    assert not queries.quick_lane_alive(prepared)
    assert not jobs.worker_alive(prepared)


def run_both(main: Supervisor, quick: Supervisor) -> None:
    beside = threading.Thread(target=quick.run)
    beside.start()
    main.run()
    quick.stop()
    beside.join()
