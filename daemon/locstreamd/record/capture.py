"""The capture thread: takes frames from a source and hands them on; knows cameras and nothing of fitting."""

from __future__ import annotations

import queue
import threading

import zmq

from locstream.errors import LocstreamError
from locstream.stacks.source import Frame, FrameSource

READ_TIMEOUT_S = 0.05
HANDOVER_TIMEOUT_S = 0.1


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
    """

    def __init__(self, source: FrameSource, context: zmq.Context[zmq.Socket[bytes]], capacity: int = 64) -> None:
        self.source = source
        self.fault: LocstreamError | None = None
        self._context = context
        self._queue: queue.Queue[Frame] = queue.Queue(capacity)
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.doorbell = context.socket(zmq.PULL)
        self.doorbell.rcvhwm = 1
        self.doorbell.linger = 0
        self._address = f"inproc://capture-{id(self)}"
        self.doorbell.bind(self._address)

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

    def answer_doorbell(self) -> None:
        """Take the wake-ups that have been rung."""
        while self.doorbell.poll(0):
            self.doorbell.recv()

    def close(self) -> None:
        """End the thread, dropping what nobody took, and give the source back."""
        self._abandon.set()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self.source.close()
        self.doorbell.close()

    def _run(self) -> None:
        with self._context.socket(zmq.PUSH) as bell:
            bell.sndhwm = 1
            bell.linger = 0
            bell.connect(self._address)
            try:
                self._drain(bell)
            except LocstreamError as fault:
                self.fault = fault
            self._ring(bell)

    def _drain(self, bell: zmq.Socket[bytes]) -> None:
        stopped = False
        while not self.source.exhausted and not self._abandon.is_set():
            if self._stop.is_set() and not stopped:
                self.source.stop()
                stopped = True
            frame = self.source.read(READ_TIMEOUT_S)
            if frame is not None:
                self._hand_over(frame, bell)

    def _hand_over(self, frame: Frame, bell: zmq.Socket[bytes]) -> None:
        while not self._abandon.is_set():
            try:
                self._queue.put(frame, timeout=HANDOVER_TIMEOUT_S)
            except queue.Full:
                continue
            self._ring(bell)
            return

    @staticmethod
    def _ring(bell: zmq.Socket[bytes]) -> None:
        """Wake the acquisition loop; a bell that rings already is enough."""
        if bell.poll(0, zmq.POLLOUT):
            bell.send(b"", zmq.NOBLOCK)
