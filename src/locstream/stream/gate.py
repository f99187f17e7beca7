"""Who is let in: the ZAP handler (ZeroMQ RFC 27) of a context, and what an admitted peer may do.

libzmq asks once, when a peer connects. What a peer may do is therefore looked up again with every message that
carries its name (`user_of`); and because a subscriber sends none, whose admission was taken back is cut off by
binding the endpoint anew (`rebind`): that closes every connection, and those who may come back at once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from locstream.errors import LocstreamError
from locstream.stream.keys import Admitted, Keyring, Role, secure_server

ZAP = "inproc://zeromq.zap.01"
POLL_MS = 100
REBIND_S = 2.0
DOMAINS: Mapping[str, frozenset[Role]] = {
    "stream": frozenset({Role.VIEW, Role.CONTROL}),
    "history": frozenset({Role.VIEW, Role.CONTROL}),
    "control": frozenset({Role.VIEW, Role.CONTROL}),
    "work": frozenset({Role.WORK}),
}
"""Which roles may connect to which kind of socket."""
VERBS: Mapping[str, frozenset[Role]] = {"status": frozenset({Role.VIEW, Role.CONTROL})}
"""Who may ask for what; verbs that are not here need `Role.CONTROL`."""


class Gate:
    """The ZAP handler of one context, in a thread of its own; use it as a context manager.

    Parameters
    ----------
    context
        Of the sockets to guard; there may be one gate a context.
    keyring
        The server's keys, and who is admitted.

    Attributes
    ----------
    refused
        How many were refused, by reason: ``unknown key`` (or revoked), ``role``, ``mechanism``, ``handshake`` (no
        CURVE, or for another server's key).
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keyring: Keyring) -> None:
        self.refused: Counter[str] = Counter()
        self._pair = keyring.server()
        self._admitted = Admitted(keyring)
        self._context = context
        self._inside: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()  # of what the thread and its owner both look at
        self._monitors: list[zmq.Socket[bytes]] = []
        self._stop = threading.Event()
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ZAP)
        self._thread = threading.Thread(target=self._run, name="zap", daemon=True)

    def guard(self, socket: zmq.Socket[bytes], domain: str) -> None:
        """Have what `socket` binds from now on admit only who may. To be called before `start`.

        What it has bound before stays open to all who can reach it: ipc in the private folder.
        """
        if domain not in DOMAINS:
            raise ValueError(f"{domain!r} is none of {', '.join(DOMAINS)}")
        secure_server(socket, self._pair, domain)
        failures = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        self._monitors.append(socket.get_monitor_socket(failures))

    def start(self) -> None:
        """Begin to answer; until then whoever connects waits."""
        self._thread.start()

    def may(self, user: str | None, verb: str) -> bool:
        """Return whether a user may ask for something now; None is a local one, who may all."""
        if user is None:
            return True
        with self._lock:
            return self._admitted.role_of(user) in VERBS.get(verb, frozenset({Role.CONTROL}))

    def take_gone(self) -> set[str]:
        """Return who was let in and may be there no longer, each once: their connections are to be cut."""
        with self._lock:
            gone = {
                (name, domain)
                for (name, domain), key in self._inside.items()
                if self._admitted.name_of(key) != name or self._admitted.role_of(name) not in DOMAINS[domain]
            }
            for left in gone:
                del self._inside[left]
        return {name for name, _ in gone}

    def close(self) -> None:
        """End the thread. Sockets that were guarded admit nobody from then on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for socket in (*self._monitors, self._socket):
            socket.close(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._socket, *self._monitors):
            poller.register(socket, zmq.POLLIN)
        while not self._stop.is_set():
            for socket, _ in poller.poll(POLL_MS):
                if socket is self._socket:
                    self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
                elif parse_monitor_message(socket.recv_multipart())["event"] != zmq.EVENT_MONITOR_STOPPED:
                    self.refused["handshake"] += 1

    def _answer(self, request: list[bytes]) -> list[bytes]:
        """Return the answer to a request of libzmq: version, id, domain, address, identity, mechanism, credentials."""
        version, number, domain, _, _, mechanism, *credentials = request
        user, reason = self._decide(domain.decode("ascii", "replace"), mechanism, credentials)
        if reason:
            self.refused[reason] += 1
            return [version, number, b"400", reason.encode("ascii"), b"", b""]
        return [version, number, b"200", b"", user.encode("ascii"), b""]

    def _decide(self, domain: str, mechanism: bytes, credentials: list[bytes]) -> tuple[str, str]:
        """Return the name of who may come in and "", or "" and the reason why not."""
        if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
            return "", "mechanism"
        key = z85.encode(credentials[0]).decode("ascii")
        with self._lock:
            name = self._admitted.name_of(key)
            if name is None:
                return "", "unknown key"
            if self._admitted.role_of(name) not in DOMAINS.get(domain, frozenset()):
                return "", "role"
            self._inside[name, domain] = key
        return name, ""


def user_of(frame: zmq.Frame) -> str | None:
    """Return under which name the sender of a message was admitted; None where its endpoint is not guarded."""
    try:
        name = frame.get("User-Id")
    except zmq.ZMQError:
        return None
    return str(name)


def rebind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Close every connection to a bound endpoint, and bind it again.

    Raises
    ------
    LocstreamError
        Another program has taken the port meanwhile.
    """
    socket.unbind(endpoint)
    deadline = time.monotonic() + REBIND_S
    while True:
        try:
            socket.bind(endpoint)
            return
        except zmq.ZMQError as error:  # libzmq closes the old listener in its own time
            if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                raise LocstreamError(f"{endpoint} cannot be bound again: {error.strerror}") from error
        time.sleep(0.005)
