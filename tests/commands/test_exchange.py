"""export and import on the command line."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.commands.conftest import Run


@pytest.fixture
def table(project: Path, tmp_path: Path) -> Path:
    """A file with two answers about images of the project."""
    with sqlite3.connect(project / "labels.db") as db:
        paths = [path for (path,) in db.execute("SELECT path FROM image ORDER BY image_id")]
    db.close()
    file = tmp_path / "pairs.csv"
    file.write_text(f"image_a,image_b,similar\n{paths[0]},{paths[1]},1\n{paths[0]},{paths[2]},0\n")
    return file


def test_a_dry_run_says_what_would_happen(run: Run, table: Path) -> None:
    tried = run("import", table, "--dry-run")
    assert tried.status == 0
    assert "2 rows: 2 new answers (1 dissimilar, 1 similar)." in tried.out
    assert run("import", table, "--json").json == {"stored": 2, "repeated": 0, "conflicts": 0}
    again = run("import", table, "--dry-run", "--json").json
    assert (again["new"], again["repeated"], again["problems"]) == (0, 2, [])


def test_a_dry_run_of_a_file_that_would_be_refused_is_an_error(run: Run, table: Path) -> None:
    with table.open("a") as file:
        file.write("no.png,nor.png,1\n")
    tried = run("import", table, "--dry-run", "--json")
    assert tried.status == 2
    assert "no such image in the archive: 'no.png'" in tried.json["problems"][0]
    assert "1 of 3 rows" in tried.err


def test_a_card_is_written_beside_an_export(run: Run, table: Path, tmp_path: Path) -> None:
    run("import", table)
    done = run("export", "--what", "labels", "--out", tmp_path / "x.parquet", "--json")
    assert done.json["card"] == str(tmp_path / "x.parquet.card.json")
    card = json.loads((tmp_path / "x.parquet.card.json").read_text())
    assert (card["counts"]["rows"], card["what"]) == (2, "labels")
    assert run("import", tmp_path / "x.parquet.card.json").status == 2
