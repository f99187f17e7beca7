"""Headers are typed, bounded, versioned; another msgpack library reads them."""

from __future__ import annotations

import msgpack
import msgspec
import numpy as np
import pytest

from locstream.errors import MessageError
from locstream.localizations import FIELDS, LOCALIZATION, empty
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import (
    CONTROL_REQUESTS,
    STREAM,
    Batch,
    FieldSpec,
    Hello,
    Request,
    Status,
    row_dtype,
    rows_from,
)
from locstream.stream.wire import MAX_HEADER_BYTES, PROTOCOL, pack

HELLO = Hello(
    acquisition="a1", seq=3, name="cell", software="locstream 0", width=5, height=4, pixel_size_nm=130.0, started_s=1.0
)


def test_what_is_packed_comes_out_again() -> None:
    rows = empty(3)
    rows["x_nm"] = [1, 2, 3]
    batch = Batch(acquisition="a1", seq=7, frame_first=0, frame_last=4, row_first=10, rows=3)
    message, buffers = STREAM.unpack(pack(batch, rows.tobytes()))
    assert message == batch
    assert isinstance(message, Batch)
    np.testing.assert_array_equal(rows_from(message, buffers), rows)


def test_another_msgpack_library_reads_the_header() -> None:
    header = msgpack.unpackb(bytes(pack(HELLO)[0]))
    assert header["type"] == "hello"
    assert header["protocol"] == PROTOCOL
    assert header["fields"][1] == {"name": "x_nm", "dtype": "<f4", "unit": "nm"}
    assert header["origin"] == "centre of pixel (0, 0)"


def test_unknown_fields_are_ignored() -> None:
    header = msgpack.unpackb(bytes(pack(HELLO)[0]))
    header["from_the_future"] = {"x": [1, 2]}
    message, _ = STREAM.unpack([msgpack.packb(header)])
    assert message == HELLO


def test_another_protocol_is_refused_with_both_numbers() -> None:
    header = msgpack.unpackb(bytes(pack(HELLO)[0]))
    header["protocol"] = 99
    with pytest.raises(MessageError, match=rf"99.*{PROTOCOL}"):
        STREAM.unpack([msgpack.packb(header)])


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        msgpack.packb([1, 2]),
        msgpack.packb({"type": "hello"}),
        msgpack.packb({"protocol": PROTOCOL, "type": "locals", "acquisition": "a", "seq": 0}),
        msgpack.packb({"protocol": PROTOCOL, "type": "localizations", "acquisition": "a", "seq": "0"}),
        b"\x80" * (MAX_HEADER_BYTES + 1),
        msgpack.packb({"type": "hello", "protocol": PROTOCOL, "name": b"\xa8"}).replace(b"\xc4\x01\xa8", b"\xa1\xa8"),
        b"\x83\xa4type\xa5hello\xa8protocol\x01\xa1x" + b"\x91" * 60_000 + b"\xc0",
    ],
    ids=[
        "empty",
        "reserved byte",
        "text",
        "array",
        "no protocol",
        "unknown type",
        "wrong field type",
        "too long",
        "no UTF-8",
        "too deep",
    ],
)
def test_what_is_no_message_is_refused(header: bytes) -> None:
    with pytest.raises(MessageError):
        STREAM.unpack([header])


def test_a_message_without_parts_is_refused() -> None:
    with pytest.raises(MessageError, match="without a header"):
        STREAM.unpack([])


def test_a_socket_refuses_messages_of_another_socket() -> None:
    with pytest.raises(MessageError, match="request"):
        STREAM.unpack(pack(Request(id=1, verb="stop")))
    assert CONTROL_REQUESTS.unpack(pack(Request(id=1, verb="stop")))[0].verb == "stop"


@pytest.mark.parametrize("buffers", [[], [b"123"], [bytes(LOCALIZATION.itemsize), b""]])
def test_a_batch_must_hold_the_rows_it_announces(buffers: list[bytes]) -> None:
    batch = Batch(acquisition="a1", seq=7, frame_first=0, frame_last=4, row_first=10, rows=1)
    with pytest.raises(MessageError, match="announces 1 rows"):
        rows_from(batch, list(buffers))


def test_the_announced_layout_is_the_tables_own() -> None:
    assert row_dtype(HELLO) == LOCALIZATION
    assert [spec.unit for spec in HELLO.fields] == [f.unit for f in FIELDS]


@pytest.mark.parametrize("dtype", ["|O", ">f4", "<U4", "nonsense", "<f4, <f4"])
def test_a_layout_that_is_not_plain_numbers_is_refused(dtype: str) -> None:
    hello = msgspec.structs.replace(HELLO, fields=(FieldSpec("x", dtype, "nm"),))
    with pytest.raises(MessageError, match="plain number"):
        row_dtype(hello)


def test_status_carries_the_whole_ledger() -> None:
    ledger = LedgerSnapshot(acquired=5, fitted=3, pending=2, camera_dropped=1, last_acquired=5, gaps=((2, 1),))
    status = Status(
        acquisition="a1", seq=0, state="acquiring", ledger=ledger, localizations=9, per_frame=3.0, photons=1.0,
        background=1.0, precision_nm=1.0, sigma_nm=1.0, fps_acquired=1.0, fps_fitted=1.0, queued=0, workers=1,
    )  # fmt: skip
    message, _ = STREAM.unpack(pack(status))
    assert isinstance(message, Status)
    assert message.ledger == ledger
