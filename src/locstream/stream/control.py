"""Ask a running acquisition something, or ask it to stop."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import zmq

from locstream.errors import LocstreamError
from locstream.stream.endpoints import endpoints
from locstream.stream.keys import ClientKeys
from locstream.stream.messages import CONTROL_REPLIES, Reply, Request
from locstream.stream.sockets import client_socket, connect, key_refused, refusals_of
from locstream.stream.wire import pack

_ids = itertools.count(1)


def control_endpoint(where: str | Path, keys: ClientKeys | None = None) -> str:
    """Return where requests are answered.

    Parameters
    ----------
    where
        What `locstream.connect` takes: a name or id, a connection file, or the endpoint of a stream.
    keys
        With them, the endpoint of a stream tells where its control is: two ports behind it.

    Raises
    ------
    LocstreamError
        Nothing of that name runs; a stream's endpoint is given without keys.
    """
    found = endpoints(where, guarded=keys is not None).control
    if found is None:
        raise LocstreamError(
            f"{where} gives the stream alone, and requests are answered elsewhere",
            todo="give the name of the acquisition on its own computer; from another one, a file of keys",
        )
    return found


def ask(
    endpoint: str,
    verb: str,
    timeout_s: float = 5.0,
    *,
    name: str = "",
    frames: int | None = None,
    keys: ClientKeys | None = None,
) -> Reply:
    """Send one request and return the reply.

    Parameters
    ----------
    endpoint
        Address of the control socket, from the connection file or from `control_endpoint`.
    verb
        ``status``, ``start``, ``stop`` or ``abort``.
    timeout_s
        How long to wait for the answer, s.
    name, frames
        For ``start``: the name of the acquisition, and after how many frames it ends.
    keys
        Where keys are asked for.

    Raises
    ------
    LocstreamError
        No answer in time, the key is refused, or the answer is no.
    MessageError
        The answer is not a message of this protocol.
    """
    request = Request(id=next(_ids), verb=verb, name=name, frames=frames)
    with zmq.Context() as context, client_socket(context, zmq.DEALER, endpoint, keys) as socket:
        refused = refusals_of(socket)
        try:
            connect(socket, endpoint)
            socket.send_multipart(pack(request))
            reply = _answer(socket, refused, endpoint, request, timeout_s)
        finally:
            socket.disable_monitor()
            refused.close(linger=0)
    if not reply.ok:
        raise LocstreamError(f"the acquisition refused {verb!r}: {reply.message}")
    return reply


def _answer(
    socket: zmq.Socket[bytes], refused: zmq.Socket[bytes], endpoint: str, request: Request, timeout_s: float
) -> Reply:
    """Wait for the answer to a request."""
    deadline = time.monotonic() + timeout_s
    while True:
        ready = dict(zmq.zmq_poll([(socket, zmq.POLLIN), (refused, zmq.POLLIN)], _ms_until(deadline)))
        if refused in ready:
            raise key_refused(endpoint)
        if not ready:
            raise LocstreamError(
                f"the acquisition at {endpoint} did not answer {request.verb!r} within {timeout_s:g} s",
                safe="what is recorded stays recorded; nothing was changed",
                todo="try again; if it stays silent, look at the terminal or the log of the acquisition. One on "
                "another computer answers only those who have a key and the server's own",
            )
        reply, _ = CONTROL_REPLIES.unpack(list(socket.recv_multipart()))
        if reply.id == request.id:
            return reply


def _ms_until(deadline: float) -> int:
    return max(0, int(1000 * (deadline - time.monotonic())))
