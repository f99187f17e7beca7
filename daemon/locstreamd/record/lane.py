"""The record lane: source → capture → stack on disk. Never drops a frame silently; stops loudly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import zmq

from locstream.errors import LocstreamError
from locstream.stacks.source import Frame, FrameSource, Image
from locstream.stream.stages import Queue
from locstreamd.record.capture import Capture
from locstreamd.record.frame_index import FrameIndex
from locstreamd.record.intervals import IntervalWatch
from locstreamd.record.recording import Recording
from locstreamd.record.restarts import CameraEvent

FRAMES_A_TURN = 64
POLL_MS = 20


class RecordLane:
    """Takes frames from a source, notes each in the index, and has each written to the stack.

    Parameters
    ----------
    source
        Where frames come from; started and closed here.
    context
        The context of the acquisition.
    restarts
        How often a camera that stops unasked is started again.
    """

    def __init__(self, source: FrameSource, context: zmq.Context[zmq.Socket[bytes]], restarts: int = 0) -> None:
        self.index = FrameIndex()
        self.intervals = IntervalWatch()
        self._disk_fault: LocstreamError | None = None
        self._context = context
        self._source = source
        self._capture = Capture(source, context, restarts=restarts)
        self._recording: Recording | None = None
        self._reread: Callable[[int], Image] | None = None
        self._camera_fault: LocstreamError | None = None

    def record_to(self, path: Path, endpoint: str, limit_bytes: int, *, fsync: bool) -> None:
        """Write every frame to a stack at `path`. Raises `LocstreamError` where it cannot be created."""
        info = self._source.info
        self._recording = Recording(
            path,
            info.height,
            info.width,
            index=self.index,
            endpoint=endpoint,
            context=self._context,
            limit_bytes=limit_bytes,
            fsync=fsync,
        )

    def reread_from(self, read: Callable[[int], Image]) -> None:
        """Take the source's own stack as the one on disk; nothing is recorded again."""
        self._reread = read

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Sockets that say when there is something to do."""
        return [self._capture.doorbell.socket] + ([self._recording.socket] if self._recording is not None else [])

    @property
    def finished(self) -> bool:
        """True once the source gives no more frames and all that came were taken in."""
        return self.abandoned or self._capture.finished

    @property
    def fault(self) -> LocstreamError | None:
        """What ended the lane unasked: the disk, or the camera once all its frames were taken in."""
        return self._disk_fault or self._camera_fault or (self._capture.fault if self._capture.finished else None)

    @property
    def abandoned(self) -> bool:
        """True where nothing more will be recorded: the disk has failed, or the camera does not come back."""
        return self._disk_fault is not None or self._camera_fault is not None

    @property
    def paced(self) -> bool:
        """True where frames come at the source's own rate, whether anybody takes them or not."""
        return self._source.paced

    @property
    def can_read_back(self) -> bool:
        """True where frames can be had from disk again."""
        return self._recording is not None or self._reread is not None

    @property
    def on_disk(self) -> int:
        """Frames, in order, that can be read back now."""
        return len(self.index) if self._reread is not None else self.index.written

    @property
    def recorder_deaths(self) -> int:
        """How often the recorder has died and another has taken over."""
        return 0 if self._recording is None else self._recording.deaths

    @property
    def busy_s(self) -> float:
        """Time that was spent writing the stack, s."""
        return 0.0 if self._recording is None else self._recording.busy_s

    @property
    def suspected_drops(self) -> int:
        """Frames that seem to be missing by their times; a source that waits has no pace to be late for."""
        return self.intervals.suspected if self.paced else 0

    @property
    def camera_restarts(self) -> int:
        """How often the camera was started again."""
        return self._capture.restarts.used

    def camera_events(self) -> list[CameraEvent]:
        """Return what has happened to the camera since the last call."""
        events = self._capture.restarts.events
        return [events.popleft() for _ in range(len(events))]

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Frames that wait to be taken in, and to be written."""
        frame_bytes = 2 * self._source.info.height * self._source.info.width
        waiting = self._capture.waiting
        captured = Queue("capture", waiting, self._capture.capacity, waiting * frame_bytes)
        if self._recording is None:
            return (captured,)
        unwritten = self._recording.unwritten
        return captured, Queue("recorder", unwritten, self._recording.capacity, unwritten * frame_bytes)

    def start(self) -> None:
        """Start the camera. Raises what the source raises."""
        self._capture.start()

    def stop(self) -> None:
        """Ask the camera for no more frames."""
        self._capture.stop()

    def give_up_camera(self, after_s: float) -> None:
        """Wait no longer for a camera that has not stopped within `after_s`; frames it still gives are not taken."""
        self._camera_fault = LocstreamError(
            f"the camera did not stop within {after_s:g} s; it was left as it is",
            safe="every frame that came is recorded",
            todo="switch the camera off and on before the next acquisition",
        )

    def rest(self) -> Iterator[Frame]:
        """Stop the camera, and give what it still had, recorded, until there is nothing more; waits for it."""
        self.stop()
        poller = zmq.Poller()
        for socket in self.sockets:
            poller.register(socket, zmq.POLLIN)
        while not self.finished:
            poller.poll(POLL_MS)
            yield from self.intake()

    def intake(self) -> list[Frame]:
        """Take the frames that wait, note and record each."""
        self.listen()
        taken: list[Frame] = []
        while len(taken) < FRAMES_A_TURN and not self.abandoned and not self._disk_behind:
            frame = self._capture.take()
            if frame is None:
                break
            self.index.add(frame.number, frame.time_s)
            self.intervals.see(frame.number, frame.time_s)
            if self._recording is not None:
                self._recording.hand_over(frame.image)
            taken.append(frame)
        return taken

    def listen(self) -> None:
        """Hear the recorder out; a disk that fails stops the camera, and what is written stays."""
        self._capture.doorbell.answer()
        if self._recording is None or self._disk_fault is not None:
            return
        try:
            self._recording.receive()
        except LocstreamError as fault:
            self._disk_fault = fault
            self._capture.stop()

    def read(self, index: int) -> Image:
        """Read a frame back from disk. Raises `StackError`."""
        if self._reread is not None:
            return self._reread(index)
        if self._recording is None:
            raise LookupError("nothing is recorded")
        return self._recording.read(index)

    def finish(self) -> int | None:
        """Have the stack completed and closed; return its number of pages, None where none is recorded.

        Raises
        ------
        LocstreamError
            The disk failed on the last frames.
        """
        return None if self._recording is None or self._disk_fault is not None else self._recording.finish()

    def close(self) -> None:
        """Give the camera back and end the recorder."""
        self._capture.close()
        if self._recording is not None:
            self._recording.close()

    @property
    def _disk_behind(self) -> bool:
        return self._recording is not None and self._recording.full
