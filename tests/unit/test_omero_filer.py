"""Sessions die and are replaced, what goes wrong is told apart, and preflight names it before the experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from finished_run import METADATA, finished
from locstream.bundle.bundle import Bundle, open_bundles
from locstream.errors import ConfigError, LocstreamError
from locstream.omero import client_library, filer, filing, preflight
from locstream.omero.filer import LOST_IN_A_ROW, OmeroFiler, omero_filer
from locstream.omero.server import About, Session
from locstream.omero.settings import OmeroSettings
from locstream.omero.trouble import SessionLostError, SessionRefusedError
from locstream.upload.filer import Check, UnreachableError
from locstream.upload.places import filer_of
from locstream.upload.settings import UploadSettings, load_upload_settings
from omero_in_memory import SETTINGS, Memory, MemoryServer, MemorySession


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundles(finished(tmp_path_factory.mktemp("omero") / "run", metadata=METADATA).folder)[0]


@pytest.fixture(autouse=True)
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is not needed: sessions here are in memory."""
    monkeypatch.setattr(filing, "BLOCK", 40_000)
    monkeypatch.setattr(client_library, "use", lambda: None)


class Sessions:
    """Opens sessions on one memory; each dies at the call that is its turn, 0 for never."""

    def __init__(self, memory: Memory, *dies_at: int, error: type[LocstreamError] = SessionLostError) -> None:
        self.memory, self._error = memory, error
        self.opened: list[MemorySession] = []
        self._dies_at: Iterator[int] = iter(dies_at)

    def __call__(self, settings: OmeroSettings) -> Session:
        call = next(self._dies_at, 0)

        def dies(number: int) -> None:
            if number == call:
                raise self._error("the session was lost")

        self.opened.append(MemorySession(MemoryServer(self.memory, before=dies)))
        return self.opened[-1]


def test_a_session_that_dies_is_replaced_and_the_work_goes_on(bundle: Bundle) -> None:
    undisturbed, disturbed = Memory(), Memory()
    OmeroFiler(SETTINGS, Sessions(undisturbed)).file(bundle, quiet)
    sessions = Sessions(disturbed, 6, 15, 30, 45)
    OmeroFiler(SETTINGS, sessions).file(bundle, quiet)
    assert disturbed.census() == undisturbed.census()
    assert len(sessions.opened) == 5
    assert [session.closed for session in sessions.opened] == [True] * 4 + [False]


def test_the_session_stays_open_between_runs(bundle: Bundle) -> None:
    sessions = Sessions(Memory())
    place = OmeroFiler(SETTINGS, sessions)
    assert place.file(bundle, quiet) == place.file(bundle, quiet)
    assert len(sessions.opened) == 1
    place.close()
    assert sessions.opened[0].closed


def test_a_session_is_kept_alive_while_there_is_nothing_to_file() -> None:
    now = [0.0]
    sessions = Sessions(Memory(), 3)
    place = OmeroFiler(SETTINGS, sessions, clock=lambda: now[0])
    for second in range(0, 1500, 5):
        now[0] = float(second)
        place.idle()
    first, second_one = sessions.opened
    assert (first.server.calls, first.closed) == (3, True), "it died at the third time"
    assert (second_one.server.calls, second_one.closed) == (2, False)


def test_nobody_logged_in_is_no_matter_while_there_is_nothing_to_file() -> None:
    tries = []

    def refuse(settings: OmeroSettings) -> Session:
        tries.append(settings.host)
        raise SessionRefusedError("nobody has logged in")

    now = [0.0]
    place = OmeroFiler(SETTINGS, refuse, clock=lambda: now[0])
    for second in range(0, 601, 5):
        now[0] = float(second)
        place.idle()
    assert len(tries) == 3


def test_sessions_that_all_die_at_once_are_waited_for(bundle: Bundle) -> None:
    sessions = Sessions(Memory(), *[1] * 20)
    with pytest.raises(UnreachableError, match="the session was lost") as error:
        OmeroFiler(SETTINGS, sessions).file(bundle, quiet)
    assert not isinstance(error.value, SessionLostError)
    assert len(sessions.opened) == LOST_IN_A_ROW + 1


