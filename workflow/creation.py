"""Making a project: all of it or nothing."""

from dataclasses import dataclass
from pathlib import Path

from archive.demo import write_demo
from domain.config import (
    ArchiveSettings,
    Journal,
    Layout,
    ModelSettings,
    ProjectConfig,
    StoreSettings,
    project_toml,
)
from domain.errors import InputError
from domain.jobs import Progress, part_of, silent
from labeling_store.db import Store
from workflow import catalogue, jobs
from workflow.new_folder import new_folder, writing
from workflow.project import CONFIG_NAME, Project, local_owner, open_project

DEMO_FOLDER = "demo-images"


@dataclass(frozen=True)
class NewProject:
    """What `create_project` made, and what the user should know about it."""

    project: Project
    report: catalogue.IngestReport


def create_project(
    folder: Path,
    *,
    images: Path,
    layout: Layout = Layout.AUTO,
    model: ModelSettings | None = None,
    journal: Journal = Journal.AUTO,
    progress: Progress = silent,
) -> NewProject:
    """Make a project: catalogue the images, split them, ask first questions, enqueue embedding.

    Neither loads a model nor downloads; images are never copied or changed. A failure leaves the
    folder as it was.

    Raises:
        ProjectError: the folder holds a project already, or files that one would have; or it
            cannot be written.
        ArchiveError: the images folder cannot be used, or has fewer than 3 distinct images.
        InputError: the weights file does not exist, or the project would be the images folder.
        StoreError: the project folder is on a network file system, and `journal` is `auto`.
    """
    images = images.absolute()
    if images.resolve() == folder.resolve():
        raise InputError(
            f"{images} cannot be both the images folder and the project folder.",
            "Name another folder with --project DIR; it may lie inside the images folder.",
        )
    model = _checked(model or ModelSettings())
    with new_folder(folder) as workshop:
        config = ProjectConfig(
            name=images.name or "archive",
            archive=ArchiveSettings(images=images, layout=layout),
            model=model,
            store=StoreSettings(journal=journal),
        )
        report = _fill(workshop, config, images, progress)
    return NewProject(open_project(folder), report)


def create_demo(
    folder: Path,
    *,
    model: ModelSettings | None = None,
    journal: Journal = Journal.AUTO,
    progress: Progress = silent,
) -> NewProject:
    """Make a project with the synthetic aerial archive, drawn into the project folder."""
    model = _checked(model or ModelSettings())
    with new_folder(folder, also=[DEMO_FOLDER]) as workshop:
        write_demo(workshop / DEMO_FOLDER, progress=part_of(progress, 0.0, 0.5))
        config = ProjectConfig(
            name="Demo: synthetic aerial tiles",
            archive=ArchiveSettings(images=Path(DEMO_FOLDER), layout=Layout.CLASSES),
            model=model,
            store=StoreSettings(journal=journal),
        )
        images = workshop / DEMO_FOLDER
        report = _fill(workshop, config, images, part_of(progress, 0.5, 1.0))
    return NewProject(open_project(folder), report)


def _checked(model: ModelSettings) -> ModelSettings:
    if model.weights is None:
        return model
    weights = model.weights.absolute()
    if not weights.is_file():
        raise InputError(
            f"--weights {model.weights}: there is no such file.",
            "Give a .safetensors or .pth file, or leave the option out.",
        )
    return model.model_copy(update={"weights": weights})


def _fill(
    workshop: Path, config: ProjectConfig, images: Path, progress: Progress
) -> catalogue.IngestReport:
    journal = config.store.journal
    store = Store.open(workshop / "labels.db", create=True, journal=journal)
    queue = Store.open(workshop / "jobs.db", create=True, journal=journal)
    try:
        project = Project(folder=workshop, config=config, store=store, jobs=queue)
        local_owner(project)
        report = catalogue.ingest(
            store,
            images,
            layout=config.archive.layout,
            seed=config.seed,
            exclude=workshop.parent,
            bands=config.model.bands,
            progress=progress,
        )
        settings = config.selection
        catalogue.ask_random_pairs(
            store,
            count=settings.pairs_per_round,
            spare=settings.spare_pairs(settings.pairs_per_round),
            seed=config.seed,
        )
        jobs.enqueue_prepare(queue)
    finally:
        store.close()
        queue.close()
    with writing(workshop.parent):
        (workshop / CONFIG_NAME).write_text(project_toml(config), encoding="utf-8")
    return report
