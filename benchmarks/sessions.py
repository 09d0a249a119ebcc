"""How much memory the web process takes with open sessions: python -m benchmarks.sessions [--quick]

Ten people in ten browser profiles open every page one after another and stay on the last one. What
is counted is the process that serves them, not the browsers.
"""

import argparse
import json
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from benchmarks.serving import CHROMIUM_FLAGS, chromium, serving
from tests.ui.furnished import furnish
from tests.ui.screens import settle
from ui.sitemap import PAGES
from workflow.creation import create_demo

FORBIDDEN = ("libtorch", "sklearn")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two people")
    people = 2 if parser.parse_args().quick else 10
    with tempfile.TemporaryDirectory() as folder:
        project = create_demo(Path(folder) / "project").project
        furnish(project)
        with serving(project.folder) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            pid = server.process.pid
            found = {"images": 780, "started_mb": memory_mb(pid)}
            opened = []
            for number in range(people):
                opened.append(open_every_page(browser, server.address))
                found[f"sessions_{number + 1}_mb"] = memory_mb(pid)
                print(f"{number + 1} sessions: {found[f'sessions_{number + 1}_mb']} MB", flush=True)
            found["torch_loaded"] = loads_torch(pid)
            for each in opened:
                each.close()
            browser.close()
        project.close()
    print(json.dumps(found))


def open_every_page(browser: Browser, address: str) -> BrowserContext:
    """A person who has looked at everything and stays on Explore."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    for name in (*PAGES, "search?image=1", "explore"):
        page.goto(f"{address}/{name}" if name != "overview" else address)
        settle(page)
    return context


def memory_mb(pid: int) -> int:
    """What of the process lies in memory, parts that it shares with others too."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (line,) = (each for each in lines if each.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


def loads_torch(pid: int) -> bool:
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    return any(name in maps for name in FORBIDDEN)


if __name__ == "__main__":
    main()
