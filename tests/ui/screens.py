"""Screenshots of all pages for docs/screens: `script/screens [--out DIR] [--only PAGE,PAGE]`.

The project is made up: a small demo archive with invented answers and models.
"""

import argparse
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from archive.demo import write_demo
from benchmarks.serving import CHROMIUM_FLAGS, chromium, served
from tests.ui.furnished import Furnished, furnish, upload
from ui.sitemap import PAGES
from workflow import jobs
from workflow.creation import create_project
from workflow.locks import held

ROOT = Path(__file__).parents[2]
WIDTHS = {"wide": (1400, 900), "narrow": (420, 860)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUALITY = 80
TALLEST_PX = 1500
CHARTS_MS = 1500
UNPICTURED = ("settled", "uploaded")  # for tests; as pictures they say little
SMALLER = 0.7  # of the screen's pixels: enough to read in a document
SETTLED = """
() => ![...document.querySelectorAll('[data-testid=stSkeleton], [data-testid=stSpinner]')].length
  && [...document.images].every((each) => each.complete)
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running'
"""


@contextmanager
def furnished_app(folder: Path) -> Iterator[tuple[str, Furnished]]:
    """The address of an app with something on every page, as if its worker ran."""
    write_demo(folder / "images", tiles_per_kind=12)
    (folder / "images" / "forest" / "broken.jpg").write_bytes(b"no picture")
    made = create_project(folder / "project", images=folder / "images")
    project = made.project
    people = furnish(project)
    with held(project.folder / jobs.WORKER_LOCK), served(project.folder) as address:
        yield address, people
    project.close()


def addresses(people: Furnished) -> dict[str, str]:
    """What to open for each picture, by its name."""
    shown = {name: name for name in PAGES}
    shown["overview"] = ""
    shown["annotate"] = f"annotate?member={people.annotator.member_id}"
    shown["grid"] = shown["guide"] = shown["annotate"]
    shown["my_answers"] = f"my_answers?member={people.annotator.member_id}"
    shown["results"] = f"search?image={people.pair.a}"
    shown["history"] = f"labels?pair={people.pair.a}-{people.pair.b}"
    shown["doubts"] = "labels?show=doubts"
    shown["groups"] = "labels?show=groups"
    shown["flags"] = "labels?show=flags"
    shown["settled"] = "conflicts"
    shown["uploaded"] = "search"
    shown["refused"] = f"people?member={people.annotator.member_id}"
    return shown


def see_a_pair(page: Page) -> None:
    """Close the instructions, which stand before the first pair of who has not seen them."""
    page.locator("section.annotate img").nth(1).wait_for(state="attached", timeout=60_000)
    page.wait_for_timeout(500)
    start = page.get_by_role("button", name="Start", exact=True)
    if start.is_visible():
        start.click()


def see_instructions(page: Page) -> None:
    see_a_pair(page)
    page.keyboard.press("i")
    page.get_by_role("heading", name="Instructions").wait_for()


def see_a_grid(page: Page) -> None:
    see_a_pair(page)
    page.keyboard.press("g")
    page.locator("section.annotate .tiles img").first.wait_for()


def see_settled(page: Page) -> None:
    page.get_by_text("Settled", exact=True).click()
    page.get_by_role("button", name="Take back").first.wait_for()
    settle(page)


def see_uploaded(page: Page) -> None:
    file: FilePayload = {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": upload()}
    page.locator("input[type=file]").set_input_files(file)
    page.locator("img[src*='/media/']").wait_for()
    settle(page)


# What is done on a page before it is looked at.
PREPARE: Mapping[str, Callable[[Page], None]] = {
    "annotate": see_a_pair,
    "guide": see_instructions,
    "grid": see_a_grid,
    "settled": see_settled,
    "uploaded": see_uploaded,
}


def settle(page: Page, *, still_ms: int = 300) -> None:
    """Wait until the page has come, and so much longer for what draws itself, as charts do."""
    page.locator("[data-testid=stMain] :is(h1, section.annotate)").first.wait_for(timeout=60_000)
    page.wait_for_function(SETTLED, timeout=60_000)
    page.wait_for_timeout(still_ms)


def shoot(browser: Browser, url: str, name: str, *, width: str) -> dict[str, bytes]:
    """The page from top to bottom as PNG by theme, up to a height that a document can hold."""
    across, down = WIDTHS[width]
    context = browser.new_context(viewport={"width": across, "height": down})
    page = context.new_page()
    page.goto(url)
    settle(page, still_ms=CHARTS_MS)
    if name in PREPARE:
        PREPARE[name](page)
    inside = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
    page.set_viewport_size({"width": across, "height": max(down, min(inside, TALLEST_PX))})
    taken = {}
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        settle(page, still_ms=CHARTS_MS)
        taken[theme] = page.screenshot()
    context.close()
    return taken


def save(png: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(png)) as taken:
        size = (round(taken.width * SMALLER), round(taken.height * SMALLER))
        small = taken.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        small.save(path, quality=QUALITY, optimize=True, progressive=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Take screenshots of all pages.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screens")
    parser.add_argument("--only", default="", help="names of pictures, comma separated")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = set(filter(None, options.only.split(",")))
    with (
        tempfile.TemporaryDirectory() as folder,
        furnished_app(Path(folder)) as (url, people),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        for name, path in addresses(people).items():
            if name in UNPICTURED or (wanted and name not in wanted):
                continue
            for width in WIDTHS:
                for theme, png in shoot(browser, f"{url}/{path}", name, width=width).items():
                    save(png, options.out / f"{name}-{width}-{theme}.jpg")
        browser.close()


if __name__ == "__main__":
    main()
