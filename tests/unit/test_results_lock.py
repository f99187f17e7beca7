"""One writer at a time, and none after a death."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from locstream.errors import ResultsError
from locstream.results.layout import live_path, lock_path
from locstream.results.lock import FileInUseError, WriterLock

HOLDER = """
import sys, pathlib
from locstream.results.lock import WriterLock
lock = WriterLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return live_path(tmp_path, "run")


def test_it_is_held_once_in_a_process_too(live: Path) -> None:
    with WriterLock(live), pytest.raises(FileInUseError, match=f"process {os.getpid()}"):
        WriterLock(live)
    assert not lock_path(live).exists()


def test_it_can_be_taken_again_after_release(live: Path) -> None:
    lock = WriterLock(live)
    lock.release()
    lock.release()
    with WriterLock(live):
        assert lock_path(live).read_text() == f"{os.getpid()}\n"


def test_whoever_looks_for_a_moment_is_waited_for(live: Path) -> None:
    looks = WriterLock(live)
    moment = threading.Timer(0.1, looks.release)
    moment.start()
    with WriterLock(live):
        assert lock_path(live).read_text() == f"{os.getpid()}\n"
    moment.join()


def test_two_names_are_two_locks(live: Path) -> None:
    with WriterLock(live), WriterLock(live.with_name("other.live.h5")):
        pass


def test_a_lock_file_without_a_holder_is_no_lock(live: Path) -> None:
    lock_path(live).write_text("4194304\nand more of an older, longer text\n")
    with WriterLock(live):
        assert lock_path(live).read_text() == f"{os.getpid()}\n"
    assert not lock_path(live).exists()


def test_a_lock_file_that_is_removed_while_it_is_taken_is_not_enough(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder before us removes the file between our open and our lock: a third one must not get in beside us."""
    opened = os.open
    removed: list[bool] = []

    def late(path: Path, *args: int) -> int:
        fd = opened(path, *args)
        if not removed:
            removed.append(True)
            path.unlink()
        return fd

    monkeypatch.setattr(os, "open", late)
    with WriterLock(live):
        monkeypatch.undo()
        assert lock_path(live).exists()
        with pytest.raises(FileInUseError):
            WriterLock(live)


def test_a_folder_that_cannot_be_written_is_told(live: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be locked") as caught:
        WriterLock(live.parent / "no" / live.name)
    assert not isinstance(caught.value, FileInUseError)


@pytest.mark.system
def test_another_process_holds_it_until_it_is_killed(live: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(live)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FileInUseError, match=f"process {holder.pid}"):
            WriterLock(live)
        holder.kill()
        holder.wait()
    assert lock_path(live).exists()
    with WriterLock(live):
        pass
    assert not lock_path(live).exists()


def test_it_is_kept_beyond_a_block_that_ends_well(tmp_path: Path) -> None:
    with WriterLock(live_path(tmp_path, "run")).kept_if_well() as lock:
        pass
    with pytest.raises(FileInUseError):
        WriterLock(live_path(tmp_path, "run"))
    lock.release()
    WriterLock(live_path(tmp_path, "run")).release()


def test_it_is_given_back_where_a_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WriterLock(live_path(tmp_path, "run")).kept_if_well():
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    WriterLock(live_path(tmp_path, "run")).release()
