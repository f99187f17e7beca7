"""What tests ask the server beside the wire: everything it holds, and to end what it has open."""

from typing import Any

from .server import Server
from .store import Pair, Quantity, Ref


def objects(server: Server) -> list[dict[str, Any]]:
    """Return every row, with references as {"root", "id"}."""
    with server.lock:
        rows = [row for table in server.store.tables.values() for row in table.values()]
        return [
            {
                "root": row.ref.root,
                "kind": row.kind,
                "id": row.id,
                "version": row.version,
                "owner": row.owner,
                "group": row.group,
                "values": {field: _plain(value) for field, value in row.values.items()},
            }
            for row in rows
        ]


def sessions(server: Server) -> list[str]:
    """Return the keys of the open sessions."""
    with server.lock:
        return sorted(server.sessions)


def kill_sessions(server: Server) -> None:
    """End every session."""
    with server.lock:
        for session in list(server.sessions.values()):
            session.close()


def reset(server: Server) -> None:
    """Make it as it was at the start."""
    server.reset()


def _plain(value: Any) -> Any:
    if isinstance(value, Ref):
        return value._asdict()
    if isinstance(value, Quantity):
        return list(value)
    if isinstance(value, tuple):
        return [list(v) if isinstance(v, Pair) else v for v in value]
    return value
