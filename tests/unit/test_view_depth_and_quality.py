"""Depth and the quality of fits on their way to whoever watches: announced, decoded by what was announced, printed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from prometheus_client import CollectorRegistry, generate_latest

from locstream.errors import MessageError
from locstream.localizations import DEPTH_FIELDS, LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.events import Began, Event, Rows
from locstream.stream.messages import STREAM, Batch, Hello, Reply, Status, own_fields, row_dtype, rows_from
from locstream.stream.quality import Quality
from locstream.stream.wire import MAX_HEADER_BYTES, pack
from locstream_watch.control import status_text
from locstream_watch.forms import sink_for
from locstreamd.view.gauges import Gauges
from locstreamd.view.prometheus import StatusCollector
from locstreamd.view.publish import Publisher
from raw_subscriber import Subscriber

FLAT = Hello(
    acquisition="a1", seq=0, name="flat", software="test", width=5, height=4, pixel_size_nm=100.0, started_s=0.0
)
DEEP = msgspec.structs.replace(FLAT, acquisition="a2", name="deep", fields=own_fields(depth=True))
QUALITY = Quality(
    fits=4000, chi2=1.02, chi2_excess=0.013, residual_spots=900, residuals=tuple(range(49)), residual_rms=0.034,
    width_first_nm=131.2, width_now_nm=133.4, z_first_nm=-12.0, z_now_nm=40.0,
)  # fmt: skip
STATUS = Status(
    acquisition="a2", seq=1, state="acquiring", ledger=LedgerSnapshot(), workers=2, lanes=16, z_nm=-37.4,
    z_precision_nm=21.3, quality=QUALITY, warning="the width of the molecules went up",
)  # fmt: skip


def deep(n: int) -> Localizations:
    rows = empty(n, LOCALIZATION_3D)
    rows["frame"], rows["z_nm"], rows["z_uncertainty_nm"] = 3, np.linspace(-200, 300, n), 20
    return rows


def test_the_announced_columns_are_the_tables() -> None:
    assert row_dtype(FLAT) == LOCALIZATION
    assert row_dtype(DEEP) == LOCALIZATION_3D
    assert [(f.name, f.unit) for f in DEEP.fields[-2:]] == [(f.name, f.unit) for f in DEPTH_FIELDS]


def test_a_subscriber_reads_flat_rows_and_rows_with_depth_by_what_was_announced(tmp_path: Path) -> None:
    """A service publishes one acquisition after another: the first flat, the second with depth, the third flat."""
    endpoint = f"ipc://{tmp_path}/stream"
    with zmq.Context() as context, Subscriber(endpoint) as subscriber:
        publisher = Publisher(context, [endpoint], high_water_mark=100)
        publisher.begin(FLAT)
        while publisher.subscribers == 0:
            publisher.socket.poll(100)
            publisher.tend()
        tables = (empty(2), deep(3), empty(1))
        for hello, table in zip((FLAT, DEEP, FLAT), tables, strict=True):
            publisher.begin(hello)
            publisher.batch(table, 0, 3)
        received: list[Localizations] = []
        while len(received) < 3:
            next_one = subscriber.receive(5)
            assert next_one is not None
            received += [next_one[1]] if isinstance(next_one[0], Batch) else []
        publisher.close()
    for sent, came in zip(tables, received, strict=True):
        assert came.dtype == sent.dtype
        np.testing.assert_array_equal(came, sent)


def test_rows_of_other_columns_than_announced_are_no_rows() -> None:
    message = Batch(acquisition="a", seq=0, frame_first=0, frame_last=0, row_first=0, rows=3)
    with pytest.raises(MessageError, match="3 rows of 68 bytes"):
        rows_from(message, [empty(3).tobytes()], row_dtype(DEEP))


def test_the_largest_box_fits_in_a_status() -> None:
    status = msgspec.structs.replace(STATUS, quality=msgspec.structs.replace(QUALITY, residuals=(0.1234,) * 225))
    (header,) = pack(status)
    assert len(header) < MAX_HEADER_BYTES / 10
    assert STREAM.unpack([header])[0] == status


def printed(form: str, hello: Hello, *events: Event | Status) -> str:
    out = io.StringIO()
    sink = sink_for(form, out)
    for event in (Began(hello.acquisition, hello), *events):
        sink(event)
    return out.getvalue()


def test_tail_says_depth_quality_and_warning() -> None:
    hello, status = printed("text", DEEP, STATUS).splitlines()
    assert hello == "deep: 5 × 4 px of 100 nm, with depth, test"
    assert "; depth -37 nm (median); chi-square 1.02, 1.3 % above the 1 % point, residuals 0.03 sigma rms" in status
    assert "width 131 → 133 nm, depth -12 → +40 nm" in status
    assert status.endswith("; warning: the width of the molecules went up")


def test_tail_writes_the_columns_that_were_announced() -> None:
    assert printed("csv", DEEP, Rows("a2", 0, deep(2))).splitlines()[0].count("z [nm]") == 2
    assert "z [nm]" not in printed("csv", FLAT, Rows("a1", 0, empty(2)))
    objects = [json.loads(line) for line in printed("ndjson", DEEP, Rows("a2", 0, deep(2))).splitlines()]
    assert [o["z_nm"] for o in objects] == [-200, 300]


def test_status_says_it_with_units() -> None:
    text = status_text(Reply(id=1, ok=True, status=STATUS, hello=DEEP))
    assert "2 workers of 16 lanes" in text
    assert "-37 nm (median), 21.3 nm precision" in text
    assert "fits           chi-square 1.02" in text
    plain = msgspec.structs.replace(STATUS, z_nm=None, z_precision_nm=None, quality=None, lanes=0)
    text = status_text(Reply(id=1, ok=True, status=plain, hello=FLAT))
    assert "depth" not in text
    assert "fits " not in text
    assert "lanes" not in text


def test_medians_of_depth_where_there_is_depth() -> None:
    gauges = Gauges()
    gauges.add_batch(deep(5), frame_records([0], 0.0, 5, FrameOutcome.FITTED))
    assert (gauges.medians().z_nm, gauges.medians().z_precision_nm) == (50, 20)
    flat = Gauges()
    flat.add_batch(empty(5), frame_records([0], 0.0, 5, FrameOutcome.FITTED))
    assert (flat.medians().z_nm, flat.medians().z_precision_nm) == (None, None)


def scraped(status: Status) -> str:
    collector, registry = StatusCollector(), CollectorRegistry()
    collector.status = status
    registry.register(collector)
    return generate_latest(registry).decode()


def test_prometheus_gets_the_quality_in_base_units() -> None:
    lines = scraped(STATUS).splitlines()
    for expected in (
        "locstream_fit_chi_square 1.02",
        "locstream_fit_chi_square_excess_ratio 0.013",
        "locstream_fit_residual_rms 0.034",
    ):
        assert expected in lines
    (now,) = (line for line in lines if line.startswith('locstream_fit_width_metres{when="now"}'))
    assert float(now.split()[-1]) == pytest.approx(133.4e-9)
    (start,) = (line for line in lines if line.startswith('locstream_fit_depth_metres{when="start"}'))
    assert float(start.split()[-1]) == pytest.approx(-12e-9)


def test_before_there_is_a_fit_prometheus_gets_none_of_it() -> None:
    assert "locstream_fit" not in scraped(msgspec.structs.replace(STATUS, quality=Quality()))
    assert "locstream_fit" not in scraped(msgspec.structs.replace(STATUS, quality=None))
