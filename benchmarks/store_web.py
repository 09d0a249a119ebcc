"""Sixteen people who answer through the web route, ten times a second each, while a head trains.

The worker is the real one, at its own priority: it trains a projection head on answers to drawn
images from begin to end. An acknowledgement lasts from the moment an answer is given to its
receipt; as on the page, what could not be sent meanwhile goes out together.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import endless, store_world
from benchmarks.api_client import Person, answer_to
from benchmarks.serving import served
from domain.answers import Kind
from domain.images import Part
from domain.members import Member
from domain.pairs import pair
from labeling_store import answers, images
from workflow.project import Project

CLIENTS = 16
EVERY_S = 0.1  # an answer of each
IMAGES = 240
GROUPS = 8
LEARNT_FROM = 300  # answers before the training
AHEAD = 20  # questions a page holds
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Figures:
    ack_p50_ms_16: float
    ack_p95_ms_16: float
    ack_p99_ms_16: float
    worst_client_p99_ms_16: float
    client_p99_ms: Sequence[float]
    web_answers: int
    web_lost: int
    web_doubled: int
    trained_throughout: bool


def measure(folder: Path, seconds: float) -> Figures:
    """Let sixteen people answer for so long."""
    project = _make_project(folder)
    people = store_world.enrol(project.store, CLIENTS)
    each = round(seconds / EVERY_S)
    _ask_enough(project, CLIENTS * (each + 2 * AHEAD))
    begin = answers.last_event_id(project.store.reader())
    with endless.training(project), served(project.folder) as address:
        endless.wait_until_it_trains(project)
        acks_ms, given = _answer_all(address, project, people, each)
        trained = endless.trains(project)
    stored = Counter(event.key for event in answers.events(project.store.reader(), after=begin))
    project.close()
    every_ms = np.concatenate(acks_ms)
    p99s = [round(float(np.percentile(own, 99)), 1) for own in acks_ms]
    return Figures(
        ack_p50_ms_16=round(float(np.percentile(every_ms, 50)), 1),
        ack_p95_ms_16=round(float(np.percentile(every_ms, 95)), 1),
        ack_p99_ms_16=round(float(np.percentile(every_ms, 99)), 1),
        worst_client_p99_ms_16=max(p99s),
        client_p99_ms=p99s,
        web_answers=stored.total(),
        web_lost=len(given - set(stored)),
        web_doubled=stored.total() - len(stored),
        trained_throughout=trained,
    )


# --- the people ----------------------------------------------------------------------------


def _answer_all(
    address: str, project: Project, people: Sequence[Member], count: int
) -> tuple[list[list[float]], set[str]]:
    """Milliseconds to each acknowledgement, by person, and the keys of all answers."""
    together = threading.Barrier(CLIENTS)

    def live(number: int) -> list[float]:
        with (
            Person(address, project, people[number]) as sender,
            _page(address, project, people[number]) as page,
        ):
            together.wait(PATIENCE_S)
            return _answer(sender, page, number, count)

    with ThreadPoolExecutor(CLIENTS) as pool:
        acks_ms = list(pool.map(live, range(CLIENTS)))
    return acks_ms, {_key(number, at) for number in range(CLIENTS) for at in range(count)}


def _answer(sender: Person, page: "_Page", number: int, count: int) -> list[float]:
    acks_ms: list[float] = []
    begin_s = time.monotonic() + EVERY_S * number / CLIENTS
    while len(acks_ms) < count:
        given_s = begin_s + EVERY_S * len(acks_ms)
        time.sleep(max(0.0, given_s - time.monotonic()))
        late = int((time.monotonic() - given_s) / EVERY_S)
        batch = range(len(acks_ms), min(count, len(acks_ms) + 1 + late))
        sent = [answer_to(page.next(), _key(number, at), Kind.DISSIMILAR) for at in batch]
        receipts = sender.answer(sent)
        if any(receipt["status"] != "stored" for receipt in receipts):
            raise RuntimeError(f"Not stored: {receipts}")
        page.acknowledged(sent)
        now_s = time.monotonic()
        acks_ms += [(now_s - begin_s - EVERY_S * at) * 1000 for at in batch]
    return acks_ms


def _key(number: int, at: int) -> str:
    return f"client-{number:02}-{at:06}"


class _Page:
    """The questions that a page holds ready, fetched beside the answering."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._ready: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._held: dict[int, None] = {}
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        self._fetch()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._wanted.set()
        self._thread.join()

    def next(self) -> dict[str, Any]:
        question = self._ready.get(timeout=PATIENCE_S)
        if self._ready.qsize() < AHEAD // 2:
            self._wanted.set()
        return question

    def acknowledged(self, sent: Sequence[dict[str, Any]]) -> None:
        """Let go of questions whose answers the server has; until then it might ask them again."""
        for answer in sent:
            del self._held[answer["proposal_id"]]

    def _work(self) -> None:
        while self._wanted.wait() and not self._over.is_set():
            self._wanted.clear()
            self._fetch()

    def _fetch(self) -> None:
        for question in self._person.questions(AHEAD, list(self._held)):
            self._held[question["proposal_id"]] = None
            self._ready.put(question)


@contextmanager
def _page(address: str, project: Project, member: Member) -> Iterator[_Page]:
    with Person(address, project, member) as person:
        page = _Page(person)
        page.start()
        try:
            yield page
        finally:
            page.stop()


# --- the questions -------------------------------------------------------------------------


def _make_project(folder: Path) -> Project:
    archive = folder / "images"
    store_world.draw_images(archive, IMAGES, groups=GROUPS)
    return endless.make_project(folder, archive)


def _ask_enough(project: Project, count: int) -> None:
    """Answers to learn from, and a round with so many questions that nobody runs out of them."""
    training = [
        each.image_id for each in images.list_images(project.store.reader(), part=Part.TRAIN)
    ]
    everything = [pair(a, b) for a in training for b in training if a < b]
    order = np.random.default_rng(1).permutation(len(everything))
    chosen = [everything[row] for row in order[: LEARNT_FROM + count]]
    endless.learn_from(project, chosen[:LEARNT_FROM], groups=GROUPS)
    store_world.ask(project.store, chosen[LEARNT_FROM:], number=2)
