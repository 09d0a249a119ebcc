"""How long a picture of one's own takes to find what is like it, while the worker trains.

Part of `python -m benchmarks.search`. The time is the browser's own: from the end of the upload to
the first frame in which the first five pictures of the ranked grid are there.
"""

import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from benchmarks import endless
from benchmarks.serving import CHROMIUM_FLAGS, chromium, served
from domain.config import Backbone, Views
from domain.pairs import pair
from labeling_store import images
from workflow import queries
from workflow.project import Project

IMAGES = 40  # what is waited for is the model and the page, not the search among them
SOURCE_PX, UPLOAD_PX = 400, 1024
MODEL_PX = 224
LEARNT_FROM, KINDS = 150, 6
FIRST = 5  # pictures that must be there
READY_S = 60.0
PAUSE_S = 1.0
SHOWN = """
(first) => new Promise((resolve) => {
  const look = () => {
    const hosts = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")];
    const wanted = "[aria-label='Most similar images'] img";
    const pictures = hosts.flatMap((host) => [...host.shadowRoot?.querySelectorAll(wanted) ?? []]);
    const there = pictures.slice(0, first).filter((each) => each.complete && each.naturalWidth);
    if (there.length < first) { requestAnimationFrame(look); return; }
    const uploads = performance.getEntriesByType("resource")
      .filter((each) => each.name.includes("/_stcore/upload_file/"));
    resolve(performance.now() - Math.max(...uploads.map((each) => each.responseEnd)));
  };
  look();
})
"""


def measure(count: int) -> dict[str, object]:
    """Seconds of so many uploads, each of a picture that nobody has searched with.

    The model looks at all views of a picture, as projects do unless told otherwise.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        project = make_project(Path(folder), rng)
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        with endless.training(project), served(project.folder) as address:
            wait_for_lane(project)
            endless.wait_until_it_trains(project)
            took_s = [upload_s(browser, address, drawn(rng, UPLOAD_PX)) for _ in range(count)]
            trained = endless.trains(project)
        browser.close()
        project.close()
    return {
        "upload_median_s": round(float(np.median(took_s)), 2),
        "upload_most_s": round(max(took_s), 2),
        "uploads": count,
        "upload_while_training": trained,
    }


def make_project(folder: Path, rng: np.random.Generator) -> Project:
    """A project of pictures of some kinds, with answers to learn from."""
    archive = folder / "images"
    archive.mkdir()
    for number in range(IMAGES):
        (archive / f"{number:03}.jpg").write_bytes(drawn(rng, SOURCE_PX))
    project = endless.make_project(
        folder, archive, backbone=Backbone.MOBILENET_V2, size_px=MODEL_PX, views=Views.MULTI
    )
    ids = [each.image_id for each in images.list_images(project.store.reader())]
    drawn_pairs = {pair(*map(int, rng.choice(ids, 2, replace=False))) for _ in range(LEARNT_FROM)}
    endless.learn_from(project, sorted(drawn_pairs), groups=KINDS)
    return project


def drawn(rng: np.random.Generator, size_px: int) -> bytes:
    """A picture like a photograph, as JPEG."""
    small = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((size_px, size_px), Image.Resampling.BICUBIC)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()


def wait_for_lane(project: Project) -> None:
    """Until the quick lane holds the model: it starts with the worker."""
    deadline_s = time.monotonic() + READY_S
    while not queries.quick_lane_alive(project):
        if time.monotonic() > deadline_s:
            raise RuntimeError("The quick lane does not start.")
        time.sleep(0.1)
    queries.embedded(project, drawn(np.random.default_rng(1), UPLOAD_PX), wait_s=READY_S)


def upload_s(browser: Browser, address: str, content: bytes) -> float:
    """Seconds from the end of the upload to the first pictures of the ranked grid."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{address}/search", timeout=60_000)
    page.get_by_role("list", name="Images of the archive").wait_for(timeout=60_000)
    time.sleep(PAUSE_S)  # the page has settled
    file = {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": content}
    page.locator("input[type=file]").set_input_files(file)
    found_ms = float(page.evaluate(SHOWN, FIRST))
    page.close()
    return found_ms / 1000
