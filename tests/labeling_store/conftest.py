import shutil

import pytest

from domain.members import Role
from labeling_store import members
from labeling_store.db import Store
from tests.labeling_store.building import catalogue


@pytest.fixture(scope="session")
def thirty_images(tmp_path_factory):
    """A closed database with 30 training images, ids 1 to 30; copied, as making it takes longer."""
    path = tmp_path_factory.mktemp("template") / "labels.db"
    made = Store.open(path, create=True)
    catalogue(made, train=30)
    made.close()
    return path


@pytest.fixture
def store(tmp_path, thirty_images):
    """A store with 30 training images, ids 1 to 30."""
    shutil.copy(thirty_images, tmp_path / "labels.db")
    opened = Store.open(tmp_path / "labels.db")
    yield opened
    opened.close()


@pytest.fixture
def owner(store):
    with store.transaction() as db:
        return members.ensure_member(db, "owner", Role.OWNER)


@pytest.fixture
def ann(store):
    with store.transaction() as db:
        return members.ensure_member(db, "ann", Role.ANNOTATOR)


@pytest.fixture
def bob(store):
    with store.transaction() as db:
        return members.ensure_member(db, "bob", Role.ANNOTATOR)
