"""Questions that people have before them for long: which of them are theirs no more."""

import json
import sqlite3
from collections.abc import Sequence

from domain.clock import later
from labeling_store.queue import CLOCK_TOLERANCE_S, MAY_HAVE, OF_HELD

_ANSWERED = """
    SELECT proposal_id FROM response
    WHERE member_id = :member_id AND proposal_id IN (SELECT value FROM json_each(:held))
"""


def not_theirs(
    db: sqlite3.Connection, member_id: int, held: Sequence[int], *, now: str
) -> list[int]:
    """Which questions a member did not answer and cannot: withdrawn, or others have them since.

    Args:
        db: the store.
        member_id: who has them before them.
        held: their ids.
        now: UTC ISO 8601 text.
    """
    values = {
        "member_id": member_id,
        "held": json.dumps(list(held)),
        "now": now,
        "soon": later(now, CLOCK_TOLERANCE_S),
    }
    kept = {row["proposal_id"] for row in db.execute(MAY_HAVE + OF_HELD, values)}
    kept |= {row["proposal_id"] for row in db.execute(_ANSWERED, values)}
    return [each for each in held if each not in kept]
