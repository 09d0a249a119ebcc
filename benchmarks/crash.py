"""Whether answers survive the sudden death of whoever stores them.

`python -m benchmarks.crash [--quick] [--seed N]` kills with SIGKILL at random moments, again and
again: processes that write to the store, the web process while people answer through it, and the
worker in the middle of rounds. Its last line is one JSON object: for writer_, web_ and worker_ each

- kills, acknowledged: how often, and how many answers somebody was told are stored;
- lost: those that are not in the log; doubled: what is in the log more than once;
- stuck_leases: questions that nobody gets although every lease has run out;
- damage: what SQLite says of the file and its foreign keys;

and the seed, with which the same moments are chosen again. Exit status 1 where one of them failed.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.crash_outcome import Outcome

Measure = Callable[[Path, int, random.Random], Outcome]

QUICK: Mapping[str, int] = {"writer": 20, "web": 3, "worker": 3}
FULL: Mapping[str, int] = {"writer": 200, "web": 20, "worker": 20}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer deaths, same keys")
    parser.add_argument("--seed", type=int, help="of an earlier run (default: a new one)")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if chosen.seed is None else chosen.seed
    print(f"Seed: {seed}", flush=True)
    began_s = time.monotonic()
    outcomes = {}
    for name, kills in (QUICK if chosen.quick else FULL).items():
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = _measure(name)(Path(folder), kills, random.Random(seed))
        print(f"{name}: {outcomes[name]}", flush=True)
    figures = {
        f"{name}_{key}": value
        for name, outcome in outcomes.items()
        for key, value in asdict(outcome).items()
    }
    print(json.dumps({**figures, "seed": seed, "seconds": round(time.monotonic() - began_s)}))
    return 0 if all(outcome.is_good for outcome in outcomes.values()) else 1


def _measure(name: str) -> Measure:
    # Not at the top: each writer begins by importing this module, quickly where PyTorch is not.
    measure: Measure = import_module(f"benchmarks.crash_{name}").measure
    return measure


if __name__ == "__main__":
    sys.exit(main())
