"""All that reads what other programs send: each dialect, a good message of each kind, and what is done with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgspec.inspect

from locstream.errors import MessageError
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
from locstream.stream.wire import PROTOCOL, Buffer, Dialect
from locstreamd.fit.task import task_from
from locstreamd.fit.work import FROM_WORKER, TO_WORKER, Setup
from locstreamd.view.link import ORDERS, REPORTS
from stream_vectors import PATH

DIALECTS: dict[str, Dialect[Any]] = {
    "stream": STREAM,
    "requests": CONTROL_REQUESTS,
    "replies": CONTROL_REPLIES,
    "history requests": HISTORY_REQUESTS,
    "history replies": HISTORY_REPLIES,
    "to a worker": TO_WORKER,
    "from a worker": FROM_WORKER,
    "orders": ORDERS,
    "reports": REPORTS,
}


def read(parts: Sequence[Buffer]) -> list[str]:
    """Let everything that reads messages read these; return the dialects that understood them."""
    understood = []
    for name, dialect in DIALECTS.items():
        try:
            message, buffers = dialect.unpack(parts)
            understood.append(name)
            _use(message, buffers)
        except MessageError:
            continue
    return understood


def _use(message: Any, buffers: list[Buffer]) -> None:
    match message:
        case Hello():
            row_dtype(message)
        case Chunk():
            rows_from(message, buffers, row_dtype(message))
        case Batch():
            rows_from(message, buffers)
        case Setup():
            task_from(message, buffers)


def valid_messages() -> list[list[bytes]]:
    """Return the test vectors that are messages, and a made-up message of each kind of every dialect."""
    vectors = json.loads(PATH.read_text("utf-8"))["vectors"]
    found = [
        [base64.b64decode(part) for part in vector["parts"]][vector["socket"] == "stream" :]
        for vector in vectors
        if not vector["refused"]
    ]
    for dialect in DIALECTS.values():
        for kind in msgspec.inspect.multi_type_info(dialect.kinds):
            found += [[msgspec.msgpack.encode(_example(kind, whole))] for whole in (False, True)]
    return found


def _example(info: Any, whole: bool) -> Any:
    """Return something of a type; the fields with a default only where it is to be `whole`."""
    inspect = msgspec.inspect
    match info:
        case inspect.StructType() | inspect.DataclassType():
            fields = {f.encode_name: _example(f.type, whole) for f in info.fields if whole or f.required}
            tag = getattr(info, "tag_field", None)
            return fields | ({tag: info.tag, "protocol": PROTOCOL} if tag else {})
        case inspect.UnionType():
            return _example(info.types[0] if whole else info.types[-1], whole)
        case inspect.BoolType():
            return whole
        case inspect.IntType():
            return max(int(whole), info.ge or 0)
        case inspect.FloatType():
            return 1.5
        case inspect.StrType():
            return "a"
        case inspect.NoneType():
            return None
        case inspect.ListType() | inspect.VarTupleType():
            return [_example(info.item_type, whole)] if whole else []
        case inspect.NamedTupleType():
            return [_example(field.type, whole) for field in info.fields]
        case inspect.TupleType():
            return [_example(each, whole) for each in info.item_types]
        case inspect.DictType():
            return {_example(info.key_type, whole): _example(info.value_type, whole)} if whole else {}
        case inspect.AnyType() | inspect.CustomType():
            return 1
    raise TypeError(f"no example of {info}")
