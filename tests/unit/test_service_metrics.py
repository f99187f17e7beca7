"""The switch of the metrics endpoint: off, on, or one sentence that says what is missing."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from locstream.errors import ConfigError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Status
from locstreamd.service.config import MetricsSettings
from locstreamd.service.load_config import load_config
from locstreamd.service.metrics import metrics

STATUS = Status(acquisition="a", seq=0, state="acquiring", ledger=LedgerSnapshot(acquired=12, pending=12))


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_off_it_listens_nowhere_and_takes_every_status() -> None:
    threads = threading.active_count()
    with metrics(MetricsSettings()) as show:
        show(STATUS)
        assert threading.active_count() == threads


def test_off_it_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    without_prometheus(monkeypatch)
    with metrics(MetricsSettings()) as show:
        show(STATUS)


def test_on_it_answers_until_the_context_ends(address: str) -> None:
    with metrics(MetricsSettings(listen=address)) as show:
        show(STATUS)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            assert b"locstream_frames_acquired_total 12.0" in answer.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{address}/metrics", timeout=10)


def test_the_same_port_can_be_had_again(address: str) -> None:
    for _ in range(2):
        with metrics(MetricsSettings(listen=address)), urllib.request.urlopen(f"http://{address}/", timeout=10) as it:
            assert it.status == 200


def test_ipv6_loopback_will_do() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("this computer has no IPv6 loopback")
    with metrics(MetricsSettings(listen=f"[::1]:{port}")) as show:
        show(STATUS)
        with urllib.request.urlopen(f"http://[::1]:{port}/metrics", timeout=10) as answer:
            assert b"locstream_frames_acquired_total 12.0" in answer.read()


def without_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "locstreamd.view.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    without_prometheus(monkeypatch)
    missing = pytest.raises(ConfigError, match="needs prometheus-client, which is not installed")
    with missing as caught, metrics(MetricsSettings(listen=address)):
        pass
    assert "pip install 'locstream[metrics]'" in caught.value.todo


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9464", "127.0.0.2:1", "[::1]:65535"])
def test_loopback_addresses_are_taken(tmp_path: Path, listen: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[metrics]\nlisten = '{listen}'\n")
    assert load_config(path).config.metrics.listen == listen


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:9464", "192.168.1.2:9464", ":9464", "9464", "localhost", "tcp://127.0.0.1:9464", "127.0.0.1:0",
     "127.0.0.1:65536", "[::]:9464", "127.0.0.1:9464 "],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(tmp_path: Path, listen: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[metrics]\nlisten = '{listen}'\n")
    with pytest.raises(ConfigError, match=r"metrics\.listen: .* is not a loopback address and port such as 127\.0\.0"):
        load_config(path)
