"""The metrics of a running program: they follow it, balance, and end where its summary ends."""

from __future__ import annotations

import itertools
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from locstream.results.reader import read_results
from locstream.stream.runtime import find
from raw_subscriber import Subscriber

pytestmark = pytest.mark.system

Numbers = dict[str, float]


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def scrape(address: str) -> Numbers:
    """Return every sample, or nothing where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return {}
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found["/".join([sample.name.removeprefix("locstream_"), *sorted(sample.labels.values())])] = sample.value
    return found


def balances(numbers: Numbers) -> bool:
    settled = sum(numbers[f"frames_{outcome}_total"] for outcome in ("fitted", "skipped", "failed"))
    return numbers["frames_acquired_total"] == settled + numbers["frames_pending"]


def only_summary(folder: Path) -> dict:
    (path,) = folder.glob("*/*_summary.json")
    return json.loads(path.read_text())


def agree(numbers: Numbers, summary: dict) -> None:
    frames = summary["frames"]
    for name in ("acquired", "fitted", "skipped", "failed", "camera_dropped"):
        assert numbers[f"frames_{name}_total"] == frames[name], name
    assert numbers["frames_pending"] == frames["pending"]
    assert numbers["localizations_total"] == summary["localizations"]["total"]
    for to, prefix in (("committed", "committed"), ("published", "latency")):
        for quantile, name in (("0.5", "p50"), ("0.99", "p99")):
            told_s = numbers[f"latency_seconds/{quantile}/{to}"]
            assert told_s == pytest.approx(summary["speed"][f"{prefix}_{name}_ms"] / 1000)


def test_a_demo_is_followed_to_its_end(
    tmp_path: Path,
    address: str,
    runtime: str,
    locstream: Callable,
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "metrics.toml").write_text(f"[metrics]\nlisten = '{address}'\n")
    run = locstream("demo", "--frames", "400", "--size", "64", "--fps", "150", "--config", "metrics.toml")
    wait_until(lambda: scrape(address).get("state/idle") == 0, what="an acquisition")
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", runtime)
    seen: list[Numbers] = []
    # One who follows the stream and does not leave: the acquisition says good-bye for two seconds, and can be scraped.
    with Subscriber(find(None).stream) as subscriber:
        subscriber.wait_for_hello()
        while not seen or seen[-1]["state/done"] != 1:
            assert run.process.poll() is None, run.process.communicate()
            seen.append(scrape(address))
            time.sleep(0.02)
        assert seen[-1]["subscribers"] == 1
    assert run.finish() == 0, run.err
    assert scrape(address) == {}, "it ends with the program"
    assert all(map(balances, seen))
    counters = [name for name in seen[-1] if name.split("/")[0].endswith("_total")]
    assert len(counters) > 10
    for before, after in itertools.pairwise(seen):
        assert all(before[name] <= after[name] for name in counters)
    summary = only_summary(tmp_path / "demo-output")
    agree(seen[-1], summary)
    (results,) = (tmp_path / "demo-output").glob("*/*_locs.hdf5")
    kept, speed = read_results(results).summary, summary["speed"]
    assert kept["latency"] == {
        "committed": {"p50_ms": speed["committed_p50_ms"], "p99_ms": speed["committed_p99_ms"]},
        "published": {"p50_ms": speed["latency_p50_ms"], "p99_ms": speed["latency_p99_ms"]},
    }
    assert 0 < speed["committed_p50_ms"] <= speed["latency_p50_ms"]
    assert kept["speed"] == {"acquired_fps": speed["acquired_fps"], "fitted_fps": speed["fitted_fps"]}
    busy_ms = 1000 * seen[-1]["busy_seconds_total/fit"] / seen[-1]["frames_fitted_total"]
    assert busy_ms > 0
    assert {name: seen[-1][f"queue_frames/{name}"] for name in ("capture", "recorder", "backlog_memory")} == {
        "capture": 0, "recorder": 0, "backlog_memory": 0,
    }  # fmt: skip


def test_a_service_keeps_its_numbers_when_idle_and_begins_again_with_the_next(
    tmp_path: Path, address: str, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    (tmp_path / "scope.toml").write_text(
        "[acquisition]\nfolder = 'data'\n[simulation]\nwidth = 48\nheight = 48\nexposure_ms = 5.0\n"
        f"[metrics]\nlisten = '{address}'\n"
    )
    locstream("serve", "scope.toml", "--state", tmp_path / "state")
    wait_until(lambda: scrape(address).get("state/idle") == 1, what="an idle service")
    assert scrape(address)["frames_acquired_total"] == 0
    for name, frames in (("one", 60), ("two", 40)):
        wait_until(
            lambda n=name, f=frames: locstream("start", "--name", n, "--frames", str(f)).finish() == 0, what="a start"
        )
        summary = tmp_path / "data" / name / f"{name}_summary.json"
        wait_until(summary.exists, what=f"the summary of {name}")
        wait_until(lambda: scrape(address)["state/idle"] == 1, what="an idle service")
        agree(scrape(address), json.loads(summary.read_text()))
        assert scrape(address)["frames_acquired_total"] == frames


@pytest.mark.parametrize("taken", [True, False])
def test_an_endpoint_that_cannot_be_had_stops_nothing_that_had_begun(
    tmp_path: Path, address: str, locstream: Callable, taken: bool
) -> None:
    (tmp_path / "metrics.toml").write_text(f"[metrics]\nlisten = '{address if taken else '0.0.0.0:9464'}'\n")
    host, _, port = address.partition(":")
    with socket.socket() as holder:
        if taken:
            holder.bind((host, int(port)))
            holder.listen()
        run = locstream("demo", "--frames", "10", "--size", "64", "--config", "metrics.toml")
        assert run.finish() == 1
    assert "metrics.listen" in run.err
    assert ("cannot be listened on" if taken else "is not a loopback address") in run.err
    assert not (tmp_path / "demo-output").exists(), "nothing was started"
