"""Curves of `python cli.py simulate`: each strategy over several seeds, as a mean and its band."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from domain.errors import InputError

MOST_BYTES = 20 * 1024 * 1024
CONFIDENCE = 0.95
_KEYS = ("strategy", "seed", "round", "bits")


@dataclass(frozen=True)
class SimulatedRound:
    """What one seed of a strategy had reached after a round; metrics are fractions.

    The strategy's name has its λ in it where the file has several.
    """

    strategy: str
    seed: int
    round: int
    bits: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class BandPoint:
    """A strategy after a round, over its seeds.

    Attributes:
        bits: mean effort.
        mean: of the metric.
        low, high: within which the mean of all seeds lies with 95 % confidence (Student's t);
            equal to the mean where there is one seed.
    """

    strategy: str
    bits: float
    mean: float
    low: float
    high: float
    seeds: int


def read_simulation(content: bytes, metrics: Sequence[str]) -> list[SimulatedRound]:
    """The rows of a `curve.csv`, with those of the metrics that it has.

    Raises:
        InputError: it is too large, no such table, or a cell is no number.
    """
    if len(content) > MOST_BYTES:
        raise InputError(f"The file has {len(content) >> 20} MiB; at most {MOST_BYTES >> 20} fit.")
    try:
        rows = [*csv.DictReader(io.StringIO(content.decode("utf-8")))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("This is no CSV file.", _HINT) from error
    given = rows[0].keys() if rows else ()
    found = [each for each in metrics if each in given]
    missing = [each for each in _KEYS if each not in given]
    if missing or not found:
        raise InputError(f"The file has no column {(missing or metrics)[0]}.", _HINT)
    several = len({row.get("lam") for row in rows} - {"", None}) > 1
    return [_round(row, found, line, with_lambda=several) for line, row in enumerate(rows, start=2)]


def bands(rows: Sequence[SimulatedRound], metric: str) -> list[BandPoint]:
    """Mean and band of a metric by strategy and round; rounds without the metric are left out."""
    groups: dict[tuple[str, int], list[SimulatedRound]] = {}
    for row in rows:
        if metric in row.metrics:
            groups.setdefault((row.strategy, row.round), []).append(row)
    return [_band(name, groups[name, number], metric) for name, number in sorted(groups)]


_HINT = 'Choose the curve.csv that "python cli.py simulate --out DIR" writes.'


def _round(
    row: dict[str, str | None], metrics: Sequence[str], line: int, *, with_lambda: bool
) -> SimulatedRound:
    suffix = f" λ={row['lam']}" if with_lambda and row["lam"] else ""
    try:
        given = {each: row[each] for each in metrics}
        return SimulatedRound(
            strategy=f"{row['strategy']}{suffix}",
            seed=int(row["seed"] or ""),
            round=int(row["round"] or ""),
            bits=float(row["bits"] or ""),
            metrics={each: float(value) for each, value in given.items() if value},
        )
    except ValueError as error:
        raise InputError(f"Line {line}: {error}.", _HINT) from error


def _band(strategy: str, rows: Sequence[SimulatedRound], metric: str) -> BandPoint:
    values = np.array([row.metrics[metric] for row in rows])
    mean, half = float(values.mean()), 0.0
    if len(values) > 1:
        quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
        half = quantile * float(values.std(ddof=1)) / len(values) ** 0.5
    bits = float(np.mean([row.bits for row in rows]))
    return BandPoint(strategy, bits, mean, mean - half, mean + half, len(values))
