"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; at the end of the block it becomes the target.

    Until then the target stays as it was, also if the block raises, the process is killed or the
    machine loses its power; afterwards the new content stays. Its rights are those of any new file
    of this process. Several may write the same target at once: one of them wins.

    Raises:
        OSError: its folder is missing, or cannot be written.
    """
    draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}.part")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o666))
    usual_mode = draft.stat().st_mode
    try:
        yield draft
        draft.chmod(usual_mode)  # some libraries put a file of their own there, for its owner alone
        sync(draft)
        draft.replace(target)
        sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return when the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
