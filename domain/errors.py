"""The errors a user can cause or meet; anything else is a bug and keeps its traceback.

AnnealError
├── InputError          a value given to a function, a command or a page is not allowed
├── AccessError         this member may not do that
├── ProjectError        the project folder is missing, exists already, or cannot be written
├── ArchiveError        the images folder cannot be used
├── StoreError          the database cannot be opened or written
│   ├── DiskFullError   nothing more fits on the disk
│   └── SchemaError     the database was written by a newer version
├── ModelError          weights or a checkpoint cannot be loaded
├── JobError            a job cannot be started, or stopped with a reason
└── Cancelled           somebody asked for the running work to stop
"""


class AnnealError(Exception):
    """What went wrong (with the value and what is allowed) and what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(AnnealError, ValueError):
    pass


class AccessError(AnnealError):
    pass


class ProjectError(AnnealError):
    pass


class ArchiveError(AnnealError):
    pass


class StoreError(AnnealError):
    pass


class DiskFullError(StoreError):
    pass


class SchemaError(StoreError):
    pass


class ModelError(AnnealError):
    pass


class JobError(AnnealError):
    pass


class Cancelled(AnnealError):
    pass


def shortened(values: list[str], limit: int = 5) -> str:
    """The first values, comma separated, and how many more there are."""
    shown = ", ".join(values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"
