"""The summary tells what a run came to, in numbers that agree with the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

import locstream
from locstream.bundle.medians import MAX_FRAMES
from locstream.bundle.summary import Summary, summarize, write_summary
from locstream.bundle.summary_text import summary_text
from locstream.errors import LocstreamError, ResultsError
from locstream.localizations import Localizations, empty
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.source import SourceInfo
from locstream.stream.quality import Quality

SOURCE = SourceInfo("Andor iXon", 512, 256, serial="X-1", exposure_ms=10.0, warnings=("the stack is short",))
LEDGER = LedgerSnapshot(acquired=50, fitted=50, last_acquired=49)
STARTED = datetime(2026, 11, 21, 14, 2, 11, 250_000, tzinfo=UTC).timestamp()


def table(n: int = 5000, frames: int = 50, seed: int = 0) -> Localizations:
    rng = np.random.default_rng(seed)
    rows = empty(n)
    rows["frame"] = rng.integers(0, frames, n)
    rows["photons"] = 200 + rng.exponential(800, n)
    rows["background"] = rng.normal(0.2, 3, n)
    rows["sigma_x_nm"], rows["sigma_y_nm"] = rng.normal(130, 10, (2, n))
    rows["x_uncertainty_nm"], rows["y_uncertainty_nm"] = rng.gamma(5, 2, (2, n))
    return rows


def summary(rows: Any = None, **changed: Any) -> Summary:
    facts: dict[str, Any] = {
        "name": "tubulin_3",
        "acquisition_id": "5f1c",
        "outcome": "complete",
        "started_s": STARTED,
        "finished_s": STARTED + 612.5,
        "source": SOURCE,
        "pixel_size_nm": 107.0,
        "ledger": LEDGER,
    }
    return summarize(table() if rows is None else rows, **(facts | changed))


def with_photons(values: npt.ArrayLike) -> Localizations:
    rows = empty(np.size(values))
    rows["photons"] = values
    return rows


def test_the_medians_are_those_of_the_rows() -> None:
    rows = table(20_001)
    found = summary(rows).localizations
    assert found.total == 20_001
    for told, column in (
        (found.photons_median, rows["photons"]),
        (found.background_median, rows["background"]),
        (found.sigma_nm_median, (rows["sigma_x_nm"] + rows["sigma_y_nm"]) / 2),
        (found.precision_nm_median, (rows["x_uncertainty_nm"] + rows["y_uncertainty_nm"]) / 2),
    ):
        assert told == pytest.approx(np.median(column.astype(float)), rel=2e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 3, 10, 1001])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e30])
def test_a_median_is_right_at_any_size_and_sign(n: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(0.3, 1, n) * scale).astype(np.float32)
    low, high = np.sort(values)[[(n - 1) // 2, n // 2]].astype(float)
    told = summary(with_photons(values)).localizations.photons_median
    # each of the two middle values is known to 0.1 %, their mean is rounded to 4 digits
    assert told == pytest.approx((low + high) / 2, rel=6e-4, abs=6e-4 * (abs(low) + abs(high)))


@pytest.mark.parametrize("value", [1000.0, 0.0, -3.5, 1e-38, 7.77e30])
def test_a_column_of_one_value_has_that_median(value: float) -> None:
    assert summary(with_photons([value] * 7)).localizations.photons_median == pytest.approx(value, rel=1e-4)


def test_values_that_are_not_finite_do_not_count() -> None:
    photons = [np.nan, np.inf, -np.inf, 5, np.nan, 7, 9]
    assert summary(with_photons(photons)).localizations.photons_median == pytest.approx(7, rel=2e-3)
    assert summary(with_photons([np.nan])).localizations.photons_median is None


@pytest.mark.parametrize("rows", [empty(0), [], [empty(0)]], ids=["table", "no batch", "empty batch"])
def test_nothing_found_is_told_as_nothing(rows: Any) -> None:
    found = summary(rows).localizations
    assert (found.total, found.per_frame_median, found.per_frame_mean) == (0, 0, 0)
    assert found.photons_median is None
    nothing = summary(rows, ledger=LedgerSnapshot()).localizations
    assert nothing.per_frame_median is None
    assert "unknown" in summary_text(summary(rows, ledger=LedgerSnapshot()))


def test_batches_in_any_order_give_the_summary_of_the_table() -> None:
    rows = table()
    shuffled = rows[np.random.default_rng(3).permutation(len(rows))]
    assert summary(shuffled[i : i + 77] for i in range(0, len(rows), 77)) == summary(rows)


def test_frames_without_a_localization_count() -> None:
    rows = empty(9)
    rows["frame"] = [2, 2, 2, 2, 4, 4, 4, 40, 40]
    found = summary(rows, ledger=LedgerSnapshot(acquired=5, fitted=5, camera_dropped=36)).localizations
    assert found.per_frame_median == np.median([4, 3, 2, 0, 0])
    assert found.per_frame_mean == pytest.approx(9 / 5)
    many = summary(rows, ledger=LedgerSnapshot(acquired=100, fitted=100)).localizations
    assert many.per_frame_median == 0
    assert many.per_frame_mean == pytest.approx(0.09)


def test_counts_per_frame_are_those_of_a_plain_count() -> None:
    rows = table(997, frames=50)
    counts = np.bincount(rows["frame"], minlength=50)
    found = summary(rows[i : i + 100] for i in range(0, 997, 100)).localizations
    assert found.per_frame_median == np.median(counts)
    assert found.per_frame_mean == pytest.approx(counts.mean(), rel=1e-3)


def test_a_frame_number_that_cannot_be_is_damage() -> None:
    rows = empty(1)
    rows["frame"] = MAX_FRAMES
    with pytest.raises(ResultsError, match=f"{MAX_FRAMES:,}"):
        summary(rows)


def test_the_facts_given_are_the_facts_told() -> None:
    speed = {"acquired_fps": 99.5, "fitted_fps": 98.0, "latency_p50_ms": 6.6, "latency_p99_ms": 14.9}
    s = summary(**speed, committed_p50_ms=6.1, committed_p99_ms=14.2)
    assert s.software == f"locstream {locstream.__version__}"
    assert (s.source.camera, s.source.serial, s.source.width_px, s.source.height_px) == ("Andor iXon", "X-1", 512, 256)
    assert (s.source.pixel_size_nm, s.source.exposure_ms, s.source.interval_ms) == (107.0, 10.0, None)
    assert (s.speed.acquired_fps, s.speed.fitted_fps) == (99.5, 98.0)
    assert (s.speed.latency_p50_ms, s.speed.latency_p99_ms) == (6.6, 14.9)
    assert (s.speed.committed_p50_ms, s.speed.committed_p99_ms) == (6.1, 14.2)
    assert s.started.timestamp() == STARTED
    assert s.duration_s == 612.5
    assert (s.frames.acquired, s.frames.fitted) == (50, 50)


def test_how_well_the_fits_describe_the_data_is_told() -> None:
    quality = Quality(
        fits=900,
        chi2=1.04,
        chi2_excess=0.023,
        residual_spots=40,
        residual_rms=0.2,
        width_first_nm=131,
        width_now_nm=164,
    )
    told = summary(quality=quality)
    assert told.fits is not None
    assert (told.fits.chi2_median, told.fits.residual_rms) == (1.04, 0.2)
    assert (told.fits.width_first_nm, told.fits.width_last_nm, told.fits.z_last_nm) == (131, 164, None)
    assert "chi-square 1.04 (median), 2.3 % above" in summary_text(told)
    assert "width 131 nm at first, 164 nm at last" in summary_text(told)
    assert summary(quality=Quality()).fits is None
    without = summary(quality=msgspec.structs.replace(quality, residual_spots=0)).fits
    assert without is not None
    assert without.residual_rms is None


def test_files_are_told_by_name(tmp_path: Path) -> None:
    s = summary(files=[tmp_path / "a_locs.hdf5", "a.ome.tif"])
    assert s.files == ("a_locs.hdf5", "a.ome.tif")


def test_every_warning_is_kept_once() -> None:
    s = summary(warnings=["the stack is short", "the density is high"])
    assert s.warnings == ("the stack is short", "the density is high")


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        (LedgerSnapshot(acquired=9, fitted=9, camera_dropped=1234), "dropped 1,234 frames"),
        (LedgerSnapshot(acquired=9, fitted=7, failed=2), "2 frames could not be fitted"),
        (LedgerSnapshot(acquired=9, fitted=6, pending=3), "3 frames were acquired but not fitted"),
        (LedgerSnapshot(acquired=9, fitted=6), "does not balance"),
    ],
)
def test_what_the_ledger_shows_is_said(ledger: LedgerSnapshot, said: str) -> None:
    s = summary(ledger=ledger)
    own = s.warnings[1:]
    assert len(own) == 1
    assert said in own[0]
    assert said in summary_text(s)


@pytest.mark.parametrize(
    ("outcome", "fault"), [("faulted", None), ("faulted", ""), ("recovered", None), ("complete", "x"), ("stopped", "x")]
)
def test_a_fault_is_told_and_nothing_else_is_one(outcome: str, fault: str | None) -> None:
    with pytest.raises(ValidationError, match="fault"):
        summary(outcome=outcome, fault=fault)


def test_an_outcome_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="outcome"):
        summary(outcome="fine")


def test_the_file_is_json_that_reads_back(tmp_path: Path) -> None:
    s = summary(fault="the disk is full: 0 B left\non /data", outcome="faulted", warnings=["α ± µ"])
    path = tmp_path / "tubulin_3_summary.json"
    write_summary(path, s)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    text = path.read_text(encoding="utf-8")
    assert "α ± µ" in text
    assert Summary.model_validate_json(text) == s
    plain = json.loads(text)
    assert plain["summary_version"] == 1
    for key, seconds in (("started", STARTED), ("finished", STARTED + 612.5)):
        assert plain[key].endswith("Z")
        assert datetime.fromisoformat(plain[key]).timestamp() == seconds
    assert plain["localizations"]["total"] == 5000
    assert plain["speed"]["latency_p50_ms"] is None


def test_a_summary_that_is_there_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a_summary.json"
    path.write_text("precious")
    with pytest.raises(LocstreamError, match="exists already"):
        write_summary(path, summary())
    assert path.read_text() == "precious"
    write_summary(path, summary(), overwrite=True)
    assert Summary.model_validate_json(path.read_text()).name == "tubulin_3"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="could not be written") as told:
        write_summary(tmp_path / "no" / "a_summary.json", summary())
    assert told.value.safe
    assert told.value.todo


def test_a_summary_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        summary().name = "other"


def test_the_text_is_short_aligned_and_has_units() -> None:
    s = summary(
        acquired_fps=99.5,
        fitted_fps=98.0,
        latency_p50_ms=6.6,
        latency_p99_ms=14.9,
        files=["tubulin_3_locs.hdf5", "tubulin_3_recon.png"],
        outcome="faulted",
        fault="the camera stopped\nunasked",
        warnings=[f"warning number {i}" for i in range(20)],
    )
    lines = summary_text(s).splitlines()
    assert 6 <= len(lines) <= 12
    assert lines[0] == "tubulin_3: faulted"
    assert len({len(line) - len(line[11:].lstrip()) for line in lines[1:]}) == 1, "the facts begin in one column"
    text = "\n".join(lines)
    for said in (
        "2026-11-21 14:02:11 UTC",
        "10 min 12 s",
        "512 × 256 px of 107 nm",
        "exposure 10 ms",
        "50 acquired = 50 fitted + 0 pending + 0 skipped + 0 failed",
        "5,000 localizations",
        "photons/px",
        "99.5 frames/s",
        "6.60 ms (p50), 14.9 ms (p99)",
        "tubulin_3_recon.png",
        "the camera stopped unasked",
        "19 more warnings",
    ):
        assert said in text


def test_the_shortest_text_has_no_empty_line() -> None:
    source = SourceInfo("", 512, 256)
    lines = summary_text(summary(empty(0), source=source, ledger=LedgerSnapshot())).splitlines()
    assert 6 <= len(lines) <= 12
    assert all(line.strip() for line in lines)
    assert "None" not in "".join(lines)
    assert "nan" not in "".join(lines)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations_read_like_durations(seconds: float, said: str) -> None:
    assert f"for {said}" in summary_text(summary(finished_s=STARTED + seconds))
