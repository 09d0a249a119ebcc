"""Rows of a file turned into answers; whatever is wrong is found before anything is stored."""

import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from domain.answers import Kind, NewAnswer, Source
from domain.errors import InputError, shortened
from domain.members import Member, Role, given_name
from domain.pairs import Pair, pair
from labeling_store.members import find_member
from labeling_store.pair_answers import own_answers

IMPLIED = "implied"  # the source of a row that nobody answered
MEMBERS_SEPARATOR = "; "
REQUIRED = ("image_a", "image_b", "similar")

_SAID = {
    "1": True, "1.0": True, "true": True, "similar": True,
    "0": False, "0.0": False, "false": False, "dissimilar": False,
}  # fmt: skip
_SAYS = {Kind.SIMILAR: True, Kind.DISSIMILAR: False}
_MADE = "import:"  # how the key of a row begins that has none of its own
_LARGEST = 2**63  # SQLite's integers are smaller
_KIND_SAYING = {True: Kind.SIMILAR, False: Kind.DISSIMILAR, None: Kind.UNSURE}

_KNOWN_KEYS = """
    SELECT e.key, e.kind, e.a, e.b FROM json_each(:keys) AS wanted
        JOIN event AS e ON e.key = wanted.value
"""
_KEYS_AT_ONCE = 5000

_Row = Mapping[str, Any]
_T = TypeVar("_T")


@dataclass
class Found:
    """The answers of a file, in the order in which they were given.

    Attributes:
        repeated: rows that stand in the file twice.
        implied: rows that nobody answered.
        wrong: by what is wrong with them, the values and rows that cannot be imported.
    """

    answers: list[NewAnswer] = field(default_factory=list)
    repeated: int = 0
    implied: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)


class _Wrong(Exception):
    """A row that cannot be imported: what is wrong with it, and the value."""

    def __init__(self, problem: str, value: object) -> None:
        super().__init__(problem)
        self.problem = problem
        self.value = value


def examine(rows: Iterable[_Row], image_ids: Mapping[str, int], member: Member) -> Found:
    """The answers that rows stand for, and what is wrong with the others.

    Args:
        rows: see `exchange.import_rows`.
        image_ids: by path below the archive's root.
        member: who imports.

    Raises:
        InputError: columns are missing.
    """
    found = Found()
    numbered = _in_order(list(rows))
    keys = _KeysByEvent()
    for number, row in numbered:
        try:
            if _text(row, "source") == IMPLIED or _number(row, "implied"):
                found.implied += 1
                continue
            answer = _answer(row, image_ids, member, keys.referred(row))
            if keys.claim(row, answer):
                found.answers.append(answer)
            else:
                found.repeated += 1
        except _Wrong as error:
            found.wrong.setdefault(error.problem, []).append(f"{error.value!r} (row {number})")
    return found


def keys_of_others(db: sqlite3.Connection, new: Sequence[NewAnswer]) -> set[str]:
    """Those of the keys that the log has for another answer: importing these would lose them."""
    other: set[str] = set()
    for start in range(0, len(new), _KEYS_AT_ONCE):
        some = {each.key: each for each in new[start : start + _KEYS_AT_ONCE]}
        for key, kind, a, b in db.execute(_KNOWN_KEYS, {"keys": json.dumps([*some])}):
            is_void = kind == Kind.VOID  # stored with the pair that it takes back
            if kind != some[key].kind or not (is_void or some[key].pair == (a, b)):
                other.add(key)
    return other


def said_already(db: sqlite3.Connection, new: Sequence[NewAnswer], importer: Member) -> set[str]:
    """The keys of rows without one of their own that say what their member's answer says already.

    So labels and known pairs that come back to their project change nothing. Where a file says
    several things of a pair in one member's name, all of it counts.
    """
    words: dict[str, dict[Pair, set[Kind]]] = {}
    for each in new:
        words.setdefault(each.member or importer.name, {}).setdefault(each.pair, set()).add(
            each.kind
        )
    known: set[tuple[str, Pair]] = set()
    for name, said in words.items():
        author = find_member(db, name)
        standing = {} if author is None else own_answers(db, author.member_id, [*said])
        known |= {(name, of) for of, own in standing.items() if said[of] == {own.kind}}
    return {
        each.key
        for each in new
        if each.key.startswith(_MADE) and (each.member or importer.name, each.pair) in known
    }


def refusal(found: Found) -> InputError:
    """Why rows cannot be imported, with how many and which."""
    wrong = found.wrong
    count = sum(map(len, wrong.values()))
    total = count + len(found.answers) + found.repeated + found.implied
    reasons = "; ".join(f"{problem}: {shortened(where, 3)}" for problem, where in wrong.items())
    return InputError(
        f"{count} of {total} rows cannot be imported: {reasons}.",
        "Nothing was imported; mend these rows and try again.",
    )


def _in_order(rows: list[_Row]) -> list[tuple[int, _Row]]:
    """Rows with their number in the file, by event id where they have one."""
    for number, row in enumerate(rows, start=1):
        missing = [name for name in REQUIRED if name not in row]
        if missing:
            raise InputError(
                f"Row {number} has no column {shortened(missing)}, but {shortened([*row])}.",
                f"A file to import needs {', '.join(REQUIRED)}, in CSV with commas between; "
                "nothing was imported.",
            )
    return sorted(enumerate(rows, start=1), key=lambda each: _sort_key(each[1]))


def _sort_key(row: _Row) -> int:
    try:
        return _number(row, "event_id") or 0
    except _Wrong:
        return 0


