"""What goes wrong on purpose, as a file in the server's folder says, and the list of calls as they came in.

The file is read again before a call whenever it was replaced, and calls are counted from then on. Calls that clients
make on a clock of their own are not counted, so that a number always means the same call.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FAULTS, CALLS = "faults.json", "calls.jsonl"
UNCOUNTED = frozenset(("keepAlive", "keepAllAlive", "getResponse", "getStatus", "refreshSession", "addProxies"))
ACTIONS = frozenset(("kill", "drop_before", "drop_after", "raise", "raise_after", "die_before", "die_after"))


@dataclass(frozen=True)
class Fault:
    """One thing that happens at one call.

    Attributes
    ----------
    at : int
        Number of the call, from 1, among those that count for this fault.
    do : str
        One of ACTIONS.
    call : str
        Count only calls of this name, such as IUpdate.saveObject; empty: all.
    exception, message : str
        What `raise` and `raise_after` answer, such as omero.InternalException.
    times : int
        For how many calls in a row; 0 for all that follow.
    """

    at: int
    do: str
    call: str = ""
    exception: str = "omero.InternalException"
    message: str = "so asked for by a test"
    times: int = 1

    def hits(self, number: int) -> bool:
        """Whether it happens at the call with this number."""
        return number >= self.at and (self.times == 0 or number < self.at + self.times)


@dataclass
class Conditions:
    """What the file says besides: how the server is, until the file says otherwise."""

    faults: list[Fault] = field(default_factory=list)
    tables: bool = True
    idle_timeout_s: float = 600.0
    disk_bytes: int | None = None
    wrong_checksums: bool = False
    import_error: str = ""
    corrupt_write: int = 0


class Calls:
    """Counts and writes down every call, and says what shall happen at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._counts: dict[Fault, int] = {}
        self._number = 0
        self.conditions = Conditions()
        self._log = (folder / CALLS).open("a", encoding="utf-8")

    def incoming(self, service: str, operation: str, session: str, arguments: str) -> Fault | None:
        """Note a call; return the fault that hits it, or None."""
        name = f"{service}.{operation}"
        with self._lock:
            self._read()
            counted = operation not in UNCOUNTED
            if counted:
                self._number += 1
            line = {"n": self._number if counted else None, "call": name, "session": session, "args": arguments}
            self._log.write(json.dumps({**line, "time_s": round(time.time(), 3)}) + "\n")
            self._log.flush()
            if not counted:
                return None
            hit = None
            for fault in self.conditions.faults:
                if fault.call in ("", name):
                    self._counts[fault] = self._counts.get(fault, 0) + 1
                    if hit is None and fault.hits(self._counts[fault]):
                        hit = fault
            return hit

    def now(self) -> Conditions:
        """Return how the server is by the file as it is now."""
        with self._lock:
            self._read()
            return self.conditions

    def clear(self) -> None:
        """Forget every call and every fault."""
        with self._lock:
            (self._folder / FAULTS).unlink(missing_ok=True)
            self._log.truncate(0)
            self._read()
            self._number = 0

    def _read(self) -> None:
        try:
            state = (self._folder / FAULTS).stat()
        except FileNotFoundError:
            stamp = None
        else:
            stamp = (state.st_ino, state.st_mtime_ns)
        if stamp == self._stamp:
            return
        self._stamp, self._counts, self._number = stamp, {}, 0
        said: dict[str, Any] = {} if stamp is None else json.loads((self._folder / FAULTS).read_text())
        faults = [Fault(**fault) for fault in said.pop("faults", [])]
        if unknown := {fault.do for fault in faults} - ACTIONS:
            raise ValueError(f"{FAULTS}: no such action: {', '.join(sorted(unknown))}")
        self.conditions = Conditions(faults=faults, **said)
