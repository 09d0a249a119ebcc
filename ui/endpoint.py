"""A route as it is served and as it is described: one table for both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from domain.members import Member, Role
from ui.access import READING
from ui.wire import Message

Reply = Message | Response


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    Attributes:
        sender: whose request it is; None only where an endpoint is open to everybody.
        query, body: checked instances of the endpoint's models, None where it has none.
    """

    request: Request
    sender: Member | None = None
    query: Any = None
    body: Any = None

    @property
    def member(self) -> Member:
        """Whose request it is."""
        if self.sender is None:
            raise RuntimeError(f"{self.request.url.path} is open to everybody.")
        return self.sender


@dataclass(frozen=True)
class Endpoint:
    """One method of one address.

    Attributes:
        path: as Starlette and OpenAPI both write it, all parameters are ids of images.
        name: for programs that are made from the description.
        summary: one line; also what a member is told who may not: "Only a lead may …".
        role: the least that may use it; None: everybody, without credentials.
        own_page: only for the app's own page, whose Origin it needs.
        query, body: what the address and the request hold.
        reply: what comes back: JSON, media types, or nothing.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    work: Callable[[Call], Awaitable[Reply]]
    role: Role | None
    own_page: bool = False
    query: type[Message] | None = None
    body: type[Message] | None = None
    reply: type[Message] | tuple[str, ...] = ()
    status: HTTPStatus = HTTPStatus.OK

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method not in READING
