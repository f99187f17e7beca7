"""Whatever bytes come over the wire, random ones or those of damaged messages: a message, or a MessageError."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from locstream.errors import MessageError
from locstream.stream.joining import Joining
from locstream.stream.messages import (
    CONTROL_REPLIES,
    CONTROL_REQUESTS,
    HISTORY_REPLIES,
    HISTORY_REQUESTS,
    STREAM,
    Batch,
    Chunk,
    Hello,
    row_dtype,
    rows_from,
)
from locstream.stream.wire import Dialect
from stream_vectors import PATH

DIALECTS: list[Dialect[Any]] = [STREAM, CONTROL_REQUESTS, CONTROL_REPLIES, HISTORY_REQUESTS, HISTORY_REPLIES]
VECTORS = json.loads(PATH.read_text("utf-8"))["vectors"]
VALID = [
    [base64.b64decode(part) for part in v["parts"]][1 if v["socket"] == "stream" else 0 :]
    for v in VECTORS
    if not v["refused"]
]
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
    """Half random bytes, half messages with bytes changed, cut out, doubled, or put in from another message."""
    chance = random.Random(seed)
    for _ in range(count // 2):
        yield [chance.randbytes(chance.randrange(80)) for _ in range(chance.randrange(4))]
    for _ in range(count - count // 2):
        parts = [bytearray(part) for part in chance.choice(VALID)]
        for _ in range(chance.randint(1, 4)):
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


def read(parts: list[bytes]) -> int:
    """Let everything that reads messages read these; return how many of the dialects understood them."""
    understood = 0
    for dialect in DIALECTS:
        try:
            message, buffers = dialect.unpack(parts)
            understood += 1
            if isinstance(message, Hello | Chunk):
                dtype = row_dtype(message)
                if isinstance(message, Chunk):
                    rows_from(message, buffers, dtype)
            if isinstance(message, Batch):
                rows_from(message, buffers)
        except MessageError:
            continue
    return understood


def run(count: int, seed: int) -> None:
    understood = refused = 0
    for parts in cases(count, seed):
        if read(parts):
            understood += 1
        else:
            refused += 1
    assert refused > count // 2
    assert understood > count // 100, "damage that is always refused tries little"


def test_damaged_messages_are_messages_or_refused() -> None:
    run(100_000, seed=1)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_guided_by_coverage_nothing_else_is_found() -> None:
    pytest.importorskip("atheris")
    found = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "fuzz_messages.py", "-max_total_time=60", "-max_len=4096"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-5_000:]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_many_damaged_messages_are_messages_or_refused() -> None:
    run(1_000_000, seed=2)


def test_damaged_streams_never_break_a_joining() -> None:
    """Messages that decode and say what is not so: rows that are given stay in order, whatever was said."""
    chance = random.Random(3)
    for _ in range(300):
        joining = Joining(chance.choice([0, None, 5]), held_limit_bytes=4_000)
        for parts in cases(60, chance.randrange(2**32)):
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


def test_the_messages_that_are_damaged_are_good() -> None:
    assert all(read(parts) for parts in VALID)
    assert len(VALID) > 10
