"""Who is let in: the ZAP handler (ZeroMQ RFC 27) of a context, and what an admitted peer may do.

libzmq asks once, when a peer connects. What a peer may do is therefore looked up again with every message that
carries its name (`user_of`); and because a subscriber sends none, whose admission was taken back (`Gate.take_gone`)
is cut off by binding the endpoint anew: that closes every connection, and those who may come back at once.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import NamedTuple, Self

import zmq
from zmq.utils import z85

from locstream.stream.admitted import Admitted
from locstream.stream.arrivals import MOST, arrived
from locstream.stream.keys import Keyring, Role, secure_server

ZAP = "inproc://zeromq.zap.01"
POLL_MS = 100
DOMAINS: Mapping[str, frozenset[Role]] = {
    "stream": frozenset({Role.VIEW, Role.CONTROL}),
    "history": frozenset({Role.VIEW, Role.CONTROL}),
    "control": frozenset({Role.VIEW, Role.CONTROL}),
    "work": frozenset({Role.WORK}),
}
"""Which roles may connect to which kind of socket."""
VERBS: Mapping[str, frozenset[Role]] = {
    "status": frozenset({Role.VIEW, Role.CONTROL}),
    "fetch": frozenset({Role.VIEW, Role.CONTROL}),
    "work": frozenset({Role.WORK}),
}
"""Who may ask for what; verbs that are not here need `Role.CONTROL`."""
HANDSHAKE_MS = 5_000
"""Who connects and says nothing is sent away after so long: each holds a file descriptor."""
MOST_EVENTS = 1_000
KINDS = 32
"""Refusals that are told apart until somebody takes them; more are counted together."""
WATCHED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_MONITOR_STOPPED


_numbers = itertools.count()


class Refusal(NamedTuple):
    """Something that somebody was not let do.

    Parameters
    ----------
    domain
        At which kind of socket, one of `DOMAINS`.
    reason
        See `Gate.refused`; ``request`` for one who was let in and asked for what they may not.
    who
        Name and address as far as they are known; "" where they are not.
    """

    domain: str
    reason: str
    who: str


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
        self._refusals: Counter[Refusal] = Counter()
        self._lock = threading.Lock()  # of what the thread and its owner both look at
        self._monitors: dict[zmq.Socket[bytes], str] = {}
        self._guarded: list[zmq.Socket[bytes]] = []
        self._stop = threading.Event()
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ZAP)
        self._thread = threading.Thread(target=self._run, name="zap", daemon=True)

    def guard(self, socket: zmq.Socket[bytes], domain: str) -> None:
        """Have what `socket` binds from now on admit only who may.

        What it has bound before stays open to all who can reach it: ipc in the private folder. `release` it before it
        is closed.
        """
        if domain not in DOMAINS:
            raise ValueError(f"{domain!r} is none of {', '.join(DOMAINS)}")
        secure_server(socket, self._pair, domain)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        endpoint = f"inproc://handshakes-{next(_numbers)}"
        socket.monitor(endpoint, WATCHED)
        self._guarded.append(socket)
        monitor = self._context.socket(zmq.PAIR)
        # libzmq's own thread writes to it and would wait for us, with all its sockets: a flood of handshakes must not.
        monitor.rcvhwm = 0
        monitor.connect(endpoint)
        with self._lock:
            self._monitors[monitor] = domain

    def release(self, socket: zmq.Socket[bytes]) -> None:
        """Watch the handshakes of a socket no longer."""
        self._guarded.remove(socket)
        if not socket.closed:
            socket.disable_monitor()

    def start(self) -> None:
        """Begin to answer; until then whoever connects waits."""
        self._thread.start()

    def why_not(self, user: str | None, verb: str) -> str:
        """Return why a user may not ask for something now; "" where they may. None is a local one, who may all."""
        if user is None:
            return ""
        with self._lock:
            role = self._admitted.role_of(user)
        needed = VERBS.get(verb, frozenset({Role.CONTROL}))
        if role is None:
            return f"{user} is admitted no longer"
        if role not in needed:
            return f"{user} is admitted with the role {role}; {verb} needs {' or '.join(sorted(needed))}"
        return ""

    def take_gone(self) -> set[tuple[str, str]]:
        """Return who was let in and may be there no longer, with the domain, each once.

        Their connections are to be cut.
        """
        with self._lock:
            gone = {
                (name, domain)
                for (name, domain), key in self._inside.items()
                if self._admitted.name_of(key) != name or self._admitted.role_of(name) not in DOMAINS[domain]
            }
            for left in gone:
                del self._inside[left]
        return gone

    def count(self, refusal: Refusal, times: int = 1) -> None:
        """Count a refusal: of the gate's own, or of whoever has asked `why_not`."""
        with self._lock:
            self.refused[refusal.reason] += times
            if refusal not in self._refusals and len(self._refusals) >= KINDS:
                refusal = refusal._replace(who="others")
            self._refusals[refusal] += times

    def take_refusals(self) -> Counter[Refusal]:
        """Return what was refused since the last call."""
        with self._lock:
            found, self._refusals = self._refusals, Counter()
        return found

    def close(self) -> None:
        """End the thread. Sockets that were guarded admit nobody from then on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        # None may be closed that is still written to: libzmq's own thread would wait for a reader for ever.
        for guarded in list(self._guarded):
            self.release(guarded)
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
        poller.register(self._socket, zmq.POLLIN)
        watched: dict[zmq.Socket[bytes], str] = {}
        while not self._stop.is_set():
            with self._lock:
                new = self._monitors.keys() - watched.keys()
                watched.update((monitor, self._monitors[monitor]) for monitor in new)
            for monitor in new:
                poller.register(monitor, zmq.POLLIN)
            for socket, _ in poller.poll(POLL_MS):
                if socket is self._socket:
                    self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
                    continue
                events = [int.from_bytes(event[:2], sys.byteorder) for event, _ in arrived(socket, MOST_EVENTS)]
                if failures := len(events) - events.count(zmq.EVENT_MONITOR_STOPPED):
                    self.count(Refusal(watched[socket], "handshake", ""), failures)
                if failures < len(events):
                    poller.unregister(socket)
                    del watched[socket]
                    with self._lock:
                        del self._monitors[socket]
                    socket.close(linger=0)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        """Return the answer to a request of libzmq: version, id, domain, address, identity, mechanism, credentials."""
        version, number, area, address, _, mechanism, *credentials = request
        domain = area.decode("ascii", "replace")
        user, reason = self._decide(domain, mechanism, credentials)
        if reason:
            self.count(Refusal(domain, reason, " at ".join(filter(None, (user, address.decode("ascii", "replace"))))))
            return [version, number, b"400", reason.encode("ascii"), b"", b""]
        return [version, number, b"200", b"", user.encode("ascii"), b""]

    def _decide(self, domain: str, mechanism: bytes, credentials: list[bytes]) -> tuple[str, str]:
        """Return the name of who asks, "" for a stranger, and why they may not come in, "" where they may."""
        if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
            return "", "mechanism"
        key = z85.encode(credentials[0]).decode("ascii")
        with self._lock:
            name = self._admitted.name_of(key)
            if name is None:
                return "", "unknown key"
            if self._admitted.role_of(name) not in DOMAINS.get(domain, frozenset()):
                return name, "role"
            self._inside[name, domain] = key
        return name, ""


def user_of(frame: zmq.Frame) -> str | None:
    """Return under which name the sender of a message was admitted; None where its endpoint is not guarded."""
    try:
        name = frame.get("User-Id")
    except zmq.ZMQError:
        return None
    return str(name)


def heard(socket: zmq.Socket[bytes], most: int = MOST) -> Iterator[tuple[str | None, list[zmq.Frame]]]:
    """Yield the messages that wait at a ROUTER, `most` of them at most, with who sent them; never waits.

    Parameters
    ----------
    socket
        The ROUTER; the first frame of each message is the sender's identity.
    most
        What is beyond stays in the socket's queue, and beyond that with the sender.
    """
    for _ in range(most):
        if not socket.poll(0):
            return
        frames = socket.recv_multipart(copy=False)
        yield user_of(frames[-1]), frames
