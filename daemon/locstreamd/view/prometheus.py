"""The numbers of an acquisition as Prometheus reads them: made from the last status at the moment of a scrape.

Nothing is counted here. Counters begin with the acquisition, as if the program had been started for it; ``rate()``
and ``increase()`` know how to read that.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import HTTPServer

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from locstream import __version__
from locstream.errors import ConfigError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Status
from locstream.stream.quality import Quality
from locstream.stream.stages import Stages

LOADS = ("live", "delayed", "analysis paused", "from disk")
STATES = ("idle", "starting", "acquiring", "fitting", "finishing", "done")
CLIENT_TIMEOUT_S = 5.0
"""A client that asks for nothing for so long is sent away: one is served at a time."""


class StatusCollector(Collector):
    """Turns the last `Status` into metrics.

    Attributes
    ----------
    status
        The last one; replaced whole, so that a scrape from another thread never sees half of it.
    """

    def __init__(self) -> None:
        self.status = Status(acquisition="", seq=0, state="idle", ledger=LedgerSnapshot())

    def describe(self) -> list[Metric]:
        """Promise nothing: what there is to tell depends on what runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give every metric once."""
        status = self.status
        yield _by("version", "info", "The version.", {__version__: 1})
        yield _by("state", "state", "1 for the state it is in, else 0.", {s: s == status.state for s in STATES})
        yield from _of_frames(status)
        if status.disk_free_mb:
            yield _gauge("disk_free_bytes", "Room on the disk of the acquisition.", status.disk_free_mb * 1e6)
        if status.stages is not None:
            yield from _of_stages(status.stages)
        if status.quality is not None and status.quality.fits:
            yield from _of_fits(status.quality)


class Endpoint:
    """Answers scrapes on a loopback address, from a thread of its own, one client at a time.

    Parameters
    ----------
    host, port
        Where to listen.

    Raises
    ------
    ConfigError
        The port cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self.collector = StatusCollector()
        registry = CollectorRegistry()
        registry.register(self.collector)
        ProcessCollector(registry=registry)
        handler = type("Handler", (MetricsHandler,), {"registry": registry, "timeout": CLIENT_TIMEOUT_S})
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = kind((host, port), handler)
        except OSError as error:
            raise ConfigError(
                f"metrics.listen = {host}:{port} cannot be listened on: {error.strerror}",
                safe="nothing was started",
                todo="give another port; another locstream, or another program, may use this one",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it answers."""
        return self._server.server_name, self._server.server_port

    def show(self, status: Status) -> None:
        """Answer with these numbers from now on."""
        self.collector.status = status

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(HTTPServer):
    """An HTTP server that asks no name server for its own name, and is not upset by clients that go away."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: tuple[str, int]
    ) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _of_frames(status: Status) -> Iterator[Metric]:
    """Give the frame ledger, and what was found."""
    ledger = status.ledger
    yield _counter("frames_acquired", "Frames that came from the camera.", ledger.acquired)
    yield _counter("frames_fitted", "Frames that were fitted and committed.", ledger.fitted)
    yield _counter("frames_skipped", "Frames that were left unfitted by order.", ledger.skipped)
    yield _counter("frames_failed", "Frames that could not be fitted.", ledger.failed)
    yield _gauge("frames_pending", "Frames that came and are not settled.", ledger.pending)
    yield _counter("frames_camera_dropped", "Frame numbers that the camera left out.", ledger.camera_dropped)
    yield _counter("frames_suspected_dropped", "Frames that seem to be missing by their times.", status.suspected_drops)
    yield _counter("localizations", "Localizations committed.", status.localizations)
    yield _gauge("workers", "Fit workers that have joined.", status.workers)
    yield _by("load", "load", "1 for what has given way to keep up, else 0.", {r: r == status.load for r in LOADS})
    yield _gauge("lag_seconds", "Age of the oldest frame whose result is not on disk.", status.lag_s)


def _of_stages(stages: Stages) -> Iterator[Metric]:
    """Give what each stage holds and has done."""
    queues = stages.queues
    yield _by("queue", "queue_frames", "Frames that wait.", {q.name: q.frames for q in queues})
    capacities = {q.name: q.capacity for q in queues if q.capacity is not None}
    yield _by("queue", "queue_capacity_frames", "Frames that may wait.", capacities)
    yield _by("queue", "queue_bytes", "Memory taken by frames that wait.", {q.name: q.held_bytes for q in queues})
    yield _by("stage", "busy_seconds", "Time spent working.", stages.busy_s, CounterMetricFamily)
    yield _by("process", "process_deaths", "Processes that died and were replaced.", stages.deaths, CounterMetricFamily)
    yield _by("socket", "messages_rejected", "Messages not understood.", stages.rejected, CounterMetricFamily)
    refused = "Connections and requests of those who may not."
    yield _by("reason", "refused", refused, stages.refused, CounterMetricFamily)
    yield _counter("localizations_left_out", "Rows that no results file may hold.", stages.left_out)
    yield _counter("camera_restarts", "How often a camera that had stopped was started again.", stages.camera_restarts)
    yield _gauge("subscribers", "Programs that follow the stream.", stages.subscribers)
    yield _counter("messages_unpublished", "Messages dropped before anybody could get them.", stages.unpublished)
    latency = GaugeMetricFamily(
        "locstream_latency_seconds", "From a frame to its localizations.", labels=["to", "quantile"]
    )
    for to, measured in (("committed", stages.committed), ("published", stages.published)):
        if measured is not None:
            latency.add_metric([to, "0.5"], measured.p50_ms / 1000)
            latency.add_metric([to, "0.99"], measured.p99_ms / 1000)
    yield latency


def _of_fits(quality: Quality) -> Iterator[Metric]:
    """Give how well the fits describe what the camera sees."""
    yield _gauge("fit_chi_square", "Median chi-square per degree of freedom of the latest fits.", quality.chi2)
    excess = "Share of the latest fits whose chi-square is above its 1 % point."
    yield _gauge("fit_chi_square_excess_ratio", excess, quality.chi2_excess)
    if quality.residual_spots:
        residuals = "What fits leave unexplained beyond chance, in units of the noise, root mean square."
        yield _gauge("fit_residual_rms", residuals, quality.residual_rms)
    for name, text, first, now in (
        ("width", "Median width of the molecules.", quality.width_first_nm, quality.width_now_nm),
        ("depth", "Median depth of the molecules.", quality.z_first_nm, quality.z_now_nm),
    ):
        if first is not None and now is not None:
            yield _by("when", f"fit_{name}_metres", text, {"start": 1e-9 * first, "now": 1e-9 * now})


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"locstream_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"locstream_{name}", text, value=value)


def _by(
    label: str,
    name: str,
    text: str,
    values: Mapping[str, float],
    family: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
) -> Metric:
    """Return a metric with one value for each value of a label."""
    metric = family(f"locstream_{name}", text, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric
