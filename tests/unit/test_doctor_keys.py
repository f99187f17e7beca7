"""What the doctor says of keys and of the ports at which they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyed_run import free_ports
from locstream.stream.keys import Keyring, Role
from locstreamd.addresses import Address
from locstreamd.service.checks.configured import examine_configured
from locstreamd.service.checks.finding import Level
from locstreamd.service.checks.keys import check_keys
from locstreamd.service.checks.sockets import check_port
from locstreamd.service.config import Config, StreamSettings, WorkerSettings

NETWORK = Config(stream=StreamSettings(listen="tcp://*:5577"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_where_nobody_can_connect_no_keys_are_looked_for(folder: Path) -> None:
    finding = check_keys(Config())
    assert finding.level is Level.OK
    assert finding.found == "not asked for: no other computer can connect"
    assert not folder.exists()


def test_an_open_loopback_port_is_named(folder: Path) -> None:
    finding = check_keys(Config(stream=StreamSettings(listen="tcp://127.0.0.1:5577")))
    assert finding.level is Level.OK
    assert "every user of this computer may watch at tcp://127.0.0.1:5577" in finding.found


@pytest.mark.parametrize(
    "config",
    [
        NETWORK,
        Config(stream=StreamSettings(listen="tcp://127.0.0.1:5577", keys=True)),
        Config(workers=WorkerSettings(listen="tcp://*:5580")),
    ],
    ids=["network", "loopback with keys", "workers"],
)
def test_without_a_server_key_nothing_would_start(folder: Path, config: Config) -> None:
    finding = check_keys(config)
    assert finding.level is Level.PROBLEM
    assert "holds no key of this computer" in finding.found
    assert "`locstream keys server`" in finding.todo
    Keyring().server()
    assert check_keys(config).level is Level.WARNING


def test_who_is_admitted_is_counted_by_role(folder: Path) -> None:
    keyring = Keyring()
    keyring.server()
    finding = check_keys(NETWORK)
    assert finding.level is Level.WARNING
    assert "`locstream keys new NAME --role view`" in finding.todo
    for name, role in (("ann", Role.VIEW), ("bob", Role.VIEW), ("eva", Role.CONTROL)):
        keyring.create_client(name, role)
    finding = check_keys(NETWORK)
    assert finding.level is Level.OK
    assert finding.found == "asked for at tcp://*:5577; admitted are 1 to control, 2 to view"


def test_who_may_watch_is_no_worker(folder: Path) -> None:
    """Without one, a run that starts none of its own would wait for ever."""
    both = Config(stream=NETWORK.stream, workers=WorkerSettings(listen="tcp://*:5580", local=False))
    keyring = Keyring()
    keyring.server()
    assert check_keys(both).found.endswith("nobody is admitted to view or to work")
    keyring.create_client("ann", Role.CONTROL)
    finding = check_keys(both)
    assert finding.level is Level.WARNING
    assert finding.found.endswith("nobody is admitted to work")
    assert finding.todo == "`locstream keys new NAME --role work`"
    keyring.create_client("node1", Role.WORK)
    assert check_keys(both).level is Level.OK


def test_keys_that_others_can_read_are_a_problem(folder: Path) -> None:
    Keyring().server()
    (folder / "server.json").chmod(0o644)
    finding = check_keys(NETWORK)
    assert finding.level is Level.PROBLEM
    assert "open to others" in finding.found
    folder.chmod(0o755)
    assert "is not private" in check_keys(NETWORK).found


def test_a_port_on_all_interfaces_is_looked_at() -> None:
    assert check_port("stream.listen", Address("*", free_ports(1))).level is Level.OK


def test_all_three_ports_and_the_keys_are_looked_at(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[stream]\nlisten = "tcp://127.0.0.1:1"\nkeys = true\n')
    found = [finding for finding in examine_configured(config) if finding.name in ("port", "keys")]
    for setting, port in (("listen", 1), ("history_listen", 2), ("control_listen", 3)):
        assert sum(f"stream.{setting} = tcp://127.0.0.1:{port} " in finding.found for finding in found) == 1
    assert found[-1].name == "keys"
