"""The metrics: every number is the status' own, read back by Prometheus' own parser."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from locstream import __version__
from locstream.errors import ConfigError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Status
from locstream.stream.quality import Quality
from locstream.stream.stages import Latency, Queue, Stages
from locstreamd.service.load import Rung
from locstreamd.view import prometheus
from locstreamd.view.prometheus import LOADS, STATES, Endpoint, StatusCollector

LEDGER = LedgerSnapshot(acquired=1203, fitted=1185, pending=11, skipped=5, failed=2, camera_dropped=3)
STAGES = Stages(
    queues=(Queue("capture", 2, 64, 1200), Queue("recorder", 5, 500, 3000), Queue("backlog_disk", 9)),
    busy_s={"loop": 1.5, "fit": 20.25},
    deaths={"worker": 1, "recorder": 0},
    rejected={"control": 4, "work": 0},
    refused={"handshake": 12},
    camera_restarts=9,
    unpublished=10,
    left_out=6,
    subscribers=2,
    committed=Latency(6.5, 14.0),
    published=Latency(7.0, 15.5),
)
STATUS = Status(
    acquisition="a", seq=0, state="acquiring", ledger=LEDGER, localizations=71_204, workers=2, disk_free_mb=1500.0,
    suspected_drops=8, stages=STAGES, load="from disk", lag_s=12.5,
)  # fmt: skip


def values(text: str) -> dict[str, float]:
    """Return every sample as Prometheus reads it, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def scraped(status: Status | None) -> dict[str, float]:
    collector, registry = StatusCollector(), CollectorRegistry()
    if status is not None:
        collector.status = status
    registry.register(collector)
    return values(generate_latest(registry).decode())


def test_every_number_is_the_status_own() -> None:
    found = scraped(STATUS)
    states = {f"locstream_state{{state={s}}}": float(s == "acquiring") for s in STATES}
    loads = {f"locstream_load{{load={rung}}}": float(rung == "from disk") for rung in LOADS}
    assert found == states | loads | {
        f"locstream_info{{version={__version__}}}": 1,
        "locstream_frames_acquired_total": 1203,
        "locstream_frames_fitted_total": 1185,
        "locstream_frames_skipped_total": 5,
        "locstream_frames_failed_total": 2,
        "locstream_frames_pending": 11,
        "locstream_frames_camera_dropped_total": 3,
        "locstream_frames_suspected_dropped_total": 8,
        "locstream_localizations_total": 71_204,
        "locstream_localizations_left_out_total": 6,
        "locstream_workers": 2,
        "locstream_lag_seconds": 12.5,
        "locstream_camera_restarts_total": 9,
        "locstream_messages_unpublished_total": 10,
        "locstream_subscribers": 2,
        "locstream_disk_free_bytes": 1.5e9,
        "locstream_queue_frames{queue=capture}": 2,
        "locstream_queue_frames{queue=recorder}": 5,
        "locstream_queue_frames{queue=backlog_disk}": 9,
        "locstream_queue_capacity_frames{queue=capture}": 64,
        "locstream_queue_capacity_frames{queue=recorder}": 500,
        "locstream_queue_bytes{queue=capture}": 1200,
        "locstream_queue_bytes{queue=recorder}": 3000,
        "locstream_queue_bytes{queue=backlog_disk}": 0,
        "locstream_busy_seconds_total{stage=loop}": 1.5,
        "locstream_busy_seconds_total{stage=fit}": 20.25,
        "locstream_process_deaths_total{process=worker}": 1,
        "locstream_process_deaths_total{process=recorder}": 0,
        "locstream_messages_rejected_total{socket=control}": 4,
        "locstream_messages_rejected_total{socket=work}": 0,
        "locstream_refused_total{reason=handshake}": 12,
        "locstream_latency_seconds{quantile=0.5,to=committed}": 0.0065,
        "locstream_latency_seconds{quantile=0.99,to=committed}": 0.014,
        "locstream_latency_seconds{quantile=0.5,to=published}": 0.007,
        "locstream_latency_seconds{quantile=0.99,to=published}": 0.0155,
    }


def test_each_is_in_the_table_of_the_handbook() -> None:
    """And the table names none that is not there."""
    table = (Path(__file__).resolve().parents[2] / "docs" / "service.md").read_text("utf-8")
    named = set(re.findall(r"^\| `?(.*?)` \|", table, re.MULTILINE))
    explained = {name.split("{")[0] for cell in named for name in cell.split("`") if name.startswith("locstream_")}
    quality = Quality(fits=9, residual_spots=3, width_first_nm=1.0, width_now_nm=1.0, z_first_nm=1.0, z_now_nm=1.0)
    found = scraped(msgspec.structs.replace(STATUS, quality=quality))
    assert explained == {name.split("{")[0] for name in found}


def test_before_the_first_acquisition_it_is_idle_and_tells_no_stages() -> None:
    found = scraped(None)
    assert found["locstream_state{state=idle}"] == 1
    assert found["locstream_frames_acquired_total"] == 0
    assert not [name for name in found if re.search("queue|disk_free|latency", name)]


def test_every_rung_of_the_ladder_has_its_value() -> None:
    assert list(LOADS) == [rung.value for rung in Rung]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint("127.0.0.1", 0)
    yield endpoint
    endpoint.close()


def get(endpoint: Endpoint) -> dict[str, float]:
    host, port = endpoint.address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return values(answer.read().decode())


def test_it_is_scraped_over_http(endpoint: Endpoint) -> None:
    assert get(endpoint)["locstream_frames_acquired_total"] == 0
    endpoint.show(STATUS)
    found = get(endpoint)
    assert found["locstream_frames_acquired_total"] == 1203
    assert found["process_resident_memory_bytes"] > 1e6


def test_a_client_that_says_nothing_holds_nobody_up_for_long(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._server.RequestHandlerClass, "timeout", 0.2)
    silent = [socket.create_connection(endpoint.address) for _ in range(5)]
    assert get(endpoint)["locstream_info{version=" + __version__ + "}"] == 1
    for connection in silent:
        connection.close()


def test_clients_that_go_away_leave_no_word(endpoint: Endpoint, capfd: pytest.CaptureFixture[str]) -> None:
    for request in (b"", b"GET /metrics HTTP/1.1\r\n\r\n", b"\x00\xff\r\n\r\n", b"GET " + b"x" * 70_000):
        with socket.create_connection(endpoint.address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(request)
    assert get(endpoint)["locstream_workers"] == 0
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_one_sentence(endpoint: Endpoint) -> None:
    port = endpoint.address[1]
    with pytest.raises(ConfigError, match=rf"metrics\.listen = 127\.0\.0\.1:{port} cannot be listened on: Address"):
        Endpoint("127.0.0.1", port)


def test_a_fault_of_our_own_is_not_hidden(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prometheus, "STATES", None)
    with pytest.raises(OSError):  # noqa: PT011 - a closed connection, whichever way the system says it
        get(endpoint)
    endpoint._server.shutdown()
    assert "TypeError" in capfd.readouterr().err
