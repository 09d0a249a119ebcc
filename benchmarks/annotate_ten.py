"""Ten people at ten browsers, one answer a second each, while the worker trains a head."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from benchmarks import endless
from benchmarks.serving import served
from domain.pairs import Pair, pair
from domain.rounds import Proposal
from labeling_store import answers, images, queue, rounds
from workflow import members
from workflow.project import Project

SCRIPT = Path(__file__).with_name("annotate_keypress.js")
PEOPLE = 10
EVERY_S = 1.0  # an answer of each
LEARNT_FROM = 150  # answers before the training
KINDS = 8
AHEAD = 20  # questions that a page holds and nobody else gets
SAVED = "section.annotate [data-el=state][data-state=saved]"
IMAGE_IDS = re.compile(r"/api/images/(\d+)")


@dataclass(frozen=True)
class Figures:
    """Milliseconds of each key press and to each receipt, and the pairs answered."""

    presses_ms: list[float]
    acks_ms: list[float]
    asked: list[Pair]
    stored: list[Pair]
    trained_throughout: bool
    answers_per_s: float


def measure(folder: Path, archive: Path, browser: Browser, *, count: int) -> Figures:
    """Let ten people give so many answers."""
    project = endless.make_project(folder, archive)
    rng = np.random.default_rng(1)
    _ask(project, count + PEOPLE * AHEAD, rng)
    begin = answers.last_event_id(project.store.reader())
    with (
        endless.training(project),
        served(project.folder) as address,
        _pages(browser, address, project) as pages,
    ):
        endless.wait_until_it_trains(project)
        pages[0].wait_for_timeout(2000)  # the first pages have settled
        begin_s = time.monotonic()
        _press(pages, count)
        took_s = time.monotonic() - begin_s
        for page in pages:
            page.wait_for_selector(SAVED, timeout=60_000)
        trained = endless.trains(project)
        benches = [page.evaluate("() => window.anneal_bench") for page in pages]
    events = answers.events(project.store.reader(), after=begin)
    stored = [event.pair for event in events]
    project.close()
    presses = [press for bench in benches for press in bench["presses"]]
    return Figures(
        presses_ms=[float(press["press_ms"]) for press in presses],
        acks_ms=[float(each) for bench in benches for each in bench["acks_ms"]],
        asked=[pair_on(press["before"]) for press in presses],
        stored=stored,
        trained_throughout=trained,
        answers_per_s=count / took_s,
    )


def pair_on(urls: Sequence[str]) -> Pair:
    """The pair of which these are the pictures."""
    first, second = (int(IMAGE_IDS.findall(url)[0]) for url in urls)
    return pair(first, second)


def _ask(project: Project, count: int, rng: np.random.Generator) -> None:
    """Answers to learn from, and so many further questions."""
    current = rounds.current_round(project.store.reader())
    if current is None:
        raise RuntimeError("The new project has no first round.")
    ids = np.array([each.image_id for each in images.list_images(project.store.reader())])
    chosen: dict[Pair, None] = {}
    while len(chosen) < LEARNT_FROM + count:
        a, b = rng.choice(ids, size=2, replace=False)
        chosen[pair(int(a), int(b))] = None
    pairs = list(chosen)
    endless.learn_from(project, pairs[:LEARNT_FROM], groups=KINDS)
    asked = [Proposal(each, 0.0, "Chosen at random.") for each in pairs[LEARNT_FROM:]]
    with project.store.transaction() as db:
        queue.add_proposals(db, current.round_id, asked)


@contextmanager
def _pages(browser: Browser, address: str, project: Project) -> Iterator[list[Page]]:
    """A browser profile for each of ten people, with the first pair on the screen."""
    pages = []
    for number in range(PEOPLE):
        member = members.join(project, f"person {number}")
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_init_script(path=SCRIPT)
        pages.append(context.new_page())
        pages[-1].goto(f"{address}/annotate?member={member.member_id}", wait_until="commit")
    for page in pages:
        page.wait_for_function("() => window.anneal_bench.shows([])", timeout=120_000)
    yield pages
    for page in pages:
        page.context.close()


def _press(pages: Sequence[Page], count: int) -> None:
    """So many keys, in turn, each person one a second; the next is not pressed before its time."""
    begin_s = time.monotonic()
    for done in range(count):
        time.sleep(max(0.0, begin_s + done * EVERY_S / len(pages) - time.monotonic()))
        pages[done % len(pages)].keyboard.press("f")
    for page in pages:
        page.wait_for_function("() => !window.anneal_bench.waiting", timeout=20_000)
