"""A run in processes of its own that asks for keys on loopback, and the keys to it."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from locstream.stream.client import Client, connect
from locstream.stream.endpoints import port_after
from locstream.stream.keys import ClientKeys, Keyring, Role
from own_keys import keys_of
from spawned_run import SpawnedRun

PORTS = range(20_000, 30_000)
"""Below those that the kernel gives away by itself."""
SETTINGS = """
[simulation]
width = 64
height = 64
frames = 1_000_000
exposure_ms = 20.0
emitters_per_frame = 10
[workers]
count = 1
"""
"""Goes on until somebody stops it."""


def free_ports(count: int) -> int:
    """Return a port that is free on loopback, with those after it."""
    chance = random.Random()
    while True:
        first = chance.randrange(PORTS.start, PORTS.stop)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class KeyedRun(SpawnedRun):
    """A run of `SETTINGS` that asks for keys.

    Parameters
    ----------
    folder
        An empty folder for everything.
    keyring
        With a server key; see `own_keys`.
    listen
        The setting ``stream.listen`` and what goes with it.
    """

    def __init__(self, folder: Path, keyring: Keyring, listen: str = '"tcp://127.0.0.1:{port}"\nkeys = true') -> None:
        self.keyring = keyring
        port = free_ports(3)
        self.stream = f"tcp://127.0.0.1:{port}"
        super().__init__(folder, f"{SETTINGS}\n[stream]\nlisten = {listen.format(port=port)}\n")

    @property
    def history(self) -> str:
        """Where it is asked for rows from before."""
        return port_after(self.stream, 1) or ""

    @property
    def control(self) -> str:
        """Where it is asked for its status, and told to stop."""
        return port_after(self.stream, 2) or ""

    def keys(self, name: str, role: Role = Role.VIEW) -> ClientKeys:
        """Make keys for somebody and admit them."""
        return keys_of(self.keyring, name, role)

    def client(self, keys: ClientKeys | None, start: int | None = 0, timeout_s: float | None = 60.0) -> Client:
        """Connect as somebody on another computer would: with the address of the stream and keys."""
        return connect(self.stream, start=start, keys=keys, timeout_s=timeout_s)
