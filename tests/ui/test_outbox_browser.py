"""Answers on their way from the browser to the database: whatever happens, each arrives once."""

import json
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from benchmarks.serving import free_port, served, serving
from domain.answers import Kind
from tests.ui.annotator import Annotator
from workflow.project import Project

pytestmark = pytest.mark.browser


def test_a_reload_keeps_unsent_answers_and_undo(person: Annotator, address: str) -> None:
    person.page.route("**/api/answers", lambda route: route.abort())
    person.press("j", "j", "f")
    expect(person.page.get_by_text("3 answers not sent yet")).to_be_visible(timeout=10_000)
    assert person.log() == []
    person.page.unroute("**/api/answers")
    person.open(address)
    person.wait_until_saved()
    person.press("z", "z", "z")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 2, Kind.DISSIMILAR: 1, Kind.VOID: 3}


def test_an_undo_after_the_clock_was_set_back_is_sent_after_its_answer(
    person: Annotator, address: str
) -> None:
    person.page.route("**/api/answers", lambda route: route.abort())
    person.press("j")
    expect(person.page.get_by_text("1 answer not sent yet")).to_be_visible(timeout=10_000)
    person.page.add_init_script("const now = Date.now; Date.now = () => now() - 3_600_000;")
    person.open(address)
    person.press("z")
    person.page.unroute("**/api/answers")
    person.wait_until_saved()
    assert [event.kind for event in person.log()] == [Kind.SIMILAR, Kind.VOID]


def test_answers_given_offline_arrive_once_in_order(
    person: Annotator, context: BrowserContext
) -> None:
    person.press("j")
    person.wait_until_saved()
    context.set_offline(True)
    person.press("f", "f", "u", "z", "f")
    expect(person.state()).to_have_text("Offline, trying again", timeout=10_000)
    expect(person.page.get_by_text("5 answers not sent yet")).to_be_visible()
    context.set_offline(False)
    person.wait_until_saved()
    kinds = [event.kind.value for event in person.log()]
    assert kinds == ["similar", "dissimilar", "dissimilar", "unsure", "void", "dissimilar"]


def test_an_answer_whose_receipt_is_lost_is_not_stored_twice(person: Annotator) -> None:
    lost = []

    def swallow_the_first_reply(route: Route) -> None:
        route.fetch()
        if not lost:
            lost.append(route.request.post_data_json)
            route.abort()
        else:
            route.continue_()

    person.page.route("**/api/answers", swallow_the_first_reply)
    person.press("j")
    person.wait_until_saved()
    assert len(lost) == 1
    assert person.kinds() == {Kind.SIMILAR: 1}


@pytest.mark.parametrize("status", [503, 507])
def test_a_store_that_cannot_write_is_said_and_answers_are_kept(
    person: Annotator, status: int
) -> None:
    refusal = json.dumps({"message": "The disk is full.", "hint": "Free some space."})
    person.page.route(
        "**/api/answers",
        lambda route: route.fulfill(status=status, body=refusal, content_type="application/json"),
    )
    person.press("j", "f")
    notice = person.page.get_by_role("alert")
    expect(notice).to_contain_text("The disk is full. Free some space.", timeout=10_000)
    expect(person.state()).to_have_text("Not saved, trying again")
    person.page.unroute("**/api/answers")
    person.wait_until_saved()
    expect(notice).to_be_hidden()
    assert person.kinds() == {Kind.SIMILAR: 1, Kind.DISSIMILAR: 1}


def test_a_lost_session_is_renewed_without_losing_the_page(
    person: Annotator, context: BrowserContext
) -> None:
    person.page.locator("section.annotate").evaluate("(section) => { section.mark = 7; }")
    context.clear_cookies()
    person.press("j")
    person.wait_until_saved()
    assert person.kinds() == {Kind.SIMILAR: 1}
    mark = person.page.locator("section.annotate").evaluate("(section) => section.mark")
    assert mark == 7


def test_a_server_killed_under_the_page_loses_and_doubles_nothing(
    page: Page, make_project: Callable[..., Project]
) -> None:
    """It dies with an answer stored whose receipt is not sent, and others follow into nothing."""
    project = make_project(each=3)
    port = free_port()
    person = Annotator(page, project)

    def store_and_die(route: Route) -> None:
        if server.process.poll() is None:
            assert route.fetch().ok
            server.kill()
        route.abort()

    with serving(project.folder, port=port) as server:
        person.open(server.address)
        person.press("j")
        person.wait_until_saved()
        page.route("**/api/answers", store_and_die)
        person.press("f", "j", "f")
        expect(person.state()).to_have_text("Offline, trying again", timeout=10_000)
        assert server.process.poll() == -signal.SIGKILL
    assert [event.kind.value for event in person.log()][:2] == ["similar", "dissimilar"]
    page.unroute("**/api/answers")
    with served(project.folder, port=port):
        person.wait_until_saved()
        person.wait_until_connected()  # a new session draws the page anew
        person.wait_for_pair()
        person.press("u")
        person.wait_until_saved()
    kinds = [event.kind.value for event in person.log()]
    assert kinds == ["similar", "dissimilar", "similar", "dissimilar", "unsure"]
