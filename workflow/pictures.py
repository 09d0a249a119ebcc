"""Images as browsers show them: upright JPEG, rendered once."""

from pathlib import Path

from archive.locate import image_file
from archive.thumbnails import thumbnail
from domain.errors import ArchiveError, InputError
from domain.images import ImageRecord, Part
from domain.jobs import Progress, silent
from labeling_store import images
from workflow.project import Project

GRID_PX, PAIR_PX, FULL_PX = 256, 512, 2048
SIZES_PX = (GRID_PX, PAIR_PX, FULL_PX)


def picture(project: Project, image_id: int, size_px: int) -> Path | None:
    """The rendered image on disk; None if the catalogue has no such image.

    Raises:
        InputError: the size is none of `SIZES_PX`.
        ArchiveError: the image's file is gone, leads to outside the images folder, or can no longer
            be read.
    """
    if size_px not in SIZES_PX:
        allowed = ", ".join(str(size) for size in SIZES_PX)
        raise InputError(f"size = {size_px}; must be one of {allowed}.", "Choose one of them.")
    image = images.get_image(project.store.reader(), image_id)
    return None if image is None else _render(project, image, size_px)


def render_all(project: Project, progress: Progress = silent) -> tuple[str, ...]:
    """Render what pages show and is not rendered yet; training images first: they are asked.

    Returns:
        The paths of images that could not be rendered: their files are gone or unreadable.
    """
    failed = []
    everything = images.list_images(project.store.reader())
    everything.sort(key=lambda image: image.part is not Part.TRAIN)
    for done, image in enumerate(everything):
        progress(done / len(everything), f"thumbnail {done + 1} of {len(everything)}")
        try:
            for size_px in (PAIR_PX, GRID_PX):
                _render(project, image, size_px)
        except ArchiveError:
            failed.append(image.path)
    return tuple(failed)


def _render(project: Project, image: ImageRecord, size_px: int) -> Path:
    source = image_file(project.images_root, image.path)
    return thumbnail(source, project.cache / "pictures", image.sha256, size_px)
