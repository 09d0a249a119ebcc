"""Answers that other programs wrote as JSON, as rows that `exchange.import_rows` takes.

Known are dedupe's training file, and Label Studio's JSON and JSON_MIN exports of two images with a
Choices control. Images are found in the catalogue by the end of their address; what is not found
stays as it is, and the import names it.

Source: dedupe, `write_training` and its serializer; Label Studio, "Task Format" and "Export".
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from domain.errors import InputError, shortened

CARD = "anneal_card"  # the key by which a data card is known
Row = dict[str, Any]

_SAYS: Mapping[str, int | None] = {
    "similar": 1, "same": 1, "match": 1, "alike": 1,
    "dissimilar": 0, "not similar": 0, "different": 0, "distinct": 0, "unlike": 0,
    "unsure": None, "not sure": None, "unknown": None,
}  # fmt: skip
_WORDS = ", ".join(f'"{word}"' for word in _SAYS)
_UPLOADED = re.compile(r"/data/upload/(?:\d+/)?(?:[0-9a-f]{8}-)?([^/]+)")
_IMAGE = re.compile(r"\.(?:jpe?g|png|tiff?|bmp|gif|webp)(?:[?&#].*)?$", re.IGNORECASE)
_OF_THE_TASK = frozenset(
    ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "project")
)


class _Wrong(Exception):
    """An entry that gives no answer, and why."""


def read_foreign(path: Path, catalogued: Collection[str]) -> list[Row]:
    """The rows of a JSON file.

    Args:
        path: the file.
        catalogued: the paths of the archive's images.

    Raises:
        InputError: it is broken, of no known program, or an entry gives no answer.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path.name} is broken: {error}.", "Nothing was imported; mend the file and try again."
        ) from error
    images = _Images(catalogued)
    if isinstance(content, dict) and {"match", "distinct"} & content.keys():
        return _all(
            path, "pair", _dedupe(content), lambda pair: _of_records(pair[0], pair[1], images)
        )
    if isinstance(content, dict) and CARD in content:
        raise InputError(
            f"{path.name} is a data card, which only describes an export.",
            "Import the file beside it.",
        )
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise _of_no_program(path)
    if all("data" in each for each in content):
        found = [(task, each) for task in content for each in _annotations(task)]
        return _all(path, "annotation", found, lambda pair: _of_task(pair[0], pair[1], images))
    if all({"image_a", "image_b"} <= each.keys() for each in content):
        return content
    return _all(path, "task", content, lambda task: _of_flat_task(task, images))


def _of_no_program(path: Path) -> InputError:
    return InputError(
        f'{path.name} is neither a training file of dedupe (with "match" and "distinct") nor a '
        "JSON export of Label Studio (a list of tasks).",
        "Give a .csv with image_a, image_b and similar instead.",
    )


def _all(
    path: Path, noun: str, entries: Sequence[Any], read: Callable[[Any], Row | None]
) -> list[Row]:
    rows, wrong = [], list[str]()
    for number, entry in enumerate(entries, start=1):
        try:
            row = read(entry)
        except _Wrong as error:
            wrong.append(f"{noun} {number}: {error}")
            continue
        if row is not None:
            rows.append(row)
    if wrong:
        raise InputError(
            f"{path.name}: {len(wrong)} of {len(entries)} entries give no answer. "
            f"{shortened(wrong, 3)}.",
            "Nothing was imported; mend the file and try again.",
        )
    return rows


class _Images:
    """The catalogue, looked through by what other programs call an image."""

    def __init__(self, catalogued: Collection[str]) -> None:
        self._paths = frozenset(catalogued)
        self._by_name: dict[str, list[str]] = {}
        for path in self._paths:
            self._by_name.setdefault(PurePosixPath(path).name, []).append(path)

    def find(self, reference: str) -> str | None:
        """The catalogued path that an address, or a path from elsewhere, ends in."""
        if reference in self._paths:
            return reference
        place = _place(reference)
        uploaded = _UPLOADED.fullmatch(place)
        if uploaded or "/" not in place:
            return self._named(uploaded[1] if uploaded else place, reference)
        parts = PurePosixPath(place.lstrip("/")).parts
        if ".." in parts:
            return None
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((end for end in ends if end in self._paths), None)

    def _named(self, name: str, reference: str) -> str | None:
        found = self._by_name.get(name, [])
        if len(found) > 1:
            several = shortened(sorted(found), 3)
            raise _Wrong(f"{reference!r} may be any of {several}")
        return found[0] if found else None


def _place(reference: str) -> str:
    """The path in an address; of Label Studio's local files, the file's."""
    try:
        parsed = urlsplit(reference)
    except ValueError:
        return reference
    local = parse_qs(parsed.query).get("d")
    if local and parsed.path.endswith("/local-files/"):
        return "/" + local[0]
    is_address = bool(parsed.scheme and parsed.netloc) or reference.startswith("/data/")
    return unquote(parsed.path) if is_address else reference.replace("\\", "/")


