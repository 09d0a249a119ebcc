"""Signing in with a provider in a real browser: members come in, strangers learn whom to ask."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.serving import free_port, served
from domain.members import Role
from tests.ui.annotator import SHOWN
from tests.ui.barriers import serious
from tests.ui.provider import CLIENT_ID, CLIENT_SECRET, Provider, provider
from workflow import members, sign_ins
from workflow.project import Project, local_owner

pytestmark = pytest.mark.browser

PEOPLE = {
    "Ann": {"sub": "a-1", "email": "Ann@Example.org", "email_verified": True},
    "Lea": {"sub": "l-1", "email": "lea@example.org", "email_verified": True},
    "Mallory": {"sub": "m-1", "email": "ann@example.org", "email_verified": False},
    "Bob": {"sub": "b-1"},
}
SECRETS = """
[auth]
redirect_uri = "{address}/oauth2callback"
cookie_secret = "{secret}"
client_id = "{client_id}"
client_secret = "{client_secret}"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture(scope="module")
def sign_in_provider() -> Iterator[Provider]:
    with provider(PEOPLE) as made:
        yield made


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """A project whose annotator Ann and whose lead Lea may sign in."""
    made = make_project()
    owner = local_owner(made)
    for name, role in (("ann", Role.ANNOTATOR), ("lea", Role.LEAD), ("olga", Role.OWNER)):
        member = members.add_member(made, owner, name, role)
        sign_ins.let_sign_in(made, owner, member.member_id, f"{name}@example.org")
    return made


@pytest.fixture(scope="module")
def address(
    project: Project, sign_in_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app with sign-in set up, in the settings of a user of its own."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    write_secrets(home, port, sign_in_provider)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            url = stack.enter_context(served(project.folder, port=port))
        yield url


def write_secrets(home: Path, port: int, found: Provider) -> None:
    (home / ".streamlit").mkdir()
    text = SECRETS.format(
        address=f"http://127.0.0.1:{port}",
        secret="x" * 40,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        provider=found.address,
    )
    (home / ".streamlit" / "secrets.toml").write_text(text, encoding="utf-8")


def sign_in(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=name).click()
    page.wait_for_url(f"{address}/**")


def barriers(page: Page) -> list[str]:
    """What axe finds serious, wide and narrow, light and dark."""
    found = serious(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 420, "height": 860})
    page.wait_for_timeout(400)
    return found + serious(page)


def test_nobody_sees_a_page_before_they_sign_in_whatever_the_address(
    page: Page, address: str
) -> None:
    failed: list[str] = []
    page.on("response", lambda each: failed.append(each.url) if each.status >= 400 else None)
    for path in ("", "people", "annotate?member=1"):
        page.goto(f"{address}/{path}")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("link", name="People")).to_have_count(0)
    assert failed == []
    assert barriers(page) == []
    assert page.request.get(f"{address}/_stcore/metrics").status == 403
    for route in ("session", "images/1", "labels"):
        assert page.request.get(f"{address}/api/{route}").status == 401


