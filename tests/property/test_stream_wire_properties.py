"""Whatever bytes arrive, the answer is a message or a MessageError."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream.errors import MessageError
from locstream.localizations import LOCALIZATION
from locstream.stream.messages import CONTROL_REQUESTS, STREAM, Batch, rows_from
from locstream.stream.wire import PROTOCOL, pack

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_never_do_anything_else(parts: list[bytes]) -> None:
    for dialect in (STREAM, CONTROL_REQUESTS):
        try:
            dialect.unpack(parts)
        except MessageError:
            continue


@given(st.sampled_from(["hello", "localizations", "status", "end", "request"]), st.dictionaries(st.text(), json_like))
def test_random_fields_never_do_anything_else(kind: str, fields: dict[str, object]) -> None:
    header = msgpack.packb({**fields, "type": kind, "protocol": PROTOCOL})
    try:
        message, _ = STREAM.unpack([header])
    except MessageError:
        return
    pytest.fail(f"a header without its fields became {message}")  # pragma: no cover


@given(st.binary(max_size=5 * LOCALIZATION.itemsize).filter(lambda b: len(b) % LOCALIZATION.itemsize == 0))
def test_rows_are_the_bytes_that_were_sent(data: bytes) -> None:
    batch = Batch(
        acquisition="a", seq=0, frame_first=0, frame_last=0, row_first=0, rows=len(data) // LOCALIZATION.itemsize
    )
    message, buffers = STREAM.unpack(pack(batch, data))
    assert isinstance(message, Batch)
    assert rows_from(message, buffers).tobytes() == np.frombuffer(data, LOCALIZATION).tobytes()
