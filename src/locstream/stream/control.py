"""Ask a running acquisition something, or ask it to stop."""

from __future__ import annotations

import itertools

import zmq

from locstream.errors import LocstreamError
from locstream.stream.messages import CONTROL_REPLIES, Reply, Request
from locstream.stream.wire import pack

_ids = itertools.count(1)


def ask(endpoint: str, verb: str, timeout_s: float = 5.0, *, name: str = "", frames: int | None = None) -> Reply:
    """Send one request and return the reply.

    Parameters
    ----------
    endpoint
        Address of the control socket, from the connection file.
    verb
        ``status``, ``start``, ``stop`` or ``abort``.
    timeout_s
        How long to wait for the answer, s.
    name, frames
        For ``start``: the name of the acquisition, and after how many frames it ends.

    Raises
    ------
    LocstreamError
        No answer in time, or the answer is no.
    MessageError
        The answer is not a message of this protocol.
    """
    request = Request(id=next(_ids), verb=verb, name=name, frames=frames)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send_multipart(pack(request))
        while True:
            if not socket.poll(int(timeout_s * 1000)):
                raise LocstreamError(
                    f"the acquisition at {endpoint} did not answer {verb!r} within {timeout_s:g} s",
                    safe="what is recorded stays recorded; nothing was changed",
                    todo="try again; if it stays silent, look at the terminal or the log of the acquisition",
                )
            reply, _ = CONTROL_REPLIES.unpack(list(socket.recv_multipart()))
            if reply.id == request.id:
                break
    if not reply.ok:
        raise LocstreamError(f"the acquisition refused {verb!r}: {reply.message}")
    return reply
