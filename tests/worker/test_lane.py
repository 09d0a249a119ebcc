"""The lane between jobs: settings that change, settings that are broken, and who restarts it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from domain.errors import JobError
from domain.jobs import JobState
from labeling_store import jobs as queue
from worker import lane, stopping, supervisor
from worker.lane import threads_beside_pages, work
from worker.report import JobReport
from worker.stopping import Stop
from worker.supervisor import Supervisor
from workflow import jobs
from workflow.project import CONFIG_NAME, Project

PATIENCE_S = 400.0  # a worker has the lowest priority: beside busy programs its start takes minutes


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each job finds in the settings as its size of images."""
    sizes: list[int] = []

    def step(project: Project, params: Mapping[str, Any], report: JobReport) -> None:
        sizes.append(project.config.model.image_size_px)

    monkeypatch.setattr(lane, "STEPS", dict.fromkeys(lane.STEPS, step))
    return sizes


def do_next(project: Project) -> JobState:
    job_id = queue.enqueue(project.jobs, jobs.TRAIN, {})
    work(project, Stop(), until_job=job_id)
    return jobs.get(project, job_id).state


def break_settings(project: Project) -> str:
    path = project.folder / CONFIG_NAME
    whole = path.read_text()
    path.write_text("name = ")
    return whole


def test_a_lane_starts_without_what_only_some_jobs_need() -> None:
    """Loading it takes longer than all else at the start, and people wait for a worker."""
    listed = "import sys, worker.lane, worker.quick; print(*sys.modules)"
    command = [sys.executable, "-c", listed]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "torch" in loaded
    assert not {"torchvision", "sklearn", "pandas", "matplotlib", "scipy.stats"} & {*loaded}


def test_each_job_has_the_settings_of_its_time(project: Project, seen: list[int]) -> None:
    path = project.folder / CONFIG_NAME
    assert do_next(project) is JobState.DONE
    path.write_text(path.read_text().replace("image_size_px = 32", "image_size_px = 64"))
    assert do_next(project) is JobState.DONE
    assert seen[-2:] == [32, 64]


def test_broken_settings_fail_the_job_and_the_lane_goes_on(
    project: Project, seen: list[int]
) -> None:
    whole = break_settings(project)
    assert do_next(project) is JobState.FAILED
    assert f"{CONFIG_NAME} is not valid TOML" in (jobs.recent(project)[0].error or "")
    assert seen == []
    (project.folder / CONFIG_NAME).write_text(whole)
    assert do_next(project) is JobState.DONE


def test_a_lane_that_cannot_start_says_why_without_a_traceback(project: Project) -> None:
    break_settings(project)
    command = [sys.executable, "-m", "worker.lane", str(project.folder), str(os.getpid())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == stopping.CANNOT_START
    assert "is not valid TOML" in ended.stderr
    assert "Traceback" not in ended.stderr


class Lanes(Supervisor):
    """Supervises lanes that end at once, as told."""

    def __init__(self, project: Project, codes: list[int], *, patient: bool) -> None:
        super().__init__(project.folder, patient=patient)
        self.codes = codes

    def _run_lane(self) -> int:
        return self.codes.pop(0)


def test_a_lane_that_cannot_start_is_not_started_again(project: Project) -> None:
    lanes = Lanes(project, [stopping.CANNOT_START, 0], patient=False)
    with pytest.raises(JobError, match="cannot start"):
        lanes.run()
    assert lanes.codes == [0]


def test_a_patient_supervisor_starts_it_when_the_settings_are_mended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "OTHER_POLL_S", 0.01)
    whole = break_settings(project)
    lanes = Lanes(project, [stopping.CANNOT_START, 0], patient=True)
    thread = threading.Thread(target=lanes.run)
    thread.start()
    time.sleep(0.3)
    assert lanes.codes == [0]
    (project.folder / CONFIG_NAME).write_text(whole)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert lanes.codes == []


def test_a_patient_supervisor_that_waits_can_be_stopped(project: Project) -> None:
    lanes = Lanes(project, [stopping.CANNOT_START, 0], patient=True)
    thread = threading.Thread(target=lanes.run)
    thread.start()
    lanes.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("cores", "threads", "used"), [(1, 1, 1), (2, 2, 2), (3, 3, 2), (16, 16, 15), (16, 4, 4)]
)
def test_one_core_stays_free_for_the_pages(cores: int, threads: int, used: int) -> None:
    assert threads_beside_pages(cores, threads) == used