class _KeysByEvent:
    """The rows seen so far, by their key and by their event id."""

    def __init__(self) -> None:
        self._keys: dict[int, str] = {}
        self._seen: dict[str, NewAnswer] = {}

    def claim(self, row: _Row, answer: NewAnswer) -> bool:
        """Remember a row; whether it is the first of its event in the file."""
        event_id = _number(row, "event_id")
        of_event = None if event_id is None else self._keys.get(event_id)
        for name, key in (("key", answer.key), ("event_id", of_event)):
            first = None if key is None else self._seen.get(key)
            if first is None:
                continue
            if (first.kind, first.pair) != (answer.kind, answer.pair):
                raise _Wrong(f"`{name}` is that of another answer in the file", row.get(name))
            return False
        self._seen[answer.key] = answer
        if event_id is not None:
            self._keys[event_id] = answer.key
        return True

    def referred(self, row: _Row) -> str | None:
        """The key of the event that a row takes back or settles."""
        event_id = _number(row, "refers_to")
        if event_id is None:
            return None
        if event_id not in self._keys:
            raise _Wrong("refers to an event that is not before it in the file", event_id)
        key = self._keys[event_id]
        if _text(row, "kind") == Kind.VOID and self._seen[key].kind is Kind.VOID:
            raise _Wrong("an undo cannot be taken back", event_id)
        return key


def _made_of(row: _Row, member: Member) -> str:
    names = sorted(str(row[name]) for name in ("image_a", "image_b"))
    rest = [_text(row, name) for name in ("similar", "kind", "event_id", "answered_at")]
    author = _author(row) or member.name
    told = json.dumps([*names, *rest, author], ensure_ascii=True)
    return f"{_MADE}{hashlib.sha256(told.encode()).hexdigest()}"


def _answer(
    row: _Row, image_ids: Mapping[str, int], member: Member, referred: str | None
) -> NewAnswer:
    similar = _similar(row)
    kind = _kind(row, similar)
    author = _author(row)
    if member.role is Role.ANNOTATOR and (
        kind is Kind.RESOLUTION or author not in (None, member.name)
    ):
        raise _Wrong("only a lead may import what others answered or settled", author)
    first, second = _image(row, "image_a", image_ids), _image(row, "image_b", image_ids)
    if first == second:
        raise _Wrong("both images are the same", row["image_a"])
    if kind is Kind.VOID and referred is None:
        raise _Wrong("an undo must refer to an event", _number(row, "event_id"))
    return NewAnswer(
        key=_text(row, "key") or _made_of(row, member),
        kind=kind,
        pair=pair(first, second),
        source=_source(row),
        shown_at=_moment(row, "shown_at"),
        answered_at=_moment(row, "answered_at"),
        answer_ms=_number(row, "answer_ms"),
        model=_text(row, "model"),
        reason=_text(row, "reason"),
        refers_to_key=referred,
        member=author,
        similar=similar if kind is Kind.RESOLUTION else None,
        uncertainty=_fraction(row, "uncertainty"),
        round_number=_number(row, "round"),
    )


def _image(row: _Row, name: str, image_ids: Mapping[str, int]) -> int:
    path = str(row[name])
    if path not in image_ids:
        raise _Wrong("no such image in the archive", path)
    return image_ids[path]


def _similar(row: _Row) -> bool | None:
    text = _text(row, "similar")
    if text is not None and text.lower() not in _SAID:
        raise _Wrong("`similar` must be 1, 0 or empty", text)
    return None if text is None else _SAID[text.lower()]


def _kind(row: _Row, similar: bool | None) -> Kind:
    text = _text(row, "kind")
    if text is None:
        return _KIND_SAYING[similar]
    if text not in set(Kind):
        raise _Wrong(f"`kind` must be one of {', '.join(Kind)}", text)
    kind = Kind(text)
    if kind is not Kind.RESOLUTION and similar is not _SAYS.get(kind):
        raise _Wrong("`kind` and `similar` contradict each other", f"{text}, {row['similar']}")
    return kind


def _source(row: _Row) -> Source:
    text = _text(row, "source")
    if text is not None and text not in set(Source):
        raise _Wrong(f"`source` must be one of {', '.join(Source)}", text)
    return Source(text) if text else Source.IMPORT


def _author(row: _Row) -> str | None:
    members = (_text(row, "members") or "").split(MEMBERS_SEPARATOR)
    name = _text(row, "member") or (members[0] if len(members) == 1 else None) or None
    try:
        return None if name is None else given_name(name)
    except InputError as error:
        raise _Wrong(error.message.rstrip("."), name) from error


def _text(row: _Row, name: str) -> str | None:
    value = row.get(name)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(value)
    if not text.isprintable() and any("\ud800" <= each <= "\udfff" for each in text):
        raise _Wrong(f"`{name}` has half a character", text)
    return text


def _number(row: _Row, name: str) -> int | None:
    value = _fraction(row, name)
    if value is not None and value != int(value):
        raise _Wrong(f"`{name}` must be a whole number", row[name])
    if value is not None and abs(value) >= _LARGEST:
        raise _Wrong(f"`{name}` is too large", row[name])
    return None if value is None else int(value)


def _fraction(row: _Row, name: str) -> float | None:
    text = _text(row, name)
    value = _parsed(float, text, f"`{name}` must be a number")
    if value is not None and not math.isfinite(value):
        raise _Wrong(f"`{name}` must be a finite number", text)
    return value


def _moment(row: _Row, name: str) -> str | None:
    return _parsed(_in_utc, _text(row, name), f"`{name}` must be a time in ISO 8601")


def _in_utc(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if text.endswith("+00:00"):
        return text
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")


def _parsed(parse: Callable[[str], _T], text: str | None, problem: str) -> _T | None:
    try:
        return None if text is None else parse(text)
    except (ValueError, OverflowError) as error:
        raise _Wrong(problem, text) from error
