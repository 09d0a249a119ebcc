"""A person at the annotate page."""

from collections import Counter

from playwright.sync_api import Error, Locator, Page, expect

from domain.answers import Event, Kind
from labeling_store import answers
from workflow.project import Project

PAGE = "section.annotate"
SHOWN = f"{PAGE} .stage img"
ALL_SAVED = "All answers saved"


class Annotator:
    """A person at the page, and what the database got since they sat down."""

    def __init__(self, page: Page, project: Project) -> None:
        self.page = page
        self.project = project
        log = list(answers.events(project.store.reader()))
        self.start = log[-1].event_id if log else 0

    def open(self, address: str) -> None:
        """The page with its first pair, framed."""
        self.page.goto(f"{address}/annotate")
        self.wait_until_framed()
        self.wait_for_pair()

    def wait_until_framed(self) -> None:
        """Until Streamlit has the page in its place, which it could be used before."""
        framed = self.page.get_by_test_id("stMain").locator(PAGE)
        expect(framed).to_be_visible(timeout=30_000)

    def reload_at_once(self) -> None:
        """Reload before the page has loaded; Chromium refuses while it exchanges two pages."""
        for _ in range(100):
            try:
                self.page.reload(wait_until="commit")
                return
            except Error as error:
                if "Not attached to an active page" not in error.message:
                    raise
        raise RuntimeError("Chromium refused a hundred times to reload the page.")

    def wait_for_pair(self) -> None:
        expect(self.page.locator(SHOWN)).to_have_count(2, timeout=30_000)
        self.wait_for_paint()

    def wait_for_paint(self) -> None:
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.page.evaluate(f"() => new Promise((done) => {frames})")

    def shown(self) -> list[str]:
        """Addresses of the two pictures on the screen."""
        found = self.page.locator(SHOWN).evaluate_all("(all) => all.map((each) => each.src)")
        return [str(source) for source in found]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.wait_for_paint()

    def wait_until_saved(self) -> None:
        expect(self.state()).to_have_text(ALL_SAVED, timeout=30_000)
        expect(self.page.locator("[data-el=unsent]")).to_have_text("", timeout=30_000)

    def wait_until_connected(self) -> None:
        app = self.page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-connection-state", "CONNECTED", timeout=30_000)
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=30_000)

    def state(self) -> Locator:
        return self.page.locator("[data-el=stateText]")

    def log(self) -> list[Event]:
        return list(answers.events(self.project.store.reader(), after=self.start))

    def kinds(self) -> Counter[Kind]:
        return Counter(event.kind for event in self.log())
