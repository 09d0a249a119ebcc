"""What is known of pairs of images, for training and for export."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from annealing.expansion import count_known
from annealing.expansion import known_relations as expand
from annealing.reliability import error_of_repeats, longest_proof
from domain.answers import KnownRelation, Propagation
from domain.errors import StoreError
from domain.images import Part
from domain.pairs import Pair, pair
from labeling_store.answers import last_event_id
from labeling_store.conflicts import open_conflicts
from labeling_store.db import Store
from labeling_store.ledger import Ledger
from labeling_store.repeats import Repeated, all_repeats

LONG_LOG = 20_000  # events: reading them takes a tenth of a second
FEWEST_REPEATS = 50  # hidden repeats from which the error rate they show counts
_IN_PART = "SELECT image_id FROM image WHERE part = :part"


def known_relations(
    store: Store,
    propagation: Propagation,
    *,
    part: Part | None = Part.TRAIN,
    proofs: bool = True,
) -> list[KnownRelation]:
    """Answered and implied pairs of images, without what open conflicts put in doubt.

    Args:
        store: people's work.
        propagation: how far answers spread.
        part: only pairs wholly inside that part of the split count and spread; None: all.
        proofs: False leaves the proofs of implied pairs empty, which is much quicker.

    Returns:
        Answered pairs first, see `annealing.expansion.known_relations`. Where hidden repeats show
        that answers are often wrong, the closure is cut to short proofs; see `trusted_proof`.
    """
    state = _state(store, part)
    return expand(
        state.labels,
        propagation,
        within=state.within,
        proofs=proofs,
        longest_proof=state.longest_proof,
    )


def known_pair_count(
    store: Store, propagation: Propagation, *, part: Part | None = Part.TRAIN
) -> int:
    """How many pairs `known_relations` gives; remembered until the next event."""
    ledger, question = store.ledger, (propagation, part)
    with ledger.lock, store.snapshot() as db:
        ledger.catch_up(db)
        state, known = ledger.last_event_id, ledger.memo.get(question)
    if known is None:
        known = _count(store, propagation, part)
        with ledger.lock:
            if ledger.last_event_id == state:
                ledger.memo[question] = known
    return known


def relation(store: Store, first: int, second: int) -> bool | None:
    """Whether two images are similar, by an answer or by what answers imply; None: not known.

    Where answers contradict each other, those before the contradicting one count. Takes a few
    microseconds once the store has read its log: it looks at no proof, so it also tells what is not
    trusted because its proof is long or in dispute; see `explain`.
    """
    if first == second:
        return None
    with _up_to_date(store) as ledger:
        return ledger.relation(pair(first, second))


def stands_for(store: Store, pairs: Sequence[Pair]) -> list[int]:
    """How many pairs an answer to each would speak of, by the closure; see `Ledger.stands_for`."""
    with _up_to_date(store) as ledger:
        return [ledger.stands_for(each) for each in pairs]


@dataclass(frozen=True)
class Explanation:
    """What the answers say of two images by the closure, and why.

    Attributes:
        similar: what they say.
        proof: the answered pairs from which it follows, see `proof`.
        trusted: whether `known_relations` has it under the closure, with no part left out: not
            where each proof is in dispute, or longer than errors of people allow.
    """

    similar: bool
    proof: tuple[Pair, ...]
    trusted: bool


def explain(store: Store, first: int, second: int) -> Explanation | None:
    """What the answers say of two images, why, and whether that counts; None: nothing.

    Raises:
        InputError: it is one image.
    """
    asked = pair(first, second)
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
        similar = store.ledger.relation(asked)
        if similar is None:
            return None
        shortest = store.ledger.proof(*asked)
        most = trusted_proof(all_repeats(db))
        trusted = shortest == (asked,) or _is_trusted(store, asked, shortest, most)
    return Explanation(similar, shortest, trusted)


def _is_trusted(store: Store, asked: Pair, shortest: tuple[Pair, ...], most: int | None) -> bool:
    """Whether an implied relation counts; the rules are those of `annealing.expansion`."""
    ledger, found = store.ledger, open_conflicts(store.reader())
    # The answers that each contradicting one contradicts; not ties, which have no label
    disputes = [{*each.evidence} for each in found if each.evidence != (each.pair,)]
    if most is not None:
        sure = ledger.proof(*asked, without=set[Pair]().union(*disputes))
        return 0 < len(sure) <= most
    in_doubt = (dispute for dispute in disputes if not dispute.isdisjoint(shortest))
    return all(ledger.proof(*asked, without=dispute) for dispute in in_doubt)


def proof(store: Store, first: int, second: int) -> tuple[Pair, ...]:
    """The answered pairs from which the relation of two images follows, in the order of the path.

    Similar: a path of similar pairs from the first image to the second. Dissimilar: such paths with
    one dissimilar pair between them. Of several, one with the fewest pairs; an answered pair proves
    itself. Empty where nothing is known.
    """
    if first == second:
        return ()
    with _up_to_date(store) as ledger:
        return ledger.proof(first, second)


def read_ahead(store: Store) -> threading.Thread | None:
    """Read the log in a thread of its own, so that nobody's first answer waits for that.

    Returns:
        The thread, which ends by itself; None where the log is short.
    """
    if last_event_id(store.reader()) - store.ledger.last_event_id < LONG_LOG:
        return None

    def read() -> None:
        # Who needs the log next tries again, and is told what is wrong
        with suppress(StoreError, sqlite3.Error), _up_to_date(store) as ledger:
            ledger.prepare_proofs()

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    return thread


@contextmanager
def _up_to_date(store: Store) -> Iterator[Ledger]:
    with store.ledger.lock:
        # Asking for the newest event first spares the transaction where there is nothing to read
        if not store.ledger.is_up_to_date(store.reader()):
            with store.snapshot() as db:
                store.ledger.catch_up(db)
        yield store.ledger


@dataclass(frozen=True)
class _State:
    """What relations follow from: labels in order, the images of the part, the longest proof."""

    labels: dict[Pair, bool]
    within: set[int] | None
    longest_proof: int | None


def trusted_proof(repeats: Repeated) -> int | None:
    """How many answers may prove an implied relation; None: any number.

    Limited once enough hidden repeats show how often people's answers are wrong.
    """
    if repeats.repeated < FEWEST_REPEATS:
        return None
    return longest_proof(error_of_repeats(repeats.changed / repeats.repeated))


def _count(store: Store, propagation: Propagation, part: Part | None) -> int:
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
        known = None
        if propagation is Propagation.CLOSURE and trusted_proof(all_repeats(db)) is None:
            known = store.ledger.count_relations(None if part is None else _images_in(db, part))
    if known is not None:
        return known
    now = _state(store, part)
    return count_known(now.labels, propagation, within=now.within, longest_proof=now.longest_proof)


def _state(store: Store, part: Part | None) -> _State:
    with store.ledger.lock, store.snapshot() as db:
        store.ledger.catch_up(db)
        return _State(
            store.ledger.labels(),
            None if part is None else _images_in(db, part),
            trusted_proof(all_repeats(db)),
        )


def _images_in(db: sqlite3.Connection, part: Part) -> set[int]:
    return {row["image_id"] for row in db.execute(_IN_PART, {"part": part.value})}
