"""search: the images of the archive most similar to a file."""

from pathlib import Path

import click

from commands.options import Settings, command_options
from commands.output import progress_bar, show, table
from workflow.search import nearest_to


@click.command()
@click.option("--image", "image", metavar="FILE", required=True, help="The query image.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@command_options
def search(*, image: str, top: int, settings: Settings) -> None:
    """Query the archive with an image file."""
    from worker.foreign import embed_file

    project = settings.open()
    with progress_bar("Searching") as progress:
        vector = embed_file(project, Path(image), device=settings.device, progress=progress)
    hits = nearest_to(project, vector, k=top)
    rows = [[f"{hit.similarity:.3f}", hit.path] for hit in hits]
    show(
        {"hits": [{"path": hit.path, "similarity": hit.similarity} for hit in hits]},
        as_json=settings.as_json,
        text=lambda: table(rows, ["similarity", "path"]),
    )
