"""Where runs go in OMERO, what a session is opened with, and that nothing is ever less safe than was asked for."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finished_run import METADATA, finished
from locstream.bundle.bundle import open_bundles
from locstream.errors import ConfigError, LocstreamError
from locstream.omero import client_library, keys
from locstream.omero.filer import omero_settings
from locstream.omero.keys import save_key, session_keys
from locstream.omero.settings import OmeroSettings
from locstream.omero.told import RunFacts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without sessions."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in (keys.VARIABLE, "OMERO_USERDIR", "OMERO_SESSIONDIR", client_library.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("host", "port", "server", "wanted"),
    [
        ("omero.example.org", None, "omero.example.org", 4064),
        ("omero.example.org", 14064, "omero.example.org", 14064),
        ("ssl://omero.example.org:5064", None, "omero.example.org", 5064),
        ("wss://omero.example.org/omero-ws", None, "omero.example.org", 443),
        ("tcp://localhost:4063", None, "localhost", 4063),
        ("tcp://127.0.0.1", None, "127.0.0.1", 4063),
    ],
)
def test_a_server_is_named_by_name_or_address(host: str, port: int | None, server: str, wanted: int) -> None:
    settings = OmeroSettings(host=host, port=port)
    assert (settings.server, settings.ssl_port) == (server, wanted)
    assert settings.encrypted == (not host.startswith("tcp"))


@pytest.mark.parametrize(
    "host", ["tcp://omero.example.org", "ws://10.0.0.1/omero-ws", "https://omero.example.org", "x y"]
)
def test_what_is_not_encrypted_is_for_this_computer_only(host: str) -> None:
    if host == "x y":  # a name that no computer has is told when it is looked for
        assert OmeroSettings(host=host).encrypted
        return
    with pytest.raises(ValidationError):
        OmeroSettings(host=host)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "omero.host is missing"),
        ({"host": "h", "grop": "lab"}, "omero.grop: there is no such setting; did you mean 'group'"),
        ({"host": "h", "tags": "dSTORM"}, "omero.tags = 'dSTORM': write a list, in brackets"),
        ({"host": "h", "port": 70_000}, "omero.port = 70000: input should be less than or equal to 65535"),
        ({"host": "h", "dataset": "{day}"}, "may hold {name}"),
        ({"host": "h", "project": "{name"}, "may hold {name}"),
        ({"host": "h", "verify": "system", "pinned": "x.pem"}, "omero: either `pinned` or `verify`"),
        ({"host": "h", "pinned": "/no/such.pem"}, "there is no file /no/such.pem"),
        ({"host": "h", "verify": "/no/such.pem"}, "there is no file /no/such.pem"),
    ],
)
def test_settings_that_do_not_hold_are_told(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        omero_settings(table)


def test_a_certificate_is_found_from_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_text("")
    assert omero_settings({"host": "h", "verify": "~/ca.pem"}).verify == tmp_path / "ca.pem"


def test_names_are_made_from_what_is_known(tmp_path: Path) -> None:
    facts = RunFacts(open_bundles(finished(tmp_path / "run", metadata=METADATA).folder)[0])
    assert facts.named("{instrument} {year}") == "Nikon Ti2 2023"
    assert facts.named("{sample} {study} of {title}") == "U2OS of Pores"
    assert facts.named("{study}") == "run", "a name is never empty"
    assert len(facts.named("x" * 200 + "{title}" * 20)) == 255
    assert facts.pairs()["People"] == "Ada King Lovelace"


def test_keys_come_from_where_people_have_logged_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = OmeroSettings(host="omero.example.org")
    assert list(session_keys(settings)) == []
    token = home / ".omero_user_token" / "token"
    token.parent.mkdir()
    token.write_text("token-key@omero.example.org:4064\n")
    store = home / "omero" / "sessions" / "omero.example.org"
    (store / "ada").mkdir(parents=True)
    (store / "ada" / "store-key").write_text("omero.sess=store-key\n")
    (store / "ada" / "._session_").write_text("store-key")
    save_key(settings, "own-key")
    monkeypatch.setenv(keys.VARIABLE, "variable-key")
    found = list(session_keys(settings))
    assert [key.key for key in found] == ["variable-key", "own-key", "store-key", "token-key"]
    assert [key.source for key in found][1:] == ["`locstream omero login`", "`omero login`", "`omero_user_token`"]
    assert list(session_keys(OmeroSettings(host="another.example.org"))) == found[:1]
    assert [key.key for key in session_keys(OmeroSettings(host="omero.example.org", user="bob"))][2:] == ["token-key"]


def test_a_key_is_kept_for_its_user_alone_and_never_shown() -> None:
    settings = OmeroSettings(host="omero.example.org")
    path = save_key(settings, "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    save_key(settings, "another")
    (key,) = session_keys(settings)
    assert "another" not in repr(key)


def test_a_library_that_is_missing_is_told_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_library, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not client_library.is_importable()
    with pytest.raises(LocstreamError, match="is not installed") as error:
        client_library.use()
    assert "locstream omero install" in error.value.todo
    assert "stays queued" in error.value.safe


def test_a_service_keeps_it_where_systemd_lets_it_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(client_library.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "service"))
    assert client_library.environment().parent == tmp_path / "service"


def test_an_environment_of_another_python_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    client_library.environment().mkdir(parents=True)
    (client_library.environment() / "ready").write_text(client_library.wanted())
    assert client_library.is_ready()
    (client_library.environment() / "ready").write_text("of another day")
    assert not client_library.is_ready()
