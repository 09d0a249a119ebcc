import pytest

from domain.members import Role
from labeling_store import members
from labeling_store.db import Store
from tests.labeling_store.building import catalogue


@pytest.fixture
def store(tmp_path):
    """A store with 30 training images, ids 1 to 30."""
    opened = Store.open(tmp_path / "labels.db", create=True)
    catalogue(opened, train=30)
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
