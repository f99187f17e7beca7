"""Look for bytes that no decoder should meet, guided by coverage: give it ``-max_total_time=600`` or so.

Needs the package `atheris`; the options are those of libFuzzer. It ends with an error at the first bytes that do
anything but become a message or a MessageError.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["locstream.stream"]):
    from locstream.errors import MessageError
    from locstream.stream.messages import (
        HISTORY_REPLIES,
        HISTORY_REQUESTS,
        STREAM,
        Batch,
        Chunk,
        Hello,
        row_dtype,
        rows_from,
    )


def one_input(data: bytes) -> None:
    """Take the first byte for the length of what lies behind the header."""
    behind = data[0] if data else 0
    parts = [data[1 : len(data) - behind], data[len(data) - behind :]]
    for dialect in (STREAM, HISTORY_REQUESTS, HISTORY_REPLIES):
        try:
            message, buffers = dialect.unpack(parts)
            dtype = row_dtype(message) if isinstance(message, Hello | Chunk) else None
            if isinstance(message, Chunk) and dtype is not None:
                rows_from(message, list(buffers), dtype)
            elif isinstance(message, Batch):
                rows_from(message, list(buffers))
        except MessageError:
            continue


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
