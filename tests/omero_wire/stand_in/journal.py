"""The store's transactions on disk, so that a server that died comes back with what was committed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .store import Pair, Quantity, Ref, Row, Store

JOURNAL = "store.jsonl"
TAGGED: dict[str, type[Ref] | type[Quantity]] = {"ref": Ref, "quantity": Quantity}


def open_journal(folder: Path, store: Store) -> None:
    """Bring a store to where the journal in a folder ends, and write every transaction there from now on."""
    path = folder / JOURNAL
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            store.replay([_change(change) for change in json.loads(line)])
    file = path.open("a", encoding="utf-8")

    def write(changes: list[tuple[Ref, Row | None]]) -> None:
        lines = [[*ref, None if row is None else {**asdict(row), "values": _coded(row.values)}] for ref, row in changes]
        file.write(json.dumps(lines) + "\n")
        file.flush()

    store.committed = write


def clear_journal(folder: Path) -> None:
    """Forget everything."""
    (folder / JOURNAL).unlink(missing_ok=True)


def _change(change: list[Any]) -> tuple[Ref, Row | None]:
    root, number, row = change
    return Ref(root, number), None if row is None else Row(**{**row, "values": _decoded(row["values"])})


def _coded(values: dict[str, Any]) -> dict[str, Any]:
    return {field: _code(value) for field, value in values.items()}


def _code(value: Any) -> Any:
    for tag, cls in TAGGED.items():
        if isinstance(value, cls):
            return {tag: list(value)}
    return {"pairs": [list(pair) for pair in value]} if isinstance(value, tuple) else value


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    return {field: _decode(value) if isinstance(value, dict) else value for field, value in values.items()}


def _decode(value: dict[str, Any]) -> Any:
    ((tag, parts),) = value.items()
    return tuple(Pair(*pair) for pair in parts) if tag == "pairs" else TAGGED[tag](*parts)
