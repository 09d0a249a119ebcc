"""A project is one folder: settings, people's answers, jobs, runs and caches."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from domain.config import ProjectConfig, read_config
from domain.errors import ProjectError
from domain.members import LOCAL_OWNER, Member, Role
from labeling_store import members, relations
from labeling_store.db import Store
from workflow.locks import Presence, present

CONFIG_NAME = "project.toml"
IN_USE_LOCK = "in-use.lock"  # shared by all who have the project open
SECRET_BYTES = 32


@dataclass(frozen=True)
class Project:
    """An open project; `store` holds people's work, `jobs` the worker's."""

    folder: Path
    config: ProjectConfig
    store: Store
    jobs: Store
    presence: Presence | None = None  # keeps others from replacing the databases meanwhile

    @property
    def images_root(self) -> Path:
        return self.folder / self.config.archive.images

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def secret(self) -> bytes:
        """The key that signs session tokens; made on first use, readable by the owner only.

        Raises:
            ProjectError: the folder cannot be written, or the key belongs to somebody else.
        """
        path = self.folder / "secret"
        try:
            with _one_maker(path) as maker:
                if maker is not None:
                    maker.write_bytes(secrets.token_bytes(SECRET_BYTES))
            return path.read_bytes()
        except OSError as error:
            raise ProjectError(
                f"{path} cannot be used: {error.strerror}.",
                "Run the app as the owner of the project folder, and let them write to it.",
            ) from error

    def close(self) -> None:
        """Close the databases; the project must not be used afterwards."""
        self.store.close()
        self.jobs.close()
        if self.presence is not None:
            self.presence.end()


def project_folder(given: str | None = None) -> Path:
    """The folder named, else `ANNEAL_PROJECT`, else `./project`; absolute."""
    return Path(given or os.environ.get("ANNEAL_PROJECT") or "project").absolute()


def open_project(folder: Path, *, checkpoints: bool = False) -> Project:
    """The project in a folder.

    Args:
        checkpoints: whether this process moves the write-ahead log into the database; true in
            the worker only, so that exactly one process does.

    Raises:
        ProjectError: there is no project in the folder, or a backup is being restored into it.
        InputError: its settings are not valid.
        StoreError: its databases cannot be used.
    """
    config = read_config(folder / CONFIG_NAME)
    presence = present(folder / IN_USE_LOCK)
    journal = config.store.journal
    return Project(
        folder=folder,
        config=config,
        presence=presence,
        store=Store.open(folder / "labels.db", checkpoints=checkpoints, journal=journal),
        jobs=Store.open(folder / "jobs.db", checkpoints=checkpoints, journal=journal),
    )


def read_ahead(project: Project) -> None:
    """Begin to read the answer log in the background where it is long; for a web process."""
    relations.read_ahead(project.store)


def with_settings_of_now(project: Project) -> Project:
    """The same open project with its settings as they stand in the file now.

    Raises:
        ProjectError: the file is gone or no TOML.
        InputError: a setting is not valid.
    """
    return replace(project, config=read_config(project.folder / CONFIG_NAME))


def local_owner(project: Project) -> Member:
    """The member who acts on the command line and in an app without sign-in."""
    found = members.find_member(project.store.reader(), LOCAL_OWNER)
    if found is not None:
        return found
    with project.store.transaction() as db:
        return members.ensure_member(db, LOCAL_OWNER, Role.OWNER)


@contextmanager
def _one_maker(path: Path) -> Iterator[Path | None]:
    """A private file to fill for the first caller, None for the rest; appears complete."""
    if path.exists():
        yield None
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    os.close(handle)  # mkstemp gives mode 0600
    draft = Path(name)
    yield draft
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its secret counts
    finally:
        draft.unlink()