def test_an_annotator_signs_in_answers_and_signs_out(
    context: BrowserContext, page: Page, address: str, project: Project, sign_in_provider: Provider
) -> None:
    sign_in(page, address, "Ann")
    expect(page.locator(SHOWN)).to_have_count(2, timeout=30_000)
    expect(page.get_by_role("link", name="You: ann")).to_be_visible()
    assert page.request.get(f"{address}/api/session").json()["name"] == "ann"
    page.goto(f"{address}/people?member=1")
    expect(page.get_by_text("People is for leads")).to_be_visible(timeout=30_000)
    page.goto(f"{address}/you")
    expect(page.get_by_text("Signed in as Ann")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Join as annotator")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
    assert sign_in_provider.signed_out == 1
    assert page.request.get(f"{address}/api/session").status == 401
    assert not [each for each in context.cookies() if each["name"].startswith("anneal_")]


def test_who_signed_in_can_answer_before_streamlit_has_loaded(
    page: Page, browser: Browser, address: str
) -> None:
    sign_in(page, address, "Ann")
    expect(page.get_by_role("link", name="You: ann")).to_be_visible(timeout=30_000)
    page.route("**/static/js/index.*.js", lambda route: route.abort())
    page.goto(f"{address}/annotate")
    expect(page.locator(SHOWN)).to_have_count(2, timeout=30_000)
    assert page.get_by_test_id("stApp").count() == 0
    with browser.new_context() as elsewhere:
        html = elsewhere.request.get(f"{address}/annotate").text()
    assert "anneal-early" not in html


def test_who_signs_out_with_unsent_answers_is_told_first(page: Page, address: str) -> None:
    sign_in(page, address, "Ann")
    expect(page.locator(SHOWN)).to_have_count(2, timeout=30_000)
    page.route("**/api/answers", lambda route: route.abort())
    page.keyboard.press("u")
    expect(page.get_by_text("not sent")).to_be_visible()
    page.get_by_role("link", name="You: ann").click()
    out = page.get_by_role("button", name="Sign out")
    out.click()
    expect(page.get_by_text("1 answer is not sent yet")).to_be_visible()
    out.click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
    page.unroute("**/api/answers")


def test_a_lead_signs_in_and_says_by_which_address_others_come_in(
    page: Page, address: str, project: Project
) -> None:
    new = members.add_member(project, local_owner(project), "zoe", Role.ANNOTATOR)
    sign_in(page, address, "Lea")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_text("signs in as lea")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Change").last.click()  # the newest member
    field = page.get_by_role("textbox", name="Signs in with the address")
    field.fill("zoe@example.org")
    field.press("Enter")
    expect(page.get_by_text("expected as zoe")).to_be_visible()
    assert str(sign_ins.sign_ins_by_member(project)[new.member_id]) == "zoe@example.org"


def test_files_go_to_and_from_leads_alone(page: Page, browser: Browser, address: str) -> None:
    sign_in(page, address, "Lea")
    page.get_by_role("link", name="Project").click()
    file = {"name": "none.csv", "mimeType": "text/csv", "buffer": b"image_a,image_b\n"}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    expect(page.get_by_text("0 rows: 0 new answers")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download answers.csv").click()
    url = download.value.url
    assert "/media/" in url
    assert page.request.get(url).status == 200
    assert page.request.get(f"{address}/_stcore/metrics").status == 200
    with browser.new_context() as elsewhere:
        other = elsewhere.new_page()
        assert other.request.get(url).status == 403
        sign_in(other, address, "Ann")
        assert other.request.get(url).status == 403


@pytest.mark.parametrize("name", ["Mallory", "Bob"])
def test_a_stranger_is_told_whom_to_ask_and_gets_nothing(
    page: Page, address: str, name: str
) -> None:
    """Mallory says Ann's address, which her provider does not call hers."""
    sign_in(page, address, name)
    expect(page.get_by_text("no member of this project")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Ask olga to add you")).to_be_visible()
    expect(page.get_by_text(str(PEOPLE[name]["sub"]), exact=False).last).to_be_visible()
    assert barriers(page) == []
    assert page.request.get(f"{address}/api/session").status == 401


def test_who_is_taken_out_sees_nothing_from_the_next_click_on(
    page: Page, address: str, project: Project
) -> None:
    owner = local_owner(project)
    sign_in(page, address, "Bob")
    expect(page.get_by_text("no member of this project")).to_be_visible(timeout=30_000)
    bob = members.add_member(project, owner, "bob", Role.LEAD)
    identity = sign_ins.Identity(issuer_of(page), "b-1")
    sign_ins.let_sign_in(project, owner, bob.member_id, identity)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name="People")).to_be_visible(timeout=30_000)
    sign_ins.end_sign_in(project, owner, bob.member_id)
    page.get_by_role("link", name="People").click()
    expect(page.get_by_text("no member of this project")).to_be_visible(timeout=30_000)


def issuer_of(page: Page) -> str:
    """The first of the two lines that a stranger passes on."""
    return page.get_by_test_id("stCode").inner_text().splitlines()[0]
