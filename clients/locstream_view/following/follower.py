"""The thread that receives: it waits for an acquisition, follows it, and waits for the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import zmq

from locstream.errors import LocstreamError
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D
from locstream.results.reader import BLOCK_ROWS, ResultsReader
from locstream.stream.events import Began, Ended, Rows
from locstream.stream.link import Link
from locstream.stream.messages import Hello, Status, row_dtype
from locstream_view.following.rows_in_order import RowsInOrder
from locstream_view.following.run_files import files_here
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, Found, LiveTarget, Target
from locstream_view.model.model import KEEP_ROWS, ViewModel

POLL_S = 0.05
LOOK_S = 0.5
HISTORY_S = 6.0
"""After so long without the rows from before, those that come are shown without them."""
SILENT_S = 4.0
"""A running acquisition says its status twice a second; after so long a silence something is wrong."""


class Follower(threading.Thread):
    """Follows a target and feeds a model; read `seen` from any thread, at any time.

    Rows come once and in order. Those that were published before, or were lost on the way, are read from the growing
    file where that is on this computer; else they are fetched from the acquisition's history
    (`locstream.stream.joining`).

    Parameters
    ----------
    target
        What to follow.
    keep_rows
        Rows that stay in memory, see `ViewModel`.
    prepare
        Called with each new model before its first row: to choose filters and colours.
    """

    def __init__(
        self, target: Target, keep_rows: int = KEEP_ROWS, prepare: Callable[[ViewModel], None] = lambda model: None
    ) -> None:
        super().__init__(name="follow", daemon=True)
        words = str(target.path) if isinstance(target, FileTarget) else target.words
        self.seen = Seen("waiting", words)
        self.target = target
        self._keep_rows = keep_rows
        self._prepare = prepare
        self._ending = threading.Event()
        self._ended = ""
        self._rows: RowsInOrder | None = None
        self._history_failed = False
        self._rows_at = 0.0
        self._heard_at = time.monotonic()

    def run(self) -> None:
        """Follow until `close`."""
        while not self._ending.is_set():
            try:
                if isinstance(self.target, FileTarget):
                    self._follow_file(self.target)
                else:
                    self._follow_stream(self.target)
            except LocstreamError as error:
                self.seen = replace(self.seen, trouble=str(error))
                self._ending.wait(LOOK_S)
        if self._rows is not None:
            self._rows.close()

    def close(self) -> None:
        """End the thread and wait for it. Safe to call twice."""
        self._ending.set()
        if self.is_alive():
            self.join()

    def _follow_file(self, target: FileTarget) -> None:
        """Show a file, and what is appended to it while it grows."""
        with ResultsReader(target.path) as reader:
            header = reader.header
            dtype = LOCALIZATION_3D if header.depth else LOCALIZATION
            model = self._model(header.width, header.height, header.pixel_size_nm, dtype)
            self.seen = Seen("file", str(target.path), model, files=target.files)
            read = frames = 0
            while not self._ending.is_set():
                reader.refresh()
                while read < reader.n_rows and not self._ending.is_set():
                    rows = reader.rows(read, read + BLOCK_ROWS)
                    model.add(rows)
                    read += len(rows)
                if reader.n_frames != frames and reader.last_frame is not None:
                    frames = reader.n_frames
                    model.add(reader.rows(0, 0), reader.last_frame)
                if not model.step():
                    self._ending.wait(POLL_S)

    def _follow_stream(self, target: LiveTarget) -> None:
        """Find a stream and follow it; when it has ended or gone, the picture stays until there is another."""
        found = target.look()
        if found is None or found.acquisition == self._ended != "":
            self._idle()
            return
        self._heard_at = self._rows_at = time.monotonic()
        # Here the file has what came before: the history is left to those who cannot read it.
        here = bool(found.acquisition)
        unasked = here or self._history_failed
        endpoints = found.endpoints._replace(history=None, control=None) if unasked else found.endpoints
        with closing(Link(endpoints, None if here else 0, None, target.keys)) as link:
            poller = zmq.Poller()
            for socket in link.sockets:
                poller.register(socket, zmq.POLLIN)
            while not self._ending.is_set():
                poller.poll(int(1000 * POLL_S))
                link.turn()
                if not self._take(link, found) or self._gone(link, target, found):
                    return
                if endpoints.history is not None and self._waits_in_vain(link):
                    self._history_failed = True
                    return
                self._step()

    def _take(self, link: Link, found: Found) -> bool:
        """Take what a link has brought; return whether to stay with it."""
        while link.events:
            self._heard_at = time.monotonic()
            match link.events.popleft():
                case Began(hello=hello) if hello is not None:
                    if self._history_failed and self._is_another(hello):
                        self._history_failed = False  # of this one it may well be had
                        return False
                    self._begin(hello, found)
                case Began():
                    return False  # who subscribes anew is greeted, and told what this is
                case Rows(row_first=row_first, table=table) if self._rows is not None:
                    self._rows.offer(row_first, table)
                    self._rows_at = time.monotonic()
                case Ended() as ended if self._rows is not None:
                    self._ended = ended.acquisition
                    self._rows.fill(ended.rows)
                    self._rows.close()
                    self.seen = replace(self.seen, phase="ended", end=ended.end, missing_rows=self._rows.missing)
                    if found.acquisition == ended.acquisition:
                        return False  # its stream ends with it
        if link.status is not None and link.status is not self.seen.status:
            self._take_status(link.status)
        return True

    def _is_another(self, hello: Hello) -> bool:
        """Return whether an acquisition is not the one that was followed before."""
        return self.seen.hello is not None and self.seen.hello.acquisition != hello.acquisition

    def _take_status(self, status: Status) -> None:
        hello = self.seen.hello
        if hello is None or self._rows is None or status.acquisition != hello.acquisition:
            return
        self._heard_at = time.monotonic()
        self._rows.files = self._rows.files or files_here(hello)  # at its very beginning it had none yet
        self.seen = replace(
            self.seen,
            phase="ended" if hello.acquisition == self._ended else "following",
            status=status,
            silent_s=0.0,
            trouble="",
            missing_rows=self._rows.missing,
            files=self._rows.files,
        )

    def _waits_in_vain(self, link: Link) -> bool:
        """Return whether rows are being published and none comes, because the history does not give those before."""
        if link.status is None or self._rows is None or link.status.localizations <= self._rows.next_row:
            self._rows_at = time.monotonic()
        now = time.monotonic()
        return now - self._rows_at > HISTORY_S and now - self._heard_at < SILENT_S  # it lives, and gives none

    def _gone(self, link: Link, target: LiveTarget, found: Found) -> bool:
        """Note a silence; return whether to look for the stream anew."""
        silent_s = time.monotonic() - self._heard_at
        if silent_s < SILENT_S:
            return False
        if self.seen.phase in ("following", "silent"):
            self.seen = replace(self.seen, phase="silent", silent_s=silent_s)
        # One that was killed said no end: the link waits for its last rows, while the next is under way already.
        heard, hello = link.status, self.seen.hello
        another = heard is not None and hello is not None and heard.acquisition not in ("", hello.acquisition)
        return another or target.look() != found

    def _idle(self) -> None:
        """Nothing to follow: keep the picture up to date with its filters, and look again soon."""
        if self.seen.phase in ("following", "silent"):
            self.seen = replace(self.seen, phase="silent", silent_s=time.monotonic() - self._heard_at)
        if self.seen.trouble:
            self.seen = replace(self.seen, trouble="")
        deadline = time.monotonic() + LOOK_S
        while time.monotonic() < deadline and not self._ending.is_set():
            self._step()
            self._ending.wait(POLL_S)

    def _begin(self, hello: Hello, found: Found) -> None:
        """An acquisition has introduced itself: begin a new picture, with what its file holds already."""
        if self._rows is not None:
            self._rows.close()
        files = files_here(hello)
        model = self._model(hello.width, hello.height, hello.pixel_size_nm, row_dtype(hello))
        self._rows = RowsInOrder(hello.acquisition, files, model.add)
        self.seen = Seen("following", hello.name, model, hello, endpoints=found.endpoints, files=files)
        if found.acquisition:
            self._rows.fill()

    def _model(self, width: int, height: int, pixel_size_nm: float, dtype: np.dtype[np.void]) -> ViewModel:
        model = ViewModel(width, height, pixel_size_nm, dtype=dtype, keep_rows=self._keep_rows)
        self._prepare(model)
        return model

    def _step(self) -> None:
        if self.seen.model is not None:
            self.seen.model.step()