@pytest.mark.parametrize("error", [UnreachableError, SessionRefusedError, LocstreamError])
def test_other_errors_end_the_try_and_the_session(bundle: Bundle, error: type[LocstreamError]) -> None:
    sessions = Sessions(Memory(), 4, error=error)
    place = OmeroFiler(SETTINGS, sessions)
    with pytest.raises(error):
        place.file(bundle, quiet)
    assert sessions.opened[0].closed
    place.file(bundle, quiet)
    assert len(sessions.opened) == 2


def test_a_file_that_goes_meanwhile_is_named(bundle: Bundle, tmp_path: Path) -> None:
    other = open_bundles(finished(tmp_path / "run").folder)[0]

    def remove(what: str, done: int, total: int) -> None:
        other.files.picture.unlink(missing_ok=True)

    with pytest.raises(LocstreamError, match=r"run_recon\.png cannot be read") as error:
        OmeroFiler(SETTINGS, Sessions(Memory())).file(other, remove)
    assert "stays queued" in error.value.safe


def looked(settings: OmeroSettings, open_session: Callable[[OmeroSettings], Session]) -> dict[str, Check]:
    return {check.name: check for check in OmeroFiler(settings, open_session).preflight()}


def test_preflight_says_that_all_is_well() -> None:
    sessions = Sessions(Memory())
    found = looked(SETTINGS, sessions)
    assert all(check.fine for check in found.values())
    assert set(found) == {"library", "certificate", "server", "login", "group", "room", "tables", "dataset"}
    assert "nobody checks" in found["certificate"].said
    assert found["group"].said == "lab (rwra--)"
    assert sessions.opened[0].closed
    assert sessions.memory.census() == [], "nothing is made"


def test_preflight_names_what_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = OmeroSettings(host="h", dataset="Dataset:7", table=True)
    full = About("5.6.0", "ada", "lab", "rw----", 10**9, False)
    monkeypatch.setattr(MemorySession, "about", lambda self: full)
    found = looked(settings, Sessions(Memory(may_link=False)))
    assert {name for name, check in found.items() if not check.fine} == {"room", "tables", "dataset"}
    assert all(check.todo for check in found.values() if not check.fine)


def test_preflight_ends_where_nothing_further_can_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: OmeroSettings) -> Session:
        raise SessionRefusedError("nobody has logged in", todo="log in")

    found = looked(SETTINGS, refuse)
    assert (found["session"].fine, found["session"].todo, len(found)) == (False, "log in", 2)

    def missing() -> None:
        raise LocstreamError("not installed", todo="install")

    monkeypatch.setattr(preflight.client_library, "use", missing)
    (only,) = looked(SETTINGS, refuse).values()
    assert (only.name, only.fine) == ("library", False)


def test_the_place_is_chosen_by_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "upload.toml"
    path.write_text('nice = 3\n[omero]\nhost = "omero.example.org"\ngroup = "lab"\n')
    settings = load_upload_settings(path)
    assert isinstance(filer_of(settings), OmeroFiler)
    assert settings.nice == 3
    path.write_text('[omero]\nhost = "omero.example.org"\ncolour = "red"\n')
    with pytest.raises(ConfigError, match=r"omero\.colour"):
        filer_of(load_upload_settings(path))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (UploadSettings(places={"cloud": {}}), r"\[cloud\]: there is no such place; known: folder, omero"),
        (UploadSettings(folder=Path("x"), places={"omero": {}}), r"name folder and \[omero\]"),
        (UploadSettings(), "name none"),
    ],
)
def test_runs_go_to_one_place_that_is_known(settings: UploadSettings, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        filer_of(settings)


def test_the_settings_make_a_filer() -> None:
    assert isinstance(omero_filer({"host": "h"}), OmeroFiler)
    assert filer.OmeroFiler is OmeroFiler
