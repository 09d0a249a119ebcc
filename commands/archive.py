"""init and ingest: from a folder of images to a project."""

from pathlib import Path

import click
from click.core import ParameterSource

from archive.decode import COLOUR_BANDS
from commands.image_options import bands_option, descriptor_options
from commands.options import Settings, command_options
from commands.output import as_dicts, progress_bar, show, warn, warn_put_aside
from domain.config import Backbone, Journal, Layout, ModelSettings
from domain.descriptors import Descriptor, check_descriptor
from domain.errors import InputError
from labeling_store import images
from workflow import jobs
from workflow.catalogue import IngestReport
from workflow.catalogue import ingest as ingest_images
from workflow.creation import NewProject, create_demo, create_project
from workflow.project import Project, project_folder


@click.command()
@click.option("--images", "images_folder", metavar="DIR", help="Folder with the images.")
@click.option("--demo", is_flag=True, help="Draw a synthetic aerial archive and use it.")
@click.option(
    "--layout",
    type=click.Choice([layout.value for layout in Layout]),
    default=Layout.AUTO.value,
    show_default=True,
    help="Whether a folder is a class; classes serve simulation and evaluation only.",
)
@click.option(
    "--backbone",
    type=click.Choice([backbone.value for backbone in Backbone]),
    default=Backbone.RESNET18.value,
    show_default=True,
    help="Network that turns an image into features; with _pbffn the maps of three depths are "
    "fused, which needs training at full depth.",
)
@click.option("--weights", metavar="FILE", help="Weights of the backbone (.safetensors or .pth).")
@bands_option
@descriptor_options
@click.option(
    "--journal",
    type=click.Choice([journal.value for journal in Journal]),
    default=Journal.AUTO.value,
    show_default=True,
    help="Of the databases; delete, slower, is for a project folder on a network file system.",
)
@command_options
def init(
    *,
    images_folder: str | None,
    demo: bool,
    layout: str,
    backbone: str,
    weights: str | None,
    bands: int,
    descriptor: Descriptor,
    journal: str,
    settings: Settings,
) -> None:
    """Make a project from a folder of images.

    Catalogues and splits the images; loads no model. Images are never copied or changed.
    """
    if demo == (images_folder is not None):
        raise InputError(
            "init needs either --images DIR or --demo.",
            'For example "python cli.py init --images ~/pictures".',
        )
    source = click.get_current_context().get_parameter_source("layout")
    if demo and source is not ParameterSource.DEFAULT:
        raise InputError(
            "--layout is for --images; the folders of the demo are classes.", "Leave --layout out."
        )
    if demo and bands != COLOUR_BANDS:
        raise InputError("--bands is for --images; the demo is in colour.", "Leave --bands out.")
    folder = project_folder(settings.project)
    model = ModelSettings(
        backbone=Backbone(backbone),
        weights=None if weights is None else Path(weights),
        bands=bands,
    )
    check_descriptor(descriptor, backbone=backbone, size_px=model.image_size_px)
    model = model.model_copy(update={"descriptor": descriptor})
    with progress_bar("Making the project") as progress:
        if images_folder is None:
            made = create_demo(folder, model=model, journal=Journal(journal), progress=progress)
        else:
            made = create_project(
                folder,
                images=Path(images_folder),
                layout=Layout(layout),
                model=model,
                journal=Journal(journal),
                progress=progress,
            )
    _show_new(made, settings)


@click.command()
@command_options
def ingest(*, settings: Settings) -> None:
    """Add images that came to the folder later; known ones keep their part.

    Copies go where their originals are. Folders stay classes, or none, as init found them.
    """
    project = settings.open()
    with progress_bar("Reading images") as progress:
        report = ingest_images(
            project.store,
            project.images_root,
            layout=project.config.archive.layout,
            seed=project.config.seed,
            exclude=project.folder,
            bands=project.config.model.bands,
            progress=progress,
        )
    if report.added:
        jobs.enqueue_prepare(project.jobs)
    _show_report(project, report, settings, f"{report.added} images added.")


def _show_new(made: NewProject, settings: Settings) -> None:
    folder = made.project.folder
    _show_report(made.project, made.report, settings, f"Project made in {folder}.")


def _show_report(project: Project, report: IngestReport, settings: Settings, headline: str) -> None:
    quarantined = images.list_quarantined(project.store.reader())
    parts = {part.value: count for part, count in report.parts.items()}
    for warning in report.warnings:
        warn(warning)
    warn_put_aside(quarantined)
    counts = ", ".join(f"{count} {part}" for part, count in parts.items())
    show(
        {
            "project": str(project.folder),
            "images": report.images,
            "added": report.added,
            "quarantined": as_dicts(quarantined),
            "parts": parts,
            "classes": report.class_names,
        },
        as_json=settings.as_json,
        text=lambda: f"{headline} {report.images} images: {counts}.",
    )
