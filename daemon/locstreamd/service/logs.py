"""Where the service writes what it does: stderr in the journal's own form, and a file that cannot grow without end."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from locstream.errors import LocstreamError

OURS = "locstream"
FILE = "locstream.log"
FILE_BYTES = 5_000_000
FILES_KEPT = 5
QUOTA = 20
"""Lines that the logger of another library may write a minute; the rest is counted."""
WINDOW_S = 60.0

PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Levels as syslog numbers them."""

log = logging.getLogger(OURS)


def logs_folder(state: Path) -> Path:
    """Return systemd's LOGS_DIRECTORY, or the state folder."""
    given = os.environ.get("LOGS_DIRECTORY")
    return Path(given.split(":")[0]) if given else state


class Logs:
    """Takes what is logged in this process while the context lasts.

    Our own loggers are heard from INFO on; those of other libraries from WARNING on, whatever level they or somebody
    else set (pymmcore-plus opens the root logger for DEBUG), and no more than `QUOTA` lines a minute each. Python's
    warnings and what ends a thread are logged too; what ends the process goes to the file as well as to stderr.

    Parameters
    ----------
    folder
        Where the file lies; made where it is missing.
    stream
        Where lines go while somebody looks on.

    Raises
    ------
    LocstreamError
        The file cannot be written.
    """

    def __init__(self, folder: Path, stream: TextIO | None = None) -> None:
        stream = stream if stream is not None else sys.stderr
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = _LogFile(folder / FILE)
        except OSError as error:
            raise LocstreamError(
                f"the log file {folder / FILE} cannot be written: {error.strerror}",
                safe="nothing was started",
                todo="give this user a folder for it: LOGS_DIRECTORY, or --state",
            ) from error
        shown = logging.StreamHandler(stream)
        shown.setFormatter(_JournalFormatter() if is_journal(stream) else _PlainFormatter())
        self._gate = Gate(shown, self._file)
        self._levels = (logging.getLogger().level, log.level)
        self._thread_hook = threading.excepthook

    def __enter__(self) -> Self:
        root = logging.getLogger()
        root.addHandler(self._gate)
        root.setLevel(logging.WARNING)
        log.setLevel(logging.INFO)
        _silence_twins()
        logging.captureWarnings(True)
        threading.excepthook = _log_thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, LocstreamError):  # the command prints it
            self._file.handle(log.makeRecord(OURS, logging.ERROR, "", 0, "%s", (error,), None))
        elif error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):  # Python prints it
            self._file.handle(
                log.makeRecord(OURS, logging.CRITICAL, "", 0, "ended by", (), (type(error), error, trace))
            )
        threading.excepthook = self._thread_hook
        logging.captureWarnings(False)
        root = logging.getLogger()
        root.removeHandler(self._gate)
        for logger, level in zip((root, log), self._levels, strict=True):
            logger.setLevel(level)
        self._gate.close()


class Gate(logging.Handler):
    """Lets through what should be read, to every target.

    Parameters
    ----------
    targets
        Handlers that write.
    clock
        Seconds, for the quota.
    """

    def __init__(self, *targets: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._targets = targets
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to every target, or leave it out."""
        ours = record.name.split(".")[0] == OURS
        if record.levelno < (logging.INFO if ours else logging.WARNING):
            return
        if not ours:
            window = self._windows.setdefault(record.name, _Window())
            left_out = window.turn(self._clock())
            if left_out:
                self._hand_on(_note(record.name, left_out))
            if not window.admits():
                return
        self._hand_on(record)

    def close(self) -> None:
        """Say what was left out, and close the targets."""
        for name, window in self._windows.items():
            if window.left_out:
                self._hand_on(_note(name, window.left_out))
        self._windows.clear()
        for target in self._targets:
            target.close()
        super().close()

    def _hand_on(self, record: logging.LogRecord) -> None:
        for target in self._targets:
            target.handle(record)


class _Window:
    """What one logger has written in the minute that runs."""

    def __init__(self) -> None:
        self.left_out = 0
        self._written = 0
        self._began = float("-inf")

    def turn(self, now: float) -> int:
        """Begin another minute if it is time; return what was left out in the one before."""
        if now - self._began < WINDOW_S:
            return 0
        left_out, self.left_out, self._written, self._began = self.left_out, 0, 0, now
        return left_out

    def admits(self) -> bool:
        self._written += 1
        if self._written > QUOTA:
            self.left_out += 1
        return self._written <= QUOTA


def _note(name: str, left_out: int) -> logging.LogRecord:
    text = "%s more messages of this library within a minute were left out"
    return log.makeRecord(name, logging.WARNING, "", 0, text, (f"{left_out:,}",), None)


class _LogFile(logging.handlers.RotatingFileHandler):
    """The file. A disk that refuses is complained of once, on stderr, and tried again with every line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        self.setFormatter(_FileFormatter())
        self._complained = False

    def emit(self, record: logging.LogRecord) -> None:
        self._failed = False
        super().emit(record)
        self._complained = self._failed

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - overrides logging.Handler.handleError
        self._failed = True
        if not self._complained:
            print(f"the log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)


class _PlainFormatter(logging.Formatter):
    """A level word, and the library where it is not ours."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname:<8} {_named(record, super().format(record))}"


class _JournalFormatter(logging.Formatter):
    """The priority before every line, as sd-daemon(3) says; the journal has time and program itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in _named(record, super().format(record)).splitlines())


class _FileFormatter(logging.Formatter):
    """UTC time, level, logger; further lines are indented, so that every line at the margin begins a message."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        first, *more = super().format(record).splitlines() or [""]
        return "\n".join([f"{when} {record.levelname:<8} {record.name}: {first}", *(f"    {line}" for line in more)])


def _named(record: logging.LogRecord, text: str) -> str:
    return text if record.name == OURS else f"{record.name}: {text}"


def is_journal(stream: TextIO) -> bool:
    """Say whether a stream is the journal: JOURNAL_STREAM names the device and inode of it, see systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _silence_twins() -> None:
    """Take away the handler by which pymmcore-plus writes to stderr in a form of its own: it would say all twice."""
    logger = logging.getLogger("pymmcore-plus")
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.removeHandler(handler)


def _log_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "?"
    log.critical("the thread %s was ended by", name, exc_info=args.exc_value)
