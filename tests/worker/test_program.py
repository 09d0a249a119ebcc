"""What a study takes over from an earlier run was made by the same program."""

from pathlib import Path

import pytest

from worker.program import program_digest

SOURCES = {
    "worker/study.py": "from annealing import scores\nfrom worker.kept_table import write_table\n",
    "annealing/scores.py": "def inside() -> None:\n    import training.losses.triplet\n",
    "training/losses/triplet.py": "import numpy\n",
    "worker/kept_table.py": "from labeling_store.db import Store\n",
    "labeling_store/db.py": "from domain.pairs import Pair\n",
    "domain/pairs.py": "",
    "worker/job.py": "from worker import study\n",
}


@pytest.fixture
def product(tmp_path: Path) -> Path:
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "another"),
    [
        ("worker/study.py", True),
        ("annealing/scores.py", True),
        ("training/losses/triplet.py", True),
        ("domain/pairs.py", True),
        ("labeling_store/db.py", False),
        ("worker/kept_table.py", False),
        ("worker/job.py", False),
    ],
)
def test_what_a_study_reaches_decides_its_figures(
    product: Path, changed: str, another: bool
) -> None:
    """But for what only keeps and draws them; and what the study never calls decides nothing."""
    before = program_digest("worker.study", root=product)
    with (product / changed).open("a") as source:
        source.write("changed = True\n")
    assert (program_digest("worker.study", root=product) != before) is another


def test_each_study_is_a_program_of_its_own() -> None:
    studies = ("simulate", "loss_study", "triplet_study", "descriptor_study")
    assert len({program_digest(f"worker.{each}") for each in (*studies, "no_study")}) == 5
