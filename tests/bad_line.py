"""Two computers on one, with a bad line between them: network namespaces, and packets that come late or never.

Each namespace has a TUN device; what one end sends is read here, held back for the delay, dropped at random, and
written to the other end. So TCP itself retransmits and gives up, as it would on a real line (a proxy that forwards
bytes, such as `bad_network`, hides that from both ends). It needs root on Linux, and says what is missing elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TUN = Path("/dev/net/tun")
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 9_000
"""Jumbo frames, as between cameras and computers: fewer packets for Python to move."""
LONGEST_QUEUE = 20_000
"""Packets on their way; beyond, a line drops them, too."""


class NotPossibleError(Exception):
    """This machine does not let us make network namespaces and TUN devices; the text says why."""


class BadLine:
    """Two network namespaces and the line between them; use it as a context manager.

    Parameters
    ----------
    delay_s
        How long a packet is on its way, s.
    loss
        Share of packets that get lost.
    seed
        Of the random numbers.

    Attributes
    ----------
    near, far
        Addresses of the two ends.
    cut
        While it is true nothing gets through and nobody is told, as when a cable is cut.
    packets, lost
        How many were sent, and how many of them got lost.

    Raises
    ------
    NotPossibleError
        By `__enter__`.
    """

    near, far = "10.77.13.1", "10.77.13.2"

    def __init__(self, *, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.cut = False
        self.packets = self.lost = 0
        self._delay_s, self._loss = delay_s, loss
        self._chance = random.Random(seed)
        self._names = {self.near: f"locstream-near-{os.getpid()}", self.far: f"locstream-far-{os.getpid()}"}
        self._ends: list[int] = []
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._bell = os.pipe()
        self._thread = threading.Thread(target=self._run, name="bad line", daemon=True)

    def at(self, address: str, *command: str | Path) -> list[str]:
        """Return the command that runs another one at one of the ends."""
        return ["ip", "netns", "exec", self._names[address], *(str(word) for word in command)]

    def __enter__(self) -> Self:
        if not TUN.exists():
            raise NotPossibleError(f"there is no {TUN}")
        with contextlib.ExitStack() as stack:
            stack.callback(self._take_down)
            for letter, (address, name) in zip("ab", self._names.items(), strict=True):
                device = f"ls{os.getpid()}{letter}"
                _ip("netns", "add", name)
                self._ends.append(_tun(device))
                _ip("link", "set", device, "netns", name)
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
                _ip("-n", name, "link", "set", device, "mtu", str(MTU), "up")
                _ip("-n", name, "link", "set", "lo", "up")
            self._thread.start()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take_down()

    def _take_down(self) -> None:
        os.close(self._bell[1])  # the thread reads an end of file
        if self._thread.is_alive():
            self._thread.join()
        for end in (*self._ends, self._bell[0]):
            os.close(end)
        for name in self._names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _run(self) -> None:
        ends, bell = self._ends, self._bell[0]
        while True:
            patience = max(0.0, self._under_way[0][0] - time.monotonic()) if self._under_way else None
            ready, _, _ = select.select([*ends, bell], [], [], patience)
            if bell in ready:
                return
            for end in ready:
                self._take(end, ends[1 - ends.index(end)])
            self._deliver()

    def _take(self, end: int, other: int) -> None:
        due = time.monotonic() + self._delay_s
        for _ in range(64):
            try:
                packet = os.read(end, MTU + 100)
            except BlockingIOError:
                return
            self.packets += 1
            if self.cut or self._chance.random() < self._loss or len(self._under_way) >= LONGEST_QUEUE:
                self.lost += 1
            else:
                heapq.heappush(self._under_way, (due, self.packets, other, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, end, packet = heapq.heappop(self._under_way)
            if self.cut:
                self.lost += 1
                continue
            with contextlib.suppress(BlockingIOError, OSError):  # what the other end has no room for is lost
                os.write(end, packet)


def _tun(device: str) -> int:
    """Make a TUN device and return what reads and writes its packets."""
    try:
        end = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    except OSError as error:
        raise NotPossibleError(f"{TUN}: {error.strerror}") from error
    return end


def _ip(*arguments: str) -> None:
    command: Sequence[str] = ["ip", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotPossibleError("`ip` is not installed (apt-get install iproute2)") from error
    if done.returncode:
        raise NotPossibleError(f"`{' '.join(command)}`: {done.stderr.strip()}")
