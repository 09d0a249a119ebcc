"""How many answers the store takes, how long people wait for them, and how it bears a long log.

`python -m benchmarks.store [--quick] [--folder DIR]` prints one JSON object as its last line:

- answers_ratio_to_bare_16: answers a second of sixteen processes, each answer a durable transaction
  of its own with event, lease, closure and conflicts, over bare one-row durable inserts by the same
  processes; answers_per_s_16, bare_per_s_16; longest_wait_s of an answer; errors; doubled;
- ack_p95_ms_16 (and p50, p99), worst_client_p99_ms_16, client_p99_ms: sixteen people who answer ten
  times a second each through the web route while the worker trains, from giving an answer to its
  acknowledgement; web_lost and web_doubled are counted in the database;
- rebuild_s: opening a log of rebuild_answers and working out its closure; relation_us, claim_ms,
  claim_chain_ms, answer_ms and export_s (to Parquet) on it; rebuild_peak_mb, export_peak_mb: of the
  whole process; peak_mb: the larger one;
- load: how many programs wanted a processor, before and after.
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    writers: int  # answers
    web: float  # seconds
    log: int  # answers


QUICK = Effort(writers=960, web=6.0, log=50_000)
FULL = Effort(writers=20_000, web=60.0, log=1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer answers, same keys")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    chosen = parser.parse_args()
    effort = QUICK if chosen.quick else FULL
    print(f"Machine: {os.cpu_count()} cores, {platform.platform()}")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        figures = measure(Path(folder), effort)
    load = [round(each, 1) for each in (before, os.getloadavg()[0])]
    print(json.dumps({**figures, "load": load}))


def measure(folder: Path, effort: Effort) -> dict[str, Any]:
    """All figures; each part in a folder of its own."""
    figures: dict[str, Any] = {}
    for part, amount in asdict(effort).items():
        (folder / part).mkdir()
        # Not at the top: sixteen processes begin by importing this module, quickly without PyTorch.
        measured = import_module(f"benchmarks.store_{part}").measure(folder / part, amount)
        print(f"{part}: {measured}", flush=True)
        figures.update(asdict(measured))
    return {**figures, "peak_mb": max(figures["rebuild_peak_mb"], figures["export_peak_mb"])}


if __name__ == "__main__":
    main()
