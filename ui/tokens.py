"""Signed proof of who is asking: the script's short-lived token, and the cookie it buys.

The script knows the member and signs a token into the component's data; the component exchanges
it for a cookie, so that images stay plain, cacheable URLs. Both are signed with the project's own
secret; neither says more than a member's id, and every request looks the member up again.
"""

import hashlib
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

TOKEN_LIFE_S = 300  # from the script run to the exchange; the component asks for another one
COOKIE_LIFE_S = 12 * 3600  # a working day


@dataclass(frozen=True)
class Signer:
    """Signs and reads tokens and cookies of one project."""

    secret: bytes

    def fingerprint(self) -> str:
        """A public name of the project: tells projects served at one address apart."""
        return hashlib.sha256(b"anneal fingerprint " + self.secret).hexdigest()[:12]

    def cookie_name(self) -> str:
        """Cookies know no ports: two projects on one machine need two names."""
        return f"anneal_{self.fingerprint()}"

    def token(self, member_id: int) -> str:
        return self._serializer("token").dumps(member_id)

    def cookie(self, member_id: int) -> str:
        return self._serializer("cookie").dumps(member_id)

    def read_token(self, text: str) -> int | None:
        """The member of a valid token, else None."""
        return self._read("token", text, TOKEN_LIFE_S)

    def read_cookie(self, text: str) -> int | None:
        """The member of a valid cookie, else None."""
        return self._read("cookie", text, COOKIE_LIFE_S)

    def _read(self, purpose: str, text: str, life_s: int) -> int | None:
        try:
            value = self._serializer(purpose).loads(text, max_age=life_s)
        except BadData:
            return None
        return value if isinstance(value, int) else None

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt=f"anneal.{purpose}")