def _dedupe(content: Mapping[str, Any]) -> list[tuple[int, Any]]:
    groups = ((1, content.get("match", [])), (0, content.get("distinct", [])))
    return [
        (similar, _plain(each))
        for similar, pairs in groups
        for each in (pairs if isinstance(pairs, list) else [pairs])
    ]


def _plain(value: Any) -> Any:
    """A value as older versions of dedupe wrote it: {"__class__": "tuple", "__value__": […]}."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def _of_records(similar: int, records: Any, images: _Images) -> Row:
    if not isinstance(records, list) or len(records) != 2:
        raise _Wrong("a pair needs two records")
    first, second = (_image_of(record, images) for record in records)
    return {"image_a": first, "image_b": second, "similar": similar}


def _image_of(record: Any, images: _Images) -> str:
    """The one field of a record that names an image of the archive."""
    if not isinstance(record, dict):
        raise _Wrong("a record is no object")
    texts = [value for value in record.values() if isinstance(value, str)]
    named = {found for text in texts if (found := images.find(text)) is not None}
    if len(named) == 1:
        return named.pop()
    pictures = [text for text in texts if _IMAGE.search(text)]
    if not named and len(pictures) == 1:
        return pictures[0]  # the import says that there is no such image
    how_many = "several images" if named else "no image"
    raise _Wrong(f"{how_many} of the archive in the record {json.dumps(record)[:80]}")


def _annotations(task: Mapping[str, Any]) -> Iterator[Any]:
    done = task.get("annotations") or task.get("completions") or []
    yield from done if isinstance(done, list) else [done]


def _of_task(task: Mapping[str, Any], annotation: Any, images: _Images) -> Row | None:
    if not isinstance(annotation, dict) or not isinstance(task["data"], dict):
        raise _Wrong(f"task {task.get('id')} is not as Label Studio writes it")
    if annotation.get("was_cancelled"):
        return None
    results = annotation.get("result")
    words: list[str] = []
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        words += _texts(value.get("choices")) if isinstance(value, dict) else []
    first, second = _two_images(task, task["data"], images)
    number = annotation.get("id")
    return {
        "image_a": first,
        "image_b": second,
        "similar": _said(task, words),
        "member": _person(annotation.get("completed_by")),
        "answered_at": annotation.get("created_at"),
        "answer_ms": _milliseconds(annotation.get("lead_time")),
        "key": _key(task.get("project"), task.get("id"), number),
    }


def _of_flat_task(task: Mapping[str, Any], images: _Images) -> Row:
    data = {name: value for name, value in task.items() if name not in _OF_THE_TASK}
    words = [word for value in data.values() for word in _texts(value)]
    words += [
        word
        for value in data.values()
        if isinstance(value, dict)
        for word in _texts(value.get("choices"))
    ]
    first, second = _two_images(task, data, images)
    return {
        "image_a": first,
        "image_b": second,
        "similar": _said(task, [word for word in words if not _IMAGE.search(word)]),
        "member": _person(task.get("annotator")),
        "answered_at": task.get("created_at"),
        "answer_ms": _milliseconds(task.get("lead_time")),
        "key": _key(None, task.get("id"), task.get("annotation_id")),
    }


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _two_images(
    task: Mapping[str, Any], data: Mapping[str, Any], images: _Images
) -> tuple[str, str]:
    named = [
        value
        for _, value in sorted(data.items())
        if isinstance(value, str) and (_IMAGE.search(value) or images.find(value) is not None)
    ]
    if len(named) != 2:
        raise _Wrong(f"task {task.get('id')} has {len(named)} images, not two")
    first, second = (images.find(each) or each for each in named)
    return first, second


def _said(task: Mapping[str, Any], words: Sequence[str]) -> int | None:
    known = {_SAYS[word.lower()] for word in words if word.lower() in _SAYS}
    if len(known) != 1:
        found = f"has the choices {shortened(list(words)) or 'none'}"
        raise _Wrong(f"task {task.get('id')} {found}; exactly one must be one of {_WORDS}")
    return known.pop()


def _person(who: Any) -> str | None:
    """A name that is as stable as Label Studio's: it exports numbers, or e-mail addresses."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return None if who in (None, "") else str(who) if isinstance(who, str) else f"annotator {who}"


def _milliseconds(seconds: Any) -> int | None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return int(seconds * 1000) if is_number and 0 <= seconds < 1e9 else None


def _key(project: Any, task: Any, annotation: Any) -> str | None:
    if annotation is None:
        return None
    return f"label-studio:{'' if project is None else project}:{task}:{annotation}"
