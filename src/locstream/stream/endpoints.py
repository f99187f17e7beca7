"""Where an acquisition is reached, by what a person says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from locstream.errors import LocstreamError
from locstream.stream.runtime import Connection, find
from locstream.stream.wire import MALFORMED

HISTORY, CONTROL = 1, 2
"""Where a stream asks for keys, its history and its control are so many ports behind it unless it is said otherwise."""


class Endpoints(NamedTuple):
    """Where an acquisition is reached; `history` and `control` may be the same."""

    stream: str
    control: str | None = None
    history: str | None = None


def endpoints(
    where: str | Path | None, control: str | None = None, history: str | None = None, *, guarded: bool = False
) -> Endpoints:
    """Return the endpoints that `where` stands for, see `locstream.connect`.

    Parameters
    ----------
    where
        A name or id, a connection file, the endpoint of a stream; None for the newest that runs here.
    control, history
        What goes with the endpoint of a stream.
    guarded
        Whether keys are asked for, so that the ports behind the stream's tell what was not given.

    Raises
    ------
    LocstreamError
        Nothing of that name runs; the file is none; `control` or `history` are given without an endpoint.
    """
    if isinstance(where, str) and "://" in where:
        if guarded:
            return Endpoints(where, control or port_after(where, CONTROL), history or port_after(where, HISTORY))
        return Endpoints(where, control, history or control)
    if control is not None or history is not None:
        raise LocstreamError(
            "control= and history= go with the endpoint of a stream; a name or a connection file has its own"
        )
    if where is not None and (isinstance(where, Path) or where.endswith(".json")):
        return endpoints_of(_read(Path(where)))
    return endpoints_of(find(where))


def endpoints_of(connection: Connection) -> Endpoints:
    """Return the endpoints in a connection file."""
    return Endpoints(connection.stream, connection.control, connection.history or connection.control)


def port_after(endpoint: str, ports: int) -> str | None:
    """Return the tcp endpoint so many ports behind another, None where that has no port."""
    found = re.fullmatch(r"(tcp://.+:)(\d{1,5})", endpoint)
    return None if found is None else f"{found[1]}{int(found[2]) + ports}"


def _read(path: Path) -> Connection:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Connection)
    except OSError as error:
        raise LocstreamError(
            f"the connection file {path} cannot be read: {error.strerror}",
            todo="`locstream status` says what runs on this computer",
        ) from error
    except MALFORMED as error:
        raise LocstreamError(f"{path} is not a connection file: {error}") from error
