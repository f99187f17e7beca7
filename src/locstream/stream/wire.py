"""One message on the wire: a msgpack header and zero or more raw little-endian buffers.

Every header is a frozen, typed model with a ``type`` tag and a ``protocol`` number. Unknown fields are
ignored, so that a newer program may say more; another protocol number is refused with both numbers.
Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from locstream.errors import MessageError

PROTOCOL = 1
"""Version of the protocol, apart from the version of the package."""

MAX_HEADER_BYTES = 65_536
"""A longer header is refused before it is parsed."""

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are no message: text that is no UTF-8 and maps that lie too deep in each other
are not its own errors."""

Buffer = bytes | memoryview
"""One part of a multipart message."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of every header."""

    protocol: int = PROTOCOL


class _Envelope(msgspec.Struct, frozen=True):
    """What is looked at before anything else: is this ours at all, and which version."""

    type: str
    protocol: int


M = TypeVar("M", bound=Message)
_encoder = msgspec.msgpack.Encoder()
_envelope = msgspec.msgpack.Decoder(_Envelope)


def pack(message: Message, *buffers: Buffer) -> list[Buffer]:
    """Return the parts of a multipart message.

    Parameters
    ----------
    message
        The header.
    buffers
        Raw little-endian data, sent as they are.
    """
    return [_encoder.encode(message), *buffers]


class Dialect(Generic[M]):
    """The messages that one socket understands.

    Parameters
    ----------
    kinds
        Message classes; anything else that arrives is refused.
    """

    def __init__(self, *kinds: type[M]) -> None:
        self.kinds = kinds
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_union(kinds))

    def unpack(self, parts: Sequence[Buffer]) -> tuple[M, list[Buffer]]:
        """Return the header and the buffers behind it.

        Raises
        ------
        MessageError
            No header, a header that is too long or malformed, another protocol, an unknown type.
        """
        if not parts:
            raise MessageError("a message without a header")
        header = parts[0]
        if len(header) > MAX_HEADER_BYTES:
            raise MessageError(f"a header of {len(header)} bytes is over the limit of {MAX_HEADER_BYTES} bytes")
        try:
            envelope = _envelope.decode(header)
        except MALFORMED as error:
            raise MessageError(f"not a message of this protocol: {error}") from error
        if envelope.protocol != PROTOCOL:
            raise MessageError(
                f"the other side speaks protocol {envelope.protocol}, this program speaks {PROTOCOL}",
                todo="use the same version of locstream on both sides",
            )
        try:
            message: M = self._decoder.decode(header)
        except MALFORMED as error:
            raise MessageError(f"a malformed {envelope.type!r} message: {error}") from error
        return message, list(parts[1:])


def _union(kinds: Sequence[type[Message]]) -> Any:
    """Return the union type of several message classes, as msgspec wants it."""
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return union
