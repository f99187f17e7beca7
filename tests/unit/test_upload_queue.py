"""A run that is queued is handed on once, whatever happens on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from finished_run import finished
from locstream.bundle.bundle import Bundle, open_bundles
from locstream.errors import LocstreamError
from locstream.results.lock import FileInUseError
from locstream.upload.queue import Queue
from locstream.upload.ticket import FIRST_WAIT_S, LONGEST_WAIT_S, Ticket
from locstream.upload.uploader import Uploader
from upload_filers import AWAY, MAY_NOT, Killed, ScriptedFiler


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("upload") / "run").folder


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return open_bundles(folder)[0]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def only(queue: Queue) -> Ticket:
    (ticket,) = queue.tickets()
    return ticket


def test_a_queued_run_is_filed_once(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    filer = ScriptedFiler()
    assert Uploader(queue, filer, clock=clock).work() == 1
    assert (only(queue).state, only(queue).url) == ("filed", f"https://server/{bundle.uuid}")
    queue.add(bundle, clock() + 5)
    assert Uploader(queue, filer, clock=clock).work() == 0
    assert filer.seen == [bundle.uuid]
    assert only(queue).added_s == clock()


def test_an_unreachable_server_is_tried_again_later_and_later(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    filer = ScriptedFiler([AWAY] * 12)
    waits = []
    for _ in range(12):
        before = clock()
        uploader = Uploader(queue, filer, clock=clock, sleep=clock.sleep)
        assert uploader.work() == 1
        waits.append(only(queue).not_before_s - before)
        assert uploader.work() == 0
        assert only(queue).reason == AWAY.what
        clock.now_s = only(queue).not_before_s
    assert waits[:4] == [FIRST_WAIT_S * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == max(waits) == LONGEST_WAIT_S
    assert Uploader(queue, filer, clock=clock).work() == 1
    assert only(queue).state == "filed"


def test_what_may_not_be_is_not_tried_again_until_somebody_asks(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    filer = ScriptedFiler([MAY_NOT])
    assert Uploader(queue, filer, clock=clock).work() == 1
    assert (only(queue).state, only(queue).reason, only(queue).todo) == ("refused", MAY_NOT.what, MAY_NOT.todo)
    clock.now_s += 1e6
    assert Uploader(queue, filer, clock=clock).work() == 0
    queue.change(bundle.uuid, lambda ticket: ticket.again(clock()))
    assert Uploader(queue, filer, clock=clock).work() == 1
    assert only(queue).state == "filed"


def test_an_upload_that_was_killed_goes_on(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    filer = ScriptedFiler([Killed()])
    with pytest.raises(Killed):
        Uploader(queue, filer, clock=clock).work()
    assert only(queue).state == "uploading"
    (queue.folder / f".{bundle.uuid}.json.4711.part").write_text("half a tick")
    assert Uploader(queue, filer, clock=clock).work() == 1
    assert only(queue).state == "filed"
    assert filer.seen == [bundle.uuid] * 2
    assert sorted(path.name for path in queue.folder.iterdir()) == [".queue.lock", f"{bundle.uuid}.json"]


def test_a_damaged_run_is_not_handed_on(tmp_path: Path, queue: Queue, folder: Path, clock: Clock) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (found,) = open_bundles(copy)
    queue.add(found, clock())
    found.files.stack.write_bytes(found.files.stack.read_bytes()[:-1])
    filer = ScriptedFiler()
    Uploader(queue, filer, clock=clock).work()
    assert only(queue).state == "refused"
    assert "is not as it was" in only(queue).reason
    assert filer.seen == []


def test_a_run_that_was_moved_is_refused_and_found_again(
    tmp_path: Path, queue: Queue, folder: Path, clock: Clock
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    queue.add(open_bundles(copy)[0], clock())
    copy.rename(tmp_path / "moved")
    Uploader(queue, ScriptedFiler(), clock=clock).work()
    assert only(queue).state == "refused"
    queue.add(open_bundles(tmp_path / "moved")[0], clock())
    assert only(queue).folder == str(tmp_path / "moved")
    queue.change(only(queue).uuid, lambda ticket: ticket.again(clock()))
    Uploader(queue, ScriptedFiler(), clock=clock).work()
    assert only(queue).state == "filed"


def test_nothing_is_sent_while_an_acquisition_runs(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    answers = [True, True, False]
    said: list[str] = []
    filer = ScriptedFiler()

    def busy() -> bool:
        if answers[0]:
            assert filer.seen == []
        return answers.pop(0) if len(answers) > 1 else answers[0]

    Uploader(queue, filer, busy=busy, tell=said.append, clock=clock, sleep=clock.sleep).work()
    assert said[0] == "waits for the acquisition to end"
    assert said.count(said[0]) == 1
    assert only(queue).state == "filed"


def test_an_acquisition_that_begins_in_the_middle_is_waited_for(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    waited = []
    filer = ScriptedFiler()

    def busy() -> bool:
        waited.append(list(filer.seen))
        return len(waited) == 2

    def later(*told: object) -> None:
        clock.sleep(10)  # so that the next block asks again

    Uploader(queue, filer, busy=busy, tell=later, show=later, clock=clock, sleep=clock.sleep).work()
    assert waited[0] == []
    assert waited[1:] == [[bundle.uuid]] * 3  # at the first block busy, then free; free at the last one
    assert only(queue).state == "filed"


def test_what_is_forgotten_meanwhile_stops_and_stays_forgotten(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    filer = ScriptedFiler()
    forgetful = Uploader(
        queue, filer, clock=clock, tell=lambda text: queue.forget(bundle.uuid) if "begins" in text else None
    )
    assert forgetful.work() == 0
    assert queue.tickets() == []
    assert bundle.files.stack.exists()


def test_stopping_leaves_it_to_the_next_one(queue: Queue, bundle: Bundle, clock: Clock) -> None:
    queue.add(bundle, clock())
    uploader = Uploader(queue, ScriptedFiler(), clock=clock, tell=lambda text: uploader.stop())
    uploader.work()
    assert only(queue).state == "waiting"
    assert Uploader(queue, ScriptedFiler(), clock=clock).work() == 1


def test_one_uploader_at_a_time(queue: Queue) -> None:
    with queue.uploader_lock(), pytest.raises(FileInUseError):
        queue.uploader_lock()
    queue.uploader_lock().release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"uuid": "../x"}', b"\xff\xfe"])
def test_a_ticket_that_cannot_be_read_is_kept_aside(queue: Queue, bundle: Bundle, clock: Clock, content: bytes) -> None:
    queue.add(bundle, clock())
    path = queue.folder / f"{bundle.uuid}.json"
    path.write_bytes(content)
    assert queue.tickets() == []
    assert path.with_name(path.name + ".damaged").read_bytes() == content
    assert queue.add(bundle, clock()).state == "waiting"


@pytest.mark.parametrize("uuid", ["", "../x", "a/b", "a" * 65, "x\n"])
def test_an_identifier_that_is_no_file_name_is_refused(queue: Queue, bundle: Bundle, uuid: str) -> None:
    with pytest.raises(LocstreamError, match="does not identify"):
        queue.add(Bundle(bundle.files, uuid, bundle.sha256, bundle.graph), 0.0)
    assert queue.tickets() == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocstreamError, match="cannot be used"):
        Queue(tmp_path / "file" / "queue")


def test_local_files_are_only_read(queue: Queue, bundle: Bundle, clock: Clock, folder: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    queue.add(bundle, clock())
    Uploader(queue, ScriptedFiler([MAY_NOT]), clock=clock).work()
    queue.forget(bundle.uuid)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
