"""Where lines go: the journal's form or plain words, a file that stays small, and nobody floods either."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from locstream.errors import LocstreamError
from locstreamd.service import logs
from locstreamd.service.logs import FILE, QUOTA, WINDOW_S, Gate, Logs, is_journal, log, logs_folder

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\w+) +([\w.-]+): (.*)")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """See that nothing stays behind in the logging of this process."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), log.level, threading.excepthook)
    yield
    assert (root.level, list(root.handlers), log.level, threading.excepthook) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def file_lines(folder: Path) -> list[str]:
    return (folder / FILE).read_text("utf-8").splitlines()


def test_a_line_goes_to_the_stream_and_to_the_file(folder: Path) -> None:
    shown = io.StringIO()
    with Logs(folder, shown):
        log.info("ready at %d frames/s", 100)
    assert shown.getvalue() == "INFO     ready at 100 frames/s\n"
    (line,) = file_lines(folder)
    when, level, name, text = LINE.fullmatch(line).groups()
    assert (level, name, text) == ("INFO", "locstream", "ready at 100 frames/s")
    age = datetime.now(UTC) - datetime.fromisoformat(when)
    assert timedelta(0) <= age < timedelta(minutes=1), "UTC"


def test_nothing_is_taken_after_the_context(folder: Path) -> None:
    shown = io.StringIO()
    with Logs(folder, shown):
        pass
    log.error("too late")
    assert shown.getvalue() == ""
    assert file_lines(folder) == []


def test_in_the_journal_every_line_has_its_priority(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with path.open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        with Logs(folder, stream):
            log.info("ready")
            log.warning("late")
            log.error("%s", LocstreamError("the disk is full", safe="12 frames", todo="make room"))
            logging.getLogger("h5py").critical("no")
    assert path.read_text().splitlines() == [
        "<6>ready", "<4>late", "<3>the disk is full", "<3>  Safe: 12 frames", "<3>  Next: make room", "<2>h5py: no",
    ]  # fmt: skip


def test_a_stream_beside_the_journal_is_not_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:4711")
    with (tmp_path / "elsewhere").open("w") as stream:
        assert not is_journal(stream)
    assert not is_journal(io.StringIO())


def test_without_a_journal_none_is_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert not is_journal(sys.__stderr__)


def test_lines_of_one_message_cannot_be_taken_for_another(folder: Path) -> None:
    with Logs(folder, io.StringIO()):
        log.error("first\n2026-01-01T00:00:00.000Z INFO     locstream: forged")
    lines = file_lines(folder)
    assert [bool(LINE.fullmatch(line)) for line in lines] == [True, False]
    assert lines[1].startswith("    2026-01-01")


def test_other_libraries_are_heard_from_warnings_on(folder: Path) -> None:
    shown = io.StringIO()
    with Logs(folder, shown):
        logging.getLogger().setLevel(logging.DEBUG)  # as pymmcore-plus does when it is imported
        other = logging.getLogger("some.package")
        other.setLevel(logging.DEBUG)
        other.debug("noise")
        other.info("noise")
        other.warning("worth it")
        log.debug("ours, and too small")
    assert shown.getvalue() == "WARNING  some.package: worth it\n"
    assert len(file_lines(folder)) == 1


def test_pymmcore_does_not_say_everything_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from locstreamd.record import mmcore

    twin = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("pymmcore-plus")
    kept = [h for h in logger.handlers if type(h) is not logging.StreamHandler]
    logger.addHandler(twin)
    shown = io.StringIO()
    with Logs(folder, shown):
        logger.warning("a device is slow (%s)", mmcore.DEVICE_INTERFACE)
    assert shown.getvalue().count("a device is slow") == 1
    assert capsys.readouterr().err == ""
    assert logger.handlers == kept


class Target(logging.Handler):
    """Keeps the text of what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Clock:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(name: str, text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, (), None)


def test_a_library_that_floods_is_cut_and_counted() -> None:
    target, clock = Target(), Clock()
    gate = Gate(target, clock=clock)
    for i in range(10_000):
        gate.handle(record("camera", f"{i}"))
    gate.handle(record("other", "still heard"))
    assert target.texts == [str(i) for i in range(QUOTA)] + ["still heard"]
    clock.now += WINDOW_S
    gate.handle(record("camera", "again"))
    assert target.texts[-2:] == ["9,980 more messages of this library within a minute were left out", "again"]


def test_what_was_left_out_is_told_at_the_end() -> None:
    target = Target()
    gate = Gate(target)
    for i in range(QUOTA + 3):
        gate.handle(record("camera", f"{i}"))
    gate.close()
    assert target.texts[-1] == "3 more messages of this library within a minute were left out"
    gate.close()
    assert len(target.texts) == QUOTA + 1, "told once"


def test_our_own_lines_are_never_left_out() -> None:
    target = Target()
    gate = Gate(target)
    for i in range(10 * QUOTA):
        gate.handle(record("locstream.stacks", f"{i}"))
    assert len(target.texts) == 10 * QUOTA
    gate.handle(record("locstreamer", "a name that only begins like ours", logging.INFO))
    assert len(target.texts) == 10 * QUOTA


def test_the_file_cannot_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2_000)
    monkeypatch.setattr(logs, "FILES_KEPT", 3)
    with Logs(folder, io.StringIO()):
        for i in range(500):
            log.info("line %04d %s", i, "x" * 40)
    files = sorted(folder.iterdir())
    assert [p.name for p in files] == [FILE, f"{FILE}.1", f"{FILE}.2", f"{FILE}.3"]
    assert all(p.stat().st_size <= 2_000 for p in files)
    assert "line 0499" in file_lines(folder)[-1]


def test_it_goes_on_where_it_was(folder: Path) -> None:
    for word in ("one", "two"):
        with Logs(folder, io.StringIO()):
            log.info(word)
    assert [LINE.fullmatch(line)[4] for line in file_lines(folder)] == ["one", "two"]


def test_a_disk_that_refuses_is_complained_of_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()
    with Logs(folder, shown) as running:
        full = monkeypatch.context()
        with full as patch:
            patch.setattr(running._file, "stream", Full())
            for _ in range(50):
                log.info("during")
        log.info("after")
    assert capsys.readouterr().err.count("cannot be written: [Errno 28]") == 1
    assert shown.getvalue().count("during") == 50
    assert "after" in file_lines(folder)[-1], "it is tried again"


class Full(io.StringIO):
    """A file on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocstreamError, match=r"the log file .* cannot be written") as caught:
        Logs(tmp_path / "file" / "logs")
    assert caught.value.todo


