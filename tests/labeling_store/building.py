"""Images, questions and answers for the tests of the store."""

from itertools import combinations

from domain.answers import Kind, NewAnswer, ReceiptStatus
from domain.images import Part, ScannedImage
from domain.pairs import pair
from domain.rounds import Proposal
from labeling_store import answers, images, queue, rounds
from labeling_store.exchange import export_tables
from labeling_store.files import write_tables

NOW = "2026-01-31T12:00:00.000+00:00"


def scanned(name):
    return ScannedImage(name, "s" + name, "p" + name, "0f", 8, 6, None)


def catalogue(store, *, train, validation=0, test=0):
    parts = [Part.TRAIN] * train + [Part.VALIDATION] * validation + [Part.TEST] * test
    named = [scanned(f"{number:04}.png") for number in range(1, len(parts) + 1)]
    groups = range(1, len(parts) + 1)
    with store.transaction() as db:
        images.add_images(db, named, duplicate_groups=groups, split_groups=groups, parts=parts)


def ask(store, count, *, number=1, image_count=30):
    """A round with so many questions, about pairs of the first images; its id."""
    asked = list(combinations(range(1, image_count + 1), 2))[:count]
    assert len(asked) == count
    proposals = [
        Proposal(pair(a, b), score=-place / 10, reason=f"reason {place}")
        for place, (a, b) in enumerate(asked)
    ]
    with store.transaction() as db:
        asked_in = rounds.create_round(db, number=number, strategy="mgue", model="run-1")
        queue.add_proposals(db, asked_in.round_id, proposals)
    return asked_in.round_id


def claim(store, member, round_id, *, count=5, now=NOW, lease_s=60.0, held=(), **more):
    return queue.claim(
        store, member.member_id, round_id, count=count, now=now, lease_s=lease_s, held=held, **more
    )


def said(key, a, b, kind=Kind.SIMILAR, **more):
    return NewAnswer(key, kind, pair(a, b), **more)


def exported(store, what):
    """The rows of an export."""
    return [
        dict(zip(table, row, strict=True))
        for table in export_tables(store, what)
        for row in zip(*table.values(), strict=True)
    ]


def write_rows(path, rows, columns, *, fmt):
    """A file with these rows."""
    tables = [{name: [row.get(name) for row in rows] for name in columns}] if rows else []
    write_tables(path, tables, columns, fmt=fmt)


def undo(key, refers_to_key, a=1, b=2):
    return NewAnswer(key, Kind.VOID, pair(a, b), refers_to_key=refers_to_key)


def chain_of(number, image, others, **more):
    """The questions of one chain: an image compared with others, one after the other."""
    return [
        Proposal(pair(image, other), 0.0, "", chain=number, chain_position=position, **more)
        for position, other in enumerate(others)
    ]


def single(image, other, **more):
    """A question outside of chains."""
    return [Proposal(pair(image, other), 0.0, "", **more)]


def ask_in_chains(store, proposals, *, number=1, target=None):
    """A round with these questions; its id."""
    with store.transaction() as db:
        asked_in = rounds.create_round(
            db, number=number, strategy="components", model="run-1", target=target
        )
        queue.add_proposals(db, asked_in.round_id, proposals)
    return asked_in.round_id


def ask_instead(store, round_id, proposals, *, now=NOW):
    """Put new questions in the place of those of a round that nobody has before them."""
    with store.transaction() as db:
        queue.withdraw_open(db, round_id, now=now)
        queue.add_proposals(db, round_id, proposals)


def pairs_of(claimed):
    return [tuple(each.pair) for each in claimed]


def answer(store, member, image, other, kind=Kind.DISSIMILAR, *, key=None, proposal=True, now=NOW):
    asked = pair(image, other)
    row = store.reader().execute(
        "SELECT max(proposal_id) FROM proposal WHERE a = ? AND b = ?", asked
    )
    (number,) = row.fetchone()
    key = key or f"{image}-{other}-{kind.value}"
    new = said(key, *asked, kind, proposal_id=number if proposal else None)
    (receipt,) = answers.record_answers(store, member, [new], now=now)
    assert receipt.status is ReceiptStatus.STORED


def take_back(store, member, key, *, now=NOW):
    (receipt,) = answers.record_answers(store, member, [undo(f"undo {key}", key)], now=now)
    assert receipt.status is ReceiptStatus.STORED


def status(store, round_id, now=NOW):
    return queue.queue_status(store, round_id, now)


def four_chains(**more):
    """Images 10 to 13 with images 1, 2 and 3 each."""
    return [each for n in range(4) for each in chain_of(n, 10 + n, [1, 2, 3], **more)]
