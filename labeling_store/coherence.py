"""How the labels of now go together: contradictions among them, and pairs answered again."""

from dataclasses import dataclass

from domain.pairs import Pair
from labeling_store.db import Store
from labeling_store.repeats import all_repeats

# A pair is asked again in a later round; whoever changes an answer in between takes it back. Hidden
# repeats are about any pairs: few of those change, which says nothing of pairs in contradictions.
_REPEATED = """
    SELECT e.a, e.b, min(e.similar) <> max(e.similar) AS changed
    FROM (SELECT a, b FROM event GROUP BY a, b HAVING count(*) > 1) AS several
        CROSS JOIN event AS e ON e.a = several.a AND e.b = several.b
    WHERE +e.kind IN ('similar', 'dissimilar') AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
        AND NOT EXISTS (SELECT 1 FROM proposal AS p
            WHERE p.proposal_id = e.proposal_id AND p.asked_of IS NOT NULL)
    GROUP BY e.a, e.b HAVING count(DISTINCT e.round_number) > 1
"""
# Whatever was said the second time: who is unsure then has met the pair often enough.
_MET_AGAIN = """
    SELECT e.a, e.b FROM event AS e
    WHERE e.kind IN ('similar', 'dissimilar', 'unsure', 'skip') AND NOT EXISTS
        (SELECT 1 FROM event AS v WHERE v.kind = 'void' AND v.refers_to = e.event_id)
    GROUP BY e.a, e.b HAVING count(DISTINCT e.round_number) > 1
"""


@dataclass(frozen=True)
class Coherence:
    """Counts of labels.

    Attributes:
        implied: labels whose answer earlier ones implied, or the opposite of it.
        contradicted: those of the second kind.
        repeated: pairs answered in more than one round, hidden repeats aside.
        changed: those whose answers differ.
        hidden: answers to pairs that the same member answered before and did not know to be asked
            again; chosen at random, so that they tell how often answers are wrong.
        hidden_changed: those that differ from the answer before.
    """

    implied: int
    contradicted: int
    repeated: int
    changed: int
    hidden: int
    hidden_changed: int


def coherence(store: Store) -> Coherence:
    """Counts of the labels of now; remembered until the next event."""
    ledger = store.ledger
    with ledger.lock, store.snapshot() as db:
        ledger.catch_up(db)
        if "implied" not in ledger.memo:
            changed = [bool(row["changed"]) for row in db.execute(_REPEATED)]
            ledger.memo["implied"], ledger.memo["contradicted"] = ledger.checked()
            ledger.memo["repeated"], ledger.memo["changed"] = len(changed), sum(changed)
            hidden = all_repeats(db)
            ledger.memo["hidden"], ledger.memo["hidden_changed"] = hidden.repeated, hidden.changed
        names = ("implied", "contradicted", "repeated", "changed", "hidden", "hidden_changed")
        return Coherence(*(ledger.memo[name] for name in names))


def labels_in_order(store: Store) -> dict[Pair, bool]:
    """The labelled pairs in the order of the events that gave the labels."""
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
        return store.ledger.labels()


def repeated_pairs(store: Store) -> set[Pair]:
    """The pairs that people met in more than one round, whatever they answered."""
    with store.snapshot() as db:
        return {Pair(row["a"], row["b"]) for row in db.execute(_MET_AGAIN)}
