"""Whatever bytes come over the wire, random ones or those of damaged messages: a message, or a MessageError."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from locstream.errors import MessageError
from locstream.stream.joining import Joining
from locstream.stream.messages import HISTORY_REPLIES, STREAM, Chunk
from message_reading import DIALECTS, read, valid_messages

VALID = valid_messages()
INTERESTING = [
    b"\x00",
    b"\xc0",
    b"\xc1",
    b"\xff",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80",
    b"\xdf\xff\xff\xff\xff",
]


def cases(count: int, seed: int) -> Iterator[list[bytes]]:
    """So many random bytes, and as many messages with bytes changed, cut out, doubled, or put in from another one."""
    chance = random.Random(seed)
    for _ in range(count):
        yield [chance.randbytes(chance.randrange(80)) for _ in range(chance.randrange(4))]
    for _ in range(count):
        parts = [bytearray(part) for part in chance.choice(VALID)]
        for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
            damage(chance.choice(parts), chance)
        if chance.random() < 0.1:
            parts.append(bytearray(chance.randbytes(8)))
        yield [bytes(part) for part in parts]


def damage(part: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(part) + 1)
    match chance.randrange(6):
        case 0 if at < len(part):
            part[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(part):
            part[at] = chance.randrange(256)
        case 2:
            del part[at : at + chance.randint(1, 8)]
        case 3:
            part[at:at] = part[at : at + chance.randint(1, 16)]
        case 4:
            part[at:at] = chance.choice(INTERESTING)
        case _:
            other = chance.choice(VALID)[0]
            cut = chance.randrange(len(other))
            part[at : at + 8] = other[cut : cut + chance.randint(1, 32)]


def run(count: int, seed: int) -> None:
    understood: Counter[str] = Counter()
    refused = 0
    for parts in cases(count, seed):
        who = read(parts)
        understood.update(who)
        refused += not who
    assert refused > count
    assert understood.total() > count // 50
    assert all(understood[name] > count // 5_000 for name in DIALECTS), "damage that is always refused tries little"


def test_damaged_messages_are_messages_or_refused() -> None:
    run(50_000, seed=1)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_many_damaged_messages_are_messages_or_refused() -> None:
    run(1_000_000, seed=2)


def test_damaged_streams_never_break_a_joining() -> None:
    """Messages that decode and say what is not so: rows that are given stay in order, whatever was said."""
    chance = random.Random(3)
    for _ in range(300):
        joining = Joining(chance.choice([0, None, 5]), held_limit_bytes=4_000)
        for parts in cases(30, chance.randrange(2**32)):
            try:
                message, buffers = STREAM.unpack(parts)
                joining.hear(message, buffers)
            except MessageError:
                continue
            asked = joining.request()
            try:
                answer, rows = HISTORY_REPLIES.unpack(chance.choice(VALID))
                if asked is not None and isinstance(answer, Chunk):
                    joining.take(answer, rows)
            except MessageError:
                joining.forget_request()
            assert joining.held_bytes <= 4_000


def test_the_messages_that_are_damaged_are_good_and_of_every_dialect() -> None:
    understood = [read(parts) for parts in VALID]
    assert all(understood)
    assert {name for names in understood for name in names} == set(DIALECTS)
