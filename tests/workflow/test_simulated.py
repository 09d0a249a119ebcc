"""Simulations read back from their table: means and bands over seeds, and what is no such table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from domain.errors import InputError
from workflow.simulated import bands, read_simulation

PUBLISHED = Path(__file__).parents[2] / "docs" / "reproduction.csv"
METRICS = ("map_at_5_min", "map_at_5_hits", "map")


def test_bands_are_means_and_students_intervals_over_seeds() -> None:
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        table = [*csv.DictReader(file)]
    found = bands(read_simulation(PUBLISHED.read_bytes(), METRICS), "map_at_5_hits")
    assert {each.strategy for each in found} == {row["strategy"] for row in table}
    last = max((each for each in found if each.strategy == "mgue"), key=lambda each: each.bits)
    number = max(int(row["round"]) for row in table if row["strategy"] == "mgue")
    rows = [row for row in table if row["strategy"] == "mgue" and int(row["round"]) == number]
    values = np.array([float(row["map_at_5_hits"]) for row in rows])
    assert last.seeds == len(values) == 5
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert (last.mean, last.low, last.high) == pytest.approx((values.mean(), low, high))


def test_one_seed_has_no_band_and_several_lambdas_are_several_curves() -> None:
    rows = "strategy,seed,round,bits,lam,map\nmgue,0,0,10,1.0,0.5\nmgue,0,0,10,3.0,\n"
    (one,) = bands(read_simulation(rows.encode(), METRICS), "map")
    assert (one.strategy, one.low, one.high, one.seeds) == ("mgue λ=1.0", 0.5, 0.5, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column strategy"),
        (b"a,b\n1,2\n", "no column strategy"),
        (b"strategy,seed,round,bits\nmgue,0,0,1\n", "no column map_at_5_min"),
        (b"strategy,seed,round,bits,map\nmgue,0,0,1,0.5\nmgue,0,x,1,0.5\n", "Line 3"),
        (b"\xff\xfe\x00", "no CSV"),
    ],
    ids=["empty", "another table", "no metric", "no number", "no text"],
)
def test_what_is_no_simulation_is_refused_with_a_reason(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_simulation(content, METRICS)
