"""Who somebody is to a sign-in provider, and whom of a project they may be."""

from dataclasses import dataclass

from domain.errors import InputError

LONGEST_EMAIL = 254  # of an address that can be delivered to (RFC 5321)


@dataclass(frozen=True)
class Identity:
    """What a provider said of a person who signed in with it.

    Attributes:
        issuer, subject: the provider, and its own name of the person, which never changes hands.
        email: as it was said, empty if it was not.
        verified: whether the provider says that the address is theirs.
    """

    issuer: str
    subject: str
    email: str = ""
    verified: bool = False

    def __str__(self) -> str:
        return self.email or f"{self.subject} of {self.issuer}"


@dataclass(frozen=True)
class SignIn:
    """By what somebody who signs in is known as a member.

    Attributes:
        email: who proves this address first becomes the member; empty if only the subject counts.
        issuer, subject: of the person who did, from then on the only one; empty before.
    """

    member_id: int
    email: str = ""
    issuer: str = ""
    subject: str = ""

    @property
    def used(self) -> bool:
        """Whether it belongs to a person already."""
        return bool(self.subject)

    def __str__(self) -> str:
        return self.email or f"{self.subject} of {self.issuer}"


def given_email(text: str) -> str:
    """An address as it is kept and compared: without spaces around it, in small letters.

    Raises:
        InputError: it is no address.
    """
    email = text.strip().casefold()
    name, at, host = email.rpartition("@")
    if not (name and at and host) or len(email) > LONGEST_EMAIL or not email.isprintable():
        raise InputError(f'"{text.strip()[:80]}" is no e-mail address.', "Give one like a@b.org.")
    if any(each.isspace() or each in "<>,;\"'" for each in email):
        raise InputError(f'"{email[:80]}" is not only an e-mail address.', "Give just a@b.org.")
    return email
