"""Who sends a request, and whether they may: host, origin, credentials, how often.

Streamlit's sign-in does not protect own routes, so each request proves itself: the page by a signed
cookie, a script by `Authorization: Bearer`. Both only name a member, who is looked up in the store
again for every request.
"""

import hashlib
import math
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import HTTPConnection, Request

from domain.members import Member
from ui import session, sign_in
from workflow import tokens

SCRIPT_RATE = (100.0, 500)  # requests a second on average, and so many at once
PAGE_RATE = (1000.0, 2000)  # prefetched pictures come in bursts; the page itself is ours
GUESS_RATE = (1.0, 30)  # wrong tokens from one machine
_MOST_KNOWN = 10_000  # senders whose requests are counted; those of long ago are forgotten beyond
READING = ("GET", "HEAD")


class Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = headers or {}


@dataclass(frozen=True)
class Credentials:
    """What a request offers as proof; a bearer token is never helped out by a cookie."""

    bearer: str | None
    cookies: Mapping[str, str]


def credentials(request: Request) -> Credentials:
    """The proof in a request's headers; other schemes than Bearer are a proxy's business."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    bearer = text.strip() if scheme.lower() == "bearer" else None
    return Credentials(bearer, dict(request.cookies))


def check_host(request: HTTPConnection) -> None:
    """Refuse names that are not this app's, as Streamlit does for its own connection."""
    name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    allowed = [str(host).lower() for host in st.get_option("server.allowedHosts")]
    if allowed and not any(_names(pattern, name) for pattern in allowed):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            f"Host {name!r} is not served here.",
            "Add it to server.allowedHosts in .streamlit/config.toml.",
        )


def check_near(request: HTTPConnection) -> None:
    """Refuse other machines where no sign-in is set up."""
    sign_in.check_near(request.client.host if request.client else "")


def check_origin(request: Request, *, needed: bool) -> None:
    """Refuse what another site's page sends.

    Args:
        request: browsers say in `Origin` whose page sends it.
        needed: whether it must say so: for writes with a cookie, which browsers send by themselves.
    """
    given = request.headers.get("origin")
    if given is None and not needed:
        return
    origin = urlsplit(given or "")
    if origin.scheme not in ("http", "https") or origin.netloc != request.headers.get("host"):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "This request does not come from the app's own page.",
            "Send it with the app's address as Origin.",
        )


def member_of(proof: Credentials) -> Member:
    """Who sends the request, as the store knows them now, with the role that counts for it."""
    return _member_of_cookie(proof.cookies) if proof.bearer is None else _of_bearer(proof.bearer)


def standing(member_id: int) -> Member:
    """The member of that id, unless they left."""
    member = session.find_member(member_id)
    if member is None:
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "You are no member of this project any more.",
            "Ask its owner to add you again.",
        )
    return member


def _member_of_cookie(cookies: Mapping[str, str]) -> Member:
    signer = session.signer()
    member_id = signer.read_cookie(cookies.get(signer.cookie_name(), ""))
    if member_id is None:
        raise _unproven(
            "The session is missing or over.", "Reload the page; a script sends a token."
        )
    return standing(member_id)


def _of_bearer(text: str) -> Member:
    member = tokens.member_of_token(session.project(), text)
    if member is None:
        raise _unproven(
            "The token is not valid (any more).", 'Make one with "python cli.py token create".'
        )
    return member


def _unproven(message: str, hint: str) -> Refusal:
    challenge = {"WWW-Authenticate": 'Bearer realm="anneal"'}
    return Refusal(HTTPStatus.UNAUTHORIZED, message, hint, challenge)


def _names(pattern: str, name: str) -> bool:
    """Whether a line of `server.allowedHosts` covers a host name."""
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


class RateLimit:
    """How often somebody may ask: so many at once, and so many a second on average."""

    def __init__(
        self,
        per_s: float,
        at_once: int,
        *,
        of: str = "requests",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._of = of
        self._clock = clock
        self._spent: dict[Hashable, tuple[float, float]] = {}  # at a moment

    def count(self, who: Hashable) -> None:
        """Count a request; refuse it where it is one too many. Call from one thread."""
        self.check(who)
        if len(self._spent) >= _MOST_KNOWN:
            known = {each: self._spent_now(each) for each in self._spent}
            now = self._clock()
            self._spent = {each: (spent, now) for each, spent in known.items() if spent > 0}
        self._spent[who] = (self._spent_now(who) + 1, self._clock())

    def check(self, who: Hashable) -> None:
        """Refuse a request that would be one too many, and count none."""
        beyond = self._spent_now(who) + 1 - self._at_once
        if beyond > 0:
            wait_s = math.ceil(beyond / self._per_s)
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many {self._of}: {self._at_once} at once and {self._per_s:g} a second are "
                "allowed.",
                f"Wait {wait_s} s.",
                {"Retry-After": str(wait_s)},
            )

    def _spent_now(self, who: Hashable) -> float:
        spent, since = self._spent.get(who, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - since) * self._per_s)


class Guesses:
    """Slows down who tries out tokens, and nobody whose token was right before. From one thread."""

    def __init__(self) -> None:
        self._wrong = RateLimit(*GUESS_RATE, of="wrong tokens")
        self._right: set[bytes] = set()  # hashes; there are no more than tokens in the project

    def check(self, machine: str, token: str) -> None:
        """Refuse to look at a token from where too many wrong ones came."""
        if _digest(token) not in self._right:
            self._wrong.check(machine)

    def was_right(self, token: str) -> None:
        """Let this token in from now on, whatever else comes from its machine."""
        self._right.add(_digest(token))

    def was_wrong(self, machine: str) -> None:
        """Count a wrong token."""
        with suppress(Refusal):  # one that was right before
            self._wrong.count(machine)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
