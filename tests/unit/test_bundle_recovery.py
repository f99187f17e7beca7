"""Whatever a killed run has left becomes a finished run: every page fitted once, whatever was cut off and how often."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from killed_run import (
    CALIBRATION,
    HEIGHT,
    NUMBERS,
    PAGES,
    WIDTH,
    Left,
    header,
    image,
    leave,
    records_of,
    rows_of,
    stored,
    time_s,
)
from locstream import __version__
from locstream.bundle import finish, fit_pages, recovery
from locstream.bundle.files import RunFiles
from locstream.bundle.recovery import clean_folder, recover_run, unfinished_runs
from locstream.bundle.run_lock import RunLock
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.errors import LocstreamError, ResultsError, StackError
from locstream.fitting import FitOptions, Localizer
from locstream.formats.picasso import to_picasso
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.frames import FrameOutcome
from locstream.results.lock import FileInUseError
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags
from locstream.stacks.disk import StackInUseError
from locstream.stacks.frames_in_file import FramesInFile
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.source import Image

EVERYTHING = [
    "ro-crate-metadata.json", "run.ome.tif", "run_config.toml", "run_locs.hdf5", "run_locs.yaml", "run_recon.ome.tif",
    "run_recon.png", "run_summary.json",
]  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def summary(files: RunFiles) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files.summary.read_text())
    return found


def recover_all(folder: Path) -> None:
    for files in unfinished_runs(folder):
        recover_run(files)
    clean_folder(folder)


def assert_fitted(files: RunFiles, pages: int = PAGES) -> None:
    """Every page is in the results once, with the rows that a plain loop finds, and the ledger balances."""
    with ResultsReader(files.results) as reader:
        np.testing.assert_array_equal(reader.frames(), records_of(range(pages)))
        assert reader.stored_rows().tobytes() == stored(range(pages)).tobytes()
    frames = summary(files)["frames"]
    assert frames == {
        "acquired": pages, "fitted": pages, "pending": 0, "skipped": 0, "failed": 0,
        "camera_dropped": NUMBERS[pages - 1] + 1 - pages,
    }  # fmt: skip


@pytest.mark.parametrize("committed", [0, 1, 12, 29, 30])
def test_what_was_recorded_and_not_fitted_is_fitted(tmp_path: Path, committed: int) -> None:
    files = leave(tmp_path, Left(PAGES, committed))
    assert unfinished_runs(tmp_path) == [files]
    told: list[tuple[int, int]] = []
    recovered = recover_run(files, lambda done, total: told.append((done, total)))
    assert_fitted(files)
    assert names(tmp_path) == EVERYTHING
    assert recovered.summary is not None
    assert (recovered.summary.outcome, recovered.summary.fault) == ("recovered", recovery.FAULT)
    assert recovered.summary.warnings == ("the camera dropped 4 frames",)
    assert recovered.summary.finished.timestamp() == time_s(PAGES - 1)
    todo = PAGES - committed
    assert told[-1:] == ([(todo, todo)] if todo else [])
    pages = read_pages_info(files.stack)
    assert pages.numbers.tolist() == NUMBERS
    before = contents(tmp_path)
    assert unfinished_runs(tmp_path) == []
    recover_all(tmp_path)
    assert contents(tmp_path) == before


def test_frames_that_were_settled_are_not_fitted_again(tmp_path: Path) -> None:
    """One had failed three times: it stays failed, although it could be fitted now."""
    files = leave(tmp_path, Left(PAGES, None))
    with ResultsWriter(files.live_results, header(), calibration=CALIBRATION) as results:
        results.append(rows_of([0]), records_of([0]))
        failed = records_of([1], FrameOutcome.FAILED)
        failed["rows"] = 0
        results.append(rows_of([1])[:0], failed)
    recover_run(files)
    with ResultsReader(files.results) as reader:
        assert reader.frames()["outcome"].tolist() == [1, 3] + [1] * (PAGES - 2)
        assert reader.stored_rows().tobytes() == stored([0, *range(2, PAGES)]).tobytes()
    assert summary(files)["frames"]["failed"] == 1


def test_frames_that_were_fitted_and_not_yet_written_are_kept(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(20, 25))
    recover_run(files)
    assert_fitted(files, 25)
    assert len(read_pages_info(files.stack).numbers) == 20
    assert any("the last 5 fitted frames are not in the stack" in warning for warning in summary(files)["warnings"])


def test_results_without_a_stack_are_finished(tmp_path: Path) -> None:
    """A replay, or a run that was told to keep no stack."""
    files = leave(tmp_path, Left(None, 25), frames_expected=4000)
    recover_run(files)
    assert_fitted(files, 25)
    expected = "there is no raw stack beside the results; 25 of 4,000 frames were fitted"
    assert expected in summary(files)["warnings"]
    assert names(tmp_path) == [name for name in EVERYTHING if name != "run.ome.tif"]


def test_a_stack_without_results_is_finished_and_said(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, None))
    recovered = recover_run(files)
    assert recovered.summary is None
    assert f"30 frames are in {files.stack}" in recovered.said
    assert "locstream replay" in recovered.said
    assert names(tmp_path) == ["run.ome.tif"]
    assert read_pages_info(files.stack).numbers.tolist() == NUMBERS
    assert unfinished_runs(tmp_path) == []


@pytest.mark.parametrize("left", [Left(0, None), Left(None, 0), Left(0, 0)], ids=str)
def test_a_run_without_a_frame_leaves_nothing(tmp_path: Path, left: Left) -> None:
    files = leave(tmp_path, left)
    assert "before its first frame" in recover_run(files).said
    clean_folder(tmp_path)
    assert names(tmp_path) == []


def test_a_stack_that_was_killed_before_its_header_leaves_nothing(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(None, 0))
    files.live_stack.write_bytes(b"II+")
    assert "before its first frame" in recover_run(files).said
    assert names(tmp_path) == []


@pytest.mark.parametrize("committed", [None, 0])
def test_a_stack_none_of_whose_pages_can_be_read_is_kept(tmp_path: Path, committed: int | None) -> None:
    """A power cut may lose the first link and keep what it led to."""
    files = leave(tmp_path, Left(PAGES, committed))
    with files.live_stack.open("r+b") as file:
        file.seek(8)
        file.write(bytes(8))
    content = files.live_stack.read_bytes()
    recovered = recover_run(files)
    clean_folder(tmp_path)
    assert "no page of its stack can be read" in recovered.said
    assert names(tmp_path) == ["run.live.tif.damaged"]
    assert (tmp_path / "run.live.tif.damaged").read_bytes() == content


def test_half_of_the_first_page_is_no_page(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(0, 0))
    with files.live_stack.open("ab") as file:
        file.write(bytes(2 * HEIGHT * WIDTH))
    assert "before its first frame" in recover_run(files).said
    clean_folder(tmp_path)
    assert names(tmp_path) == []


def test_without_a_calibration_what_is_committed_is_finished_and_the_rest_is_pending(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, 12), calibration=None)
    recover_run(files)
    frames = summary(files)["frames"]
    assert (frames["acquired"], frames["fitted"], frames["pending"], frames["camera_dropped"]) == (30, 12, 18, 4)
    assert any("do not keep the calibration" in warning for warning in summary(files)["warnings"])
    assert len(read_pages_info(files.stack).numbers) == PAGES


def test_a_stack_of_other_frames_is_not_fitted_into_the_results(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(None, 12))
    with LiveStackWriter(files.live_stack, HEIGHT, WIDTH) as stack:
        for number in range(100, 140):
            stack.append(np.zeros((HEIGHT, WIDTH), np.uint16), number)
    recover_run(files)
    assert any("are other frames" in warning for warning in summary(files)["warnings"])
    with ResultsReader(files.results) as reader:
        assert reader.stored_rows().tobytes() == stored(range(12)).tobytes()
    assert summary(files)["frames"]["acquired"] == 12


def test_depths_are_fitted_as_the_run_would_have_done_it(tmp_path: Path) -> None:
    options = FitOptions(model="sigma_xy")
    astigmatism = AstigmatismCalibration(
        variance_x_px2=(1.7, 1.0, 2.0), variance_y_px2=(1.7, -1.0, 2.0), z_min_nm=-400, z_max_nm=400,
        residual_px=0.01, z_residual_nm=5, beads=3, planes=41, step_nm=20,
    )  # fmt: skip
    files = leave(
        tmp_path, Left(PAGES, 0), depth=True, astigmatism=astigmatism.model_dump(mode="json"),
        fit=options.model_dump(mode="json"),
    )  # fmt: skip
    recover_run(files)
    localizer = Localizer(CALIBRATION, HEIGHT, WIDTH, options, astigmatism)
    expected = np.concatenate([localizer(image(page), NUMBERS[page]) for page in range(PAGES)])
    with ResultsReader(files.results) as reader:
        assert reader.stored_rows().tobytes() == to_picasso(expected, CALIBRATION.pixel_size_nm).tobytes()
        assert len(np.unique(reader.rows()["z_nm"])) > 10


def test_damaged_results_are_kept_and_their_frames_fitted_again(tmp_path: Path) -> None:
    """A power cut may lose rows whose record is there."""
    files = leave(tmp_path, Left(PAGES, 25))
    clear_flags(files.live_results)
    with h5py.File(files.live_results, "r+") as file:
        file["locs"].resize((int(records_of(range(25))["rows"][:20].sum()),))
    damaged = files.live_results.read_bytes()
    recover_run(files)
    assert_fitted(files)
    kept = tmp_path / "run.live.h5.damaged"
    assert kept.read_bytes() == damaged
    assert any("kept as run.live.h5.damaged" in warning for warning in summary(files)["warnings"])
    assert unfinished_runs(tmp_path) == []


def test_a_page_that_cannot_be_read_has_failed_and_the_rest_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = leave(tmp_path, Left(PAGES, 12))
    read = FramesInFile.read

    def fail(self: FramesInFile, index: int) -> Image:
        if index in (15, 16, PAGES - 1):
            raise StackError("the disk reports a failure")
        return read(self, index)

    monkeypatch.setattr(FramesInFile, "read", fail)
    recover_run(files)
    with ResultsReader(files.results) as reader:
        records = reader.frames()
        assert records["frame"].tolist() == NUMBERS
        assert np.flatnonzero(records["outcome"] == FrameOutcome.FAILED).tolist() == [15, 16, PAGES - 1]
        good = [page for page in range(PAGES) if page not in (15, 16, PAGES - 1)]
        assert reader.stored_rows().tobytes() == stored(good).tobytes()
    assert summary(files)["frames"]["failed"] == 3


@pytest.mark.parametrize("changed", [{"fit": {"threshold": 5.0, "aliens": 3}}, {"config": {"render": {"aliens": 3}}}])
def test_options_of_a_later_program_are_told_and_nothing_is_lost(tmp_path: Path, changed: dict[str, Any]) -> None:
    files = leave(tmp_path, Left(PAGES, 12), software="locstream 99.0", **changed)
    with pytest.raises(ResultsError, match=r"does not know the .*Options of run") as error:
        recover_run(files)
    assert "locstream 99.0" in error.value.todo
    assert unfinished_runs(tmp_path) == [files]


def test_another_version_is_told(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, 12), software="locstream 0.0.1")
    recover_run(files)
    expected = f"the run was made with locstream 0.0.1 and recovered with locstream {__version__}"
    assert expected in summary(files)["warnings"]
    assert_fitted(files)


# --- cut off, and done again ----------------------------------------------------------------------------------------


class CutOffError(BaseException):
    """Stands for a kill: nothing in the program handles it."""


Step = tuple[object, str]
STEPS: dict[str, Step] = {
    "resume": (recovery, "fit_pages"),
    "commit": (fit_pages, "_commit"),
    "results": (recovery, "recover_results"),
    "stack": (recovery, "finish_stack"),
    "pictures": (finish, "write_reconstruction"),
    "summary": (finish, "write_summary"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("step", STEPS)
def test_cut_off_anywhere_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    undisturbed, files = leave(tmp_path / "a", Left(PAGES, 12)), leave(tmp_path / "b", Left(PAGES, 12))
    recover_run(undisturbed)
    module, name = STEPS[step]
    whole: Callable[..., Any] = getattr(module, name)

    def cut(*arguments: Any, **named: Any) -> Any:
        if after:
            whole(*arguments, **named)
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(module, name, cut)
        with pytest.raises(CutOffError):
            recover_run(files)
    recover_all(files.folder)
    assert names(files.folder) == EVERYTHING
    assert_fitted(files)
    assert summary(files) == summary(undisturbed)
    with ResultsReader(files.results) as one, ResultsReader(undisturbed.results) as other:
        assert one.summary == other.summary


def test_what_pictures_that_were_cut_off_left_is_removed(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, 12))
    (tmp_path / ".run_recon.png.4711.part").write_bytes(b"half a picture")
    (tmp_path / ".other_recon.png.4711.part").write_bytes(b"of another run")
    recover_run(files)
    assert names(tmp_path) == [".other_recon.png.4711.part", *EVERYTHING]


@pytest.mark.parametrize("outcome", ["complete", "stopped", "faulted"])
@pytest.mark.parametrize("stack_done", [False, True])
def test_a_run_that_had_ended_keeps_its_own_ending(tmp_path: Path, outcome: str, stack_done: bool) -> None:
    """Its finishing was cut off; frames that it has left unfitted on purpose stay so."""
    files = leave(tmp_path, Left(PAGES, 12))
    fault = "the workers end at once" if outcome == "faulted" else None
    ledger = {"acquired": 30, "fitted": 12, "pending": 18, "camera_dropped": 4, "last_acquired": 33, "gaps": [[7, 1]]}
    finalize(files.live_results, files.results, {"outcome": outcome, "fault": fault, "ledger": ledger})
    if stack_done:
        finish.finish_stack(files, recovery.source_info(header()))
    recover_run(files)
    told = summary(files)
    assert (told["outcome"], told["fault"]) == (outcome, fault)
    assert (told["frames"]["fitted"], told["frames"]["pending"]) == (12, 18)
    assert "the run had ended, and `locstream recover` finished its files" in told["warnings"]
    assert names(tmp_path) == EVERYTHING


# --- those that live -------------------------------------------------------------------------------------------------


def test_a_run_that_lives_is_not_touched(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, 12))
    files.live_results.with_suffix(".lock").unlink()  # of a writer that is dead; it would be tidied away
    with RunLock(files):
        before = contents(tmp_path)
        with pytest.raises(FileInUseError, match="run is being written by process"):
            recover_run(files)
        clean_folder(tmp_path)
        assert contents(tmp_path) == before
    recover_run(files)
    assert_fitted(files)


@pytest.mark.parametrize("left", [Left(PAGES, 12), Left(PAGES, None), Left(0, 0)], ids=str)
def test_a_run_that_another_process_has_recovered_meanwhile_is_not_done_again(tmp_path: Path, left: Left) -> None:
    files = leave(tmp_path, left)
    (found,) = unfinished_runs(tmp_path)
    recover_run(files)
    before = contents(tmp_path)
    assert "just been recovered" in recover_run(found).said
    assert contents(tmp_path) == before


def test_a_writer_without_the_lock_of_the_run_is_not_disturbed(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, None))
    with ResultsWriter(files.live_results, header(), calibration=CALIBRATION) as results:
        with pytest.raises(FileInUseError):
            recover_run(files)
        results.append(rows_of(range(3)), records_of(range(3)))
    recover_run(files)
    assert_fitted(files)


def test_a_recorder_that_has_still_to_write_is_waited_for(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, 12))
    writer, _ = LiveStackWriter.resume(files.live_stack, HEIGHT, WIDTH)
    timer = threading.Timer(0.4, writer.close)
    timer.start()
    recover_run(files)
    timer.join()
    assert_fitted(files)


def test_a_recorder_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RECORDER_PATIENCE_S", 0.2)
    files = leave(tmp_path, Left(PAGES, 12))
    writer, _ = LiveStackWriter.resume(files.live_stack, HEIGHT, WIDTH)
    with writer, pytest.raises(StackInUseError, match="although the acquisition has ended"):
        recover_run(files)
    recover_run(files)
    assert_fitted(files)


# --- folders ----------------------------------------------------------------------------------------------------------


def test_only_what_is_ours_and_unfinished_counts(tmp_path: Path) -> None:
    leave(tmp_path, Left(PAGES, 12))
    (tmp_path / "theirs_locs.hdf5").write_bytes(b"not even HDF5")
    with h5py.File(tmp_path / "picasso_locs.hdf5", "w") as file:
        file["locs"] = np.zeros(3)
    (tmp_path / "stack.tif").write_bytes(b"somebody's stack")
    (tmp_path / "inner").mkdir()
    leave(tmp_path / "inner", Left(PAGES, 12))
    assert [files.name for files in unfinished_runs(tmp_path)] == ["run"]


def test_results_beyond_repair_are_told_and_everything_is_left(tmp_path: Path) -> None:
    files = leave(tmp_path, Left(PAGES, None))
    files.live_results.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    before = contents(tmp_path)
    with pytest.raises(LocstreamError):
        recover_run(files)
    assert contents(tmp_path) == before
