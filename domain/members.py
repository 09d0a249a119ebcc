"""People of a project."""

from dataclasses import dataclass
from enum import StrEnum

LOCAL_OWNER = "owner"  # the actor on the command line and in an app without sign-in


class Role(StrEnum):
    ANNOTATOR = "annotator"
    LEAD = "lead"
    OWNER = "owner"


@dataclass(frozen=True)
class Member:
    member_id: int
    name: str
    role: Role
