"""How a dead line to another computer is noticed."""

from __future__ import annotations

import zmq

IDLE_S = 5
INTERVAL_S = 1
PROBES = 3
UNANSWERED_MS = 8_000


def notice_dead_lines(socket: zmq.Socket[bytes]) -> None:
    """Have the kernel end a connection that is dead for about 8 s, so that libzmq makes another.

    libzmq's own heartbeats are no choice for a program that may pause: when its queue is full and the other side goes
    away, the next heartbeat aborts the program (libzmq 4.3.5, issues 3937, 4364 and 4767).

    Parameters
    ----------
    socket
        Not connected yet. Only tcp is affected; of ipc the kernel knows at once.
    """
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, IDLE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, INTERVAL_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, PROBES)
    socket.setsockopt(zmq.TCP_MAXRT, UNANSWERED_MS)