def test_a_python_warning_is_logged(folder: Path) -> None:
    shown = io.StringIO()
    with Logs(folder, shown), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "py.warnings: " in shown.getvalue()
    assert "DeprecationWarning: old" in shown.getvalue()


def test_what_ends_a_thread_is_logged(folder: Path) -> None:
    shown = io.StringIO()

    def fail() -> None:
        raise RuntimeError("the camera is gone")

    with Logs(folder, shown):
        thread = threading.Thread(target=fail, name="capture")
        thread.start()
        thread.join()
    assert "CRITICAL the thread capture was ended by" in shown.getvalue()
    assert "RuntimeError: the camera is gone" in "\n".join(file_lines(folder))


def test_what_ends_the_process_goes_to_the_file_as_well(folder: Path) -> None:
    """Python prints the traceback, or the command the sentence: neither is said twice on stderr."""
    shown = io.StringIO()
    with pytest.raises(ZeroDivisionError), Logs(folder, shown):
        _ = 1 / 0
    with pytest.raises(LocstreamError), Logs(folder, shown):
        raise LocstreamError("the camera does not answer", todo="switch it on")
    with pytest.raises(KeyboardInterrupt), Logs(folder, shown):
        raise KeyboardInterrupt
    assert shown.getvalue() == ""
    lines = file_lines(folder)
    begins = [match.groups()[1:] for line in lines if (match := LINE.fullmatch(line))]
    assert begins == [("CRITICAL", "locstream", "ended by"), ("ERROR", "locstream", "the camera does not answer")]
    assert "    ZeroDivisionError: division by zero" in lines
    assert lines[-1] == "      Next: switch it on"


def test_systemd_says_where_logs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGS_DIRECTORY", "/var/log/locstream:/var/log/other")
    assert logs_folder(tmp_path) == Path("/var/log/locstream")
    monkeypatch.delenv("LOGS_DIRECTORY")
    assert logs_folder(tmp_path) == tmp_path
