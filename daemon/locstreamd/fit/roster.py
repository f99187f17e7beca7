"""Who works, who holds which frame, and which frames must be given out again."""

from __future__ import annotations

import heapq
from collections.abc import Container

from locstream.stacks.source import Image
from locstreamd.fit.member import Member
from locstreamd.fit.work import Join

WINDOW = 256
"""Frames that may be out or back ahead of the oldest one that is not settled: bounds what is held."""
UNDER_WAY_BYTES = 256_000_000
"""Pixels that may be with workers before those with a long way to go get no more than the others."""
ATTEMPTS = 3
"""A frame that so many workers were fitting when they were lost is marked failed, and the run goes on."""


class Roster:
    """The workers of an acquisition by their connection, and the frames that they hold.

    Parameters
    ----------
    spare_frames
        So many frames may be with workers before those with a long way to go get no more than the others.

    Attributes
    ----------
    members
        By the identity of their connection.
    """

    def __init__(self, spare_frames: int) -> None:
        self.members: dict[bytes, Member] = {}
        self._spare_frames = spare_frames
        self._joined = 0
        self._out: set[int] = set()
        self._again: list[tuple[int, Image]] = []
        self._attempts: dict[int, int] = {}
        self._blamed: dict[str, int] = {}

    @property
    def ready(self) -> list[Member]:
        """Those that are set up, with their kernels compiled."""
        return [member for member in self.members.values() if member.credits > 0]

    @property
    def credits(self) -> int:
        """Frames that all may hold together."""
        return sum(self._allowance(member) for member in self.members.values())

    @property
    def outstanding(self) -> int:
        """Frames that are with a worker or must be given out again."""
        return len(self._out) + len(self._again)

    def add(self, identity: bytes, join: Join, user: str | None) -> None:
        """Take in a worker. One that is back was not killed by the frame that it held last."""
        self._joined += 1
        index = self._blamed.pop(join.instance, None)
        if index is not None and index in self._attempts:
            self._attempts[index] -= 1
        # A process of another computer is not ours to end, whatever its number.
        pid = join.pid if user is None else None
        self.members[identity] = Member(self._joined, pid, join.instance, join.lanes, join.vectors, user)

    def connections_of(self, identity: bytes, instance: str) -> list[bytes]:
        """Return the identities of the connections of a worker that introduces itself, perhaps not for the first time.

        Parameters
        ----------
        identity
            Of the connection by which it does.
        instance
            What it calls itself; "" for one that does not say.
        """
        return [
            known
            for known, member in self.members.items()
            if known == identity or (instance and member.instance == instance)
        ]

    def of_pids(self, pids: Container[int | None]) -> list[bytes]:
        """Return the identities of workers by their process."""
        return [identity for identity, member in self.members.items() if member.pid in pids]

    def free(self) -> bytes | None:
        """Return the worker that is to have the next frame: of those with credit, who holds least and is nearest."""
        found = [
            (len(member.holds), member.round_trip_s, identity)
            for identity, member in self.members.items()
            if len(member.holds) < self._allowance(member)
        ]
        return min(found)[2] if found else None

    def give(self, identity: bytes, index: int, image: Image) -> None:
        """Note that a worker has got a frame."""
        self.members[identity].give(index, image)
        self._out.add(index)

    def settle(self, member: Member, index: int, fit_s: float | None) -> bool:
        """Note that a worker has finished a frame, or refused it (None); False where it was another's by then."""
        if not member.settle(index, fit_s):
            return False
        self._out.discard(index)
        self._attempts.pop(index, None)
        return True

    def lose(self, identity: bytes, *, blame: bool) -> tuple[Member, int | None]:
        """Take the frames of a worker back.

        Parameters
        ----------
        identity
            Whose.
        blame
            Whether the frame that it was fitting, the first that it held, may have been its end.

        Returns
        -------
        tuple
            The worker, and the index of the frame that is given to nobody any more, if it is one.
        """
        member = self.members.pop(identity)
        failed = None
        for position, (index, held) in enumerate(member.holds.items()):
            self._out.discard(index)
            if blame and not position and self._blame(member, index):
                failed = index
            else:
                self.put_back(index, held.image)
        return member, failed

    def put_back(self, index: int, image: Image) -> None:
        """Have a frame given out again, before all others."""
        heapq.heappush(self._again, (index, image))

    def again(self) -> tuple[int, Image] | None:
        """Return the oldest frame that must be given out again, if there is one."""
        return heapq.heappop(self._again) if self._again else None

    def _blame(self, member: Member, index: int) -> bool:
        """Count a lost worker against a frame; return whether it has lost enough."""
        self._attempts[index] = self._attempts.get(index, 0) + 1
        if self._attempts[index] >= ATTEMPTS:
            del self._attempts[index]
            return True
        if member.pid is None and member.instance:
            self._blamed[member.instance] = index
        return False

    def _allowance(self, member: Member) -> int:
        return member.allowance(spare=len(self._out) < self._spare_frames)
