"""A snapshot is a whole file at every moment, is never taken for a run, and goes when the results are finished."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import yaml

from locstream.bundle.recovery import unfinished_runs
from locstream.errors import LocstreamError
from locstream.formats.picasso import read_picasso
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import LOCS, final_path, live_path, lock_path
from locstreamd.view import preview as module
from locstreamd.view.preview import Preview, being_written, command, find_live, follow
from results_example import batch, header


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return live_path(tmp_path, "cell")


@pytest.fixture
def writer(live: Path) -> ResultsWriter:
    return ResultsWriter(live, header(name="cell"))


def test_a_snapshot_is_what_is_committed(writer: ResultsWriter, live: Path) -> None:
    preview = Preview(live)
    for first in (0, 50):
        writer.append(*batch(first, 50))
        assert preview.update()
        assert (preview.frames, preview.rows) == (writer.n_frames, writer.n_rows)
        table = read_picasso(preview.path)
        assert table.table.tobytes() == writer.rows(0, writer.n_rows).tobytes()
        assert table.frames == first + 50
    assert not preview.update()
    assert sorted(path.name for path in preview.path.parent.iterdir()) == [
        "cell_preview_locs.hdf5",
        "cell_preview_locs.yaml",
    ]
    documents = list(yaml.safe_load_all(preview.path.with_suffix(".yaml").read_text()))
    assert documents[-1]["locstream"]["summary"]["outcome"] == "preview"
    preview.close(keep=False)
    assert not preview.path.parent.exists()
    writer.close()


def test_a_snapshot_without_a_frame_can_be_opened(writer: ResultsWriter, live: Path) -> None:
    preview = Preview(live)
    assert preview.update()
    assert len(read_picasso(preview.path).table) == 0
    assert read_picasso(preview.path).frames == 1
    preview.close(keep=True)
    assert preview.path.exists()
    writer.close()


def test_what_is_not_committed_is_not_in_it(writer: ResultsWriter, live: Path) -> None:
    writer.append(*batch(0, 10))
    locs = writer._file[LOCS]
    locs.resize((writer.n_rows + 10,))
    locs.flush()
    preview = Preview(live)
    preview.update()
    assert len(read_picasso(preview.path).table) == writer.n_rows
    preview.close(keep=False)
    locs.resize((writer.n_rows,))
    writer.close()


def test_whoever_opens_it_at_any_moment_sees_a_whole_file(writer: ResultsWriter, live: Path) -> None:
    preview = Preview(live)
    writer.append(*batch(0, 20))
    preview.update()
    stop = threading.Event()
    seen: list[int] = []
    wrong: list[str] = []

    def look() -> None:
        while not stop.is_set():
            table = read_picasso(preview.path)
            if table.frames is None or (len(table.table) and table.table["frame"].max() >= table.frames):
                wrong.append(f"frames {table.frames}")
            seen.append(len(table.table))

    watcher = threading.Thread(target=look)
    watcher.start()
    sizes = {preview.rows}
    for first in range(20, 420, 20):
        writer.append(*batch(first, 20))
        preview.update()
        sizes.add(preview.rows)
    stop.set()
    watcher.join()
    assert not wrong
    assert set(seen) <= sizes
    assert seen == sorted(seen)
    preview.close(keep=False)
    writer.close()


def test_a_snapshot_is_no_run_to_recover(writer: ResultsWriter, live: Path) -> None:
    writer.append(*batch(0, 5))
    preview = Preview(live)
    preview.update()
    writer.close()
    assert [files.name for files in unfinished_runs(live.parent)] == ["cell"]
    preview.close(keep=False)


def test_where_the_disk_is_almost_full_no_snapshot_is_made(
    writer: ResultsWriter, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(*batch(0, 5))
    preview = Preview(live)
    preview.update()
    writer.append(*batch(5, 5))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, module.RESERVE_BYTES))
    with pytest.raises(LocstreamError, match=r"no snapshot is made: it needs .* 2,000 MB are kept"):
        preview.update()
    assert read_picasso(preview.path).frames == 5, "the one before stays"
    preview.close(keep=False)
    writer.close()


def test_a_disk_that_refuses_is_told_and_leaves_nothing(writer: ResultsWriter, live: Path) -> None:
    writer.append(*batch(0, 5))
    preview = Preview(live)
    preview.path.mkdir(parents=True)
    with pytest.raises(LocstreamError, match="cannot be written"):
        preview.update()
    assert [path.name for path in preview.path.parent.glob("*.part")] == []
    writer.close()


def test_who_writes_is_known_by_the_lock(writer: ResultsWriter, live: Path, dead_pid: int) -> None:
    assert being_written(live)
    writer.close()
    assert not being_written(live)
    lock_path(live).write_text(f"{dead_pid}\n")
    assert not being_written(live)
    lock_path(live).write_text("nonsense")
    assert not being_written(live)


def test_it_follows_until_the_results_are_finished(
    writer: ResultsWriter, live: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "nice", lambda by: by)
    writer.append(*batch(0, 20))

    def go_on() -> None:
        path = live.parent / "preview" / "cell_preview_locs.hdf5"
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        writer.append(*batch(20, 20))
        writer.close()
        finalize(live, final_path(live))

    acquisition = threading.Thread(target=go_on)
    acquisition.start()
    assert command([str(live.parent), "--every", "0.05", "--keep"]) == 0
    acquisition.join()
    out = capsys.readouterr().out
    assert "20 frames" in out
    assert f"finished: {final_path(live)}" in out
    kept = read_picasso(live.parent / "preview" / "cell_preview_locs.hdf5").table
    final = read_picasso(final_path(live)).table
    np.testing.assert_array_equal(kept, final[: len(kept)])
    assert json.loads(json.dumps(len(kept))) > 0


def test_a_killed_acquisition_is_told_and_its_snapshot_stays(
    writer: ResultsWriter, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(*batch(0, 20))
    preview = Preview(live)
    writer._file.close()
    writer._lock.release()  # as a kill does
    monkeypatch.setattr(module, "FAREWELL_S", 0.1)
    with pytest.raises(LocstreamError, match="is not written any more") as caught:
        follow(preview, live, 0.05)
    assert "20 frames in" in str(caught.value)
    assert "locstream recover" in str(caught.value)
    assert read_picasso(preview.path).frames == 20
    preview.close(keep=False)


def test_which_file_is_meant(tmp_path: Path, live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LocstreamError, match=r"holds 0 growing results files \(none\)"):
        find_live(str(tmp_path))
    live.touch()
    assert find_live(str(tmp_path)) == find_live(str(live)) == live
    live_path(tmp_path, "other").touch()
    with pytest.raises(LocstreamError, match=r"2 growing results files \(cell\.live\.h5, other\.live\.h5\)"):
        find_live(str(tmp_path))
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "run"))
    with pytest.raises(LocstreamError, match="no acquisition named 'sell'"):
        find_live("sell")
    (tmp_path / "table.csv").touch()
    with pytest.raises(LocstreamError, match="is not the path of a live results file"):
        command([str(tmp_path / "table.csv")])
    with pytest.raises(SystemExit):
        command([str(live), "--every", "0"])
