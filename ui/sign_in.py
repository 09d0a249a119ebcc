"""Sign-in with a provider (OpenID Connect), where it is set up: then it alone says who somebody is.

It is set up by `[auth]` in .streamlit/secrets.toml (docs/sign-in.md). Without it the app serves
its own machine only, where whoever sits there may say who they are.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from domain.errors import AccessError
from domain.sign_ins import Identity

DEFAULT = "default"  # the provider whose settings stand in [auth] itself


class NotSignedIn(AccessError):
    """Nobody signed in, in this tab."""


class Stranger(AccessError):
    """Somebody signed in who is no member."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(f"You are signed in as {identity}, who is no member of this project.")
        self.identity = identity


def is_set_up() -> bool:
    """Whether people must sign in; a settings file that cannot be read lets nobody in."""
    if st.secrets.load_if_toml_exists():
        return "auth" in st.secrets
    return unreadable_file() is not None


def unreadable_file() -> Path | None:
    """The file of secrets that is there but cannot be read; None if all is well."""
    if st.secrets.load_if_toml_exists():
        return None
    files = (Path(each) for each in st.get_option("secrets.files"))
    return next((each for each in files if each.exists()), None)


def check_near(address: str | None) -> None:
    """Refuse other machines where nobody signs in: there, anybody may say that they are anybody.

    Args:
        address: the other side's, as the server sees it or a proxy on this machine says it; None
            for this machine.

    Raises:
        AccessError: it is another machine's.
    """
    if address is None or _is_loopback(address) or is_set_up():
        return
    raise AccessError(
        "Without sign-in this app serves only the machine that it runs on.",
        "Set sign-in up first: docs/sign-in.md says how.",
    )


def providers() -> list[str]:
    """Names of the providers to choose from, `default` for the one without a name."""
    if unreadable_file() is not None:
        return []
    settings: Mapping[str, Any] = st.secrets.get("auth", {})
    named = [name for name, each in settings.items() if isinstance(each, Mapping)]
    named = [name for name in named if "client_id" in settings[name]]
    return [DEFAULT, *named] if "client_id" in settings else named


def identity() -> Identity:
    """Who signed in, in this tab.

    Raises:
        NotSignedIn: nobody did.
    """
    return identity_in(st.user.to_dict())


def identity_in(said: Mapping[str, Any]) -> Identity:
    """Who signed in, as the provider said.

    Raises:
        NotSignedIn: nobody did.
    """
    issuer, subject = said.get("iss"), said.get("sub")
    if said.get("is_logged_in") is not True or not (_is_text(issuer) and _is_text(subject)):
        raise NotSignedIn("Nobody is signed in here.", "Sign in.")
    email = said.get("email")
    return Identity(
        issuer=str(issuer),
        subject=str(subject),
        email=str(email) if _is_text(email) else "",
        verified=said.get("email_verified") in (True, "true"),  # some providers send text
    )


def identity_by_cookie(asked: HTTPConnection) -> Identity:
    """Who signed in, by the cookie that Streamlit keeps the provider's word in.

    Raises:
        NotSignedIn: nobody did.
    """
    secret = get_cookie_secret()

    def read(name: str) -> bytes | None:
        text = asked.cookies.get(name, "").encode("latin-1")
        return decode_signed_value(secret, name, text)

    kept = get_cookie_with_chunks(read, USER_COOKIE_NAME) if secret else None
    said: dict[str, object] = json.loads(kept) if kept else {}
    here = asked.headers.get("host", "")
    return identity_in(said if urlsplit(str(said.get("origin", ""))).netloc == here else {})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
