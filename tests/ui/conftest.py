"""A small project, the app serving it, and a browser; no process stays behind."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.serving import CHROMIUM_FLAGS, chromium, served
from domain.members import Role
from tests.pictures import texture, write_archive
from tests.ui.annotator import Annotator
from tests.ui.client import Client
from ui import session
from workflow import members, tokens
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, local_owner, open_project

HARD_NAMES = (  # of files; each must stay text everywhere
    "<img src=x onerror=document.title='hacked'>.png",
    "a'b\"c & d.png",
    "été 🌋 名前.png",
    "**bold** [link](x) $x$.png",
)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest makes the page the main module, which processes started later would run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest's browser is a mock, whose address is no address."""
    monkeypatch.setattr(type(st.context), "ip_address", None)


@pytest.fixture
def quick_app_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Spares AppTest from looking through every installed package at each run."""
    found = "streamlit.components.v2.manifest_scanner.scan_component_manifests"
    monkeypatch.setattr(found, list)
    yield
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A fresh project with class folders, and one without; tests work on copies."""
    folders = {}
    for classes in (True, False):
        root = tmp_path_factory.mktemp("template")
        images = write_archive(root / "images", each=10, classes=classes)
        (images / "broken.png").write_bytes(b"no picture")
        create_project(root / "project", images=images).project.close()
        folders[classes] = root / "project"
    return folders


@pytest.fixture
def make(
    templates: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Project]]:
    """Makes the project that the pages show; `classes` says whether its folders are classes."""
    opened: list[Project] = []

    def copy(*, classes: bool = True) -> Project:
        shutil.copytree(templates[classes], tmp_path / "project")
        monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "project"))
        opened.append(open_project(tmp_path / "project"))
        return opened[-1]

    yield copy
    for project in opened:
        project.close()


@pytest.fixture(scope="session")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh project of few images; tests work on copies."""
    root = tmp_path_factory.mktemp("small")
    images = write_archive(root / "images", each=4)
    create_project(root / "project", images=images).project.close()
    return root / "project"


@pytest.fixture
def small_project(
    small_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_app_tests: None
) -> Iterator[Project]:
    """A project of few images of a test's own, which the pages show."""
    shutil.copytree(small_template, tmp_path / "project")
    monkeypatch.setenv("ANNEAL_PROJECT", str(tmp_path / "project"))
    opened = open_project(tmp_path / "project")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Project]]:
    """Makes projects of 4 * `each` small pictures, some with hard names, with first questions."""
    made: list[Project] = []

    def make(each: int = 10) -> Project:
        root = tmp_path_factory.mktemp("archive")
        images = write_archive(root / "images", each=each, classes=False)
        for seed, name in enumerate(HARD_NAMES):
            drawn = texture("checks", np.random.default_rng(100 + seed))
            Image.fromarray(drawn).save(images / name)
        create_project(root / "project", images=images).project.close()
        with (root / "project" / CONFIG_NAME).open("a") as config:
            config.write("\n[selection]\nlearn_every = 0\n")  # a lead starts rounds
        made.append(open_project(root / "project"))
        return made[-1]

    yield make
    for project in made:
        project.close()


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """A project of the test module, with a round of 100 questions."""
    return make_project()


@pytest.fixture(scope="module")
def address(project: Project) -> Iterator[str]:
    """Where the app serves `project`."""
    with served(project.folder) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each module: while it is open, no other event loop can run."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, as another person has it."""
    opened = browser.new_context(viewport={"width": 1280, "height": 800})
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def person(page: Page, project: Project, address: str) -> Annotator:
    """Somebody who has opened the annotate page."""
    annotator = Annotator(page, project)
    annotator.open(address)
    return annotator


@pytest.fixture
def served_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ANNEAL_PROJECT", str(project.folder))
    return project


@pytest.fixture
def stranger(served_project: Project) -> Iterator[Client]:
    """A browser without a session."""
    made = Client()
    yield made
    made.close()


@pytest.fixture
def client(stranger: Client) -> Client:
    """A browser with the owner's session."""
    reply = stranger.post("/api/session", json={"token": session.token()})
    assert reply.status_code == 204
    return stranger


@pytest.fixture
def asked(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/api/pairs", json={"count": 1}).json()["pairs"][0]
    return found


@pytest.fixture
def script(served_project: Project) -> Iterator[Callable[..., Client]]:
    """Makes clients with a token of a new member of a role."""
    made: list[Client] = []

    def make(role: Role = Role.ANNOTATOR) -> Client:
        owner = local_owner(served_project)
        name = f"{role.value} {len(members.list_members(served_project))}"
        acting = members.add_member(served_project, owner, name, role)
        token = tokens.create_token(served_project, owner, "test", member=acting)
        made.append(Client({"Authorization": f"Bearer {token.text}"}))
        return made[-1]

    yield make
    for each in made:
        each.close()
