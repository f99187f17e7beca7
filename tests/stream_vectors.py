"""Messages as bytes, with what they mean, for clients in any language. Run as a program, it writes their file."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import (
    TOPIC_END,
    TOPIC_HELLO,
    TOPIC_LOCALIZATIONS,
    TOPIC_STATUS,
    Batch,
    Chunk,
    End,
    Fetch,
    Hello,
    Reply,
    Request,
    Status,
    own_fields,
)
from locstream.stream.quality import Quality
from locstream.stream.stages import Latency, Queue, Stages
from locstream.stream.wire import PROTOCOL, Message, pack

PATH = Path(__file__).resolve().parents[1] / "docs" / "vectors" / f"protocol-{PROTOCOL}.json"
ID = "0123456789abcdef"


def table(rows: int, dtype: np.dtype[np.void] = LOCALIZATION) -> Localizations:
    """Rows whose every value is another, and exact in float32."""
    found = empty(rows, dtype)
    for column, name in enumerate(dtype.names or ()):
        found[name] = np.arange(rows) * 100 + column + (0.25 if dtype[name].kind == "f" else 0)
    return found


HELLO = Hello(
    acquisition=ID, seq=0, name="cell 1 µm", software="locstream", width=64, height=48, pixel_size_nm=130.5,
    started_s=1_700_000_000.25, folder="/data",
)  # fmt: skip
STATUS = Status(
    acquisition=ID, seq=2, state="acquiring", localizations=3, per_frame=1.5, photons=812.5, background=9.75,
    ledger=LedgerSnapshot(acquired=7, fitted=4, pending=1, skipped=1, failed=1, camera_dropped=2, last_acquired=8,
                          gaps=((3, 2),)),
    precision_nm=11.5, sigma_nm=131.0, fps_acquired=99.5, fps_fitted=98.25, queued=1, workers=2, disk_free_mb=1e6,
    suspected_drops=1, warning="the disk fills",
    stages=Stages(queues=(Queue("capture", 1, 100, 6144), Queue("backlog_disk", 0)), busy_s={"fit": 1.5},
                  deaths={"worker": 1}, rejected={"control": 0}, subscribers=3, committed=Latency(20.5, 41.0)),
    quality=Quality(fits=10, chi2=1.01),
)  # fmt: skip


def vectors() -> list[dict[str, Any]]:
    """Return every vector in the form of the file."""
    flat, deep = table(3), table(2, LOCALIZATION_3D)
    deep_hello = msgspec.structs.replace(HELLO, acquisition="3d", fields=own_fields(depth=True))
    batch = Batch(acquisition=ID, seq=1, frame_first=0, frame_last=300, row_first=0, rows=3)
    end = End(
        acquisition=ID, seq=4, outcome="faulted", frames=7, rows=3, message="the disk is full",
        digest=hashlib.sha256(flat.tobytes()).hexdigest(),
    )  # fmt: skip
    chunk = Chunk(
        id=2, acquisition=ID, row_first=10, rows=3, committed=13, more=False, ended=True, fields=own_fields(), end=end
    )  # fmt: skip
    return [
        _vector("hello", "stream", HELLO, topic=TOPIC_HELLO),
        _vector("localizations", "stream", batch, flat, topic=TOPIC_LOCALIZATIONS),
        _vector("localizations without rows", "stream",
                msgspec.structs.replace(batch, seq=3, row_first=3, rows=0), flat[:0], topic=TOPIC_LOCALIZATIONS),
        _vector("hello with depth", "stream", deep_hello, topic=TOPIC_HELLO),
        _vector("localizations with depth", "stream",
                Batch(acquisition="3d", seq=1, frame_first=0, frame_last=100, row_first=2**40, rows=2), deep,
                topic=TOPIC_LOCALIZATIONS),
        _vector("status", "stream", STATUS, topic=TOPIC_STATUS),
        _vector("status with defaults", "stream",
                Status(acquisition=ID, seq=5, state="starting", ledger=LedgerSnapshot()), topic=TOPIC_STATUS),
        _vector("end", "stream", end, topic=TOPIC_END),
        _vector("request start", "control", Request(id=1, verb="start", name="cell2", frames=100)),
        _vector("reply", "control", Reply(id=1, ok=True, status=STATUS, hello=HELLO)),
        _vector("reply that refuses", "control", Reply(id=1, ok=False, message="cell 1 is being acquired")),
        _vector("fetch", "control", Fetch(id=2, acquisition=ID, from_row=10, max_rows=3)),
        _vector("chunk", "control", chunk, flat),
        _changed("a field of a newer version is ignored", HELLO, {"from_the_future": {"x": [1, None]}}, None),
        _changed("another protocol is refused", HELLO, {"protocol": 99},
                 f"the other side speaks protocol 99, this program speaks {PROTOCOL}"),
        _changed("an unknown type is refused", HELLO, {"type": "farewell"}, "type"),
        _changed("a field of another type is refused", HELLO, {"seq": "0"}, "seq"),
        _refused("no msgpack is refused", b"\xc1", "not a message"),
        _refused("an empty header is refused", b"", "not a message"),
    ]  # fmt: skip


def _vector(
    name: str, socket: str, message: Message, rows: Localizations | None = None, *, topic: bytes | None = None
) -> dict[str, Any]:
    data = [] if rows is None else [rows.tobytes()]
    return {
        "name": name,
        "socket": socket,
        "parts": _base64([*([] if topic is None else [topic]), *pack(message, *data)]),
        "header": msgspec.to_builtins(message),
        "rows": None if rows is None else [dict(zip(rows.dtype.names or (), r, strict=True)) for r in rows.tolist()],
        "rows_sha256": None if rows is None else hashlib.sha256(rows.tobytes()).hexdigest(),
        "refused": None,
    }


def _changed(name: str, message: Message, changes: dict[str, Any], refused: str | None) -> dict[str, Any]:
    header = {**msgspec.msgpack.decode(pack(message)[0]), **changes}
    found = _refused(name, msgspec.msgpack.encode(header), refused)
    return found if refused else {**found, "header": msgspec.to_builtins(message)}


def _refused(name: str, header: bytes, refused: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "socket": "stream",
        "parts": _base64([TOPIC_HELLO, header]),
        "header": None,
        "rows": None,
        "rows_sha256": None,
        "refused": refused,
    }


def _base64(parts: list[Any]) -> list[str]:
    return [base64.b64encode(part).decode("ascii") for part in parts]


def text() -> str:
    """Return the file as it should be."""
    return json.dumps({"protocol": PROTOCOL, "vectors": vectors()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text(), "utf-8")
    print(PATH)
