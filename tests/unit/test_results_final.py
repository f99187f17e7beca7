"""The finished file: the same rows, the layout that other programs want, and no way to lose the live one."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from locstream.errors import ResultsError
from locstream.formats.picasso import read_picasso, to_picasso
from locstream.localizations import empty
from locstream.results import final as results_final
from locstream.results import live_file
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize, write_picasso_file
from locstream.results.frames import FRAME_RECORD, FrameOutcome, frame_records
from locstream.results.layout import DRIFT_RECORD, final_path, live_path, part_path
from locstream.results.lock import FileInUseError
from locstream.results.reader import ResultsReader
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, batch, header, names

ROWS, FRAMES = batch(2, 200)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = live_path(tmp_path, "run")
    with ResultsWriter(path, header()) as writer:
        writer.append(ROWS, FRAMES)
        writer.append_drift(np.array([(10, 1.5, -2.5, 0)], DRIFT_RECORD))
        writer.append_event("Start", "by the test", 1.0)
    return path


def finish(live: Path, **summary: object) -> Path:
    return finalize(live, final_path(live), summary)


def test_the_finished_file_has_the_same_rows_and_the_live_one_is_gone(live: Path) -> None:
    final = finish(live, outcome="complete")
    assert names(live.parent) == ["run_locs.hdf5", "run_locs.yaml"]
    with h5py.File(final) as file:
        np.testing.assert_array_equal(file["locs"][:], to_picasso(ROWS, PIXEL_SIZE_NM))
        np.testing.assert_array_equal(file["locstream/frames"][:], FRAMES)
        assert len(file["locstream/drift"]) == len(file["locstream/events"]) == 1
        assert {name for name in file if isinstance(file[name], h5py.Dataset)} == {"locs", "metadata"}
        assert file["MetaData/voxelsize"].attrs["units"] == "um"


def test_the_sidecar_says_what_the_file_says(live: Path) -> None:
    final = finish(live, outcome="stopped")
    documents = list(yaml.safe_load_all(final.with_suffix(".yaml").read_text()))
    with h5py.File(final) as file:
        assert json.loads(file["metadata"][()]) == documents
    assert documents[0]["Frames"] == 202
    assert (documents[0]["Width"], documents[0]["Height"]) == (WIDTH, HEIGHT)
    assert documents[1]["locstream"]["summary"]["outcome"] == "stopped"
    assert documents[1]["locstream"]["header"]["fit"] == {"box_px": 7}


def test_the_ledger_is_stored_with_the_results(live: Path) -> None:
    with ResultsReader(finish(live)) as reader:
        ledger = reader.summary["ledger"]
    assert ledger["acquired"] == 200
    assert ledger["camera_dropped"] == 2
    assert ledger["fitted"] == np.count_nonzero(FRAMES["outcome"] == FrameOutcome.FITTED)
    assert ledger["acquired"] == ledger["fitted"] + ledger["pending"] + ledger["skipped"] + ledger["failed"]


def test_the_acquisitions_own_ledger_wins(live: Path) -> None:
    with ResultsReader(finish(live, ledger={"acquired": 205, "pending": 5})) as reader:
        assert reader.summary["ledger"] == {"acquired": 205, "pending": 5}


def test_it_reads_as_a_file_of_picassos(live: Path) -> None:
    found = read_picasso(finish(live))
    assert (found.pixel_size_nm, found.width, found.height, found.frames) == (PIXEL_SIZE_NM, WIDTH, HEIGHT, 202)
    np.testing.assert_allclose(found.table["x_nm"], ROWS["x_nm"], rtol=3e-7)


def test_an_acquisition_without_a_frame_still_makes_a_file(tmp_path: Path) -> None:
    live = live_path(tmp_path, "none")
    ResultsWriter(live, header()).close()
    final = finish(live)
    assert read_picasso(final).frames == 1
    with ResultsReader(final) as reader:
        assert (reader.n_rows, reader.n_frames) == (0, 0)


def test_frames_without_a_row_still_make_a_file(tmp_path: Path) -> None:
    live = live_path(tmp_path, "dark")
    with ResultsWriter(live, header()) as writer:
        writer.append(empty(), frame_records(np.arange(9), 0.0, 0, FrameOutcome.FITTED))
    assert read_picasso(finish(live)).frames == 9


def test_rows_go_through_memory_in_blocks(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = ResultsReader.stored_rows

    def note(self: ResultsReader, start: int = 0, stop: int | None = None) -> np.ndarray:
        rows = read(self, start, stop)
        asked.append(len(rows))
        return rows

    monkeypatch.setattr(ResultsReader, "stored_rows", note)
    monkeypatch.setattr(results_final, "BLOCK_ROWS", 500)
    monkeypatch.setattr(live_file, "BLOCK_ROWS", 500)
    final = finish(live)
    monkeypatch.undo()
    assert max(asked) == 500
    with h5py.File(final) as file:
        np.testing.assert_array_equal(file["locs"][:], to_picasso(ROWS, PIXEL_SIZE_NM))


def test_it_waits_for_no_writer(tmp_path: Path) -> None:
    live = live_path(tmp_path, "run")
    with ResultsWriter(live, header()) as writer:
        writer.append(ROWS, FRAMES)
        with pytest.raises(FileInUseError):
            finish(live)
        assert names(tmp_path) == ["run.live.h5", "run.live.lock"]


def test_a_file_whose_writer_was_killed_is_finished_too(tmp_path: Path) -> None:
    live = live_path(tmp_path, "run")
    with ResultsWriter(live, header()) as writer:
        writer.append(ROWS, FRAMES)
        content = live.read_bytes()
    live.write_bytes(content)
    with ResultsReader(finish(live)) as reader:
        assert reader.n_rows == len(ROWS)


def test_a_file_with_frames_that_are_not_whole_is_left_to_recover(live: Path) -> None:
    with h5py.File(live, "r+") as file:
        file["locs"].resize((len(ROWS) - 1,))
    with pytest.raises(ResultsError, match="not whole") as caught:
        finish(live)
    assert "locstream recover" in caught.value.todo
    assert names(live.parent) == ["run.live.h5"]


def test_done_twice_is_done(live: Path) -> None:
    final = finish(live)
    content = final.read_bytes()
    assert finish(live) == final
    assert final.read_bytes() == content
    assert names(live.parent) == ["run_locs.hdf5", "run_locs.yaml"]


def test_nothing_to_finish_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="neither"):
        finish(live_path(tmp_path, "absent"))
    assert names(tmp_path) == []


def test_another_file_of_that_name_is_not_overwritten(live: Path) -> None:
    other = live_path(live.parent / "other", "run")
    other.parent.mkdir()
    with ResultsWriter(other, header(acquisition_id="other")) as writer:
        writer.append(ROWS, FRAMES)
    taken = final_path(live)
    finish(other).rename(taken)
    before = taken.read_bytes()
    with pytest.raises(ResultsError, match="not the same acquisition"):
        finish(live)
    assert taken.read_bytes() == before
    assert live.exists()


def test_a_foreign_file_of_that_name_is_not_overwritten(live: Path) -> None:
    final_path(live).write_text("mine")
    with pytest.raises(ResultsError, match="cannot be read"):
        finish(live)
    assert final_path(live).read_text() == "mine"
    assert live.exists()


def test_a_longer_live_file_of_the_same_acquisition_is_kept(live: Path) -> None:
    """The finished file may be an early copy: then its rows are not all."""
    with ResultsReader(live) as reader:
        reader.keep(50)
        write_picasso_file(reader, final_path(live), {})
    with pytest.raises(ResultsError, match="not overwritten"):
        finish(live)
    assert live.exists()


def test_a_file_that_reads_back_otherwise_costs_nothing(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = results_final.write_picasso_file

    def spoil(reader: ResultsReader, path: Path, summary: dict[str, object]) -> None:
        write(reader, path, summary)
        with h5py.File(path, "r+") as file:
            row = file["locs"][1234]
            row["x"] += 1
            file["locs"][1234] = row

    monkeypatch.setattr(results_final, "write_picasso_file", spoil)
    with pytest.raises(ResultsError, match="does not read back"):
        finish(live)
    assert live.exists()
    assert not final_path(live).exists()
    monkeypatch.undo()
    with ResultsReader(finish(live)) as reader:
        assert reader.n_rows == len(ROWS)


def test_a_disk_that_refuses_costs_nothing(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results_final, "yaml_text", refuse)
    with pytest.raises(ResultsError, match="No space left on device") as caught:
        finish(live)
    assert str(live) in caught.value.safe
    assert names(live.parent) == ["run.live.h5"]
    monkeypatch.undo()
    finish(live)


def test_a_summary_that_is_no_json_is_refused_before_anything_is_written(live: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        finish(live, when=object())
    with pytest.raises(ValueError, match="not JSON compliant"):
        finish(live, fps=float("nan"))
    assert names(live.parent) == ["run.live.h5"]


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS = ["create_tables", "_compare", "sync", "_write_sidecar", "yaml_text", "replace", "unlink"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("step", "nth"), [(step, n) for step in STEPS for n in (1, 2, 3)])
def test_cut_off_anywhere_it_can_be_called_again(
    live: Path, monkeypatch: pytest.MonkeyPatch, step: str, nth: int, when: str
) -> None:
    owner = Path if step in ("replace", "unlink") else results_final
    works = getattr(owner, step)
    calls = 0

    def cut_off(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            raise Killed
        result = works(*args, **kwargs)
        if calls == nth:
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut_off)
        try:
            finish(live)
        except Killed:
            assert live.exists() or final_path(live).exists()
            if final_path(live).exists():
                assert final_path(live).with_suffix(".yaml").exists()
        else:
            assert calls < nth
    final = finish(live)
    assert names(live.parent) == ["run_locs.hdf5", "run_locs.yaml"]
    with ResultsReader(final) as reader:
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(ROWS, PIXEL_SIZE_NM))
        np.testing.assert_array_equal(reader.frames(), FRAMES)


def test_a_snapshot_of_a_growing_file_is_whole(tmp_path: Path) -> None:
    live = live_path(tmp_path, "run")
    snapshot = tmp_path / "preview_locs.hdf5"
    with ResultsWriter(live, header()) as writer, ResultsReader(live) as reader:
        for first in (0, 50, 100):
            writer.append(*batch(first, 50))
            reader.refresh()
            write_picasso_file(reader, part_path(snapshot), {})
            part_path(snapshot).replace(snapshot)
            found = read_picasso(snapshot)
            assert len(found.table) == writer.n_rows
            assert found.frames == first + 50


def test_records_are_the_same_type_in_both_files(live: Path) -> None:
    with h5py.File(finish(live)) as file:
        assert file["locstream/frames"].dtype == FRAME_RECORD
        assert file["locs"].compression == "gzip"
        assert file["locs"].shuffle
