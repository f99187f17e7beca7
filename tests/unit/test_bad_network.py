"""The bad network of the tests is as bad as it is told to be, and no worse."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bad_network import BadNetwork

PATIENCE_S = 60.0


def echo(listener: socket.socket) -> None:
    """Give everybody back what they send, until the listener is shut down."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo_one, args=(connection,), daemon=True).start()


def echo_one(connection: socket.socket) -> None:
    with connection:
        try:
            while piece := connection.recv(1_000):
                connection.sendall(piece)
        except OSError:
            return


@pytest.fixture(params=["tcp", "ipc"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "echo"))
        listener.listen()
        endpoint = f"ipc://{tmp_path}/echo"
    thread = threading.Thread(target=echo, args=(listener,))
    thread.start()
    yield endpoint
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def call(network: BadNetwork) -> socket.socket:
    host, port = network.endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


def receive(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes, or those before the connection was cut."""
    got = b""
    try:
        while len(got) < count and (piece := connection.recv(count - len(got))):
            got += piece
    except ConnectionResetError:
        pass
    return got


def test_bytes_come_back_as_they_were_sent(target: str) -> None:
    sent = random.Random(1).randbytes(3_000_000)
    with BadNetwork(target) as network, call(network) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        assert receive(connection, len(sent)) == sent
        sender.join()
        assert (network.connections, network.cuts) == (1, 0)


def test_a_connection_is_cut_after_its_bytes(target: str) -> None:
    with BadNetwork(target, cut_after_bytes=(500, 1_500)) as network:
        lengths = []
        for _ in range(5):
            with call(network) as connection:
                connection.sendall(bytes(100))
                assert receive(connection, 100) == bytes(100)
                connection.sendall(bytes(1_000))
                lengths.append(len(receive(connection, 2_000)))
        assert network.cuts == 5
        assert max(lengths) < 1_000
        network.calm()
        with call(network) as connection:
            connection.sendall(bytes(10_000))
            assert receive(connection, 10_000) == bytes(10_000)


def test_what_is_delayed_does_not_come_earlier(target: str) -> None:
    with BadNetwork(target, delay_s=0.1) as network, call(network) as connection:
        before = time.monotonic()
        connection.sendall(b"there and back")
        assert receive(connection, 14) == b"there and back"
        assert time.monotonic() - before >= 0.2


def test_cutting_stalling_and_refusing(target: str) -> None:
    with BadNetwork(target) as network:
        with call(network) as connection:
            connection.sendall(b"1")
            assert receive(connection, 1) == b"1"
            network.stall(True)
            connection.sendall(b"2")
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(PATIENCE_S)
            network.stall(False)
            assert receive(connection, 1) == b"2"
            network.cut()
            assert receive(connection, 1) == b""
        network.refuse(True)
        with call(network) as connection:
            assert receive(connection, 1) == b""
        network.refuse(False)
        with call(network) as connection:
            connection.sendall(b"3")
            assert receive(connection, 1) == b"3"
        assert (network.connections, network.cuts) == (2, 1)


def test_nobody_behind_it_is_like_nobody_there(tmp_path: Path) -> None:
    with BadNetwork(f"ipc://{tmp_path}/nobody") as network, call(network) as connection:
        assert receive(connection, 1) == b""
        assert network.connections == 0
