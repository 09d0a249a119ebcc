"""backup, restore and verify: keeping what people did, and seeing that it is whole."""

from pathlib import Path

import click

from commands.options import Settings, command_options
from commands.output import note, progress_bar, show, warn
from domain.errors import StoreError
from workflow import backup as backups
from workflow import restore as restoring
from workflow import verify as verifying
from workflow.project import project_folder


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--without-model", is_flag=True, help="Leave out the files of the model in use.")
@command_options
def backup(*, file: str, without_model: bool, settings: Settings) -> None:
    """Write all answers and settings to one file, while people go on.

    The file is checked before it appears. Images are not in it, nor is the cache.
    """
    with progress_bar("Backup") as progress:
        made = backups.make_backup(
            settings.open(), Path(file), with_model=not without_model, progress=progress
        )
    said = made.manifest
    show(
        {
            "file": file,
            "size_bytes": made.size_bytes,
            "answers": said.answers,
            "images": said.images,
            "model": said.model if said.with_model else None,
        },
        as_json=settings.as_json,
        text=lambda: (
            f"{said.answers} answers about {said.images} images written to {file} "
            f"({made.size_bytes:,} bytes)."
        ),
    )


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Replace the project; it is kept as a backup.")
@click.option("--images", metavar="DIR", help="Where the images are now (default: as before).")
@command_options
def restore(*, file: str, overwrite: bool, images: str | None, settings: Settings) -> None:
    """Bring a backup back, into a new project folder or an existing one.

    Everything is checked before anything is changed. Stop the app and the worker first.
    """
    folder = project_folder(settings.project)
    with progress_bar("Restore") as progress:
        done = restoring.restore(
            Path(file),
            folder,
            overwrite=overwrite,
            images=None if images is None else Path(images),
            progress=progress,
        )
    for warning in done.warnings:
        warn(warning)
    if done.kept is not None:
        note(f"What was there is kept in {done.kept}.")
    said = done.manifest
    done.project.close()
    show(
        {
            "project": str(folder),
            "answers": said.answers,
            "images": said.images,
            "made_at": said.made_at,
            "kept": None if done.kept is None else str(done.kept),
            "warnings": done.warnings,
        },
        as_json=settings.as_json,
        text=lambda: (
            f"{said.answers} answers about {said.images} images, as they were on "
            f"{said.made_at[:16]} UTC, are in {folder}."
        ),
    )


@click.command()
@click.option("--all-images", is_flag=True, help="Compare the content of all images, not of 200.")
@command_options
def verify(*, all_images: bool, settings: Settings) -> None:
    """Check the databases, the files referred to and a sample of the images.

    Changes nothing. The exit status is 2 where something is wrong.
    """
    sample = None if all_images else verifying.SAMPLE_IMAGES
    with progress_bar("Verify") as progress:
        verdict = verifying.verify(settings.open(), sample=sample, progress=progress)
    show(
        {
            "ok": not verdict.problems,
            "checked": verdict.checked,
            "problems": verdict.problems,
        },
        as_json=settings.as_json,
        text=lambda: "\n".join(
            [*(f"- {each}" for each in verdict.problems)]
            or [*(f"{each}." for each in verdict.checked), "All is well."]
        ),
    )
    if verdict.problems:
        count = len(verdict.problems)
        raise StoreError(
            f"{count} {'problem was' if count == 1 else 'problems were'} found.",
            'Mend them, or bring a backup back with "python cli.py restore FILE".',
        )
