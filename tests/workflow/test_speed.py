"""What a training takes is told from what was measured on this machine."""

from typing import Literal

import pytest

from domain.config import Depth, FullDepthSettings
from workflow.project import Project
from workflow.speed import (
    Place,
    Speed,
    depth_used,
    expected_words,
    note_speed,
    read_speed,
    trained_on,
)


def test_what_was_measured_stays_until_the_device_changes(project: Project) -> None:
    assert read_speed(project) is None
    note_speed(project, "cpu", "CPU (2 threads)", embedded_per_s=20.0)
    note_speed(project, "cpu", "CPU (2 threads)", trained_per_s=5.0)
    assert read_speed(project) == Speed("cpu", "CPU (2 threads)", 20.0, 5.0)
    note_speed(project, "cuda", "A GPU (80 GiB)")
    assert read_speed(project) == Speed("cuda", "A GPU (80 GiB)")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"device": "cpu", "name": "x", "more": 1}'])
def test_a_damaged_note_counts_as_none(project: Project, content: str) -> None:
    project.cache.mkdir(exist_ok=True)
    (project.cache / "speed.json").write_text(content)
    assert read_speed(project) is None


@pytest.mark.parametrize(
    ("depth", "device", "used"),
    [
        (Depth.AUTO, "cpu", Depth.HEAD),
        (Depth.AUTO, "cuda", Depth.FULL),
        (Depth.HEAD, "cuda", Depth.HEAD),
        (Depth.FULL, "cpu", Depth.FULL),
    ],
)
def test_auto_is_full_on_a_gpu_and_head_on_a_cpu(depth: Depth, device: str, used: Depth) -> None:
    assert depth_used(depth, device) is used


@pytest.mark.parametrize(
    ("trained_per_s", "words"),
    [(1000.0, "2 minutes"), (60.0, "9 minutes"), (10.0, "45 minutes"), (5.0, "2 hours")],
)
def test_the_time_is_in_words(project: Project, trained_per_s: float, words: str) -> None:
    """300 steps of 92 images at most, and 16 looks at 400 images each."""
    note_speed(project, "cpu", "CPU", embedded_per_s=100.0, trained_per_s=trained_per_s)
    assert expected_words(project, Depth.FULL) == f"Up to {words} on this machine: CPU."


def test_without_a_training_the_embedding_says_how_fast_it_is(project: Project) -> None:
    note_speed(project, "cpu", "CPU", embedded_per_s=30.0)
    assert "50 minutes" in expected_words(project, Depth.FULL)
    note_speed(project, "cuda", "GPU")
    assert expected_words(project, Depth.AUTO) == "Some minutes on this machine: GPU."


def test_what_a_training_ran_on_is_said_with_its_numbers(project: Project) -> None:
    assert trained_on(project, Depth.FULL) is None
    note_speed(project, "cpu", "CPU (2 threads)")
    assert trained_on(project, Depth.FULL) == Place("CPU (2 threads)", bfloat16=False)
    note_speed(project, "cuda", "NVIDIA H100 (79 GiB)")
    found = trained_on(project, Depth.AUTO)
    assert found is not None
    assert found.words == "NVIDIA H100 (79 GiB), in bfloat16"
    assert found.as_dict() == {"device": "NVIDIA H100 (79 GiB)", "bfloat16": True}


@pytest.mark.parametrize(
    ("half", "cpu", "cuda"), [("auto", False, True), ("yes", True, True), ("no", False, False)]
)
def test_a_network_learns_in_bfloat16_on_a_gpu_unless_it_is_said(
    half: Literal["auto", "yes", "no"], cpu: bool, cuda: bool
) -> None:
    settings = FullDepthSettings(half=half)
    assert (settings.in_bfloat16("cpu"), settings.in_bfloat16("cuda")) == (cpu, cuda)
