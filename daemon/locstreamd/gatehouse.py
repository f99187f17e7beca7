"""The sockets of one process at which keys are asked for, and their gate.

There is one in each process that listens: the daemon's for control and work, the publisher's for the stream and its
history. It is made with its context and costs nothing until something listens.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import zmq

from locstream.errors import ConfigError, LocstreamError
from locstream.stream.gate import Gate, Refusal
from locstream.stream.keys import Keyring
from locstream.stream.liveness import notice_dead_lines

LOOK_S = 0.5
"""How often to look whether somebody's admission was taken back."""
BIND_S = 2.0
"""libzmq closes a socket in its own time: so long a port may still be taken by the one before."""


@dataclass
class _Door:
    domain: str
    open: set[str] = field(default_factory=set)
    shut: set[str] = field(default_factory=set)
    """Endpoints that were unbound to cut somebody off, and are to be bound again."""


class Gatehouse:
    """Listens for those who have a key. Used from one thread, and never waits for a client.

    Parameters
    ----------
    context
        Of the sockets.
    keyring
        The server's keys, and who is admitted; None for this user's.

    Attributes
    ----------
    admitted
        How many were admitted to anything when the first socket listened.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keyring: Keyring | None = None) -> None:
        self.admitted = 0
        self._context = context
        self._keyring = keyring
        self._gate: Gate | None = None
        self._doors: dict[zmq.Socket[bytes], _Door] = {}
        self._gone: dict[str, set[str]] = {}
        self._looked_at = 0.0

    def listen(self, socket: zmq.Socket[bytes], domain: str, endpoint: str) -> None:
        """Bind a socket for those who are admitted to `domain`.

        What it has bound before stays open to all who can reach it; what it binds from now on asks for keys.

        Parameters
        ----------
        socket
            Of the context; `release` it before it is closed.
        domain
            One of `locstream.stream.gate.DOMAINS`.
        endpoint
            tcp, with a port.

        Raises
        ------
        ConfigError
            This computer has no server key.
        LocstreamError
            The endpoint cannot be bound.
        """
        if self._gate is None:
            self._gate = self._open_gate()
        door = self._doors.get(socket)
        if door is None:
            self._gate.guard(socket, domain)
            notice_dead_lines(socket)
            door = self._doors[socket] = _Door(domain)
        socket.ipv6 = "[" in endpoint
        deadline = time.monotonic() + BIND_S
        while (problem := _bind(socket, endpoint)) is not None:
            if problem.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                self.release(socket)
                raise LocstreamError(
                    f"the {domain} socket cannot be bound to {endpoint}: {problem.strerror}",
                    safe="nothing was acquired",
                    todo="give an address of this computer and a port that nobody uses, perhaps another run does; "
                    "`locstream doctor CONFIG.toml` looks at all of them",
                ) from problem
            time.sleep(0.01)
        door.open.add(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def release(self, socket: zmq.Socket[bytes]) -> None:
        """Look after a socket no longer: it will be closed. One that does not listen here is left as it is."""
        if self._doors.pop(socket, None) is not None and self._gate is not None:
            self._gate.release(socket)

    def endpoints(self, socket: zmq.Socket[bytes]) -> set[str]:
        """Return where a socket listens here."""
        door = self._doors.get(socket)
        return set() if door is None else door.open | door.shut

    def refuse(self, domain: str, user: str | None, verb: str) -> str:
        """Return why a user may not ask for something now, and count it; "" where they may.

        Parameters
        ----------
        domain
            Where they ask.
        user
            Under which name they were admitted; None for the local user, who may all.
        verb
            What they ask for, see `locstream.stream.gate.VERBS`.
        """
        if self._gate is None or not (why_not := self._gate.why_not(user, verb)):
            return ""
        self._gate.count(Refusal(domain, "request", user or ""))
        return why_not

    def take_refusals(self) -> Mapping[Refusal, int]:
        """Return what was refused since the last call."""
        return {} if self._gate is None else self._gate.take_refusals()

    def take_gone(self, domain: str) -> set[str]:
        """Return the names of those who were cut off from `domain` since the last call."""
        return self._gone.pop(domain, set())

    def tend(self) -> None:
        """Cut off those whose admission was taken back; the others are back in a moment. Never waits."""
        if self._gate is None:
            return
        for socket, door in self._doors.items():
            door.open |= {endpoint for endpoint in door.shut if _bind(socket, endpoint) is None}
            door.shut -= door.open
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        for name, domain in self._gate.take_gone():
            self._gone.setdefault(domain, set()).add(name)
            for socket, door in self._doors.items():
                if door.domain == domain:
                    for endpoint in door.open:
                        socket.unbind(endpoint)
                    door.shut |= door.open
                    door.open.clear()

    def close(self) -> None:
        """End the gate. Sockets that it guarded admit nobody from then on."""
        for socket in list(self._doors):
            self.release(socket)
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    def _open_gate(self) -> Gate:
        keyring = self._keyring or Keyring()
        if not keyring.has_server:
            raise ConfigError(
                f"who connects from another computer needs a key, and this one has none itself ({keyring.folder})",
                safe="nothing was started",
                todo="`locstream keys server` makes it; then `locstream keys new NAME --role view` for who may watch",
            )
        self.admitted = len(keyring.admitted())
        gate = Gate(self._context, keyring)
        gate.start()
        return gate


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> zmq.ZMQError | None:
    """Bind, and return what was in the way, if anything."""
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        return error
    return None
