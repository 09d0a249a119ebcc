"""Answers survive the death of the web process; people's pages send the rest again."""

import logging
import random
from pathlib import Path

from benchmarks import crash_web


def test_no_answer_is_lost_or_doubled_when_the_web_process_is_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    logging.getLogger(__name__).warning("python -m benchmarks.crash --quick --seed %d", seed)
    outcome = crash_web.measure(tmp_path, 3, random.Random(seed))
    assert outcome.acknowledged > 10
    assert outcome.is_good, outcome
