"""The capture thread: takes frames from a source and hands them on; knows cameras and nothing of fitting."""

from __future__ import annotations

import queue
import threading

import zmq

from locstream.errors import LocstreamError
from locstream.stacks.source import Frame, FrameSource
from locstreamd.record.doorbell import Doorbell
from locstreamd.record.restarts import CameraStoppedError, Restarts

READ_TIMEOUT_S = 0.05
HANDOVER_TIMEOUT_S = 0.1
PATIENCE_S = 10.0
"""How long a driver may take to give the camera back."""


class Capture:
    """Drains a source in a thread of its own into a short, bounded queue.

    When nobody takes frames the thread waits with a frame in hand: a camera then fills its own buffer,
    which overflows loudly, and a stack on disk is simply read later.

    Parameters
    ----------
    source
        Where frames come from; started and closed here.
    context
        The context of the acquisition; a wake-up is sent on `doorbell` whenever a frame is waiting.
    capacity
        Frames that may wait in the queue.
    restarts
        How often a camera that stops unasked is started again.
    """

    def __init__(
        self, source: FrameSource, context: zmq.Context[zmq.Socket[bytes]], capacity: int = 64, restarts: int = 0
    ) -> None:
        self.source = source
        self.fault: LocstreamError | None = None
        self._queue: queue.Queue[Frame] = queue.Queue(capacity)
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self.restarts = Restarts(source, restarts, self._stop)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.doorbell = Doorbell(context)

    def start(self) -> None:
        """Start the source, then the thread. Raises what the source raises."""
        self.source.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask the source for no more frames; what it has queued still comes."""
        self._stop.set()

    def take(self) -> Frame | None:
        """Return a waiting frame, or None. Never blocks."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    @property
    def finished(self) -> bool:
        """True once the thread has ended and every frame was taken."""
        return not self._thread.is_alive() and self._queue.empty()

    @property
    def waiting(self) -> int:
        """Frames in the queue."""
        return self._queue.qsize()

    @property
    def capacity(self) -> int:
        """Frames that may wait in the queue."""
        return self._queue.maxsize

    def close(self) -> None:
        """End the thread, dropping what nobody took, and give the source back.

        A camera's driver that never returns is left alone with its thread; the source is then not closed.
        """
        self._abandon.set()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=PATIENCE_S)
        if not self._thread.is_alive():
            self.source.close()
        self.doorbell.close()

    def _run(self) -> None:
        try:
            self._drain()
        except LocstreamError as fault:
            self.fault = fault
        self._ring()

    def _drain(self) -> None:
        stopped = False
        while not self.source.exhausted and not self._abandon.is_set():
            if self._stop.is_set() and not stopped:
                self.source.stop()
                stopped = True
            frame = self._read()
            if frame is not None:
                self.restarts.see(frame)
                self._hand_over(frame)

    def _read(self) -> Frame | None:
        try:
            return self.source.read(READ_TIMEOUT_S)
        except CameraStoppedError as fault:
            self.restarts.after(fault)
            return None

    def _hand_over(self, frame: Frame) -> None:
        while not self._abandon.is_set():
            try:
                self._queue.put(frame, timeout=HANDOVER_TIMEOUT_S)
            except queue.Full:
                continue
            self._ring()
            return

    def _ring(self) -> None:
        """Wake the acquisition loop, while there is somebody to wake."""
        if not self._abandon.is_set():
            self.doorbell.ring()
