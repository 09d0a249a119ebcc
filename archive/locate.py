"""Where a catalogued image lies on disk; nothing outside the images folder is ever opened."""

from pathlib import Path

from domain.errors import ArchiveError


def image_file(root: Path, path: str) -> Path:
    """The file of a catalogued path, links resolved.

    Call it again at each use: a file may have been replaced by a link since it was catalogued.

    Raises:
        ArchiveError: the file is gone, or lies outside the folder.
    """
    try:
        base = root.resolve(strict=True)
        file = (base / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ArchiveError(
            f"{path!r} is not in {str(root)!r} any more, or is a link that leads nowhere.",
            "Bring the file back, or make sure that the folder's disk is connected.",
        ) from error
    if not file.is_relative_to(base):
        raise ArchiveError(
            f"{path!r} leads to outside the images folder {str(root)!r}.",
            "Replace the link by the image itself.",
        )
    return file
