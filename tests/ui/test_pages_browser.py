"""The pages in a real browser: pictures, names that look like markup, narrow screens."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from domain.answers import Kind
from domain.config import config_toml
from domain.pairs import pair
from labeling_store import answers
from tests.ui import stage
from tests.ui.conftest import HARD_NAMES
from workflow import jobs, labels, members
from workflow.locks import held
from workflow.project import CONFIG_NAME, Project
from workflow.questions import round_progress

pytestmark = pytest.mark.browser

HARD_PROJECT = (
    "**b** :red[x] :smile: <b>c</b> ![i](http://x.example/y.png) www.x.example -- $d$ a@b.example"
)
NARROW = {"width": 400, "height": 800}
WORD_JOINER = "\u2060"


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """A project with hard names, a model and answers."""
    made = make_project()
    config = made.config.model_copy(update={"name": HARD_PROJECT})
    (made.folder / CONFIG_NAME).write_text(config_toml(config), encoding="utf-8")
    stage.finish_jobs(made)
    stage.add_model(made, 0, metrics={"threshold": 0.3})
    stage.answer_questions(made, 12)
    return made


def wait_for_pictures(page: Page, within: str, count: int) -> None:
    """Wait until so many pictures have come; a time-out is a failure."""
    pictures = page.locator(f"{within} img")
    expect(pictures.first).to_be_attached()
    script = "all => all.filter(each => each.complete && each.naturalWidth > 0).length"
    for _ in range(100):
        if int(pictures.evaluate_all(script)) >= count:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{count} pictures within {within} did not come")


def test_a_click_on_a_picture_searches_for_it_and_a_click_on_a_hit_goes_on(
    page: Page, address: str
) -> None:
    page.goto(f"{address}/search")
    page.locator(".gallery .tile").nth(2).click()
    expect(page.get_by_role("heading", name="Most similar")).to_be_visible()
    before = re.search(r"[?]image=\d+", page.url)
    assert before
    hits = page.get_by_role("list", name="Most similar images")
    expect(hits.locator(".tile")).to_have_count(24)
    wait_for_pictures(page, ".gallery", 5)  # those further down come when they are scrolled to
    hits.locator(".tile").first.click()
    page.wait_for_function("before => location.search !== before", arg=before[0])


def test_results_are_marked_where_they_stand(page: Page, address: str, project: Project) -> None:
    query = stage.one_kind(project, 1)[0]
    before = len(labels.pair_labels(project))
    page.goto(f"{address}/search?image={query}")
    result = page.get_by_role("list", name="Most similar images").locator("li").nth(1)
    right = result.get_by_role("button", name="Similar", exact=True)
    wrong = result.get_by_role("button", name="Different")
    wrong.focus()
    page.keyboard.press("Enter")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    expect(right).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(wrong).to_have_attribute("aria-pressed", "true")
    right.click()
    expect(right).to_have_attribute("aria-pressed", "true")
    right.click()  # taken back: what was said before stands again
    expect(wrong).to_have_attribute("aria-pressed", "true")
    wrong.click()
    expect(wrong).to_have_attribute("aria-pressed", "false")
    assert len(labels.pair_labels(project)) == before


def test_names_of_files_stay_text(page: Page, address: str) -> None:
    page.goto(f"{address}/search")
    captions = page.locator(".gallery .caption")
    expect(captions.first).to_be_visible(timeout=30_000)
    page.get_by_label("Path contains").fill(HARD_NAMES[0])
    page.get_by_label("Path contains").press("Enter")
    expect(captions).to_have_count(1)
    expect(captions.first).to_have_text(HARD_NAMES[0])
    page.locator(".gallery .tile").first.click()
    expect(page.get_by_role("heading", name="Query")).to_be_visible()
    assert page.title() != "hacked"


def test_the_name_of_the_project_stays_text(page: Page, address: str) -> None:
    page.goto(address)
    caption = page.get_by_test_id("stCaptionContainer").first
    expect(caption).to_contain_text("Where the project")
    said = caption.inner_text().replace(WORD_JOINER, "")
    assert said == f"Where the project “{HARD_PROJECT}” stands."
    assert caption.locator("a, img, strong, b, .katex").count() == 0


def test_an_answer_is_said_anew_and_taken_back_on_my_answers(
    page: Page, address: str, project: Project
) -> None:
    first, second = stage.one_kind(project, 2)
    stage.answer_pair(project, first, second, Kind.SIMILAR)
    page.goto(f"{address}/my_answers")
    line = page.locator("table.labels tbody tr").first
    expect(line.locator(".label")).to_have_text("Similar", timeout=20_000)  # the first page of all
    line.get_by_role("button", name="Different").click()
    expect(line.locator(".label")).to_have_text("Different")
    label = {each.pair: each.similar for each in labels.pair_labels(project)}
    assert label[pair(first, second)] is False
    taken_back = page.locator("table.labels tbody tr.gone")
    before = taken_back.count()  # by other tests
    line.get_by_role("button", name="Take back").click()
    expect(taken_back).to_have_count(before + 1)
    label = {each.pair: each.similar for each in labels.pair_labels(project)}
    assert label[pair(first, second)] is True  # what was said before stands again


def test_the_history_of_a_pair_opens_from_its_line_and_leads_back(page: Page, address: str) -> None:
    page.goto(f"{address}/labels")
    lines = page.locator("table.labels tbody tr")
    expect(lines.first).to_be_visible()
    count = lines.count()
    lines.first.get_by_role("button", name="History").click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    wait_for_pictures(page, ".gallery", 2)
    page.get_by_role("button", name="All labels").click()
    expect(lines).to_have_count(count)


def test_two_tabs_answer_as_the_two_people_they_were_opened_for(
    context: BrowserContext, address: str, project: Project
) -> None:
    ann = members.join(project, "<b>ann</b> *a*")
    tabs = []
    for query in ("", f"?member={ann.member_id}"):
        tab = context.new_page()
        tab.goto(f"{address}/annotate{query}")
        expect(tab.locator("section.annotate .stage img").first).to_be_visible()
        tabs.append(tab)
    expect(tabs[1].get_by_role("link", name=f"You: {ann.name}", exact=True)).to_be_visible()
    expect(tabs[1].get_by_role("link", name="Rounds")).to_have_count(0)
    before = answers.last_event_id(project.store.reader())
    for tab in (*tabs, *tabs):
        tab.bring_to_front()
        tab.wait_for_timeout(400)
        tab.keyboard.press("u")
        expect(tab.get_by_text("All answers saved")).to_be_visible()
        tab.wait_for_timeout(600)
    said = [each.member for each in answers.events(project.store.reader(), after=before)]
    assert said == ["owner", ann.name, "owner", ann.name]


def test_labels_show_both_pictures_of_a_pair(page: Page, address: str) -> None:
    page.goto(f"{address}/labels")
    line = page.locator("table.labels tbody tr").first
    expect(line.locator("img")).to_have_count(2)
    wait_for_pictures(page, "table.labels tbody tr:first-child", 2)


def test_the_work_of_a_job_is_followed_without_a_click(
    page: Page, address: str, project: Project
) -> None:
    jobs.enqueue_round(project.jobs, {"strategy": "random", "pairs": 5})
    page.goto(f"{address}/rounds")
    expect(page.get_by_text("Queued")).to_be_visible()
    with held(project.folder / jobs.WORKER_LOCK):  # as a worker does
        job = stage.claim_job(project)
        stage.report(project, job, 0.4, "epoch *6* of 15")
        expect(page.get_by_text("40% · epoch *6* of 15")).to_be_visible(timeout=10_000)
        stage.finish_job(project, job)
        expect(page.get_by_text("Training on the answers")).to_be_hidden(timeout=10_000)


def test_answers_of_others_move_the_progress_of_the_round(
    page: Page, address: str, project: Project
) -> None:
    page.goto(address)
    before = round_progress(project)
    assert before is not None
    expect(page.get_by_text(f"{before.answered} of {before.target} answered")).to_be_visible()
    stage.answer_questions(project, 1)
    after = f"{before.answered + 1} of {before.target} answered"
    expect(page.get_by_text(after)).to_be_visible(timeout=10_000)


def test_labels_can_be_downloaded(
    page: Page, address: str, project: Project, tmp_path: Path
) -> None:
    page.goto(f"{address}/labels")
    page.get_by_role("button", name="Export").click()
    page.get_by_text("Labels: one row").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download labels.csv").click()
    download.value.save_as(tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    written = {True: "1", False: "0", None: ""}
    assert sorted(row["similar"] for row in rows) == sorted(
        written[each.similar] for each in labels.pair_labels(project)
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "rounds",
        "curves",
        "search",
        "search?image=2",
        "explore",
        "labels",
        "labels?pair=1-2",
        "my_answers",
        "people",
        "you",
    ],
)
def test_pages_fit_a_narrow_screen_without_errors(page: Page, address: str, path: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size(NARROW)
    page.goto(f"{address}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_timeout(800)
    wider = page.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth")
    assert wider == 0
    assert errors == []
