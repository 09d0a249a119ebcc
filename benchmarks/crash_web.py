"""The web process, killed at random while people answer; they send again what it did not say."""

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import store_world
from benchmarks.api_client import Person, Refused, answer_to
from benchmarks.crash_outcome import Outcome, examine
from benchmarks.serving import free_port, serving
from domain.answers import Kind
from domain.members import Member
from workflow.creation import create_project
from workflow.project import Project

PEOPLE = 4
QUESTIONS_PER_KILL = 400
IMAGES = 150
LONGEST_LIFE_S = 1.0  # after the first acknowledgement
THINK_S = 0.02
RETRY_S = 0.1
PATIENCE_S = 300.0


class _Someone:
    """A person whose page keeps answers until it hears that they are stored."""

    def __init__(
        self, project: Project, member: Member, address: str, over: threading.Event
    ) -> None:
        self._project = project
        self._member = member
        self._address = address
        self._over = over
        self.given: dict[str, dict[str, Any]] = {}
        self.acknowledged: set[str] = set()

    def live(self) -> None:
        """Answer until it is over and everything is acknowledged; sign in anew after each crash."""
        while not self._over.is_set() or self._unsent():
            try:
                with Person(self._address, self._project, self._member) as page:
                    self._answer(page)
            except (OSError, HTTPException, Refused):
                time.sleep(RETRY_S)

    def _answer(self, page: Person) -> None:
        while not self._over.is_set() or self._unsent():
            unsent = self._unsent()
            if unsent:
                self._send(page, unsent)
            for question in page.questions(5, []):
                answer = answer_to(question, uuid.uuid4().hex, Kind.DISSIMILAR)
                self.given[answer["key"]] = answer
                self._send(page, [answer])
                time.sleep(THINK_S)

    def _send(self, page: Person, given: list[dict[str, Any]]) -> None:
        for receipt in page.answer(given):
            if receipt["status"] == "rejected":
                raise RuntimeError(receipt["message"])
            self.acknowledged.add(receipt["key"])

    def _unsent(self) -> list[dict[str, Any]]:
        return [answer for key, answer in self.given.items() if key not in self.acknowledged]


class _People:
    """Several of them, each in a thread."""

    def __init__(self, project: Project, address: str) -> None:
        self._over = threading.Event()
        members = store_world.enrol(project.store, PEOPLE)
        self.all = [_Someone(project, member, address, self._over) for member in members]
        self._pool = ThreadPoolExecutor(PEOPLE)
        self._lives = [self._pool.submit(each.live) for each in self.all]

    def wait_for_more(self) -> None:
        """Until an answer more is acknowledged than now."""
        now, deadline_s = len(self.acknowledged()), time.monotonic() + PATIENCE_S
        while len(self.acknowledged()) <= now:
            if time.monotonic() > deadline_s or any(life.done() for life in self._lives):
                raise RuntimeError("People cannot answer any more.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Let everybody send what is not acknowledged, and go."""
        self._over.set()
        for life in self._lives:
            life.result(PATIENCE_S)
        self._pool.shutdown()

    def give_up(self) -> None:
        """Let everybody go with what they have."""
        self._over.set()
        for each in self.all:
            each.given.clear()

    def acknowledged(self) -> set[str]:
        return set[str]().union(*(each.acknowledged for each in self.all))

    def given(self) -> set[str]:
        return set[str]().union(*(each.given for each in self.all))


def measure(folder: Path, kills: int, rng: random.Random) -> Outcome:
    """Kill the web process that often."""
    project = _make_project(folder)
    asked = store_world.World(IMAGES, 1).pairs(kills * QUESTIONS_PER_KILL, np.random.default_rng(0))
    round_id = store_world.ask(project.store, asked, number=2)
    port = free_port()
    people = _People(project, f"http://127.0.0.1:{port}")
    try:
        for _ in range(kills):
            with serving(project.folder, port=port) as server:
                people.wait_for_more()
                time.sleep(rng.uniform(0, LONGEST_LIFE_S))
                server.kill()
        with serving(project.folder, port=port):
            people.wait_for_more()
            people.stop()
    except BaseException:
        people.give_up()
        raise
    outcome = examine(
        project.store,
        round_id,
        kills=kills,
        acknowledged=people.acknowledged(),
        given=people.given(),
    )
    project.close()
    return outcome


def _make_project(folder: Path) -> Project:
    images = folder / "images"
    store_world.draw_images(images, IMAGES, groups=1)
    return create_project(folder / "project", images=images).project
