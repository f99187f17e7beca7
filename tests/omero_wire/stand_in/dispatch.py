"""From a call on the wire to a method: counting, faults, the session, and what an error becomes.

The classes that Slice generates answer an operation that is not overridden with nothing at all, and the client of an
[amd] operation then waits for ever. `served` overrides every one of them: with the method of the same name where
there is one, else with an error that says so.
"""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import Ice
import omero
from omero.rtypes import unwrap

from .access import Caller
from .faults import Fault

if TYPE_CHECKING:
    from .server import Server
    from .sessions import Session


LONGEST = 1000
"""Characters of an argument that the log keeps."""


class Call:
    """One call: who makes it, with what context, over which connection."""

    def __init__(self, server: "Server", session: "Session | None", current: Any) -> None:
        self.server = server
        self.current = current
        self.context: dict[str, str] = dict(current.ctx or {})
        self._session = session

    @property
    def session(self) -> "Session":
        """The session it is made in."""
        assert self._session is not None
        return self._session

    def caller(self) -> Caller:
        """Return the user's view, in the group that the context or else the session names."""
        return self.session.caller(self.context)

    def writing(self) -> Caller:
        """Return the user's view with an event of its own, for a call that changes something."""
        return self.session.caller(self.context, event=True)


class Service:
    """What every servant knows. `locked` servants are called one at a time in the whole server.

    `joined` is the session it lives in, None for the router, which is there before anybody logs in.
    """

    locked = True

    def __init__(self, server: "Server", session: "Session | None" = None) -> None:
        self.server = server
        self.joined = session

    @property
    def session(self) -> "Session":
        """The session it lives in."""
        assert self.joined is not None
        return self.joined


def served(cls: Any) -> Any:
    """Make every operation of a servant's class either its method or a plain error."""
    for name, (operation, deferred, void) in _operations(cls).items():
        method = _method(cls, operation)
        setattr(cls, name, (_deferred if deferred else _direct)(cls.__name__, operation, method, void))
    return cls


def _operations(cls: Any) -> dict[str, tuple[str, bool, bool]]:
    found: dict[str, tuple[str, bool, bool]] = {}
    for base in cls.__mro__[1:]:
        for name, stub in vars(base).items():
            if not inspect.isfunction(stub) or not stub.__code__.co_filename.endswith("_ice.py"):
                continue
            if name.startswith(("ice_", "_")) or "current" not in inspect.signature(stub).parameters:
                continue
            operation = name.removesuffix("_async")
            found.setdefault(name, (operation, name.endswith("_async"), operation in _void(stub.__code__.co_filename)))
    return found


@cache
def _void(generated: str) -> frozenset[str]:
    """Return the operations in a generated file that answer nothing: their AMD callback takes no value."""
    text = Path(generated).read_text(encoding="utf-8")
    return frozenset(re.findall(r"_op_(\w+) = IcePy\.Operation\(.*, \(\), None, \([\w., ]*\)\)$", text, re.MULTILINE))


def _method(cls: Any, operation: str) -> Callable[..., Any] | None:
    for base in cls.__mro__:
        method = vars(base).get(operation)
        if inspect.isfunction(method) and not method.__code__.co_filename.endswith("_ice.py"):
            return method
    return None


def _direct(service: str, operation: str, method: Callable[..., Any] | None, void: bool) -> Callable[..., Any]:
    def dispatched(self: Any, *args: Any) -> Any:
        if method is not None and args and isinstance(args[0], Call):  # one method of ours calls another
            return method(self, *args)
        return _run(self, service, operation, method, args)

    return dispatched


def _deferred(service: str, operation: str, method: Callable[..., Any] | None, void: bool) -> Callable[..., Any]:
    def dispatched(self: Any, answer: Any, *args: Any) -> None:
        try:
            value = _run(self, service, operation, method, args)
        except Ice.Exception as error:
            answer.ice_exception(error)
        else:
            answer.ice_response(*(() if void else (value,)))

    return dispatched


def _run(self: Any, service: str, operation: str, method: Callable[..., Any] | None, args: tuple[Any, ...]) -> Any:
    *given, current = args
    session = self.joined
    fault = self.server.calls.incoming(service, operation, session.uuid if session else "", _shown(given))
    try:
        if fault is not None:
            _before(fault, session, current)
        if session is not None:
            if self.server.clients.get(current.con.toString()) is not session:
                raise Ice.ObjectNotExistException  # Glacier2 knows no session for this connection (`SessionRouterI`)
            session.touch(operation, dict(current.ctx or {}))
        if method is None:
            raise omero.InternalException(message=f"the stand-in server does not know {service}.{operation}")
        call = Call(self.server, session, current)
        if self.locked:
            with self.server.lock:
                value = method(self, call, *given)
        else:
            value = method(self, call, *given)
    except Ice.Exception:
        raise
    except Exception as error:  # OMERO's server wraps whatever a service throws so, and its log has the rest
        traceback.print_exc(file=sys.stderr)
        raise omero.InternalException(message=f" Wrapped Exception: ({type(error).__name__}):\n{error}") from error
    if fault is not None:
        _after(fault, current)
    return value


def _before(fault: Fault, session: "Session | None", current: Any) -> None:
    if fault.do == "kill" and session is not None:
        session.close()
        raise omero.RemovedSessionException(message=f"No session with uuid: {session.uuid}")
    if fault.do == "drop_before":
        current.con.close(True)
        raise Ice.ConnectionLostException
    if fault.do == "die_before":
        os._exit(1)
    if fault.do == "raise":
        raise _exception(fault)


def _after(fault: Fault, current: Any) -> None:
    if fault.do == "drop_after":
        current.con.close(True)
    if fault.do == "die_after":
        os._exit(1)
    if fault.do == "raise_after":
        raise _exception(fault)


def _exception(fault: Fault) -> Exception:
    module, _, name = fault.exception.rpartition(".")
    cls = getattr(sys.modules[module], name)
    if not issubclass(cls, Ice.Exception):
        raise TypeError(f"{fault.exception} cannot cross the wire")
    made: Exception = cls()
    for text in ("message", "reason"):
        if hasattr(made, text):
            setattr(made, text, fault.message)
    return made


def _shown(args: list[Any]) -> str:
    """Return arguments for the log: what a person looks for, never the whole of a large one."""
    return ", ".join(_short(arg) for arg in args)


def _short(value: Any) -> str:
    if value is None or isinstance(value, str | int | float):
        text = str(value)
        return text if len(text) < LONGEST else f"{text[:LONGEST]}…"
    if isinstance(value, bytes | bytearray | list | tuple | dict):
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, omero.sys.Parameters):
        return str({name: unwrap(found) for name, found in (value.map or {}).items()})[:LONGEST]
    if isinstance(value, omero.model.IObject):
        return f"{type(value).__name__.removesuffix('I')}:{unwrap(value.getId())}"
    return f"<{type(value).__name__}>"
