"""The protocol's document and its test vectors say what the code does."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from locstream.errors import MessageError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream import messages
from locstream.stream.events import Rows
from locstream.stream.joining import Joining
from locstream.stream.messages import (
    HISTORY_REPLIES,
    HISTORY_REQUESTS,
    MAX_CHUNK_BYTES,
    STREAM,
    Batch,
    Chunk,
    Hello,
    Published,
    row_dtype,
    rows_from,
)
from locstream.stream.quality import Quality
from locstream.stream.stages import Latency, Queue, Stages
from locstream.stream.wire import MAX_HEADER_BYTES, PROTOCOL, Message, pack
from stream_vectors import PATH, text

FILE = json.loads(PATH.read_text("utf-8"))
VECTORS: list[dict[str, Any]] = FILE["vectors"]
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text("utf-8")
SPOKEN = [
    messages.Hello, messages.Batch, messages.Status, messages.End, messages.Request, messages.Reply, messages.Fetch,
    messages.Chunk,
]  # fmt: skip
PARTS = [messages.FieldSpec, LedgerSnapshot, Stages, Queue, Latency, Quality]


def decode(vector: dict[str, Any]) -> tuple[Message, list[Any]]:
    parts = [base64.b64decode(part) for part in vector["parts"]]
    if vector["socket"] == "stream":
        return STREAM.unpack(parts[1:])
    try:
        return HISTORY_REQUESTS.unpack(parts)
    except MessageError:
        return HISTORY_REPLIES.unpack(parts)


def field_names(kind: type) -> set[str]:
    if dataclasses.is_dataclass(kind):
        return {f.name for f in dataclasses.fields(kind)}
    return {f.name for f in msgspec.structs.fields(kind)}


def documented(heading: str) -> set[str]:
    """The first column of the table under a heading of the document."""
    section = re.split(r"\n#+ ", DOCUMENT.split(f"\n### {heading}\n", 1)[1], maxsplit=1)[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_file_is_what_the_code_makes() -> None:
    assert PATH.read_text("utf-8") == text(), "run `python tests/stream_vectors.py`, and read what has changed"
    assert FILE["protocol"] == PROTOCOL


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v["refused"]], ids=lambda v: v["name"])
def test_a_vector_means_what_it_says(vector: dict[str, Any]) -> None:
    message, buffers = decode(vector)
    assert json.loads(json.dumps(msgspec.to_builtins(message))) == vector["header"]
    if vector["rows"] is None:
        assert buffers == []
        return
    assert hashlib.sha256(buffers[0]).hexdigest() == vector["rows_sha256"]
    assert isinstance(message, Batch | Chunk)
    rows = rows_from(message, buffers, row_dtype(message if isinstance(message, Chunk) else announced(message)))
    assert [dict(zip(rows.dtype.names or (), row, strict=True)) for row in rows.tolist()] == vector["rows"]


def announced(batch: Batch) -> Hello:
    """The Hello of the same acquisition."""
    for vector in VECTORS:
        message = None if vector["refused"] else decode(vector)[0]
        if isinstance(message, Hello) and message.acquisition == batch.acquisition:
            return message
    pytest.fail(f"no hello for {batch}")


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["refused"]], ids=lambda v: v["name"])
def test_what_must_be_refused_is(vector: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match=re.escape(vector["refused"])):
        decode(vector)


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["header"]], ids=lambda v: v["name"])
def test_another_library_reads_the_same(vector: dict[str, Any]) -> None:
    header = msgpack.unpackb(base64.b64decode(vector["parts"][1 if vector["socket"] == "stream" else 0]))
    for key, value in vector["header"].items():
        assert json.loads(json.dumps(header[key])) == value


def test_the_vectors_are_a_stream_that_can_be_joined() -> None:
    joining = Joining(0)
    given = b""
    for name in ("hello", "localizations", "localizations without rows"):
        message, buffers = decode(next(v for v in VECTORS if v["name"] == name))
        assert isinstance(message, Published)
        given += b"".join(e.table.tobytes() for e in joining.hear(message, buffers) if isinstance(e, Rows))
    (end,) = (v["header"] for v in VECTORS if v["name"] == "end")
    assert hashlib.sha256(given).hexdigest() == end["digest"]


@pytest.mark.parametrize("kind", [*SPOKEN, *PARTS], ids=lambda k: k.__name__)
def test_every_field_is_documented(kind: type) -> None:
    common = {"protocol"} | (set() if kind not in (Published, *Published.__subclasses__()) else {"acquisition", "seq"})
    assert documented(kind.__name__) == field_names(kind) - common


@pytest.mark.parametrize("kind", SPOKEN, ids=lambda k: k.__name__)
def test_every_message_has_a_vector_and_its_tag_is_documented(kind: type[Message]) -> None:
    tag = kind.__struct_config__.tag
    assert f"`type` is `{tag}`" in DOCUMENT
    assert any(vector["header"] and vector["header"]["type"] == tag for vector in VECTORS)


def test_the_limits_are_documented() -> None:
    assert f"{MAX_HEADER_BYTES:,} bytes" in DOCUMENT
    assert f"{MAX_CHUNK_BYTES:,} bytes" in DOCUMENT
    assert f"# The wire protocol, version {PROTOCOL}\n" in DOCUMENT
    with pytest.raises(MessageError, match="malformed"):
        HISTORY_REQUESTS.unpack(pack(messages.Fetch(id=1, from_row=2**53 + 1)))
