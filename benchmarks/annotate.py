"""How long a key press takes on the annotate page, against plain Streamlit; whether any is lost.

python -m benchmarks.annotate [--quick]

A key press lasts from the keydown's timestamp to the first task after the animation frame in which
both next images are in the page and decoded. What was stored is counted in the database. Ten people
answer once a second each, in ten browser profiles, while the worker trains.
"""

import argparse
import json
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import annotate_ten
from benchmarks.annotate_ten import SCRIPT, pair_on
from benchmarks.serving import CHROMIUM_FLAGS, chromium, served
from domain.pairs import Pair, pair
from domain.rounds import Proposal
from labeling_store import answers, queue, rounds
from workflow.creation import create_project
from workflow.project import Project

IMAGES = 160
SOURCE_PX = 600  # as in aerial archives; shown at 512
THINK_S = (0.15, 0.35)  # between the painted pair and the next key: a fast annotator
LATENCY_MS = 200
PRESS_TIMEOUT_MS = 20_000


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    presses: int
    slow_presses: int
    plain_presses: int
    first_pages: int
    of_ten: int

    @property
    def questions(self) -> int:
        return 2 * (self.presses + self.slow_presses + self.plain_presses) + 100


QUICK = Effort(presses=50, slow_presses=25, plain_presses=20, first_pages=3, of_ten=300)
FULL = Effort(presses=400, slow_presses=150, plain_presses=100, first_pages=9, of_ten=5000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer key presses, same keys")
    effort = QUICK if parser.parse_args().quick else FULL
    print(f"Machine: {platform.machine()}, {platform.platform()}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        archive = Path(folder) / "images"
        draw_images(archive)
        project = make_project(Path(folder), archive, effort.questions)
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        figures = measure(project, browser, effort)
        together = Path(folder) / "together"
        together.mkdir()
        figures |= measure_ten(together, archive, browser, effort, before=figures)
        browser.close()
        project.close()
    print(json.dumps(figures))


def measure_ten(
    folder: Path, archive: Path, browser: Browser, effort: Effort, *, before: dict[str, Any]
) -> dict[str, Any]:
    """The figures of ten people; what was lost and doubled is counted with that of `before`."""
    ten = annotate_ten.measure(folder, archive, browser, count=effort.of_ten)
    lost, doubled = compare(ten.asked, ten.stored)
    report("ten annotate pages", ten.presses_ms)
    report("ten annotate pages, to the receipt", ten.acks_ms)
    print(
        f"ten people: {ten.answers_per_s:.1f} answers a second, "
        f"trained throughout: {ten.trained_throughout}"
    )
    return {
        "p95_ms_10": p95(ten.presses_ms),
        "ack_p95_ms_10": p95(ten.acks_ms),
        "lost": before["lost"] + lost,
        "doubled": before["doubled"] + doubled,
        "answers": before["answers"] + len(ten.stored),
    }


def measure(project: Project, browser: Browser, effort: Effort) -> dict[str, Any]:
    """All figures; the baselines are measured in the same run."""
    rng = np.random.default_rng(0)
    with served(project.folder) as address:
        fast_ms, asked = annotate(browser, address, effort.presses, rng=rng)
        slow_ms, slow_asked = annotate(
            browser, address, effort.slow_presses, rng=rng, latency_ms=LATENCY_MS
        )
        own_first_ms = first_page_ms(browser, f"{address}/annotate", OWN_FIRST, effort.first_pages)
    stored = [event.pair for event in answers.events(project.store.reader())]
    lost, doubled = compare(asked + slow_asked, stored)
    with served(project.folder, app="benchmarks.plain_app:app", health="/_stcore/health") as plain:
        plain_ms = press_keys(open_page(browser, plain), effort.plain_presses, rng=rng)
        empty_ms = first_page_ms(browser, f"{plain}/?empty=1", EMPTY_FIRST, effort.first_pages)
    report("annotate page", fast_ms)
    report(f"annotate page, {LATENCY_MS} ms network", slow_ms)
    report("plain Streamlit page", plain_ms)
    print(f"first page: {own_first_ms:.0f} ms, of an empty Streamlit page {empty_ms:.0f} ms")
    return {
        "p95_ms_1": p95(fast_ms),
        "lost": lost,
        "doubled": doubled,
        "answers": len(stored),
        "plain_p95_ms_1": p95(plain_ms),
        "first_page_ratio": round(own_first_ms / empty_ms, 2),
        "delay200_p95_ms": p95(slow_ms),
    }


# --- the project ---------------------------------------------------------------------------


def draw_images(archive: Path) -> None:
    """Images like photographs, in a new folder."""
    rng = np.random.default_rng(0)
    archive.mkdir()
    for number in range(IMAGES):
        small = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        drawn = Image.fromarray(small).resize((SOURCE_PX, SOURCE_PX), Image.Resampling.BICUBIC)
        drawn.save(archive / f"{number:04}.jpg", quality=90)


def make_project(folder: Path, archive: Path, questions: int) -> Project:
    """A project of these images with that many questions in its first round."""
    project = create_project(folder / "project", images=archive).project
    ask_more(project, questions, np.random.default_rng(0))
    return project


def ask_more(project: Project, questions: int, rng: np.random.Generator) -> None:
    current = rounds.current_round(project.store.reader())
    if current is None:
        raise RuntimeError("The new project has no first round.")
    chosen: dict[Pair, None] = {}
    while len(chosen) < questions:
        a, b = rng.choice(IMAGES, size=2, replace=False) + 1
        chosen[pair(int(a), int(b))] = None
    proposals = [Proposal(pair=each, score=0.0, reason="Chosen at random.") for each in chosen]
    with project.store.transaction() as db:
        queue.add_proposals(db, current.round_id, proposals)


def compare(asked: Sequence[Pair], stored: Sequence[Pair]) -> tuple[int, int]:
    """Answers lost and doubled: those given that are not stored, and the other way round."""
    given, kept = Counter(asked), Counter(stored)
    return sum((given - kept).values()), sum((kept - given).values())


# --- the browser ---------------------------------------------------------------------------


def annotate(
    browser: Browser,
    address: str,
    presses: int,
    *,
    rng: np.random.Generator,
    latency_ms: int = 0,
) -> tuple[list[float], list[Pair]]:
    """Milliseconds of each key press, and the pairs that were answered."""
    page = open_page(browser, f"{address}/annotate", latency_ms=latency_ms)
    took_ms = press_keys(page, presses, rng=rng)
    saved = "section.annotate [data-el=state][data-state=saved]"
    page.wait_for_selector(saved, timeout=60_000)
    before = page.evaluate("() => window.anneal_bench.presses.map((press) => press.before)")
    page.context.close()
    return took_ms, [pair_on(urls) for urls in before]


def open_page(browser: Browser, url: str, *, latency_ms: int = 0) -> Page:
    """A page in a profile of its own, with its first pair on the screen."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(path=SCRIPT)
    page = context.new_page()
    if latency_ms:
        network = {"offline": False, "latency": latency_ms}
        rates = {"downloadThroughput": -1, "uploadThroughput": -1}
        page.context.new_cdp_session(page).send(
            "Network.emulateNetworkConditions", {**network, **rates}
        )
    page.goto(url, timeout=60_000)
    page.wait_for_function("() => window.anneal_bench.shows([])", timeout=60_000)
    page.wait_for_timeout(1500)  # the first page has settled
    return page


def press_keys(page: Page, presses: int, *, rng: np.random.Generator) -> list[float]:
    """Milliseconds from each key press to the painted next pair."""
    for done in range(presses):
        page.keyboard.press(str(rng.choice(["f", "j"])))
        page.wait_for_function(
            "(count) => window.anneal_bench.presses.length > count",
            arg=done,
            timeout=PRESS_TIMEOUT_MS,
        )
        time.sleep(rng.uniform(*THINK_S))
    found = page.evaluate("() => window.anneal_bench.presses.map((press) => press.press_ms)")
    return [float(each) for each in found]


OWN_FIRST = "() => window.anneal_bench?.shows([])"
EMPTY_FIRST = "() => document.body.innerText.includes('Nothing here.')"


def first_page_ms(browser: Browser, url: str, ready: str, repeats: int) -> float:
    """Median time from a new profile's navigation to the page being there."""
    took_ms = []
    for _ in range(repeats):
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_init_script(path=SCRIPT)
        page = context.new_page()
        start_s = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_function(ready, timeout=60_000)
        took_ms.append((time.perf_counter() - start_s) * 1000)
        context.close()
    return float(np.median(took_ms))


def p95(values_ms: Sequence[float]) -> float:
    return round(float(np.percentile(values_ms, 95)), 1)


def report(name: str, values_ms: Sequence[float]) -> None:
    middle, high, most = np.percentile(values_ms, [50, 95, 100])
    print(f"{name}: {len(values_ms)} keys, p50 {middle:.1f}, p95 {high:.1f}, max {most:.1f} ms")


if __name__ == "__main__":
    main()
