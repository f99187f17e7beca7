"""Keys are private files; who is admitted is looked up by name and by key; what is wrong is told."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from locstream.errors import LocstreamError
from locstream.stream.admitted import Admitted
from locstream.stream.keys import KeyPair, Keyring, Role, read_client_keys
from locstream_watch.keys import command


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keyring = Keyring(tmp_path / "config" / "keys")
        keyring.server()
        path = keyring.create_client("ann", Role.VIEW)
        keyring.admit("bob", zmq.curve_keypair()[0].decode(), Role.WORK)
    finally:
        os.umask(before)
    assert mode(keyring.folder) == 0o700
    assert {mode(found) for found in keyring.folder.iterdir()} == {0o600}
    assert path in set(keyring.folder.iterdir())


def test_the_servers_keys_stay_and_belong_together(keyring: Keyring) -> None:
    pair = keyring.server()
    assert Keyring(keyring.folder).server() == pair
    assert zmq.curve_public(pair.secret.encode()).decode() == pair.public


def test_several_at_a_time_do_not_undo_each_other(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from locstream.stream.keys import Keyring, Role\n"
        "k = Keyring(pathlib.Path(sys.argv[1])); print(k.server().public)\n"
        "[k.create_client(f'{sys.argv[2]}{i}', Role.VIEW) for i in range(20)]"
    )
    folder = str(tmp_path / "keys")
    processes = [
        subprocess.Popen([sys.executable, "-c", code, folder, name], stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    servers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(servers) == 1
    assert len(Keyring(tmp_path / "keys").admitted()) == 40


def test_a_client_gets_its_own_keys_and_the_servers_public_one(keyring: Keyring) -> None:
    keys = read_client_keys(keyring.create_client("ann", Role.CONTROL))
    assert keys.name == "ann"
    assert keys.server_public == keyring.server().public
    assert zmq.curve_public(keys.pair.secret.encode()).decode() == keys.pair.public
    assert keyring.admitted()["ann"].public == keys.pair.public
    assert keyring.admitted()["ann"].role is Role.CONTROL


def test_a_secret_is_never_printed(keyring: Keyring) -> None:
    keys = read_client_keys(keyring.create_client("ann", Role.VIEW))
    assert keys.pair.secret not in repr(keys)
    assert repr(KeyPair("p", "s")) == "KeyPair(public='p')"


def test_who_is_revoked_is_gone_with_its_file(keyring: Keyring) -> None:
    path = keyring.create_client("ann", Role.VIEW)
    old = read_client_keys(path)
    keyring.revoke("ann")
    assert not path.exists()
    assert keyring.admitted() == {}
    with pytest.raises(LocstreamError, match="nobody named 'ann'"):
        keyring.revoke("ann")
    assert read_client_keys(keyring.create_client("ann", Role.VIEW)).pair != old.pair


def test_names_and_keys_are_one_each(keyring: Keyring) -> None:
    keyring.create_client("ann", Role.VIEW)
    public = keyring.admitted()["ann"].public
    with pytest.raises(LocstreamError, match="'ann' is admitted already"):
        keyring.create_client("ann", Role.VIEW)
    with pytest.raises(LocstreamError, match="'ann' is admitted with this key"):
        keyring.admit("bob", public, Role.VIEW)
    with pytest.raises(LocstreamError, match="'ann' is admitted with another key"):
        keyring.admit("ann", zmq.curve_keypair()[0].decode(), Role.VIEW)
    keyring.admit("ann", public, Role.CONTROL)
    assert keyring.admitted()["ann"].role is Role.CONTROL


@pytest.mark.parametrize("name", ["", "../ann", "-x", ".hidden", "a/b", "ann bob", "ä", "x" * 65, "ann\n"])
def test_what_is_no_name_is_refused(keyring: Keyring, name: str) -> None:
    with pytest.raises(LocstreamError, match="is no name for a key"):
        keyring.create_client(name, Role.VIEW)


@pytest.mark.parametrize("public", ["", "x" * 39, "x" * 41, "ä" * 40, "x" * 39 + "\n"])
def test_what_is_no_key_is_refused(keyring: Keyring, public: str) -> None:
    with pytest.raises(LocstreamError, match="is not a public key"):
        keyring.admit("ann", public, Role.VIEW)


def test_a_folder_or_file_that_is_open_to_others_is_refused(keyring: Keyring) -> None:
    path = keyring.create_client("ann", Role.VIEW)
    path.chmod(0o640)
    with pytest.raises(LocstreamError, match=r"open to others \(mode 0640\)"):
        read_client_keys(path)
    keyring.folder.chmod(0o750)
    with pytest.raises(LocstreamError, match="not private"):
        Keyring(keyring.folder)


def test_files_that_are_none_are_named(keyring: Keyring, tmp_path: Path) -> None:
    broken = tmp_path / "x.key.json"
    with pytest.raises(LocstreamError, match=r"x\.key\.json cannot be read"):
        read_client_keys(broken)
    broken.touch(mode=0o600)
    with pytest.raises(LocstreamError, match="is no file of keys"):
        read_client_keys(broken)
    (tmp_path / "file").touch()
    with pytest.raises(LocstreamError, match="cannot be made"):
        Keyring(tmp_path / "file" / "keys")


def test_changes_are_seen_while_it_runs(keyring: Keyring) -> None:
    admitted = Admitted(keyring)
    assert admitted.name_of("x") is None
    keyring.create_client("ann", Role.VIEW)
    public = keyring.admitted()["ann"].public
    assert admitted.name_of(public) == "ann"
    keyring.admit("ann", public, Role.CONTROL)
    assert admitted.role_of("ann") is Role.CONTROL
    keyring.revoke("ann")
    assert admitted.role_of("ann") is None
    assert admitted.name_of(public) is None


def test_a_file_that_cannot_be_read_admits_nobody(keyring: Keyring) -> None:
    keyring.create_client("ann", Role.VIEW)
    admitted = Admitted(keyring)
    assert admitted.role_of("ann") is Role.VIEW
    (keyring.folder / "admitted.json").write_text("{")
    assert admitted.role_of("ann") is None


def test_where_keys_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCSTREAM_KEYS_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert Keyring().folder == tmp_path / "xdg" / "locstream" / "keys"
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "mine"))
    assert Keyring().folder == tmp_path / "mine"


def test_the_command_makes_lists_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "keys"))
    keyring = Keyring(tmp_path / "keys")
    assert command(["server"]) == 0
    assert capsys.readouterr().out.strip() == keyring.server().public
    command(["list"])
    assert "nobody is admitted" in capsys.readouterr().out
    command(["new", "ann"])
    assert str(keyring.folder / "ann.key.json") in capsys.readouterr().out
    public = zmq.curve_keypair()[0].decode()
    command(["admit", "bob", f"--key={public}", "--role", "control"])  # one may begin with a dash
    capsys.readouterr()
    command(["list"])
    ann, bob = capsys.readouterr().out.splitlines()
    assert ann.split()[:2] == ["ann", "view"]
    assert bob.split()[:3] == ["bob", "control", public]
    command(["revoke", "ann"])
    assert list(keyring.admitted()) == ["bob"]
    assert keyring.server().secret not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command(["new", "eve", "--role", "root"])


def test_keys_that_are_made_where_they_are_used_are_admitted_by_their_public_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Keyring(tmp_path / "microscope")
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "office"))
    assert command(["own", "office", f"--server={there.server().public}"]) == 0
    path, told = capsys.readouterr().out.splitlines()
    keys = read_client_keys(Path(path))
    assert mode(Path(path)) == 0o600
    assert keys.server_public == there.server().public
    assert keys.pair.secret not in told
    assert Keyring().admitted() == {}
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(there.folder))
    assert command(shlex.split(told.partition("locstream keys ")[2])) == 0
    assert Admitted(there).name_of(keys.pair.public) == "office"


def test_own_keys_are_not_made_twice_and_not_for_a_server_that_is_none(keyring: Keyring) -> None:
    public = keyring.server().public
    path = keyring.create_own("office", public)
    before = path.read_bytes()
    with pytest.raises(LocstreamError, match="is there already"):
        keyring.create_own("office", public)
    assert path.read_bytes() == before
    with pytest.raises(LocstreamError, match="is not a public key"):
        keyring.create_own("lab", public[:-1])
    with pytest.raises(LocstreamError, match="is no name for a key"):
        keyring.create_own("../lab", public)


def test_own_keys_stay_whoever_has_their_name_here(keyring: Keyring, tmp_path: Path) -> None:
    server = Keyring(tmp_path / "other").server().public
    path = keyring.create_own("office", server)
    before = path.read_bytes()
    with pytest.raises(LocstreamError, match="is there already"):
        keyring.create_client("office", Role.VIEW)
    assert keyring.admitted() == {}
    keyring.admit("office", server, Role.VIEW)
    keyring.revoke("office")
    assert path.read_bytes() == before
