"""Look for bytes that no reader of messages should meet, guided by coverage.

    python tests/fuzz_messages.py CORPUS -runs=100000

Needs the package `atheris` (`python tests/peer/make_environment.py atheris`); the options are libFuzzer's. Tried
are sequences of messages, changed in their bytes or in their fields; the folder CORPUS gets good ones to begin with. It
ends with an error at the first sequence that becomes anything but messages, MessageErrors, and rows in order.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris
import msgspec

with atheris.instrument_imports(include=["locstream.stream", "locstreamd", "message_reading"]):
    from locstream.errors import MessageError
    from locstream.stream.events import Event, Rows
    from locstream.stream.joining import Joining
    from locstream.stream.messages import HISTORY_REPLIES, STREAM, Chunk
    from message_reading import read, valid_messages

LENGTH_BYTES = 2
MOST_PARTS = 4
VALID = valid_messages()
VALUES = [
    0,
    1,
    -1,
    2**31,
    2**53,
    2**53 + 1,
    2**64 - 1,
    -(2**63),
    0.5,
    float("nan"),
    None,
    True,
    "",
    "a1",
    b"\0",
    [],
    {},
]
"""What a field may be changed into."""


def joined(messages: Sequence[Sequence[bytes]]) -> bytes:
    """Return messages as one string of bytes."""
    found = bytearray()
    for parts in messages:
        found.append(len(parts))
        for part in parts:
            found += len(part).to_bytes(LENGTH_BYTES, "little") + part
    return bytes(found)


def split(data: bytes) -> list[list[bytes]]:
    """Return the messages in any string of bytes."""
    found: list[list[bytes]] = []
    at = 0
    while at < len(data):
        count, at = data[at] % MOST_PARTS, at + 1
        found.append([])
        for _ in range(count):
            begin = at + LENGTH_BYTES
            at = begin + int.from_bytes(data[at:begin], "little")
            found[-1].append(data[begin:at])
    return found


def one_input(data: bytes) -> None:
    """Read each message by itself, and let a client join the stream that they make up."""
    joining = Joining(0, held_limit_bytes=4_000)
    next_row: dict[str, int] = {}
    for parts in split(data):
        read(parts)
        for event in heard(joining, parts):
            if isinstance(event, Rows):
                assert event.row_first == next_row.get(event.acquisition, 0), "rows out of order"
                next_row[event.acquisition] = event.row_first + len(event.table)
        assert joining.held_bytes <= 4_000


def heard(joining: Joining, parts: list[bytes]) -> list[Event]:
    """Return what a client makes of a message; the answer to any request counts as one to its own."""
    try:
        return joining.hear(*STREAM.unpack(parts))
    except MessageError:
        pass
    try:
        answer, buffers = HISTORY_REPLIES.unpack(parts)
        if not isinstance(answer, Chunk):
            return []
        if (asked := joining.request()) is not None:
            answer = msgspec.structs.replace(answer, id=asked.id)
        return joining.take(answer, buffers)
    except MessageError:
        joining.forget_request()
        return []


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change bytes, or a field of one message, or the order of messages."""
    chance = random.Random(seed)
    messages = split(data)
    place = chance.randrange(len(messages)) if messages else 0
    match chance.randrange(6):
        case 0 if messages:
            messages[place] = with_other_field(messages[place], chance)
        case 1:
            messages.insert(place, chance.choice(VALID))
        case 2 if messages:
            messages.insert(chance.randrange(len(messages)), messages[place])
        case 3 if messages:
            del messages[place]
        case _:
            return bytes(atheris.Mutate(data, max_size))
    return joined(messages)[:max_size]


def with_other_field(parts: list[bytes], chance: random.Random) -> list[bytes]:
    """Return a message of which one field has another value, if it has fields."""
    try:
        header = msgspec.msgpack.decode(parts[0]) if parts else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return parts
    if not isinstance(header, dict) or not header:
        return parts
    header[chance.choice(list(header))] = chance.choice([*VALUES, chance.randrange(200)])
    return [msgspec.msgpack.encode(header), *parts[1:]]


def main(corpus: Path) -> None:
    """Fuzz until libFuzzer has enough."""
    for number, messages in enumerate([VALID, *([parts] for parts in VALID)]):
        (corpus / f"good-{number}").write_bytes(joined(messages))
    atheris.Setup(sys.argv, one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
