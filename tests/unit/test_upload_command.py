"""What `locstream upload` says, and its exit status."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from finished_run import finished
from killed_run import PAGES, Left, leave
from locstream.bundle.bundle import open_bundles
from locstream.errors import ConfigError, LocstreamError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Reply, Status
from locstream.upload import acquiring, command, hook
from locstream.upload.queue import Queue, default_queue_folder
from locstream.upload.settings import load_upload_settings
from locstreamd.service.recovery import recover_folder

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("upload") / "run").folder


class Hand:
    """Types `locstream upload` with its own queue and settings."""

    def __init__(self, folder: Path, output: Output) -> None:
        self.folder, self._output = folder, output
        self.lab = folder / "lab"
        self.lab.mkdir()
        (folder / "u.toml").write_text(f'folder = "{self.lab}"\n')

    def __call__(self, *words: object) -> tuple[int, str]:
        options = ["--queue", str(self.folder / "q"), "--settings", str(self.folder / "u.toml")]
        status = command.command([*options, *map(str, words)])
        return status, self._output.readouterr().out


@pytest.fixture
def upload(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> Hand:
    monkeypatch.setattr(command, "be_gentle", lambda nice: None)
    monkeypatch.setattr(command, "acquiring", lambda: False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    return Hand(tmp_path, capsys)


def test_from_the_queue_to_the_lab(upload: Hand, made: Path) -> None:
    assert upload("status") == (0, "nothing is queued\n")
    assert upload("add", made) == (0, "run: waiting\n")
    status, said = upload("now")
    uuid = open_bundles(made)[0].uuid
    assert status == 0
    assert said == f"run: begins\nrun: is filed: {(upload.lab / f'run-{uuid}').as_uri()}\n"
    status, said = upload("status")
    assert status == 0
    assert "filed since" in said
    assert upload("now") == (0, "")
    assert upload("add", made) == (0, "run: filed\n")


def test_what_waits_says_why_and_now_means_now(upload: Hand, made: Path) -> None:
    upload("add", made)
    upload.lab.rmdir()
    assert upload("preflight")[0] == 1
    assert upload("now")[0] == 1
    status, said = upload("status")
    assert status == 0
    assert "again in" in said
    assert "is not there" in said
    upload.lab.mkdir()
    assert upload("preflight") == (0, f"ok  folder      {upload.lab} can be written\n")
    assert upload("now")[0] == 0


def test_what_was_refused_says_what_to_do(upload: Hand, made: Path, tmp_path: Path) -> None:
    upload("add", made)
    uuid = open_bundles(made)[0].uuid
    Queue(tmp_path / "q").change(uuid, lambda ticket: ticket.refused(1e9, "you may not", "ask Ada"))
    status, said = upload("status")
    assert status == 1
    assert "you may not\n  Next: ask Ada" in said
    assert upload("now")[0] == 1
    assert upload("retry") == (0, "run: waiting\n")
    assert upload("now")[0] == 0


def test_forgetting_touches_no_data(upload: Hand, made: Path) -> None:
    upload("add", made)
    assert upload("forget", "run") == (0, f"run: forgotten; its files stay in {made}\n")
    assert upload("status")[1] == "nothing is queued\n"
    assert open_bundles(made)
    with pytest.raises(LocstreamError, match="no run is queued as 'run'"):
        upload("retry", "run")


def test_a_folder_that_is_no_run_is_told(upload: Hand, tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="cannot be read"):
        upload("add", tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("", "does not say where"),
        ("folder =", "are not TOML"),
        ("foldr = 'x'", r"foldr: there is no such setting; did you mean 'folder'\?"),
        ("folder = 'x'\nnice = 40", "nice = 40: input should be less than or equal to 19"),
    ],
)
def test_settings_that_do_not_hold_are_told(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "upload.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        load_upload_settings(path)


def test_a_run_is_queued_where_its_configuration_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    plain = finished(tmp_path / "a")
    hook.queue_if_asked(plain)
    assert not default_queue_folder().exists()
    asked = finished(tmp_path / "b", bundle={"upload": True})
    hook.queue_if_asked(asked)
    hook.queue_if_asked(asked)
    (ticket,) = Queue(default_queue_folder()).tickets()
    assert (ticket.name, ticket.folder, ticket.state) == ("run", str(asked.folder), "waiting")


def test_a_run_that_was_killed_is_queued_when_it_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    leave(tmp_path / "a", Left(PAGES, 12), config={"bundle": {"upload": True}})
    assert recover_folder(tmp_path / "a") == 0
    assert [ticket.name for ticket in Queue(default_queue_folder()).tickets()] == ["run"]


def test_a_queue_that_cannot_be_used_does_not_spoil_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    files = finished(tmp_path / "b", bundle={"upload": True})
    hook.queue_if_asked(files)
    assert f"locstream upload add {files.folder}" in caplog.text


@pytest.mark.parametrize(
    ("states", "busy"),
    [([], False), (["idle"], False), (["acquiring"], True), (["idle", "acquiring"], True), ([None], True)],
)
def test_an_acquisition_that_runs_or_does_not_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, states: list[str | None], busy: bool
) -> None:
    class Connection:
        def __init__(self, state: str | None) -> None:
            self.control = state

    def ask(state: str | None, verb: str, timeout_s: float) -> Reply:
        if state is None:
            raise LocstreamError("no answer")
        return Reply(id=1, ok=True, status=Status(acquisition="", seq=0, state=state, ledger=LedgerSnapshot()))

    monkeypatch.setattr(acquiring, "running", lambda: [Connection(state) for state in states])
    monkeypatch.setattr(acquiring, "ask", ask)
    assert acquiring.acquiring() is busy
