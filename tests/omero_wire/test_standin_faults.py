"""What goes wrong on purpose goes wrong where it was said, once, and can be counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from omero_wire.probe import Probe, WireError
from omero_wire.stand_in_process import StandIn

pytestmark = pytest.mark.peer


def again(probe: Probe, server: StandIn) -> None:
    probe("login", "again", server.url, "ada", "secret")


def test_a_call_is_counted_and_written_down(ada: Probe, omero_server: StandIn) -> None:
    omero_server.set_faults()
    ada("make", "ada", "Dataset", name="d")
    ada("call", "ada", "", "keepAlive", None)
    ada("call", "ada", "", "getQueryService")
    assert omero_server.counted() == [
        *("ServiceFactoryI.getUpdateService", "UpdateI.saveAndReturnObject", "ServiceFactoryI.getQueryService"),
    ]
    last = omero_server.calls()[-3:]
    assert "keepAlive" in " ".join(call["call"] for call in last)
    assert all(call["session"] in omero_server.sessions() for call in last if call["n"])


def test_a_session_killed_at_a_call_does_not_do_it(ada: Probe, omero_server: StandIn) -> None:
    ada("make", "ada", "Dataset", name="before")
    omero_server.set_faults({"at": 2, "do": "kill"})
    with pytest.raises(WireError) as caught:
        ada("make", "ada", "Dataset", name="never")
    assert caught.value.name == "RemovedSessionException"
    with pytest.raises(WireError) as caught:
        ada("event_context", "ada")
    assert caught.value.name == "ObjectNotExistException"
    again(ada, omero_server)
    assert ada("projection", "again", "select d.name from Dataset d") == [["before"]]


@pytest.mark.parametrize(("action", "done"), [("drop_before", 0), ("drop_after", 1)])
def test_a_connection_is_dropped_before_or_after_the_work(
    ada: Probe, omero_server: StandIn, action: str, done: int
) -> None:
    (key,) = omero_server.sessions()
    omero_server.set_faults({"at": 1, "do": action, "call": "UpdateI.saveAndReturnObject"})
    with pytest.raises(WireError) as caught:
        ada("make", "ada", "Dataset", name="d")
    assert caught.value.name == "ConnectionLostException"
    with pytest.raises(WireError) as caught:  # Ice connects anew by itself, but there it is not logged in
        ada("event_context", "ada")
    assert caught.value.name == "ObjectNotExistException"
    ada("login", "again", omero_server.url, key, key)
    assert ada("projection", "again", "select count(d) from Dataset d") == [[done]]


@pytest.mark.parametrize(("action", "done"), [("raise", 0), ("raise_after", 1)])
def test_any_exception_of_the_server_can_be_the_answer(
    ada: Probe, omero_server: StandIn, action: str, done: int
) -> None:
    fault = {"at": 1, "do": action, "call": "UpdateI.saveAndReturnObject", "exception": "omero.DatabaseBusyException"}
    omero_server.set_faults({**fault, "message": "come back"})
    with pytest.raises(WireError, match="come back") as caught:
        ada("make", "ada", "Dataset", name="d")
    assert caught.value.name == "DatabaseBusyException"
    assert ada("projection", "ada", "select count(d) from Dataset d") == [[done]]


def test_a_fault_may_last(ada: Probe, omero_server: StandIn) -> None:
    omero_server.set_faults({"at": 1, "do": "raise", "call": "AdminI.getEventContext", "times": 2})
    for _ in range(2):
        with pytest.raises(WireError):
            ada("event_context", "ada")
    assert ada("event_context", "ada")["user"] == "ada"


@pytest.mark.parametrize(("action", "done"), [("die_before", 0), ("die_after", 1)])
def test_a_server_that_died_comes_back_with_what_was_committed(
    ada: Probe, omero_server: StandIn, stack_file: Path, action: str, done: int
) -> None:
    ada("import_file", "ada", str(stack_file), marker={"role": "raw"})
    before = omero_server.census()
    omero_server.set_faults({"at": 1, "do": action, "call": "UpdateI.saveAndReturnObject"})
    with pytest.raises(WireError) as caught:
        ada("make", "ada", "Dataset", name="d")
    assert caught.value.name == "ConnectionLostException"
    omero_server.restart()
    assert omero_server.sessions() == []
    assert [line for line in omero_server.census() if not line.startswith("Dataset")] == before
    again(ada, omero_server)
    assert ada("projection", "again", "select count(d) from Dataset d") == [[done]]
    assert ada("make", "again", "Dataset", name="next") == 1 + done  # no id is given out twice
    size = "select p.physicalSizeX.value, m.value from Pixels p join p.image.annotationLinks l join l.child.mapValue m"
    assert ada("projection", "again", size) == [[0.1, "raw"]]
    assert "deleted" in ada("delete", "again", Image=[1])


def test_a_server_ends_although_a_client_does_not_answer(omero_python: Path, tmp_path: Path) -> None:
    server = StandIn(omero_python, tmp_path / "server")
    with Probe(omero_python) as stopped:
        stopped("login", "ada", server.url, "ada", "secret")
        os.kill(stopped.pid, signal.SIGSTOP)
        server.close()
        os.kill(stopped.pid, signal.SIGCONT)
    assert not server.alive


def test_a_server_ends_with_whoever_started_it(omero_python: Path, tmp_path: Path) -> None:
    starts = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path\n"
        "from omero_wire.stand_in_process import StandIn\n"
        f"server = StandIn(Path({str(omero_python)!r}), Path({str(tmp_path / 'server')!r}))\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        server = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
        server.wait(60)
    assert not server.is_running()


def test_a_full_disk(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    ada("make", "ada", "Dataset", name="d")
    omero_server.set_faults(disk_bytes=5000)
    assert ada("call", "ada", "getRepositoryInfoService", "getFreeSpaceInKilobytes") == 4
    with pytest.raises(WireError, match="No space left on device") as caught:
        ada("import_file", "ada", str(stack_file), block=3000)
    assert caught.value.name == "ResourceError"


def test_no_tables(ada: Probe, omero_server: StandIn) -> None:
    assert ada("tables", "ada") == [True, True]
    omero_server.set_faults(tables=False)
    assert ada("tables", "ada") == [False, False]


def test_an_import_that_fails(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    omero_server.set_faults(import_error="import-missing-library")
    assert ada("import_file", "ada", str(stack_file))["err"] == "import-missing-library"


def test_checksums_of_a_server_with_a_broken_disk(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    omero_server.set_faults(wrong_checksums=True)
    with pytest.raises(WireError, match="checksum mismatch"):
        ada("import_file", "ada", str(stack_file))
    assert ada("raw_rate", "ada", 1000, 1000) == [1000, False]


def test_what_is_not_there_says_so_at_once(ada: Probe) -> None:
    for service, operation, args in (
        ("getRoiService", "", []),
        ("getQueryService", "refresh", [None]),
        ("getAdminService", "changePassword", [None]),
        ("", "createRenderingEngine", []),
    ):
        with pytest.raises(WireError, match="the stand-in server does not know") as caught:
            ada("call", "ada", service, operation or "loadRoi", *args)
        assert caught.value.name == "InternalException"


def test_all_sessions_may_end_at_once(ada: Probe, omero_server: StandIn) -> None:
    omero_server.kill_sessions()
    with pytest.raises(WireError) as caught:
        ada("event_context", "ada")
    assert caught.value.name == "ObjectNotExistException"


def test_a_census_forgets_ids_but_not_what_is_there(ada: Probe, omero_server: StandIn) -> None:
    project = ada("make", "ada", "Project", name="p")
    dataset = ada("make", "ada", "Dataset", name="d")
    ada("link", "ada", "ProjectDatasetLink", project, dataset)
    ada("annotate", "ada", "Dataset", dataset, "n", see=f"Dataset:{dataset}")
    first = omero_server.census()
    assert any("see, Dataset:<Dataset d>" in line for line in first)
    ada("delete", "ada", Project=[project])
    assert omero_server.census() == []
    project, dataset = ada("make", "ada", "Project", name="p"), ada("make", "ada", "Dataset", name="d")
    ada("link", "ada", "ProjectDatasetLink", project, dataset)
    ada("annotate", "ada", "Dataset", dataset, "n", see=f"Dataset:{dataset}")
    assert omero_server.census() == first
    ada("annotate", "ada", "Dataset", dataset, "n", see="nothing")
    assert omero_server.census() != first
