"""The JSON of flags: what annotators point out, and the taking back of it."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.errors import InputError
from domain.flags import LONGEST_NOTE, NewFlag
from domain.pairs import pair
from ui.wire import MOST_ANSWERS, Id, Key, Message, ReceiptReply, as_text


class FlagMessage(Message):
    """A flag on a question, or on one image where `b` is null; or the taking back of one.

    `key` is made by the client, anew for every flag. To take one back (`unflag`), name its key in
    `refers_to_key`.
    """

    key: Key
    kind: Literal["flag", "unflag"]
    a: Id
    b: Id | None = None
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    proposal_id: Id | None = None
    flagged_at: AwareDatetime | None = None
    refers_to_key: Key | None = None

    def as_flag(self) -> NewFlag:
        """The flag as the store takes it.

        Raises:
            InputError: both images are the same, or something to take back is not named.
        """
        first, second = (self.a, None) if self.b is None else pair(self.a, self.b)
        if (self.kind == "unflag") != (self.refers_to_key is not None):
            raise InputError(
                f'A "{self.kind}" with refers_to_key {self.refers_to_key}.',
                'Name in refers_to_key which flag an "unflag" takes back; leave it out of flags.',
            )
        return NewFlag(
            key=self.key,
            image_a=first,
            image_b=second,
            note=self.note,
            proposal_id=self.proposal_id,
            flagged_at=as_text(self.flagged_at),
            takes_back_key=self.refers_to_key,
        )


class FlagsMessage(Message):
    """Flags of one member; where `member` says of whom, anybody else gets 401."""

    member: Id | None = None
    flags: Annotated[list[FlagMessage], Field(min_length=1, max_length=MOST_ANSWERS)]


class FlagsReply(Message):
    """One receipt a flag, in their order, after all of them are on the disk."""

    receipts: list[ReceiptReply]
