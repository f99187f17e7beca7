"""What `locstream tail` makes of a stream: text, CSV, NDJSON, and how it ends."""

from __future__ import annotations

import io
import json

import pytest

from locstream.errors import LocstreamError
from locstream.localizations import LOCALIZATION, Localizations, empty
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Batch, End, Hello, Published, Reply, Status
from locstream_watch.control import status_text
from locstream_watch.tail import follow, sink_for

HELLO = Hello(
    acquisition="a1", seq=0, name="cell", software="locstream 0", width=5, height=4, pixel_size_nm=100.0, started_s=0.0
)
STATUS = Status(
    acquisition="a1", seq=1, state="acquiring", localizations=30, per_frame=3.0, photons=800.0, background=9.5,
    ledger=LedgerSnapshot(acquired=12, fitted=10, pending=2, last_acquired=11), precision_nm=10.0, sigma_nm=130.0,
    fps_acquired=99.5, fps_fitted=99.0, queued=2, workers=1, load="delayed", lag_s=1.5,
)  # fmt: skip


class Recorded:
    """A subscriber that gives what was recorded, then silence."""

    endpoint = "ipc://recorded"
    rejected = 0

    def __init__(self, *messages: tuple[Published, Localizations], lost: int = 0) -> None:
        self._messages = list(messages)
        self.lost = lost

    def receive(self, timeout_s: float) -> tuple[Published, Localizations] | None:
        return self._messages.pop(0) if self._messages else None

    def wait_for_hello(self, timeout_s: float) -> Hello:
        return HELLO


def batch(rows: int) -> tuple[Batch, Localizations]:
    table = empty(rows)
    table["frame"] = 3
    table["x_nm"] = 250.0
    return Batch(acquisition="a1", seq=2, frame_first=0, frame_last=3, row_first=0, rows=rows), table


def end(outcome: str = "complete", rows: int = 2, message: str = "") -> tuple[End, Localizations]:
    return End(acquisition="a1", seq=3, outcome=outcome, frames=12, rows=rows, message=message), empty()


def told(form: str, *messages: tuple[Published, Localizations]) -> str:
    out = io.StringIO()
    recorded = Recorded(*messages)
    assert follow(recorded, sink_for(form, recorded, 1.0, out), 1.0) == 0  # type: ignore[arg-type]
    return out.getvalue()


def test_text_is_a_line_a_message() -> None:
    lines = told("text", (HELLO, empty()), batch(2), (STATUS, empty()), end()).splitlines()
    assert lines[0] == "cell: 5 × 4 px of 100 nm, locstream 0"
    assert lines[1] == "#2 frames 0–3: 2 localizations"
    assert lines[2] == (
        "#1 acquiring: 12 acquired, 10 fitted, 2 pending, 0 skipped, 0 failed, 0 dropped by the camera; "
        "delayed, 1.5 s behind"
    )


def test_ndjson_is_an_object_a_localization() -> None:
    rows = [json.loads(line) for line in told("ndjson", batch(2), end()).splitlines()]
    assert len(rows) == 2
    assert list(rows[0]) == list(LOCALIZATION.names or ())
    assert (rows[0]["frame"], rows[0]["x_nm"]) == (3, 250.0)


def test_csv_counts_from_the_corner_and_from_frame_one() -> None:
    lines = told("csv", batch(1), end(rows=1)).splitlines()
    assert lines[0].startswith('"id","frame"')
    assert [float(v) for v in lines[1].split(",")[1:3]] == [4, 300.0]


def test_what_is_missing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Recorded(batch(2), end(rows=7), lost=1)
    follow(recorded, sink_for("text", recorded, 1.0, io.StringIO()), 1.0)  # type: ignore[arg-type]
    err = capsys.readouterr().err
    assert "5 localizations are not in this output" in err
    assert "the results file holds all of them" in err


def test_a_faulted_run_gives_its_reason_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Recorded(end("faulted", rows=0, message="the disk is full"))
    assert follow(recorded, sink_for("text", recorded, 1.0, io.StringIO()), 1.0) == 1  # type: ignore[arg-type]
    assert "the disk is full" in capsys.readouterr().err


def test_silence_is_no_end() -> None:
    recorded = Recorded(batch(2))
    with pytest.raises(LocstreamError, match="did not say that it ended") as caught:
        follow(recorded, sink_for("text", recorded, 1.0, io.StringIO()), 1.0)  # type: ignore[arg-type]
    assert "2 localizations were received" in str(caught.value)


def test_a_status_names_every_value_with_its_unit() -> None:
    text = status_text(Reply(id=1, ok=True, status=STATUS, hello=HELLO))
    assert "12 acquired = 10 fitted + 2 pending + 0 skipped + 0 failed" in text
    assert "9.5 photons/px background, 10.0 nm precision, 130 nm sigma" in text
    assert "99.5 frames/s acquired" in text
    assert "5 × 4 px of 100 nm" in text
    assert "delayed, 2 frames and 1.5 s behind the camera" in text


def test_a_reply_without_a_status_is_refused() -> None:
    with pytest.raises(LocstreamError, match="without a status"):
        status_text(Reply(id=1, ok=True))
